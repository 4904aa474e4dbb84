"""Make the demo retailer's extracts: an initial load, then a delivery a day, as files in an inbox.

Which rows each day's files hold is decided here; what a row looks like, in `customer_extracts.py` and
`fact_extracts.py`. Three accidents are staged where there are days enough: one file comes a day late,
one is sent again with other content for the same business date, one never comes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from orchestration.samples import customer_extracts as texts
from orchestration.samples import fact_extracts as facts
from orchestration.samples.customer_extracts import Habits
from orchestration.samples.outbox import Delivery, Outbox, as_file, parquet_file, spoiled, workbook, zipped
from orchestration.samples.records import CALL, CARD, CRM, NEWSLETTER, SOURCES, WEB
from orchestration.samples.text import to_date, to_day
from orchestration.samples.world import World, invent_world


@dataclass(frozen=True)
class SamplesReport:
    """What was written. `deliveries` lists the files in order of reception; counts hold no personal value."""

    persons: int
    records: int
    orders: int
    order_lines: int
    files: int
    rows: int
    records_of: dict[str, int]
    first_on: date
    until: date
    deliveries: tuple[Delivery, ...]


def generate(
    target_inbox: Path,
    *,
    customers: int,
    seed: int,
    days: int,
    until: date,
    truth_file: Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> SamplesReport:
    """Write the extracts of `customers` invented persons into `target_inbox`, and the truth beside.

    The initial load is dated `days` before `until`, and `days` daily deliveries follow. Same arguments,
    same bytes. `truth_file` (CSV: source, record_id, person) holds one row per customer record ever
    delivered; it belongs outside the inbox. `progress` is told each step in a few words.
    """
    if customers < 1 or days < 0:
        raise ValueError(f"samples need at least one customer and no negative days, got {customers} and {days}")
    tell = progress or (lambda step: None)
    last_day = to_day(until)
    world = invent_world(customers=customers, seed=seed, first_day=last_day - days, last_day=last_day, progress=tell)
    outbox = Outbox(target_inbox)
    tell("writing customer extracts")
    _send_customers(world, outbox)
    tell("writing orders and events")
    _send_facts(world, outbox)
    if truth_file is not None:
        _write_truth(world, truth_file)
    counts = np.bincount(world.skeleton.source, minlength=len(SOURCES)).tolist()
    deliveries = tuple(sorted(outbox.deliveries, key=lambda d: (d.received_on, d.business_on, d.source, d.file_name)))
    return SamplesReport(
        persons=customers,
        records=len(world.skeleton),
        orders=len(world.orders),
        order_lines=len(world.lines.order),
        files=len(deliveries),
        rows=sum(delivery.rows for delivery in deliveries),
        records_of=dict(zip(SOURCES, counts, strict=True)),
        first_on=to_date(last_day - days),
        until=until,
        deliveries=deliveries,
    )


def _write_truth(world: World, truth_file: Path) -> None:
    truth_file.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        f"{SOURCES[source]},{record_id},P{person:07d}"
        for source, record_id, person in zip(
            world.skeleton.source.tolist(), world.record_id, world.skeleton.person.tolist(), strict=True
        )
    ]
    truth_file.write_text("\n".join(["source,record_id,person", *rows, ""]), encoding="utf-8", newline="\n")


def _days(world: World) -> range:
    return range(world.first_day, world.last_day + 1)


def _stamp(day: int, pattern: str = "%Y%m%d") -> str:
    return to_date(day).strftime(pattern)


@dataclass(frozen=True)
class _Layout:
    """How the text files of a source look. `header` None: JSON lines. `date_column`: one that can be spoiled."""

    name: str
    header: str | None
    delimiter: str = ";"
    date_column: int | None = None
    encoding: str = "utf-8"
    bom: bool = False
    day_format: str = "%Y%m%d"

    def file_name(self, day: int, suffix: str = "") -> str:
        return self.name.format(to_date(day).strftime(self.day_format) + suffix)


_ISO = "%Y-%m-%d"
_CUSTOMER_LAYOUTS = {
    CRM: _Layout("crm_clients_{}.csv", texts.CRM_HEADER, ";", texts.CRM_DATE_COLUMN, "cp1252"),
    CARD: _Layout("CARTES_{}.txt", texts.CARD_HEADER, "|", None, "ascii"),
    NEWSLETTER: _Layout(
        "newsletter_{}.csv", texts.NEWSLETTER_HEADER, ",", texts.NEWSLETTER_DATE_COLUMN, bom=True, day_format=_ISO
    ),
    WEB: _Layout("web_accounts_{}.jsonl", None, day_format=_ISO),
}
_CUSTOMER_ROWS = {
    CRM: texts.crm_rows,
    CARD: texts.card_rows,
    NEWSLETTER: texts.newsletter_rows,
    WEB: texts.web_rows,
}
_FACT_LAYOUTS = {
    "web_orders": _Layout("commandes_web_{}.csv", facts.WEB_ORDER_HEADER, ";", facts.WEB_ORDER_DATE_COLUMN),
    "till_tickets": _Layout("tickets_{}.csv", facts.TICKET_HEADER, ";", facts.TICKET_DATE_COLUMN),
    "till_lines": _Layout("lignes_tickets_{}.csv", facts.TICKET_LINE_HEADER, ";", facts.TICKET_LINE_DATE_COLUMN),
    "email_events": _Layout("email_events_{}.csv.gz", facts.MAIL_HEADER, ",", facts.MAIL_DATE_COLUMN, day_format=_ISO),
    "web_sessions": _Layout("web_sessions_{}.jsonl.gz", None, day_format=_ISO),
    "survey": _Layout("enquete_{}.csv", facts.SURVEY_HEADER),
    "preferences": _Layout("preferences_{}.csv", facts.CHOICE_HEADER),
    "privacy_requests": _Layout("demandes_rgpd_{}.csv", facts.REQUEST_HEADER),
}
#: These send nothing on a day without rows, and no bad rows.
_SELDOM = {"survey", "preferences", "privacy_requests"}


def _send_customers(world: World, outbox: Outbox) -> None:
    habits = Habits(world)
    for source, layout in _CUSTOMER_LAYOUTS.items():
        render = _CUSTOMER_ROWS[source]
        rows, updates = texts.rows_of(world, source)
        changed = world.changed[updates]
        latest = render(world, habits, rows, world.before.rows(rows), False).copy()
        after = render(world, habits, changed, world.after.rows(updates), True)
        place = np.searchsorted(rows, changed)
        created = world.skeleton.created_on[rows]
        for day in _days(world):
            new = world.updated_on[changed] == day
            latest[place[new]] = after[new]
            if source == CARD and day == world.first_day + 2 and day < world.last_day:
                continue  # the file that never comes
            if texts.is_delivered_in_full(source):
                chosen = (created <= day) & (world.deleted_on[rows] > day)
            elif day == world.first_day:
                chosen = created <= day
            else:
                chosen = (created == day) | (world.updated_on[rows] == day)
            lines = latest[chosen]
            if layout.header is not None:
                lines = spoiled(lines, layout.delimiter, layout.date_column, world.streams.seed + day)
            if source == CRM:
                lines = np.concatenate([lines, np.array(texts.crm_test_rows(day), dtype=object)])
            content = as_file(layout.header, lines, layout.encoding, layout.bom)
            outbox.send(SOURCES[source], layout.file_name(day), content, day=day, rows=len(lines))
    _send_calls(world, habits, outbox)


def _send_calls(world: World, habits: Habits, outbox: Outbox) -> None:
    rows, updates = texts.rows_of(world, CALL)
    before = texts.call_rows(world, habits, rows, world.before.rows(rows), False)
    changed = world.changed[updates]
    after = texts.call_rows(world, habits, changed, world.after.rows(updates), True)
    created = world.skeleton.created_on[rows]
    for day in _days(world):
        first = day == world.first_day
        cells = [before[place] for place in np.flatnonzero(created <= day if first else created == day)]
        cells += [after[place] for place in np.flatnonzero(world.updated_on[changed] == day)]
        content = workbook("Appels", texts.CALL_HEADER, cells)
        outbox.send("call_centre", f"centre_appels_{_stamp(day)}.xlsx", content, day=day, rows=len(cells))


def _send_facts(world: World, outbox: Outbox) -> None:
    for day in _days(world):
        table = facts.catalogue_table(world, day)
        name = f"catalogue_{_stamp(day)}.parquet"
        outbox.send("product_catalogue", name, parquet_file(table), day=day, rows=table.num_rows)
    habits, numbers = Habits(world), facts.order_numbers(world)
    for source, text, delivered in (
        ("web_orders", *facts.web_order_lines(world, habits, numbers)),
        ("till_tickets", *facts.tickets(world, numbers)),
        ("till_lines", *facts.ticket_lines(world, numbers)),
        ("email_events", *facts.mail_events(world)),
        ("web_sessions", *facts.web_events(world)),
        ("survey", *facts.survey(world, numbers)),
        ("preferences", *facts.choices(world)),
        ("privacy_requests", *facts.requests(world)),
    ):
        _send_deltas(world, outbox, source, text, delivered)


def _send_deltas(world: World, outbox: Outbox, source: str, text: np.ndarray, delivered: np.ndarray) -> None:
    layout, first, last = _FACT_LAYOUTS[source], world.first_day, world.last_day
    for day in _days(world):
        start = 0 if day == first else np.searchsorted(delivered, day, side="left")
        lines = text[start : np.searchsorted(delivered, day, side="right")]
        if source in _SELDOM:
            if not len(lines) and day > first:
                continue
        elif layout.header is not None:
            lines = spoiled(lines, layout.delimiter, layout.date_column, world.streams.seed + day)
        file_name, received, count = layout.file_name(day), day, len(lines)
        if source == "till_lines" and day == first + 1:
            # Sent with wrong amounts; sent again the day after.
            wrong = as_file(layout.header, facts.with_wrong_amounts(lines.tolist()))
            outbox.send(source, file_name, wrong, day=day, rows=count)
            file_name, received = layout.file_name(day, "_v2"), min(day + 1, last)
        if source == "email_events" and day == first + 1 and day < last:
            received = day + 1  # the file that comes late
        content = as_file(layout.header, lines)
        packed = zipped(content) if file_name.endswith(".gz") else content
        outbox.send(source, file_name, packed, day=day, rows=count, received=received)

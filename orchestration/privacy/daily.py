"""What a run does for privacy, between the ingest of files and the landing tables.

What belongs here: completing interrupted erasures, entering delivered requests in the ledger, carrying out
those that are due, keeping the erased out of what came. What does not: how each of those is done.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration import ingest, publish, suppression
from orchestration.contracts.activation import Activation
from orchestration.contracts.retention import Retention
from orchestration.contracts.source import Source
from orchestration.contracts.subject import Subject
from orchestration.privacy import erasure, ledger, objections, people
from orchestration.privacy.people import landing_files, scan
from orchestration.settings import Workspace
from orchestration.suppression import Kind

if TYPE_CHECKING:
    from orchestration.activation import RemovalsSent

_REFERENCES: dict[str, Kind] = {"ref_email": "email", "ref_phone": "phone"}
_COLUMNS = (
    "source", "row_key", "request_type", "requested_at", "business_on", "available_on", "ref_account_source",
    "ref_account", "ref_card", "ref_email", "ref_phone", "ref_cookie", "ref_last_name", "ref_first_name",
)  # fmt: skip
#: Words that sources use for the kinds of request, beside our own.
_KINDS = {"erase": "erasure", "deletion": "erasure", "objection": "objection", "opposition": "objection"}


@dataclass(frozen=True)
class DailyReport:
    """What was done: counts only."""

    resumed: int = 0
    received: int = 0
    objections: int = 0
    erased: int = 0
    waiting: int = 0
    removals_sent: int = 0
    removals_waiting: int = 0
    kept_out_rows: int = 0


def before_landing(
    workspace: Workspace, sources: Mapping[str, Source], activations: Mapping[str, Activation], retention: Retention, *,
    today: dt.date, is_forward: bool, time_zone: str,
) -> DailyReport:  # fmt: skip
    """Bring privacy up to date before a run reads landing. Call under the run lock.

    `today`: the run's date when it goes forward. A backfill completes and keeps out, but carries out nothing new.
    `time_zone`: the company's, in which a request has its day.
    """
    started = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    resumed = len(erasure.resume(workspace, sources))
    received = objected = erased = waiting = 0
    if is_forward:
        received, objected = _enter(workspace, zoneinfo.ZoneInfo(time_zone))
        _recognise(workspace, today)
        erased, waiting = _carry_out(workspace, sources, retention, today)
    swept = ingest.sweep(workspace, sources, since=_last_sweep(workspace))
    _note_sweep(workspace, started)
    removals = tell_destinations(workspace, activations)
    kept_out = swept.rows_removed + swept.rows_anonymised + swept.quarantined_rows
    return DailyReport(
        resumed, received, objected, erased, waiting, removals.sent, len(removals.waiting), kept_out
    )  # fmt: skip


def tell_destinations(workspace: Workspace, activations: Mapping[str, Activation]) -> RemovalsSent:
    """Send the removal files that wait: each destination that received an erased person learns of it (GDPR 19)."""
    from orchestration import activation

    return activation.send_removals(workspace, activations)


def _delivered(workspace: Workspace) -> list[dict[str, object]]:
    """Every delivered request, whatever its date: the last content of each."""
    files = landing_files(workspace, "privacy_request")
    if not files:
        return []
    with people.published(workspace) as connection:
        rows = connection.execute(
            f"select {', '.join(_COLUMNS)} from {scan(workspace, 'privacy_request', files)} "
            "qualify row_number() over (partition by source, row_key "
            "order by available_on desc, business_on desc, line_number desc, row_hash desc) = 1 "
            "order by source, row_key"
        ).fetchall()
    return [dict(zip(_COLUMNS, row, strict=True)) for row in rows]


def _number(row: Mapping[str, object]) -> str:
    return f"{row['source']}:{row['row_key']}"


def _kind(row: Mapping[str, object]) -> tuple[str, bool]:
    """What is asked, and whether that is clear. Where it is not, nobody contacts them, and the request stays open."""
    said = str(row["request_type"] or "").strip().lower()
    said = _KINDS.get(said, said)
    return (said, True) if said in ledger.TYPES else ("objection", False)


def _enter(workspace: Workspace, zone: dt.tzinfo) -> tuple[int, int]:
    """Enter new requests; objections, and erasures until they are carried out, bind at once."""
    known = {request.request_id for request in ledger.requests(workspace)}
    new = [row for row in _delivered(workspace) if _number(row) not in known]
    if not new:
        return 0, 0
    objected = 0
    lines: list[ledger.Line] = []
    with people.published(workspace) as connection:
        has_publication = publish.current(workspace) is not None
        for row in new:
            kind, is_clear = _kind(row)
            received_on = _received_on(row, zone)
            found = people.customers_of_references(connection, _texts(row)) if has_publication else []
            customer_id = found[0] if len(found) == 1 else None
            if kind in ("objection", "erasure"):
                subject = people.subject_of(connection, workspace, [customer_id]) if customer_id else Subject()
                objections.object_to_contact(
                    workspace, subject, _named(row), since_on=received_on, request_id=_number(row)
                )
                objected += 1
            lines.append((_number(row), kind, "received", received_on, customer_id, str(row["source"]), "", {}))
            if not is_clear:
                unclear: dict[str, object] = {"why": "what is asked is not clear; not contacted meanwhile"}
                lines.append(
                    (_number(row), kind, "waiting", _available_on(row), customer_id, str(row["source"]), "rcu", unclear)
                )
            elif kind == "objection":
                lines.append(
                    (_number(row), kind, "answered", _available_on(row), customer_id, str(row["source"]), "rcu", {})
                )
    ledger.append(workspace, lines)
    return len(new), objected


def _recognise(workspace: Workspace, today: dt.date) -> None:
    """Tell whose an open request is that nobody was known by when it came: it may have come with the first delivery.

    Once a day: a run that is repeated finds nothing new.
    """
    current = publish.current(workspace)
    if current is None or current.as_of_on >= today:
        return
    open_ones = [one for one in ledger.requests(workspace) if one.state == "open" and one.customer_id is None]
    if not open_ones:
        return
    rows = {_number(row): row for row in _delivered(workspace)}
    lines: list[ledger.Line] = []
    with people.published(workspace) as connection:
        for one in open_ones:
            row = rows.get(one.request_id)
            found = people.customers_of_references(connection, _texts(row)) if row is not None else []
            if len(found) == 1:
                note: dict[str, object] = {"why": one.reason}
                lines.append((one.request_id, one.request_type, "waiting", today, found[0], one.origin, "rcu", note))
    ledger.append(workspace, lines)


def _texts(row: Mapping[str, object]) -> dict[str, str | None]:
    return {name: str(row[name]) if row[name] is not None else None for name in _COLUMNS if name.startswith("ref_")}


def _named(row: Mapping[str, object]) -> dict[Kind, set[str]]:
    named: dict[Kind, set[str]] = {}
    for column, kind in _REFERENCES.items():
        key = suppression.value_key(kind, str(row[column] or ""))
        if key:
            named.setdefault(kind, set()).add(key)
    if "email" in named:
        # An address tells the person; the phone beside it may be the whole family's.
        named.pop("phone", None)
    return named


def _received_on(row: Mapping[str, object], zone: dt.tzinfo) -> dt.date:
    at = row["requested_at"]
    told = at.replace(tzinfo=dt.UTC).astimezone(zone).date() if isinstance(at, dt.datetime) else None
    available = _available_on(row)
    return min(told, available) if told else available


def _available_on(row: Mapping[str, object]) -> dt.date:
    on = row["available_on"]
    assert isinstance(on, dt.date)
    return on


def _carry_out(
    workspace: Workspace, sources: Mapping[str, Source], retention: Retention, today: dt.date
) -> tuple[int, int]:
    """Carry out delivered erasures whose waiting time is over. Who is not known for sure waits for a person."""
    rows = {_number(row): row for row in _delivered(workspace)}
    erased = waiting = 0
    for request in ledger.requests(workspace):
        row = rows.get(request.request_id)
        if request.request_type != "erasure" or request.state != "open" or row is None:
            continue
        if today < _available_on(row) + dt.timedelta(days=retention.requests.erase_after_days):
            continue
        with people.published(workspace) as connection:
            if publish.current(workspace) is None:
                continue
            found = people.customers_of_references(connection, _texts(row))
            subject = people.subject_of(connection, workspace, found) if len(found) == 1 else None
        if subject is None:
            waiting += 1
            why = "nobody is known by its references" if not found else f"{len(found)} customers match"
            if request.reason != why:
                note: dict[str, object] = {"why": why}
                ledger.append(
                    workspace, [(request.request_id, "erasure", "waiting", today, None, request.origin, "rcu", note)]
                )
            continue
        erasure.erase(workspace, sources, subject, request_id=request.request_id, on=today, done_by="rcu run")
        erased += 1
    return erased, waiting


def _marker(workspace: Workspace) -> Path:
    return workspace.registry / "privacy" / "swept.json"


def _last_sweep(workspace: Workspace) -> dt.datetime | None:
    """When files were last searched for the erased; None: never."""
    try:
        return dt.datetime.fromisoformat(json.loads(_marker(workspace).read_text(encoding="ascii"))["before"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError):
        return None  # all is searched again


def _note_sweep(workspace: Workspace, before: dt.datetime) -> None:
    # Files are stamped with the time at which their ingest began, which is before this sweep began: an
    # overlap of an hour searches some twice and misses none.
    marker = _marker(workspace)
    marker.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = marker.with_name(f".{marker.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps({"before": (before - dt.timedelta(hours=1)).isoformat()}), encoding="ascii")
    temporary.replace(marker)

"""Look at a rule before it lives: in words, its size and sample, who would enter and leave.

What belongs here: questions asked of a published database, which is only read. What does not: anything
that a run writes.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from orchestration.contracts.loader import did_you_mean
from orchestration.contracts.segment import CHANNELS, FieldCatalogue, Segment, SegmentSet
from orchestration.errors import UsageError
from orchestration.segments.compiler import Compiled, compile_segments, member_column, segment_sql
from orchestration.segments.evaluation import evaluate
from orchestration.segments.materialise import (
    catalogue_of,
    company_time_zone,
    load_lists,
    size_status,
)
from orchestration.segments.words import explain_condition, explain_segment
from orchestration.warehouse import Connection, literal

_LISTS = "temp.static_lists__"

#: Values of these fields tell who someone is or where they are reached: a sample never shows them.
_HIDDEN = frozenset({
    "customer_id", "household_id", "civility", "first_name", "last_name", "birth_on", "email", "phone",
    "address_line", "postal_code", "custom",
})  # fmt: skip

Pseudonym = Callable[[str], str]


@dataclass(frozen=True)
class Explanation:
    """A segment in plain English, plain French and SQL."""

    segment: str
    english: str
    french: str
    sql: str


@dataclass(frozen=True)
class Overlap:
    """How much of a segment is also in another, as published."""

    segment: str
    both_count: int
    share: float
    jaccard: float


@dataclass(frozen=True)
class Preview:
    """What a segment would be on the published customers. The sample holds pseudonyms, not ids."""

    segment: str
    as_of_on: dt.date
    size: int
    customer_count: int
    status: str
    control_count: int
    reachable: dict[str, int]
    overlaps: tuple[Overlap, ...]
    sample: tuple[dict[str, Any], ...]

    @property
    def rate(self) -> float:
        return self.size / self.customer_count if self.customer_count else 0.0


@dataclass(frozen=True)
class Difference:
    """Who would enter and leave one segment if the definitions given went live today.

    `because`: "rule" where its own rule changed, else the changed segment it depends on, or "new".
    `entering`, `leaving`: a sample, each under a pseudonym, with the values that let them in (had let them in).
    """

    segment: str
    size_before: int
    size_after: int
    entered_count: int
    left_count: int
    because: str
    entering: tuple[dict[str, Any], ...]
    leaving: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Stay:
    """A stay of a customer in a segment; while it goes on, with the values that let them in."""

    segment: str
    entered_on: dt.date
    left_on: dt.date | None
    is_control: bool
    reason: dict[str, Any]


@dataclass(frozen=True)
class Verdict:
    """Whether one condition of a rule holds for one customer, and the values it looked at."""

    english: str
    french: str
    holds: bool
    values: dict[str, Any]


def explain(
    definitions: SegmentSet, name: str, catalogue: FieldCatalogue, *, as_of_on: dt.date, time_zone: str
) -> Explanation:
    """The rule of segment `name` in words and SQL; no data is read."""
    segment = _known(definitions, name)
    sql = segment_sql(definitions, catalogue, name, as_of_on=as_of_on, time_zone=time_zone)
    return Explanation(name, explain_segment(segment, "en"), explain_segment(segment, "fr"), sql)


def preview(
    connection: Connection,
    definitions: SegmentSet,
    segment: Segment | str,
    *,
    pseudonym: Pseudonym,
    as_of_on: dt.date | None = None,
    sample_size: int = 10,
    overlaps: int = 10,
) -> Preview:
    """Evaluate one segment on a published (or build) database, without writing to it.

    `pseudonym` turns a customer id into what may be shown (`protection.Key.token`). Overlaps are with the
    published members of other segments.
    """
    chosen = _known(definitions, segment) if isinstance(segment, str) else segment
    definitions = definitions.replacing(chosen)
    name, column = chosen.segment, member_column(chosen.segment)
    when = as_of_on or published_date(connection)
    load_lists(connection, definitions, into=_LISTS)
    compiled = compile_segments(
        definitions, catalogue_of(connection), as_of_on=when, time_zone=company_time_zone(connection), only={name},
        keep=tuple(f"is_contactable_{channel}" for channel in CHANNELS), lists=_LISTS,
    )  # fmt: skip
    evaluate(connection, compiled)
    control = compiled.controls.get(name, "false")
    counted = ", ".join(
        f"count_if({column} and coalesce({test}, false))"
        for test in ("true", control, *(f"is_contactable_{channel}" for channel in CHANNELS))
    )
    customers, size, controls, *reach = _row(connection, f"select count(*), {counted} from temp.evaluated")
    found = []
    if _published_segments(connection):
        rows = connection.execute(
            f"""
            with sizes as (select segment, count(*) as size from segments.members group by segment),
            together as (
                select members.segment, count(*) as both_count
                from segments.members as members
                inner join temp.evaluated as asked on asked.customer_id = members.customer_id
                where asked.{column} and members.segment <> '{name}'
                group by members.segment
            )
            select together.segment, together.both_count, sizes.size
            from together inner join sizes on sizes.segment = together.segment
            order by together.both_count desc, together.segment
            limit {int(overlaps)}
            """
        ).fetchall()
        found = [Overlap(other, both, both / size, both / (size + theirs - both)) for other, both, theirs in rows]
    rows = connection.execute(
        f"select customer_id, {compiled.reasons[name]} from temp.evaluated where {column} "
        f"order by md5(customer_id), customer_id limit {int(sample_size)}"
    ).fetchall()
    sample = tuple({"customer": pseudonym(who), **_shown(json.loads(reason))} for who, reason in rows)
    connection.execute("drop table temp.evaluated")
    return Preview(
        name, when, size, customers, size_status(size, customers, chosen.expected_rate), controls,
        dict(zip(CHANNELS, reach, strict=True)), tuple(found), sample,
    )  # fmt: skip


def diff(
    connection: Connection,
    definitions: SegmentSet,
    names: set[str] | None = None,
    *,
    pseudonym: Pseudonym,
    as_of_on: dt.date | None = None,
    sample_size: int = 5,
) -> tuple[Difference, ...]:
    """Compare published members with those that `definitions` would give, on the published customers.

    `names`: the segments of interest (by default those whose rule changed or that depend on one that did,
    those that are new, and those that are gone). Segments without a difference in rule and members are left out.
    """
    when = as_of_on or published_date(connection)
    published = dict(connection.execute("select segment, rule_hash from segments.definitions").fetchall())
    known = definitions.by_name
    for name in sorted(names or ()):
        if name not in known and name not in published:
            raise UsageError(f'no segment "{name}"{did_you_mean(name, known)}')
    changed = {name for name in known if published.get(name) != definitions.rule_hash(name)}
    asked = (
        changed
        if names is None
        else {name for name in known if name in names}
        | (
            # What depends on a segment changes with it.
            {name for name in changed if names & {one.segment for one in definitions.ordered({name})}}
        )
    )
    results = []
    compiled: Compiled | None = None
    if asked:
        load_lists(connection, definitions, into=_LISTS)
        compiled = compile_segments(
            definitions, catalogue_of(connection), as_of_on=when, time_zone=company_time_zone(connection), only=asked,
            lists=_LISTS,
        )  # fmt: skip
        evaluate(connection, compiled)
    gone = set(published) - set(known) if names is None else names - set(known)
    for name in sorted(asked | gone):
        after = f"select customer_id from temp.evaluated where {member_column(name)}" if name in known else None
        entering, leaving, before_count, after_count = _moves(connection, name, after)
        results.append(
            Difference(
                segment=name,
                size_before=before_count,
                size_after=after_count,
                entered_count=len(entering),
                left_count=len(leaving),
                because=_because(name, definitions, published, changed),
                entering=_told(
                    connection,
                    entering[:sample_size],
                    pseudonym,
                    f"select customer_id, {compiled.reasons[name]} as reason from temp.evaluated"
                    if compiled is not None and name in compiled.reasons
                    else "",
                ),
                leaving=_told(
                    connection,
                    leaving[:sample_size],
                    pseudonym,
                    f"select customer_id, reason from segments.members where segment = {literal(name)}",
                ),
            )
        )
    connection.execute("drop table if exists temp.evaluated")
    return tuple(one for one in results if one.segment in changed | gone or one.entered_count or one.left_count)


def memberships(connection: Connection, customer_id: str) -> tuple[Stay, ...]:
    """The stays of one customer in the published segments, those that go on first."""
    if connection.execute("select 1 from marts.customer_360 where customer_id = ?", [customer_id]).fetchone() is None:
        raise UsageError(f'no customer "{customer_id}" in the current publication; `rcu explain` finds by record')
    rows = connection.execute(
        "select history.segment, history.entered_on, history.left_on, coalesce(members.is_control, false), members.reason "
        "from segments.history as history left join segments.members as members "
        "on members.segment = history.segment and members.customer_id = history.customer_id and history.left_on is null "
        "where history.customer_id = ? order by history.left_on is not null, history.segment, history.entered_on",
        [customer_id],
    ).fetchall()
    return tuple(
        Stay(segment, entered_on, left_on, is_control, json.loads(reason or "{}"))
        for segment, entered_on, left_on, is_control, reason in rows
    )


def judge(connection: Connection, definitions: SegmentSet, name: str, customer_id: str) -> tuple[Verdict, ...]:
    """Condition by condition: does it hold for this customer, as published? What a segment asks beside its rule follows."""
    segment = _known(definitions, name)
    where = segment.where.all or (segment.where,)
    asked = [
        Segment(segment=f"condition_{number}__", label=segment.label, objective="-", where=one, include_suppressed=True)
        for number, one in enumerate(where)
    ]
    together = definitions
    for one in (*asked, segment):
        together = together.replacing(one)
    load_lists(connection, together, into=_LISTS)
    compiled = compile_segments(
        together, catalogue_of(connection), as_of_on=published_date(connection), lists=_LISTS,
        time_zone=company_time_zone(connection), only={name, *(one.segment for one in asked)},
    )  # fmt: skip
    evaluate(connection, compiled)
    columns = [f"{member_column(one.segment)}, {compiled.reasons[one.segment]}" for one in asked]
    found = connection.execute(
        f"select {member_column(name)}, coalesce(is_suppressed, false), {', '.join(columns)} "
        "from temp.evaluated where customer_id = ?",
        [customer_id],
    ).fetchone()
    connection.execute("drop table temp.evaluated")
    if found is None:
        raise UsageError(f'no customer "{customer_id}" in the current publication; `rcu explain` finds by record')
    is_in, is_suppressed, *told = found
    verdicts = [
        Verdict(explain_condition(one.where, "en"), explain_condition(one.where, "fr"), bool(holds), json.loads(values))
        for one, holds, values in zip(asked, told[::2], told[1::2], strict=True)
    ]
    if is_suppressed and not segment.include_suppressed:
        verdicts.append(Verdict("the customer is not suppressed", "le client n'est pas en opposition", False, {}))
    elif not is_in and all(one.holds for one in verdicts):
        group = segment.exclusive_group
        verdicts.append(Verdict(
            f'no earlier segment of the group "{group}" holds', f"aucun segment prioritaire du groupe « {group} »", False, {}
        ))  # fmt: skip
    return tuple(verdicts)


def published_date(connection: Connection) -> dt.date:
    """The as-of date of the segments that a database holds."""
    if not _published_segments(connection):
        raise UsageError("this database holds no segments yet; run `rcu run` first, or give a date with --as-of")
    return _row(connection, "select as_of_on from segments.evaluation")[0]  # type: ignore[no-any-return]


def _published_segments(connection: Connection) -> bool:
    return bool(
        connection.execute(
            "select 1 from information_schema.tables where table_schema = 'segments' and table_name = 'evaluation' "
            "and table_catalog = current_database()"
        ).fetchone()
    )


def _moves(connection: Connection, name: str, after: str | None) -> tuple[list[str], list[str], int, int]:
    after = after or "select customer_id from segments.members where false"
    before = f"select customer_id from segments.members where segment = {literal(name)}"

    def listed(query: str) -> list[str]:
        rows = connection.execute(
            f"select customer_id from ({query}) order by md5(customer_id), customer_id"
        ).fetchall()
        return [row[0] for row in rows]

    return (
        listed(f"({after}) except ({before})"),
        listed(f"({before}) except ({after})"),
        _row(connection, f"select count(*) from ({before})")[0],
        _row(connection, f"select count(*) from ({after})")[0],
    )


def _told(connection: Connection, ids: list[str], pseudonym: Pseudonym, reasons: str) -> tuple[dict[str, Any], ...]:
    """Customers under their pseudonyms, with the reasons that a select of (customer_id, reason) has for them."""
    known: dict[str, str] = {}
    if ids and reasons:
        known = dict(
            connection.execute(f"select * from ({reasons}) where list_contains(?, customer_id)", [ids]).fetchall()
        )
    return tuple({"customer": pseudonym(who), **_shown(json.loads(known.get(who, "{}")))} for who in ids)


def _because(name: str, definitions: SegmentSet, published: dict[str, str], changed: set[str]) -> str:
    if name not in definitions.by_name:
        return "gone"
    if name not in published:
        return "new"
    others = [one.segment for one in definitions.ordered({name}) if one.segment != name and one.segment in changed]
    return others[0] if others else "rule" if name in changed else "data"


def _shown(reason: dict[str, Any]) -> dict[str, Any]:
    return {key: "(hidden)" if key in _HIDDEN or key.startswith("custom ") else value for key, value in reason.items()}


def _known(definitions: SegmentSet, name: str) -> Segment:
    segment = definitions.by_name.get(name)
    if segment is None:
        raise UsageError(f'no segment "{name}"{did_you_mean(name, definitions.by_name)}')
    return segment


def _row(connection: Connection, query: str) -> tuple[Any, ...]:
    row = connection.execute(query).fetchone()
    assert row is not None
    return row

"""Evaluate the segments of a run and keep their life: members, entries and exits, sizes, overlap.

What belongs here: the tables of schema `segments` and the registry tables `segment_changes` and
`segment_sizes`. What does not: what a rule means (`compiler`), triggers (`triggers`).

Time. The registry holds one row per entry and exit, stamped by the run that saw it. A run for D reads the
rows up to D, since an earlier run may have covered part of the date; a backfill of D reads those before D
and works the date out again, so that its tables are those of the daily run, and appends nothing. A customer who enters and leaves
within the runs of one date leaves no trace in the history, and one who leaves and comes back within them
never left: a date has one answer, however many runs it took.
"""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import time
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from orchestration import registry
from orchestration.contracts.loader import did_you_mean
from orchestration.contracts.segment import (
    CHANNELS,
    LIST_KEYS,
    FieldCatalogue,
    SegmentSet,
    check_condition,
    field_type,
)
from orchestration.errors import DeclarationError, UsageError
from orchestration.registry import RegistryTable
from orchestration.segments import stays
from orchestration.segments.compiler import STATIC_LISTS, compile_segments, member_column, segment_sql
from orchestration.segments.evaluation import Evaluated, evaluated_of
from orchestration.segments.words import explain_segment
from orchestration.settings import Workspace
from orchestration.warehouse import Connection, literal

SEGMENT_CHANGES = RegistryTable(
    "segment_changes",
    {
        "segment": "varchar",
        "customer_id": "varchar",
        "change": "varchar",  # entered or left
        "entered_on": "date",  # of the stay that begins or ends
        "cause": "varchar",  # first, data, rule, merged or retired
    },
)
SEGMENT_SIZES = RegistryTable(
    "segment_sizes",
    {
        "segment": "varchar",
        "rule_hash": "varchar",
        "size": "bigint",
        "customer_count": "bigint",
        "control_count": "bigint",
        "reachable_email_count": "bigint",
        "reachable_sms_count": "bigint",
        "reachable_phone_count": "bigint",
        "reachable_post_count": "bigint",
        "entered_count": "bigint",
        "left_count": "bigint",
    },
)


@dataclass(frozen=True)
class SegmentSize:
    """The size of one segment at one date; counts of customers.

    `status`: ok, below or above (of its expected rate), empty, universal (everyone), unchecked (no rate declared).
    """

    segment: str
    size: int
    rate: float
    previous_size: int | None
    customer_count: int
    control_count: int
    reachable_email_count: int
    reachable_sms_count: int
    reachable_phone_count: int
    reachable_post_count: int
    entered_count: int
    left_count: int
    status: str

    @property
    def is_as_expected(self) -> bool:
        return self.status in ("ok", "unchecked")


@dataclass(frozen=True)
class SegmentsReport:
    """What a run's segments came to: counts only."""

    as_of_on: dt.date
    customer_count: int
    member_count: int
    staged_changes: int
    sizes: tuple[SegmentSize, ...]
    unknown_list_rows: int
    seconds: dict[str, float]
    processor_seconds: dict[str, float]

    def of_segment(self, segment: str) -> SegmentSize:
        return next(size for size in self.sizes if size.segment == segment)


def catalogue_of(connection: Connection) -> FieldCatalogue:
    """The fields that `marts.customer_360` really has."""
    found = connection.execute(
        "select column_name, data_type from information_schema.columns "
        "where table_schema = 'marts' and table_name = 'customer_360' and table_catalog = current_database()"
    ).fetchall()
    return FieldCatalogue({name: field_type(name, kind) for name, kind in found})


def company_time_zone(connection: Connection) -> str:
    """The time zone of as-of dates."""
    if not has_table(connection, "control", "company"):
        return "Europe/Paris"
    row = connection.execute("select time_zone from control.company").fetchone()
    return str(row[0]) if row else "Europe/Paris"


def materialise(
    connection: Connection,
    workspace: Workspace,
    definitions: SegmentSet,
    *,
    as_of_on: dt.date,
    version: str,
    run_id: str,
    is_forward: bool,
    only: set[str] | None = None,
) -> SegmentsReport:
    """Evaluate `only` (all by default) and write the tables of schema `segments` for them.

    Tables written by the same run for other segments are kept; older ones go. Raises DeclarationError
    where a rule names a field that customer_360 does not have, UsageError for an unknown segment.
    """
    clock = _Clock()
    known = definitions.by_name
    for name in sorted(only or ()):
        if name not in known:
            raise UsageError(f'no segment "{name}"{did_you_mean(name, known)}')
    chosen = sorted(known if only is None else only)
    catalogue, time_zone = catalogue_of(connection), company_time_zone(connection)
    _refuse_missing_fields(definitions, catalogue)

    _begin(connection, None if only is None else chosen, as_of_on=as_of_on, version=version, run_id=run_id)
    unknown_list_rows = load_lists(connection, definitions)
    reach = tuple(f"is_contactable_{channel}" for channel in CHANNELS)
    compiled = compile_segments(
        definitions, catalogue, as_of_on=as_of_on, time_zone=time_zone, only=set(chosen), keep=reach, is_set=True
    )
    clock.lap("prepare")
    evaluated = evaluated_of(connection, compiled)
    clock.lap("evaluate")

    known_until_on = as_of_on if is_forward else as_of_on - dt.timedelta(days=1)
    previous = _previous_sizes(connection, workspace, known_until_on)
    hashes = {name: definitions.rule_hash(name) for name in chosen}
    known_changes = registry.rows(workspace, SEGMENT_CHANGES, as_of_on=known_until_on)
    stays.read_stays(connection, known_changes, _merged(connection), as_of_on, None if only is None else chosen)
    clock.lap("read_registry")
    causes = {name: _cause(hashes[name], previous.get(name)) for name in chosen}
    moves = stays.write(connection, evaluated, compiled, chosen, causes, as_of_on, is_whole=only is None)
    _write_movements(connection)
    clock.lap("members")
    sizes = _write_sizes(connection, workspace, definitions, evaluated, moves, hashes, previous, as_of_on)
    clock.lap("sizes")
    _write_definitions(connection, definitions, chosen, hashes, catalogue, as_of_on, time_zone)
    clock.lap("definitions")
    for table in ("stays__", "inherited__"):
        connection.execute(f"drop table if exists temp.{table}")

    staged = 0
    if is_forward:
        # Staging replaces within a version, so a partial run stages what the whole version has so far.
        staged = registry.stage(
            workspace,
            SEGMENT_CHANGES,
            connection,
            f"select {_columns(SEGMENT_CHANGES)} from segments.changes",
            as_of_on=as_of_on,
            version=version,
            run_id=run_id,
        )
        registry.stage(
            workspace,
            SEGMENT_SIZES,
            connection,
            f"select {_columns(SEGMENT_SIZES)} from segments.sizes where as_of_on = date '{as_of_on}'",
            as_of_on=as_of_on,
            version=version,
            run_id=run_id,
        )
    clock.lap("stage")
    members = connection.execute("select count(*) from segments.members").fetchone()
    return SegmentsReport(
        as_of_on=as_of_on,
        customer_count=evaluated.count,
        member_count=int(members[0]) if members else 0,
        staged_changes=staged,
        sizes=sizes,
        unknown_list_rows=unknown_list_rows,
        seconds=clock.laps,
        processor_seconds=clock.processor,
    )


def _columns(table: RegistryTable) -> str:
    return ", ".join(table.columns)


class _Clock:
    """Seconds of each step: on the wall, and of all processors together."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self.processor: dict[str, float] = {}
        self._last = (time.perf_counter(), time.process_time())

    def lap(self, name: str) -> None:
        now = (time.perf_counter(), time.process_time())
        self.laps[name] = round(now[0] - self._last[0], 3)
        self.processor[name] = round(now[1] - self._last[1], 3)
        self._last = now


def _refuse_missing_fields(definitions: SegmentSet, catalogue: FieldCatalogue) -> None:
    names = set(definitions.by_name)
    problems = [
        f"{segment.segment}.yml: {message}"
        for segment in definitions
        for _, message in check_condition(segment.where, catalogue, names, definitions.lists, ("where",))
    ]
    if problems:
        raise DeclarationError("\n".join(problems))


#: Working out how to compress millions of texts costs more than the rules; the publication compresses them once.
_AS_IT_IS = "using compression uncompressed"

_TABLES = {
    "definitions": "segment varchar, version integer, rule_hash varchar, label_en varchar, label_fr varchar, "
    "objective varchar, rule_en varchar, rule_fr varchar, sql varchar, owner varchar, tags varchar, priority integer, "
    "exclusive_group varchar, control_group double, expected_low_rate double, expected_high_rate double, "
    "includes_suppressed boolean, declaration varchar",
    "members": f"segment varchar {_AS_IT_IS}, customer_id varchar {_AS_IT_IS}, entered_on date, is_control boolean, "
    f"reason varchar {_AS_IT_IS}",
    "changes": f"segment varchar {_AS_IT_IS}, customer_id varchar {_AS_IT_IS}, change varchar {_AS_IT_IS}, entered_on date, "
    f"cause varchar {_AS_IT_IS}",
    "history": f"segment varchar {_AS_IT_IS}, customer_id varchar {_AS_IT_IS}, entered_on date, left_on date",
    "sizes": "segment varchar, as_of_on date, rule_hash varchar, size bigint, rate double, previous_size bigint, "
    "customer_count bigint, control_count bigint, reachable_email_count bigint, reachable_sms_count bigint, "
    "reachable_phone_count bigint, reachable_post_count bigint, entered_count bigint, left_count bigint, "
    "status varchar",
    "overlap": "left_segment varchar, right_segment varchar, both_count bigint, jaccard double",
    "movements": "from_segment varchar, to_segment varchar, customer_count bigint",
}


def _begin(connection: Connection, chosen: list[str] | None, *, as_of_on: dt.date, version: str, run_id: str) -> None:
    """Empty tables, or, where this very run already wrote some segments, tables without the chosen ones."""
    connection.execute("create schema if not exists segments")
    stamp = (as_of_on, version, run_id)
    is_same_run = False
    if chosen is not None and has_table(connection, "segments", "evaluation"):
        is_same_run = (
            connection.execute("select as_of_on, version, run_id from segments.evaluation").fetchone() == stamp
        )
    if chosen is None or not is_same_run:
        for name, columns in _TABLES.items():
            connection.execute(f"create or replace table segments.{name} ({columns})")
        connection.execute(
            "create or replace table segments.evaluation (as_of_on date, version varchar, run_id varchar)"
        )
        connection.execute("insert into segments.evaluation values (?, ?, ?)", list(stamp))
        return
    names = _listing(chosen)
    for name in ("definitions", "members", "changes", "history", "sizes"):
        connection.execute(f"delete from segments.{name} where segment in ({names})")
    connection.execute(f"delete from segments.overlap where left_segment in ({names}) or right_segment in ({names})")


def _listing(names: list[str]) -> str:
    return ", ".join(literal(name) for name in names) or "''"


def has_table(connection: Connection, schema: str, table: str) -> bool:
    """Asked by naming it: in a published file, schema `rcu` is the file's main schema under another name."""
    try:
        connection.execute(f"select 1 from {schema}.{table} limit 0")
    except duckdb.CatalogException:
        return False
    return True


# ---------------------------------------------------------------------------------------------------
# Static lists


def load_lists(connection: Connection, definitions: SegmentSet, *, into: str = STATIC_LISTS) -> int:
    """Write the customers of every static list; the file is the list, whole. Returns the rows that name nobody.

    A row names a customer by the first filled one of `LIST_KEYS`: ids that have since merged follow.
    """
    used = sorted(
        {condition.in_list for segment in definitions for condition in segment.where.walk() if condition.in_list}
    )
    rows = [row for name in used for row in _list_rows(name, definitions.lists[name])]
    connection.register("list_rows__", pa.table(
        {
            "list_name": pa.array([row[0] for row in rows], pa.string()),
            "key": pa.array([row[1] for row in rows], pa.string()),
            "value": pa.array([row[2] for row in rows], pa.string()),
        }
    ))  # fmt: skip
    by_id = "select distinct value as named, value as customer_id from list_rows__ where key = 'customer_id'"
    if has_table(connection, "identity", "current_ids"):
        by_id = "select customer_id as named, current_customer_id as customer_id from identity.current_ids"
    nothing = "cast(null as varchar)"
    by_value = f"select {nothing} as type, {nothing} as value, {nothing} as customer_id where false"
    if has_table(connection, "rcu", "identifiers"):
        by_value = "select type, value, customer_id from rcu.identifiers where not is_shared"
    kind = "temp table" if into.startswith("temp.") else "table"
    connection.execute(
        f"""
        create or replace {kind} {into} as
        with named as (
            select list_rows__.list_name, ids.customer_id
            from list_rows__ inner join ({by_id}) as ids on ids.named = list_rows__.value
            where list_rows__.key = 'customer_id'
            union
            select list_rows__.list_name, identifiers.customer_id
            from list_rows__ inner join ({by_value}) as identifiers
                on identifiers.type = list_rows__.key and identifiers.value = list_rows__.value
        )
        select named.list_name, named.customer_id
        from named
        inner join marts.customer_360 as customers on customers.customer_id = named.customer_id
        order by named.list_name, named.customer_id
        """
    )
    found = connection.execute(f"select count(*) from {into}").fetchone()
    connection.unregister("list_rows__")
    return max(0, len(rows) - (int(found[0]) if found else 0))


def _list_rows(name: str, path: Path) -> list[tuple[str, str, str]]:
    rows = set()
    with path.open(encoding="utf-8-sig", newline="") as handle:
        for row in csv.DictReader(handle):
            for key in LIST_KEYS:
                value = (row.get(key) or "").strip()
                if value:
                    rows.add((name, key, value.lower() if key == "email" else value))
                    break
    return sorted(rows)


# ---------------------------------------------------------------------------------------------------
# Moves


def _merged(connection: Connection) -> str:
    """A select of the ids that became part of another."""
    if not has_table(connection, "identity", "current_ids"):
        return "select cast(null as varchar) as customer_id, cast(null as varchar) as current_customer_id where false"
    return (
        "select customer_id, current_customer_id from identity.current_ids "
        "where current_customer_id is not null and current_customer_id <> customer_id"
    )


def _write_movements(connection: Connection) -> None:
    """segments.movements: who left one segment and entered another in this run, by what they did.

    Whole each time: a run over some segments has its share in the moves of the others.
    """
    connection.execute(
        """
        create or replace table segments.movements as
        select gone.segment as from_segment, come.segment as to_segment,
            count(distinct gone.customer_id) as customer_count
        from segments.changes as gone
        inner join segments.changes as come on come.customer_id = gone.customer_id
        where gone.change = 'left' and gone.cause = 'data' and come.change = 'entered' and come.cause = 'data'
        group by gone.segment, come.segment
        order by gone.segment, come.segment
        """
    )


def _cause(rule_hash: str, previous: tuple[str, int] | None) -> str:
    if previous is None:
        return "first"
    return "data" if previous[0] == rule_hash else "rule"


# ---------------------------------------------------------------------------------------------------
# Sizes and overlap


def _previous_sizes(
    connection: Connection, workspace: Workspace, known_until_on: dt.date
) -> dict[str, tuple[str, int]]:
    """Rule hash and size of each segment at the last run before this one."""
    found = connection.execute(
        f"select segment, max_by(rule_hash, version), max_by(size, version) "
        f"from ({registry.rows(workspace, SEGMENT_SIZES, as_of_on=known_until_on)}) group by segment"
    ).fetchall()
    return {segment: (rule_hash, size) for segment, rule_hash, size in found}


def _write_sizes(
    connection: Connection, workspace: Workspace, definitions: SegmentSet, evaluated: Evaluated, moves: stays.Moves,
    hashes: dict[str, str], previous: dict[str, tuple[str, int]], as_of_on: dt.date,
) -> tuple[SegmentSize, ...]:  # fmt: skip
    """segments.sizes (this date and those before) and segments.overlap."""
    known, chosen, customers = definitions.by_name, sorted(hashes), evaluated.count
    columns = [member_column(name) for name in chosen] + [f"is_contactable_{channel}" for channel in CHANNELS]
    counts = evaluated.crossed(columns)
    place = {column: index for index, column in enumerate(columns)}
    sizes = []
    for name in chosen:
        here = place[member_column(name)]
        size = int(counts[here, here])
        reachable = {
            f"reachable_{channel}_count": int(counts[here, place[f"is_contactable_{channel}"]]) for channel in CHANNELS
        }
        sizes.append(
            SegmentSize(
                segment=name,
                size=size,
                rate=size / customers if customers else 0.0,
                previous_size=previous[name][1] if name in previous else None,
                customer_count=customers,
                control_count=moves.controls.get(name, 0),
                entered_count=moves.entered.get(name, 0),
                left_count=moves.left.get(name, 0),
                status=size_status(size, customers, known[name].expected_rate),
                **reachable,
            )
        )
    if sizes:
        told = [{"rule_hash": hashes[one.segment], **dataclasses.asdict(one)} for one in sizes]
        connection.register("sizes__", pa.Table.from_pylist(told))
        names = ", ".join(told[0])
        connection.execute(
            f"insert into segments.sizes (as_of_on, {names}) select date '{as_of_on}', {names} from sizes__"
        )
        connection.unregister("sizes__")
    _write_past_sizes(connection, workspace, chosen, as_of_on)
    _write_overlap(connection, chosen, counts)
    return tuple(sizes)


def size_status(size: int, customers: int, expected: tuple[float, float] | None) -> str:
    """ok, below, above, empty, universal or unchecked."""
    if size == 0 and (expected is None or expected[0] > 0 or customers == 0):
        return "empty"
    if size == customers:
        return "universal" if expected is None or expected[1] < 1 else "ok"
    if expected is None:
        return "unchecked"
    rate = size / customers
    return "below" if rate < expected[0] else "above" if rate > expected[1] else "ok"


def _write_past_sizes(connection: Connection, workspace: Workspace, chosen: list[str], as_of_on: dt.date) -> None:
    names = _columns(SEGMENT_SIZES)
    connection.execute(
        f"""
        insert into segments.sizes (as_of_on, rate, previous_size, status, {names})
        with past as (
            select *, row_number() over (partition by segment, as_of_on order by version desc) as recency
            from ({registry.rows(workspace, SEGMENT_SIZES, as_of_on=as_of_on - dt.timedelta(days=1))})
            where segment in ({_listing(chosen)})
        )
        select as_of_on, size / nullif(customer_count, 0),
            lag(size) over (partition by segment order by as_of_on), 'past', {names}
        from past
        where recency = 1
        """
    )


def _write_overlap(connection: Connection, chosen: list[str], counts: np.ndarray) -> None:
    """segments.overlap: one row per pair of segments, names in order."""
    kept = chosen  # sorted
    left, right, both, jaccard = [], [], [], []
    for i, first in enumerate(kept):
        for j in range(i + 1, len(kept)):
            together = int(counts[i, j])
            either = int(counts[i, i] + counts[j, j]) - together
            left.append(first)
            right.append(kept[j])
            both.append(together)
            jaccard.append(together / either if either else 0.0)
    if left:
        table = pa.table({"left_segment": left, "right_segment": right, "both_count": both, "jaccard": jaccard})
        connection.register("overlap__", table)
        connection.execute(
            "insert into segments.overlap select left_segment, right_segment, both_count, jaccard from overlap__"
        )
        connection.unregister("overlap__")


def _write_definitions(
    connection: Connection, definitions: SegmentSet, chosen: list[str], hashes: dict[str, str],
    catalogue: FieldCatalogue, as_of_on: dt.date, time_zone: str,
) -> None:  # fmt: skip
    """segments.definitions: one row per segment, with the rule in words and in SQL."""
    rows = []
    for name in chosen:
        segment = definitions.by_name[name]
        low, high = segment.expected_rate or (None, None)
        rows.append({
            "segment": name, "version": segment.version, "rule_hash": hashes[name],
            "label_en": segment.label.en, "label_fr": segment.label.fr, "objective": segment.objective,
            "rule_en": explain_segment(segment, "en"), "rule_fr": explain_segment(segment, "fr"),
            "sql": segment_sql(definitions, catalogue, name, as_of_on=as_of_on, time_zone=time_zone),
            "owner": segment.owner, "tags": ",".join(sorted(segment.tags)), "priority": segment.priority,
            "exclusive_group": segment.exclusive_group, "control_group": segment.control_group,
            "expected_low_rate": low, "expected_high_rate": high, "includes_suppressed": segment.include_suppressed,
            "declaration": segment.model_dump_json(by_alias=True, exclude_none=True),
        })  # fmt: skip
    if rows:
        connection.register("definitions__", pa.Table.from_pylist(rows))
        names = ", ".join(rows[0])
        connection.execute(f"insert into segments.definitions ({names}) select {names} from definitions__")
        connection.unregister("definitions__")

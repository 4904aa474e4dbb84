"""From landing files to the landing tables of a build: what was known on a day, one row per key or version.

What belongs here: which deliveries count, last versions of facts, history and deletions of what lasts, the
records that changed since the build's previous state, and the audit of deliveries. What does not: cleaning
values (staging), judging them (gates).
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import duckdb
import pyarrow as pa

from orchestration.contracts import source as source_contract
from orchestration.contracts.entities import CUSTOMER, ENTITIES, Entity
from orchestration.contracts.source import Source
from orchestration.errors import SourceError
from orchestration.ingest import manifest
from orchestration.ingest.erase import ERASED_ROWS
from orchestration.ingest.landing import landing_file, quarantine_file, write_empty_files
from orchestration.ingest.landing_tables import Written, write_tables
from orchestration.ingest.manifest import FileRecord
from orchestration.settings import Workspace
from orchestration.warehouse import Connection, literal, quote


@dataclass(frozen=True)
class AssembleReport:
    """What the landing tables hold: counts, and what a gate has to know."""

    as_of_on: dt.date
    batches: int
    rows: dict[str, int] = field(default_factory=dict)
    touched_records: int = 0
    late_sources: tuple[str, ...] = ()
    missing_required: tuple[str, ...] = ()
    unbalanced: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def assemble(
    connection: Connection, workspace: Workspace, sources: Mapping[str, Source], *, as_of_on: dt.date
) -> AssembleReport:
    """Fill `control.sources`, `control.batches`, `landing.*`, `control.touched_records` and `audit.*` in a build.

    A pure function of landing, manifest and declarations up to `as_of_on`, but for `touched_records`, which
    compares with the `landing.customers` that the build held before. Deliveries of a source that is no longer
    declared are left out.
    """
    write_empty_files(workspace)
    known = [r for r in manifest.read(connection, workspace) if r.available_on <= as_of_on]
    counting = [r for r in manifest.effective(known, as_of_on) if r.source in sources]
    _check_files(workspace, counting)
    connection.execute("begin")
    try:
        for schema in ("control", "landing", "audit"):
            connection.execute(f"create schema if not exists {schema}")
        for name, table in source_contract.tables(dict(sources)).items():
            _write(connection, f"control.{name}", table)
        _write_batches(connection, counting)
        before = _remember_customers(connection)
        _remember_quarantined_keys(connection, workspace, counting)
        written = write_tables(connection, workspace, known, counting)
        touched = _write_touched(connection, has_before=before)
        _write_files(connection, known, counting)
        _write_quarantine(connection, workspace, known)
        _write_landing_counts(connection, workspace, counting)
        _write_profile(connection, written)
        late, missing = _write_freshness(connection, known, sources, as_of_on)
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise
    unbalanced = tuple(sorted(f"{r.source}: {r.file_name}" for r in known if not r.adds_up))
    left_out = tuple(sorted({r.source for r in known if r.source and r.source not in sources}))
    rows = {ENTITIES[name].plural: told.rows for name, told in written.items()}
    return AssembleReport(as_of_on, len(counting), rows, touched, late, missing, unbalanced, left_out)


def _check_files(workspace: Workspace, counting: list[FileRecord]) -> None:
    for record in counting:
        for name, rows in (record.entity_rows or {}).items():
            path = landing_file(workspace, ENTITIES[name], record)
            if rows and not path.exists():
                raise SourceError(
                    f"{path}: this landing file is missing, though the manifest counts {rows} rows in it; restore it "
                    f"from a backup, or put the original ({record.stored_as}) back into the inbox under the same name"
                )


def _write(connection: Connection, table: str, rows: pa.Table) -> None:
    connection.register("rows_to_write", rows)
    connection.execute(f"create or replace table {table} as select * from rows_to_write")
    connection.unregister("rows_to_write")


_BATCHES = pa.schema(
    [
        ("source", pa.string()), ("batch_id", pa.string()), ("file_name", pa.string()), ("part", pa.string()),
        ("business_on", pa.date32()), ("available_on", pa.date32()), ("received_on", pa.date32()),
        ("delivery", pa.string()), ("rows", pa.int64()), ("batch_order", pa.int32()),
    ]
)  # fmt: skip


def _write_batches(connection: Connection, counting: list[FileRecord]) -> None:
    """One row per delivery that counts; `batch_order` is its place among those of its source."""
    places: dict[str, int] = {}
    told = []
    for record in counting:
        places[record.source] = places.get(record.source, 0) + 1
        told.append(
            {
                "source": record.source, "batch_id": record.batch_id, "file_name": record.file_name,
                "part": record.part, "business_on": record.business_on, "available_on": record.available_on,
                "received_on": record.received_on, "delivery": record.delivery, "rows": record.rows_landed,
                "batch_order": places[record.source],
            }
        )  # fmt: skip
    _write(connection, "control.batches", pa.Table.from_pylist(told, schema=_BATCHES))


# --- landing tables ----------------------------------------------------------------------------


def _remember_quarantined_keys(connection: Connection, workspace: Workspace, counting: list[FileRecord]) -> None:
    """Records whose row in a full delivery could not be read: they came, so they are not deleted."""
    places = {quarantine_file(workspace, r.source, r.batch_id) for r in counting if r.rows_quarantined}
    files = sorted(str(path) for path in places if path.exists())
    rows = "select cast(null as varchar) as source, cast(null as varchar) as batch_id, cast(null as varchar) as row_key"
    rows += " where false"
    if files:
        listing = ", ".join(map(literal, files))
        rows = f"select source, batch_id, row_key from read_parquet([{listing}], hive_partitioning = false)"
    connection.execute(
        "create or replace temp table quarantined_keys as "
        f"select distinct source, batch_id, row_key from ({rows}) where row_key is not null"
    )


#: What makes a record touched. `last_seen_on` does not: a delivery that repeats a record changes nothing in it.
_CONTENT = ("source", "row_key", "row_hash", "valid_from_on", "is_current", "is_deleted", "first_seen_on")


def _remember_customers(connection: Connection) -> bool:
    """Keep what tells of changes from the customers that the build holds; False: it holds none."""
    connection.execute("drop table if exists temp.customers_before")
    columns = ", ".join(_CONTENT)
    try:
        connection.execute(f"create temp table customers_before as select {columns} from {CUSTOMER.table}")
    except (duckdb.CatalogException, duckdb.BinderException):
        return False
    return True


def _write_touched(connection: Connection, *, has_before: bool) -> int:
    columns = ", ".join(_CONTENT)
    now = f"select {columns} from {CUSTOMER.table}"
    if has_before:
        before = f"select {columns} from customers_before"
        changed = f"(({now}) except ({before})) union all (({before}) except ({now}))"
    else:
        changed = now
    connection.execute(
        "create or replace table control.touched_records as "
        f"select distinct source, row_key as record_id from ({changed}) order by source, record_id"
    )
    connection.execute("drop table if exists temp.customers_before")
    row = connection.execute("select count(*) from control.touched_records").fetchone()
    return int(row[0]) if row else 0


# --- audit -------------------------------------------------------------------------------------

_FILES = pa.schema(
    [
        ("source", pa.string()), ("batch_id", pa.string()), ("file_name", pa.string()), ("part", pa.string()),
        ("sha256", pa.string()), ("size", pa.int64()), ("rows_read", pa.int64()), ("rows_landed", pa.int64()),
        ("rows_quarantined", pa.int64()), ("rows_filtered", pa.int64()), ("rows_difference", pa.int64()),
        ("entity_rows", pa.string()), ("columns", pa.string()), ("encoding", pa.string()), ("delimiter", pa.string()),
        ("delivery", pa.string()), ("business_on", pa.date32()), ("received_on", pa.date32()),
        ("available_on", pa.date32()), ("status", pa.string()), ("message", pa.string()), ("warnings", pa.string()),
        ("stored_as", pa.string()), ("ingested_at", pa.timestamp("us")), ("run_id", pa.string()),
        ("is_effective", pa.bool_()), ("is_open", pa.bool_()),
    ]
)  # fmt: skip


def _write_files(connection: Connection, known: list[FileRecord], counting: list[FileRecord]) -> None:
    """`audit.files`: one row per delivery known on the day; `rows_difference` is zero when its rows add up."""
    effective = {(r.source, r.batch_id) for r in counting}
    unmended = manifest.still_open(known)
    told = []
    for place, r in enumerate(known):
        row = {name: getattr(r, name) for name in _FILES.names if hasattr(r, name)}
        row["rows_difference"] = r.rows_read - r.rows_landed - r.rows_quarantined - r.rows_filtered
        row["entity_rows"] = json.dumps(r.entity_rows or {}, sort_keys=True)
        row["columns"] = json.dumps(r.columns, ensure_ascii=False)
        row["warnings"] = json.dumps(r.warnings, ensure_ascii=False)
        row["is_effective"] = r.status == "landed" and (r.source, r.batch_id) in effective
        row["is_open"] = place in unmended
        told.append(row)
    _write(connection, "audit.files", pa.Table.from_pylist(told, schema=_FILES))


def _write_quarantine(connection: Connection, workspace: Workspace, known: list[FileRecord]) -> None:
    """`audit.quarantine`: one row per refused row, without its text."""
    places = {quarantine_file(workspace, r.source, r.batch_id) for r in known if r.rows_quarantined}
    files = sorted(str(path) for path in places if path.exists())
    columns = "source, batch_id, file_name, line_number, column_name, rule, reason"
    if files:
        query = f"select {columns} from read_parquet([{', '.join(map(literal, files))}], hive_partitioning = false)"
        query += " order by source, file_name, batch_id, line_number, column_name, rule"
    else:
        types = {name: "bigint" if name == "line_number" else "varchar" for name in columns.split(", ")}
        query = (
            "select " + ", ".join(f"cast(null as {kind}) as {name}" for name, kind in types.items()) + " where false"
        )
    connection.execute(f"create or replace table audit.quarantine as {query}")


def _write_landing_counts(connection: Connection, workspace: Workspace, counting: list[FileRecord]) -> None:
    """`audit.landing_counts`: rows that the manifest declares and rows found in each landing file."""
    told = {"source": [], "batch_id": [], "entity": [], "path": [], "rows_declared": []}  # type: dict[str, list[object]]
    for record in counting:
        for name, rows in sorted((record.entity_rows or {}).items()):
            path = landing_file(workspace, ENTITIES[name], record)
            told["source"].append(record.source)
            told["batch_id"].append(record.batch_id)
            told["entity"].append(name)
            told["path"].append(str(path) if path.exists() else "")
            told["rows_declared"].append(rows)
    schema = pa.schema(
        [
            ("source", pa.string()), ("batch_id", pa.string()), ("entity", pa.string()), ("path", pa.string()),
            ("rows_declared", pa.int64()),
        ]
    )  # fmt: skip
    connection.register("declared_counts", pa.Table.from_pydict(told, schema=schema))
    paths = sorted({str(path) for path in told["path"] if path})
    found = "select '' as path, cast(0 as bigint) as rows_found where false"
    if paths:
        listing = ", ".join(map(literal, paths))
        # What an erasure took out was found once: the file itself tells how many rows that is.
        found = (
            "select told.file_name as path, told.num_rows + coalesce(erased.rows, 0) as rows_found "
            f"from parquet_file_metadata([{listing}]) as told left join ("
            "select file_name, cast(decode(value) as bigint) as rows "
            f"from parquet_kv_metadata([{listing}]) where decode(key) = {literal(ERASED_ROWS)}"
            ") as erased on told.file_name = erased.file_name"
        )
    connection.execute(
        "create or replace table audit.landing_counts as "
        "select declared.source, declared.batch_id, declared.entity, declared.rows_declared, "
        "cast(coalesce(found.rows_found, 0) as bigint) as rows_found "
        f"from declared_counts as declared left join ({found}) as found on declared.path = found.path "
        "order by declared.source, declared.batch_id, declared.entity"
    )
    connection.unregister("declared_counts")


def _write_profile(connection: Connection, written: Mapping[str, Written]) -> None:
    """`audit.source_profile`: per source, entity and column: rows, share filled, distinct values (approximate)."""
    connection.execute(
        "create table if not exists audit.source_profile "
        "(source varchar, entity varchar, column_name varchar, rows bigint, filled_rate double, distinct_count bigint)"
    )
    for name, told in written.items():
        if told.is_changed:
            _profile(connection, ENTITIES[name], None if told.is_whole else told.sources)


def _profile(connection: Connection, entity: Entity, sources: Collection[str] | None) -> None:
    """Measure an entity's columns in `sources` (None: in all of them) anew."""
    among = "true"
    if sources is not None:
        among = f"source in ({', '.join(map(literal, sorted(sources)))})"
    connection.execute(f"delete from audit.source_profile where entity = ? and {among}", [entity.name])
    names = [column.name for column in entity.columns]
    measures = ", ".join(f"count({quote(name)}), approx_count_distinct({quote(name)})" for name in names)
    living = " and is_current and not is_deleted" if entity.is_state else ""
    rows = connection.execute(
        f"select source, count(*), {measures} from {entity.table} where {among}{living} group by source order by source"
    ).fetchall()
    told = [
        (row[0], entity.name, name, row[1], row[2 + 2 * index] / row[1], row[3 + 2 * index])
        for row in rows
        for index, name in enumerate(names)
    ]
    if told:
        columns = list(zip(*told, strict=True))
        connection.register(
            "profile_rows",
            pa.table(
                {
                    "source": pa.array(columns[0], pa.string()), "entity": pa.array(columns[1], pa.string()),
                    "column_name": pa.array(columns[2], pa.string()), "rows": pa.array(columns[3], pa.int64()),
                    "filled_rate": pa.array(columns[4], pa.float64()),
                    "distinct_count": pa.array(columns[5], pa.int64()),
                }
            ),
        )  # fmt: skip
        connection.execute("insert into audit.source_profile select * from profile_rows")
        connection.unregister("profile_rows")


_FRESHNESS = pa.schema(
    [
        ("source", pa.string()), ("last_business_on", pa.date32()), ("last_received_on", pa.date32()),
        ("age_days", pa.int32()), ("cadence_days", pa.int32()), ("is_late", pa.bool_()),
        ("is_required", pa.bool_()), ("delivery_count", pa.int64()), ("is_missing", pa.bool_()),
    ]
)  # fmt: skip


def _write_freshness(
    connection: Connection, known: list[FileRecord], sources: Mapping[str, Source], as_of_on: dt.date
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """`audit.freshness`: how old the last delivery of each source is. Returns (late, required and missing)."""
    told = []
    for name, source in sorted(sources.items()):
        heard = [r for r in known if r.source == name and r.status in ("landed", "duplicate", "header_only")]
        deliveries = sum(r.status == "landed" for r in heard)
        last = max((r.business_on for r in heard), default=None)
        age = (as_of_on - last).days if last else None
        cadence = source.cadence_days
        told.append(
            {
                "source": name, "last_business_on": last,
                "last_received_on": max((r.received_on for r in heard), default=None),
                "age_days": age, "cadence_days": cadence,
                "is_late": cadence is not None and (age is None or age > cadence),
                "is_required": source.required, "delivery_count": deliveries,
                "is_missing": source.required and deliveries == 0,
            }
        )  # fmt: skip
    _write(connection, "audit.freshness", pa.Table.from_pylist(told, schema=_FRESHNESS))
    return (
        tuple(str(row["source"]) for row in told if row["is_late"]),
        tuple(str(row["source"]) for row in told if row["is_missing"]),
    )

"""The landing tables of a build: made whole, or anew for the rows that deliveries which came or went can change.

What belongs here: from the landing files that count to `landing.<entity>`. What does not: which deliveries count
and what is told of them (`assembly.py`), writing the files (`landing.py`).

`control.landed_deliveries` (entity, source, batch_id, told) says which deliveries a table was made from. The next
assembly holds its own against it. Of a fact only the last version is kept, so what came is held against the row that
is there; other files are read only for a row whose delivery counts no longer and that nothing replaced. Of what
lasts, the history of the records that were delivered is worked out anew: of a whole source where it delivers in full.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from orchestration import changes, landed
from orchestration.contracts.entities import ENTITIES, LANDING_COLUMNS, SQL_TYPES, Entity
from orchestration.ingest.landing import landing_file, quarantine_file
from orchestration.ingest.manifest import FileRecord
from orchestration.settings import Workspace
from orchestration.warehouse import Connection, literal, quote

#: Facts are written whole where more than this share of their rows was delivered anew.
LARGEST_SHARE = 1 / 3

Delivery = tuple[str, str]  # source, batch_id


@dataclass(frozen=True)
class Written:
    """What became of one landing table: its rows, and the sources of which something may have changed."""

    rows: int
    sources: frozenset[str] = frozenset()
    is_whole: bool = False

    @property
    def is_changed(self) -> bool:
        return self.is_whole or bool(self.sources)


def write_tables(
    connection: Connection, workspace: Workspace, known: Sequence[FileRecord], counting: Sequence[FileRecord]
) -> dict[str, Written]:
    """Bring every `landing.<entity>` up to the deliveries that count; what became of each, by entity.

    `known`: all deliveries of the manifest up to the day; `counting`: those of them that count, as `control.batches`
    holds them. Call within a transaction.
    """
    changes.prepare(connection)
    before = _remembered(connection)
    now = {entity.name: _deliveries(workspace, entity, counting) for entity in ENTITIES.values()}
    landed_once = {(r.source, r.batch_id): r for r in (*known, *counting) if r.status == "landed"}
    written = {}
    for entity in ENTITIES.values():
        came, gone = _difference(before.get(entity.name, {}), now[entity.name])
        contents = changes.known_contents(connection, entity.table)
        is_rewritten = any(
            one not in landed_once or _told(workspace, entity, landed_once[one]) != before[entity.name][one]
            for one in gone
        )
        if entity.name not in before or contents is None or is_rewritten:
            # What an erasure took out of a file is to be kept nowhere, so nothing tells which rows went.
            written[entity.name] = _write_whole(connection, workspace, entity, counting)
        elif not came and not gone:
            written[entity.name] = Written(_count(connection, entity.table))
        elif entity.is_state:
            written[entity.name] = _replace_states(connection, workspace, entity, known, counting, {*came, *gone})
        elif sum((*came.values(), *gone.values())) > LARGEST_SHARE * _count(connection, entity.table):
            written[entity.name] = _write_whole(connection, workspace, entity, counting)
        else:
            _rank(connection, [*counting, *(landed_once[one] for one in gone)], set(gone))
            written[entity.name] = _replace_facts(connection, workspace, entity, counting, set(came), set(gone))
    _remember(connection, now)
    return written


# --- which deliveries a table is made from -----------------------------------------------------


def _deliveries(workspace: Workspace, entity: Entity, counting: Iterable[FileRecord]) -> dict[Delivery, str]:
    """What a landing table is made from: the deliveries that count, and all in them that can make a difference.

    Deliveries without a row of the entity are among them where their source delivers it at all: a full one deletes.
    """
    counting = list(counting)
    sources = {r.source for r in counting if entity.name in (r.entity_rows or {})}
    return {(r.source, r.batch_id): _told(workspace, entity, r) for r in counting if r.source in sources}


def _told(workspace: Workspace, entity: Entity, record: FileRecord) -> str:
    told: list[object] = [
        (record.entity_rows or {}).get(entity.name, 0), record.delivery, record.part,
        *map(str, record.order), record.rows_quarantined,
    ]  # fmt: skip
    for path in (landing_file(workspace, entity, record), quarantine_file(workspace, record.source, record.batch_id)):
        if path.exists():  # an erasure rewrites it
            stat = path.stat()
            told += [path.name, stat.st_size, stat.st_mtime_ns]
    return json.dumps(told)


def _difference(
    before: dict[Delivery, str], now: dict[Delivery, str]
) -> tuple[dict[Delivery, int], dict[Delivery, int]]:
    """The deliveries that came and those that count no longer, with their rows; one told otherwise is both."""
    came = {one: int(json.loads(told)[0]) for one, told in now.items() if before.get(one) != told}
    return came, {one: int(json.loads(told)[0]) for one, told in before.items() if now.get(one) != told}


def _remembered(connection: Connection) -> dict[str, dict[Delivery, str]]:
    try:
        rows = connection.execute("select entity, source, batch_id, told from control.landed_deliveries").fetchall()
    except duckdb.CatalogException:
        return {}
    found: dict[str, dict[Delivery, str]] = {name: {} for name in ENTITIES}
    for entity, source, batch_id, told in rows:
        found.setdefault(entity, {})[source, batch_id] = told
    return found


def _remember(connection: Connection, now: dict[str, dict[Delivery, str]]) -> None:
    rows = [(entity, *one, told) for entity, found in now.items() for one, told in found.items()]
    names = ("entity", "source", "batch_id", "told")
    columns = zip(*rows, strict=True) if rows else ((),) * len(names)
    told = pa.table({name: pa.array(list(column), pa.string()) for name, column in zip(names, columns, strict=True)})
    connection.register("deliveries_to_write", told)
    connection.execute("create or replace table control.landed_deliveries as select * from deliveries_to_write")
    connection.unregister("deliveries_to_write")


# --- writing -----------------------------------------------------------------------------------


def _write_whole(
    connection: Connection, workspace: Workspace, entity: Entity, counting: Iterable[FileRecord]
) -> Written:
    files = landed.rows(workspace, entity, _files(workspace, entity, counting))
    query = _versions(entity, files) if entity.is_state else _last_facts(entity, files)
    connection.execute(f"create or replace table {entity.table} as {query}")
    changes.note_whole(connection, entity.table)
    return Written(_count(connection, entity.table), is_whole=True)


def _replace_states(
    connection: Connection,
    workspace: Workspace,
    entity: Entity,
    known: Iterable[FileRecord],
    counting: Sequence[FileRecord],
    touched: set[Delivery],
) -> Written:
    """Work the history of touched records out anew: those of the deliveries that came or went.

    A full delivery tells of every record of its source, so where there is one, those of the source go together.
    """
    sources = frozenset(source for source, _ in touched)
    told = [r for r in known if (r.source, r.batch_id) in touched and (r.entity_rows or {}).get(entity.name)]
    whole = {r.source for r in (*told, *counting) if r.source in sources and r.delivery == "full"}
    named = landed.rows(workspace, entity, _files(workspace, entity, (r for r in told if r.source not in whole)))
    connection.execute(f"create or replace temp table touched as select distinct source, row_key from {named}")
    listing = ", ".join(map(literal, ["", *sorted(whole)]))
    is_concerned = f"({{0}}.source in ({listing}) or ({{0}}.source, {{0}}.row_key) in (from temp.touched))"
    files = landed.rows(workspace, entity, _files(workspace, entity, (r for r in counting if r.source in sources)))
    concerned = f"(select * from {files} as every where {is_concerned.format('every')})"
    connection.execute(f"create or replace temp table fresh as {_versions(entity, concerned)}")
    changes.replace_rows(connection, entity.table, "temp.fresh", is_concerned.format("old"))
    for name in ("touched", "fresh"):
        connection.execute(f"drop table temp.{name}")
    return Written(_count(connection, entity.table), sources)


def _rank(connection: Connection, records: Iterable[FileRecord], gone: set[Delivery]) -> None:
    """Deliveries that count, or counted until now, by their place in time within their source."""
    ordered = sorted(records, key=lambda r: (r.source, *r.order))
    table = pa.table(
        {
            "source": pa.array([r.source for r in ordered], pa.string()),
            "batch_id": pa.array([r.batch_id for r in ordered], pa.string()),
            "place": pa.array(range(len(ordered)), pa.int64()),
            "is_gone": pa.array([(r.source, r.batch_id) in gone for r in ordered], pa.bool_()),
        }
    )
    connection.register("ranks_to_write", table)
    connection.execute("create or replace temp table ranked as select * from ranks_to_write")
    connection.unregister("ranks_to_write")


def _replace_facts(
    connection: Connection,
    workspace: Workspace,
    entity: Entity,
    counting: Sequence[FileRecord],
    came: set[Delivery],
    gone: set[Delivery],
) -> Written:
    """Put in place what the touched keys are now: those of deliveries that came, and of rows whose delivery went."""
    new_files = _files(workspace, entity, (r for r in counting if (r.source, r.batch_id) in came))
    key = ("source", "row_key", "row_hash") if entity.is_ledger else ("source", "row_key")
    names = ", ".join(key)
    columns = ", ".join(quote(column.name) for column in (*entity.columns, *LANDING_COLUMNS))
    connection.execute(
        f"create or replace temp table fresh_rows as select {_columns(entity, 'rows')} "
        f"from {landed.rows(workspace, entity, new_files)} as rows"
    )
    batches = ", ".join(f"({literal(source)}, {literal(batch)})" for source, batch in sorted(gone))
    of_gone = f"(old.source, old.batch_id) in ({batches})" if gone else "false"
    connection.execute(
        f"create or replace temp table touched as select {names} from fresh_rows "
        f"union select {names} from {entity.table} as old where {of_gone}"
    )
    # The table is wide and long: its rows are found on few columns, then fetched by their place.
    connection.execute(
        f"create or replace temp table held_places as select old.rowid as place from {entity.table} as old "
        f"semi join touched on {_same(key, 'old', 'touched')}"
    )
    where = "old.rowid in (select place from temp.held_places)"
    connection.execute(f"create or replace temp table held as select * from {entity.table} as old where {where}")
    # Rows whose delivery went and that no row which came stands above: an earlier delivery may hold the key.
    connection.execute(
        f"create or replace temp table orphans as select {names} from held join ranked using (source, batch_id) "
        "where ranked.is_gone and not exists (select 1 from fresh_rows join ranked as risen using (source, batch_id) "
        f"where risen.place >= ranked.place and {_same(key, 'fresh_rows', 'held')})"
    )
    candidates = f"select {columns} from fresh_rows union all select {columns} from held"
    sources = {source for (source,) in connection.execute("select distinct source from orphans").fetchall()}
    if sources:
        older = _files(workspace, entity, (r for r in counting if r.source in sources))
        candidates += (
            f" union all select {_columns(entity, 'rows')} from {landed.rows(workspace, entity, older)} as rows "
            f"semi join orphans on {_same(key, 'rows', 'orphans')}"
        )
    connection.execute(
        f"create or replace temp table fresh as select {columns} from ({candidates}) as delivered "
        "join ranked using (source, batch_id) where not ranked.is_gone qualify row_number() over ("
        f"partition by {names} order by place desc, line_number desc, row_hash desc) = 1"
    )
    changes.replace_rows(connection, entity.table, "temp.fresh", where)
    for name in ("fresh_rows", "touched", "held_places", "held", "orphans", "fresh", "ranked"):
        connection.execute(f"drop table temp.{name}")
    return Written(_count(connection, entity.table), frozenset(source for source, _ in {*came, *gone}))


def _same(key: Iterable[str], left: str, right: str) -> str:
    return " and ".join(f"{left}.{name} is not distinct from {right}.{name}" for name in key)


def _files(workspace: Workspace, entity: Entity, records: Iterable[FileRecord]) -> list[str]:
    return [str(landing_file(workspace, entity, r)) for r in records if (r.entity_rows or {}).get(entity.name)]


def _count(connection: Connection, table: str) -> int:
    return int(connection.execute(f"select count(*) from {table}").fetchall()[0][0])


# --- the rows of a table -----------------------------------------------------------------------


def _columns(entity: Entity, alias: str) -> str:
    """Names and types exactly as declared, also for files written when the entity had fewer columns."""
    return ", ".join(
        f"cast({alias}.{quote(column.name)} as {SQL_TYPES[column.kind]}) as {quote(column.name)}"
        for column in (*entity.columns, *LANDING_COLUMNS)
    )


def _last_facts(entity: Entity, files_sql: str) -> str:
    key = "delivered.source, delivered.row_key" + (", delivered.row_hash" if entity.is_ledger else "")
    return f"""
        with delivered as (
            select facts.*, batches.batch_order
            from {files_sql} as facts
            join control.batches as batches on facts.source = batches.source and facts.batch_id = batches.batch_id
        )
        select {_columns(entity, "delivered")}
        from delivered
        qualify row_number() over (
            partition by {key}
            order by batch_order desc, delivered.line_number desc, delivered.row_hash desc
        ) = 1
    """


def _versions(entity: Entity, files_sql: str) -> str:
    # History is worked out on a few narrow columns; the wide rows are only read for what begins a version.
    return f"""
        with sightings as (
            select
                rows.source, rows.row_key, rows.row_hash, rows.line_number, rows.batch_id, rows.business_on,
                rows.available_on, batches.batch_order, batches.part
            from {files_sql} as rows
            join control.batches as batches on rows.source = batches.source and rows.batch_id = batches.batch_id
            qualify row_number() over (
                partition by rows.source, rows.row_key, batches.batch_order
                order by rows.line_number desc, rows.row_hash desc
            ) = 1
        ),

        last_full as (
            select source, part, max(batch_order) as batch_order, max_by(batch_id, batch_order) as batch_id
            from control.batches
            where delivery = 'full'
            group by source, part
        ),

        compared as (
            select
                *,
                coalesce(row_hash <> lag(row_hash) over sequence, true) as is_start,
                lead(batch_order) over sequence is null as is_last,
                min(available_on) over (partition by source, row_key) as first_seen_on
            from sightings
            window sequence as (partition by source, row_key order by batch_order)
        ),

        numbered as (
            select *, sum(cast(is_start as integer)) over (
                partition by source, row_key order by batch_order rows unbounded preceding
            ) as version_number
            from compared
        ),

        versions as (
            select
                source, row_key, version_number,
                min_by(batch_id, batch_order) as batch_id,
                min_by(line_number, batch_order) as line_number,
                min_by(row_hash, batch_order) as row_hash,
                min(business_on) as valid_from_on,
                max(business_on) as last_seen_on,
                bool_or(is_last) as is_current,
                max(batch_order) as last_order,
                max_by(part, batch_order) as last_part,
                min(first_seen_on) as first_seen_on
            from numbered
            group by source, row_key, version_number
        )

        select
            {_columns(entity, "rows")},
            versions.valid_from_on,
            versions.last_seen_on,
            versions.is_current,
            versions.is_current
            and coalesce(last_full.batch_order > versions.last_order, false)
            and quarantined.row_key is null as is_deleted,
            versions.first_seen_on
        from {files_sql} as rows
        join versions
            on rows.source = versions.source and rows.row_key = versions.row_key
            and rows.batch_id = versions.batch_id and rows.line_number = versions.line_number
            and rows.row_hash = versions.row_hash
        left join last_full on versions.source = last_full.source and versions.last_part = last_full.part
        left join quarantined_keys as quarantined
            on versions.source = quarantined.source and versions.row_key = quarantined.row_key
            and last_full.batch_id = quarantined.batch_id
        qualify row_number() over (
            partition by rows.source, rows.row_key, versions.version_number order by rows.row_hash
        ) = 1
    """

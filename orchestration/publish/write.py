"""Write-audit-publish: copy the published tables out of the build, check the copy, put it in place.

What belongs here: making one publication. What does not: what happens to it afterwards
(`publications.py`).
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from orchestration import changes, registry, warehouse
from orchestration.contracts.published_tables import published_tables
from orchestration.errors import BuildError, GateError
from orchestration.publish import unchanged
from orchestration.publish.publications import (
    OnStep,
    Publication,
    current,
    folder_of,
    list_publications,
    move_pointer,
    remove_folder,
    sync,
)
from orchestration.publish.unchanged import Before, sha256
from orchestration.settings import Workspace
from orchestration.warehouse import Connection, literal, quote

SCHEMAS = ("rcu", "marts", "segments", "audit")

#: Schemas whose tables describe the customers of one date: a column `as_of_on` holds that date only.
#: `audit` is left out: its tables are logs.
DATED_SCHEMAS = ("rcu", "marts", "segments")

#: Tables of those schemas with a row per past date as well; their newest date must be the run's.
HISTORIES = frozenset({"segments.sizes", "segments.history", "marts.lifecycle_history", "marts.lifecycle_transitions"})

#: Schemas whose every writer notes what its tables hold (`orchestration/changes.py`).
_NOTED_SCHEMAS = frozenset({"rcu", "marts"})

#: Files that are copied, written or hashed at a time, beside the database.
_BESIDE = 2

#: DuckDB names a catalog after its file, and refuses `rcu.customers` as ambiguous where the file
#: `rcu.duckdb` also has a schema `rcu`. So that schema's tables stand in the file's main schema,
#: where `rcu.customers` finds them: catalog `rcu`, default schema, table `customers`.
CATALOG = "rcu"


def _place_of(schema: str) -> str:
    return "main" if schema == CATALOG else schema


@dataclass(frozen=True)
class _Table:
    schema: str
    name: str
    rows: int
    columns: tuple[tuple[str, str], ...]

    @property
    def full_name(self) -> str:
        return f"{self.schema}.{self.name}"

    @property
    def sql(self) -> str:
        return f"{quote(self.schema)}.{quote(self.name)}"

    @property
    def published_sql(self) -> str:
        """Its name in the published file, without the catalog."""
        return f"{quote(_place_of(self.schema))}.{quote(self.name)}"

    @property
    def parquet(self) -> str:
        return f"parquet/{self.schema}/{self.name}.parquet"


def publish(
    workspace: Workspace,
    build_path: Path,
    *,
    as_of_on: dt.date,
    run_id: str,
    version: str,
    fingerprint: str,
    is_forward: bool,
    schemas: Sequence[str] = SCHEMAS,
    required_gates: Collection[str] = (),
    now: dt.datetime | None = None,
    on_step: OnStep = lambda step: None,
) -> Publication:
    """Publish every table of `schemas` in the build, and for a forward run move the pointer to it.

    A publication of an encrypted build is encrypted, and has no Parquet copies: only DuckDB would read them.
    `required_gates` must have results of this run in `audit.checks`: a gate that never ran is not
    one that passed. Called again with the same version and run it takes up where it stopped.

    Raises BuildError when the build is of another run or date, when its tables do not all carry the
    same as-of date, or when the copy differs from the build; GateError when a gate failed or did not
    run. In each case what was published before is untouched.
    """
    target = folder_of(workspace, version)
    is_encrypted = warehouse.is_encrypted(build_path)
    is_committed = any(commit.version == version for commit in registry.commits(workspace))
    if not is_committed and not _is_own_backfill(workspace, version, run_id, fingerprint, is_forward):
        remove_folder(target)
        with warehouse.open_build(build_path, as_of_on=as_of_on, run_id=run_id) as connection:
            gates = _gate_summary(connection, run_id, required_gates)
            tables = _tables(connection, schemas)
            _refuse_mixed_dates(connection, tables, as_of_on)
            temporary = workspace.published / f".rcu-{version}.tmp"
            remove_folder(temporary)
            temporary.mkdir(parents=True)
            contents = _contents(connection, tables)
            rows = {table.full_name: table.rows for table in tables}
            before = None if is_encrypted else unchanged.find(workspace, connection, contents, rows)
            written = _write(connection, temporary, tables, is_encrypted, before)
            on_step("written")
            try:
                digest = _audit(temporary, tables, is_encrypted, contents, written)
            except BuildError:
                # What was taken over or noted does not hold: everything from nothing, and by what is really there.
                remove_folder(temporary)
                temporary.mkdir()
                contents = {table.full_name: warehouse.table_contents(connection, table.sql) for table in tables}
                written = _write(connection, temporary, tables, is_encrypted, None)
                digest = _audit(temporary, tables, is_encrypted, contents, written)
        on_step("audited")
        manifest = {
            "version": version,
            "as_of_on": as_of_on.isoformat(),
            "run_id": run_id,
            "is_forward": is_forward,
            "created_at": (now or dt.datetime.now(dt.UTC)).isoformat(timespec="seconds"),
            "fingerprint": fingerprint,
            "gates": gates,
            "database": {
                "file": "rcu.duckdb",
                "sha256": digest,
                "is_encrypted": is_encrypted,
                # a file that began as a copy may hold bytes of rows that are no more: an erasure writes it anew
                "began_from": written.began_from,
            },
            "tables": {
                table.full_name: {
                    "rows": table.rows,
                    "file": None if is_encrypted else table.parquet,
                    "sha256": written.parquet.get(table.full_name),
                    "contents": contents[table.full_name],
                }
                for table in tables
            },
        }
        _seal(temporary, manifest)
        on_step("sealed")
        temporary.rename(target)
        sync(workspace.published)
        on_step("renamed")
    if is_forward:
        if not is_committed:
            committed_at = (now or dt.datetime.now(dt.UTC)).isoformat(timespec="seconds")
            registry.commit_version(workspace, registry.Commit(version, as_of_on, run_id, fingerprint, committed_at))
        on_step("committed")
        move_pointer(workspace, version)
        on_step("pointed")
        warehouse.complete_build(build_path)
        published = current(workspace)
    else:
        published = next((p for p in list_publications(workspace) if p.version == version), None)
    if published is None:
        raise BuildError(f"{target}: the publication went missing while it was put in place; run again")
    return published


def _is_own_backfill(workspace: Workspace, version: str, run_id: str, fingerprint: str, is_forward: bool) -> bool:
    return not is_forward and any(
        (p.version, p.run_id, p.fingerprint, p.is_forward) == (version, run_id, fingerprint, False)
        for p in list_publications(workspace)
    )


def _contents(connection: Connection, tables: list[_Table]) -> dict[str, str]:
    """A fingerprint of each table: as whoever wrote it noted it, where that fits, else of what is there now."""
    changes.prepare(connection)
    noted = dict(connection.execute(f"select place, contents from {changes.CONTENTS}").fetchall())
    found = {}
    for table in tables:
        told = noted.get(table.full_name) if table.schema in _NOTED_SCHEMAS else None
        columns = ",".join(f"{name} {kind}" for name, kind in table.columns)
        fits = told is not None and told.startswith(f"{table.rows} ") and told.endswith(f" {columns}")
        found[table.full_name] = told if told and fits else warehouse.table_contents(connection, table.sql)
    return found


def _gate_summary(connection: Connection, run_id: str, required: Collection[str]) -> dict[str, dict[str, int]]:
    """Per gate the checks that passed, warned and failed. Raises GateError if one failed or is missing."""
    try:
        rows = connection.execute(
            "select gate, count(*) filter (where passed), "
            "count(*) filter (where not passed and severity <> 'error'), "
            "count(*) filter (where not passed and severity = 'error') "
            "from audit.checks where run_id = ? group by gate order by gate",
            [run_id],
        ).fetchall()
    except duckdb.CatalogException:
        rows = []
    summary = {gate: {"passed": passed, "warned": warned, "failed": failed} for gate, passed, warned, failed in rows}
    missing = sorted(set(required) - set(summary))
    if missing:
        raise GateError(f"gate {', '.join(missing)} has no result of run {run_id}: not published; launch the whole job")
    failed_gates = [gate for gate, counts in summary.items() if counts["failed"]]
    if failed_gates:
        raise GateError(f"gate {', '.join(failed_gates)} failed: not published; `rcu status` shows the checks")
    return summary


def _tables(connection: Connection, schemas: Sequence[str]) -> list[_Table]:
    names = connection.execute(
        "select schema_name, table_name from duckdb_tables() "
        "where database_name = current_database() and not internal and not temporary "
        "order by schema_name, table_name"
    ).fetchall()
    found = []
    for schema, name in names:
        if schema not in schemas:
            continue
        sql = f"{quote(schema)}.{quote(name)}"
        columns = connection.execute(f"describe {sql}").fetchall()
        found.append(_Table(schema, name, _count(connection, sql), tuple((row[0], row[1]) for row in columns)))
    without = sorted(set(schemas) - {table.schema for table in found})
    if without:
        raise BuildError(f"the build has no table in schema {', '.join(without)}: not published; launch the whole job")
    return found


def _refuse_mixed_dates(connection: Connection, tables: list[_Table], as_of_on: dt.date) -> None:
    for table in tables:
        if table.schema not in DATED_SCHEMAS or "as_of_on" not in dict(table.columns):
            continue
        found = connection.execute(f"select distinct as_of_on from {table.sql} order by as_of_on").fetchall()
        dates = [row[0] for row in found]
        judged = dates[-1:] if table.full_name in HISTORIES else dates
        if any(date != as_of_on for date in judged):
            other = next(date for date in judged if date != as_of_on)
            raise BuildError(
                f"{table.full_name} carries the as-of date {other}, not {as_of_on} alone: not published; "
                f"launch the whole job for {as_of_on} (`rcu run --as-of {as_of_on}`)"
            )


@dataclass(frozen=True)
class _Written:
    """`kept`: tables taken over as they are. `parquet`: SHA-256 of each Parquet file. `began_from`: whose copy it is."""

    kept: frozenset[str]
    parquet: Mapping[str, str]
    began_from: str | None


def _write(
    connection: Connection, folder: Path, tables: list[_Table], is_encrypted: bool, before: Before | None
) -> _Written:
    """The database and the Parquet copies. The file is named `rcu.duckdb`: a catalog is named after it.

    Tables that are in the publication before as in the build come from there. Files are copied, written and
    hashed beside the database: few of these use all processors for themselves.
    """
    comments = _comments(connection)
    for schema in {table.schema for table in tables} if not is_encrypted else ():
        (folder / "parquet" / schema).mkdir(parents=True)
    with ThreadPoolExecutor(_BESIDE) as beside:
        copying = beside.submit(before.take_database, folder / "rcu.duckdb") if before and before.database else None
        files = {
            table.full_name: beside.submit(_write_parquet, warehouse.cursor_on(connection), table, folder, before)
            for table in sorted(tables, key=lambda table: (-table.rows, table.full_name))
            if not is_encrypted
        }
        is_copy = copying is not None and copying.result()
        kept: frozenset[str] = frozenset()
        warehouse.attach(connection, folder / "rcu.duckdb", "publication", encrypted=is_encrypted)
        try:
            if before is not None and is_copy:
                kept = frozenset(before.same)
                there = [table for table in tables if table.full_name in kept | before.changes.keys()]
                _drop_others(connection, {table.published_sql for table in there})
            for schema in sorted({table.schema for table in tables}):
                connection.execute(f"create schema if not exists publication.{quote(_place_of(schema))}")
            for table in tables:
                if table.full_name in kept:
                    continue
                if before is not None and is_copy and table.full_name in before.changes:
                    _change_rows(connection, table, before.changes[table.full_name])
                else:
                    _write_table(connection, table, comments.get(table.full_name, []))
            connection.execute("checkpoint publication")
            digests = {name: file.result() for name, file in files.items()}
        finally:
            for file in files.values():
                file.cancel()
            wait(files.values())  # a copy that still reads this build would keep the file in use
            connection.execute("detach publication")
    return _Written(kept, digests, before.version if before is not None and is_copy else None)


def _write_parquet(cursor: Connection, table: _Table, folder: Path, before: Before | None) -> str:
    """Write a table's Parquet file, or take it over; returns its SHA-256."""
    target = folder / table.parquet
    if before is not None and before.link_parquet(table.full_name, table.parquet, target):
        return before.same[table.full_name]
    # of zstd's levels the first: a sixth less work for files a tenth larger
    cursor.execute(
        f"copy (select * from {table.sql}) to {literal(str(target))} "
        "(format parquet, compression zstd, compression_level 1)"
    )
    return sha256(target)


def _change_rows(connection: Connection, table: _Table, log: str) -> None:
    """Take the rows that went out of a copied table, and put those that came in. The audit tells whether it fits."""
    place = f"publication.{table.published_sql}"
    connection.execute(
        f"delete from {place} as old where hash(old) in "
        f"(select hash(gone) from (select * exclude (is_gone) from {log} where is_gone) as gone)"
    )
    connection.execute(f"insert into {place} select * exclude (is_gone) from {log} where not is_gone")


def _write_table(connection: Connection, table: _Table, comments: list[tuple[str, str]]) -> None:
    connection.execute(f"create table publication.{table.published_sql} as select * from {table.sql}")
    copy = f"publication.{table.published_sql}"
    known = {"", *(name for name, _ in table.columns)}
    for column, comment in comments:
        if column in known:
            place = f"column {copy}.{quote(column)}" if column else f"table {copy}"
            connection.execute(f"comment on {place} is {literal(comment)}")


def _drop_others(connection: Connection, kept: set[str]) -> None:
    """Take out of a copied database what is not kept; the checkpoint frees its room for what comes next."""
    for schema, name in connection.execute(
        "select schema_name, table_name from duckdb_tables() where database_name = 'publication' order by all"
    ).fetchall():
        if f"{quote(schema)}.{quote(name)}" not in kept:
            connection.execute(f"drop table publication.{quote(schema)}.{quote(name)}")
    connection.execute("checkpoint publication")


def _comments(connection: Connection) -> dict[str, list[tuple[str, str]]]:
    """Descriptions by table, as (column, text); an empty column is the table itself.

    What the build says of a table, else what is declared of it: whoever opens the file need not look elsewhere.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    for table, column, comment in connection.execute(
        "select schema_name || '.' || table_name, '', comment from duckdb_tables() "
        "where comment is not null and database_name = current_database() "
        "union all select schema_name || '.' || table_name, column_name, comment from duckdb_columns() "
        "where comment is not null and database_name = current_database() order by 1, 2"
    ).fetchall():
        found.setdefault(table, []).append((column, comment))
    for declared in published_tables():
        told = [(column.name, column.told) for column in declared.columns]
        found.setdefault(declared.full_name, [("", declared.grain), *told])
    return found


def _audit(
    folder: Path, tables: list[_Table], is_encrypted: bool, contents: Mapping[str, str], written: _Written
) -> str:
    """Open the copy as a reader will, and hold it against what the build said; returns its SHA-256. Raises BuildError.

    What was taken over from the publication before was read then; its bytes are the same.
    """
    with ThreadPoolExecutor(1) as beside:
        digest = beside.submit(_on_disk, folder / "rcu.duckdb")
        _read_back(folder, tables, is_encrypted, contents, written.kept)
        return digest.result()


def _on_disk(path: Path) -> str:
    """Put a file on disk; returns its SHA-256."""
    sync(path)
    return sha256(path)


def _read_back(
    folder: Path, tables: list[_Table], is_encrypted: bool, contents: Mapping[str, str], kept: frozenset[str]
) -> None:
    if (folder / "rcu.duckdb.wal").exists():
        raise BuildError("the copy was not written out in full (a .wal file is beside it): not published; run again")
    copy = warehouse.connect(folder / "rcu.duckdb", read_only=True)
    try:
        catalog = copy.execute("select current_database()").fetchone()
        if catalog != (CATALOG,):
            raise BuildError(f"the copy's catalog is {catalog}, not rcu: not published")
        for table in tables:
            rows = _count(copy, table.full_name)
            columns = tuple((row[0], row[1]) for row in copy.execute(f"describe {table.full_name}").fetchall())
            in_parquet = table.rows if is_encrypted else _parquet_rows(copy, folder / table.parquet)
            is_new = table.full_name not in kept
            if is_new and warehouse.table_contents(copy, table.full_name) != contents[table.full_name]:
                raise BuildError(
                    f"{table.full_name}: the copy holds other rows than the build: not published; run again"
                )
            if (rows, in_parquet, columns) != (table.rows, table.rows, table.columns):
                raise BuildError(
                    f"{table.full_name}: the build has {table.rows} rows, the copy {rows}, its Parquet file "
                    f"{in_parquet}, or their columns differ: not published; run again"
                )
    finally:
        copy.close()


def _seal(folder: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest, take away the right to write, and put everything on disk."""
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    everything = sorted(folder.rglob("*"))
    for path in everything:
        if path.is_file():
            path.chmod(0o440)
            sync(path)
    for path in [*reversed(everything), folder]:
        if path.is_dir():
            path.chmod(0o550)
            sync(path)


def _count(connection: Connection, sql: str) -> int:
    row = connection.execute(f"select count(*) from {sql}").fetchone()
    return int(row[0]) if row else 0


def _parquet_rows(connection: Connection, path: Path) -> int:
    row = connection.execute(f"select num_rows from parquet_file_metadata({literal(str(path))})").fetchone()
    return int(row[0]) if row else 0

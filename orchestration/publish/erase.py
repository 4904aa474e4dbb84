"""What an erasure does to publications: each kept one is written anew without the person.

What belongs here: the published databases, their Parquet copies and manifests. What does not: who is erased.

A DuckDB file keeps the bytes of a deleted row: so every table is copied into a fresh file, which takes the
place of the old one. Aggregates stay as they were published: a count says nothing of one person.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from orchestration import rewriting, warehouse
from orchestration.contracts.subject import UNKNOWN, PersonalTable, Subject, publication_tables
from orchestration.publish.publications import Publication, list_publications, remove_folder
from orchestration.publish.views import drop_views
from orchestration.settings import Workspace
from orchestration.warehouse import Connection, literal, quote

DATABASE = "rcu.duckdb"
_BATCH = 100_000


@dataclass(frozen=True)
class PublicationsErased:
    """Publications written anew, and rows taken out of them."""

    publications: int = 0
    rows: int = 0


def erase(
    workspace: Workspace,
    subject: Subject,
    *,
    erased_on: dt.date,
    on_publication: Callable[[str], None] = lambda _: None,
) -> PublicationsErased:
    """Write every kept publication anew without the person. Call under the run lock; safe to call again."""
    publications = rows = 0
    for publication in list_publications(workspace):
        taken = _rewrite(publication, subject, erased_on)
        if taken:
            publications += 1
            rows += taken
        on_publication(publication.version)
    drop_views(workspace)  # made from a publication; the next run makes them anew
    return PublicationsErased(publications, rows)


def drop_builds(workspace: Workspace) -> int:
    """Remove the build databases: they are caches, which the next run makes anew. Returns how many went."""
    removed = 0
    for database in (workspace.build_file, workspace.scratch_file):
        for file in (database, database.with_name(database.name + ".wal")):
            if file.exists():
                file.unlink()
                removed += 1
    return removed


def expire(workspace: Workspace, *, before: dt.date, is_dry: bool) -> list[str]:
    """Remove publications made before a day; the current one always stays. Returns their versions."""
    old = [p for p in list_publications(workspace) if not p.is_current and p.created_at[:10] < before.isoformat()]
    if not is_dry:
        for publication in old:
            remove_folder(publication.path)
    return [publication.version for publication in old]


def _rewrite(publication: Publication, subject: Subject, erased_on: dt.date) -> int:
    folder = publication.path
    open_up(folder)
    old, new = folder / DATABASE, folder / f".{DATABASE}.erasing.tmp"
    new.unlink(missing_ok=True)
    changed: dict[str, int] = {}
    taken = 0
    plan = {table.name: table for table in publication_tables()}
    connection = warehouse.connect()
    try:
        warehouse.attach(connection, old, "old", read_only=True)
        warehouse.attach(connection, new, "rcu", encrypted=warehouse.is_encrypted(old))
        _load(connection, subject)
        tables = connection.execute(
            "select schema_name, table_name from duckdb_tables() where database_name = 'old' order by all"
        ).fetchall()
        for schema, name in tables:
            connection.execute(f"create schema if not exists rcu.{quote(schema)}")
            full_name = f"{'rcu' if schema == 'main' else schema}.{name}"
            place = f"{quote(schema)}.{quote(name)}"
            query = f"select * from old.{place}"
            hits = 0
            if full_name in plan:
                _find_values(connection, plan[full_name], f"old.{place}", subject)
                hits = _count(connection, f"old.{place} where {_concerned(connection, plan[full_name], place)}")
                if hits:
                    query = without(connection, plan[full_name], f"old.{place}", erased_on)
            connection.execute(f"create table rcu.{place} as {query}")
            if hits:
                changed[full_name] = _count(connection, f"rcu.{place}")
                taken += hits
        copy_comments(connection)
        connection.execute("checkpoint rcu")
        for full_name in sorted(changed) if (folder / "parquet").exists() else ():
            schema, name = full_name.split(".")
            copy = folder / "parquet" / schema / f"{name}.parquet"
            temporary = copy.with_name(f".{copy.name}.erasing.tmp")
            stored = f"{quote('main' if schema == 'rcu' else schema)}.{quote(name)}"
            connection.execute(
                f"copy (select * from rcu.{stored}) to {literal(str(temporary))} (format parquet, compression zstd)"
            )
            rewriting.replace(temporary, copy)
        connection.execute("detach rcu")
        connection.execute("detach old")
    finally:
        connection.close()
    if changed or _may_hold_more(folder):
        rewriting.replace(new, old)
        mend_manifest(folder, changed)
    new.unlink(missing_ok=True)
    seal_again(folder)
    return taken


def _may_hold_more(folder: Path) -> bool:
    """Whether the database may have bytes of rows that are no more: it began as a copy of another."""
    told = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return "began_from" not in told["database"] or told["database"]["began_from"] is not None


def _load(connection: Connection, subject: Subject) -> None:
    connection.execute("create temp table s_ids (customer_id varchar)")
    connection.execute("insert into s_ids select unnest(?::varchar[])", [sorted(subject.customer_ids)])
    connection.execute("create temp table s_records (source varchar, record_id varchar)")
    pairs = sorted(subject.records)
    connection.execute(
        "insert into s_records select unnest(?::varchar[]), unnest(?::varchar[])",
        [[source for source, _ in pairs], [record for _, record in pairs]],
    )


def is_theirs(table: PersonalTable) -> str:
    """The SQL test that tells the person's rows in one published table."""
    tests = [f"{quote(column)} in (select customer_id from s_ids)" for column in table.ids]
    tests += [f"({quote(a)}, {quote(b)}) in (select (source, record_id) from s_records)" for a, b in table.records]
    return "(" + " or ".join(f"coalesce({test}, false)" for test in tests) + ")" if tests else "false"


def without(connection: Connection, table: PersonalTable, place: str, erased_on: dt.date) -> str:
    """The query over a published table that leaves the person out. `s_values` is that of the table."""
    columns = [(row[0], row[1]) for row in connection.execute(f"describe {place}").fetchall()]
    test = is_theirs(table)
    if table.name == "rcu.customer_id_history":
        return _history(place, [name for name, _ in columns], erased_on)
    searched = set(_searched(connection, table, place))
    selected = []
    for name, _ in columns:
        cell = quote(name)
        if table.treatment == "anonymise" and name in table.ids:
            cell = f"case when {test} then {literal(UNKNOWN)} else {cell} end as {cell}"
        elif table.treatment == "anonymise" and name in table.personal and name not in table.kept:
            cell = f"case when not {test} then {cell} end as {cell}"
        elif name in searched:
            # What the person alone carries, in a row about somebody else: the cell goes, not the row.
            cell = f"case when not {_is_found(name)} then {cell} end as {cell}"
        selected.append(cell)
    if table.treatment == "anonymise":
        return f"select {', '.join(selected)} from {place}"
    if table.name == "rcu.households":
        living = place.replace('"households"', '"customers"')
        left = f"(select household_id from {living} where customer_id not in (select customer_id from s_ids))"
        gone = f"(select household_id from {living} where customer_id in (select customer_id from s_ids))"
        test = f"(household_id in {gone} and household_id not in (select household_id from {left} where household_id is not null))"
    return f"select {', '.join(selected)} from {place} where not {test}"


def _find_values(connection: Connection, table: PersonalTable, place: str, subject: Subject) -> None:
    """Load `s_values` (column_name, value): what the searched columns hold of the person's own texts.

    Each value is looked at once, however many rows have it and however many persons are erased together.
    """
    connection.execute("create or replace temp table s_values (column_name varchar, value varchar)")
    pattern = rewriting.pattern_of(subject.texts)
    if pattern is None:
        return
    for name in _searched(connection, table, place):
        result = connection.execute(f"select distinct {quote(name)} from {place} where {quote(name)} is not null")
        found = []
        while rows := result.fetchmany(_BATCH):
            found += [value for (value,) in rows if pattern.search(value)]
        if found:
            connection.register("found_values", pa.table({"value": pa.array(found, pa.string())}))
            connection.execute(f"insert into s_values select {literal(name)}, value from found_values")
            connection.unregister("found_values")


def _searched(connection: Connection, table: PersonalTable, place: str) -> list[str]:
    kinds = {row[0]: row[1] for row in connection.execute(f"describe {place}").fetchall()}
    return [name for name in table.searched if kinds.get(name) == "VARCHAR" and name not in table.kept]


def _is_found(name: str) -> str:
    """Whether a cell holds what the person alone carries, by `s_values`."""
    return f"coalesce({quote(name)} in (select value from s_values where column_name = {literal(name)}), false)"


def _history(place: str, names: list[str], erased_on: dt.date) -> str:
    """An id stays known as what it was, created once and erased: whoever holds it learns that it is gone."""
    is_theirs_sql = "customer_id in (select customer_id from s_ids)"
    values = {
        "event": "'erased'", "event_on": f"date '{erased_on}'", "successor_id": "'erased'",
        "record_count": "cast(0 as integer)", "reason": "'an erasure was asked for'", "current_customer_id": "'erased'",
    }  # fmt: skip
    first = ", ".join("'erased' as current_customer_id" if n == "current_customer_id" else quote(n) for n in names)
    added = ", ".join(f"{values[n]} as {n}" if n in values else quote(n) for n in names)
    return (
        f"select * from {place} where not {is_theirs_sql} "
        f"union all select {first} from {place} where {is_theirs_sql} and event = 'created' "
        f"union all select {added} from {place} where {is_theirs_sql} "
        "qualify row_number() over (partition by customer_id order by event_on, event) = 1"
    )


def held(connection: Connection, subject: Subject) -> dict[str, list[dict[str, object]]]:
    """What the publication attached as `rcu` holds of a person, by table: the rows that `erase` would change."""
    _load(connection, subject)
    told: dict[str, list[dict[str, object]]] = {}
    for table in publication_tables():
        schema, name = table.full_place
        if not _exists(connection, schema, name):
            continue
        place = f"rcu.{quote(schema)}.{quote(name)}"
        test = is_theirs(table)
        if table.name == "rcu.households":
            test = (
                "household_id in (select household_id from rcu.main.customers "
                "where customer_id in (select customer_id from s_ids))"
            )
        _find_values(connection, table, place, subject)
        test = " or ".join([test, *map(_is_found, _searched(connection, table, place))])
        result = connection.execute(f"select * from {place} where {test} order by all")
        names = [item[0] for item in result.description or []]
        rows = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
        if rows:
            told[table.name] = rows
    return told


def _exists(connection: Connection, schema: str, name: str) -> bool:
    return (
        connection.execute(
            "select 1 from duckdb_tables() where database_name = 'rcu' and schema_name = ? and table_name = ?",
            [schema, name],
        ).fetchone()
        is not None
    )


def _concerned(connection: Connection, table: PersonalTable, place: str) -> str:
    """The SQL test of the rows that an erasure changes or removes. `s_values` is that of the table."""
    test = is_theirs(table)
    if table.name == "rcu.customer_id_history":
        return f"({test}) and customer_id in (select customer_id from s_ids) and coalesce(current_customer_id, '') <> 'erased'"
    if table.name == "rcu.households":
        customers = place.replace('"households"', '"customers"')
        return (
            f"household_id in (select household_id from old.{customers} "
            "where customer_id in (select customer_id from s_ids))"
        )
    if table.treatment == "anonymise":
        return test
    return "(" + " or ".join([test, *map(_is_found, _searched(connection, table, f"old.{place}"))]) + ")"


def copy_comments(connection: Connection) -> None:
    """Descriptions of the tables and columns of `old`, in `rcu`."""
    found = connection.execute(
        "select schema_name, table_name, '', comment from duckdb_tables() "
        "where comment is not null and database_name = 'old' union all "
        "select schema_name, table_name, column_name, comment from duckdb_columns() "
        "where comment is not null and database_name = 'old' order by all"
    ).fetchall()
    for schema, table, column, comment in found:
        place = f"rcu.{quote(schema)}.{quote(table)}"
        named = f"column {place}.{quote(column)}" if column else f"table {place}"
        connection.execute(f"comment on {named} is {literal(comment)}")


def mend_manifest(folder: Path, changed: dict[str, int]) -> None:
    """Say in the manifest what the files are now. `changed`: rows by table."""
    path = folder / "manifest.json"
    told = json.loads(path.read_text(encoding="utf-8"))
    told["database"]["sha256"] = _sha256(folder / DATABASE)
    told["database"]["began_from"] = None
    for name, rows in changed.items():
        table = told["tables"][name]
        table["rows"] = rows
        table.pop("contents", None)  # no next publication takes it over as it was
        if table["file"] is not None:
            table["sha256"] = _sha256(folder / table["file"])
    temporary = folder / ".manifest.erasing.tmp"
    temporary.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    rewriting.replace(temporary, path)


def open_up(folder: Path) -> None:
    """Let a sealed publication be written in."""
    for path in [folder, *(below for below in folder.rglob("*") if below.is_dir())]:
        path.chmod(0o750)


def seal_again(folder: Path) -> None:
    """Take away the right to write."""
    for path in sorted(folder.rglob("*"), reverse=True):
        path.chmod(0o550 if path.is_dir() else 0o440)
    folder.chmod(0o550)


def _count(connection: Connection, place: str) -> int:
    row = connection.execute(f"select count(*) from {place}").fetchone()
    return int(row[0]) if row else 0


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

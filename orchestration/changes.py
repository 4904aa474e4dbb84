"""What changed in a table of the build: the rows that went and came, kept beside its fingerprint.

What belongs here: writing and telling changes of tables that Python makes. What does not: those of dbt's models
(`dbt_project/macros/kept_tables.sql` writes the same tables, in the same way).

`control.table_contents` (place, contents) holds the fingerprint of each table as it is, and `control.table_changes`
(place, contents_before, contents_after) says between which two of them the rows in `changes.<schema>__<table>` lie:
the table's columns, and `is_gone`. Whoever made something from the first fingerprint learns there what to do again.
A table that was written whole has no changes: then everything may be other.
"""

from __future__ import annotations

from orchestration.warehouse import Connection, table_contents

CONTENTS = "control.table_contents"
CHANGES = "control.table_changes"


def prepare(connection: Connection) -> None:
    """Make what the changes are kept in, where it is missing."""
    for statement in (
        "create schema if not exists control",
        "create schema if not exists changes",
        f"create table if not exists {CONTENTS} (place varchar, contents varchar)",
        f"create table if not exists {CHANGES} (place varchar, contents_before varchar, contents_after varchar)",
    ):
        connection.execute(statement)


def known_contents(connection: Connection, place: str) -> str | None:
    """The fingerprint that is kept of `place` (schema.table), or None."""
    found = connection.execute(f"select any_value(contents) from {CONTENTS} where place = ?", [place]).fetchall()
    return None if found[0][0] is None else str(found[0][0])


def note_whole(connection: Connection, place: str) -> str:
    """Note what a table holds after it was written whole; returns its fingerprint."""
    prepare(connection)
    contents = table_contents(connection, place)
    if contents != known_contents(connection, place):
        _forget(connection, place)
        connection.execute(f"insert into {CONTENTS} values (?, ?)", [place, contents])
    return contents


def replace_rows(connection: Connection, place: str, fresh: str, where: str) -> int:
    """Put the rows of the table `fresh` in the place of those of `place` that `where` (SQL over `old`) holds.

    Both have the same columns. Returns how many rows went or came; none of either leaves the table untouched.
    The fingerprint follows from that of before. Raises LookupError where none is known.
    """
    prepare(connection)
    before = known_contents(connection, place)
    if before is None:
        raise LookupError(f"{place}: nothing is known of what it holds")
    log = log_of(place)
    connection.execute(
        f"create or replace temp table changed__ as with was as (select * from {place} as old where {where}) "
        f"select *, true as is_gone from (from was except all from {fresh}) "
        f"union all select *, false as is_gone from (from {fresh} except all from was)"
    )
    changed = int(connection.execute("select count(*) from temp.changed__").fetchall()[0][0])
    if changed:  # else the changes that are told stay as they are
        connection.execute(f"create or replace table {log} as from temp.changed__")
        connection.execute(f"delete from {place} as old where {where}")
        connection.execute(f"insert into {place} select * from {fresh}")
        after = connection.execute(f"select {contents_after(log, before)}").fetchall()[0][0]
        _forget(connection, place)
        connection.execute(f"insert into {CONTENTS} values (?, ?)", [place, after or table_contents(connection, place)])
        connection.execute(
            f"insert into {CHANGES} select place, ?, contents from {CONTENTS} where place = ?", [before, place]
        )
    connection.execute("drop table temp.changed__")
    return changed


def log_of(place: str) -> str:
    """The table that holds the last changes of `place`."""
    return "changes." + place.replace(".", "__")


def contents_after(log: str, before: str) -> str:
    """SQL for the fingerprint after the changes in `log`; NULL where it does not follow (a table with no rows)."""
    rows, xored, summed, columns = (*before.split(" ", 3), "", "", "")[:4]
    if not summed.isdigit():
        return "cast(null as varchar)"
    digests = ", ".join(
        f"(select count(*) as rows, coalesce(bit_xor(hash(kept)), 0) as xored, coalesce(sum(hash(kept)), 0) as summed "
        f"from (select * exclude (is_gone) from {log} where is_gone = {is_gone}) as kept) as {name}"
        for name, is_gone in (("gone", "true"), ("come", "false"))
    )
    told = (
        f"select {rows} - gone.rows + come.rows as rows, xor(xor({xored}::ubigint, gone.xored), come.xored) as xored, "
        f"{summed}::hugeint - gone.summed + come.summed as summed from {digests}"
    )
    quoted = columns.replace("'", "''")
    return f"(select case when rows > 0 then concat_ws(' ', rows, xored, summed) || ' {quoted}' end from ({told}))"


def _forget(connection: Connection, place: str) -> None:
    connection.execute(f"delete from {CONTENTS} where place = ?", [place])
    connection.execute(f"delete from {CHANGES} where place = ?", [place])

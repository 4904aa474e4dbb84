"""Tables of the build that a step works out whole in every run, and that often come out as they were.

What belongs here: putting such a table in place and noting what it holds. What does not: what is in it, and the
notes themselves (`changes.py`).
"""

from __future__ import annotations

from orchestration import changes
from orchestration.warehouse import Connection, table_contents


def put(connection: Connection, place: str, query: str) -> bool:
    """Make `place` (schema.table) hold what `query` gives; whether it held anything else before.

    A table that holds it already is left alone, and so is what hangs on it. Where few rows differ, those that went
    and came are told. Columns that became others make it a new table. Not to be called within a transaction.
    """
    changes.prepare(connection)
    connection.execute(f"create or replace temp table remade__ as {query}")
    known = changes.known_contents(connection, place) if _is_there(connection, place) else None
    contents = table_contents(connection, "temp.remade__")
    if contents != known:
        connection.execute("begin")
        try:
            if known is not None and _is_alike(known, contents):
                changes.replace_rows(connection, place, "temp.remade__", "true")
            else:
                connection.execute(f"create or replace table {place} as from temp.remade__")
                changes.note_whole(connection, place)
        except BaseException:
            connection.execute("rollback")
            raise
        connection.execute("commit")
    connection.execute("drop table temp.remade__")
    return contents != known


def _is_there(connection: Connection, place: str) -> bool:
    return bool(
        connection.execute(
            "select 1 from duckdb_tables() where database_name = current_database() "
            "and schema_name || '.' || table_name = ?",
            [place],
        ).fetchall()
    )


def _is_alike(before: str, after: str) -> bool:
    """Whether comparing row by row may find few differences: the same columns, and about as many rows."""
    (rows, *_, columns), (rows_now, *_, columns_now) = (told.split(" ", 3) for told in (before, after))
    return columns == columns_now and abs(int(rows_now) - int(rows)) * 2 < int(rows)

"""A table that is put where it already is stays, and one of which a row differs tells which."""

from __future__ import annotations

import pytest

from orchestration import remade
from orchestration.warehouse import Connection, connect, table_contents

ROWS = "select range as n, 'name ' || range as name from range(10)"


@pytest.fixture
def build() -> Connection:
    return connect()


def noted(build: Connection, place: str) -> list[tuple[str]]:
    return build.execute("select contents from control.table_contents where place = ?", [place]).fetchall()


def number(build: Connection, place: str) -> list[tuple[int]]:
    """DuckDB's number of a table: another one once it was created anew."""
    return build.execute(
        "select table_oid from duckdb_tables() where schema_name || '.' || table_name = ?", [place]
    ).fetchall()


def test_a_first_table_is_noted_with_what_it_holds(build: Connection) -> None:
    build.execute("create schema scores")
    assert remade.put(build, "scores.models", ROWS)
    assert build.execute("select count(*), sum(n) from scores.models").fetchall() == [(10, 45)]
    assert noted(build, "scores.models") == [(table_contents(build, "scores.models"),)]


def test_the_same_rows_in_another_order_leave_it_alone(build: Connection) -> None:
    build.execute("create schema scores")
    remade.put(build, "scores.models", ROWS)
    before = number(build, "scores.models")
    assert not remade.put(build, "scores.models", f"{ROWS} order by n desc")
    assert number(build, "scores.models") == before
    assert build.execute("select count(*) from control.table_changes").fetchall() == [(0,)]


def test_a_row_that_differs_is_told_as_one_gone_and_one_come(build: Connection) -> None:
    build.execute("create schema scores")
    remade.put(build, "scores.models", ROWS)
    [(before,)] = noted(build, "scores.models")
    assert remade.put(build, "scores.models", f"select n, if(n = 3, 'other', name) as name from ({ROWS})")
    after = table_contents(build, "scores.models")
    assert noted(build, "scores.models") == [(after,)]
    assert build.execute("from control.table_changes").fetchall() == [("scores.models", before, after)]
    told = build.execute("select n, name, is_gone from changes.scores__models order by is_gone").fetchall()
    assert told == [(3, "other", False), (3, "name 3", True)]


def test_other_columns_make_a_new_table_without_a_trace_of_changes(build: Connection) -> None:
    build.execute("create schema scores")
    remade.put(build, "scores.models", ROWS)
    assert remade.put(build, "scores.models", f"select n, name, true as is_new from ({ROWS})")
    assert build.execute("select count(*) from scores.models where is_new").fetchall() == [(10,)]
    assert noted(build, "scores.models") == [(table_contents(build, "scores.models"),)]
    assert build.execute("select count(*) from control.table_changes").fetchall() == [(0,)]


def test_an_empty_table_is_put_and_put_again(build: Connection) -> None:
    build.execute("create schema scores")
    assert remade.put(build, "scores.models", f"{ROWS} where n > 100")
    assert not remade.put(build, "scores.models", f"{ROWS} where n > 100")
    assert remade.put(build, "scores.models", ROWS)
    assert build.execute("select count(*) from scores.models").fetchall() == [(10,)]


def test_a_table_that_went_is_made_again_though_its_note_is_there(build: Connection) -> None:
    build.execute("create schema scores")
    remade.put(build, "scores.models", ROWS)
    build.execute("drop table scores.models")
    assert remade.put(build, "scores.models", ROWS)
    assert build.execute("select count(*) from scores.models").fetchall() == [(10,)]

"""An increment takes over the tables that did not change, and only those."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from orchestration import changes, warehouse
from orchestration.contracts.subject import Subject
from orchestration.errors import BuildError
from orchestration.publish import Publication, publish, write
from orchestration.publish.erase import erase
from orchestration.settings import Workspace
from tests.unit.publish import toy
from tests.unit.publish.toy import day, new_workspace, plan

Alter = Callable[[warehouse.Connection], object]

HISTORY = (
    "create or replace table segments.history as "
    "select i as number, md5(i::varchar) as word, 'h' || i as customer_id from range(9000) t(i)"
)


def run(
    workspace: Workspace, run_id: str, *, customers: int, change: str = "", alter: Alter | None = None
) -> Publication:
    """One run of the first of March, with a table of 9,000 rows that `change` (or `alter`, for others) may alter."""
    planned = plan(workspace, day(1), run_id=run_id, inputs=run_id)
    toy.build(workspace, planned, customers=customers)
    with warehouse.open_build(planned.build_path, as_of_on=planned.as_of_on, run_id=run_id) as connection:
        connection.execute(HISTORY)
        if change:
            connection.execute(change)
        if alter:
            alter(connection)
    return publish(
        workspace, planned.build_path, as_of_on=planned.as_of_on, run_id=run_id, version=planned.version,
        fingerprint=planned.fingerprint, is_forward=True, now=toy.MOMENT,
    )  # fmt: skip


def parquet(publication: Publication, table: str) -> Path:
    return publication.path / "parquet" / f"{table.replace('.', '/')}.parquet"


def everything(publication: Publication) -> dict[str, list[tuple]]:
    """What a reader finds in the database, table by table, held against the Parquet files on the way."""
    told = {}
    with duckdb.connect(str(publication.database), read_only=True) as reader:
        for name in publication.tables:
            told[name] = reader.execute(f"select * from {name} order by all").fetchall()
            file = parquet(publication, name)
            assert reader.execute(f"select * from '{file}' order by all").fetchall() == told[name], name
    return told


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return new_workspace(tmp_path)


def test_what_did_not_change_is_the_same_file_and_what_did_is_new(workspace: Workspace) -> None:
    first = run(workspace, "r1", customers=3)
    second = run(workspace, "r2", customers=4)
    assert parquet(first, "segments.history").samefile(parquet(second, "segments.history"))
    assert not parquet(first, "rcu.customers").samefile(parquet(second, "rcu.customers"))
    assert [len(everything(one)["rcu.customers"]) for one in (first, second)] == [3, 4]
    assert len(everything(second)["segments.history"]) == 9000
    with duckdb.connect(str(second.database), read_only=True) as reader:
        comments = reader.execute("select comment from duckdb_tables() where table_name = 'customers'").fetchall()
    assert comments == [("One row per customer",)]


def test_an_increment_publishes_what_a_rebuild_does(workspace: Workspace, tmp_path: Path) -> None:
    run(workspace, "r1", customers=3)
    changed = "update segments.history set word = 'other' where number = 8999"
    increment = run(workspace, "r2", customers=5, change=changed)
    alone = run(new_workspace(tmp_path / "alone"), "r2", customers=5, change=changed)
    assert everything(increment) == everything(alone)


def test_a_table_that_is_gone_from_the_build_is_gone_from_the_publication(workspace: Workspace) -> None:
    run(workspace, "r1", customers=3, change="create table marts.extra as select 1 as number")
    second = run(workspace, "r2", customers=3, change="drop table marts.extra")
    with duckdb.connect(str(second.database), read_only=True) as reader:
        assert not reader.execute("select 1 from duckdb_tables() where table_name = 'extra'").fetchall()


@pytest.mark.parametrize("name", ["rcu.duckdb", "parquet/segments/history.parquet"])
def test_a_damaged_file_is_not_taken_over(workspace: Workspace, name: str) -> None:
    first = run(workspace, "r1", customers=3)
    damaged = first.path / name
    damaged.chmod(0o640)
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 0xFF
    damaged.write_bytes(data)
    second = run(workspace, "r2", customers=4)
    assert len(everything(second)["segments.history"]) == 9000
    if name.endswith(".parquet"):
        assert not parquet(first, "segments.history").samefile(parquet(second, "segments.history"))


def test_what_an_erasure_rewrote_is_not_taken_over(workspace: Workspace) -> None:
    first = run(workspace, "r1", customers=3)
    manifest = first.path / "manifest.json"
    first.path.chmod(0o750)
    manifest.chmod(0o640)
    told = json.loads(manifest.read_text(encoding="utf-8"))
    del told["tables"]["segments.history"]["contents"]
    manifest.write_text(json.dumps(told), encoding="utf-8")
    second = run(workspace, "r2", customers=3)
    assert not parquet(first, "segments.history").samefile(parquet(second, "segments.history"))


def test_a_copy_with_other_rows_than_the_build_is_refused(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy is read back: here the fingerprint of the build is of other rows."""
    real = warehouse.table_contents

    def tampered(connection: warehouse.Connection, table: str) -> str:
        told = real(connection, table)
        return told + " tampered" if table == '"rcu"."customers"' else told

    monkeypatch.setattr(warehouse, "table_contents", tampered)
    with pytest.raises(BuildError, match="other rows than the build"):
        run(workspace, "r1", customers=3)


# --- changed rows --------------------------------------------------------------------------------------------------

VISITS = "select i as number, md5(i::varchar) as word from range(30000) t(i) union all select 7, md5('7')"
CHANGED = "select * replace (if(number % 1000 = 7, 'changed', word) as word) from marts.visits where number % 1000 = 7"


def make_visits(connection: warehouse.Connection) -> None:
    """A table of the build as dbt leaves it: whole, and noted."""
    connection.execute(f"create or replace table marts.visits as {VISITS}")
    changes.prepare(connection)
    changes.note_whole(connection, "marts.visits")


def change_visits(connection: warehouse.Connection) -> None:
    connection.execute(f"create or replace temp table fresh as {CHANGED}")
    changes.replace_rows(connection, "marts.visits", "temp.fresh", "number % 1000 = 7")


def told_of(publication: Publication) -> dict:
    return json.loads((publication.path / "manifest.json").read_text(encoding="utf-8"))


@pytest.fixture
def refuses_whole(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on, marts.visits may not be written whole."""
    real = write._write_table

    def refusing(connection: warehouse.Connection, table: write._Table, comments: list) -> None:
        assert table.full_name != "marts.visits"
        real(connection, table, comments)

    return lambda: monkeypatch.setattr(write, "_write_table", refusing)


def test_changed_rows_alone_are_written_where_they_are_known(
    workspace: Workspace, tmp_path: Path, refuses_whole: Callable[[], None]
) -> None:
    first = run(workspace, "r1", customers=3, alter=make_visits)
    before = everything(first)
    alone = run(
        new_workspace(tmp_path / "alone"), "r2", customers=3, alter=lambda c: (make_visits(c), change_visits(c))
    )
    refuses_whole()
    second = run(workspace, "r2", customers=3, alter=change_visits)
    assert told_of(second)["database"]["began_from"] == first.version
    assert everything(second) == everything(alone)
    assert len(set(everything(second)["marts.visits"]) - set(before["marts.visits"])) == 30
    assert everything(first) == before


def test_a_row_that_is_there_twice_and_goes_once_is_published_once(workspace: Workspace) -> None:
    def lose_one(connection: warehouse.Connection) -> None:
        connection.execute("create or replace temp table fresh as select distinct * from marts.visits where number = 7")
        changes.replace_rows(connection, "marts.visits", "temp.fresh", "number = 7")

    first = run(workspace, "r1", customers=3, alter=make_visits)
    second = run(workspace, "r2", customers=3, alter=lose_one)
    rows = [[row for row in everything(one)["marts.visits"] if row[0] == 7] for one in (first, second)]
    assert [len(found) for found in rows] == [2, 1]


def test_changes_that_lead_from_something_else_are_not_used(workspace: Workspace) -> None:
    """A run that failed before it published changed the table too: the last changes alone are not all."""

    def change_twice(connection: warehouse.Connection) -> None:
        connection.execute("create or replace temp table fresh as select 1 as number, 'one' as word")
        changes.replace_rows(connection, "marts.visits", "temp.fresh", "number = 1")
        change_visits(connection)

    run(workspace, "r1", customers=3, alter=make_visits)
    second = run(workspace, "r2", customers=3, alter=change_twice)
    assert {row for row in everything(second)["marts.visits"] if row[0] in (1, 7)} == {(1, "one"), (7, "changed")}


@pytest.mark.parametrize(
    "lie",
    [
        "delete from changes.marts__visits where number = 1007 and not is_gone",
        "update changes.marts__visits set word = 'another' where number = 1007 and not is_gone",
        "delete from marts.visits where number = 8",
    ],
    ids=["a row missing", "another row", "unnoted"],
)
def test_notes_that_do_not_hold_are_found_out(workspace: Workspace, lie: str) -> None:
    def change_and_lie(connection: warehouse.Connection) -> None:
        change_visits(connection)
        connection.execute(lie)

    run(workspace, "r1", customers=3, alter=make_visits)
    second = run(workspace, "r2", customers=3, alter=change_and_lie)
    with warehouse.open_build(workspace.build_file, as_of_on=day(1), run_id="r2") as connection:
        built = connection.execute("from marts.visits order by all").fetchall()
        held = warehouse.table_contents(connection, "marts.visits")
    assert everything(second)["marts.visits"] == built
    assert told_of(second)["tables"]["marts.visits"]["contents"] == held


def test_an_erasure_writes_a_file_anew_that_may_hold_bytes_of_rows_that_are_no_more(workspace: Workspace) -> None:
    """A file that began as a copy: DuckDB marks a row as gone and leaves it where it is."""
    first = run(workspace, "r1", customers=3, alter=make_visits)
    second = run(workspace, "r2", customers=3, alter=change_visits)
    rows, file = everything(second), second.database.stat().st_ino
    kept = first.database.stat().st_ino
    erase(workspace, Subject(customer_ids=frozenset({"nobody"})), erased_on=dt.date(2026, 3, 2))
    assert second.database.stat().st_ino != file
    assert first.database.stat().st_ino == kept
    assert everything(second) == rows
    third = run(workspace, "r3", customers=3)
    assert told_of(third)["database"]["began_from"] == second.version
    assert everything(third)["marts.visits"] == rows["marts.visits"]

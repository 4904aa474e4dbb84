"""An increment takes over the tables that did not change, and only those."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from orchestration import warehouse
from orchestration.errors import BuildError
from orchestration.publish import Publication, publish
from orchestration.settings import Workspace
from tests.unit.publish import toy
from tests.unit.publish.toy import day, new_workspace, plan

HISTORY = (
    "create or replace table segments.history as select i as number, md5(i::varchar) as word from range(9000) t(i)"
)


def run(workspace: Workspace, run_id: str, *, customers: int, change: str = "") -> Publication:
    """One run of the first of March, with a table of 9,000 rows that `change` may alter."""
    planned = plan(workspace, day(1), run_id=run_id, inputs=run_id)
    toy.build(workspace, planned, customers=customers)
    with warehouse.open_build(planned.build_path, as_of_on=planned.as_of_on, run_id=run_id) as connection:
        connection.execute(HISTORY)
        if change:
            connection.execute(change)
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

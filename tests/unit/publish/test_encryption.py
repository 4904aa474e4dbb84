"""Encryption at rest of the build and the publications: what stands in the bytes, and that all goes on working."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from orchestration import protection, warehouse
from orchestration.cli import cli
from orchestration.contracts.company import Access
from orchestration.contracts.subject import Subject
from orchestration.errors import UsageError
from orchestration.publish import current, erase, rekey, rollback
from orchestration.settings import Workspace
from tests.unit.publish.toy import build, customers_seen, day, new_workspace, plan, publish_plan, run

ROLES = Access(roles=("aggregate",), encrypted=True)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = new_workspace(tmp_path)
    protection.open_databases(workspace)
    return workspace


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_the_bytes_of_build_and_publication_hold_nobody(workspace: Workspace, tmp_path: Path) -> None:
    plain = new_workspace(tmp_path / "plain")
    names = (b"private", b"last_name", b"customer_360", b"The lasting id")
    for where, is_encrypted in ((plain, False), (workspace, True)):
        planned = plan(where, day(1), run_id="r1")
        build(where, planned, customers=3, encrypted=is_encrypted)
        opened = warehouse.connect(planned.build_path)  # as long as it is open, its log is beside it
        try:
            opened.execute("insert into landing.customers values ('private')")
            found = bytes_of(where.build)
        finally:
            opened.close()
        published = publish_plan(where, planned)
        found += published.database.read_bytes()
        assert [name for name in names if name in found] == ([] if is_encrypted else list(names))
    assert not (published.path / "parquet").exists()
    told = json.loads((published.path / "manifest.json").read_text(encoding="utf-8"))
    assert told["database"]["is_encrypted"]
    assert {table["file"] for table in told["tables"].values()} == {None}


def test_without_the_key_it_does_not_open(workspace: Workspace) -> None:
    published = run(workspace, day(1), run_id="r1", encrypted=True)
    with pytest.raises(duckdb.Error, match="without a key"):
        duckdb.connect(str(published.database), read_only=True)
    workspace.key_file.write_text(f"k1 {secrets.token_hex(32)}\n", encoding="ascii")
    with pytest.raises(UsageError, match="key k1 is not the one"):
        customers_seen(workspace)


def test_runs_follow_each_other_and_a_rollback_goes_back(workspace: Workspace) -> None:
    run(workspace, day(1), run_id="r1", customers=3, encrypted=True)
    planned = plan(workspace, day(2), run_id="r2")
    assert planned.mode == "increment"
    build(workspace, planned, customers=5, encrypted=True)
    publish_plan(workspace, planned)
    assert warehouse.is_encrypted(workspace.build_file)
    assert customers_seen(workspace) == 5
    rollback(workspace)
    assert customers_seen(workspace) == 3


def test_an_erasure_leaves_an_encrypted_publication_without_the_person(workspace: Workspace) -> None:
    published = run(workspace, day(1), run_id="r1", encrypted=True)
    erase(workspace, Subject(customer_ids=frozenset({"c1"})), erased_on=day(2))
    assert warehouse.is_encrypted(published.database)
    reader = warehouse.connect(published.database, read_only=True)
    assert reader.execute("select customer_id from rcu.customers order by 1").fetchall() == [("c0",), ("c2",)]
    assert reader.execute("select comment from duckdb_tables() where table_name = 'customers'").fetchall() == [
        ("One row per customer",)
    ]
    reader.close()
    assert json.loads((published.path / "manifest.json").read_text(encoding="utf-8"))["tables"]["rcu.customers"][
        "rows"
    ] == 2  # fmt: skip


def test_a_query_from_the_command_line_reads_it(workspace: Workspace) -> None:
    run(workspace, day(1), run_id="r1", encrypted=True)
    done = CliRunner().invoke(
        cli, ["--workspace", str(workspace.root), "query", "select count(*) as n from rcu.customers join "
              "marts.customer_360 using (customer_id)", "--json"], catch_exceptions=False,
    )  # fmt: skip
    assert json.loads(done.output) == {"n": 3}


def test_after_a_rotation_all_is_under_the_new_key_and_nothing_under_the_old(workspace: Workspace) -> None:
    first = run(workspace, day(1), run_id="r1", customers=3, encrypted=True)
    second = run(workspace, day(2), run_id="r2", customers=5, inputs="more", encrypted=True)
    (old,) = protection.database_keys(workspace)
    protection.rotate(workspace)
    assert customers_seen(workspace) == 5, "what the old key wrote is read before it is written anew"
    assert rekey(workspace, Access()).publications == 2
    new = protection.database_keys(workspace)[0]
    for published in (first, second):
        assert warehouse.opens(published.database, new)
        assert not warehouse.opens(published.database, old)
        assert published.path.stat().st_mode & 0o222 == 0
    assert not workspace.build_file.exists()
    assert customers_seen(workspace) == 5
    assert current(workspace) == second.__class__(**{**vars(second), "is_current": True})


def test_two_connections_of_one_process_see_each_other_s_work(workspace: Workspace) -> None:
    planned = plan(workspace, day(1), run_id="r1")
    build(workspace, planned, customers=3, encrypted=True)
    one, other = warehouse.connect(planned.build_path), warehouse.connect(planned.build_path)
    one.execute("create table rcu.made as select 42 as answer")
    assert other.execute("select answer from rcu.made").fetchall() == [(42,)]
    assert warehouse.cursor_on(other).execute("select answer from rcu.made").fetchall() == [(42,)]
    # dbt opens this name, and must find the database by its own name there
    third = duckdb.connect(warehouse.dbt_path(planned.build_path))
    assert third.execute("select answer from warehouse.rcu.made").fetchall() == [(42,)]
    for connection in (one, other, third):
        connection.close()

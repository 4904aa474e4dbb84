"""One publication: what is in it, what refuses it, what a reader and an auditor find."""

from __future__ import annotations

import hashlib
import json
import stat
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from orchestration import registry, warehouse
from orchestration.cli import cli
from orchestration.errors import BuildError, GateError
from orchestration.publish import current, list_publications, publish
from orchestration.settings import Workspace
from tests.unit.publish.toy import build, customers_seen, day, new_workspace, plan, publish_plan, run


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return new_workspace(tmp_path)


def test_analysts_query_schema_and_table_through_the_pointer(workspace: Workspace) -> None:
    published = run(workspace, day(1), run_id="r1")
    reader = duckdb.connect(str(workspace.published / "current" / "rcu.duckdb"), read_only=True)
    assert reader.execute("select current_database()").fetchall() == [("rcu",)]
    assert reader.execute("select count(*) from rcu.customers").fetchall() == [(3,)]
    assert reader.execute("select sum(amount_net) from marts.customer_360").fetchall()[0][0] == 37.5
    assert reader.execute("select count(*) from segments.sizes").fetchall() == [(2,)]
    reader.close()
    assert published.is_current
    assert (published.version, published.tables["rcu.customers"]) == ("20260301-0001", 3)


def test_only_published_schemas_are_copied_and_tables_only(workspace: Workspace) -> None:
    published = run(workspace, day(1), run_id="r1")
    assert set(published.tables) == {"rcu.customers", "marts.customer_360", "segments.sizes", "audit.checks"}
    reader = duckdb.connect(str(published.database), read_only=True)
    kinds = reader.execute("select distinct table_type from information_schema.tables").fetchall()
    names = {name for (name,) in reader.execute("select table_name from duckdb_tables()").fetchall()}
    reader.close()
    assert kinds == [("BASE TABLE",)]
    assert names == {"customers", "customer_360", "sizes", "checks"}


def test_descriptions_come_along(workspace: Workspace) -> None:
    published = run(workspace, day(1), run_id="r1")
    reader = duckdb.connect(str(published.database), read_only=True)
    table = reader.execute("select comment from duckdb_tables() where table_name = 'customers'").fetchall()
    column = reader.execute("select comment from duckdb_columns() where column_name = 'customer_id' "
                            "and table_name = 'customers'").fetchall()  # fmt: skip
    reader.close()
    assert (table, column) == ([("One row per customer",)], [("The lasting id",)])


def test_what_the_build_does_not_describe_is_described_as_declared(workspace: Workspace) -> None:
    published = run(workspace, day(1), run_id="r1")
    reader = duckdb.connect(str(published.database), read_only=True)
    told = dict(
        reader.execute("select column_name, comment from duckdb_columns() where table_name = 'customer_360'").fetchall()
    )
    reader.close()
    assert told["customer_id"] == "Lasting id of the customer; unit: key; from rcu.customers; personal data: reference"
    assert all(told.values())


def test_the_manifest_counts_and_hashes_every_table(workspace: Workspace) -> None:
    published = run(workspace, day(1), run_id="r1")
    told = json.loads((published.path / "manifest.json").read_text(encoding="utf-8"))
    assert (told["as_of_on"], told["run_id"], told["is_forward"]) == ("2026-03-01", "r1", True)
    assert told["gates"] == {"publish": {"passed": 1, "warned": 0, "failed": 0}}
    for name, table in {**told["tables"], "database": told["database"]}.items():
        file = published.path / table["file"]
        assert hashlib.sha256(file.read_bytes()).hexdigest() == table["sha256"], name
    parquet = str(published.path / "parquet" / "rcu" / "customers.parquet")
    assert duckdb.sql(f"select count(*) from '{parquet}'").fetchall() == [(3,)]


def test_a_publication_is_sealed(workspace: Workspace) -> None:
    published = run(workspace, day(1), run_id="r1")
    for path in [published.path, *published.path.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o550 if path.is_dir() else 0o440), path
    assert not list(published.path.rglob("*.wal"))


def test_a_build_of_another_run_or_date_is_refused(workspace: Workspace) -> None:
    planned = plan(workspace, day(2), run_id="r1")
    build(workspace, planned, customers=1)
    for as_of_on, run_id in ((day(2), "r2"), (day(3), "r1")):
        with pytest.raises(BuildError, match="this build is of 2026-03-02 by run r1"):
            publish(workspace, planned.build_path, as_of_on=as_of_on, run_id=run_id, version=planned.version,
                    fingerprint="f", is_forward=True)  # fmt: skip
    assert list_publications(workspace) == []


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("update rcu.customers set as_of_on = date '2026-02-27' where customer_id = 'c1'", "rcu.customers carries"),
        ("update rcu.customers set as_of_on = null where customer_id = 'c1'", "rcu.customers carries"),
        ("delete from segments.sizes where as_of_on = date '2026-03-02'", "segments.sizes carries"),
    ],
)
def test_tables_of_mixed_dates_are_refused_and_the_last_publication_stays(
    workspace: Workspace, damage: str, told: str
) -> None:
    run(workspace, day(1), run_id="r1", customers=3)
    planned = plan(workspace, day(2), run_id="r2", inputs="more")
    build(workspace, planned, customers=4)
    with warehouse.open_build(planned.build_path, as_of_on=day(2), run_id="r2") as connection:
        connection.execute(damage)
    with pytest.raises(BuildError, match=told):
        publish_plan(workspace, planned)
    assert customers_seen(workspace) == 3
    assert len(registry.commits(workspace)) == 1
    assert not warehouse.read_stamp(planned.build_path).is_complete


def test_an_empty_table_is_of_any_date(workspace: Workspace) -> None:
    assert run(workspace, day(1), run_id="r1", customers=0).tables["rcu.customers"] == 0


def test_a_failed_gate_is_refused(workspace: Workspace) -> None:
    planned = plan(workspace, day(1), run_id="r1")
    build(workspace, planned, customers=1)
    with warehouse.open_build(planned.build_path, as_of_on=day(1), run_id="r1") as connection:
        connection.execute("update audit.checks set passed = false")
    with pytest.raises(GateError, match="gate publish failed"):
        publish_plan(workspace, planned)


def test_a_gate_that_never_ran_is_not_one_that_passed(workspace: Workspace) -> None:
    planned = plan(workspace, day(1), run_id="r1")
    build(workspace, planned, customers=1)
    with pytest.raises(GateError, match="gate golden, landing has no result of run r1"):
        publish(workspace, planned.build_path, as_of_on=day(1), run_id="r1", version=planned.version, fingerprint="f",
                is_forward=True, required_gates=["landing", "golden", "publish"])  # fmt: skip


def test_a_schema_without_tables_is_refused(workspace: Workspace) -> None:
    planned = plan(workspace, day(1), run_id="r1")
    build(workspace, planned, customers=1)
    with warehouse.open_build(planned.build_path, as_of_on=day(1), run_id="r1") as connection:
        connection.execute("drop table segments.sizes")
    with pytest.raises(BuildError, match="no table in schema segments"):
        publish_plan(workspace, planned)


def test_a_backfill_writes_a_dated_publication_and_nothing_else(workspace: Workspace) -> None:
    run(workspace, day(5), run_id="r5", customers=5)
    dated = run(workspace, day(3), run_id="r3", customers=3)
    assert (dated.is_forward, dated.is_current, dated.as_of_on) == (False, False, day(3))
    assert current(workspace).run_id == "r5"
    assert customers_seen(workspace) == 5
    assert [commit.run_id for commit in registry.commits(workspace)] == ["r5"]
    assert warehouse.read_stamp(workspace.build_file).is_complete


def test_the_build_stays_open_to_its_process(workspace: Workspace) -> None:
    """dbt keeps a handle on the build file in the process that publishes."""
    planned = plan(workspace, day(1), run_id="r1")
    build(workspace, planned, customers=2)
    kept = duckdb.connect(str(planned.build_path))
    publish_plan(workspace, planned)
    databases = {name for (name,) in kept.execute("select database_name from duckdb_databases()").fetchall()}
    kept.close()
    assert "publication" not in databases
    assert customers_seen(workspace) == 2


def test_a_csv_of_a_query_holds_nothing_that_a_spreadsheet_takes_for_a_formula(workspace: Workspace) -> None:
    run(workspace, day(1), run_id="r1")
    sql = "select '=1+1' as a, '@x' as b, '+33612345678' as c, -2.5 as d, null as e, '-5' as f, '-x' as g"
    done = CliRunner().invoke(cli, ["--workspace", str(workspace.root), "query", sql, "--csv"])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == ["a,b,c,d,e,f,g", "'=1+1,'@x,+33612345678,-2.5,,-5,'-x"]

"""The record-level models: an increment over touched records gives what a rebuild gives.

The `prepare` models run on a small build that remembers what its tables hold; then records change, go and come, and
the same models run again on the touched ones. The rows must be those of a build made from nothing on the final state.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestration import changes
from orchestration.contracts.entities import ENTITIES, LANDING_COLUMNS, SQL_TYPES, VERSION_COLUMNS
from orchestration.settings import DBT_PROJECT_DIR
from orchestration.warehouse import Connection, connect, table_contents

pytestmark = pytest.mark.slow

MODELS = ("stg_customers", "int_person_names", "int_customer_records", "int_identity_records")
PLACE = {"stg_customers": "staging"}

Record = dict[str, str]

#: So many stay as they are that working out the others alone is worth it.
OTHERS: dict[str, Record] = {f"9{n}": {"last_name": f"Other {n}", "first_name": "Anne"} for n in range(30)}
FIRST: dict[str, Record] = {
    **OTHERS,
    "1": {"last_name": "DURAND", "first_name": "Hélène", "email": "h.durand@gmial.com", "phone": "0612345670"},
    "2": {"full_name": "MARTIN PAUL", "full_name_order": "last_first", "postal_code": "1400", "city": "ambleon"},
    "3": {"last_name": "Petit", "first_name": "Marc", "address_line": "3 av. du Gal Leclerc", "city": "Grasse"},
    "4": {"last_name": "Leroy", "first_name": "Zoé", "email": "zoe@free.fr"},
}
#: 2 moved, 4 is gone, 5 is new; 1 and 3 are as they were.
LAST: dict[str, Record] = {
    **OTHERS,
    "1": FIRST["1"],
    "2": {"full_name": "MARTIN PAUL", "full_name_order": "last_first", "postal_code": "69003", "city": "lyon 3eme"},
    "3": FIRST["3"],
    "5": {"last_name": "Moreau", "first_name": "Luc", "phone": "+33 (0)7 87 65 43 21"},
}


def write_control(connection: Connection) -> None:
    for schema in ("control", "landing"):
        connection.execute(f"create schema {schema}")
    connection.execute("create table control.as_of as select date '2026-11-22' as as_of_on")
    connection.execute("create table control.company as select 'FR' as country, 'Europe/Paris' as time_zone")
    connection.execute("create table control.sources as select 'crm' as source, 1 as trust_rank")
    connection.execute("create table control.touched_records (source varchar, record_id varchar)")
    for entity in ENTITIES.values():
        columns = (*entity.columns, *LANDING_COLUMNS, *(VERSION_COLUMNS if entity.is_state else ()))
        typed = ", ".join(f'"{column.name}" {SQL_TYPES[column.kind]}' for column in columns)
        connection.execute(f"create table {entity.table} ({typed})")


def write_records(path: Path, records: dict[str, Record], touched: set[str]) -> None:
    connection = connect(path)
    if not connection.execute("select 1 from duckdb_schemas() where schema_name = 'control'").fetchall():
        write_control(connection)
    connection.execute("delete from landing.customers")
    connection.execute("delete from control.touched_records")
    for key, record in records.items():
        known = {
            "source": "crm", "record_id": key, "row_key": key, "row_hash": repr(record), **record,
            "is_current": True, "is_deleted": False, "first_seen_on": "2026-11-01", "valid_from_on": "2026-11-01",
            "last_seen_on": "2026-11-22",
        }  # fmt: skip
        names = ", ".join(f'"{name}"' for name in known)
        connection.execute(
            f"insert into landing.customers ({names}) values ({', '.join('?' * len(known))})", list(known.values())
        )
    for key in sorted(touched):
        connection.execute("insert into control.touched_records values ('crm', ?)", [key])
    changes.prepare(connection)
    connection.execute("create table if not exists control.keys_touched (place varchar, keys bigint)")
    connection.execute(
        "create table if not exists control.table_inputs (place varchar, input varchar, contents varchar)"
    )
    for place in inputs_of(connection):
        changes.note_whole(connection, place)
    connection.close()


def inputs_of(connection: Connection) -> list[str]:
    found = connection.execute(
        "select schema_name || '.' || table_name from duckdb_tables() where schema_name = 'landing' "
        "or (schema_name = 'control' and table_name in ('as_of', 'company', 'sources', 'touched_records'))"
    ).fetchall()
    return [place for (place,) in found]


def run_dbt(path: Path, state: Path, parsed: dict[str, Any]) -> None:
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    os.environ["RCU_BUILD_FILE"] = str(path)
    folder = ["--project-dir", str(DBT_PROJECT_DIR), "--profiles-dir", str(DBT_PROJECT_DIR)]
    kept = ["--target-path", str(state / "target"), "--log-path", str(state / "logs")]
    chosen = ["--select", "+int_identity_records", "--exclude-resource-type", "unit_test"]
    try:
        if "manifest" not in parsed:
            parsed["manifest"] = dbtRunner().invoke(["--quiet", "parse", *folder, *kept]).result
        outcome = dbtRunner(manifest=parsed["manifest"]).invoke(["--quiet", "build", *chosen, *folder, *kept])
    finally:
        DuckDBConnectionManager.close_all_connections()
        gc.collect()
    assert outcome.success, outcome.exception or [str(r.message) for r in outcome.result if str(r.status) == "error"]


def rows(path: Path, model: str) -> list[tuple]:
    connection = connect(path)
    found = connection.execute(
        f"select * from {PLACE.get(model, 'intermediate')}.{model} order by source, record_id"
    ).fetchall()
    connection.close()
    return found


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """(grown by an increment, made from nothing) on the same final records."""
    before = os.environ.get("RCU_BUILD_FILE")
    folder = tmp_path_factory.mktemp("touched")
    grown, fresh = folder / "grown" / "warehouse.duckdb", folder / "fresh" / "warehouse.duckdb"
    parsed: dict[str, Any] = {}
    grown.parent.mkdir()
    fresh.parent.mkdir()
    write_records(grown, FIRST, set(FIRST))
    run_dbt(grown, folder, parsed)
    write_records(grown, LAST, {"2", "4", "5"})
    run_dbt(grown, folder, parsed)
    write_records(fresh, LAST, set(LAST))
    run_dbt(fresh, folder, parsed)
    yield grown, fresh
    if before is None:
        os.environ.pop("RCU_BUILD_FILE", None)
    else:
        os.environ["RCU_BUILD_FILE"] = before


@pytest.mark.parametrize("model", MODELS)
def test_an_increment_gives_what_a_rebuild_gives(builds: tuple[Path, Path], model: str) -> None:
    grown, fresh = builds
    assert rows(grown, model) == rows(fresh, model)


def test_a_record_that_went_leaves_no_row(builds: tuple[Path, Path]) -> None:
    grown, _ = builds
    found = {row[1] for row in rows(grown, "int_identity_records")}
    assert found - OTHERS.keys() == {"1", "2", "3", "5"}


def test_a_record_that_changed_shows_its_new_values(builds: tuple[Path, Path]) -> None:
    connection = connect(builds[0])
    found = connection.execute(
        "select last_name, first_name, postal_code, commune_code from intermediate.int_customer_records "
        "where record_id = '2'"
    ).fetchall()
    connection.close()
    assert found == [("martin", "paul", "69003", "69123")]


def test_only_what_was_touched_is_worked_out(builds: tuple[Path, Path]) -> None:
    """The rows that went and came are those of the touched records, and the fingerprints are of what is there."""
    connection = connect(builds[0])
    for model in MODELS:
        place = f"{PLACE.get(model, 'intermediate')}.{model}"
        keys = connection.execute(f"select touched_key from control.touched__{model} order by all").fetchall()
        assert keys == [("crm:2",), ("crm:4",), ("crm:5",)]
        told = connection.execute(
            f"select record_id, is_gone from changes.{place.replace('.', '__')} order by all"
        ).fetchall()
        moved = [] if model == "int_person_names" else [("2", False), ("2", True)]  # who moves keeps the name
        assert told == [*moved, ("4", True), ("5", False)]
        assert changes.known_contents(connection, place) == table_contents(connection, place)
    connection.close()

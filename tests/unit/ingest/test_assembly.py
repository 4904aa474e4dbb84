"""The landing tables of a build: what was known on a day, one row per key or version."""

from __future__ import annotations

import datetime as dt

import duckdb
import pytest

from orchestration.contracts.entities import ENTITIES, LANDING_COLUMNS, SQL_TYPES, VERSION_COLUMNS
from orchestration.errors import SourceError
from orchestration.ingest import refused_files

from .conftest import CUSTOMERS, Shop

HEADER = "ID,NAME,BORN\n"


def day(number: int) -> dt.date:
    return dt.date(2026, 11, number)


def deliver(shop: Shop, number: int, rows: str, received: int | None = None) -> None:
    shop.drop(f"shop_202611{number:02d}.csv", HEADER + rows)
    shop.receive(day(received or number))


def history(connection: duckdb.DuckDBPyConnection) -> list[tuple[object, ...]]:
    return connection.execute(
        "select record_id, last_name, day(valid_from_on), day(last_seen_on), is_current, is_deleted, "
        "day(first_seen_on) "
        "from landing.customers order by record_id, valid_from_on"
    ).fetchall()


def test_an_empty_workspace_gives_every_table_with_its_columns_and_types(shop: Shop) -> None:
    connection = shop.build()
    report = shop.receive()
    assert report.files == ()
    shop.day(day(20), connection)
    for entity in ENTITIES.values():
        expected = [(c.name, SQL_TYPES[c.kind].upper()) for c in (*entity.columns, *LANDING_COLUMNS)]
        if entity.is_state:
            expected += [(c.name, SQL_TYPES[c.kind].upper()) for c in VERSION_COLUMNS]
        found = connection.execute(
            "select column_name, data_type from duckdb_columns() where schema_name = 'landing' and table_name = ? "
            "order by column_index",
            [entity.plural],
        ).fetchall()
        assert found == expected, entity.name


def test_history_deletion_and_return_of_a_record(customers: Shop) -> None:
    many = "".join(f"9{n},Other,\n" for n in range(8))
    deliver(customers, 1, "1,Martin,\n2,Petit,\n" + many)
    deliver(customers, 2, "1,Martin,\n2,Grand,\n" + many)
    deliver(customers, 3, "2,Grand,\n" + many)
    deliver(customers, 4, "1,Martin,\n2,Petit,\n" + many)
    connection = customers.build()
    seen = {}
    for number in (1, 2, 3, 4):
        customers.day(day(number), connection)
        seen[number] = [row for row in history(connection) if row[1] != "Other"]
    assert seen[1] == [("1", "Martin", 1, 1, True, False, 1), ("2", "Petit", 1, 1, True, False, 1)]
    assert seen[2] == [
        ("1", "Martin", 1, 2, True, False, 1),
        ("2", "Petit", 1, 1, False, False, 1),
        ("2", "Grand", 2, 2, True, False, 1),
    ]
    assert seen[3][0] == ("1", "Martin", 1, 2, True, True, 1)
    assert seen[4] == [
        ("1", "Martin", 1, 4, True, False, 1),
        ("2", "Petit", 1, 1, False, False, 1),
        ("2", "Grand", 2, 3, False, False, 1),
        ("2", "Petit", 4, 4, True, False, 1),
    ]


def test_a_delta_delivery_deletes_nothing(shop: Shop) -> None:
    shop.declare(CUSTOMERS + "delivery: delta\n")
    deliver(shop, 1, "1,Martin,\n2,Petit,\n")
    deliver(shop, 2, "2,Grand,\n")
    connection = shop.build()
    shop.day(day(2), connection)
    assert [row[:2] + row[4:6] for row in history(connection)] == [
        ("1", "Martin", True, False),
        ("2", "Petit", False, False),
        ("2", "Grand", True, False),
    ]


def test_a_record_whose_row_is_in_quarantine_is_not_deleted(customers: Shop) -> None:
    deliver(customers, 1, "1,Martin,\n2,Petit,\n3,Grand,\n4,Moyen,\n")
    deliver(customers, 2, "1,Martin,not a date\n2,Petit,\n3,Grand,\n")
    connection = customers.build()
    customers.day(day(2), connection)
    assert [(row[0], row[5]) for row in history(connection)] == [("1", False), ("2", False), ("3", False), ("4", True)]


def test_a_late_file_is_known_from_the_day_it_came_and_takes_its_place_in_history(customers: Shop) -> None:
    deliver(customers, 1, "1,First,\n")
    deliver(customers, 3, "1,Third,\n")
    deliver(customers, 2, "1,Second,\n", received=5)
    connection = customers.build()
    customers.day(day(4), connection)
    assert [row[1] for row in history(connection)] == ["First", "Third"]
    customers.day(day(5), connection)
    assert [(row[1], row[4]) for row in history(connection)] == [("First", False), ("Second", False), ("Third", True)]


def test_the_last_line_of_a_key_wins_within_a_file(customers: Shop) -> None:
    deliver(customers, 1, "1,Martin,\n1,Petit,\n")
    connection = customers.build()
    customers.day(day(1), connection)
    assert history(connection) == [("1", "Petit", 1, 1, True, False, 1)]


def test_touched_records_are_all_in_a_new_build_then_those_that_changed(customers: Shop) -> None:
    deliver(customers, 1, "1,Martin,\n2,Petit,\n3,Grand,\n4,Moyen,\n5,Court,\n")
    connection = customers.build()
    assert customers.day(day(1), connection).touched_records == 5
    deliver(customers, 2, "1,Martin,\n2,Changed,\n3,Grand,\n4,Moyen,\n6,New,\n")
    assert customers.day(day(2), connection).touched_records == 3
    touched = connection.execute("select source, record_id from control.touched_records order by all").fetchall()
    assert touched == [("shop", "2"), ("shop", "5"), ("shop", "6")]
    assert customers.day(day(2), connection).touched_records == 0


EVENTS = """
source: clicks
describes: events with a key
trust_rank: 2
delivery: delta
cadence_days: 2
required: true
file: {pattern: "clicks_{date}.csv"}
delivers:
  event: {key: ID, columns: {event_type: {constant: email_click}, occurred_at: {from: WHEN}, value: {from: V}}}
"""


def test_a_fact_is_its_last_version(shop: Shop) -> None:
    shop.declare(EVENTS)
    shop.drop("clicks_2026-11-01.csv", "ID,WHEN,V\n1,2026-11-01,1\n2,2026-11-01,1\n")
    shop.drop("clicks_2026-11-02.csv", "ID,WHEN,V\n1,2026-11-01,2\n3,2026-11-02,1\n3,2026-11-02,9\n")
    shop.receive(day(2))
    connection = shop.build()
    shop.day(day(2), connection)
    values = connection.execute("select row_key, value::int from landing.events order by row_key").fetchall()
    assert values == [("1", 2), ("2", 1), ("3", 9)]


def test_freshness_and_missing_sources_are_told(shop: Shop) -> None:
    shop.declare(EVENTS, CUSTOMERS)
    connection = shop.build()
    report = shop.day(day(1), connection)
    assert (report.late_sources, report.missing_required) == (("clicks",), ("clicks",))
    shop.drop("clicks_2026-11-01.csv", "ID,WHEN,V\n1,2026-11-01,1\n")
    shop.receive(day(1))
    late = {number: shop.day(day(number), connection).late_sources for number in (1, 3, 4)}
    assert late == {1: (), 3: (), 4: ("clicks",)}
    row = connection.execute(
        "select last_business_on, age_days, cadence_days, is_late, delivery_count, is_missing "
        "from audit.freshness where source = 'clicks'"
    ).fetchall()
    assert row == [(day(1), 3, 2, True, 1, False)]


def test_the_audit_tables_tell_what_was_delivered_without_raw_text(customers: Shop) -> None:
    deliver(customers, 1, "1,Martin,\n2,Petit,31/31/2000\n3,,\n")
    deliver(customers, 2, "1,Martin,\n")
    connection = customers.build()
    report = customers.day(day(1), connection)
    assert report.unbalanced == ()
    columns = [name for name, *_ in connection.execute("describe audit.quarantine").fetchall()]
    assert "raw_text" not in columns and "row_key" not in columns
    files = connection.execute(
        "select file_name, status, rows_read, rows_landed, rows_quarantined, rows_difference, is_effective "
        "from audit.files"
    ).fetchall()
    assert files == [("shop_20261101.csv", "refused", 3, 0, 3, 0, False)]
    customers.day(day(2), connection)
    profile = connection.execute(
        "select column_name, rows, filled_rate, distinct_count from audit.source_profile "
        "where column_name in ('last_name', 'email') order by column_name"
    ).fetchall()
    assert profile == [("email", 1, 0.0, 0), ("last_name", 1, 1.0, 1)]
    counts = connection.execute("select entity, rows_declared, rows_found from audit.landing_counts").fetchall()
    assert counts == [("customer", 1, 1)]


def test_a_lost_landing_file_is_an_error_that_names_it(customers: Shop) -> None:
    deliver(customers, 1, "1,Martin,\n")
    for path in customers.workspace.landing.glob("customer/source=*/*/*.parquet"):
        path.unlink()
    with pytest.raises(SourceError, match="this landing file is missing"):
        customers.day(day(1), customers.build())


def test_a_landing_file_of_an_older_shape_is_still_read(customers: Shop) -> None:
    deliver(customers, 1, "1,Martin,\n")
    for path in customers.workspace.landing.glob("customer/source=*/*/*.parquet"):
        duckdb.sql(
            f"copy (select * exclude (first_line, last_name), 2 as line_number from read_parquet('{path}')) "
            f"to '{path}.new' (format parquet)"
        )
        path.unlink()
        path.with_name(path.name + ".new").rename(path)
    connection = customers.build()
    customers.day(day(1), connection)
    rows = connection.execute("select row_key, last_name, line_number from landing.customers").fetchall()
    assert rows == [("1", None, 2)]


def test_deliveries_of_a_source_no_longer_declared_are_left_out(customers: Shop) -> None:
    deliver(customers, 1, "1,Martin,\n")
    customers.sources.clear()
    connection = customers.build()
    report = customers.day(day(1), connection)
    assert report.left_out == ("shop",)
    assert connection.execute("select count(*) from landing.customers").fetchone() == (0,)


def open_files(shop: Shop, on: dt.date) -> list[tuple[object, ...]]:
    connection = shop.build()
    shop.day(on, connection)
    return connection.execute(
        "select file_name, status, run_id from audit.files where is_open order by file_name"
    ).fetchall()


def test_a_refusal_is_open_until_a_delivery_mends_it(shop: Shop) -> None:
    bad, good = "ID,NAME,BORN\n1,Martin,soon\n2,Petit,soon\n", "ID,NAME,BORN\n1,Martin,\n2,Petit,\n"
    shop.declare(CUSTOMERS, CUSTOMERS.replace("shop", "daily").replace("trust_rank", "delivery: delta\ntrust_rank"))
    for name in ("shop_20261117.csv", "daily_20261117.csv", "daily_20261118.csv", "stray.csv"):
        shop.drop(name, bad if name != "stray.csv" else "A\n1\n")
    shop.receive(dt.date(2026, 11, 18))
    assert open_files(shop, dt.date(2026, 11, 18)) == [
        ("daily_20261117.csv", "refused", "test"), ("daily_20261118.csv", "refused", "test"),
        ("shop_20261117.csv", "refused", "test"), ("stray.csv", "unmatched", "test"),
    ]  # fmt: skip
    # A later full delivery holds everything; a delta makes up for its own day only.
    for name in ("shop_20261119.csv", "daily_20261119.csv", "daily_20261118.csv"):
        shop.drop(name, good)
    shop.receive(dt.date(2026, 11, 19))
    assert [name for name, *_ in open_files(shop, dt.date(2026, 11, 19))] == ["daily_20261117.csv", "stray.csv"]
    assert [file.file_name for file in refused_files(shop.workspace)] == ["daily_20261117.csv", "stray.csv"]
    assert ("shop_20261117.csv", "refused", "test") in open_files(shop, dt.date(2026, 11, 18)), "as of that day"

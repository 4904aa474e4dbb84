"""A check is asked again when a table that it reads, its declaration or the date is another; else it finds the same."""

from __future__ import annotations

from typing import Any

import pytest

from orchestration.contracts.gate import Check, Gate
from orchestration.quality import CheckResult, gates, run_gate
from orchestration.warehouse import Connection, connect


@pytest.fixture
def build() -> Connection:
    connection = connect()
    connection.execute(
        """
        create schema control;
        create schema rcu;
        create table control.as_of as select date '2026-03-02' as as_of_on;
        create table rcu.customers as select 'c1' as customer_id, date '2026-03-01' as since_on;
        create table rcu.orders as select 'o1' as order_id, 'c1' as customer_id;
        create table control.table_contents (place varchar, contents varchar);
        insert into control.table_contents values ('rcu.customers', 'first'), ('rcu.orders', 'first');
        """
    )
    return connection


def told(connection: Connection, table: str, contents: str | None) -> None:
    connection.execute("delete from control.table_contents where place = ?", [table])
    if contents is not None:
        connection.execute("insert into control.table_contents values (?, ?)", [table, contents])


def check(expect: str = "expect_table_row_count_to_equal", **more: Any) -> Check:
    given = {"name": "it", "table": "rcu.orders", "arguments": {"value": 1}, "describes": "Do this", **more}
    return Check(expect=expect, **given)


SUBSET = {"expect": "is_subset_of", "arguments": {"columns": ["customer_id"], "other": "rcu.customers"}}
KEYS = {"keys": ("order_id",)}


def judge(connection: Connection, one: Check) -> CheckResult:
    return run_gate(connection, Gate(gate="golden", describes="", checks=[one]))[0]


def test_a_check_of_tables_that_hold_the_same_is_not_asked_again(
    build: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    build.execute("insert into rcu.orders values ('o2', 'c2')")
    first = judge(build, check(**SUBSET, **KEYS))
    assert (first.passed, first.unexpected_count, first.failing_keys) == (False, 1, ({"order_id": "o2"},))

    def unasked(*_: object) -> None:
        raise AssertionError("nothing is to be asked")

    monkeypatch.setattr(gates, "open_batches", unasked)
    again = judge(build, check(**SUBSET, **KEYS))
    assert {**vars(again), "duration": 0} == {**vars(first), "duration": 0}


@pytest.mark.parametrize("table", ["rcu.orders", "rcu.customers"])
@pytest.mark.parametrize("contents", ["second", None])
def test_a_check_is_asked_again_when_a_table_that_it_reads_is_another_or_unknown(
    build: Connection, table: str, contents: str | None
) -> None:
    assert judge(build, check(**SUBSET)).passed
    build.execute("update rcu.customers set customer_id = 'c9'" if table == "rcu.customers" else
                  "update rcu.orders set customer_id = 'c9'")  # fmt: skip
    told(build, table, contents)
    assert not judge(build, check(**SUBSET)).passed
    assert not judge(build, check(**SUBSET)).passed


def test_a_check_is_asked_again_when_its_declaration_is_another(build: Connection) -> None:
    assert judge(build, check()).passed
    assert not judge(build, check(arguments={"value": 2})).passed
    assert judge(build, check(severity="warn")).severity == "warn"


def test_a_check_that_reads_the_date_is_asked_again_on_another_one(build: Connection) -> None:
    one = check("not_after_as_of", table="rcu.customers", arguments={"column": "since_on"})
    assert judge(build, one).passed
    build.execute("update control.as_of set as_of_on = date '2026-02-28'")
    assert not judge(build, one).passed


def test_every_dated_table_of_a_schema_counts_where_a_check_reads_the_schema(build: Connection) -> None:
    build.execute("create table rcu.rfm as select date '2026-03-02' as as_of_on")
    told(build, "rcu.rfm", "first")
    one = check("same_as_of", arguments={"schemas": ["rcu"]})
    assert judge(build, one).passed
    build.execute("update rcu.rfm set as_of_on = date '2026-03-01'")
    told(build, "rcu.rfm", "second")
    assert not judge(build, one).passed
    build.execute("create table rcu.another as select date '2026-03-01' as as_of_on")
    told(build, "rcu.rfm", "first")
    assert not judge(build, one).passed


def test_what_could_not_be_judged_is_not_remembered(build: Connection) -> None:
    one = check("expect_column_values_to_match_regex", arguments={"column": "late_on", "regex": "x"})
    assert "no column" in judge(build, one).message
    build.execute("alter table rcu.orders add column late_on varchar default 'x'")
    assert judge(build, one).passed

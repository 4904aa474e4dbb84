"""What a gate finds, tells and keeps, on tables of a few rows."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from orchestration.contracts.gate import Check, Gate
from orchestration.errors import GateError
from orchestration.quality import CheckResult, require_passed, run_gate, write_results
from orchestration.warehouse import Connection, connect

DAY = dt.date(2026, 3, 2)


@pytest.fixture
def build() -> Connection:
    connection = connect()
    connection.execute(
        """
        create schema control;
        create table control.as_of as select date '2026-03-02' as as_of_on;
        create table control.build as select 'run1' as run_id;
        create table control.sources as
            select * from (values ('crm', true), ('web', false), ('till', true)) as sources (source, is_required);
        create schema audit;
        create table audit.files as select * from (values
            ('crm', 'landed', 10, 7, 2, 1, date '2026-03-01'),
            ('web', 'landed', 10, 7, 2, 0, date '2026-03-01'),
            ('till', 'landed', 5, 5, 0, null, date '2026-03-03')
        ) as files (source, status, rows_read, rows_landed, rows_quarantined, rows_filtered, available_on);
        create schema rcu;
        create table rcu.customers as select * from (values
            ('c1', 'ada@example.test', 2, date '2026-03-02'),
            ('c2', 'not an address', 1, date '2026-03-02'),
            ('c3', null, 90, date '2026-03-02')
        ) as customers (customer_id, email, record_count, as_of_on);
        create schema marts;
        create table marts.orders as select * from (values
            ('o1', 'c1', 10.00, 2.00, 8.00, date '2026-03-01', 0.5, 1.5),
            ('o2', 'c9', 10.00, 2.00, 7.99, date '2026-03-05', 0.5, 1.5),
            ('o3', 'unknown', 4.00, 0.00, 4.00, null, 0.0, 3.0)
        ) as orders (order_id, customer_id, amount_gross, amount_returned, amount_net, ordered_on, low, high);
        create table marts.rfm as select customer_id, date '2026-03-01' as as_of_on from rcu.customers limit 2;
        """
    )
    return connection


def _run(connection: Connection, expect: str, arguments: dict[str, Any], **more: Any) -> CheckResult:
    check = Check(
        name="it", expect=expect, arguments=arguments, describes="Do this", **{"table": "marts.orders", **more}
    )
    return run_gate(connection, Gate(gate="golden", describes="", checks=[check]))[0]


AMOUNTS = {"total": "amount_gross", "parts": ["amount_returned", "amount_net"]}


def test_rows_that_do_not_add_up_are_told_by_their_keys(build: Connection) -> None:
    result = _run(build, "rows_add_up", AMOUNTS, keys=["order_id"])
    assert (result.passed, result.unexpected_count, result.failing_keys) == (False, 1, ({"order_id": "o2"},))


def test_a_missing_part_counts_as_nothing(build: Connection) -> None:
    parts = ["rows_landed", "rows_quarantined", "rows_filtered"]
    result = _run(build, "rows_add_up", {"total": "rows_read", "parts": parts}, table="audit.files", keys=["source"])
    assert result.failing_keys == ({"source": "web"},)


def test_a_tolerance_is_taken_into_account(build: Connection) -> None:
    assert _run(build, "rows_add_up", {**AMOUNTS, "tolerance": 0.01}).passed


def test_a_subset_check_finds_the_rows_that_lead_nowhere(build: Connection) -> None:
    result = _run(
        build,
        "is_subset_of",
        {"columns": ["customer_id"], "other": "rcu.customers"},
        where=[{"column": "customer_id", "not_equals": "unknown"}],
        keys=["order_id", "customer_id"],
    )
    assert result.failing_keys == ({"order_id": "o2", "customer_id": "c9"},)


def test_a_required_source_without_a_delivery_in_time_is_found(build: Connection) -> None:
    covers = {"columns": ["source"], "other": "control.sources", "other_flag": "is_required"}
    in_time = [{"column": "status", "equals": "landed"}, {"column": "available_on", "until_as_of": True}]
    result = _run(build, "covers", covers, table="audit.files", where=in_time, keys=["source"])
    assert result.failing_keys == ({"source": "till"},)
    assert _run(build, "covers", covers, table="audit.files", where=in_time[:1]).passed


@pytest.mark.parametrize(
    ("expect", "arguments", "passes", "observed"),
    [
        ("same_row_count_as", {"other": "rcu.customers"}, True, {}),
        ("same_row_count_as", {"other": "marts.rfm"}, False, {"row_count": 3, "other_row_count": 2}),
        ("row_count_ratio_between", {"other": "marts.rfm", "max_value": 1.5}, True, {}),
        (
            "row_count_ratio_between",
            {"other": "marts.rfm", "max_value": 1.4},
            False,
            {"row_count": 3, "other_row_count": 2},
        ),
        (
            "row_count_ratio_between",
            {"other": "marts.rfm", "min_value": 1.6},
            False,
            {"row_count": 3, "other_row_count": 2},
        ),
        (
            "same_total_as",
            {"column": "amount_gross", "other": "rcu.customers", "other_column": "record_count"},
            False,
            {"total": 24.0, "other_total": 93},
        ),
        ("not_after_as_of", {"column": "ordered_on"}, False, {"days_after": 3}),
        ("between_columns", {"column": "amount_net", "low": "low", "high": "amount_gross"}, True, {}),
        ("same_as_of", {"schemas": ["rcu"]}, True, {}),
        ("same_as_of", {"schemas": ["rcu", "marts"]}, False, {"rows_of_another_date": 2}),
    ],
)
def test_named_checks(
    build: Connection, expect: str, arguments: dict[str, Any], passes: bool, observed: dict[str, float]
) -> None:
    result = _run(build, expect, arguments)
    assert result.passed is passes
    assert {**result.observed, **observed} == result.observed


def test_a_row_condition_narrows_what_is_judged(build: Connection) -> None:
    null_dates = {"column": "ordered_on"}
    assert not _run(build, "expect_column_values_to_not_be_null", null_dates).passed
    known = [{"column": "customer_id", "one_of": ["c1", "c9"]}]
    result = _run(build, "expect_column_values_to_not_be_null", null_dates, where=known)
    assert (result.passed, result.element_count) == (True, 2)
    quoted = [{"column": "customer_id", "equals": "c1' or '1' = '1"}]
    assert _run(build, "expect_column_values_to_not_be_null", null_dates, where=quoted).element_count == 0


@pytest.mark.parametrize(
    ("expect", "arguments", "more", "message"),
    [
        (
            "expect_column_to_exist",
            {"column": "a"},
            {"table": "marts.basket"},
            "there is no table marts.basket in the build",
        ),
        (
            "is_subset_of",
            {"columns": ["customer_id"], "other": "rcu.clients"},
            {},
            "there is no table rcu.clients in the build",
        ),
        (
            "expect_column_values_to_not_be_null",
            {"column": "order_idd"},
            {},
            'marts.orders has no column "order_idd"; did you mean "order_id"?',
        ),
        (
            "is_subset_of",
            {"columns": ["order_id"], "other": "rcu.customers"},
            {},
            'rcu.customers has no column "order_id"; did you mean "customer_id"?',
        ),
    ],
)
def test_what_is_not_there_fails_with_a_clear_message(
    build: Connection, expect: str, arguments: dict[str, Any], more: dict[str, str], message: str
) -> None:
    result = _run(build, expect, arguments, **more)
    assert (result.passed, result.message) == (False, message)


def test_a_check_that_does_not_fit_its_column_fails_alone(build: Connection) -> None:
    checks = [
        Check(name="fits", table="rcu.customers", expect="expect_column_values_to_be_unique",
              arguments={"column": "customer_id"}, describes=""),
        Check(name="fits_not", table="rcu.customers", expect="expect_column_sum_to_be_between",
              arguments={"column": "email", "min_value": 0}, describes=""),
    ]  # fmt: skip
    fits, fits_not = run_gate(build, Gate(gate="golden", describes="", checks=checks))
    assert fits.passed
    assert not fits_not.passed
    assert "does it fit the type of its columns?" in fits_not.message


def test_no_personal_value_is_in_a_result(build: Connection) -> None:
    checks = [
        Check(name="a", table="rcu.customers", expect="expect_column_values_to_match_regex",
              arguments={"column": "email", "regex": "@"}, keys=["customer_id"], describes=""),
        Check(name="b", table="rcu.customers", expect="expect_column_distinct_values_to_be_in_set",
              arguments={"column": "email", "value_set": ["x"]}, keys=["customer_id"], describes=""),
        Check(name="c", table="rcu.customers", expect="expect_column_max_to_be_between",
              arguments={"column": "email", "max_value": 3}, describes=""),
        Check(name="d", table="rcu.customers", expect="expect_column_sum_to_be_between",
              arguments={"column": "email", "max_value": 3}, describes=""),
    ]  # fmt: skip
    results = run_gate(build, Gate(gate="golden", describes="", checks=checks))
    assert results[0].failing_keys == ({"customer_id": "c2"},)
    assert "not an address" not in repr(results)
    assert "ada@" not in repr(results)


def test_the_rate_is_of_the_judged_rows(build: Connection) -> None:
    result = _run(build, "expect_column_values_to_not_be_null", {"column": "email"}, table="rcu.customers")
    assert (result.element_count, result.unexpected_count) == (3, 1)
    assert result.unexpected_rate == pytest.approx(1 / 3)


def test_results_are_in_declared_order_whatever_their_table(build: Connection) -> None:
    names = ["z", "a", "m"]
    tables = ["marts.orders", "marts.nowhere", "rcu.customers"]
    checks = [
        Check(
            name=name,
            table=table,
            expect="expect_table_row_count_to_be_between",
            arguments={"min_value": 1},
            describes="",
        )
        for name, table in zip(names, tables, strict=True)
    ]
    assert [result.name for result in run_gate(build, Gate(gate="golden", describes="", checks=checks))] == names


def _written(build: Connection) -> list[tuple[Any, ...]]:
    return build.execute("select gate, name, passed, run_id from audit.checks order by gate, name").fetchall()


def test_results_of_another_run_go_and_a_gate_judged_again_replaces_its_own(build: Connection) -> None:
    check = Check(name="sum", table="marts.orders", expect="rows_add_up", arguments=AMOUNTS, describes="Mend it")
    gate = Gate(gate="golden", describes="", checks=[check])
    write_results(build, run_gate(build, gate), as_of_on=DAY, run_id="run0")
    write_results(build, run_gate(build, gate), as_of_on=DAY, run_id="run1")
    assert _written(build) == [("golden", "sum", False, "run1")]
    build.execute("update marts.orders set amount_net = 8 where order_id = 'o2'")
    write_results(build, run_gate(build, gate), as_of_on=DAY, run_id="run1")
    assert _written(build) == [("golden", "sum", True, "run1")]


def test_a_gate_passes_only_when_it_was_judged_and_nothing_blocks(build: Connection) -> None:
    with pytest.raises(GateError, match="has not been judged in this run"):
        require_passed(build, "golden")

    def judge(severity: str, run_id: str) -> None:
        check = Check(name="sum", table="marts.orders", expect="rows_add_up", arguments=AMOUNTS,
                      severity=severity, describes="Mend it")  # fmt: skip
        results = run_gate(build, Gate(gate="golden", describes="", checks=[check]))
        write_results(build, results, as_of_on=DAY, run_id=run_id)

    judge("warn", "run1")
    require_passed(build, "golden")
    judge("error", "run1")
    with pytest.raises(GateError, match=r"the golden gate failed.*sum \(marts.orders.*Mend it"):
        require_passed(build, "golden")
    judge("warn", "run0")
    with pytest.raises(GateError, match="has not been judged in this run"):
        require_passed(build, "golden")

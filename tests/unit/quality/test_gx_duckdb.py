"""The shim's self-test: it goes red when a new version of Great Expectations breaks what it relies on."""

from __future__ import annotations

from pathlib import Path

import duckdb
import great_expectations as gx
import pytest

from orchestration.contracts.gate import EXPECTATIONS, Check, Gate
from orchestration.quality import run_gate
from orchestration.warehouse import Connection, connect

# Ten people. Two e-mails are missing, one is malformed; ages are 20 to 29; one code is not A or B.
PEOPLE = """
    create schema crm;
    create table crm.people as
    select
        i as customer_id,
        case when i < 2 then null when i = 2 then 'person2' else 'person' || i || '@example.test' end as email,
        20 + i as age,
        case when i = 9 then 'C' when i % 2 = 0 then 'A' else 'B' end as code,
        cast(i as decimal(18, 4)) as amount,
        cast(i + 1 as decimal(18, 4)) as amount_next,
        i % 2 = 0 as is_even,
        1 as constant,
        date '2026-01-01' + cast(i as integer) as seen_on
    from range(10) as numbers (i);
    create schema control;
    create table control.as_of as select date '2026-01-05' as as_of_on;
"""

COLUMN = "column"

# Expectation -> (arguments, passes, unexpected rows or None where it counts none). Worked out by hand.
CASES = [
    ("expect_table_row_count_to_be_between", {"min_value": 10, "max_value": 10}, True, None),
    ("expect_table_row_count_to_be_between", {"min_value": 11}, False, None),
    ("expect_table_row_count_to_equal", {"value": 10}, True, None),
    ("expect_column_to_exist", {COLUMN: "email"}, True, None),
    ("expect_column_to_exist", {COLUMN: "shoe_size"}, False, None),
    ("expect_column_values_to_not_be_null", {COLUMN: "email"}, False, 2),
    ("expect_column_values_to_not_be_null", {COLUMN: "email", "mostly": 0.8}, True, 2),
    ("expect_column_values_to_be_null", {COLUMN: "email"}, False, 8),
    ("expect_column_values_to_be_unique", {COLUMN: "customer_id"}, True, 0),
    ("expect_column_values_to_be_unique", {COLUMN: "constant"}, False, 10),
    ("expect_column_values_to_be_in_set", {COLUMN: "code", "value_set": ["A", "B"]}, False, 1),
    ("expect_column_values_to_be_in_set", {COLUMN: "is_even", "value_set": [True]}, False, 5),
    ("expect_column_values_to_not_be_in_set", {COLUMN: "code", "value_set": ["C"]}, False, 1),
    ("expect_column_values_to_be_between", {COLUMN: "age", "min_value": 21}, False, 1),
    ("expect_column_values_to_be_between", {COLUMN: "age", "min_value": 20, "strict_min": True}, False, 1),
    ("expect_column_values_to_match_regex", {COLUMN: "email", "regex": "@"}, False, 1),
    ("expect_column_values_to_not_match_regex", {COLUMN: "email", "regex": "person[34]"}, False, 2),
    ("expect_column_values_to_match_like_pattern", {COLUMN: "email", "like_pattern": "%@%"}, False, 1),
    ("expect_column_values_to_not_match_like_pattern", {COLUMN: "email", "like_pattern": "%@%"}, False, 7),
    ("expect_column_value_lengths_to_be_between", {COLUMN: "email", "min_value": 8}, False, 1),
    ("expect_column_pair_values_to_be_equal", {"column_A": "amount", "column_B": "amount_next"}, False, 10),
    ("expect_column_pair_values_a_to_be_greater_than_b", {"column_A": "amount_next", "column_B": "amount"}, True, 0),
    ("expect_compound_columns_to_be_unique", {"column_list": ["customer_id", "code"]}, True, 0),
    ("expect_compound_columns_to_be_unique", {"column_list": ["code", "constant"]}, False, 9),
    ("expect_column_min_to_be_between", {COLUMN: "age", "min_value": 20, "max_value": 20}, True, None),
    ("expect_column_max_to_be_between", {COLUMN: "age", "max_value": 28}, False, None),
    ("expect_column_mean_to_be_between", {COLUMN: "age", "min_value": 24.5, "max_value": 24.5}, True, None),
    ("expect_column_median_to_be_between", {COLUMN: "age", "min_value": 24.5, "max_value": 24.5}, True, None),
    ("expect_column_sum_to_be_between", {COLUMN: "amount", "min_value": 45, "max_value": 45}, True, None),
    ("expect_column_stdev_to_be_between", {COLUMN: "age", "min_value": 3.02, "max_value": 3.03}, True, None),
    (
        "expect_column_quantile_values_to_be_between",
        {COLUMN: "age", "quantile_ranges": {"quantiles": [0.5], "value_ranges": [[24, 25]]}},
        True,
        None,
    ),
    ("expect_column_unique_value_count_to_be_between", {COLUMN: "code", "min_value": 3, "max_value": 3}, True, None),
    ("expect_column_proportion_of_unique_values_to_be_between", {COLUMN: "age", "min_value": 1}, True, None),
    ("expect_column_proportion_of_non_null_values_to_be_between", {COLUMN: "email", "min_value": 0.9}, False, None),
    ("expect_column_distinct_values_to_be_in_set", {COLUMN: "code", "value_set": ["A", "B", "C"]}, True, None),
    ("expect_column_distinct_values_to_contain_set", {COLUMN: "code", "value_set": ["D"]}, False, None),
    ("expect_column_distinct_values_to_equal_set", {COLUMN: "code", "value_set": ["A", "B"]}, False, None),
]


@pytest.fixture
def people() -> Connection:
    connection = connect()
    connection.execute(PEOPLE)
    return connection


def _gate(cases: list) -> Gate:
    return Gate(
        gate="self_test",
        describes="the shim",
        checks=[
            Check(name=f"case_{number}", table="crm.people", expect=name, arguments=arguments, describes="a case")
            for number, (name, arguments, _, _) in enumerate(cases)
        ],
    )


def test_the_version_is_the_one_that_the_shim_was_written_for() -> None:
    assert gx.__version__ == "1.24.1"


def test_every_listed_expectation_is_exercised_here() -> None:
    assert {name for name, *_ in CASES} == {name for name, it in EXPECTATIONS.items() if not it.is_ours}


def test_every_listed_expectation_gives_the_right_answer_on_duckdb(people: Connection) -> None:
    results = run_gate(people, _gate(CASES))
    for (name, arguments, passes, unexpected), result in zip(CASES, results, strict=True):
        assert "could not be evaluated" not in result.message, (name, arguments, result.message)
        assert result.passed is passes, (name, arguments, result)
        if unexpected is not None:
            assert result.unexpected_count == unexpected, (name, arguments, result)


def test_every_argument_is_one_that_the_library_takes() -> None:
    for name, expectation in EXPECTATIONS.items():
        if not expectation.is_ours:
            kind = getattr(gx.expectations, "".join(part.capitalize() for part in name.split("_")))
            assert set(expectation.arguments) <= set(kind.__fields__), name


def test_no_handle_is_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "build.duckdb"
    writer = connect(path)
    writer.execute(PEOPLE)
    run_gate(writer, _gate(CASES[:8]))
    writer.close()
    # Read-only fails while any read-write handle of this process is open on the file.
    reader = duckdb.connect(str(path), read_only=True)
    assert reader.execute("select count(*) from crm.people").fetchall() == [(10,)]
    reader.close()


def test_it_works_beside_another_handle_of_the_same_process(tmp_path: Path) -> None:
    path = tmp_path / "build.duckdb"
    kept_by_dbt = duckdb.connect(str(path))
    writer = connect(path)
    writer.execute(PEOPLE)
    results = run_gate(writer, _gate(CASES[:8]))
    writer.execute("create table crm.after as select 1 as one")
    writer.execute("checkpoint")
    assert [result.passed for result in results] == [passes for _, _, passes, _ in CASES[:8]]
    assert kept_by_dbt.execute("select one from crm.after").fetchall() == [(1,)]
    writer.close()
    kept_by_dbt.close()

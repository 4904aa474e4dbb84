"""`quality/<gate>.yml`: what a gate expects of the tables between two layers.

A check names a table and one expectation, with plain arguments. Two families of expectation exist:
those of Great Expectations (`expect_...`, under their own names and arguments; the ones listed here
were proved on DuckDB) and the named checks of this project, for what spans several columns or
tables. SQL is in no declaration: a named check is a few words here and a query in
`orchestration/quality/named_checks.py`.

What belongs here: names, arguments and their kinds. What does not: how a check is evaluated.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from orchestration.contracts.entities import ENTITIES, LANDING_COLUMNS
from orchestration.contracts.loader import (
    Declaration,
    Document,
    Problem,
    did_you_mean,
    raise_problems,
    read_document,
    validate,
)

ArgumentKind = Literal["column", "columns", "table", "schemas", "number", "share", "values", "text", "flag", "ranges"]

#: Columns that may be kept of a failing row: keys, never what tells who a person is. Row keys are
#: left out because some sources key their rows by e-mail address; a batch and a line find the row.
KEY_COLUMNS = frozenset(
    {
        column.name
        for column in (*(c for entity in ENTITIES.values() for c in entity.columns), *LANDING_COLUMNS)
        if column.personal in ("none", "reference")
    }
    - {"row_key", "row_hash", "record_id", "request_id", "proof", "account", "ref_account", "ref_cookie"}
    | {"customer_id", "current_customer_id", "household_id", "file_name", "segment", "name", "category", "pair_id"}
)


#: The gates that stand between the layers: every workspace declares them, and nothing is published without.
GATES = ("landing", "golden", "publish")


@dataclass(frozen=True)
class Expectation:
    """The arguments that an expectation takes, by kind. `is_ours`: a named check of this project."""

    name: str
    required: dict[str, ArgumentKind]
    optional: dict[str, ArgumentKind]
    is_ours: bool = False

    @property
    def arguments(self) -> dict[str, ArgumentKind]:
        return {**self.required, **self.optional}


_BOUNDS: dict[str, ArgumentKind] = {"min_value": "number", "max_value": "number"}
_STRICT: dict[str, ArgumentKind] = {**_BOUNDS, "strict_min": "flag", "strict_max": "flag"}
_MOSTLY: dict[str, ArgumentKind] = {"mostly": "share"}
_COLUMN: dict[str, ArgumentKind] = {"column": "column"}
_PAIR: dict[str, ArgumentKind] = {"column_A": "column", "column_B": "column"}

EXPECTATIONS: dict[str, Expectation] = {
    expectation.name: expectation
    for expectation in (
        Expectation("expect_table_row_count_to_be_between", {}, _STRICT),
        Expectation("expect_table_row_count_to_equal", {"value": "number"}, {}),
        Expectation("expect_column_to_exist", _COLUMN, {}),
        Expectation("expect_column_values_to_not_be_null", _COLUMN, _MOSTLY),
        Expectation("expect_column_values_to_be_null", _COLUMN, _MOSTLY),
        Expectation("expect_column_values_to_be_unique", _COLUMN, _MOSTLY),
        Expectation("expect_column_values_to_be_in_set", {**_COLUMN, "value_set": "values"}, _MOSTLY),
        Expectation("expect_column_values_to_not_be_in_set", {**_COLUMN, "value_set": "values"}, _MOSTLY),
        Expectation("expect_column_values_to_be_between", _COLUMN, {**_STRICT, **_MOSTLY}),
        Expectation("expect_column_values_to_match_regex", {**_COLUMN, "regex": "text"}, _MOSTLY),
        Expectation("expect_column_values_to_not_match_regex", {**_COLUMN, "regex": "text"}, _MOSTLY),
        Expectation("expect_column_values_to_match_like_pattern", {**_COLUMN, "like_pattern": "text"}, _MOSTLY),
        Expectation("expect_column_values_to_not_match_like_pattern", {**_COLUMN, "like_pattern": "text"}, _MOSTLY),
        Expectation("expect_column_value_lengths_to_be_between", _COLUMN, {**_STRICT, **_MOSTLY}),
        Expectation("expect_column_pair_values_to_be_equal", _PAIR, _MOSTLY),
        Expectation("expect_column_pair_values_a_to_be_greater_than_b", _PAIR, {"or_equal": "flag", **_MOSTLY}),
        Expectation("expect_compound_columns_to_be_unique", {"column_list": "columns"}, _MOSTLY),
        Expectation("expect_column_min_to_be_between", _COLUMN, _STRICT),
        Expectation("expect_column_max_to_be_between", _COLUMN, _STRICT),
        Expectation("expect_column_mean_to_be_between", _COLUMN, _STRICT),
        Expectation("expect_column_median_to_be_between", _COLUMN, _STRICT),
        Expectation("expect_column_sum_to_be_between", _COLUMN, _STRICT),
        Expectation("expect_column_stdev_to_be_between", _COLUMN, _STRICT),
        Expectation("expect_column_quantile_values_to_be_between", {**_COLUMN, "quantile_ranges": "ranges"}, {}),
        Expectation("expect_column_unique_value_count_to_be_between", _COLUMN, _STRICT),
        Expectation("expect_column_proportion_of_unique_values_to_be_between", _COLUMN, _STRICT),
        Expectation("expect_column_proportion_of_non_null_values_to_be_between", _COLUMN, _STRICT),
        Expectation("expect_column_distinct_values_to_be_in_set", {**_COLUMN, "value_set": "values"}, {}),
        Expectation("expect_column_distinct_values_to_contain_set", {**_COLUMN, "value_set": "values"}, {}),
        Expectation("expect_column_distinct_values_to_equal_set", {**_COLUMN, "value_set": "values"}, {}),
        # Ours. The table of the check is the one that is judged; `other` is what it is held against.
        Expectation("rows_add_up", {"total": "column", "parts": "columns"}, {"tolerance": "number"}, True),
        Expectation("same_row_count_as", {"other": "table"}, {}, True),
        Expectation("row_count_ratio_between", {"other": "table"}, _BOUNDS, True),
        Expectation("is_subset_of", {"columns": "columns", "other": "table"}, {"other_columns": "columns"}, True),
        Expectation("covers", {"columns": "columns", "other": "table"},
                    {"other_columns": "columns", "other_flag": "column"}, True),
        Expectation("same_total_as", {"column": "column", "other": "table", "other_column": "column"},
                    {"tolerance": "number"}, True),
        Expectation("not_after_as_of", _COLUMN, {}, True),
        Expectation("same_as_of", {"schemas": "schemas"}, {}, True),
        Expectation("between_columns", {"column": "column", "low": "column", "high": "column"}, {}, True),
    )
}  # fmt: skip

#: Arguments that name columns of the judged table (`other_...` are of the other one).
JUDGED_COLUMNS = ("column", "columns", "column_A", "column_B", "column_list", "total", "parts", "low", "high")

_TABLE = r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$"
_NAME = r"^[a-z][a-z0-9_]*$"


class RowCondition(Declaration):
    """One condition on the rows that a check judges; several must all hold."""

    column: str
    equals: str | bool | int | float | dt.date | None = None
    not_equals: str | bool | int | float | dt.date | None = None
    one_of: tuple[str | bool | int | float | dt.date, ...] | None = Field(default=None, min_length=1)
    at_least: int | float | dt.date | None = None
    at_most: int | float | dt.date | None = None
    is_null: bool | None = None
    is_as_of: Literal[True] | None = Field(default=None, description="The date is the run's as-of date")
    until_as_of: Literal[True] | None = Field(default=None, description="The date is the as-of date or before")

    @model_validator(mode="after")
    def _one_comparison(self) -> RowCondition:
        given = self.model_fields_set - {"column"}
        if len(given) != 1 or getattr(self, next(iter(given))) is None:
            raise ValueError(
                f'the condition on "{self.column}" needs exactly one of equals, not_equals, one_of, at_least, '
                "at_most, is_null, is_as_of, until_as_of, with a value"
            )
        return self


class Check(Declaration):
    """One expectation of one table."""

    name: str = Field(pattern=_NAME, description="What is true when the check passes, in snake case")
    table: str = Field(pattern=_TABLE, description="The judged table: schema.table")
    expect: str = Field(description="A Great Expectations name, or a named check")
    arguments: dict[str, Any] = Field(default_factory=dict)
    where: tuple[RowCondition, ...] = ()
    keys: tuple[str, ...] = Field(default=(), description="Columns kept of failing rows: keys, never personal values")
    severity: Literal["error", "warn"] = "error"
    describes: str = Field(description="Why it matters, and what to do when it fails")

    @field_validator("keys")
    @classmethod
    def _only_keys(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in KEY_COLUMNS:
                raise ValueError(f'"{name}" may hold personal data, so it is not kept{did_you_mean(name, KEY_COLUMNS)}')
        return value

    @property
    def asset_key(self) -> tuple[str, str]:
        """The judged table as asset key parts: schema, table."""
        schema, table = self.table.split(".")
        return schema, table

    @property
    def uses_as_of(self) -> bool:
        """Whether the run's date is needed to evaluate it."""
        conditions = any(condition.is_as_of or condition.until_as_of for condition in self.where)
        return conditions or self.expect in ("same_as_of", "not_after_as_of")

    @property
    def expectation(self) -> Expectation:
        return EXPECTATIONS[self.expect]


class Gate(Declaration):
    """The checks that stand between two layers. A failed check of severity error blocks the run."""

    gate: str = Field(pattern=_NAME)
    describes: str
    checks: tuple[Check, ...] = Field(min_length=1)


def load_gate(path: Path, root: Path | None = None) -> Gate:
    """Read one gate. Raises DeclarationError with every problem, at its file and line."""
    document = read_document(path, root)
    gate = validate(document, Gate)
    problems = list(_problems(document, gate))
    if gate.gate != path.stem:
        problems.append(document.problem(("gate",), f'"gate" is "{gate.gate}" but the file is {path.name}'))
    raise_problems(problems)
    return gate


def load_gates(declarations: Path) -> dict[str, Gate]:
    """Every gate of a workspace, by name (`declarations/quality/*.yml`)."""
    paths = sorted((declarations / "quality").glob("*.yml"))
    return {path.stem: load_gate(path, declarations.parent) for path in paths}


def _problems(document: Document, gate: Gate) -> list[Problem]:
    found = []
    first_line: dict[str, int] = {}
    for number, check in enumerate(gate.checks):
        here = ("checks", number)
        line = document.line_of((*here, "name"))
        if check.name in first_line:
            message = f'check "{check.name}" is also on line {first_line[check.name]}'
            found.append(document.problem((*here, "name"), message))
        first_line.setdefault(check.name, line)
        expectation = EXPECTATIONS.get(check.expect)
        if expectation is None:
            near = did_you_mean(check.expect, EXPECTATIONS)
            found.append(document.problem((*here, "expect"), f'unknown expectation "{check.expect}"{near}'))
            continue
        for name, value in check.arguments.items():
            at = (*here, "arguments", name)
            kind = expectation.arguments.get(name)
            if kind is None:
                near = did_you_mean(name, expectation.arguments)
                found.append(document.problem(at, f'{check.expect} has no argument "{name}"{near}'))
            elif (wanted := _misfit(kind, value)) is not None:
                found.append(document.problem(at, f'"{name}" should be {wanted}'))
        for name in expectation.required:
            if name not in check.arguments:
                found.append(document.problem((*here, "arguments"), f'{check.expect} needs the argument "{name}"'))
        left, right = check.arguments.get("columns"), check.arguments.get("other_columns")
        if isinstance(left, list) and isinstance(right, list) and len(left) != len(right):
            message = f'"other_columns" names {len(right)} columns and "columns" {len(left)}; they go in pairs'
            found.append(document.problem((*here, "arguments", "other_columns"), message))
        bounds = [name for name in ("min_value", "max_value") if name in expectation.optional]
        if bounds and not any(name in check.arguments for name in bounds):
            message = f"{check.expect} needs min_value or max_value, or both"
            found.append(document.problem((*here, "arguments"), message))
    return found


def _misfit(kind: ArgumentKind, value: Any) -> str | None:
    """What `value` should have been; None when it fits its kind."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    texts = isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value)
    fits, wanted = {
        "column": (isinstance(value, str) and bool(value), "the name of a column"),
        "columns": (texts, "a list of column names"),
        "table": (isinstance(value, str) and value.count(".") == 1, "a table: schema.table"),
        "schemas": (texts, "a list of schemas"),
        "number": (is_number or isinstance(value, dt.date), "a number or a date"),
        "share": (is_number and 0 < value <= 1, "a share above 0 and up to 1"),
        "values": (isinstance(value, list) and bool(value), "a list of values"),
        "text": (isinstance(value, str) and bool(value), "a text"),
        "flag": (isinstance(value, bool), "true or false"),
        "ranges": (
            isinstance(value, dict) and set(value) == {"quantiles", "value_ranges"},
            "quantiles: [...] and value_ranges: [[low, high], ...]",
        ),
    }[kind]
    return None if fits else wanted

"""The named checks: what Great Expectations has no expectation for, as queries of our own.

Each becomes an `UnexpectedRowsExpectation`: a query that returns the rows that should not be there.
`{batch}` in it stands for the judged rows (the table, narrowed by the check's `where`). A query
returns keys and numbers only; text that could tell who a person is never leaves DuckDB. Declarations
hold no SQL: they name a check and its arguments, and every name is quoted on its way in.

What belongs here: one function per named check. What does not: their arguments' names and kinds
(`orchestration/contracts/gate.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection
from typing import Any

from orchestration.contracts.gate import Check, RowCondition
from orchestration.warehouse import literal, quote

#: Columns of every table that exists: (schema.table) -> names in order.
Catalogue = dict[str, list[str]]


#: The judged rows. Great Expectations puts a derived table with an alias of its own for `{batch}`.
_JUDGED = "(select * from {batch}) as judged"


def table_sql(table: str) -> str:
    schema, name = table.split(".")
    return f"{quote(schema)}.{quote(name)}"


def value_sql(value: Any) -> str:
    """A declared value as an SQL literal."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, dt.date):
        return f"date '{value}'"
    return literal(str(value))


def condition_sql(conditions: Collection[RowCondition]) -> str:
    """The declared row conditions, all of which must hold, as one SQL condition."""
    parts = []
    for condition in conditions:
        column = quote(condition.column)
        if condition.equals is not None:
            parts.append(f"{column} = {value_sql(condition.equals)}")
        elif condition.not_equals is not None:
            parts.append(f"{column} is distinct from {value_sql(condition.not_equals)}")
        elif condition.one_of is not None:
            parts.append(f"{column} in ({', '.join(value_sql(value) for value in condition.one_of)})")
        elif condition.at_least is not None:
            parts.append(f"{column} >= {value_sql(condition.at_least)}")
        elif condition.at_most is not None:
            parts.append(f"{column} <= {value_sql(condition.at_most)}")
        elif condition.is_as_of or condition.until_as_of:
            comparison = "=" if condition.is_as_of else "<="
            parts.append(f"{column} {comparison} (select as_of_on from control.as_of)")
        else:
            parts.append(f"{column} is {'null' if condition.is_null else 'not null'}")
    return " and ".join(parts) or "true"


def unexpected_rows_sql(check: Check, catalogue: Catalogue) -> str:
    """The query of a named check, with `{batch}` in it."""
    return _QUERIES[check.expect](check, check.arguments, catalogue)


def _keys(check: Check, alias: str) -> str:
    return "".join(f"{alias}.{quote(key)}, " for key in check.keys)


def _rows_add_up(check: Check, arguments: dict[str, Any], catalogue: Catalogue) -> str:
    """Rows whose total is not the sum of its parts (a null part counts as 0, a null total never fits)."""
    parts = " + ".join(f"coalesce(judged.{quote(part)}, 0)" for part in arguments["parts"])
    total = f"judged.{quote(arguments['total'])}"
    return (
        f"select {_keys(check, 'judged')}{total} as total, {parts} as sum_of_parts from {_JUDGED} "
        f"where {total} is null or abs({total} - ({parts})) > {value_sql(arguments.get('tolerance', 0))}"
    )


def _same_row_count_as(check: Check, arguments: dict[str, Any], catalogue: Catalogue) -> str:
    return (
        "select judged.row_count, other.row_count as other_row_count "
        "from (select count(*) as row_count from {batch}) as judged "
        f"cross join (select count(*) as row_count from {table_sql(arguments['other'])}) as other "
        "where judged.row_count <> other.row_count"
    )


def _row_count_ratio_between(check: Check, arguments: dict[str, Any], catalogue: Catalogue) -> str:
    """Two empty tables pass: there is nothing to judge yet. Rows against an empty table don't."""
    outside = []
    if "min_value" in arguments:
        outside.append(f"judged.row_count < {value_sql(arguments['min_value'])} * other.row_count")
    if "max_value" in arguments:
        outside.append(f"judged.row_count > {value_sql(arguments['max_value'])} * other.row_count")
    return (
        "select judged.row_count, other.row_count as other_row_count "
        "from (select count(*) as row_count from {batch}) as judged "
        f"cross join (select count(*) as row_count from {table_sql(arguments['other'])}) as other "
        f"where {' or '.join(outside)}"
    )


def _is_subset_of(check: Check, arguments: dict[str, Any], catalogue: Catalogue) -> str:
    """Judged rows whose columns are found in no row of the other table. A null is found nowhere."""
    others = arguments.get("other_columns") or arguments["columns"]
    on = " and ".join(
        f"judged.{quote(left)} = other.{quote(right)}" for left, right in zip(arguments["columns"], others, strict=True)
    )
    return (
        f"select {_keys(check, 'judged')}1 as missing from {_JUDGED} "
        f"where not exists (select 1 from {table_sql(arguments['other'])} as other where {on})"
    )


def _covers(check: Check, arguments: dict[str, Any], catalogue: Catalogue) -> str:
    """Rows of the other table (those with a true `other_flag`) that no judged row answers to."""
    others = arguments.get("other_columns") or arguments["columns"]
    on = " and ".join(
        f"judged.{quote(left)} = other.{quote(right)}" for left, right in zip(arguments["columns"], others, strict=True)
    )
    keys = "".join(f"other.{quote(key)}, " for key in check.keys if key in catalogue[arguments["other"]])
    flag = f"other.{quote(arguments['other_flag'])} and " if "other_flag" in arguments else ""
    return (
        f"select {keys}1 as missing from {table_sql(arguments['other'])} as other "
        f"where {flag}not exists (select 1 from {_JUDGED} where {on})"
    )


def _same_total_as(check: Check, arguments: dict[str, Any], catalogue: Catalogue) -> str:
    return (
        "select judged.total, other.total as other_total "
        f"from (select coalesce(sum({quote(arguments['column'])}), 0) as total from {{batch}}) as judged "
        f"cross join (select coalesce(sum({quote(arguments['other_column'])}), 0) as total "
        f"from {table_sql(arguments['other'])}) as other "
        f"where abs(judged.total - other.total) > {value_sql(arguments.get('tolerance', 0))}"
    )


def _not_after_as_of(check: Check, arguments: dict[str, Any], catalogue: Catalogue) -> str:
    column = f"judged.{quote(arguments['column'])}"
    return (
        f"select {_keys(check, 'judged')}date_diff('day', stamp.as_of_on, cast({column} as date)) as days_after "
        f"from {_JUDGED} cross join control.as_of as stamp where cast({column} as date) > stamp.as_of_on"
    )


def _same_as_of(check: Check, arguments: dict[str, Any], catalogue: Catalogue) -> str:
    """Every table of the schemas with a column `as_of_on` carries the run's date and no other."""
    dated = [
        table
        for table, columns in sorted(catalogue.items())
        if table.split(".")[0] in arguments["schemas"] and "as_of_on" in columns
    ]
    counts = " union all ".join(
        f"select {literal(table)} as name, count(*) as rows_of_another_date from {table_sql(table)} "
        "where as_of_on is distinct from (select as_of_on from control.as_of)"
        for table in dated
    )
    counts = counts or "select '' as name, 0 as rows_of_another_date"
    return (
        f"select dated.name, dated.rows_of_another_date from ({counts}) as dated "
        "cross join (select count(*) as row_count from {batch}) as judged where dated.rows_of_another_date > 0 "
        "order by dated.name"
    )


def _between_columns(check: Check, arguments: dict[str, Any], catalogue: Catalogue) -> str:
    """Rows whose value lies outside the two bounds beside it; a null bound is no bound."""
    value, low, high = (f"judged.{quote(arguments[name])}" for name in ("column", "low", "high"))
    return (
        f"select {_keys(check, 'judged')}{value} as value, {low} as low, {high} as high from {_JUDGED} "
        f"where {value} < {low} or {value} > {high}"
    )


_QUERIES: dict[str, Callable[[Check, dict[str, Any], Catalogue], str]] = {
    "rows_add_up": _rows_add_up,
    "same_row_count_as": _same_row_count_as,
    "row_count_ratio_between": _row_count_ratio_between,
    "is_subset_of": _is_subset_of,
    "covers": _covers,
    "same_total_as": _same_total_as,
    "not_after_as_of": _not_after_as_of,
    "same_as_of": _same_as_of,
    "between_columns": _between_columns,
}

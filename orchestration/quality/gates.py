"""Run a gate: every declared check against the build, and what it found.

What belongs here: evaluating checks and reading Great Expectations' answers. What does not: what
stops when one fails. Results hold numbers and keys only: the answers of Great Expectations quote the
offending values, and those are dropped here, in one place.
"""

from __future__ import annotations

import datetime as dt
import decimal
import json
import math
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import duckdb

from orchestration.contracts.gate import JUDGED_COLUMNS, Check, Gate
from orchestration.contracts.loader import did_you_mean
from orchestration.errors import GateError
from orchestration.quality import judged
from orchestration.quality.gx_duckdb import Batches, open_batches
from orchestration.quality.named_checks import Catalogue, condition_sql, table_sql, unexpected_rows_sql
from orchestration.warehouse import Connection

KEYS_KEPT = 20

Number = int | float

#: The class of an exception, at the start of the last line of its trace.
_CAUSE = re.compile(r"^(?:\w+\.)*(\w+(?:Error|Exception))\b", re.MULTILINE)


@dataclass(frozen=True)
class CheckResult:
    """What one check found. Counts and keys only, never a personal value.

    `unexpected_rate` is 0 to 1, of the rows that were judged. `observed` holds what was measured, by
    name. `failing_keys` holds the declared key columns of at most `KEYS_KEPT` failing rows. `was_judged`:
    it could be evaluated.
    """

    gate: str
    name: str
    table: str
    asset_key: tuple[str, str]
    expectation: str
    severity: str
    passed: bool
    element_count: int | None
    unexpected_count: int | None
    unexpected_rate: float | None
    observed: dict[str, Number]
    message: str
    describes: str
    failing_keys: tuple[dict[str, str], ...]
    duration: float
    was_judged: bool = True

    @property
    def is_blocking(self) -> bool:
        return not self.passed and self.severity == "error"


def run_gate(connection: Connection, gate: Gate) -> list[CheckResult]:
    """Judge every check of a gate, in declared order. Nothing is raised for a failed check.

    A table or column that does not exist is a failed check with a message that says so. Checks of
    one table are evaluated together, so that their counts come from one scan. A check whose tables hold
    what they held when it was last judged is not asked again: it finds the same.
    """
    catalogue = _catalogue(connection)
    contents = judged.Contents(connection, catalogue)
    before = judged.recall(connection, gate.gate, catalogue)
    results: dict[str, CheckResult] = {}
    bases: dict[str, str] = {}
    groups: dict[tuple[str, str], list[Check]] = {}
    for check in gate.checks:
        missing = _missing(check, catalogue)
        if missing:
            results[check.name] = _result(gate, check, passed=False, message=missing, was_judged=False)
            continue
        basis = judged.basis_of(check, catalogue, contents)
        if basis is not None:
            bases[check.name] = basis
            if (check.name, basis) in before:
                results[check.name] = _taken_over(gate, check, before[check.name, basis])
                continue
        groups.setdefault((check.table, condition_sql(check.where)), []).append(check)
    if groups:
        with open_batches(connection) as batches:
            for (table, condition), checks in groups.items():
                for result in _judge(gate, batches, table, condition, checks, catalogue):
                    results[result.name] = result
    found = {(name, basis): _kept(results[name]) for name, basis in bases.items() if results[name].was_judged}
    if found.keys() != before.keys():
        judged.remember(connection, gate.gate, found)
    return [results[check.name] for check in gate.checks]


#: What a check found, as against what its declaration says and how long it took.
_FOUND = ("passed", "element_count", "unexpected_count", "unexpected_rate", "observed", "message", "failing_keys")


def _kept(result: CheckResult) -> str:
    return json.dumps({name: getattr(result, name) for name in _FOUND})


def _taken_over(gate: Gate, check: Check, found: str) -> CheckResult:
    """The result of a check whose tables hold what they held when it was judged."""
    told = json.loads(found)
    return _result(
        gate, check, passed=told["passed"], message=told["message"], elements=told["element_count"],
        unexpected=told["unexpected_count"], rate=told["unexpected_rate"], observed=told["observed"],
        keys=tuple(told["failing_keys"]),
    )  # fmt: skip


def require_passed(connection: Connection, gate: str) -> None:
    """Raise GateError unless `gate` ran in the build's run and none of its blocking checks failed.

    A gate without results did not pass: a step that depends on it must not start.
    """
    try:
        rows = connection.execute(
            "select name, passed or severity <> 'error', message, describes from audit.checks where gate = ? "
            "and run_id = (select run_id from control.build) order by name",
            [gate],
        ).fetchall()
    except duckdb.CatalogException:
        rows = []
    if not rows:
        raise GateError(f"the {gate} gate has not been judged in this run; launch the whole job (`rcu run`)")
    failed = [f"{name} ({message}). {describes}" for name, is_fine, message, describes in rows if not is_fine]
    if failed:
        raise GateError(f"the {gate} gate failed, what was published before still is: {'; '.join(failed)}")


def write_results(connection: Connection, results: Iterable[CheckResult], *, as_of_on: dt.date, run_id: str) -> int:
    """Write a gate's results to `audit.checks` of the build; returns the rows of this run there.

    The table holds one run: rows of another run, or of an earlier try of the same gate, go.
    """
    rows = [
        (
            result.gate, result.name, *result.asset_key, result.expectation, result.severity, result.passed,
            result.element_count, result.unexpected_count, result.unexpected_rate,
            json.dumps(result.observed, sort_keys=True), json.dumps(result.failing_keys, sort_keys=True),
            result.message, result.describes, result.duration, as_of_on, run_id,
        )
        for result in results
    ]  # fmt: skip
    connection.execute("begin")
    connection.execute("create schema if not exists audit")
    connection.execute(
        "create table if not exists audit.checks (gate varchar, name varchar, schema_name varchar, "
        "table_name varchar, expectation varchar, severity varchar, passed boolean, element_count bigint, "
        "unexpected_count bigint, unexpected_rate double, observed varchar, failing_keys varchar, message varchar, "
        "describes varchar, duration_seconds double, as_of_on date, run_id varchar)"
    )
    connection.execute("delete from audit.checks where run_id <> ?", [run_id])
    for gate in sorted({row[0] for row in rows}):
        connection.execute("delete from audit.checks where gate = ?", [gate])
    if rows:
        connection.executemany(f"insert into audit.checks values ({', '.join('?' * 17)})", rows)
    connection.execute("commit")
    count = connection.execute("select count(*) from audit.checks").fetchone()
    return int(count[0]) if count else 0


def _catalogue(connection: Connection) -> Catalogue:
    found: Catalogue = {}
    for table, column in connection.execute(
        "select schema_name || '.' || table_name, column_name from duckdb_columns() "
        "where database_name = current_database() and not internal "
        "order by schema_name, table_name, column_index"
    ).fetchall():
        found.setdefault(table, []).append(column)
    return found


def _missing(check: Check, catalogue: Catalogue) -> str | None:
    """What the check needs and the build does not hold; None when all is there."""
    other = check.arguments.get("other")
    for table in (check.table, other):
        if table is not None and table not in catalogue:
            return f"there is no table {table} in the build"
    if check.uses_as_of and "control.as_of" not in catalogue:
        return "there is no table control.as_of in the build"
    judged = _names(check, JUDGED_COLUMNS) | set(check.keys) | {condition.column for condition in check.where}
    if check.expect == "expect_column_to_exist":
        judged -= {check.arguments["column"]}
    asked = [(check.table, name) for name in sorted(judged)]
    if other is not None:
        names = _names(check, ("other_column", "other_columns", "other_flag"))
        if check.expect in ("is_subset_of", "covers") and "other_columns" not in check.arguments:
            names |= set(check.arguments["columns"])
        asked += [(other, name) for name in sorted(names)]
    for table, name in asked:
        if name not in catalogue[table]:
            return f'{table} has no column "{name}"{did_you_mean(name, catalogue[table])}'
    return None


def _names(check: Check, arguments: Iterable[str]) -> set[str]:
    names: set[str] = set()
    for argument in arguments:
        value = check.arguments.get(argument, ())
        names.update([value] if isinstance(value, str) else value)
    return names


def _judge(
    gate: Gate, batches: Batches, table: str, condition: str, checks: list[Check], catalogue: Catalogue
) -> list[CheckResult]:
    """Evaluate checks of one table and one row condition."""
    query = None if condition == "true" else f"select * from {table_sql(table)} where {condition}"
    batch = batches.of(table, query)
    started = time.perf_counter()
    answers = _validate(batch, checks, catalogue, is_detailed=False)
    share = (time.perf_counter() - started) / len(checks)
    results = []
    for check, answer in zip(checks, answers, strict=True):
        again = time.perf_counter()
        if _error_of(answer) and len(checks) > 1:
            # One scan serves all checks of a table, so one that cannot be evaluated fails them all.
            answer = _validate(batch, [check], catalogue, is_detailed=False)[0]
        keys: tuple[dict[str, str], ...] = ()
        if not answer["success"] and not _error_of(answer) and (check.keys or check.expectation.is_ours):
            answer = _validate(batch, [check], catalogue, is_detailed=True)[0]
            keys = _failing_keys(check, answer["result"])
        duration = share + time.perf_counter() - again
        results.append(_read(gate, check, answer, keys, duration))
    return results


def _validate(batch: Any, checks: list[Check], catalogue: Catalogue, *, is_detailed: bool) -> list[dict[str, Any]]:
    """Great Expectations' answers, in the order of `checks`. Detailed: with the keys of failing rows."""
    from great_expectations import expectations as library
    from great_expectations.core.expectation_suite import ExpectationSuite

    expectations = []
    for check in checks:
        if check.expectation.is_ours:
            kind, arguments = (
                "UnexpectedRowsExpectation",
                {"unexpected_rows_query": unexpected_rows_sql(check, catalogue)},
            )
        else:
            kind, arguments = "".join(part.capitalize() for part in check.expect.split("_")), check.arguments
        expectations.append(getattr(library, kind)(**arguments, meta={"check": check.name}))
    asks: dict[str, Any] = {"result_format": "BASIC", "partial_unexpected_count": 0}
    if is_detailed and checks[0].expectation.is_ours:
        asks = {"result_format": "COMPLETE"}  # our queries return keys and numbers, 200 rows at most
    elif is_detailed:
        asks = {
            "result_format": "SUMMARY",
            "partial_unexpected_count": KEYS_KEPT,
            "unexpected_index_column_names": list(checks[0].keys),
        }
    report = batch.validate(ExpectationSuite(name="gate", expectations=expectations), result_format=asks)
    by_check = {answer.expectation_config.meta["check"]: answer.to_json_dict() for answer in report.results}
    return [by_check[check.name] for check in checks]


def _error_of(answer: dict[str, Any]) -> str | None:
    """The kind of error that kept a check from being evaluated. Its text may quote values: not kept."""
    told = answer.get("exception_info") or {}
    entries = [told] if "raised_exception" in told else list(told.values())
    for entry in entries:
        if isinstance(entry, dict) and entry.get("raised_exception"):
            causes = _CAUSE.findall(str(entry.get("exception_traceback") or ""))
            return causes[0] if causes else "an error"
    return None


def _failing_keys(check: Check, result: dict[str, Any]) -> tuple[dict[str, str], ...]:
    rows = result.get("partial_unexpected_index_list") or (result.get("details") or {}).get("unexpected_rows") or []
    kept = [{key: str(row[key]) for key in check.keys if key in row} for row in rows if isinstance(row, dict)]
    return tuple(sorted((row for row in kept if row), key=lambda row: sorted(row.items()))[:KEYS_KEPT])


def _read(
    gate: Gate, check: Check, answer: dict[str, Any], keys: tuple[dict[str, str], ...], duration: float
) -> CheckResult:
    error = _error_of(answer)
    if error:
        message = f"the check could not be evaluated on {check.table} ({error}); does it fit the type of its columns?"
        return _result(gate, check, passed=False, message=message, duration=duration, was_judged=False)
    passed = bool(answer["success"])
    told = answer["result"]
    elements = told.get("element_count")
    observed = _numbers(told)
    if check.expectation.is_ours:
        unexpected, elements = int(told["observed_value"]), None
        observed = _first_numbers(told) if not passed else {}
        observed["unexpected_rows"] = unexpected
    else:
        unexpected = told.get("unexpected_count")
    rate = unexpected / elements if unexpected is not None and elements else None
    return _result(
        gate, check, passed=passed, elements=elements, unexpected=unexpected, rate=rate, observed=observed,
        keys=keys, duration=duration, message=_message(check, passed, elements, unexpected, observed),
    )  # fmt: skip


def _numbers(told: dict[str, Any]) -> dict[str, Number]:
    """What was measured, where it is a number; text and dates of the data are dropped."""
    value = told.get("observed_value")
    if isinstance(value, dict) and "quantiles" in value:
        pairs = zip(value["quantiles"], value["values"], strict=True)
        named = {f"quantile_{quantile}": measured for quantile, measured in pairs}
    elif isinstance(value, list):
        named = {"value_count": len(value)}
    else:
        named = {"value": value}
    return {name: number for name, raw in named.items() if (number := _number(raw)) is not None}


def _first_numbers(told: dict[str, Any]) -> dict[str, Number]:
    rows = (told.get("details") or {}).get("unexpected_rows") or []
    if len(rows) != 1:
        return {}
    return {name: number for name, raw in rows[0].items() if (number := _number(raw)) is not None}


def _number(raw: Any) -> Number | None:
    if isinstance(raw, bool) or not isinstance(raw, int | float | decimal.Decimal):
        return None
    if isinstance(raw, int):
        return raw
    return float(raw) if math.isfinite(raw) else None


def _message(
    check: Check, passed: bool, elements: int | None, unexpected: int | None, observed: dict[str, Number]
) -> str:
    about = {name: value for name, value in check.arguments.items() if name not in ("regex", "quantile_ranges")}
    what = f"{check.expect} ({', '.join(f'{name}: {_words(value)}' for name, value in about.items())})"
    what = what.replace(" ()", "")
    if passed:
        return f"{check.table}: {what} holds"
    if elements is not None and unexpected is not None:
        share = f"{unexpected / elements:.1%}" if elements else "none"
        return f"{check.table}: {unexpected:,} of {elements:,} rows ({share}) fail {what}"
    measured = ", ".join(f"{name} {value:,.10g}" for name, value in observed.items())
    return f"{check.table}: {what} does not hold" + (f"; measured {measured}" if measured else "")


def _words(value: Any) -> str:
    return ", ".join(str(item) for item in value) if isinstance(value, list | tuple) else str(value)


def _result(
    gate: Gate,
    check: Check,
    *,
    passed: bool,
    message: str,
    elements: int | None = None,
    unexpected: int | None = None,
    rate: float | None = None,
    observed: dict[str, Number] | None = None,
    keys: tuple[dict[str, str], ...] = (),
    duration: float = 0.0,
    was_judged: bool = True,
) -> CheckResult:
    return CheckResult(
        gate=gate.gate,
        name=check.name,
        table=check.table,
        asset_key=check.asset_key,
        expectation=check.expect,
        severity=check.severity,
        passed=passed,
        element_count=elements,
        unexpected_count=unexpected,
        unexpected_rate=rate,
        observed=observed or {},
        message=message,
        describes=check.describes,
        failing_keys=keys,
        duration=round(duration, 4),
        was_judged=was_judged,
    )

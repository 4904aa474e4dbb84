"""Landing tables brought up to a new delivery hold what a build from nothing holds, and say which rows changed."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestration.contracts.company import Company
from orchestration.contracts.source import Source
from orchestration.ingest import assemble, ingest, landing_tables
from orchestration.settings import Workspace

COMPANY = Company(name="Test")
TABLES = ("landing.customers", "landing.events", "landing.consents")
WHEN = {"occurred_at": {"from": "AT"}}


def contract(name: str, delivers: dict[str, Any], delivery: str) -> Source:
    return Source.model_validate(
        {
            "source": name, "describes": "generated", "trust_rank": 1, "delivery": delivery,
            "tolerated_deletes": 1.0, "file": {"pattern": f"{name}_{{date}}.csv"}, "delivers": delivers,
        }
    )  # fmt: skip


SOURCES = {
    "customers": contract("customers", {"customer": {"key": "ID", "columns": {"last_name": {"from": "V"}}}}, "full"),
    "members": contract("members", {"customer": {"key": "ID", "columns": {"last_name": {"from": "V"}}}}, "delta"),
    "clicks": contract(
        "clicks",
        {"event": {"key": "ID", "columns": {"event_type": {"constant": "email_click"}, "value": {"from": "V"}, **WHEN}}},
        "delta",
    ),
    "choices": contract(
        "choices",
        {
            "consent": {
                "key": "ID",
                "columns": {
                    "channel": {"constant": "email"}, "purpose": {"constant": "marketing"},
                    "status": {"from": "V", "values": {"1": "granted", "2": "withdrawn", "3": "refused"}}, **WHEN,
                },
            }
        },
        "delta",
    ),
}  # fmt: skip
DELIVERY = st.tuples(
    st.sampled_from(sorted(SOURCES)),
    st.integers(1, 4),  # business day
    st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 3), min_size=1, max_size=5),
)


def rows(connection: duckdb.DuckDBPyConnection, table: str, where: str = "true") -> Counter[tuple[Any, ...]]:
    return Counter(connection.execute(f"select * from {table} where {where}").fetchall())


def told_contents(connection: duckdb.DuckDBPyConnection, table: str) -> str:
    found = connection.execute("select contents from control.table_contents where place = ?", [table]).fetchall()
    assert len(found) == 1, table
    return str(found[0][0])


@settings(max_examples=5, deadline=None)
@given(
    deliveries=st.lists(DELIVERY, min_size=2, max_size=8),
    left_out=st.sampled_from([None, *sorted(SOURCES)]),
    rewritten=st.booleans(),
)
@example(  # the second file of the day leaves out a key that an earlier day told of
    deliveries=[
        (source, business, values)
        for source in ("clicks", "choices", "members", "customers")
        for business, values in ((1, {"a": 1, "b": 1}), (2, {"a": 2}), (2, {"b": 2}))
    ],
    left_out=None,
    rewritten=False,
)
def test_increments_hold_what_a_build_from_nothing_holds(
    deliveries: list[tuple[str, int, dict[str, int]]], left_out: str | None, rewritten: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(landing_tables, "LARGEST_SHARE", 1e9)  # of so few rows, any delivery is a large share
        workspace = Workspace(Path(folder))
        workspace.prepare()
        increment = duckdb.connect()
        for number, (source, business, values) in enumerate(deliveries):
            lines = "".join(f"{key},{value},2026-10-01\n" for key, value in sorted(values.items()))
            (workspace.inbox / f"{source}_2026-11-{business:02d}.csv").write_text("ID,V,AT\n" + lines)
            today = dt.date(2026, 11, 10 + number)
            ingest(workspace, SOURCES, COMPANY, received_on=today, is_forward=True, run_id="test", settle_seconds=0)
            is_last = number == len(deliveries) - 1
            if is_last and rewritten:  # as an erasure does
                for file in workspace.landing.glob("event/*/*/*.parquet"):
                    kept = f"select * exclude (n) from (select *, row_number() over () as n from '{file}') where n > 1"
                    duckdb.sql(f"copy ({kept}) to '{file}.new' (format parquet)")
                    Path(f"{file}.new").replace(file)
            declared = {name: one for name, one in SOURCES.items() if not (is_last and name == left_out)}
            before = {table: rows(increment, table) for table in TABLES} if number else {}
            earlier = {table: told_contents(increment, table) for table in before}
            assemble(increment, workspace, declared, as_of_on=today)
            for table in TABLES:
                changed = increment.execute(
                    "select contents_before, contents_after from control.table_changes where place = ?", [table]
                ).fetchall()
                if changed == [(earlier.get(table), told_contents(increment, table))]:
                    log = f"changes.{table.replace('.', '__')}"
                    gone, come = (
                        rows(increment, f"(select * exclude (is_gone) from {log} where {flag})")
                        for flag in ("is_gone", "not is_gone")
                    )
                    assert before[table] - gone + come == rows(increment, table), table
                elif not rewritten and before and not earlier[table].startswith("0 "):
                    assert before[table] == rows(increment, table), table
        fresh = duckdb.connect()
        assemble(fresh, workspace, declared, as_of_on=today)
        for table in TABLES:
            assert rows(increment, table) == rows(fresh, table), table
            assert told_contents(increment, table) == told_contents(fresh, table), table

"""The ledger of requests: due dates, states, and lines that come out of order."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from pathlib import Path

import duckdb
import pytest

from orchestration import privacy, suppression, warehouse
from orchestration.contracts.catalogue import load_catalogue
from orchestration.contracts.retention import Retention
from orchestration.errors import UsageError
from orchestration.privacy import daily, ledger
from orchestration.settings import Workspace

DAY = dt.date(2026, 1, 31)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


@pytest.mark.parametrize(
    ("received", "months", "due"),
    [
        ("2026-01-31", 1, "2026-02-28"), ("2028-01-31", 1, "2028-02-29"), ("2026-12-15", 1, "2027-01-15"),
        ("2026-01-31", 3, "2026-04-30"), ("2026-03-31", -36, "2023-03-31"), ("2026-01-15", -1, "2025-12-15"),
    ],
)  # fmt: skip
def test_a_request_is_due_the_same_day_of_a_later_month(received: str, months: int, due: str) -> None:
    assert ledger.due(dt.date.fromisoformat(received), months) == dt.date.fromisoformat(due)


def test_an_open_request_is_overdue_the_day_after_it_was_due(workspace: Workspace) -> None:
    number = ledger.open_request(workspace, "access", received_on=DAY, customer_id="c1")
    assert ledger.overdue(workspace, dt.date(2026, 2, 28)) == []
    assert [one.request_id for one in ledger.overdue(workspace, dt.date(2026, 3, 1))] == [number]
    ledger.close(workspace, number, "extended", on=DAY, done_by="dpo")
    assert ledger.overdue(workspace, dt.date(2026, 3, 1)) == []
    ledger.close(workspace, number, "answered", on=dt.date(2026, 3, 2), done_by="dpo")
    assert ledger.overdue(workspace, dt.date(2030, 1, 1)) == []
    assert ledger.requests(workspace)[0].state == "answered"


def test_an_answer_before_its_request_closes_nothing(workspace: Workspace) -> None:
    ledger.append(workspace, [("R1", "erasure", "answered", DAY, None, "dpo", "", {})])
    ledger.append(workspace, [("R1", "erasure", "received", DAY + dt.timedelta(days=9), None, "dpo", "", {})])
    (request,) = ledger.requests(workspace)
    assert (request.state, request.is_irregular) == ("open", True)


def test_what_cannot_be_closed_is_told_in_one_line(workspace: Workspace) -> None:
    number = ledger.open_request(workspace, "access", received_on=DAY)
    ledger.close(workspace, number, "refused", on=DAY, done_by="dpo")
    for call, match in (
        (lambda: ledger.close(workspace, "nope", "answered", on=DAY, done_by="x"), "no request"),
        (lambda: ledger.close(workspace, number, "answered", on=DAY, done_by="x"), "already"),
        (lambda: ledger.open_request(workspace, "forget", received_on=DAY), "no kind of request"),
    ):
        with pytest.raises(UsageError, match=match):
            call()


def test_the_published_ledger_says_what_is_overdue(workspace: Workspace) -> None:
    ledger.open_request(workspace, "access", received_on=DAY, request_id="A")
    ledger.open_request(workspace, "access", received_on=dt.date(2026, 3, 20), request_id="B")
    connection = warehouse.connect()
    assert ledger.write_requests(connection, workspace, today=dt.date(2026, 3, 31)) == 1
    rows = connection.execute("select request_id, due_on, is_overdue from audit.privacy_requests order by 1").fetchall()
    connection.close()
    assert rows == [("A", dt.date(2026, 2, 28), True), ("B", dt.date(2026, 4, 20), False)]


def test_a_delivered_request_has_its_day_in_the_company_s_time_zone() -> None:
    row = {"requested_at": dt.datetime(2026, 2, 15, 23, 0), "available_on": dt.date(2026, 3, 1)}
    assert daily._received_on(row, zoneinfo.ZoneInfo("Europe/Paris")) == dt.date(2026, 2, 16)
    assert daily._received_on(row, zoneinfo.ZoneInfo("America/New_York")) == dt.date(2026, 2, 15)
    assert daily._received_on({**row, "requested_at": None}, dt.UTC) == dt.date(2026, 3, 1)
    late = {**row, "requested_at": dt.datetime(2026, 3, 9, 8, 0)}
    assert daily._received_on(late, dt.UTC) == dt.date(2026, 3, 1), "it was here by then"


def land_request(workspace: Workspace, number: str, kind: str, email: str) -> None:
    """One delivered request, as ingest lands it."""
    folder = workspace.landing / "privacy_request" / "source=desk" / "batch=2026-01-31"
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"request_id": number, "row_key": number, "request_type": kind, "ref_email": email, "source": "desk",
             "batch_id": number, "row_hash": number}  # fmt: skip
    texts |= dict.fromkeys(("ref_account_source", "ref_account", "ref_card", "ref_phone", "ref_cookie", "ref_last_name",
                            "ref_first_name", "details"))  # fmt: skip
    listed = ", ".join(f"cast($v{n} as varchar) as {name}" for n, name in enumerate(texts))
    with duckdb.connect() as connection:
        connection.execute(
            f"copy (select {listed}, cast(null as timestamp) as requested_at, date '{DAY}' as business_on, "
            f"date '{DAY}' as available_on, cast(2 as bigint) as line_number) to '{folder / number}.parquet' (format parquet)",
            {f"v{n}": value for n, value in enumerate(texts.values())},
        )


def test_a_request_that_is_not_clear_binds_as_an_objection_and_stays_open(workspace: Workspace) -> None:
    land_request(workspace, "Q1", "unclear", "ada@exemple.example")
    land_request(workspace, "Q2", "objection", "bo@exemple.example")
    for _ in range(2):
        privacy.before_landing(workspace, {}, {}, Retention(), today=DAY, is_forward=True, time_zone="Europe/Paris")
    told = {one.request_id: (one.state, one.reason) for one in ledger.requests(workspace)}
    assert told == {
        "desk:Q1": ("open", "what is asked is not clear; not contacted meanwhile"),
        "desk:Q2": ("answered", ""),
    }
    keys = ["ada@exemple.example", "bo@exemple.example", "cy@exemple.example"]
    assert set(suppression.objected_among(workspace, "email", keys)) == set(keys[:2])


def test_a_file_of_requests_or_consents_is_never_refused_for_its_bad_rows(project: Path) -> None:
    sources = load_catalogue(project / "declarations").sources
    binding = {name for name, one in sources.items() if set(one.delivers) <= {"consent", "privacy_request"}}
    assert binding == {"preferences", "privacy_requests", "unsubscribe_clicks"}
    assert {sources[name].most_bad_rows for name in binding} == {1.0}
    assert sources["crm_customers"].most_bad_rows == sources["crm_customers"].tolerated_bad_rows == 0.02

"""The record of runs and the state of a workspace."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from orchestration import warehouse
from orchestration.publish import Run, close_lost_runs, last_runs, record_run, rollback, status, write_runs
from tests.unit.publish.toy import day, new_workspace, run

FOUR = dt.datetime(2026, 3, 1, 4, 0)
SIX = dt.datetime(2026, 3, 1, 7, 0, tzinfo=dt.timezone(dt.timedelta(hours=1)))


def test_the_last_record_of_a_run_counts(tmp_path: Path) -> None:
    workspace = new_workspace(tmp_path)
    record_run(workspace, Run("r1", day(1), "20260301-0001", "running", FOUR))
    record_run(
        workspace, Run("r1", day(1), "20260301-0001", "published", FOUR, SIX, counts={"customers": 3, "rate": 0.5})
    )
    (told,) = last_runs(workspace)
    assert (told.status, told.ended_at, told.counts) == (
        "published",
        dt.datetime(2026, 3, 1, 6, 0),
        {"customers": 3, "rate": 0.5},
    )


def test_runs_are_told_newest_first(tmp_path: Path) -> None:
    workspace = new_workspace(tmp_path)
    for number in (2, 1, 3):
        started = FOUR + dt.timedelta(days=number)
        record_run(
            workspace, Run(f"r{number}", day(number), f"2026030{number}-0001", "failed", started, reason="it's 'so'")
        )
    assert [told.run_id for told in last_runs(workspace, 2)] == ["r3", "r2"]
    assert last_runs(workspace)[0].reason == "it's 'so'"


def test_audit_runs_holds_the_runs_up_to_the_date(tmp_path: Path) -> None:
    workspace = new_workspace(tmp_path)
    connection = warehouse.connect()
    write_runs(connection, workspace, as_of_on=day(1))
    assert connection.execute("select count(*) from audit.runs").fetchall() == [(0,)]
    for number in (1, 2):
        record_run(workspace, Run(f"r{number}", day(number), f"2026030{number}-0001", "published", FOUR, SIX))
    write_runs(connection, workspace, as_of_on=day(1))
    assert connection.execute("select run_id, as_of_on, status from audit.runs").fetchall() == [
        ("r1", day(1), "published")
    ]
    connection.close()


def test_status_of_an_empty_workspace(tmp_path: Path) -> None:
    told = status(new_workspace(tmp_path))
    assert (told.current, told.publications, told.runs, told.is_rolled_back, told.build) == (None, [], [], False, None)


def test_status_tells_the_current_version_and_a_rollback(tmp_path: Path) -> None:
    workspace = new_workspace(tmp_path)
    run(workspace, day(1), run_id="r1")
    run(workspace, day(2), run_id="r2")
    told = status(workspace)
    assert (told.current.version, told.is_rolled_back, told.build.is_complete) == ("20260302-0001", False, True)
    rollback(workspace)
    told = status(workspace)
    assert (told.current.version, told.is_rolled_back, len(told.publications)) == ("20260301-0001", True, 2)


def test_a_run_that_never_said_how_it_ended_has_failed(tmp_path: Path) -> None:
    workspace = new_workspace(tmp_path)
    record_run(workspace, Run("r1", day(1), "20260301-0001", "published", FOUR, SIX))
    record_run(workspace, Run("r2", day(2), "20260302-0001", "running", FOUR))
    assert close_lost_runs(workspace) == ["r2"]
    assert {run.run_id: run.status for run in last_runs(workspace)} == {"r1": "published", "r2": "failed"}
    assert close_lost_runs(workspace) == []


def test_a_publication_tells_of_its_own_run(tmp_path: Path) -> None:
    workspace = new_workspace(tmp_path)
    record_run(workspace, Run("r1", day(1), "20260301-0001", "running", FOUR))
    connection = warehouse.connect()
    write_runs(connection, workspace, as_of_on=day(1), publishing="r1")
    assert connection.execute("select run_id, status, ended_at from audit.runs").fetchall() == [
        ("r1", "published", None)
    ]
    connection.close()

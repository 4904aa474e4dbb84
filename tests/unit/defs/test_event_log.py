"""The event log keeps what it is given, one by one or many together."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from dagster import EventLogEntry

from orchestration.defs.event_log import RunEventLog


def entry(run_id: str, number: int) -> EventLogEntry:
    return EventLogEntry(
        error_info=None, level="info", user_message=f"event {number}", run_id=run_id,
        timestamp=dt.datetime(2026, 3, 1, tzinfo=dt.UTC).timestamp() + number,
    )  # fmt: skip


def messages(log: RunEventLog, run_id: str) -> list[str]:
    return [event.user_message for event in log.get_logs_for_run(run_id)]


def test_events_that_come_together_are_all_kept_in_their_order(tmp_path: Path) -> None:
    log = RunEventLog(str(tmp_path))
    log.store_event_batch([*(entry("a", number) for number in range(50)), entry("b", 50)])
    with log.kept_open("a"):
        log.store_event_batch([entry("a", 51), entry("a", 52)])
        log.store_event(entry("a", 53))
    log.store_event(entry("b", 54))
    other = RunEventLog(str(tmp_path))  # as another process reads it
    assert messages(other, "a") == [f"event {number}" for number in (*range(50), 51, 52, 53)]
    assert messages(other, "b") == ["event 50", "event 54"]


def test_a_table_that_is_missing_is_asked_for_again(tmp_path: Path) -> None:
    log = RunEventLog(str(tmp_path))
    log.store_event(entry("a", 1))
    assert log.has_table("event_logs")
    assert not log.has_table("nothing_of_that_name")

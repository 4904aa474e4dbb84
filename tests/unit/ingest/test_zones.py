"""Local times become UTC as the calendar has it, on every day on which an offset changes."""

from __future__ import annotations

import datetime as dt
import zoneinfo

import duckdb
import pytest

from orchestration.ingest.zones import local_to_utc, offsets


@pytest.mark.parametrize(
    "zone", ["Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "UTC"]
)
def test_each_local_time_is_the_utc_time_of_the_calendar(zone: str) -> None:
    connection = duckdb.connect()
    # Every 35 minutes over 51 years: all hours of the day, gaps and repeated hours included.
    connection.execute(
        "create table moments as select unnest(range(timestamp '1989-06-01 00:01', timestamp '2040-06-01', "
        "interval 35 minute)) as moment"
    )
    wrong = connection.execute(
        f"select moment from moments where ({local_to_utc('moment', zone)}) "
        f"is distinct from timezone('UTC', timezone('{zone}', moment)) order by moment limit 5"
    ).fetchall()
    assert wrong == []


def test_paris_changes_its_offset_on_the_last_sundays_of_march_and_october() -> None:
    days = [since.date() for since, _ in offsets("Europe/Paris") if since.year == 2026]
    assert days == [dt.date(2026, 3, 29), dt.date(2026, 10, 25)]
    paris = zoneinfo.ZoneInfo("Europe/Paris")
    for since, offset in offsets("Europe/Paris")[1:]:
        noon = dt.datetime.combine(since.date(), dt.time(12), paris)
        assert noon.utcoffset() == dt.timedelta(microseconds=offset)

"""Local times as UTC, at the price of a comparison.

What belongs here: where the offset of a time zone changes, as DuckDB's calendar has it, and the SQL made from it. What
does not: reading a text as a time.

Asking the calendar for each row costs as much as half of all other conversions. The offset only changes twice a year
at most, so it is asked once where, and rows are compared with that; times outside the years asked for go to the
calendar.
"""

from __future__ import annotations

import datetime as dt
import functools
import itertools

from orchestration import warehouse
from orchestration.warehouse import literal

FIRST, LAST = dt.datetime(1990, 1, 1), dt.datetime(2040, 1, 1)


def utc(moment: str, zone: str) -> str:
    """A timestamp with time zone as UTC timestamp, or a local one of `zone`, asked of the calendar."""
    local = f"timezone({literal(zone)}, {moment})" if zone else moment
    # Its own microseconds, where `timezone('UTC', ...)` asks the calendar again.
    return f"make_timestamp(epoch_us({local}))"


def local_to_utc(column: str, zone: str) -> str:
    """A column of local times of `zone` as UTC. Give a column, not an expression: it is compared many times."""
    changes = offsets(zone)
    branches = " ".join(
        f"when {column} >= timestamp '{since}' then {offset}" for since, offset in reversed(changes[1:])
    )
    offset = f"case {branches} else {changes[0][1]} end" if branches else str(changes[0][1])
    return (
        f"case when {column} >= timestamp '{FIRST}' and {column} < timestamp '{LAST}' "
        f"then make_timestamp(epoch_us({column}) - {offset}) else {utc(column, zone)} end"
    )


@functools.lru_cache(maxsize=64)
def offsets(zone: str) -> tuple[tuple[dt.datetime, int], ...]:
    """(local time from which it holds, microseconds to take off) between FIRST and LAST, ascending."""
    connection = warehouse.connect()
    try:
        days = _asked(connection, zone, f"range(timestamp '{FIRST}', timestamp '{LAST}', interval 1 day)")
        around = [before for (before, old), (_, new) in itertools.pairwise(days) if old != new]
        ranges = [
            f"range(timestamp '{day}', timestamp '{day + dt.timedelta(1, 300)}', interval 5 minute)" for day in around
        ]
        closely = _asked(connection, zone, f"flatten([{', '.join(ranges)}])") if ranges else []
    finally:
        connection.close()
    kept = [days[0]]
    for change in closely:
        if change[1] != kept[-1][1]:
            kept.append(change)
    return tuple(kept)


def _asked(connection: warehouse.Connection, zone: str, moments: str) -> list[tuple[dt.datetime, int]]:
    return connection.execute(
        f"select moment, epoch_us(moment) - epoch_us(timezone({literal(zone)}, moment)) "
        f"from (select unnest({moments}) as moment) order by moment"
    ).fetchall()

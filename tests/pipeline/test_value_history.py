"""Where customers stood on past dates, as the shared history of runs has published it."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter

import pytest

from tests.pipeline.conftest import LAST, History

pytestmark = pytest.mark.slow

EARLIER, LATER = LAST - dt.timedelta(days=200), LAST - dt.timedelta(days=20)


def test_the_command_counts_every_customer_known_on_the_later_date_once(history: History) -> None:
    spells: dict[str, list[tuple]] = {}
    for customer, *spell in history.shop.query(
        "select customer_id, since_on, until_on, stage from marts.lifecycle_history"
    ):
        spells.setdefault(customer, []).append(tuple(spell))

    def stage(customer: str, day: dt.date) -> str | None:
        found = [s for since, until, s in spells[customer] if since <= day and (until is None or day < until)]
        assert len(found) <= 1
        return found[0] if found else None

    expected = Counter(
        (stage(customer, EARLIER) or "unknown", stage(customer, LATER))
        for customer in spells
        if stage(customer, LATER) is not None
    )
    output = history.shop.rcu("transitions", EARLIER.isoformat(), LATER.isoformat(), "--json").stdout
    told = [json.loads(line) for line in output.splitlines()]
    assert {(row["from_stage"], row["to_stage"]): row["customer_count"] for row in told} == expected
    assert len(told) == len(expected) > 5


def test_every_column_of_the_360_says_in_the_file_what_it_is_in_what_unit_and_from_where(history: History) -> None:
    told = history.shop.query(
        "select column_name, comment from duckdb_columns() where schema_name = 'marts' and table_name = 'customer_360'"
    )
    assert len(told) > 100
    for column, comment in told:
        assert comment and "; unit: " in comment and "; from " in comment and "; personal data: " in comment, column

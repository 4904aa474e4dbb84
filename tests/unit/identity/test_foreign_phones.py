"""Telephone numbers of countries whose plan SQL does not hold."""

from __future__ import annotations

import duckdb
import pytest

from orchestration.identity.foreign_phones import NOT_IN_PLAN, Plugin, read_number


@pytest.mark.parametrize(
    ("written", "country", "told"),
    [
        ("+48 512 345 678", None, "mobile +48512345678"),
        ("512 345 678", "PL", "mobile +48512345678"),
        ("0048 22 123 45 67", "FR", "landline +48221234567"),
        ("+1 514 555 0199", None, "unknown +15145550199"),  # one plan for both kinds
        ("+1 111 222 3334", None, NOT_IN_PLAN),
        ("512 345 678", None, NOT_IN_PLAN),
        ("no number", "PL", NOT_IN_PLAN),
        (None, "PL", None),
    ],
)
def test_a_foreign_number_is_read_with_its_countrys_plan(written: str | None, country: str, told: str | None) -> None:
    assert read_number(written, country) == told


def test_the_function_is_there_for_each_connection_of_a_database() -> None:
    connection = duckdb.connect()
    plugin = Plugin(name="foreign_phones", plugin_config={})
    plugin.configure_connection(connection)
    plugin.configure_connection(connection)
    row = connection.execute("select foreign_phone('+48512345678', null)").fetchone()
    assert row == ("mobile +48512345678",)

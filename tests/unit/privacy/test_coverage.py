"""Access and erasure cover the same columns: all that are classified as personal, and no list by hand."""

from __future__ import annotations

import pytest

from orchestration.contracts.entities import ENTITIES
from orchestration.contracts.published_tables import published_tables
from orchestration.contracts.subject import landing_tables, publication_tables
from orchestration.ingest.erase import condition
from orchestration.privacy.access import classes

CLASSES = {"identity", "contact", "reference", "trait", "sensitive", "none"}


def test_every_column_is_classified() -> None:
    wrong = [f"{e.name}.{c.name}" for e in ENTITIES.values() for c in e.columns if c.personal not in CLASSES]
    wrong += [f"{t.full_name}.{c.name}" for t in published_tables() for c in t.columns if c.personal not in CLASSES]
    assert wrong == []


def test_erasure_plans_every_entity_with_something_personal() -> None:
    planned = {table.name: set(table.personal) for table in landing_tables()}
    for entity in ENTITIES.values():
        personal = {column.name for column in entity.columns if column.personal != "none"}
        if any(c.personal in ("identity", "contact") or c.name.endswith("record_id") for c in entity.columns):
            assert planned[entity.name] == personal, entity.name
    assert set(ENTITIES) - set(planned) == {"product"}


def test_erasure_plans_every_published_column_that_is_personal() -> None:
    planned = {(table.name, column) for table in publication_tables() for column in table.personal}
    personal = {(t.full_name, c.name) for t in published_tables() for c in t.columns if c.personal != "none"}
    assert planned == personal
    assert [table.name for table in publication_tables() if not table.is_reachable] == []


def test_an_answer_to_access_covers_what_an_erasure_covers() -> None:
    covered = {(table, column) for table, columns in classes().items() for column in columns}
    erased = {(table.name, column) for table in publication_tables() for column in table.personal}
    erased |= {(f"landing.{ENTITIES[t.name].plural}", column) for t in landing_tables() for column in t.personal}
    assert covered == erased


@pytest.mark.parametrize("table", landing_tables(), ids=lambda table: table.name)
def test_a_row_is_found_by_each_reference_that_it_can_carry(table) -> None:
    test = condition(table)
    for _, record in table.records:
        assert f'"{record}"' in test
    for column, _ in table.values:
        assert f'"{column}"' in test


def test_only_accounting_rows_stay_and_keep_no_personal_column_but_their_keys() -> None:
    kept = {table.name for table in [*landing_tables(), *publication_tables()] if table.treatment == "anonymise"}
    assert kept == {"order", "order_line", "marts.orders", "marts.order_lines"}
    for table in landing_tables():
        if table.treatment == "anonymise":
            assert set(table.kept) <= {"order_id", "line_id", "returned_order_id"}

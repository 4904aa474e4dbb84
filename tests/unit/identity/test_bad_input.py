"""Input that would blow up or merge strangers: nothing is joined that should not be, and pairs stay few."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.contracts.loader import parse, validate
from orchestration.contracts.matching import Matching
from orchestration.errors import DeclarationError
from orchestration.identity import resolve
from tests.unit.identity.conftest import COLUMNS, MODEL, World, matching


def fill(world: World, query: str) -> None:
    """Give the world's database the records that a query makes, without a row of Python for each."""
    world.load(world.connection, set())
    given = [name for (name,) in world.connection.execute(f"select column_name from (describe {query})").fetchall()]
    told = ", ".join(name if name in given else f"null as {name}" for name in COLUMNS)
    world.connection.execute(f"insert into intermediate.int_identity_records by name select {told} from ({query})")


def run(world: World):
    import datetime as dt

    return resolve(
        world.connection, world.workspace, world.matching,
        as_of_on=dt.date(2026, 2, 1), version="20260201-0001", run_id="r", is_forward=False, mode="rebuild",
    )  # fmt: skip


def test_fifty_thousand_records_with_one_phone_compare_few_pairs_and_the_cap_is_told(tmp_path: Path) -> None:
    declared = matching(
        model=MODEL, shared_values=[], rules=[], block_on=[["phones"], ["last_name", "postal_code"]], max_block=40
    )
    world = World(tmp_path, declared)
    fill(
        world,
        "select 'crm' as source, cast(range as varchar) as record_id, date '2026-01-01' as first_seen_on, "
        "'+33600000001' as phone_mobile, concat('n', range // 2) as last_name, '75011' as postal_code, "
        "'anna' as first_name from range(50000)",
    )
    report = run(world)
    assert report.capped_blocks == {"phones": 1}
    assert report.candidate_pairs == 25_000
    assert report.records == 50_000


def test_records_without_any_usable_field_are_customers_of_their_own(tmp_path: Path) -> None:
    declared = matching(model=MODEL, block_on=[["email"], ["last_name", "postal_code"]])
    world = World(tmp_path, declared)
    fill(
        world,
        "select 'crm' as source, cast(range as varchar) as record_id, date '2026-01-01' as first_seen_on "
        "from range(2000)",
    )
    report = run(world)
    assert (report.customers, report.links, report.candidate_pairs, report.review_pairs) == (2000, 0, 0, 0)


def test_one_name_and_date_for_everybody_joins_nobody(tmp_path: Path) -> None:
    declared = matching(
        model=MODEL,
        shared_values=[{"field": "birth_on", "share_over": 0.01, "at_least": 15}],
        rules=[{"rule": "name_and_date", "equal": ["birth_on"], "agree": ["name"]}],
        block_on=[["last_name", "postal_code"]],
        max_block=40,
    )
    world = World(tmp_path, declared)
    fill(
        world,
        "select 'crm' as source, cast(range as varchar) as record_id, date '2026-01-01' as first_seen_on, "
        "'anna' as first_name, 'client' as last_name, date '1980-01-01' as birth_on, '75011' as postal_code from range(500)",
    )
    report = run(world)
    assert (report.customers, report.shared_values, report.candidate_pairs) == (500, 1, 0)
    assert report.capped_blocks == {"last_name + postal_code": 1}


def test_a_model_that_lacks_a_comparison_stops_the_run_before_it_joins_anything(tmp_path: Path) -> None:
    world = World(tmp_path, matching(model=MODEL))
    world.matching = matching(model={**MODEL, "comparisons": [*MODEL["comparisons"], {"field": "sex"}]})
    world.put("crm", "1", first_name="anna", last_name="martin")
    with pytest.raises(DeclarationError, match=r"model.json: the model does not fit matching.yml: it lacks sex"):
        world.run(1)


def test_a_usual_name_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    declared = matching(
        fields={"first_name": {"kind": "given_name", "usual": "first_name_usal"}},
        rules=[], shared_values=[], guards={},
    )  # fmt: skip
    with pytest.raises(DeclarationError, match='column "first_name_usal" is not among the standardised records'):
        World(tmp_path, declared).run(1)


def test_bands_in_the_wrong_order_are_refused() -> None:
    text = "fields: {email: {kind: email}}\nbands: {edge: -1, review: -2}\n"
    with pytest.raises(DeclarationError, match="weights must rise: absent <= edge <= review"):
        validate(parse(text, "matching.yml"), Matching)

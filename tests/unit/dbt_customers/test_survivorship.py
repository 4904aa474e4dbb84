"""survivorship.yml: what it accepts, what it refuses and how it says so, and the tables it gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.contracts.loader import load, parse, validate
from orchestration.contracts.survivorship import ATTRIBUTES, Survivorship
from orchestration.errors import DeclarationError


def read(text: str) -> Survivorship:
    return validate(parse(text, "survivorship.yml"), Survivorship)


def test_the_demo_declaration_rules_every_attribute(project: Path) -> None:
    declared = load(project / "declarations" / "survivorship.yml", Survivorship)
    assert set(declared.attributes) == set(ATTRIBUTES)


def test_an_attribute_that_is_not_named_takes_the_default_strategies() -> None:
    rows = read("attributes: {}").tables()["survivorship_rules"].to_pylist()
    sex = [(row["position"], row["strategy"]) for row in rows if row["attribute"] == "sex"]
    assert sex == [(1, "valid_first"), (2, "most_trusted"), (3, "most_recent")]


def test_strategies_and_preferred_sources_keep_their_order() -> None:
    tables = read("attributes: {email: {strategies: [most_recent, valid_first], sources: [web, crm]}}").tables()
    rules = [row["strategy"] for row in tables["survivorship_rules"].to_pylist() if row["attribute"] == "email"]
    assert rules == ["most_recent", "valid_first"]
    assert tables["survivorship_sources"].to_pylist() == [
        {"attribute": "email", "source": "web", "preference": 1},
        {"attribute": "email", "source": "crm", "preference": 2},
    ]


def test_lists_add_up_unless_declared_otherwise() -> None:
    rows = read("lists: {interests: most_trusted}").tables()["survivorship_lists"].to_pylist()
    assert {row["attribute"]: row["keep"] for row in rows} == {"tags": "all", "interests": "most_trusted"}


def test_no_preferred_source_gives_an_empty_typed_table() -> None:
    table = read("attributes: {}").tables()["survivorship_sources"]
    assert (table.num_rows, table.column_names) == (0, ["attribute", "source", "preference"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("attributes: {emial: {sources: [crm]}}", 'there is no rule for an attribute "emial"; did you mean "email"?'),
        ("attributes: {city: {strategies: [most_recent]}}", 'attribute "city"; it is chosen as part of "address"'),
        ("attributes: {email: {strategies: [newest]}}", "attributes.email.strategies.0"),
        ("attributes: {email: {strategies: []}}", "attributes.email.strategies"),
        ("attributes: {email: {strategies: [most_recent, most_recent]}}", '"most_recent" is given twice'),
        ("attributes: {email: {strategy: [most_recent]}}", 'unknown key "strategy"; did you mean "strategies"?'),
        ("lists: {tags: newest}", "lists.tags"),
        ("lists: {tag: all}", 'unknown key "tag"; did you mean "tags"?'),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, message: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        read(text)
    assert message in str(caught.value)
    assert str(caught.value).startswith("survivorship.yml:1: ")

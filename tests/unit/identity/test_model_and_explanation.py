"""The stored model, its vetoes, and what is told of a customer and of a pair."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from orchestration.contracts.loader import load, parse, validate
from orchestration.contracts.matching import Matching
from orchestration.errors import DeclarationError
from orchestration.identity import explain_customer, explain_pair
from orchestration.identity.model import read, read_file
from tests.unit.identity.conftest import MODEL, World, matching, stored_model

HOUSEHOLD = [
    {"veto": "another_given_name", "conflict": ["first_name"], "weight": -12},
    {"veto": "given_name_not_told", "unsure": ["first_name"], "unless_sole": ["email"], "weight": -1},
]
ANNA = {"first_name": "anna", "last_name": "martin", "email": "martin@example.org", "postal_code": "75011"}


def with_model(root: Path, **changes) -> World:
    return World(
        root, matching(model=MODEL, vetoes=HOUSEHOLD, block_on=[["email"], ["last_name", "postal_code"]], **changes)
    )


def test_the_model_joins_what_no_rule_joins(tmp_path: Path) -> None:
    world = with_model(tmp_path)
    world.put("crm", "1", **ANNA)
    world.put("web", "2", **{**ANNA, "first_name": "anne", "birth_on": "1980-02-03"})
    world.put("web", "3", **{**ANNA, "first_name": "anne", "email": None, "birth_on": "1980-03-02"})
    world.run(1)
    assert world.partition() == {frozenset({"crm/1", "web/2", "web/3"})}


def test_another_given_name_outvotes_everything_a_household_shares(tmp_path: Path) -> None:
    world = with_model(tmp_path)
    same = {**ANNA, "phone_mobile": "+33100000000"}
    world.put("crm", "1", **same)
    world.put("web", "2", **{**same, "first_name": "paul"})
    world.run(1)
    assert len(world.partition()) == 2


def test_an_email_alone_joins_only_where_one_person_is_known_under_it(tmp_path: Path) -> None:
    world = with_model(
        tmp_path,
        rules=[{"rule": "email_of_one_person", "sole": ["email"], "no_conflict": ["first_name"], "weight": 4}],
    )
    world.put("crm", "1", **ANNA)
    world.put("news", "2", email="martin@example.org")
    world.run(1)
    assert world.partition() == {frozenset({"crm/1", "news/2"})}
    world.put("crm", "3", **{**ANNA, "first_name": "paul"})
    report = world.run(2)
    assert report.mode == "increment"
    assert world.partition() == {frozenset({"crm/1"}), frozenset({"news/2"}), frozenset({"crm/3"})}


def test_all_the_same_email_joins_nobody_and_compares_nothing(tmp_path: Path) -> None:
    world = with_model(tmp_path, max_block=20)
    for number in range(300):
        world.put("crm", str(number), first_name=f"x{number}name", last_name=f"y{number}name", email="a@example.org")
    report = world.run(1)
    assert (report.customers, report.candidate_pairs, report.shared_values) == (300, 0, 1)


def test_a_block_past_the_cap_is_left_out_and_reported(tmp_path: Path) -> None:
    world = with_model(tmp_path, max_block=20)
    for number in range(50):
        world.put("crm", str(number), last_name="martin", postal_code="75011")
    report = world.run(1)
    assert (report.candidate_pairs, report.capped_blocks) == (0, {"last_name + postal_code": 1})


def test_a_model_that_does_not_fit_names_what_differs() -> None:
    declared = matching(model=MODEL)
    told = json.loads(stored_model(declared))
    told["splink"]["comparisons"].pop()
    with pytest.raises(
        DeclarationError, match=r"model.json: the model does not fit matching.yml: it lacks postal_code"
    ):
        read(json.dumps(told), declared, "model.json")
    told = json.loads(stored_model(declared))
    told["splink"]["comparisons"][0]["comparison_levels"].pop(1)
    with pytest.raises(DeclarationError, match='the levels of "first_name" differ'):
        read(json.dumps(told), declared, "model.json")
    with pytest.raises(DeclarationError, match="this is not JSON"):
        read("{", declared, "model.json")
    with pytest.raises(DeclarationError, match="does not exist"):
        read_file(Path("nowhere.json"), declared)


def test_the_demo_model_fits_the_demo_declaration(project: Path) -> None:
    declared = load(project / "declarations" / "matching.yml", Matching, project)
    assert declared.model.file
    found = read_file(project / "declarations" / declared.model.file, declared)
    assert [c.field for c in found.comparisons] == [c.field for c in declared.model.comparisons]


def test_a_rule_on_a_single_identifier_is_refused() -> None:
    text = (
        "fields: {email: {kind: email}, last_name: {kind: family_name}}\nrules:\n  - {rule: by_email, equal: [email]}\n"
    )
    with pytest.raises(DeclarationError, match='joins on the single field "email": add a name'):
        validate(parse(text, "matching.yml"), Matching)


def test_an_unknown_field_says_what_was_probably_meant() -> None:
    text = "fields: {email: {kind: email}}\nblock_on: [[emial]]\n"
    with pytest.raises(DeclarationError, match='unknown field "emial"; did you mean "email"'):
        validate(parse(text, "matching.yml"), Matching)


def test_a_column_that_the_records_lack_is_named(tmp_path: Path) -> None:
    world = World(
        tmp_path,
        matching(fields={"tax": {"kind": "identifier", "column": "tax_code"}}, rules=[], shared_values=[], guards={}),
    )
    with pytest.raises(DeclarationError, match='column "tax_code" is not among the standardised records'):
        world.run(1)


def test_fields_of_another_population_are_read_from_custom(tmp_path: Path) -> None:
    declared = matching(
        fields={
            "last_name": {"kind": "family_name"},
            "tax": {"kind": "identifier", "column": "custom.tax"},
        },
        rules=[{"rule": "tax_and_name", "equal": ["tax"], "agree": ["last_name"]}],
        shared_values=[],
        guards={},
    )
    world = World(tmp_path, declared)
    world.put("a", "1", last_name="dupont", custom='{"tax": "77"}')
    world.put("b", "2", last_name="de dupont", custom='{"tax": "77"}')
    world.put("b", "3", last_name="martin", custom='{"tax": "77"}')
    world.run(1)
    assert world.partition() == {frozenset({"a/1", "b/2"}), frozenset({"b/3"})}


def test_a_customer_is_told_with_its_links_and_what_was_kept_out(tmp_path: Path) -> None:
    world = with_model(tmp_path)
    world.put("crm", "1", **ANNA, birth_on=dt.date(1950, 1, 2))
    world.put("web", "2", **ANNA)
    world.put("web", "3", **{**ANNA, "birth_on": dt.date(1981, 7, 9)})
    world.run(1)
    held = world.customers()["web/2"]
    told = explain_customer(world.connection, held)
    assert told is not None
    assert len(told.records) == 2
    assert [link.rule for link in told.links] == ["email_and_name"]
    assert told.links[0].field_weights["email"] == 6.0
    assert "distinct birth_on" in {guard for _, guard in told.kept_out}
    assert explain_customer(world.connection, "cnobody") is None


def test_a_pair_is_told_through_the_records_between(tmp_path: Path) -> None:
    world = World(tmp_path, matching())
    world.put("a", "1", first_name="anna", last_name="martin", email="a@example.org")
    world.put("b", "2", first_name="anna", last_name="martin", email="a@example.org", phone_mobile="+33600000001")
    world.put("c", "3", first_name="anna", last_name="martin", phone_mobile="+33600000001")
    world.decide(("a", "1"), ("c", "3"), "same")
    world.run(1)
    told = explain_pair(world.connection, ("c", "3"), ("a", "1"))
    assert told.is_same_customer
    told = explain_pair(world.connection, ("a", "1"), ("b", "2"))
    assert (told.why, [link.rule for link in told.chain]) == ("they are linked directly", ["email_and_name"])
    assert "no record 9" in explain_pair(world.connection, ("a", "1"), ("z", "9")).why

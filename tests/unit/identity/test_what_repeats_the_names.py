"""What says no more than that two people have one name: established names, mailboxes made of names, common towns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestration.identity.compare import Comparison, compare
from orchestration.identity.model import read
from tests.unit.identity.conftest import FIELDS, MODEL, World, matching, stored_model

COUNTED = {
    **FIELDS,
    "last_name": {"kind": "family_name", "birth": "birth_name", "established": 6, "sound": "company_name"},
    "email": {"kind": "email", "person": "name"},
    "postal_code": {"kind": "postal_code", "established": 6},
}
#: Two towns that many people live in, one sign apart; a name that many bear, and two near it.
OTHERS = [("38000", "martin"), ("37000", "martinez"), ("38000", "marttin")]


def told(root: Path, left: dict, right: dict, *, model: dict = MODEL, copies: int = 8) -> Comparison:
    """The comparison of two records among others; `company_name` stands for the sound of the family name."""
    world = World(root, matching(fields=COUNTED, model=model, rules=[], block_on=[["email"]]))
    for number in range(copies):
        for at, (code, name) in enumerate(OTHERS):
            sound = "martin" if name == "marttin" else name
            world.put("crm", f"{at}-{number}", last_name=name, company_name=sound, postal_code=code)
    for number, values in enumerate((left, right)):
        world.put("web", str(number), **values)
    world.run(1)
    stored = read(stored_model(world.matching), world.matching, "m")
    found = compare(world.connection, world.matching, stored, ("web", "0"), ("web", "1"))
    assert found is not None
    return found


def level(found: Comparison, name: str) -> str:
    return next(field.level for field in found.fields if field.field == name)


def bits(found: Comparison, name: str) -> float:
    return next(field.bits for field in found.fields if field.field == name and field.bits is not None)


@pytest.fixture(autouse=True)
def sounds(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.unit.identity.conftest import COLUMNS

    monkeypatch.setitem(COLUMNS, "company_name", "varchar")


@pytest.mark.parametrize(
    ("one", "other", "is_near"),
    [
        (("martin", "martin"), ("martinez", "martinez"), False),  # many bear each
        (("martin", "martin"), ("martins", "martins"), True),  # nobody else does: a slip
        (("martin", "martin"), ("marttin", "martin"), True),  # heard alike: one name in two spellings
    ],
)
def test_two_family_names_that_many_bear_are_not_a_slip_of_one(
    tmp_path: Path, one: tuple[str, str], other: tuple[str, str], is_near: bool
) -> None:
    left, right = ({"last_name": name, "company_name": sound} for name, sound in (one, other))
    assert (level(told(tmp_path, left, right), "last_name") == "near") is is_near


@pytest.mark.parametrize(("code", "expected"), [("37000", "contradicts"), ("38001", "one sign off")])
def test_the_codes_of_two_towns_are_not_a_slip_of_one(tmp_path: Path, code: str, expected: str) -> None:
    found = told(tmp_path, {"postal_code": "38000"}, {"postal_code": code})
    assert level(found, "postal_code") == expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("anne.petit@gmail.com", "annepetit@orange.fr", "made of the names"),
        ("apetit@gmail.com", "petit.anne@gmail.com", "made of the names"),
        ("anne.p81@gmail.com", "anne.p81@orange.fr", "same name, another provider"),
        ("laura1@free.fr", "laura77@free.fr", "contradicts"),  # another number is another mailbox
        ("lespetits@free.fr", "lespetit@free.fr", "near"),
    ],
)
def test_a_mailbox_made_of_the_names_tells_nothing_more(tmp_path: Path, one: str, other: str, expected: str) -> None:
    anne = {"first_name": "anne", "last_name": "petit"}
    assert level(told(tmp_path, {**anne, "email": one}, {**anne, "email": other}), "email") == expected


@pytest.mark.parametrize(
    ("one", "other", "contradicts"),
    [
        ("jean luc", "jean pierre", True),
        ("jean luc", "jean", False),
        ("marie claire", "marie clai", False),  # cut to a column's width
        ("jean luc", "jean l", False),
    ],
)
def test_two_compound_names_with_one_first_word_are_two_people(
    tmp_path: Path, one: str, other: str, contradicts: bool
) -> None:
    found = told(tmp_path, {"first_name": one}, {"first_name": other})
    assert (level(found, "first_name") == "contradicts") is contradicts


def test_a_town_where_many_live_says_less_than_one_where_few_do(tmp_path: Path) -> None:
    counted = {
        **MODEL,
        "frequencies_from": "records",
        "comparisons": [{"field": "first_name"}, {"field": "email"}, {"field": "postal_code", "frequencies": True}],
    }
    common, rare = (
        bits(told(tmp_path / code, {"postal_code": code}, {"postal_code": code}, model=counted), "postal_code")
        for code in ("38000", "69001")
    )
    # 18 of 26 records, and 2 that count as 8: 1 and 3 half bits apart by their classes
    assert rare > common
    assert common < 0 <= rare + 1


def test_of_more_records_two_are_less_likely_one_person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told_before = stored_model

    def trained_on_32(declared: object) -> str:
        return json.dumps({**json.loads(told_before(declared)), "trained": {"records": 32}})

    monkeypatch.setattr("tests.unit.identity.conftest.stored_model", trained_on_32)
    monkeypatch.setattr("tests.unit.identity.test_what_repeats_the_names.stored_model", trained_on_32)
    counted = {**MODEL, "frequencies_from": "records"}
    anne = {"first_name": "anne", "email": "a@example.org"}
    few, many = (told(tmp_path / str(copies), anne, anne, model=counted, copies=copies) for copies in (10, 170))
    # 32 and 512 records: 16 times as many strangers; the frequencies of names are counted in both
    change = bits(many, "first_name") - bits(few, "first_name")
    assert few.weight is not None and many.weight is not None
    assert many.weight - few.weight == pytest.approx(change - 4.0)

"""Given names that are near, short, or two different people's."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.identity.conftest import COLUMNS, FIELDS, World, matching

EMAIL_AND_NAME = [{"rule": "email_and_name", "equal": ["email"], "agree": ["first_name"]}]
NO_CONFLICT = [{"rule": "email_and_no_conflict", "equal": ["email", "last_name"], "no_conflict": ["first_name"]}]


def joined(root: Path, rules: list, left: dict, right: dict, **fields) -> bool:
    declared = matching(fields={**FIELDS, **fields}, rules=rules, nicknames=[["elisabeth", "babeth", "lise"]])
    world = World(root, declared)
    for number, values in enumerate((left, right)):
        world.put("crm", str(number), last_name="martin", email="martin@example.org", **values)
    world.run(1)
    return len(world.partition()) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [("j", "jean"), ("j p", "jean philippe"), ("e", "babeth"), ("jean", "j")],
)
def test_initials_do_not_contradict_the_name_they_stand_for(tmp_path: Path, one: str, other: str) -> None:
    assert joined(tmp_path, NO_CONFLICT, {"first_name": one}, {"first_name": other})


@pytest.mark.parametrize(("one", "other"), [("p", "jean"), ("j p", "paul"), ("x y", "babeth")])
def test_another_initial_contradicts(tmp_path: Path, one: str, other: str) -> None:
    assert not joined(tmp_path, NO_CONFLICT, {"first_name": one}, {"first_name": other})


@pytest.fixture
def usual(monkeypatch: pytest.MonkeyPatch) -> dict:
    monkeypatch.setitem(COLUMNS, "first_name_usual", "varchar")
    return {"first_name": {"kind": "given_name", "usual": "first_name_usual"}}


@pytest.mark.parametrize(
    ("one", "sound", "other", "other_sound", "is_one_person"),
    [
        ("karin", "karin", "karim", "karim", False),  # two names that people bear
        ("karin", "karin", "karrin", None, True),  # a slip: nobody is called so
        ("mathieu", "mate", "matthieu", "mate", True),  # one name in two spellings
    ],
)
def test_two_names_that_people_bear_are_not_a_slip_of_one(
    tmp_path: Path, usual: dict, one: str, sound: str, other: str, other_sound: str | None, is_one_person: bool
) -> None:
    found = joined(
        tmp_path, EMAIL_AND_NAME,
        {"first_name": one, "first_name_usual": sound}, {"first_name": other, "first_name_usual": other_sound},
        **usual,
    )  # fmt: skip
    assert found is is_one_person


def test_swapped_names_with_a_letter_lost_still_agree(tmp_path: Path) -> None:
    world = World(tmp_path, matching())
    world.put("crm", "1", first_name="manon", last_name="bentouati", email="m@example.org")
    world.put("till", "2", first_name="bentouati", last_name="maon", email="m@example.org")
    world.run(1)
    assert len(world.partition()) == 1

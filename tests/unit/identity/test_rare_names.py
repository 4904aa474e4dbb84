"""What may be joined on a name alone, and whom an initial stands for."""

from __future__ import annotations

from pathlib import Path

from tests.unit.identity.conftest import MODEL, World, matching

VETOES = [
    {"veto": "another_given_name", "conflict": ["first_name"], "weight": -12},
    {"veto": "given_name_not_told", "unsure": ["first_name"], "unless_sole": ["email"], "weight": -1},
    {"veto": "names_alone", "unsure": ["birth_on", "email", "phones"], "unless_rare": {"name": 0.06}, "weight": -1},
]


def _world(root: Path, crowd: int = 200) -> World:
    """A base of people who share no name with each other."""
    world = World(root, matching(model=MODEL, vetoes=VETOES, block_on=[["email"], ["name.rare"]]))
    for number in range(crowd):
        world.put("crowd", f"{number:03d}", first_name=f"given{number:03d}", last_name=f"family{number:03d}")
    return world


def _together(world: World, *keys: str) -> bool:
    customers = world.customers()
    return len({customers[key] for key in keys}) == 1


def test_a_rare_name_is_enough_and_a_common_one_is_not(tmp_path: Path) -> None:
    world = _world(tmp_path)
    for source in ("crm", "web"):
        world.put(source, "rare", first_name="sylvere", last_name="pellinck")
        world.put(source, "common", first_name="jean", last_name="martin")
    for number in range(8):
        world.put("till", f"m{number}", first_name=f"other{number}", last_name="martin")
        world.put("till", f"j{number}", first_name="jean", last_name=f"another{number}")
    world.run(1)
    assert _together(world, "crm/rare", "web/rare")
    assert not _together(world, "crm/common", "web/common")


def test_a_name_stops_being_rare_when_others_bear_it(tmp_path: Path) -> None:
    world = _world(tmp_path)
    for source in ("crm", "web"):
        world.put(source, "1", first_name="sylvere", last_name="pellinck")
    world.run(1)
    assert _together(world, "crm/1", "web/1")
    for number in range(30):
        world.put("till", f"p{number}", first_name=f"other{number}", last_name="pellinck")
    report = world.run(2)
    assert report.mode == "increment"
    assert not _together(world, "crm/1", "web/1")


def test_names_in_each_others_field_do_not_look_rare(tmp_path: Path) -> None:
    world = _world(tmp_path)
    world.put("crm", "1", first_name="jean", last_name="martin")
    world.put("web", "1", first_name="martin", last_name="jean")
    for number in range(8):
        world.put("till", f"m{number}", first_name=f"other{number}", last_name="martin")
        world.put("till", f"j{number}", first_name="jean", last_name=f"another{number}")
    world.run(1)
    assert not _together(world, "crm/1", "web/1")


def test_an_initial_stands_for_the_only_member_of_a_household_that_it_fits(tmp_path: Path) -> None:
    home = {"last_name": "riegler", "email": "famille.riegler@example.org"}
    world = _world(tmp_path, crowd=5)
    world.put("crm", "1", first_name="samira", **home)
    world.put("crm", "2", first_name="klaus", **home)
    world.put("web", "1", first_name="s", **home)
    world.run(1)
    assert _together(world, "crm/1", "web/1")
    assert not _together(world, "crm/1", "crm/2")
    world.put("crm", "3", first_name="silke", **home)
    world.run(2)
    assert not _together(world, "crm/1", "web/1")
    assert not _together(world, "crm/3", "web/1")


def test_who_gives_no_name_is_nobody_of_a_household_of_several(tmp_path: Path) -> None:
    home = {"last_name": "riegler", "email": "famille.riegler@example.org"}
    world = _world(tmp_path, crowd=5)
    world.put("crm", "1", first_name="samira", **home)
    world.put("crm", "2", first_name="klaus", **home)
    world.put("news", "1", **home)
    world.run(1)
    assert len({world.customers()[key] for key in ("crm/1", "crm/2", "news/1")}) == 3

"""The identity step on small, readable worlds."""

from __future__ import annotations

import re

from orchestration import changes
from orchestration.warehouse import table_contents
from tests.unit.identity.conftest import World

ANNA = {"first_name": "anna", "last_name": "martin", "email": "anna@example.org"}
ID = re.compile(r"^c[a-z2-7]{15}$")


def test_records_with_the_same_email_and_name_become_one_customer(world: World) -> None:
    world.put("crm", "1", **ANNA)
    world.put("web", "9", **ANNA)
    world.put("web", "8", first_name="paul", last_name="durand", email="paul@example.org")
    report = world.run(1)
    assert world.partition() == {frozenset({"crm/1", "web/9"}), frozenset({"web/8"})}
    assert (report.records, report.customers, report.links_by_rule) == (3, 2, {"email_and_name": 1})
    assert all(ID.match(found) for found in world.customers().values())


def test_members_of_a_household_who_share_an_email_stay_apart(world: World) -> None:
    world.put("crm", "1", **ANNA)
    world.put("crm", "2", **{**ANNA, "first_name": "paul"})
    world.run(1)
    assert len(world.partition()) == 2


def test_a_father_and_a_son_of_the_same_name_stay_apart(world: World) -> None:
    world.put("crm", "1", **ANNA, birth_on="1950-03-02")
    world.put("crm", "2", **ANNA, birth_on="1981-07-21")
    world.put("crm", "3", **ANNA)
    report = world.run(1)
    assert not any({"crm/1", "crm/2"} <= group for group in world.partition())
    assert report.review_pairs == 1
    guard = world.connection.execute("select guard from identity.match_review").fetchall()
    assert guard == [("distinct birth_on",)]


def test_an_email_that_many_different_people_hold_joins_nobody(world: World) -> None:
    for number, name in enumerate(["anna", "bob", "carl", "dora", "anna"]):
        world.put("crm", str(number), first_name=name, last_name=f"name{name}", email="none@example.org")
    report = world.run(1)
    assert report.shared_values == 1
    assert len(world.partition()) == 5


def test_a_second_run_without_changes_touches_nothing(world: World) -> None:
    world.put("crm", "1", **ANNA)
    world.put("web", "9", **ANNA)
    world.run(1)
    before = world.customers()
    report = world.run(2)
    assert world.customers() == before
    assert (report.mode, report.touched_records, world.events(2)) == ("increment", 0, [])


def test_a_rebuild_keeps_every_id(world: World) -> None:
    world.put("crm", "1", **ANNA)
    world.put("web", "9", **ANNA)
    world.run(1)
    before = world.customers()
    world.run(1, "rebuild")
    assert world.customers() == before
    world.run(2, "rebuild", order=-1)
    assert world.customers() == before
    assert world.events(2) == []


def test_a_merge_keeps_the_oldest_customer_id_and_the_other_resolves_to_it(world: World) -> None:
    world.put("crm", "1", first_name="anna", last_name="martin", phone_mobile="+33600000001")
    world.run(1)
    world.put("web", "9", **ANNA, first_seen_on="2026-02-02")
    world.run(2)
    first, second = world.customers()["crm/1"], world.customers()["web/9"]
    assert first != second
    world.put("web", "9", **ANNA, phone_mobile="+33600000001", first_seen_on="2026-02-02")
    report = world.run(3)
    assert set(world.customers().values()) == {first}
    assert world.current(second) == first
    assert world.events(3) == [("merged", second, first)]
    assert report.merged == 1


def test_an_unmerge_gives_the_split_off_records_their_own_id_back(world: World) -> None:
    test_a_merge_keeps_the_oldest_customer_id_and_the_other_resolves_to_it(world)
    first = world.customers()["crm/1"]
    second = world.events(3)[0][1]
    world.decide(("crm", "1"), ("web", "9"), "different")
    world.run(4)
    assert world.customers() == {"crm/1": first, "web/9": second}
    assert world.current(second) == second
    assert ("unmerged", second, None) in world.events(4)
    assert ("split", first, second) in world.events(4)


def test_a_split_leaves_the_id_with_most_of_the_records(world: World) -> None:
    for number in ("1", "2", "3"):
        world.put("crm", number, **ANNA)
    world.run(1)
    old = world.customers()["crm/1"]
    world.put("crm", "1", first_name="zoe", last_name="petit", email="zoe@example.org")
    world.run(2)
    now = world.customers()
    assert now["crm/2"] == now["crm/3"] == old
    assert now["crm/1"] != old
    assert ("split", old, now["crm/1"]) in world.events(2)


def test_a_customer_whose_records_go_is_retired_and_returns_under_the_same_id(world: World) -> None:
    world.put("crm", "1", **ANNA)
    world.run(1)
    old = world.customers()["crm/1"]
    kept = world.records[("crm", "1")]
    world.remove("crm", "1")
    report = world.run(2)
    assert (report.records, report.retired, world.current(old)) == (0, 1, None)
    world.put("crm", "1", **kept)
    world.run(3)
    assert world.customers() == {"crm/1": old}
    assert world.current(old) == old


def test_steward_decisions_join_part_and_hold_through_a_rebuild(world: World) -> None:
    world.put("crm", "1", **ANNA)
    world.put("web", "2", **ANNA)
    world.put("web", "3", first_name="nono", last_name="petit")
    world.decide(("crm", "1"), ("web", "2"), "different")
    world.decide(("crm", "1"), ("web", "3"), "same")
    world.run(1)
    wanted = {frozenset({"crm/1", "web/3"}), frozenset({"web/2"})}
    assert world.partition() == wanted
    world.run(2, "rebuild")
    assert world.partition() == wanted


def test_contradictory_and_unknown_decisions_are_counted_and_join_nothing(world: World) -> None:
    for number, name in enumerate(("anna", "bob", "carl")):
        world.put("crm", str(number), first_name=name, last_name=f"name{name}")
    world.decide(("crm", "0"), ("crm", "1"), "same", day=1)
    world.decide(("crm", "1"), ("crm", "2"), "same", day=2)
    world.decide(("crm", "0"), ("crm", "2"), "different", day=3)
    world.decide(("crm", "0"), ("crm", "77"), "same", day=4)
    world.decide(("crm", "0"), ("crm", "0"), "same", day=5)
    report = world.run(1)
    assert world.partition() == {frozenset({"crm/0", "crm/1"}), frozenset({"crm/2"})}
    assert (report.contradictory_decisions, report.unknown_decisions, report.unreadable_decisions) == (1, 1, 1)


def test_nothing_usable_joins_nobody(world: World) -> None:
    for number in range(5):
        world.put("crm", str(number))
    report = world.run(1)
    assert (report.records, report.customers, report.links) == (5, 5, 0)


def test_an_empty_input_gives_empty_tables(world: World) -> None:
    report = world.run(1)
    assert (report.records, report.customers) == (0, 0)
    world.put("crm", "1", **ANNA)
    assert world.run(2).customers == 1


def test_what_a_killed_run_staged_does_not_count(world: World) -> None:
    world.put("crm", "1", **ANNA)
    world.run(1, commit=False)
    world.run(1, "rebuild")
    first = world.customers()
    world.run(2, "rebuild")
    assert world.customers() == first
    assert len(world.events(1)) == 1


def noted(world: World) -> None:
    """What is noted of the tables that others read is what they hold."""
    for name in ("record_customers", "current_ids", "customer_id_history", "match_links", "match_review",
                 "set_aside_decisions", "shared_values"):  # fmt: skip
        place = f"identity.{name}"
        assert changes.known_contents(world.connection, place) == table_contents(world.connection, place), name


def test_an_increment_tells_which_rows_of_customers_ids_and_links_it_changed(world: World) -> None:
    for number in range(30):
        world.put("crm", str(number), first_name="Anna", last_name=f"Nom{number}", email=f"a{number}@example.org")
    world.put("web", "1", first_name="Anna", last_name="Nom1", email="a1@example.org")
    world.run(1, "rebuild")
    noted(world)
    first = world.customers()
    held = {name: changes.known_contents(world.connection, f"identity.{name}")
            for name in ("record_customers", "current_ids", "match_links", "customer_id_history")}  # fmt: skip
    world.put("web", "2", first_name="Anna", last_name="Nom2", email="a2@example.org")
    world.put("web", "3", first_name="Zoe", last_name="Neuve", email="z@example.org")
    world.remove("web", "1")
    world.run(2)
    noted(world)
    for name, contents in held.items():
        led = world.connection.execute(
            "select contents_before from control.table_changes where place = ?", [f"identity.{name}"]
        ).fetchall()
        assert led == [(contents,)], name
    now = world.customers()
    moved = world.connection.execute(
        "select source || '/' || record_id, customer_id, is_gone from changes.identity__record_customers order by all"
    ).fetchall()
    assert moved == [
        ("web/1", first["web/1"], True), ("web/2", first["crm/2"], False), ("web/3", now["web/3"], False),
    ]  # fmt: skip
    links = world.connection.execute(
        "select left_record_id, right_record_id, is_gone from changes.identity__match_links order by all"
    ).fetchall()
    assert links == [("1", "1", True), ("2", "2", False)]
    [(minted, gone)] = world.connection.execute(
        "select customer_id, is_gone from changes.identity__current_ids"
    ).fetchall()
    assert (minted, gone) == (now["web/3"], False)
    # and a run with nothing to do leaves the notes as they are
    world.run(3)
    noted(world)
    world.run(3, "rebuild")
    noted(world)

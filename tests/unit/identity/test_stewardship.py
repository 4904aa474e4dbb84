"""Answers of stewards: what cannot hold is said, what is known is estimated, and thresholds follow many answers."""

from __future__ import annotations

import datetime as dt
import math
from pathlib import Path

from orchestration.identity import decisions, set_aside_decisions, tables
from orchestration.identity.estimates import Label, estimate, offset, wilson
from tests.unit.identity.conftest import MODEL, World, matching

ANNA = {"first_name": "anna", "last_name": "martin", "email": "anna@example.org"}


def set_aside(world: World) -> list[tuple[str, str, str]]:
    return world.connection.execute(
        "select decision, decided_by, reason from identity.set_aside_decisions order by all"
    ).fetchall()


def test_an_answer_that_cannot_hold_is_told_with_its_reason(world: World) -> None:
    for number, name in enumerate(("anna", "bob", "carl")):
        world.put("crm", str(number), first_name=name, last_name=f"name{name}")
    world.decide(("crm", "0"), ("crm", "1"), "same", day=1)
    world.decide(("crm", "0"), ("crm", "2"), "different", day=2)
    world.decide(("crm", "1"), ("crm", "2"), "same", day=3)
    world.decide(("crm", "0"), ("web", "77"), "same", day=4)
    world.decide(("crm", "0"), ("crm", "1"), "perhaps", day=5)
    report = world.run(1)
    assert set_aside(world) == [
        ("perhaps", "steward", '"perhaps": say same, different or later'),
        ("same", "steward", "steward said that crm 0 and crm 2 are different, and this joins them"),
        ("same", "steward", "there is no record 77 of source web"),
    ]
    assert report.notes == (
        "steward decisions set aside: 1 contradict another, 1 name a record that is not there, 1 cannot be read; "
        "`rcu review` tells each",
        # no name, and nothing that the file says: the log of a run is kept
        "a decision: it names a record that is not there",
        "a decision: say same, different or later",
        "a decision: it contradicts another decision",
    )
    world.run(2)
    assert len(set_aside(world)) == 3


def test_an_answer_set_aside_is_told_with_its_file_and_line(world: World) -> None:
    world.load(world.connection, set())
    world.connection.execute("create schema audit")
    world.connection.execute(
        "create table audit.files as select 'steward_20260201.csv' as file_name, '" + "ab" * 32 + "' as sha256"
    )
    world.connection.execute(
        "create or replace table landing.steward_decisions as select 'crm' as left_source, '0' as left_record_id, "
        "'web' as right_source, '77' as right_record_id, 'same' as decision, 'ann' as decided_by, "
        "timestamp '2026-02-01 10:00:00' as decided_at, 'd1' as decision_id, '"
        + "ab" * 8
        + "' as batch_id, 3 as line_number"
    )
    told = decisions.read(world.connection, world.workspace, dt.date(2026, 2, 2))
    assert [decision.told_in for decision in told] == ["steward_20260201.csv line 3"]
    tables.create_missing(world.connection)
    notes = decisions.write_set_aside(world.connection, decisions.settle(told, set()))
    assert notes[1] == "steward_20260201.csv line 3: it names a record that is not there"
    assert set_aside_decisions(world.connection) == [
        "steward_20260201.csv line 3: crm 0 and web 77: same, by ann: there is no record 0 of source crm"
    ]


def test_the_last_answer_about_a_pair_holds_whichever_way_round_it_is_given(world: World) -> None:
    world.put("crm", "1", **ANNA)
    world.put("web", "2", **ANNA)
    world.decide(("web", "2"), ("crm", "1"), "different", day=1)
    world.run(1)
    assert len(world.partition()) == 2
    world.decide(("crm", "1"), ("web", "2"), "same", day=2)
    world.run(2)
    assert len(world.partition()) == 1
    assert set_aside(world) == []


def test_a_different_that_parts_a_customer_in_three_holds_every_pair_apart(world: World) -> None:
    for number in ("1", "2", "3"):
        world.put("crm", number, **ANNA)
    world.run(1)
    assert len(world.partition()) == 1
    for left, right in (("1", "2"), ("1", "3"), ("2", "3")):
        world.decide(("crm", left), ("crm", right), "different")
    world.run(2)
    assert world.partition() == {frozenset({f"crm/{number}"}) for number in ("1", "2", "3")}
    world.run(3, "rebuild")
    assert len(world.partition()) == 3


def test_the_wilson_interval_is_that_of_the_textbook() -> None:
    low, high = wilson(9, 10)
    assert math.isclose(low, 0.5958, abs_tol=1e-4) and math.isclose(high, 0.9821, abs_tol=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)


def test_precision_and_recall_are_estimated_from_the_answers_of_each_band() -> None:
    labels = [Label(5, False, True)] * 95 + [Label(5, False, False)] * 5 + [Label(-1, False, True)] * 20
    labels += [Label(-1, False, False)] * 20
    found = estimate(labels, automatic_pairs=1000, review_pairs=100, automatic=0)
    assert found.precision == 0.95
    assert found.recall is not None and math.isclose(found.recall, 950 / (950 + 50))
    assert found.precision_low is not None and found.precision_high is not None
    assert found.precision_low < 0.95 < found.precision_high
    assert found.recall_low is not None and found.recall_high is not None
    assert found.recall_low < found.recall < found.recall_high
    assert estimate([], automatic_pairs=5, review_pairs=5, automatic=0).named() == {}


def test_the_thresholds_move_only_with_enough_answers_and_the_right_way() -> None:
    weights_are_too_high = [Label(2, False, False)] * 60 + [Label(2, False, True)] * 20
    assert offset(weights_are_too_high, 200) == 0
    assert offset(weights_are_too_high, 50) == -3.5  # a fourth is the same: -1.58 bits, where 2 were said
    assert offset([Label(-2, False, True)] * 60 + [Label(-2, False, False)] * 60, 50) == 2.0
    assert offset([Label(2, True, False)] * 100, 50) == 0  # a rule's weight is its own


def _answered(root: Path, answers: int) -> World:
    world = World(
        root,
        matching(
            model=MODEL,
            block_on=[["email"], ["last_name", "postal_code"]],
            rules=[],
            bands={"automatic": 0, "review": -2, "follow_answers": 8},
        ),
    )
    for number in range(12):
        same = {"last_name": f"name{number}", "postal_code": f"{number:05d}"}
        world.put("crm", str(number), **same)
        world.put("web", str(number), **same)
    for number in range(answers):
        world.decide(("crm", str(number)), ("web", str(number)), "different")
    return world


def test_many_answers_against_a_kind_of_pair_stop_its_automatic_joins(tmp_path: Path) -> None:
    world = _answered(tmp_path, 0)
    world.run(1)
    assert len(world.partition()) == 12  # last name and postal code: +4 bits
    for number in range(10):
        world.decide(("crm", str(number)), ("web", str(number)), "different")
    report = world.run(2)
    assert (report.mode, report.threshold_offset) == ("increment", -4.0)
    assert report.answered_pairs == 10
    in_a_rebuild = _answered(tmp_path / "again", 10)
    in_a_rebuild.run(1)
    assert world.partition() == in_a_rebuild.partition()


def test_estimates_are_among_the_metrics(tmp_path: Path) -> None:
    world = _answered(tmp_path, 0)
    world.decide(("crm", "1"), ("web", "1"), "same")
    world.decide(("crm", "2"), ("web", "2"), "different")
    report = world.run(1)
    told = dict(world.connection.execute("select name, value from identity.metrics").fetchall())
    assert (report.answered_pairs, report.estimated_precision) == (2, 0.5)
    assert (told["answered_pairs"], told["estimated_precision"]) == (2, 0.5)
    assert 0 < told["estimated_precision_low"] < 0.5 < told["estimated_precision_high"] < 1


def test_a_few_automatic_joins_are_shown_where_that_is_asked(tmp_path: Path) -> None:
    world = World(tmp_path, matching(review={"audit_pairs": 2}))
    for number in range(4):
        world.put("crm", str(number), first_name="anna", last_name="martin", email=f"a{number}@example.org")
        world.put("web", str(number), first_name="anna", last_name="martin", email=f"a{number}@example.org")
    world.run(1)
    query = "select left_record_id, reason from identity.match_review order by all"
    shown = world.connection.execute(query).fetchall()
    assert [reason for _, reason in shown] == ["joined: is it right?"] * 2
    world.decide(("crm", shown[0][0]), ("web", shown[0][0]), "same")
    world.run(2)
    assert shown[0][0] not in {record for record, _ in world.connection.execute(query).fetchall()}


def test_a_slip_in_a_birth_date_does_not_make_a_customer_look_over_merged(world: World) -> None:
    anna = {"first_name": "anna", "last_name": "martin", "email": "anna@example.org"}
    paul = {"first_name": "paul", "last_name": "petit", "email": "paul@example.org"}
    world.put("crm", "1", **anna, birth_on="1980-05-04")
    world.put("web", "1", **anna, birth_on="1980-04-05")
    world.put("crm", "2", **paul, birth_on="1951-01-30")
    world.put("web", "2", **paul, birth_on="1988-12-07")
    world.decide(("crm", "2"), ("web", "2"), "same")
    world.run(1)
    found = world.connection.execute("select reason, record_count from identity.suspicious_clusters").fetchall()
    assert found == [("several values of birth_on", 2)], "a steward joined two dates; the other date is a slip"

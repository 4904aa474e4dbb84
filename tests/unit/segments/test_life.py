"""Members, entries and exits, sizes and overlap over several runs."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from orchestration import registry
from orchestration.errors import DeclarationError, UsageError
from orchestration.segments import SEGMENT_CHANGES
from orchestration.segments.materialise import size_status
from tests.unit.segments.small_warehouse import SmallWarehouse, segment, segments

DAY = [dt.date(2026, 3, day) for day in range(1, 10)]
BUYERS = segments(segment("buyers", "{field: order_count, at_least: 3}", expected_rate="[0.2, 0.6]"))
HISTORY = "select customer_id, entered_on, left_on from segments.history order by all"
CHANGES = "select customer_id, change, cause from segments.changes order by all"


def registered(warehouse: SmallWarehouse) -> list[tuple[object, ...]]:
    told = registry.rows(warehouse.workspace, SEGMENT_CHANGES)
    return warehouse.rows(f"select as_of_on, customer_id, change from ({told}) order by all")


def test_entries_and_exits_make_the_history(warehouse: SmallWarehouse) -> None:
    warehouse.customer("a", order_count=3)
    warehouse.customer("b", order_count=1)
    warehouse.run(BUYERS, DAY[0])
    assert warehouse.rows(CHANGES) == [("a", "entered", "first")]
    warehouse.customer("a", order_count=0)
    warehouse.customer("b", order_count=5)
    report = warehouse.run(BUYERS, DAY[1])
    assert warehouse.rows(CHANGES) == [("a", "left", "data"), ("b", "entered", "data")]
    assert warehouse.rows(HISTORY) == [("a", DAY[0], DAY[1]), ("b", DAY[1], None)]
    one = report.of_segment("buyers")
    assert (one.size, one.previous_size, one.entered_count, one.left_count) == (1, 1, 1, 1)
    warehouse.customer("a", order_count=4)
    warehouse.run(BUYERS, DAY[2])
    assert warehouse.rows(HISTORY) == [("a", DAY[0], DAY[1]), ("a", DAY[2], None), ("b", DAY[1], None)]
    assert warehouse.rows("select customer_id, entered_on from segments.members order by all") == [
        ("a", DAY[2]),
        ("b", DAY[1]),
    ]


def test_the_reason_holds_the_values_that_satisfied_the_rule(warehouse: SmallWarehouse) -> None:
    warehouse.customer("a", order_count=4, city='Le "Port"', first_order_on="2026-01-31", tags='["vip"]')
    warehouse.event("a", "cart", "2026-02-20 10:00:00")
    where = (
        "{all: [{field: order_count, at_least: 3}, {field: first_order_on, exists: true}, {performed: cart, within_days: 30}, "
        "{any: [{field: city, contains: Port}, {field: amount_net, at_least: 3}, {has_tag: vip}]}]}"
    )
    warehouse.run(segments(segment("asked", where)), DAY[0])
    reason = json.loads(warehouse.rows("select reason from segments.members")[0][0])
    assert reason == {
        "order_count": 4, "first_order_on": "2026-01-31", "cart in 30 days": 1, "city": 'Le "Port"', "tags": ["vip"],
    }  # fmt: skip


def test_a_second_run_of_the_same_date_adds_nothing(warehouse: SmallWarehouse) -> None:
    warehouse.customer("a", order_count=3)
    warehouse.run(BUYERS, DAY[0])
    before = registered(warehouse)
    report = warehouse.run(BUYERS, DAY[0], number=2)
    assert report.staged_changes == 0 and registered(warehouse) == before
    assert warehouse.rows(HISTORY) == [("a", DAY[0], None)]


def test_a_date_has_one_answer_however_many_runs_it_took(warehouse: SmallWarehouse) -> None:
    warehouse.customer("stays", order_count=3)
    warehouse.run(BUYERS, DAY[0])
    warehouse.customer("stays", order_count=0)  # a wrong file
    warehouse.customer("passes", order_count=9)
    warehouse.run(BUYERS, DAY[1])
    warehouse.customer("stays", order_count=3)  # and its correction on the same day
    warehouse.customer("passes", order_count=0)
    warehouse.run(BUYERS, DAY[1], number=2)
    assert warehouse.rows(HISTORY) == [("stays", DAY[0], None)]
    assert warehouse.rows("select customer_id, entered_on from segments.members") == [("stays", DAY[0])]
    warehouse.run(BUYERS, DAY[2])
    assert warehouse.rows(HISTORY) == [("stays", DAY[0], None)] and warehouse.rows(CHANGES) == []


def test_what_a_killed_run_staged_does_not_count(warehouse: SmallWarehouse) -> None:
    warehouse.customer("a", order_count=3)
    warehouse.run(BUYERS, DAY[0], is_committed=False)
    warehouse.forget("a")
    warehouse.customer("b", order_count=3)
    warehouse.run(BUYERS, DAY[0], number=2)
    assert warehouse.rows(HISTORY) == [("b", DAY[0], None)]


def test_a_backfill_shows_its_date_and_appends_nothing(warehouse: SmallWarehouse) -> None:
    for day, count in zip(DAY[:4], (3, 0, 3, 0), strict=True):
        warehouse.customer("a", order_count=count)
        warehouse.run(BUYERS, day)
    before = registered(warehouse)
    warehouse.customer("a", order_count=0)
    report = warehouse.run(BUYERS, DAY[1], number=7, is_forward=False)
    assert warehouse.rows(HISTORY) == [("a", DAY[0], DAY[1])]
    assert registered(warehouse) == before and report.staged_changes == 0
    sizes = warehouse.rows("select as_of_on, size from segments.sizes order by 1")
    assert sizes == [(DAY[0], 1), (DAY[1], 0)]


def test_sizes_keep_one_row_a_date(warehouse: SmallWarehouse) -> None:
    warehouse.customer("a", order_count=3, is_contactable_email=True)
    warehouse.customer("b", order_count=1)
    warehouse.run(BUYERS, DAY[0])
    warehouse.customer("b", order_count=4, is_contactable_sms=True)
    warehouse.run(BUYERS, DAY[1])
    report = warehouse.run(BUYERS, DAY[1], number=2)
    assert warehouse.rows(
        "select as_of_on, size, rate, reachable_email_count, reachable_sms_count from segments.sizes order by 1"
    ) == [(DAY[0], 1, 0.5, 1, 0), (DAY[1], 2, 1.0, 1, 1)]
    assert report.of_segment("buyers").status == "universal"


@pytest.mark.parametrize(
    ("size", "customers", "expected", "status"),
    [
        (0, 10, None, "empty"), (0, 10, (0.0, 0.5), "ok"), (10, 10, None, "universal"), (10, 10, (0.5, 1.0), "ok"),
        (3, 10, None, "unchecked"), (3, 10, (0.3, 0.3), "ok"), (2, 10, (0.3, 0.4), "below"), (5, 10, (0.3, 0.4), "above"),
        (0, 0, (0.0, 1.0), "empty"),
    ],
)  # fmt: skip
def test_a_size_is_held_against_what_was_expected(
    size: int, customers: int, expected: tuple[float, float] | None, status: str
) -> None:
    assert size_status(size, customers, expected) == status


def test_overlaps_are_those_of_the_memberships(warehouse: SmallWarehouse) -> None:
    warehouse.connection.execute(
        "insert into marts.customer_360 (customer_id, order_count, is_suppressed) "
        "select 'c' || i, i % 10, false from range(1003) as t(i)"
    )
    warehouse.run(
        segments(
            segment("low", "{field: order_count, at_most: 5}"),
            segment("high", "{field: order_count, at_least: 4}"),
            segment("none", "{field: order_count, at_least: 99}"),
        ),
        DAY[0],
    )
    expected = warehouse.rows(
        """
        select l.segment, r.segment, count(*) from segments.members as l
        join segments.members as r on l.customer_id = r.customer_id and l.segment < r.segment group by all
        """
    )
    got = warehouse.rows(
        "select left_segment, right_segment, both_count, round(jaccard, 6) from segments.overlap order by all"
    )
    assert expected == [("high", "low", 200)]
    assert got == [("high", "low", 200, round(200 / 1003, 6)), ("high", "none", 0, 0.0), ("low", "none", 0, 0.0)]


def test_a_new_rule_is_the_cause_of_what_it_moves(warehouse: SmallWarehouse) -> None:
    warehouse.customer("a", order_count=3)
    warehouse.customer("b", order_count=2)
    warehouse.run(BUYERS, DAY[0])
    warehouse.run(segments(segment("buyers", "{field: order_count, equals: 2}")), DAY[1])
    assert warehouse.rows(CHANGES) == [("a", "left", "rule"), ("b", "entered", "rule")]


def test_movements_count_who_left_one_segment_for_another(warehouse: SmallWarehouse) -> None:
    low, high = segment("low", "{field: order_count, at_most: 5}"), segment("high", "{field: order_count, at_least: 6}")
    for number in range(10):
        warehouse.customer(f"c{number}", order_count=number)
    warehouse.run(segments(low, high), DAY[0])
    assert warehouse.rows("select * from segments.movements") == []
    for number in (0, 1, 2):
        warehouse.customer(f"c{number}", order_count=7)
    warehouse.customer("c9", order_count=4)
    warehouse.customer("newcomer", order_count=9)
    warehouse.forget("c8")
    warehouse.run(segments(low, high), DAY[1])
    assert warehouse.rows("select * from segments.movements order by all") == [("high", "low", 1), ("low", "high", 3)]
    # A changed rule moves people too, but not by what they did.
    warehouse.run(
        segments(
            segment("low", "{field: order_count, at_most: 6}"), segment("high", "{field: order_count, at_least: 8}")
        ),
        DAY[2],
    )
    assert warehouse.rows("select * from segments.movements") == []


def test_a_segment_that_is_gone_lets_its_members_go(warehouse: SmallWarehouse) -> None:
    warehouse.customer("a", order_count=3)
    warehouse.run(BUYERS, DAY[0])
    warehouse.run(segments(segment("others", "{field: order_count, at_least: 1}")), DAY[1])
    assert ("a", "left", "retired") in warehouse.rows(CHANGES)
    assert warehouse.rows("select left_on from segments.history where segment = 'buyers'") == [(DAY[1],)]


def test_a_merge_keeps_the_earlier_entry(warehouse: SmallWarehouse) -> None:
    warehouse.customer("old", order_count=3)
    warehouse.run(BUYERS, DAY[0])
    warehouse.connection.execute("create schema identity")
    warehouse.connection.execute(
        "create table identity.current_ids as select 'old' as customer_id, 'kept' as current_customer_id "
        "union all select 'kept', 'kept'"
    )
    warehouse.forget("old")
    warehouse.customer("kept", order_count=4)
    warehouse.run(BUYERS, DAY[1])
    assert warehouse.rows("select customer_id, entered_on from segments.members") == [("kept", DAY[0])]
    assert warehouse.rows(CHANGES) == [("kept", "entered", "merged"), ("old", "left", "merged")]
    warehouse.run(BUYERS, DAY[2])
    assert warehouse.rows(HISTORY) == [("kept", DAY[0], None), ("old", DAY[0], DAY[1])]


def test_only_some_segments_with_what_they_depend_on(warehouse: SmallWarehouse) -> None:
    warehouse.customer("a", order_count=3, city="Lyon")
    definitions = segments(
        segment("buyers", "{field: order_count, at_least: 3}"),
        segment("lyon_buyers", "{all: [{member_of: buyers}, {field: city, equals: Lyon}]}"),
        segment("others", "{not: {member_of: buyers}}"),
    )
    report = warehouse.run(definitions, DAY[0], only={"lyon_buyers"}, is_committed=False)
    assert [size.segment for size in report.sizes] == ["lyon_buyers"] and warehouse.members("lyon_buyers") == ["a"]
    # The rest of the same run comes later: nothing of the first part is lost, nor staged away.
    warehouse.run(definitions, DAY[0], only={"buyers", "others"})
    assert [warehouse.members(name) for name in ("buyers", "lyon_buyers", "others")] == [["a"], ["a"], []]
    assert len(registered(warehouse)) == 2
    whole = warehouse.run(definitions, DAY[1])
    assert whole.staged_changes == 0 and len(warehouse.rows("select * from segments.overlap")) == 3
    # A part of a later run does not keep the members of the day before.
    warehouse.run(definitions, DAY[2], only={"buyers"})
    assert warehouse.rows("select distinct segment from segments.members") == [("buyers",)]


def test_control_groups_stay_the_same(warehouse: SmallWarehouse) -> None:
    warehouse.connection.execute(
        "insert into marts.customer_360 (customer_id, order_count, is_suppressed) select 'c' || i, 3, false from range(4000) as t(i)"
    )
    definitions = segments(
        segment("held", "{field: order_count, equals: 3}", control_group=0.25),
        segment("other", "{field: order_count, equals: 3}", control_group=0.25),
    )
    controls = "select segment, customer_id from segments.members where is_control order by all"
    report = warehouse.run(definitions, DAY[0])
    first = warehouse.rows(controls)
    assert abs(report.of_segment("held").control_count / 4000 - 0.25) < 0.03
    both = len({who for name, who in first if name == "held"} & {who for name, who in first if name == "other"})
    assert abs(both / 4000 - 0.0625) < 0.02
    warehouse.run(definitions, DAY[1])
    assert warehouse.rows(controls) == first


def test_a_list_is_replaced_whole_and_follows_identifiers(warehouse: SmallWarehouse, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        warehouse.customer(name)
    warehouse.connection.execute("create schema rcu")
    warehouse.connection.execute(
        "create table rcu.identifiers as select * from (values ('email', 'bea@exemple.test', 'b', false), "
        "('card', '77', 'a', false), ('card', '77', 'c', true)) as t(type, value, customer_id, is_shared)"
    )
    file = tmp_path / "friends.csv"
    file.write_text("customer_id,email,card\na,,\n,BEA@exemple.test ,\n,,77\nnobody,,\n", encoding="utf-8")
    definitions = segments(segment("friends", "{in_list: friends}"), lists={"friends": file})
    report = warehouse.run(definitions, DAY[0])
    assert warehouse.members("friends") == ["a", "b"] and report.unknown_list_rows == 2
    file.write_text("customer_id\nc\n", encoding="utf-8")
    warehouse.run(definitions, DAY[1])
    assert warehouse.members("friends") == ["c"]


def test_no_customers_and_no_segments_are_fine(warehouse: SmallWarehouse) -> None:
    assert warehouse.run(BUYERS, DAY[0]).of_segment("buyers").status == "empty"
    assert warehouse.run(segments(), DAY[1]).sizes == ()


def test_an_unknown_segment_and_a_missing_field_are_told(warehouse: SmallWarehouse) -> None:
    with pytest.raises(UsageError, match='no segment "buyer"; did you mean "buyers"'):
        warehouse.run(BUYERS, DAY[0], only={"buyer"})
    with pytest.raises(DeclarationError, match=r'odd.yml: no field "shoe_size" in customer_360'):
        warehouse.run(segments(segment("odd", "{field: shoe_size, equals: 3}")), DAY[0])

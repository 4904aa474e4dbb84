"""Triggers: each start, each control, and once for ever."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from orchestration import registry
from orchestration.contracts.catalogue import MARTS_CONTRACT
from orchestration.contracts.loader import parse, validate
from orchestration.contracts.segment import load_segments, read_catalogue
from orchestration.contracts.trigger import Limits, Trigger, TriggerSet, load_triggers
from orchestration.errors import DeclarationError
from orchestration.segments import TRIGGER_FIRINGS, TriggersReport, fire
from tests.unit.segments.small_warehouse import SmallWarehouse, segment, segments

DAY = [dt.date(2026, 3, day) for day in range(1, 30)]
NO_LIMITS = Limits(caps=())


def trigger(name: str, on: str, **more: Any) -> Trigger:
    lines = "".join(f"{key}: {value}\n" for key, value in {"channels": "[email]", **more}.items())
    text = f"trigger: {name}\nlabel: {{en: A, fr: A}}\nobjective: test\non: {on}\n{lines}"
    return validate(parse(text, f"{name}.yml"), Trigger)


def run(
    warehouse: SmallWarehouse, triggers: list[Trigger], day: dt.date, *, limits: Limits = NO_LIMITS, definitions: Any = None,
    number: int = 1, is_forward: bool = True, is_committed: bool = True,
) -> TriggersReport:  # fmt: skip
    """One whole run: segments, triggers, commit."""
    definitions = definitions or segments()
    warehouse.run(definitions, day, number=number, is_forward=is_forward, is_committed=False)
    version = f"{day:%Y%m%d}-{number:04d}"
    report = fire(
        warehouse.connection, warehouse.workspace, TriggerSet(tuple(triggers), limits), definitions,
        as_of_on=day, version=version, run_id="run", is_forward=is_forward,
    )  # fmt: skip
    if is_forward and is_committed:
        warehouse.commit(day, number)
    return report


def fired(warehouse: SmallWarehouse) -> list[tuple[Any, ...]]:
    """All firings that count, from the registry."""
    told = registry.rows(warehouse.workspace, TRIGGER_FIRINGS)
    return warehouse.rows(f"select trigger, customer_id, as_of_on from ({told}) where outcome = 'fired' order by all")


def outcomes(warehouse: SmallWarehouse) -> list[tuple[Any, ...]]:
    return warehouse.rows("select trigger, customer_id, outcome from segments.trigger_events order by all")


CART = trigger("cart_left", "{event: cart}", after_days=1, expires_after_days=2, unless_since="[order, cart]")


def test_an_event_fires_when_due_and_once_for_ever(warehouse: SmallWarehouse) -> None:
    warehouse.customer("a", is_contactable_email=True)
    warehouse.event("a", "cart", "2026-03-01 10:00:00", value=49.5, product_id="p1")
    assert run(warehouse, [CART], DAY[0]).fired == 0
    assert run(warehouse, [CART], DAY[1]).fired == 1
    why = json.loads(warehouse.rows("select why from segments.trigger_events")[0][0])
    assert why == {"event": "cart", "on": "2026-03-01", "product": "p1", "value": 49.5}
    assert run(warehouse, [CART], DAY[1], number=2).staged_firings == 0
    assert run(warehouse, [CART], DAY[2]).fired == 0
    assert fired(warehouse) == [("cart_left", "a", DAY[1])]


def test_a_later_order_or_cart_takes_it_back(warehouse: SmallWarehouse) -> None:
    for name in ("buyer", "returning", "waiting"):
        warehouse.customer(name, is_contactable_email=True)
        warehouse.event(name, "cart", "2026-03-01 09:00:00")
    warehouse.order("buyer", "2026-03-01")  # at 10:00, after the cart
    warehouse.event("returning", "cart", "2026-03-02 09:00:00")
    run(warehouse, [CART], DAY[1])
    assert fired(warehouse) == [("cart_left", "waiting", DAY[1])]


def test_what_a_killed_run_decided_is_decided_again(warehouse: SmallWarehouse) -> None:
    warehouse.customer("a", is_contactable_email=True)
    warehouse.event("a", "cart", "2026-03-01 10:00:00")
    assert run(warehouse, [CART], DAY[1], is_committed=False).fired == 1
    assert fired(warehouse) == []
    assert run(warehouse, [CART], DAY[1], number=2).fired == 1
    assert fired(warehouse) == [("cart_left", "a", DAY[1])]


def test_missed_runs_are_caught_up_until_expiry(warehouse: SmallWarehouse) -> None:
    for name, day in (("fresh", "01"), ("stale", "02")):
        warehouse.customer(name, is_contactable_email=True)
        warehouse.event(name, "cart", f"2026-03-{day} 10:00:00")
    warehouse.event("stale", "cart", "2026-02-20 10:00:00")
    # Due on 2 March, kept until 4 March.
    run(warehouse, [CART], DAY[3])
    assert fired(warehouse) == [("cart_left", "fresh", DAY[3]), ("cart_left", "stale", DAY[3])]
    run(warehouse, [CART], DAY[6])
    assert len(fired(warehouse)) == 2


def test_a_backfill_fires_nothing_and_shows_what_was_known(warehouse: SmallWarehouse) -> None:
    warehouse.customer("a", is_contactable_email=True)
    warehouse.event("a", "cart", "2026-03-01 10:00:00")
    run(warehouse, [CART], DAY[1])
    warehouse.event("a", "cart", "2026-03-04 10:00:00")
    run(warehouse, [CART], DAY[4])
    before = fired(warehouse)
    assert len(before) == 2
    warehouse.customer("b", is_contactable_email=True)
    warehouse.event("b", "cart", "2026-03-01 10:00:00")
    assert run(warehouse, [CART], DAY[1], number=2, is_forward=False).staged_firings == 0
    assert warehouse.rows("select customer_id, decided_on from segments.trigger_events") == [("a", DAY[1])]
    assert fired(warehouse) == before


def test_a_merge_or_a_move_does_not_fire_again(warehouse: SmallWarehouse) -> None:
    warehouse.customer("old", is_contactable_email=True, birth_on="1980-03-02")
    warehouse.event("old", "cart", "2026-03-01 10:00:00")
    birthday = trigger("birthday", "{anniversary: {of: birth_on}}")
    run(warehouse, [CART, birthday], DAY[1])
    assert len(fired(warehouse)) == 2
    warehouse.connection.execute("create schema identity")
    warehouse.connection.execute(
        "create table identity.current_ids as select 'old' as customer_id, 'new' as current_customer_id"
    )
    warehouse.forget("old")
    warehouse.customer("new", is_contactable_email=True, birth_on="1980-03-02")
    warehouse.connection.execute("update marts.events set customer_id = 'new'")
    run(warehouse, [CART, birthday], DAY[2])
    # A split: the event now belongs to a customer who never was the one that got the message.
    warehouse.customer("split", is_contactable_email=True)
    warehouse.connection.execute("update marts.events set customer_id = 'split'")
    run(warehouse, [CART, birthday], DAY[2], number=2)
    assert len(fired(warehouse)) == 2


def test_a_second_cart_of_the_same_day_is_the_same_occasion(warehouse: SmallWarehouse) -> None:
    at_once = trigger("cart_now", "{event: cart}")
    warehouse.customer("a", is_contactable_email=True)
    warehouse.event("a", "cart", "2026-03-02 10:00:00")
    run(warehouse, [at_once], DAY[1])
    warehouse.event("a", "cart", "2026-03-02 11:00:00")
    run(warehouse, [at_once], DAY[1], number=2)
    assert len(fired(warehouse)) == 1


def test_an_event_needs_its_properties(warehouse: SmallWarehouse) -> None:
    bounced = trigger("bounced", "{event: {type: email_bounce, with: {reason: hard, list: [a, b]}}}")
    for name, reason, properties in (
        ("hard", "hard", '{"list": "a"}'),
        ("soft", "soft", '{"list": "a"}'),
        ("other", "hard", "{}"),
    ):
        warehouse.customer(name, is_contactable_email=True)
        warehouse.event(name, "email_bounce", "2026-03-01 10:00:00", reason=reason, properties=properties)
    run(warehouse, [bounced], DAY[0])
    assert fired(warehouse) == [("bounced", "hard", DAY[0])]


def test_orders_by_their_number(warehouse: SmallWarehouse) -> None:
    warehouse.customer("a", is_contactable_email=True)
    warehouse.order("a", "2026-03-01", purchase_number=1)
    warehouse.order("a", "2026-03-02", purchase_number=2)
    warehouse.order("a", "2026-03-02", is_purchase=False)
    triggers = [
        trigger("thanks", "{order: {}}"),
        trigger("second", "{order: {number: 1}}", after_days=1, unless_since="[order]"),
    ]
    run(warehouse, triggers, DAY[1])
    assert fired(warehouse) == [("thanks", "a", DAY[1]), ("thanks", "a", DAY[1])]


def test_birthdays_come_every_year_and_ahead_of_time(warehouse: SmallWarehouse) -> None:
    birthday = trigger("birthday", "{anniversary: {of: birth_on}}", before_days=2, expires_after_days=1)
    warehouse.customer("a", is_contactable_email=True, birth_on="1990-03-05")
    warehouse.customer("newborn", is_contactable_email=True, birth_on="2026-03-05")
    for day in DAY[:7]:
        run(warehouse, [birthday], day)
    run(warehouse, [birthday], dt.date(2027, 3, 4))
    later = dt.date(2027, 3, 4)
    assert fired(warehouse) == [("birthday", "a", DAY[2]), ("birthday", "a", later), ("birthday", "newborn", later)]


def test_entering_a_segment_fires_but_its_first_day_and_a_new_rule_do_not(warehouse: SmallWarehouse) -> None:
    buyers = segments(segment("buyers", "{field: order_count, at_least: 3}"))
    triggers = [trigger("hello", "{entered_segment: buyers}"), trigger("bye", "{left_segment: buyers}")]
    warehouse.customer("first", is_contactable_email=True, order_count=3)
    warehouse.customer("later", is_contactable_email=True, order_count=2)
    run(warehouse, triggers, DAY[0], definitions=buyers)
    assert fired(warehouse) == []
    warehouse.customer("later", is_contactable_email=True, order_count=3)
    warehouse.customer("first", is_contactable_email=True, order_count=0)
    run(warehouse, triggers, DAY[1], definitions=buyers)
    assert fired(warehouse) == [("bye", "first", DAY[1]), ("hello", "later", DAY[1])]
    run(warehouse, triggers, DAY[2], definitions=segments(segment("buyers", "{field: order_count, at_least: 0}")))
    assert len(fired(warehouse)) == 2


def test_a_stage_change(warehouse: SmallWarehouse) -> None:
    warehouse.connection.execute("alter table marts.customer_360 add column previous_lifecycle_stage varchar")
    warehouse.connection.execute("alter table marts.customer_360 add column lifecycle_since_on date")
    known = {"is_contactable_email": True, "lifecycle_stage": "at_risk", "lifecycle_since_on": "2026-03-02"}
    warehouse.customer("a", previous_lifecycle_stage="loyal", **known)
    warehouse.customer("b", previous_lifecycle_stage="new", **known)
    run(warehouse, [trigger("at_risk", "{stage: {to: [at_risk], from: [loyal]}}")], DAY[2])
    assert fired(warehouse) == [("at_risk", "a", DAY[2])]


def test_replenishment_by_the_usual_interval(warehouse: SmallWarehouse) -> None:
    for number in range(3):
        warehouse.customer(f"c{number}", is_contactable_email=True)
        warehouse.order(f"c{number}", "2026-01-01", {"product_id": "cream", "category": "care"})
        warehouse.order(f"c{number}", f"2026-02-{number + 1:02d}", {"product_id": "cream", "category": "care"})
    supply = "{replenishment: {of: {category: care}, minimum_repeats: 3}}"
    # Intervals 31, 32, 33: the median 32 days after 1, 2 and 3 February.
    for day in DAY[:8]:
        run(warehouse, [trigger("restock", supply, expires_after_days=0)], day)
    assert fired(warehouse) == [("restock", "c0", DAY[4]), ("restock", "c1", DAY[5]), ("restock", "c2", DAY[6])]
    why = json.loads(
        warehouse.rows(f"select why from ({registry.rows(warehouse.workspace, TRIGGER_FIRINGS)}) order by 1")[0][0]
    )
    assert why == {"product": "cream", "bought_on": "2026-02-01", "usual_days": 32}
    too_few = trigger("restock_rarely", supply.replace("3}", "4}"), expires_after_days=30)
    assert run(warehouse, [too_few], DAY[9]).fired == 0


def test_price_drops_and_new_stock_reach_those_who_looked(warehouse: SmallWarehouse) -> None:
    warehouse.connection.execute("create schema landing")
    warehouse.connection.execute(
        """
        create table landing.products as select * from (values
            ('s', 'p1', 20.0, '{"stock": "0"}', date '2026-02-01', date '2026-02-01', 'h1'),
            ('s', 'p1', 15.0, '{"stock": "4"}', date '2026-03-02', date '2026-03-02', 'h2'),
            ('s', 'p2', 20.0, '{"stock": "3"}', date '2026-02-01', date '2026-02-01', 'h3'),
            ('s', 'p2', 19.5, '{"stock": "9"}', date '2026-03-02', date '2026-03-02', 'h4')
        ) as t(source, product_id, unit_price, custom, valid_from_on, available_on, row_hash)
        """
    )
    for name, product in (("a", "p1"), ("b", "p2"), ("c", "p3")):
        warehouse.customer(name, is_contactable_email=True)
        warehouse.event(name, "page_view", "2026-02-20 10:00:00", product_id=product)
    triggers = [
        trigger("cheaper", "{product: {price_drop: 0.1}}"),
        trigger("back", "{product: {back_in_stock: stock, seen_in: [page_view]}}"),
    ]
    run(warehouse, triggers, DAY[2])
    assert fired(warehouse) == [("back", "a", DAY[2]), ("cheaper", "a", DAY[2])]


def test_a_consent_that_grows_old(warehouse: SmallWarehouse) -> None:
    warehouse.connection.execute("create schema rcu")
    warehouse.connection.execute(
        "create table rcu.consents as select 'a' as customer_id, 'email' as channel, 'marketing' as purpose, 'granted' as status, "
        "timestamp '2026-02-01 10:00:00' as since_at"
    )
    warehouse.customer("a", is_contactable_email=True)
    ask = trigger("ask_again", "{consent: {channel: email, days: 30}}", expires_after_days=0)
    for day in DAY[:5]:
        run(warehouse, [ask], day)
    assert fired(warehouse) == [("ask_again", "a", DAY[2])]


def test_the_first_channel_that_is_open_is_taken(warehouse: SmallWarehouse) -> None:
    warehouse.customer("both", is_contactable_email=True, is_contactable_sms=True)
    warehouse.customer("email_only", is_contactable_email=True)
    warehouse.customer("none")
    warehouse.customer("suppressed", is_contactable_email=True, is_suppressed=True)
    for name in ("both", "email_only", "none", "suppressed"):
        warehouse.event(name, "cart", "2026-03-01 10:00:00")
    report = run(warehouse, [trigger("cart_left", "{event: cart}", channels="[sms, email]")], DAY[0])
    assert warehouse.rows("select customer_id, channel, outcome from segments.trigger_events order by 1") == [
        ("both", "sms", "fired"), ("email_only", "email", "fired"), ("none", None, "unreachable"),
    ]  # fmt: skip
    assert (report.of_trigger("cart_left").fired, report.of_trigger("cart_left").unreachable) == (2, 1)


def test_priority_decides_when_limits_allow_one(warehouse: SmallWarehouse) -> None:
    warehouse.customer("a", is_contactable_email=True)
    warehouse.event("a", "cart", "2026-03-01 10:00:00")
    warehouse.event("a", "call", "2026-03-01 10:00:00")
    warehouse.event("a", "session", "2026-03-01 10:00:00")
    triggers = [
        trigger("minor", "{event: cart}", priority=50),
        trigger("major", "{event: call}", priority=10),
        trigger("service", "{event: session}", priority=90, ignores_limits="true"),
    ]
    limits = Limits.model_validate({"caps": [{"times": 1, "within_days": 1}]})
    run(warehouse, triggers, DAY[0], limits=limits)
    assert outcomes(warehouse) == [("major", "a", "fired"), ("minor", "a", "capped"), ("service", "a", "fired")]
    # What was held back goes the next day, as long as it has not expired.
    run(warehouse, triggers, DAY[1], limits=limits)
    assert ("minor", "a", DAY[1]) in fired(warehouse)


def test_caps_count_what_fired_before(warehouse: SmallWarehouse) -> None:
    warehouse.customer("a", is_contactable_email=True)
    capped = trigger(
        "call_back",
        "{event: call}",
        caps="[{times: 2, within_days: 5}, {times: 9, within_days: 100}]",
        expires_after_days=0,
    )
    for day in DAY[:8]:
        warehouse.event("a", "call", f"{day} 10:00:00")
        run(warehouse, [capped], day)
    assert [row[2] for row in fired(warehouse)] == [DAY[0], DAY[1], DAY[5], DAY[6]]


def test_common_caps_count_all_triggers_together(warehouse: SmallWarehouse) -> None:
    warehouse.customer("a", is_contactable_email=True)
    triggers = [
        trigger("one", "{event: call}", expires_after_days=0),
        trigger("two", "{event: cart}", expires_after_days=0),
    ]
    limits = Limits.model_validate({"caps": [{"times": 1, "within_days": 1}, {"times": 2, "within_days": 4}]})
    for day, kind in zip(DAY[:6], ("call", "cart", "call", "cart", "call", "cart"), strict=True):
        warehouse.event("a", kind, f"{day} 10:00:00")
        run(warehouse, triggers, day, limits=limits)
    assert [row[2] for row in sorted(fired(warehouse), key=lambda row: row[2])] == [DAY[0], DAY[1], DAY[4], DAY[5]]


def test_holdouts_get_nothing_ever_and_are_the_same_people(warehouse: SmallWarehouse) -> None:
    warehouse.connection.execute(
        "insert into marts.customer_360 (customer_id, is_contactable_email, is_suppressed) select 'c' || i, true, false from range(2000) t(i)"
    )
    held = trigger("held", "{event: call}", holdout=0.2)
    for number, day in enumerate(DAY[:2]):
        warehouse.connection.execute(
            f"insert into marts.events (event_id, customer_id, event_type, occurred_at, occurred_on) "
            f"select 'd{number}-' || i, 'c' || i, 'call', timestamp '{day} 10:00:00', date '{day}' from range(2000) t(i)"
        )
        run(warehouse, [held], day)
    told = registry.rows(warehouse.workspace, TRIGGER_FIRINGS)
    by_customer = warehouse.rows(
        f"select customer_id, count(distinct outcome) from ({told}) group by 1 having count(distinct outcome) > 1"
    )
    shares = warehouse.rows(f"select outcome, count(*) from ({told}) group by 1 order by 1")
    assert by_customer == [] and sum(count for _, count in shares) == 4000
    assert abs(dict(shares)["held_out"] / 4000 - 0.2) < 0.03


@pytest.mark.parametrize(
    ("limits", "begin", "end"),
    [
        ({}, "2026-03-27 23:00:00", "2026-03-28 23:00:00"),
        ({"quiet_hours": {"from": "20:00", "to": "09:00"}}, "2026-03-28 08:00:00", "2026-03-28 19:00:00"),
        ({"quiet_hours": {"from": "12:00", "to": "14:00"}}, "2026-03-28 13:00:00", "2026-03-28 23:00:00"),
        # Saturday is quiet; on Sunday the clocks go forward.
        ({"quiet_week_days": ["saturday"], "quiet_hours": {}}, "2026-03-29 07:00:00", "2026-03-29 18:00:00"),
        ({"quiet_week_days": ["saturday"], "quiet_dates": [dt.date(2026, 3, 29)], "quiet_hours": {}},
         "2026-03-30 07:00:00", "2026-03-30 18:00:00"),
    ],
)  # fmt: skip
def test_nothing_leaves_in_quiet_hours(limits: dict[str, Any], begin: str, end: str) -> None:
    window = Limits.model_validate(limits).window(dt.date(2026, 3, 28), "Europe/Paris")
    assert (window.begin, window.end) == tuple(dt.datetime.fromisoformat(f"{one}+00:00") for one in (begin, end))


@pytest.mark.parametrize(
    ("now", "begin"),
    [
        ("2026-03-27 23:30:00", "2026-03-28 08:00:00"),  # 00:30 in Paris: today's window is to come
        ("2026-03-28 12:00:00", "2026-03-28 08:00:00"),
        ("2026-03-28 19:00:00", "2026-03-29 07:00:00"),  # 20:00 in Paris: over
    ],
)
def test_the_open_window_is_the_first_that_is_not_over(now: str, begin: str) -> None:
    limits = Limits.model_validate({"quiet_hours": {"from": "20:00", "to": "09:00"}})
    window = limits.open_window(dt.datetime.fromisoformat(f"{now}+00:00"), "Europe/Paris")
    assert window.begin == dt.datetime.fromisoformat(f"{begin}+00:00")


def test_what_would_leave_too_late_expires(warehouse: SmallWarehouse) -> None:
    warehouse.customer("a", is_contactable_email=True)
    warehouse.event("a", "cart", "2026-03-28 10:00:00")  # a Saturday
    limits = Limits.model_validate({"caps": [], "quiet_week_days": ["saturday", "sunday"]})
    soon, later = (
        trigger(name, "{event: cart}", expires_after_days=days) for name, days in (("soon", 1), ("later", 2))
    )
    run(warehouse, [soon, later], dt.date(2026, 3, 28), limits=limits)
    assert outcomes(warehouse) == [("later", "a", "fired"), ("soon", "a", "expired")]


def test_a_condition_is_asked_when_the_message_is_due(warehouse: SmallWarehouse) -> None:
    warehouse.customer("a", is_contactable_email=True, city="Lyon")
    warehouse.customer("b", is_contactable_email=True, city="Nice")
    lyon = segments(segment("lyon", "{field: city, equals: Lyon}"))
    for name in ("a", "b"):
        warehouse.event(name, "cart", "2026-03-01 10:00:00")
    run(warehouse, [trigger("lyon_cart", "{event: cart}", where="{member_of: lyon}")], DAY[0], definitions=lyon)
    assert fired(warehouse) == [("lyon_cart", "a", DAY[0])]


def test_no_trigger_is_fine(warehouse: SmallWarehouse) -> None:
    assert run(warehouse, [], DAY[0]).triggers == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("on: {event: carts}", 'one.yml:5: no event "carts"; did you mean "cart"?'),
        ("on: {entered_segment: vips}", 'one.yml:5: no segment "vips"'),
        ("on: {}", "one.yml:5: a trigger starts from one of event, order,"),
        ("on: {event: cart, order: {}}", "not 2 (event, order)"),
        ("on: {anniversary: {of: birthday}}", '"birthday" is no date of customer_360'),
        ("on: {event: cart}\nbefore_days: 3", "before_days goes with an anniversary"),
        ("on: {event: cart}\nunless_since: [ordr]", 'one.yml:6: no event "ordr"'),
        (
            "on: {event: cart}\nwhere: {field: agee, exists: true}",
            'no field "agee" in customer_360; did you mean "age_years"?',
        ),
        ("on: {product: {price_drop: 0.1, back_in_stock: stock}}", "say one of price_drop and back_in_stock"),
        ("on: {event: cart}\ncap: 3", 'unknown key "cap"; did you mean "caps"?'),
    ],
)
def test_a_mistake_in_a_trigger_is_told(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "one.yml").write_text(
        f"trigger: one\nlabel: {{en: A, fr: A}}\nobjective: x\nchannels: [email]\n{text}\n", encoding="utf-8"
    )
    with pytest.raises(DeclarationError) as caught:
        load_triggers(tmp_path, read_catalogue(MARTS_CONTRACT), segments(), tmp_path)
    assert message in str(caught.value)


def test_wrong_limits_are_told(tmp_path: Path) -> None:
    (tmp_path / "_limits.yml").write_text('quiet_hours: {from: "25:00", to: "09:00"}\n', encoding="utf-8")
    with pytest.raises(DeclarationError, match=r'_limits\.yml:1: "25:00" is no time of day'):
        load_triggers(tmp_path, read_catalogue(MARTS_CONTRACT), segments(), tmp_path)


def test_the_ready_triggers_are_right(project: Path) -> None:
    catalogue = read_catalogue(MARTS_CONTRACT)
    ready = load_segments(project / "declarations" / "segments", catalogue, project)
    found = load_triggers(project / "declarations" / "triggers", catalogue, ready, project)
    kinds = {one.start.kind for one in found}
    assert kinds == {"event", "order", "anniversary", "entered_segment", "stage", "replenishment", "product", "consent"}
    assert len(found) >= 16 and len({one.priority for one in found}) == len(found)

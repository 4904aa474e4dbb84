"""The edges of conditions: last day, midnight, leap years, kinds of lines, missing values."""

from __future__ import annotations

import datetime as dt

import pytest

from orchestration.segments.compiler import anniversary_days, compile_segments, in_share, segment_sql
from orchestration.segments.dialect import SPARK
from orchestration.segments.materialise import catalogue_of
from tests.unit.segments.small_warehouse import SmallWarehouse, segment, segments

DAY = dt.date(2026, 3, 29)  # French clocks go forward at 01:00 UTC


def who(warehouse: SmallWarehouse, where: str, day: dt.date = DAY) -> list[str]:
    warehouse.run(segments(segment("asked", where)), day, is_forward=False)
    return warehouse.members("asked")


def test_a_missing_value_satisfies_no_condition_but_absence(warehouse: SmallWarehouse) -> None:
    warehouse.customer("filled", order_count=2)
    warehouse.customer("missing")
    assert who(warehouse, "{field: order_count, not_equals: 3}") == ["filled"]
    assert who(warehouse, "{field: order_count, not_in: [3]}") == ["filled"]
    assert who(warehouse, "{not: {field: order_count, equals: 2}}") == ["missing"]
    assert who(warehouse, "{not: {not: {field: order_count, equals: 2}}}") == ["filled"]
    assert who(warehouse, "{field: order_count, exists: false}") == ["missing"]
    assert who(warehouse, "{performed: cart, at_most: 0}") == ["filled", "missing"]


def test_a_window_of_days_holds_its_first_and_last_day(warehouse: SmallWarehouse) -> None:
    for name, day in (
        ("before", "2026-03-18"),
        ("first", "2026-03-19"),
        ("today", "2026-03-29"),
        ("tomorrow", "2026-03-30"),
    ):
        warehouse.customer(name, first_order_on=day)
        warehouse.order(name, day)
        warehouse.event(name, "cart", f"{day} 09:00:00")
    assert who(warehouse, "{field: first_order_on, within_last_days: 10}") == ["first", "today"]
    assert who(warehouse, "{field: first_order_on, within_next_days: 1}") == ["today", "tomorrow"]
    assert who(warehouse, "{bought: {}, within_days: 10}") == ["first", "today"]
    assert who(warehouse, "{performed: cart, within_days: 10}") == ["first", "today"]
    assert who(warehouse, "{bought: {}}") == ["before", "first", "today"]


def test_an_instant_belongs_to_the_day_of_the_company_s_clock(warehouse: SmallWarehouse) -> None:
    # 29 March 2026 in Paris lasts 23 hours: from the 28th 23:00 to the 29th 22:00 UTC.
    for name, instant in (
        ("eve", "2026-03-28 22:59:59"), ("start", "2026-03-28 23:00:00"), ("end", "2026-03-29 21:59:59"), ("next", "2026-03-29 22:00:00"),
    ):  # fmt: skip
        warehouse.customer(name, last_contact_at=instant)
        warehouse.event(name, "call", instant)
    assert who(warehouse, "{field: last_contact_at, equals: 2026-03-29}") == ["end", "start"]
    assert who(warehouse, "{field: last_contact_at, before: 2026-03-29}") == ["eve"]
    assert who(warehouse, "{field: last_contact_at, after: 2026-03-29}") == ["next"]
    assert who(warehouse, "{field: last_contact_at, within_last_days: 0}") == ["end", "start"]
    assert who(warehouse, "{performed: call, within_days: 0}") == ["end", "start"]


def test_a_birthday_on_29_february_falls_on_the_28th_in_other_years(warehouse: SmallWarehouse) -> None:
    warehouse.customer("leap", birth_on="2004-02-29")
    asked = "{field: birth_on, anniversary_within_days: 0}"
    assert who(warehouse, asked, dt.date(2026, 2, 28)) == ["leap"]
    assert who(warehouse, asked, dt.date(2028, 2, 28)) == []
    assert who(warehouse, asked, dt.date(2028, 2, 29)) == ["leap"]
    assert anniversary_days(dt.date(2026, 12, 30), 3) == [101, 102, 1230, 1231]


def test_only_sold_products_are_bought_and_returns_are_netted(warehouse: SmallWarehouse) -> None:
    for name in ("buyer", "returner", "fee_payer", "canceller"):
        warehouse.customer(name)
    warehouse.order(
        "buyer", "2026-03-01", {"amount_net": 80, "category": "shoes"}, {"amount_net": 5, "category": "bags"}
    )
    warehouse.order("returner", "2026-03-01", {"amount_net": 80, "category": "shoes"})
    warehouse.order(
        "returner", "2026-03-05", {"line_kind": "return", "amount_net": -80, "quantity": -1, "category": "shoes"}
    )
    warehouse.order("fee_payer", "2026-03-01", {"is_product": False, "category": "shoes", "amount_net": 80})
    warehouse.order("canceller", "2026-03-01", {"line_kind": "cancellation", "category": "shoes", "amount_net": 0})
    assert who(warehouse, "{bought: {category: shoes}}") == ["buyer", "returner"]
    assert who(warehouse, "{bought: {category: shoes}, measure: amount_net, at_least: 80}") == ["buyer"]
    assert who(warehouse, "{bought: {category: shoes}, measure: units, more_than: 0}") == ["buyer"]
    assert who(warehouse, "{bought: {}, measure: amount_net, at_least: 85}") == ["buyer"]
    # Two attributes must hold for one and the same line.
    assert who(warehouse, "{bought: {category: bags, product: p9}}") == []


def test_several_orders_count_once_each(warehouse: SmallWarehouse) -> None:
    warehouse.customer("one_order")
    warehouse.customer("two_orders")
    warehouse.order("one_order", "2026-03-01", {}, {}, {})
    warehouse.order("two_orders", "2026-03-01", channel="store")
    warehouse.order("two_orders", "2026-03-01")
    assert who(warehouse, "{bought: {}, at_least: 2}") == ["two_orders"]
    assert who(warehouse, "{bought: {}, measure: days, at_least: 2}") == []
    assert who(warehouse, "{bought: {channel: store}}") == ["two_orders"]


def test_events_are_counted_with_their_properties(warehouse: SmallWarehouse) -> None:
    warehouse.customer("a")
    warehouse.customer("b")
    warehouse.event("a", "session", "2026-03-01 10:00:00", properties='{"device": "phone"}', value=31)
    warehouse.event("b", "session", "2026-03-01 10:00:00", campaign="spring")
    warehouse.event("b", "cart", "2026-03-01 10:00:00", campaign="spring")
    assert who(warehouse, "{performed: session, with: {device: phone}}") == ["a"]
    assert who(warehouse, "{performed: session, with: {value: 31}}") == ["a"]
    assert who(warehouse, "{performed: [session, cart], with: {campaign: [spring, summer]}, at_least: 2}") == ["b"]


def test_a_field_can_be_compared_with_another(warehouse: SmallWarehouse) -> None:
    warehouse.customer("late", days_since_last_order=31, average_interval_days=20)
    warehouse.customer("in_time", days_since_last_order=30, average_interval_days=20)
    warehouse.customer("unknown_rhythm", days_since_last_order=300)
    assert who(warehouse, "{field: days_since_last_order, more_than: {field: average_interval_days, times: 1.5}}") == [
        "late"
    ]


def test_custom_attributes_compare_as_what_they_are_compared_with(warehouse: SmallWarehouse) -> None:
    warehouse.customer("a", custom='{"size": "9", "since": "2026-01-31"}')
    warehouse.customer("b", custom='{"size": "41", "since": "n/a"}')
    warehouse.customer("c", custom='{"size": "unknown"}')
    warehouse.customer("d")
    assert who(warehouse, "{custom: size, at_least: 40}") == ["b"]
    assert who(warehouse, '{custom: size, equals: "9"}') == ["a"]
    assert who(warehouse, "{custom: since, before: 2026-02-01}") == ["a"]
    assert who(warehouse, "{custom: size, exists: false}") == ["d"]


def test_quotes_in_values_stay_values(warehouse: SmallWarehouse) -> None:
    warehouse.customer("a", city="L'Haÿ-les-Roses")
    assert who(warehouse, """{field: city, equals: "L'Haÿ-les-Roses"}""") == ["a"]
    assert who(warehouse, """{field: city, equals: "x' or 'a' = 'a"}""") == []


def test_a_consent_counts_by_purpose_channel_status_and_age(warehouse: SmallWarehouse) -> None:
    for name in ("asked", "refuses", "silent", "old", "ending"):
        warehouse.customer(name)
    warehouse.connection.execute("create schema rcu")
    warehouse.connection.execute(
        """
        create table rcu.consents as select * from (values
            ('asked', 'email', 'profiling', 'granted', timestamp '2026-03-28 23:30:00', null::date),
            ('asked', 'sms', 'profiling', 'refused', timestamp '2026-01-01 10:00:00', null),
            ('refuses', 'email', 'profiling', 'refused', timestamp '2026-03-01 10:00:00', null),
            ('silent', 'email', 'marketing', 'granted', timestamp '2026-03-01 10:00:00', null),
            ('old', 'post', 'profiling', 'granted', timestamp '2020-01-01 10:00:00', null),
            ('ending', 'sms', 'profiling', 'granted', timestamp '2023-04-10 10:00:00', date '2026-04-09')
        ) as t(customer_id, channel, purpose, status, since_at, expires_on)
        """
    )
    assert who(warehouse, "{consent: {purpose: profiling}}") == ["asked", "ending", "old"]
    assert who(warehouse, "{consent: {purpose: profiling, channel: email}}") == ["asked"]
    assert who(warehouse, "{consent: {purpose: profiling, channel: [sms, post]}}") == ["ending", "old"]
    assert who(warehouse, "{consent: {purpose: profiling, status: [refused, withdrawn]}}") == ["asked", "refuses"]
    assert who(warehouse, "{not: {consent: {purpose: profiling}}}") == ["refuses", "silent"]
    # 23:30 UTC on the 28th is the 29th in Paris: the as-of date itself.
    assert who(warehouse, "{consent: {purpose: profiling}, within_days: 0}") == ["asked"]
    assert who(warehouse, "{consent: {purpose: profiling, expires_within_days: 11}}") == ["ending"]
    assert who(warehouse, "{consent: {purpose: profiling, expires_within_days: 10}}") == []
    who(warehouse, "{consent: {purpose: profiling, channel: [email, sms]}}")
    assert warehouse.rows("select reason from segments.members order by customer_id") == [
        ('{"consent to profiling by email or sms":"email granted"}',),
        ('{"consent to profiling by email or sms":"sms granted"}',),
    ]


def test_suppressed_customers_are_left_out_unless_asked_for(warehouse: SmallWarehouse) -> None:
    warehouse.customer("free", city="Lyon")
    warehouse.customer("suppressed", city="Lyon", is_suppressed=True)
    rule = "{field: city, equals: Lyon}"
    warehouse.run(segments(segment("asked", rule), segment("all", rule, include_suppressed="true")), DAY)
    assert (warehouse.members("asked"), warehouse.members("all")) == (["free"], ["free", "suppressed"])


def test_a_customer_is_in_one_segment_of_a_group_only(warehouse: SmallWarehouse) -> None:
    for name, count in (("a", 1), ("b", 5), ("c", 9)):
        warehouse.customer(name, order_count=count)
    warehouse.run(
        segments(
            segment("few", "{field: order_count, at_least: 1}", priority=3, exclusive_group="band"),
            segment("some", "{field: order_count, at_least: 4}", priority=2, exclusive_group="band"),
            segment("many", "{field: order_count, at_least: 8}", priority=1, exclusive_group="band"),
            segment("named", "{not: {member_of: few}}"),
        ),
        DAY,
    )
    assert [warehouse.members(name) for name in ("few", "some", "many", "named")] == [["a"], ["b"], ["c"], ["b", "c"]]


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_draws_are_stable_close_to_their_share_and_independent(warehouse: SmallWarehouse, share: float) -> None:
    warehouse.connection.execute(
        "insert into marts.customer_360 (customer_id, is_suppressed) select 'c' || i, false from range(20000) as t(i)"
    )
    rule = f"{{random_bucket: {{seed: SEED, to: {share}}}}}"
    first = set(who(warehouse, rule.replace("SEED", "x")))
    other = set(who(warehouse, rule.replace("SEED", "y")))
    assert first == set(who(warehouse, rule.replace("SEED", "x")))
    assert abs(len(first) / 20000 - share) < 0.015
    assert abs(len(first & other) / 20000 - share * share) < 0.015
    beyond = set(who(warehouse, f"{{random_bucket: {{seed: x, from: {share}, to: 1}}}}"))
    assert not first & beyond and len(first | beyond) == 20000


def test_a_share_is_cut_at_whole_numbers() -> None:
    assert in_share("d", "x", 0, 1).endswith("% 2147483647 < 2147483647")


def test_the_stated_sql_lists_the_members(warehouse: SmallWarehouse) -> None:
    warehouse.customer("a", order_count=4, interests='["sport"]')
    warehouse.customer("b", order_count=4)
    warehouse.event("b", "cart", "2026-03-20 10:00:00")
    warehouse.order("b", "2026-03-20", {"category": "shoes"})
    definitions = segments(
        segment("base", "{field: order_count, at_least: 4}"),
        segment("asked", "{all: [{member_of: base}, {performed: cart}, {bought: {category: shoes}}]}"),
    )
    warehouse.run(definitions, DAY)
    sql = warehouse.rows("select sql from segments.definitions where segment = 'asked'")[0][0]
    assert [row[0] for row in warehouse.rows(sql)] == warehouse.members("asked") == ["b"]
    assert sql == segment_sql(
        definitions, catalogue_of(warehouse.connection), "asked", as_of_on=DAY, time_zone="Europe/Paris"
    )


def test_two_hundred_rules_read_each_table_once(warehouse: SmallWarehouse) -> None:
    many = segments(*(
        segment(f"s{index}", f"{{all: [{{performed: cart, at_least: {index + 1}}}, {{bought: {{brand: b{index}}}}}]}}")
        for index in range(200)
    ))  # fmt: skip
    compiled = compile_segments(many, catalogue_of(warehouse.connection), as_of_on=DAY, time_zone="Europe/Paris")
    sql = compiled.statement("select 1")
    assert [sql.count(f"from marts.{table}") for table in ("customer_360", "events", "order_lines")] == [1, 1, 1]


def test_spark_gets_its_own_words() -> None:
    from orchestration.contracts.segment import FieldCatalogue

    definitions = segments(
        segment("asked", r'{all: [{field: city, matches: "^L\\d"}, {has_tag: vip}, {custom: size, exists: true}]}')
    )
    catalogue = FieldCatalogue({"city": "text", "tags": "texts", "custom": "object", "is_suppressed": "boolean"})
    sql = segment_sql(definitions, catalogue, "asked", as_of_on=DAY, time_zone="Europe/Paris", dialect=SPARK)
    assert r"regexp_like(city, '^L\\d')" in sql and "array_contains(" in sql and "get_json_object(" in sql
    for word in ("varchar", "regexp_matches", "list_contains", "json_extract_string"):
        assert word not in sql

"""Why two records are not one person, told anew; and the queue with the most valuable pair first."""

from __future__ import annotations

from pathlib import Path

from orchestration.identity import review_queue
from orchestration.identity.compare import compare
from orchestration.identity.model import read
from tests.unit.identity.conftest import MODEL, World, matching, stored_model

VETOES = [{"veto": "another_given_name", "conflict": ["first_name"], "weight": -12}]
ANNA = {"first_name": "anna", "last_name": "martin", "email": "martin@example.org", "postal_code": "75011"}


def household(root: Path) -> World:
    world = World(root, matching(model=MODEL, vetoes=VETOES, block_on=[["email"], ["last_name", "postal_code"]]))
    world.put("crm", "1", **ANNA, birth_on="1980-02-03")
    world.put("web", "2", **{**ANNA, "first_name": "paul"})
    world.put("web", "3", last_name="petit")
    world.run(1)
    return world


def test_what_keeps_two_of_a_household_apart_is_told_field_by_field(tmp_path: Path) -> None:
    world = household(tmp_path)
    told = compare(
        world.connection, world.matching, read(stored_model(world.matching), world.matching, "m"),
        ("web", "2"), ("crm", "1"),
    )  # fmt: skip
    assert told is not None
    levels = {field.field: field.level for field in told.fields}
    assert (levels["first_name"], levels["last_name"], levels["birth_on"]) == (
        "contradicts", "the same", "absent on one side",
    )  # fmt: skip
    assert (told.veto, told.weight, told.rules) == ("another_given_name", -12.0, ())
    assert told.failed == {
        "email_and_name": "first_name: contradicts, should agree",
        "phone_and_name": "phones: absent on one side, should be the same",
        "name_and_birth_date": "birth_on: absent on one side, should be the same",
    }
    assert "email" in told.shared_keys and told.capped_keys == ()


def test_records_with_nothing_in_common_have_no_key_and_a_record_that_is_gone_is_not_compared(tmp_path: Path) -> None:
    world = household(tmp_path)
    told = compare(world.connection, world.matching, None, ("crm", "1"), ("web", "3"))
    assert told is not None
    assert (told.shared_keys, told.weight) == ((), None)
    assert compare(world.connection, world.matching, None, ("crm", "1"), ("web", "99")) is None


def test_the_queue_puts_the_doubtful_pair_of_good_customers_first(tmp_path: Path) -> None:
    world = World(tmp_path, matching())
    connection = world.connection
    connection.execute("create schema identity")
    connection.execute("create schema published")
    connection.execute(
        "create table identity.match_review as select * from (values "
        "('p1', 'a', '1', 'b', '1', 0.5, 'between the bands', null, 'poor', 'poorer'), "
        "('p2', 'a', '2', 'b', '2', 0.5, 'between the bands', null, 'rich', 'richer'), "
        "('p3', 'a', '3', 'b', '3', 0.99, 'a guard stopped the join', 'max_records', 'rich', 'richer'), "
        "('p4', 'a', '4', 'b', '4', 0.5, 'between the bands', null, 'poor', 'poorer')) as t(pair_id, left_source, "
        "left_record_id, right_source, right_record_id, match_probability, reason, guard, left_customer_id, "
        "right_customer_id)"
    )
    connection.execute(
        "create table identity.match_links as select 'a' as left_source, '2' as left_record_id, 'b' as right_source, "
        "'2' as right_record_id, '{\"email\": 6.0}' as field_weights"
    )
    connection.execute(
        "create table published.customer_360 as select * from (values ('poor', 0.0), ('poorer', 0.0), ('rich', 900.0), "
        "('richer', 2000.0)) as t(customer_id, amount_net)"
    )
    connection.execute(
        "create table published.customers as select 'rich' as customer_id, 'anna' as first_name, 'martin' as last_name, "
        "date '1980-01-02' as birth_on, null as email, null as phone, null as address_line, null as postal_code, "
        "null as city"
    )
    found = review_queue(connection, limit=3, customers="published.customers", customer_360="published.customer_360")
    assert [pair.pair_id for pair in found] == ["p2", "p1", "p4"]
    assert found[0].value == 2900
    assert found[0].field_weights == {"email": 6.0}
    assert found[0].left_values["birth_on"] == "1980-01-02"
    assert found[0].right_values["first_name"] is None

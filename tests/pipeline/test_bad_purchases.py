"""Purchases that are wrong or odd: for each, what the marts say is defined here."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import Any

import pytest

from tests.pipeline.marts_alone import Marts, build
from tests.pipeline.workspaces import PROJECT

pytestmark = pytest.mark.slow

AS_OF = dt.date(2024, 6, 30)
CHECKS = (
    "orders_add_up", "totals_are_conserved", "customer_amounts_are_those_of_orders",
    "orders_belong_to_a_living_customer", "amounts_are_not_lost_on_the_way",
)  # fmt: skip


def line(order: str, day: str, customer: str | None = "a", **more: Any) -> dict[str, Any]:
    """One product for ten euros, unless said otherwise."""
    return {
        "order_id": order, "line_id": str(more.pop("line_id", 1)), "ordered_at": f"{day} 10:00:00",
        "ref_account": customer, "product_id": "P", "quantity": 1, "unit_price": 10, **more,
    }  # fmt: skip


def whole(marts: Marts) -> Marts:
    """The same marts, once the project's own accounting tests have found nothing."""
    assert {name: marts.test_failures(name) for name in CHECKS} == {name: [] for name in CHECKS}
    return marts


def test_an_order_of_the_future_is_kept_and_counts_for_nothing() -> None:
    marts = whole(build(AS_OF, lines=[line("1", "2024-06-01"), line("2", "2031-01-01", unit_price=999)]))
    assert marts.rows("select source_order_id, is_future, is_purchase from marts.orders order by 1") == [
        ("1", False, True),
        ("2", True, False),
    ]
    assert marts.one("select order_count, amount_net, last_order_on from marts.customer_360") == (
        1, Decimal(10), dt.date(2024, 6, 1),
    )  # fmt: skip
    assert marts.one("select sum(amount_gross), max(month_on) from marts.purchases_by_month") == (
        Decimal(10), dt.date(2024, 6, 1),
    )  # fmt: skip


def test_a_customer_with_orders_of_the_future_only_is_a_prospect() -> None:
    marts = whole(build(AS_OF, lines=[line("1", "2024-07-01")]))
    assert marts.one("select lifecycle_stage, order_count, rfm_segment, plan from marts.customer_360") == (
        "prospect", 0, None, "welcome",
    )  # fmt: skip
    assert marts.rows("from marts.recommendations") == []


def test_an_order_before_its_customers_birth_is_flagged_and_counted() -> None:
    marts = whole(
        build(
            AS_OF,
            lines=[line("1", "2024-01-01"), line("2", "2024-01-01", "b"), line("3", "2024-01-01", None)],
            customers=[{"customer_id": "a", "birth_on": "2024-01-02"}, {"customer_id": "b", "birth_on": "2024-01-01"}],
        )
    )
    assert marts.rows("select source_order_id, is_before_birth from marts.orders order by 1") == [
        ("1", True), ("2", False), ("3", False),
    ]  # fmt: skip
    assert marts.rows("select customer_id, order_count from marts.customer_360 order by 1") == [("a", 1), ("b", 1)]


def test_a_negative_price_is_a_discount_and_no_sale() -> None:
    marts = whole(build(AS_OF, lines=[line("1", "2024-01-01"), line("1", "2024-01-01", line_id=2, unit_price=-3)]))
    assert marts.rows("select line_kind, amount_gross, amount_line from marts.order_lines order by 1") == [
        ("sale", Decimal(10), Decimal(10)),
        ("voucher", Decimal(0), Decimal(-3)),
    ]
    assert marts.one("select amount_gross, amount_vouchers from marts.orders") == (Decimal(10), Decimal(-3))


def test_a_currency_without_a_rate_is_kept_apart_in_its_own_currency() -> None:
    marts = whole(build(AS_OF, lines=[line("1", "2024-01-01"), line("2", "2024-02-01", "b", currency="XAU")]))
    assert marts.rows(
        "select line_kind, currency, amount_delivered, amount_line from marts.order_lines order by 2"
    ) == [("sale", "EUR", Decimal(10), Decimal(10)), ("unconverted", "XAU", Decimal(10), Decimal(0))]
    assert marts.rows("select currency, kept_amount from marts.order_reconciliation order by 1") == [
        ("EUR", Decimal(10)), ("XAU", Decimal(10)),
    ]  # fmt: skip
    assert marts.rows("select customer_id, lifecycle_stage from marts.customer_360 order by 1") == [
        ("a", "at_risk"), ("b", "prospect"),
    ]  # fmt: skip


def test_a_currency_before_its_first_rate_is_unconverted_too() -> None:
    rates = [{"currency": "GBP", "since": "2024-02-01", "rate": 1.25}]
    marts = whole(
        build(
            AS_OF,
            lines=[line("1", "2024-01-31", currency="GBP"), line("2", "2024-02-01", currency="gbp")],
            value={"currency_rates": rates},
        )
    )
    assert marts.rows("select order_id, line_kind, amount_line from marts.order_lines order by 1") == [
        ("shop:1", "unconverted", Decimal(0)),
        ("shop:2", "sale", Decimal("12.5")),
    ]


def test_a_customer_with_returns_only_has_bought_nothing_and_owes_the_amount() -> None:
    lines = [line("1", "2024-01-01", "b"), line("2", "2024-03-01", quantity=-2)]
    marts = whole(build(AS_OF, lines=lines))
    shown = marts.one(
        "select lifecycle_stage, order_count, amount_gross, amount_returned, amount_net, return_rate, rfm_segment, "
        "average_order_amount, value_percentile from marts.customer_360 where customer_id = 'a'"
    )
    assert shown == ("prospect", 0, Decimal(0), Decimal(20), Decimal(-20), None, None, None, None)
    assert marts.rows("select distinct unit_id from marts.rfm_scores") == [("b",)]
    assert marts.rows("select distinct customer_id from marts.recommendations where customer_id = 'a'") == []


def test_an_order_of_fifty_thousand_lines_is_one_order_and_no_taste() -> None:
    count = 50_000
    lines = [line("1", "2024-01-01", line_id=n, product_id=f"P{n}") for n in range(count)]
    marts = whole(build(AS_OF, lines=[*lines, line("2", "2024-02-01", "b"), line("2", "2024-02-01", "b", line_id=2)]))
    assert marts.one("select line_count, product_count, amount_gross from marts.orders where source_order_id = '1'") == (
        count, count, Decimal(10 * count),
    )  # fmt: skip
    assert marts.rows("from marts.product_affinity") == []
    assert marts.one("select order_count, amount_net from marts.customer_360 where customer_id = 'a'") == (
        1, Decimal(10 * count),
    )  # fmt: skip
    assert marts.one("select count(*) from marts.recommendations where customer_id = 'b'") == (5,)


def test_a_shop_without_a_repeat_buyer_still_has_stages_and_scores() -> None:
    lines = [line(str(n), f"2024-0{1 + n % 5}-1{n % 9}", f"c{n:02}", unit_price=5 + n) for n in range(30)]
    marts = whole(build(AS_OF, lines=lines))
    assert marts.rows("select distinct origin, at_risk_days, lost_days from marts.lifecycle_thresholds") == [
        ("starting_days", 180, 365)
    ]
    assert marts.rows("select distinct lifecycle_stage from marts.customer_360") == [("new",)]
    assert marts.rows("select distinct frequency_score from marts.rfm_scores") == [(1,)]
    assert marts.one("select max(repeat_rate), sum(returning_customer_count) from marts.purchases_by_month") == (0, 0)
    assert marts.one("select sum(customer_count) from marts.cohort_retention where months_since > 0") == (0,)


def test_an_empty_month_is_there_and_empty() -> None:
    marts = whole(build(AS_OF, lines=[line("1", "2024-01-15"), line("2", "2024-04-15")]))
    assert marts.rows(
        "select month(month_on), order_count, customer_count, products_per_order, average_order_amount, repeat_rate "
        "from marts.purchases_by_month order by 1"
    ) == [
        (1, 1, 1, 1.0, Decimal(10), 0.0),
        (2, 0, 0, None, None, 0.0),
        (3, 0, 0, None, None, 0.0),
        (4, 1, 1, 1.0, Decimal(10), 1.0),
        (5, 0, 0, None, None, 1.0),
        (6, 0, 0, None, None, 1.0),
    ]
    assert marts.rows("select months_since, customer_count from marts.cohort_retention order by 1") == [
        (0, 1), (1, 0), (2, 0), (3, 1), (4, 0), (5, 0),
    ]  # fmt: skip


def test_a_shop_without_anything_has_empty_marts_of_the_same_columns() -> None:
    marts = whole(build(AS_OF, customers=[{"customer_id": "a"}]))
    assert marts.one("select lifecycle_stage, order_count, amount_net from marts.customer_360") == (
        "prospect", 0, Decimal(0),
    )  # fmt: skip
    assert marts.rows("select month_on, order_count, repeat_rate from marts.purchases_by_month") == [
        (dt.date(2024, 6, 1), 0, None)
    ]
    for table in ("orders", "rfm_scores", "rfm_history", "cohort_retention", "recommendations", "product_affinity"):
        assert marts.rows(f"from marts.{table}") == []


def test_an_order_that_nobody_dates_takes_the_day_of_its_delivery() -> None:
    undated = {**line("1", "2024-01-01"), "ordered_at": None, "business_on": dt.date(2024, 5, 5)}
    marts = whole(build(AS_OF, lines=[undated]))
    assert marts.one("select ordered_on, is_date_inferred, is_purchase from marts.orders") == (
        dt.date(2024, 5, 5), True, True,
    )  # fmt: skip


def test_the_same_order_from_two_systems_counts_once() -> None:
    web = line("WEB-7", "2024-01-01", source="web")
    till = [line("7", "2024-01-03", source="till"), line("8", "2024-01-03", source="till")]
    rules = {"orders": {"same_orders": [{"sources": ["web", "till"], "match": "order_number", "ignore": "^WEB-"}]}}
    marts = whole(build(AS_OF, lines=[web, *till], value=rules))
    assert marts.rows("select order_id from marts.orders order by 1") == [("till:8",), ("web:WEB-7",)]
    assert marts.one("select sum(same_order_line_count), sum(same_order_amount) from marts.order_reconciliation") == (
        1, Decimal(10),
    )  # fmt: skip


def test_an_order_follows_its_customer_through_a_merge_and_a_split() -> None:
    lines = [line("1", "2024-01-01", "old"), line("2", "2024-02-01", "new")]
    apart = whole(build(AS_OF, lines=lines))
    assert apart.rows("select customer_id, order_count from marts.customer_360 order by 1") == [("new", 1), ("old", 1)]
    merged = whole(build(AS_OF, lines=lines, same_customer={"old": "new"}))
    assert merged.rows("select customer_id, order_count, amount_net from marts.customer_360") == [
        ("new", 2, Decimal(20))
    ]
    assert merged.rows("select distinct customer_id from marts.order_lines") == [("new",)]
    assert merged.rows("select distinct customer_id from marts.lifecycle_history") == [("new",)]


def test_the_guides_query_gives_the_transition_matrix_of_any_two_dates() -> None:
    guide = (PROJECT / "docs" / "guide" / "value.md").read_text(encoding="utf-8")
    [sql] = re.findall(r"<!-- transition matrix -->\n```sql\n(.+?)```", guide, flags=re.DOTALL)
    lines = [line("1", "2023-11-01"), line("2", "2025-12-20", "b"), line("3", "2026-02-01", "c")]
    known = [{"customer_id": name, "first_seen_on": "2023-11-01"} for name in ("a", "b")]
    known.append({"customer_id": "c", "first_seen_on": "2026-01-15"})
    marts = build(dt.date(2026, 3, 1), lines=lines, customers=known)
    assert marts.rows(sql) == [("abandoner", "abandoner", 1), ("new", "new", 1), ("unknown", "new", 1)]

"""Marts of random shops against plain Python that shares no code with them."""

from __future__ import annotations

import bisect
import datetime as dt
import math
import random
import re
from collections import defaultdict
from decimal import Decimal
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pipeline.marts_alone import Marts, build
from tests.pipeline.workspaces import PROJECT

pytestmark = pytest.mark.slow

AS_OF = dt.date(2024, 9, 17)
FIRST = dt.date(2023, 2, 3)
RANGES = (
    {f"W{n}": "women" for n in range(4)} | {f"M{n}": "men" for n in range(4)} | {f"K{n}": "children" for n in range(2)}
)
PRODUCTS = [*RANGES, *(f"A{n}" for n in range(6))]
CENT = Decimal("0.0001")

#: A shop whose thresholds are given, so that a walk through the days can follow each customer.
AT_RISK, LOST, STAY, LOYAL, AMBASSADOR, KEEP = 40, 70, 10, 4, 6, 0.75
FIXED = {
    "lifecycle": {
        "late": {"quantile": 0.8, "days": 20}, "at_risk": {"quantile": 0.9, "days": AT_RISK},
        "lost": {"quantile": 0.95, "days": LOST}, "minimum_stay_days": STAY, "loyal_orders": LOYAL,
        "ambassador_orders": AMBASSADOR, "keep_share": KEEP,
    },
    "affinity": {"window_days": 400, "minimum_orders": 2, "largest_basket": 4},
}  # fmt: skip

few = settings(max_examples=6, deadline=None, derandomize=True)
seeds = st.integers(0, 10_000)


def draw_lines(seed: int, customers: int = 25, until: dt.date = AS_OF) -> list[dict[str, Any]]:
    """Order lines of a random shop: sales, returns, free lines, several orders a day, orders of nobody."""
    draw = random.Random(seed)
    rows = []
    for number in range(customers):
        tastes = draw.sample(PRODUCTS, 5)
        on = FIRST + dt.timedelta(days=draw.randrange(200))
        for order in range(draw.choice([0, 1, 1, 2, 4, 9, 20])):
            if on > until:
                break
            who = None if draw.random() < 0.05 else f"c{number:02}"
            is_return = draw.random() < 0.12
            for line in range(draw.randint(1, 5)):
                rows.append(
                    {
                        "order_id": f"{number}-{order}", "line_id": str(line), "ordered_at": f"{on} 1{order % 10}:00:00",
                        "ref_account": who, "channel": draw.choice(["web", "store"]) if line == 0 else None,
                        "product_id": draw.choice(tastes), "quantity": -1 if is_return else draw.choice([1, 1, 2, 3]),
                        "unit_price": str(Decimal(draw.randint(0, 4000)) / 100),
                        "amount_discount": draw.choice([None, None, 0, "0.5"]),
                    }
                )  # fmt: skip
            on += dt.timedelta(days=draw.choice([0, 1, 5, 12, 30, 39, 40, 41, 69, 70, 71, 120]))
    return rows


def day_of(row: dict[str, Any]) -> dt.date:
    return dt.date.fromisoformat(row["ordered_at"][:10])


def amount_of(row: dict[str, Any]) -> Decimal:
    sign = -1 if row["quantity"] < 0 else 1
    return row["quantity"] * Decimal(row["unit_price"]) - sign * Decimal(row["amount_discount"] or 0)


def kind_of(row: dict[str, Any]) -> str:
    """The default rules of value.yml on what `draw_lines` draws."""
    if row["quantity"] < 0:
        return "write_off" if Decimal(row["unit_price"]) == 0 else "return"
    return "return" if amount_of(row) < 0 else "sale"


class Purchases:
    """What each customer bought and returned, order by order, summed in plain Python."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.gross: dict[str, Decimal] = defaultdict(Decimal)
        self.returned: dict[str, Decimal] = defaultdict(Decimal)
        self.on: dict[str, dt.date] = {}
        self.of: dict[str, str | None] = {}
        for row in rows:
            order = row["order_id"]
            self.on[order], self.of[order] = day_of(row), row["ref_account"]
            if kind_of(row) == "sale":
                self.gross[order] += amount_of(row)
            elif kind_of(row) == "return":
                self.returned[order] += abs(amount_of(row))

    def orders(self, customer: str, until: dt.date = AS_OF) -> list[str]:
        return [order for order, who in self.of.items() if who == customer and self.on[order] <= until]

    def bought(self, customer: str, until: dt.date = AS_OF) -> list[str]:
        return [order for order in self.orders(customer, until) if self.gross[order] > 0]

    def customers(self) -> list[str]:
        return sorted({who for who in self.of.values() if who})


@few
@given(seeds)
def test_amounts_are_those_of_the_lines_whoever_sums_them(seed: int) -> None:
    rows = draw_lines(seed)
    marts, plain = build(AS_OF, lines=rows), Purchases(rows)
    found = {
        order: (gross, returned, net)
        for order, gross, returned, net in marts.rows(
            "select source_order_id, amount_gross, amount_returned, amount_net from marts.orders"
        )
    }
    assert found == {
        order: (plain.gross[order], plain.returned[order], plain.gross[order] - plain.returned[order])
        for order in plain.on
    }
    for customer, count, net in marts.rows("select customer_id, order_count, amount_net from marts.customer_360"):
        mine = plain.orders(customer)
        assert count == len(plain.bought(customer))
        assert net == sum((plain.gross[order] - plain.returned[order] for order in mine), Decimal(0))
    for check in ("orders_add_up", "totals_are_conserved", "amounts_are_not_lost_on_the_way",
                  "customer_amounts_are_those_of_orders", "orders_belong_to_a_living_customer"):  # fmt: skip
        assert marts.test_failures(check) == []


def quintile(values: list[float]) -> list[int]:
    edges = np.quantile(values, [0.2, 0.4, 0.6, 0.8])
    return [1 + bisect.bisect_left(list(edges), value) for value in values]


def rfm(plain: Purchases, on: dt.date, window: int | None = None) -> dict[str, tuple[int, int, int]]:
    """Scores on a day: interpolated quintiles as numpy has them, net of returns."""
    since = on - dt.timedelta(days=window) if window else dt.date.min
    measured = {}
    for customer in plain.customers():
        orders = [order for order in plain.orders(customer, on) if plain.on[order] > since]
        bought = [order for order in orders if plain.gross[order] > 0]
        net = sum((plain.gross[order] - plain.returned[order] for order in orders), Decimal(0))
        if bought and net > 0:
            measured[customer] = ((on - max(plain.on[order] for order in bought)).days, len(bought), float(net))
    if not measured:
        return {}
    recency, frequency, monetary = (list(column) for column in zip(*measured.values(), strict=True))
    scores = zip([6 - score for score in quintile(recency)], quintile(frequency), quintile(monetary), strict=True)
    return dict(zip(measured, scores, strict=True))


@few
@given(seeds, st.sampled_from([None, 90, 200]))
def test_rfm_is_that_of_numpy_today_and_at_each_months_end(seed: int, window: int | None) -> None:
    rows = draw_lines(seed)
    value = {"rfm": {"methods": [{"method": "mine", "window_days": window}]}}
    marts, plain = build(AS_OF, lines=rows, value=value), Purchases(rows)
    found = {
        customer: tuple(scores)
        for customer, *scores in marts.rows(
            "select unit_id, recency_score, frequency_score, monetary_score from marts.rfm_scores"
        )
    }
    assert found == rfm(plain, AS_OF, window)
    history = marts.rows("select customer_id, since_on, until_on, rfm_recency_score, rfm_frequency_score, "
                         "rfm_monetary_score, rfm_segment from marts.rfm_history")  # fmt: skip
    first_of_month, days = AS_OF.replace(day=1), [AS_OF]
    for _ in range(12):
        days.append(first_of_month - dt.timedelta(days=1))
        first_of_month = days[-1].replace(day=1)
    grid = {(r, f): s for r, f, s in marts.rows("select recency_score, frequency_score, segment from control.rfm_grid "
                                                "where grid = 'ten_segments'")}  # fmt: skip
    for on in days:
        expected = rfm(plain, on, window)
        shown = {row[0]: row for row in history if row[1] <= on and (row[2] is None or row[2] > on)}
        assert {customer: row[6] for customer, row in shown.items()} == {
            customer: grid[(scores[0], scores[1])] for customer, scores in expected.items()
        }
        assert {c: row[3:6] for c, row in shown.items() if row[1] == on} == {
            c: expected[c] for c, row in shown.items() if row[1] == on
        }


@few
@given(seeds)
def test_households_are_scored_as_one_buyer(seed: int) -> None:
    rows = draw_lines(seed)
    value = {"rfm": {"methods": [{"method": "each"}, {"method": "together", "unit": "household"}]}}
    names = sorted({row["ref_account"] for row in rows if row["ref_account"]})
    home = {name: f"h{number // 2}" if number % 3 else None for number, name in enumerate(names)}
    customers = [{"customer_id": name, "household_id": household} for name, household in home.items()]
    marts = build(AS_OF, lines=rows, value=value, customers=customers)
    joined = [
        {**row, "ref_account": row["ref_account"] and (home[row["ref_account"]] or row["ref_account"])} for row in rows
    ]
    found = {
        unit: tuple(scores)
        for unit, *scores in marts.rows(
            "select unit_id, recency_score, frequency_score, monetary_score from marts.rfm_scores "
            "where method = 'together'"
        )
    }
    assert found == rfm(Purchases(joined), AS_OF)


def walk(bought: dict[dt.date, int], first_seen: dt.date, until: dt.date) -> list[tuple[dt.date, str]]:
    """A customer's stages, day after day, as the guide defines them; `bought` is orders by day."""
    stages: list[tuple[dt.date, str]] = []
    last = opened = None
    spells = 0
    gained: dict[str, dt.date | None] = {}
    lost: dict[str, dt.date | None] = {}

    def enter(on: dt.date, stage: str) -> None:
        if not stages or stages[-1][1] != stage:
            stages.append((on, stage))

    on = min([first_seen, *bought])
    while on <= until:
        if on in bought:
            if last is None or (on - last).days > LOST:
                spells, opened, gained, lost = spells + 1, on, {}, {}
            last = on
            count = sum(n for day, n in bought.items() if 0 <= (on - day).days < 365)
            for tier, entry in (("loyal", LOYAL), ("ambassador", AMBASSADOR)):
                if count >= entry:
                    gained[tier] = on
                since = gained.get(tier)
                if since and count < math.ceil(entry * KEEP) and (on - since).days >= STAY:
                    lost[tier] = on
            if (on - opened).days < STAY:
                enter(on, "new" if spells == 1 else "reactivated")
            else:
                held = [
                    tier
                    for tier in ("ambassador", "loyal")
                    if gained.get(tier) and not (lost.get(tier) and lost[tier] >= gained[tier])
                ]
                enter(on, held[0] if held else "regular")
        elif last is None:
            if on >= first_seen:
                enter(on, "prospect")
        elif (on - last).days == AT_RISK:
            enter(on, "at_risk")
        elif (on - last).days == LOST:
            enter(on, "abandoner")
        on += dt.timedelta(days=1)
    return stages


def histories(marts: Marts) -> dict[str, list[tuple[dt.date, str]]]:
    found: dict[str, list[tuple[dt.date, str]]] = defaultdict(list)
    for customer, since, stage in marts.rows(
        "select customer_id, since_on, stage from marts.lifecycle_history order by customer_id, since_on"
    ):
        found[customer].append((since, stage))
    return dict(found)


@few
@given(seeds)
def test_a_walk_through_the_days_gives_the_stages_and_their_transitions(seed: int) -> None:
    rows = draw_lines(seed)
    plain = Purchases(rows)
    seen = {name: FIRST + dt.timedelta(days=number * 9) for number, name in enumerate(plain.customers())}
    customers = [{"customer_id": name, "first_seen_on": on} for name, on in seen.items()]
    marts = build(AS_OF, lines=rows, value=FIXED, customers=customers)
    expected = {}
    for name, on in seen.items():
        by_day: dict[dt.date, int] = defaultdict(int)
        for order in plain.bought(name):
            by_day[plain.on[order]] += 1
        expected[name] = walk(dict(by_day), on, AS_OF)
    assert histories(marts) == expected

    def stage(name: str, on: dt.date) -> str | None:
        return next((stage for since, stage in reversed(expected[name]) if since <= on), None)

    for period, days in (("last_30_days", 30), ("last_365_days", 365)):
        matrix: dict[tuple[str, str], int] = defaultdict(int)
        for name in seen:
            matrix[(stage(name, AS_OF - dt.timedelta(days=days)) or "unknown", stage(name, AS_OF) or "")] += 1
        found = marts.rows(
            f"select from_stage, to_stage, customer_count from marts.lifecycle_transitions where period = '{period}'"
        )
        assert {(one, other): count for one, other, count in found} == dict(matrix)
    for name, current, days, reason in marts.rows(
        "select customer_id, lifecycle_stage, days_in_stage, lifecycle_reason from marts.customer_lifecycle"
    ):
        assert (expected[name][-1][1], (AS_OF - expected[name][-1][0]).days) == (current, days)
        assert reason


@few
@given(seeds, st.sampled_from(["shop", "channel"]), st.integers(20, 400))
def test_a_past_day_is_the_same_seen_from_that_day_and_from_today(seed: int, rhythm: str, ago: int) -> None:
    """With thresholds from the shop's own intervals: nothing that came later may touch the past."""
    rows = draw_lines(seed)
    then = AS_OF - dt.timedelta(days=ago)
    value = {"lifecycle": {"rhythm_by": rhythm, "minimum_intervals": 10, "minimum_history_days": 60}}
    names = sorted({row["ref_account"] for row in rows if row["ref_account"]})
    customers = [{"customer_id": name, "first_seen_on": FIRST} for name in names]
    now = build(AS_OF, lines=rows, value=value, customers=customers)
    past = build(then, lines=[row for row in rows if day_of(row) <= then], value=value, customers=customers)
    until_then = {name: [entry for entry in stages if entry[0] <= then] for name, stages in histories(now).items()}
    assert histories(past) == {name: stages for name, stages in until_then.items() if stages}


@few
@given(seeds)
def test_thresholds_are_quantiles_of_the_intervals_closed_before_the_month(seed: int) -> None:
    rows = draw_lines(seed, customers=40)
    plain = Purchases(rows)
    value = {"lifecycle": {"minimum_intervals": 10, "minimum_history_days": 90}}
    marts = build(AS_OF, lines=rows, value=value, only=["lifecycle_thresholds"])
    closed = []
    for name in plain.customers():
        days = sorted({plain.on[order] for order in plain.bought(name)})
        closed += [(later, (later - earlier).days) for earlier, later in pairwise(days)]
    first = min(plain.on[order] for name in plain.customers() for order in plain.bought(name))
    for month, origin, late, at_risk, lost in marts.rows(
        "select month_on, origin, late_days, at_risk_days, lost_days from marts.lifecycle_thresholds"
    ):
        known = sorted(days for on, days in closed if on < month)
        if (month - first).days < 90 or len(known) < 10:
            assert (origin, late, at_risk, lost) == ("starting_days", 90, 180, 365)
            continue
        q80, q90, q95 = (known[math.ceil(share * len(known) - 1e-9) - 1] for share in (0.80, 0.90, 0.95))
        assert origin == "group"
        assert late == max(q80, 1)
        assert at_risk == max(q90, late, 14)
        assert lost == max(q95, at_risk + 14)


@few
@given(seeds)
def test_affinity_and_recommendations_follow_from_the_baskets(seed: int) -> None:
    rows = draw_lines(seed)
    catalogue = [
        {
            "product_id": product,
            "audience": RANGES.get(product),
            "category": product[0],
            "is_deleted": product in ("A0", "W0"),
        }
        for product in PRODUCTS
    ]
    marts, plain = build(AS_OF, lines=rows, products=catalogue, value=FIXED), Purchases(rows)
    baskets: dict[str, set[str]] = defaultdict(set)
    owned: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if kind_of(row) == "sale":
            if row["ref_account"]:
                owned[row["ref_account"]].add(row["product_id"])
            if plain.gross[row["order_id"]] > 0 and (AS_OF - day_of(row)).days < 400:
                baskets[row["order_id"]].add(row["product_id"])
    # an order's products are those of all its lines: a basket of one product says nothing
    whole: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        whole[row["order_id"]].add(row["product_id"])
    kept = [basket for order, basket in baskets.items() if 2 <= len(whole[order]) <= 4]
    singles: dict[str, int] = defaultdict(int)
    pairs: dict[tuple[str, str], int] = defaultdict(int)
    for basket in kept:
        for product in basket:
            singles[product] += 1
        for one, other in combinations(sorted(basket), 2):
            pairs[(one, other)] += 1
            pairs[(other, one)] += 1
    found = {
        (one, other): (count, round(support, 12), round(lift, 9))
        for one, other, count, support, lift in marts.rows(
            "select product_id, with_product_id, order_count, support, lift from marts.product_affinity"
        )
    }
    assert found == {
        (one, other): (count, round(count / len(kept), 12), round(count * len(kept) / singles[one] / singles[other], 9))
        for (one, other), count in pairs.items()
        if count >= 2 and singles[one] >= 2 and singles[other] >= 2
    }
    advised: dict[str, list[str]] = defaultdict(list)
    for customer, product in marts.rows(
        "select customer_id, product_id from marts.recommendations order by 1, position"
    ):
        advised[customer].append(product)
    for customer, products in advised.items():
        ranges = {RANGES[product] for product in owned[customer] if product in RANGES}
        assert len(products) == len(set(products)) <= 5
        assert not set(products) & (owned[customer] | {"A0", "W0"})
        assert {RANGES[product] for product in products if product in RANGES} <= ranges
    sold = {product for products in owned.values() for product in products}
    for customer, products in owned.items():
        ranges = {RANGES[product] for product in products if product in RANGES}
        left = [p for p in sold - products - {"A0", "W0"} if p not in RANGES or RANGES[p] in ranges]
        recent = {row["product_id"] for row in rows if kind_of(row) == "sale" and (AS_OF - day_of(row)).days < 400}
        assert len(advised[customer]) >= min(5, len(set(left) & recent)), customer


SCORES = range(1, 6)


def edges_drawn(draw: random.Random, low: int, high: int) -> list[int]:
    return sorted(draw.sample(range(low, high), 4))


@few
@given(seeds, st.sampled_from([None, 120]), st.sampled_from(["customer", "household"]))
def test_fixed_thresholds_and_a_declared_grid_are_followed_to_the_letter(
    seed: int, window: int | None, unit: str
) -> None:
    draw = random.Random(seed)
    rows = draw_lines(seed)
    # Edges that amounts and counts really meet: an equal value is not above its edge.
    edges = {
        "recency_days": edges_drawn(draw, 0, 300), "frequency": edges_drawn(draw, 1, 9),
        "monetary": edges_drawn(draw, 0, 400),
    }  # fmt: skip
    owner = {(r, f): draw.choice(["gold", "silver", "lead"]) for r in SCORES for f in SCORES}
    cells = [
        {"segment": name, "label": {"en": name, "fr": name}, "recency": [r], "frequency": [f]}
        for (r, f), name in owner.items()
    ]
    fixed = {"method": "fixed", "unit": unit, "window_days": window, "scores": "thresholds", "thresholds": edges,
             "returns": "drop", "grid": "metals"}  # fmt: skip
    value = {"rfm": {"methods": [{"method": "first"}, fixed], "grids": [{"grid": "metals", "cells": cells}]}}
    names = sorted({row["ref_account"] for row in rows if row["ref_account"]})
    home = {name: f"h{number // 2}" if number % 3 else None for number, name in enumerate(names)}
    customers = [{"customer_id": name, "household_id": household} for name, household in home.items()]
    marts = build(AS_OF, lines=rows, value=value, customers=customers, only=["rfm_scores"])
    plain = Purchases(rows)

    def score(number: float, steps: list[int]) -> int:
        return 1 + sum(number > step for step in steps)

    since = AS_OF - dt.timedelta(days=window) if window else dt.date.min
    bought: dict[str, list[str]] = defaultdict(list)
    for name in names:
        unit_id = (home[name] if unit == "household" else None) or name
        bought[unit_id] += [order for order in plain.bought(name) if plain.on[order] > since]
    expected = {}
    for unit_id, orders in bought.items():
        gross = sum((plain.gross[order] for order in orders), Decimal(0))
        if orders and gross > 0:
            recency = 6 - score((AS_OF - max(plain.on[order] for order in orders)).days, edges["recency_days"])
            frequency = score(len(orders), edges["frequency"])
            monetary = score(float(gross), edges["monetary"])
            expected[unit_id] = (recency, frequency, monetary, owner[(recency, frequency)])
    found = marts.rows(
        "select unit_id, recency_score, frequency_score, monetary_score, segment from marts.rfm_scores "
        "where method = 'fixed'"
    )
    assert {unit_id: tuple(told) for unit_id, *told in found} == expected


#: How the shop below declares its rhythm: short starting days, so that a year of orders passes through all stages.
GROUPED = {
    "minimum_intervals": 12, "minimum_history_days": 100, "starting_days": [25, 45, 80], "minimum_stay_days": 9,
    "keep_share": 0.6, "late": {"quantile": 0.6}, "at_risk": {"quantile": 0.75}, "lost": {"quantile": 0.85},
}  # fmt: skip
STARTING = {"late": 25, "at_risk": 45, "lost": 80}
QUANTILES = {"median": 0.5, "late": 0.6, "at_risk": 0.75, "lost": 0.85}


class Rhythm:
    """Thresholds of each group and month, and a customer's stages, worked out a day at a time."""

    def __init__(self, days: dict[str, dict[dt.date, tuple[str, int]]], given: dict[str, dict[str, int]]) -> None:
        self.days = days  # customer -> day -> (group, orders)
        self.given = given
        self.first = min(on for by_day in days.values() for on in by_day)
        self.closed = [
            (later, by_day[later][0], (later - earlier).days)
            for by_day in days.values()
            for earlier, later in pairwise(sorted(by_day))
        ]

    def thresholds(self, group: str, month: dt.date) -> dict[str, int]:
        shop = sorted(days for on, _, days in self.closed if on < month)
        own = sorted(days for on, of, days in self.closed if on < month and of == group)
        known = own if len(own) >= 12 else shop if len(shop) >= 12 else None
        if known is None or (month - self.first).days < 100:
            days: dict[str, float] = {**STARTING, "median": STARTING["late"] / 2}
        else:
            days = {name: known[math.ceil(share * len(known) - 1e-9) - 1] for name, share in QUANTILES.items()}
        days |= self.given.get(group, {})
        late, median = max(days["late"], 1), max(days["median"], 1)
        at_risk = max(days["at_risk"], late, 9)
        loyal = max(3, math.ceil(365 / late))
        return {
            "at_risk": int(at_risk), "lost": int(max(days["lost"], at_risk + 9)), "loyal": loyal,
            "ambassador": max(4, math.ceil(365 / median), loyal + 1),
        }  # fmt: skip

    def stages(self, customer: str, first_seen: dt.date, until: dt.date) -> list[tuple[dt.date, str]]:
        bought = self.days.get(customer, {})
        told: list[tuple[dt.date, str]] = []
        last = opened = risky_on = lost_on = None
        group, spells = "", 0
        gained: dict[str, dt.date] = {}
        dropped: dict[str, dt.date] = {}
        on = min([first_seen, *bought])
        while on <= until:
            stage = None
            if on in bought:
                if last is None or (lost_on is not None and lost_on < on):
                    spells, opened, gained, dropped = spells + 1, on, {}, {}
                group, last, risky_on, lost_on = bought[on][0], on, None, None
                bars = self.thresholds(group, on.replace(day=1))
                count = sum(many for day, (_, many) in bought.items() if 0 <= (on - day).days < 365)
                for tier in ("loyal", "ambassador"):
                    if count >= bars[tier]:
                        gained[tier] = on
                    kept = math.ceil(bars[tier] * 0.6 - 1e-9)
                    if tier in gained and count < kept and (on - gained[tier]).days >= 9:
                        dropped[tier] = on
                holds = [t for t in ("ambassador", "loyal") if t in gained and dropped.get(t, dt.date.min) < gained[t]]
                young = "new" if spells == 1 else "reactivated"
                stage = young if (on - opened).days < 9 else holds[0] if holds else "regular"
            elif last is None:
                stage = "prospect" if on >= first_seen else None
            else:
                bars = self.thresholds(group, on.replace(day=1))
                if risky_on is None and (on - last).days >= bars["at_risk"]:
                    risky_on, stage = on, "at_risk"
                is_ripe = risky_on is not None and lost_on is None and (on - risky_on).days >= 9
                if is_ripe and self.lost_by(on, last, group):
                    lost_on, stage = on, "abandoner"
            if stage and (not told or told[-1][1] != stage):
                told.append((on, stage))
            on += dt.timedelta(days=1)
        return told

    def lost_by(self, on: dt.date, last: dt.date, group: str) -> bool:
        """Whether the silence reached what was lost on that day, or on a day before: a bar that rises brings nobody
        back."""
        days = (last + dt.timedelta(days=n) for n in range(1, (on - last).days + 1))
        return any((day - last).days >= self.thresholds(group, day.replace(day=1))["lost"] for day in days)


@settings(max_examples=3, deadline=None, derandomize=True)
@given(seeds, st.sampled_from(["channel", "category"]))
def test_each_channel_or_category_has_its_own_rhythm_unless_days_are_given(seed: int, rhythm: str) -> None:
    rows = draw_lines(seed, customers=18)
    catalogue = [{"product_id": product, "category": product[0]} for product in PRODUCTS]
    given = {"web": {"late": 12, "at_risk": 33, "lost": 58}} if rhythm == "channel" else {"A": {"at_risk": 30}}
    plain = Purchases(rows)
    sums: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    channel: dict[str, str] = {}
    for row in rows:
        if row["channel"]:
            channel[row["order_id"]] = row["channel"]
        if kind_of(row) == "sale":
            sums[row["order_id"]][row["product_id"][0]] += amount_of(row)

    def group_of(order: str) -> str:
        return channel[order] if rhythm == "channel" else min(sums[order], key=lambda name: (-sums[order][name], name))

    days: dict[str, dict[dt.date, tuple[str, int]]] = defaultdict(dict)
    for name in plain.customers():
        for order in plain.bought(name):
            group, count = days[name].get(plain.on[order], (group_of(order), 0))
            days[name][plain.on[order]] = (min(group, group_of(order)), count + 1)
    seen = {name: FIRST + dt.timedelta(days=number * 9) for number, name in enumerate(plain.customers())}
    marts = build(
        AS_OF, lines=rows, products=catalogue,
        value={"lifecycle": {**GROUPED, "rhythm_by": rhythm, "overrides": given}},
        customers=[{"customer_id": name, "first_seen_on": on} for name, on in seen.items()],
        only=["lifecycle_history", "lifecycle_thresholds"],
    )  # fmt: skip
    plain_rhythm = Rhythm(dict(days), given)
    for month, group, at_risk, lost, loyal, ambassador in marts.rows(
        "select month_on, rhythm_group, at_risk_days, lost_days, loyal_orders, ambassador_orders "
        "from marts.lifecycle_thresholds"
    ):
        told = {"at_risk": at_risk, "lost": lost, "loyal": loyal, "ambassador": ambassador}
        assert told == plain_rhythm.thresholds(group, month), (group, month)
    expected = {name: plain_rhythm.stages(name, on, AS_OF) for name, on in seen.items()}
    assert histories(marts) == expected

    def stage(name: str, on: dt.date) -> str | None:
        return next((stage for since, stage in reversed(expected[name]) if since <= on), None)

    guide = (PROJECT / "docs" / "guide" / "value.md").read_text(encoding="utf-8")
    [sql] = re.findall(r"<!-- transition matrix -->\n```sql\n(.+?)```", guide, flags=re.DOTALL)
    draw = random.Random(seed)
    one, other = sorted(FIRST + dt.timedelta(days=draw.randrange((AS_OF - FIRST).days)) for _ in range(2))
    matrix: dict[tuple[str, str], int] = defaultdict(int)
    for name in seen:
        if there := stage(name, other):
            matrix[(stage(name, one) or "unknown", there)] += 1
    asked = sql.replace("2026-01-01", str(one)).replace("2026-02-15", str(other))
    assert {(before, after): count for before, after, count in marts.rows(asked)} == dict(matrix)

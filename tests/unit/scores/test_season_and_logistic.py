"""The seasonal index and the logistic model, on shops whose truth is known."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import numpy as np
import pytest

from orchestration.contracts.scoring import Logistic, Season
from orchestration.scores import bg_nbd, logistic, purchases, season
from orchestration.scores.purchases import DailyCounts, Summary
from orchestration.scores.season import NO_SEASON, SeasonalIndex
from orchestration.warehouse import Connection

MAKE = Callable[..., Connection]


def test_a_year_of_ordinary_days_is_a_year() -> None:
    assert NO_SEASON.ordinary_days(dt.date(2025, 6, 30), 365) == 365
    assert NO_SEASON.factor(dt.date(2025, 6, 30), 30) == 1


def test_days_count_by_the_month_they_fall_in() -> None:
    index = SeasonalIndex((1.0,) * 10 + (2.0, 3.0))
    assert index.ordinary_days(dt.date(2025, 11, 28), 4) == 2 + 2 + 3 + 3


def test_the_busy_month_of_a_growing_shop_is_found(open_warehouse: MAKE, shop_of: Callable[..., list]) -> None:
    orders = shop_of(2500, dt.date(2024, 1, 1), 731, seed=21, busy_month=12)
    connection = open_warehouse(orders)
    purchases.load(connection, dt.date(2025, 12, 31))
    counts = purchases.daily_counts(connection, purchases.ALL_DAYS)
    model = bg_nbd.fit(purchases.grouped(connection, purchases.ALL_DAYS, dt.date(2025, 12, 31)))
    assert counts is not None and model is not None
    index = season.fit(counts, model, Season())
    assert np.mean(index.months) == pytest.approx(1)
    december, others = index.months[11], index.months[1:10]
    assert december / np.mean(others) > 2
    assert max(others) / min(others) < 1.6


def test_no_index_is_made_of_less_than_a_year() -> None:
    model = bg_nbd.BgNbd(0.5, 5.0, 0.8, 2.0, 0)
    counts = DailyCounts(dt.date(2025, 1, 1), np.ones(364, dtype=np.int64), np.ones(364, dtype=np.int64))
    assert season.fit(counts, model, Season()) == NO_SEASON
    longer = DailyCounts(dt.date(2025, 1, 1), np.ones(365, dtype=np.int64), np.ones(365, dtype=np.int64))
    assert season.fit(longer, model, Season()) != NO_SEASON
    assert season.fit(longer, model, Season(is_applied=False)) == NO_SEASON


def test_daily_counts_end_at_the_cut_off() -> None:
    counts = DailyCounts(dt.date(2025, 1, 1), np.array([5, 0, 2]), np.array([0, 1, 1]))
    assert counts.until(dt.date(2025, 1, 2)).newcomers.tolist() == [5, 0]
    assert counts.until(dt.date(2025, 1, 5)).repeats.tolist() == [0, 1, 1, 0, 0]
    assert counts.until(dt.date(2024, 12, 31)).newcomers.tolist() == []


def drawn_summary(customers: int, seed: int) -> Summary:
    """Customers whose chance to buy is logistic in the logarithm of days since their last order."""
    draw = np.random.default_rng(seed)
    age = draw.integers(30, 400, customers).astype(np.float64)
    repeats = draw.integers(0, 5, customers)
    recency = np.where(repeats > 0, np.floor(age * draw.uniform(size=customers)), 0.0)
    chance = 1 / (1 + np.exp(-(4 - 1.2 * np.log1p(age - recency))))
    bought = (draw.uniform(size=customers) < chance).astype(np.int64)
    blank = np.zeros(customers)
    return Summary(
        dt.date(2025, 6, 30), np.arange(customers), repeats, recency, age, blank, blank + 20.0,
        repeats, repeats, {30: bought, 90: bought, 365: bought},
    )  # fmt: skip


def test_logistic_finds_the_chances_that_purchases_were_drawn_from() -> None:
    learnt_from, applied_to = drawn_summary(20_000, seed=1), drawn_summary(5_000, seed=2)
    model = logistic.fit(learnt_from, 90, 1.0, Logistic())
    found = logistic.purchase_probability(model, applied_to, 1.0)
    truth = 1 / (1 + np.exp(-(4 - 1.2 * np.log1p(applied_to.age - applied_to.recency))))
    assert np.abs(found - truth).mean() < 0.02


def test_a_busier_window_raises_every_chance() -> None:
    summary = drawn_summary(2_000, seed=1)
    model = logistic.fit(summary, 90, 1.0, Logistic())
    plain, busy = (logistic.purchase_probability(model, summary, factor) for factor in (1.0, 1.5))
    odds = (busy / (1 - busy)) / (plain / (1 - plain))
    assert odds == pytest.approx(np.full(len(summary), 1.5))


def test_logistic_says_why_it_learns_nothing() -> None:
    summary = drawn_summary(150, seed=1)
    assert "not asked for" in str(logistic.thin_reason(summary, 90, Logistic(is_fitted=False)))
    assert "of history" in str(logistic.thin_reason(summary, 90, Logistic(history_days=500)))
    assert "of one outcome" in str(logistic.thin_reason(summary, 90, Logistic(minimum_outcomes=90)))
    assert logistic.thin_reason(summary, 90, Logistic(minimum_outcomes=10)) is None

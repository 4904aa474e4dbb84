"""Back-tests: what the models would have said at past cut-offs, against what then happened.

At each cut-off every model is fitted on what was known then, the season included, and compared on the
horizons that have wholly passed since. The better model at one declared horizon is kept.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestration.contracts.scoring import Scoring
from orchestration.scores import bg_nbd, logistic, season
from orchestration.scores.purchases import (
    HORIZONS,
    UNIT_DAYS,
    DailyCounts,
    Summary,
    gate_reason,
    grouped,
)
from orchestration.warehouse import Connection

Floats = NDArray[np.float64]

BG_NBD = "bg_nbd"
LOGISTIC = "logistic"


@dataclass(frozen=True)
class BackTest:
    """One model at one cut-off and horizon. Orders are purchase days."""

    model: str
    cut_off_on: dt.date
    horizon_days: int
    customers: int
    auc: float | None
    brier: float
    predicted_buyers: float
    actual_buyers: int
    predicted_orders: float
    actual_orders: int
    season_factor: float


@dataclass(frozen=True)
class CalibrationBand:
    """Customers of near equal probability: the share that was predicted to buy and the share that did."""

    model: str
    cut_off_on: dt.date
    horizon_days: int
    band: int
    customers: int
    predicted: float
    actual: float


@dataclass(frozen=True)
class Outcome:
    """Everything the back-tests found; `skipped` tells why a cut-off could not be used."""

    back_tests: tuple[BackTest, ...]
    calibration: tuple[CalibrationBand, ...]
    skipped: dict[str, str]

    def brier(self, model: str, horizon: int, cut_offs: set[dt.date]) -> float:
        """Mean Brier score of a model over cut-offs."""
        found = [
            test.brier
            for test in self.back_tests
            if (test.model, test.horizon_days) == (model, horizon) and test.cut_off_on in cut_offs
        ]
        return sum(found) / len(found)

    def better(self, horizon: int, by: float) -> str:
        """LOGISTIC where its Brier score beats BG/NBD's by more than `by` on the cut-offs of both."""
        tried = {
            model: {test.cut_off_on for test in self.back_tests if (test.model, test.horizon_days) == (model, horizon)}
            for model in (BG_NBD, LOGISTIC)
        }
        both = tried[BG_NBD] & tried[LOGISTIC]
        if not both:
            return BG_NBD
        gain = self.brier(BG_NBD, horizon, both) - self.brier(LOGISTIC, horizon, both)
        return LOGISTIC if gain > by else BG_NBD


def midranks(values: Floats) -> Floats:
    """Ranks from 1; equal values share the mean of their ranks."""
    _, at, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2.0)[at]


def area_under_curve(predicted: Floats, happened: NDArray[np.bool_]) -> float | None:
    """P(a buyer is ranked above a non-buyer), ties for half; None where all did the same."""
    buyers = int(happened.sum())
    others = len(happened) - buyers
    if buyers == 0 or others == 0:
        return None
    return float((midranks(predicted)[happened].sum() - buyers * (buyers + 1) / 2) / (buyers * others))


def brier_score(predicted: Floats, happened: NDArray[np.bool_]) -> float:
    """Mean squared distance between the probability and what happened (0 or 1)."""
    return float(np.mean((predicted - happened) ** 2))


def calibration_bands(
    predicted: Floats, happened: NDArray[np.bool_], bands: int
) -> list[tuple[int, int, float, float]]:
    """(band from 1, customers, mean predicted, share that did), bands equal in customers.

    Equal predictions stay in one band, so a band may be empty (and is left out) and no order matters.
    """
    _, at, counts = np.unique(predicted, return_inverse=True, return_counts=True)
    last_rank = np.cumsum(counts)[at]
    band = np.ceil(last_rank * bands / len(predicted)).astype(np.int64)
    return [
        (int(one), int((band == one).sum()), float(predicted[band == one].mean()), float(happened[band == one].mean()))
        for one in np.unique(band)
    ]


def run(
    connection: Connection,
    table: str,
    counts: DailyCounts,
    summary_at: Callable[[dt.date], Summary],
    settings: Scoring,
    as_of_on: dt.date,
) -> Outcome:
    """Back-test on every declared cut-off that the data allow."""
    back_tests: list[BackTest] = []
    calibration: list[CalibrationBand] = []
    skipped: dict[str, str] = {}
    for days_back in settings.back_test.cut_offs_days_back:
        cut_off_on = as_of_on - dt.timedelta(days=days_back)
        summary = summary_at(cut_off_on)
        reason = gate_reason(summary, settings.gate)
        model = None if reason else bg_nbd.fit(grouped(connection, table, cut_off_on))
        if model is None:
            skipped[cut_off_on.isoformat()] = reason or "BG/NBD could not be fitted"
            continue
        index = season.fit(counts.until(cut_off_on), model, settings.season)
        for horizon in (days for days in HORIZONS if days <= days_back):
            factor = index.factor(cut_off_on, horizon)
            span = index.ordinary_days(cut_off_on, horizon) / UNIT_DAYS
            recency, age = summary.recency / UNIT_DAYS, summary.age / UNIT_DAYS
            predicted = {BG_NBD: bg_nbd.purchase_probability(model, summary.repeats, recency, age, span)}
            if_any = bg_nbd.orders_if_any(model, summary.repeats, recency, age, span)
            learnt_on = cut_off_on - dt.timedelta(days=horizon)
            past = summary_at(learnt_on)
            if logistic.thin_reason(past, horizon, settings.logistic) is None:
                learnt = logistic.fit(past, horizon, index.factor(learnt_on, horizon), settings.logistic)
                predicted[LOGISTIC] = logistic.purchase_probability(learnt, summary, factor)
            happened = summary.bought[horizon] > 0
            for name, probability in predicted.items():
                back_tests.append(
                    BackTest(
                        model=name,
                        cut_off_on=cut_off_on,
                        horizon_days=horizon,
                        customers=len(summary),
                        auc=area_under_curve(probability, happened),
                        brier=brier_score(probability, happened),
                        predicted_buyers=float(probability.sum()),
                        actual_buyers=int(happened.sum()),
                        predicted_orders=float((probability * if_any).sum()),
                        actual_orders=int(summary.bought[horizon].sum()),
                        season_factor=factor,
                    )
                )
                calibration += [
                    CalibrationBand(name, cut_off_on, horizon, band, customers, mean, share)
                    for band, customers, mean, share in calibration_bands(
                        probability, happened, settings.back_test.bands
                    )
                ]
    return Outcome(tuple(back_tests), tuple(calibration), skipped)

"""The seasonal index: how much busier than usual each calendar month is for customers already won.

BG/NBD knows no season. Its expected repeat orders per day, given when customers were won, already hold
growth and ageing; what was seen over what was expected, by calendar month, is the season. An index
stretches the horizon (30 days of December may count as 45 ordinary ones), so that probabilities
stay between 0 and 1 and never fall as the horizon grows.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np

from orchestration.contracts.scoring import Season as SeasonSettings
from orchestration.scores.bg_nbd import BgNbd, expected_orders_of_newcomer
from orchestration.scores.purchases import UNIT_DAYS, DailyCounts


@dataclass(frozen=True)
class SeasonalIndex:
    """Index of January to December; 1 is an ordinary month. Over a year it averages 1."""

    months: tuple[float, ...]

    def ordinary_days(self, after: dt.date, days: int) -> float:
        """How many ordinary days the `days` days after `after` amount to."""
        return sum(self.months[(after + dt.timedelta(days=day)).month - 1] for day in range(1, days + 1))

    def factor(self, after: dt.date, days: int) -> float:
        """Mean index over the `days` days after `after`."""
        return self.ordinary_days(after, days) / days


NO_SEASON = SeasonalIndex((1.0,) * 12)


def fit(counts: DailyCounts, model: BgNbd, settings: SeasonSettings) -> SeasonalIndex:
    """The index from daily counts up to the cut-off; NO_SEASON when not asked for or history is short."""
    length = len(counts.newcomers)
    if not settings.is_applied or length < settings.history_days:
        return NO_SEASON
    until = expected_orders_of_newcomer(model, np.arange(length) / UNIT_DAYS)
    expected = np.convolve(counts.newcomers.astype(np.float64), np.r_[0.0, np.diff(until)])[:length]
    month_of_day = np.array([(counts.first_on + dt.timedelta(days=day)).month for day in range(length)])
    seen_by_month = np.bincount(month_of_day, weights=counts.repeats, minlength=13)[1:]
    expected_by_month = np.bincount(month_of_day, weights=expected, minlength=13)[1:]
    if seen_by_month.sum() == 0:
        return NO_SEASON
    level = seen_by_month.sum() / expected_by_month.sum()
    prior = max(float(settings.prior_orders), 1e-9)
    index = (seen_by_month + prior) / (level * expected_by_month + prior)
    return SeasonalIndex(tuple(float(value) for value in index / index.mean()))

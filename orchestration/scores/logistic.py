"""Logistic regression on the logarithms of a customer's history: P(at least one purchase in a window).

It learns from a past window (what was known before it, who bought in it) and is applied to today.
Fitted with scikit-learn, imported only then; applied with the stored numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestration.contracts.scoring import Logistic as LogisticSettings
from orchestration.scores.purchases import Summary

Floats = NDArray[np.float64]

FEATURES = (
    "log_days_since_last",
    "log_repeats",
    "log_age",
    "log_own_interval",
    "is_one_time",
    "log_days_in_90",
    "log_days_in_365",
    "log_spend",
)


@dataclass(frozen=True)
class LogisticModel:
    """One horizon's model. `season_factor` is the mean seasonal index of the window it learnt from."""

    horizon_days: int
    intercept: float
    coefficients: tuple[float, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    season_factor: float


def features(summary: Summary) -> Floats:
    """(customers, FEATURES) matrix."""
    repeats = summary.repeats.astype(np.float64)
    interval = np.where(repeats > 0, summary.recency / np.maximum(repeats, 1.0), 0.0)
    return np.column_stack(
        [
            np.log1p(summary.age - summary.recency),
            np.log1p(repeats),
            np.log1p(summary.age),
            np.log1p(interval),
            repeats == 0,
            np.log1p(summary.days_in_90),
            np.log1p(summary.days_in_365),
            np.log1p(np.maximum(summary.spend_gross, 0.0)),
        ]
    )


def thin_reason(summary: Summary, horizon: int, settings: LogisticSettings) -> str | None:
    """Why nothing can be learnt from the window after this summary; None when it can."""
    if not settings.is_fitted:
        return "not asked for"
    history = int(summary.age.max()) if len(summary) else 0
    if history < settings.history_days:
        return f"only {history} days of history before the window, {settings.history_days} are needed"
    bought = int((summary.bought[horizon] > 0).sum())
    fewest = min(bought, len(summary) - bought)
    if fewest < settings.minimum_outcomes:
        return f"only {fewest} customers of one outcome in the window, {settings.minimum_outcomes} are needed"
    return None


def fit(summary: Summary, horizon: int, season_factor: float, settings: LogisticSettings) -> LogisticModel:
    """Learn from the window of `horizon` days after the summary's cut-off, which must be wholly past."""
    from sklearn.linear_model import LogisticRegression

    raw = features(summary)
    means, scales = raw.mean(axis=0), raw.std(axis=0)
    scales = np.where(scales > 1e-12, scales, 1.0)
    model = LogisticRegression(C=settings.inverse_penalty, solver="newton-cholesky", max_iter=100, tol=1e-8)
    model.fit((raw - means) / scales, summary.bought[horizon] > 0)
    return LogisticModel(
        horizon_days=horizon,
        intercept=float(model.intercept_[0]),
        coefficients=tuple(float(value) for value in model.coef_[0]),
        means=tuple(float(value) for value in means),
        scales=tuple(float(value) for value in scales),
        season_factor=season_factor,
    )


def purchase_probability(model: LogisticModel, summary: Summary, season_factor: float) -> Floats:
    """P(at least one purchase in the window after the summary), whose mean seasonal index is given.

    The season of the window learnt from is taken out of the odds, the coming one is put in.
    """
    scaled = (features(summary) - np.array(model.means)) / np.array(model.scales)
    # Not `@`: a matrix product may add in an order that depends on the number of threads.
    logit = model.intercept + (scaled * np.array(model.coefficients)).sum(axis=1)
    logit = logit + np.log(season_factor / model.season_factor)
    chance: Floats = np.exp(-np.logaddexp(0.0, -logit))
    return chance

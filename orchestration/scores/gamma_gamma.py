"""Gamma-Gamma: what a customer spends per order, fitted by maximum likelihood.

Formulas: P. Fader and B. Hardie, "The Gamma-Gamma model of monetary value", note 025 (2013). An order
of a customer is gamma(p, nu), and nu varies between customers as gamma(q, v). Fitted on customers who
came back, on the mean of their repeat orders, as published: `orders` counts repeat purchases.

Pure functions over arrays: no database, no currency.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, psi

from orchestration.scores.likelihood import search

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_LOWEST, _HIGHEST = 1e-3, 1e6


@dataclass(frozen=True)
class GammaGamma:
    """Fitted parameters; `v` is in the unit of money of the amounts."""

    p: float
    q: float
    v: float
    log_likelihood: float

    @property
    def has_mean(self) -> bool:
        """The spend of a customer without repeat orders has an expectation (q > 1) that data pin down."""
        return self.q > 1.0001 and all(2 * _LOWEST < value < _HIGHEST / 2 for value in (self.p, self.q, self.v))


class _Likelihood:
    """Mean negative log-likelihood and its gradient in the logarithms of (p, q, v)."""

    def __init__(self, orders: Integers, mean_amount: Floats) -> None:
        self.order_values, self.order_at = np.unique(orders, return_inverse=True)
        self.order_counts = np.bincount(self.order_at).astype(np.float64)
        self.x = orders.astype(np.float64)
        self.m = mean_amount
        self.log_m = np.log(mean_amount)

    def __call__(self, logarithms: Floats) -> tuple[float, Floats]:
        p, q, v = np.exp(logarithms)
        values, counts, size = self.order_values.astype(np.float64), self.order_counts, len(self.x)
        log_scale = np.log(v + self.x * self.m)
        by_orders = gammaln(p * values + q) - gammaln(p * values) - gammaln(q) + q * np.log(v)
        by_orders = by_orders + p * values * np.log(values)
        total = (counts * by_orders).sum() + ((p * self.x - 1) * self.log_m - (p * self.x + q) * log_scale).sum()
        d_p = (counts * values * (psi(p * values + q) - psi(p * values) + np.log(values))).sum()
        d_p += (self.x * (self.log_m - log_scale)).sum()
        d_q = (counts * (psi(p * values + q) - psi(q))).sum() + size * np.log(v) - log_scale.sum()
        d_v = size * q / v - ((p * self.x + q) * np.exp(-log_scale)).sum()
        return -total / size, -np.array([d_p * p, d_q * q, d_v * v]) / size


def log_likelihood(orders: Integers, mean_amount: Floats, p: float, q: float, v: float) -> tuple[float, Floats]:
    """Log-likelihood of mean amounts over `orders` (all positive), and its gradient in (p, q, v)."""
    point = np.array([p, q, v], dtype=np.float64)
    value, gradient = _Likelihood(orders, mean_amount)(np.log(point))
    return -value * len(orders), -gradient * len(orders) / point


def fit(orders: Integers, mean_amount: Floats) -> GammaGamma | None:
    """Maximum-likelihood parameters from customers with `orders` >= 1 and a positive mean amount.

    Others are left out. None without any, or when the search does not end on a finite point. The
    entries are put in order first, so that equal data in any order give the same bits.
    """
    kept = (orders >= 1) & (mean_amount > 0)
    if not kept.any():
        return None
    x, m = orders[kept], mean_amount[kept]
    order = np.lexsort((m, x))
    likelihood = _Likelihood(x[order], m[order])
    found = search(likelihood, ((2.0, 3.0, float(np.median(m))),), _LOWEST, _HIGHEST)
    if found is None:
        return None
    (p, q, v), value = found
    return GammaGamma(float(p), float(q), float(v), -value * len(x))


def expected_amount(model: GammaGamma, orders: Integers, mean_amount: Floats) -> Floats:
    """Expected amount of a coming order: between the customer's own mean and everyone's.

    Without repeat orders it is everyone's, p v / (q - 1). A mean below zero (returns of earlier
    orders) counts as zero.
    """
    x = orders.astype(np.float64)
    own = np.where(orders > 0, np.maximum(mean_amount, 0.0), 0.0)
    return model.p * (model.v + x * own) / (model.p * x + model.q - 1)

"""BG/NBD: how often a customer buys and when they silently stop, fitted by maximum likelihood.

Formulas: P. Fader, B. Hardie and K. Lee, "Counting your customers the easy way", Marketing Science
24 (2005). While active a customer buys at a rate drawn from gamma(r, alpha), and after each repeat
purchase stops for good with a chance drawn from beta(a, b).

A history is (x, tx, T): repeat purchases, time from the first purchase to the last one, time from the
first purchase to the cut-off, all in one unit of time. Pure functions over arrays: no database, no
calendar, no money.

P(alive) is 1 for every customer who bought once and ranks worse than chance. It is a factor of the
formulas below and never a score; `purchase_probability` is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh_tridiagonal
from scipy.special import gammaln, psi

from orchestration.scores.likelihood import search

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# The search is in logarithms, inside these bounds: at a bound the data do not tell the parameter.
_LOWEST, _HIGHEST = 1e-4, 1e5
# Gauss-Jacobi nodes. The integrand is singular at -(alpha + T) / t: with 64 nodes the error stays
# under 1e-9 while t is less than 100 times alpha + T.
_NODES = 64
# Nodes below this are taken as the limit at zero, (r + x) t / (alpha + T).
_TINY = 1e-12


@dataclass(frozen=True)
class BgNbd:
    """Fitted parameters; `alpha` is in the unit of time of the histories."""

    r: float
    alpha: float
    a: float
    b: float
    log_likelihood: float

    @property
    def is_at_bound(self) -> bool:
        """Some parameter ran to the edge of the search: the data do not pin it down."""
        return any(not 2 * _LOWEST < value < _HIGHEST / 2 for value in (self.r, self.alpha, self.a, self.b))


@dataclass(frozen=True)
class Histories:
    """Purchase histories, one entry per distinct (x, tx, T), with how many customers share it."""

    repeats: Integers
    recency: Floats
    age: Floats
    customers: Floats


class _Likelihood:
    """Mean negative log-likelihood and its gradient in the logarithms of (r, alpha, a, b).

    Gamma functions depend on x alone and logarithms on tx or T alone, of which there are few distinct
    values: they are worked out once per value and gathered.
    """

    def __init__(self, histories: Histories) -> None:
        self.repeat_values, self.repeat_at = np.unique(histories.repeats, return_inverse=True)
        self.recency_values, self.recency_at = np.unique(histories.recency, return_inverse=True)
        self.age_values, self.age_at = np.unique(histories.age, return_inverse=True)
        self.has_repeats = histories.repeats > 0
        self.weights = histories.customers / histories.customers.sum()

    def __call__(self, logarithms: Floats) -> tuple[float, Floats]:
        r, alpha, a, b = np.exp(logarithms)
        x = self.repeat_values.astype(np.float64)
        with_repeats = x > 0
        before = np.where(with_repeats, b + x - 1, 1.0)  # kept from zero where it plays no part

        counts = (
            gammaln(r + x) - gammaln(r) + r * np.log(alpha)
            + gammaln(a + b) + gammaln(b + x) - gammaln(b) - gammaln(a + b + x)
        )  # fmt: skip
        stopping = np.log(a) - np.log(before)

        shape = (r + x)[self.repeat_at]
        log_age = np.log(alpha + self.age_values)[self.age_at]
        log_recency = np.log(alpha + self.recency_values)[self.recency_at]
        going = -shape * log_age
        stopped = np.where(self.has_repeats, stopping[self.repeat_at] - shape * log_recency, -np.inf)
        either = np.logaddexp(going, stopped)
        total = (self.weights * (counts[self.repeat_at] + either)).sum()

        has_stopped = np.exp(stopped - either)
        is_going = 1.0 - has_stopped
        d_r = (psi(r + x) - psi(r) + np.log(alpha))[self.repeat_at]
        d_r = d_r - is_going * log_age - has_stopped * log_recency
        d_alpha = r / alpha - shape * (is_going * np.exp(-log_age) + has_stopped * np.exp(-log_recency))
        both = psi(a + b) - psi(a + b + x)
        d_a = both[self.repeat_at] + has_stopped / a
        d_b = (both + psi(b + x) - psi(b))[self.repeat_at] - has_stopped / before[self.repeat_at]
        gradient = np.array([(self.weights * part).sum() for part in (d_r, d_alpha, d_a, d_b)])
        return -total, -gradient * np.array([r, alpha, a, b])


def log_likelihood(histories: Histories, r: float, alpha: float, a: float, b: float) -> tuple[float, Floats]:
    """Log-likelihood of the histories, and its gradient in (r, alpha, a, b)."""
    point = np.array([r, alpha, a, b], dtype=np.float64)
    value, gradient = _Likelihood(histories)(np.log(point))
    size = histories.customers.sum()
    return -value * size, -gradient * size / point


def fit(histories: Histories) -> BgNbd | None:
    """Maximum-likelihood parameters; None when the search does not end on a finite point.

    The entries are put in order first, so that equal data in any order give the same bits.
    """
    if histories.customers.sum() == 0:
        return None
    order = np.lexsort((histories.customers, histories.age, histories.recency, histories.repeats))
    ordered = Histories(
        histories.repeats[order], histories.recency[order], histories.age[order], histories.customers[order]
    )
    likelihood = _Likelihood(ordered)
    typical = max(float((ordered.age * likelihood.weights).sum()) / 4, 1e-3)
    # Customers who stop now and then; customers who hardly ever do.
    starts = ((0.5, typical, 1.0, 2.0), (0.5, 100 * typical, 0.01, 100.0))
    found = search(likelihood, starts, _LOWEST, _HIGHEST)
    if found is None:
        return None
    (r, alpha, a, b), value = found
    return BgNbd(float(r), float(alpha), float(a), float(b), -value * float(ordered.customers.sum()))


def alive_probability(model: BgNbd, repeats: Integers, recency: Floats, age: Floats) -> Floats:
    """P(not yet stopped at the cut-off): a factor of the functions below, not a score."""
    x = repeats.astype(np.float64)
    before = np.where(x > 0, model.b + x - 1, 1.0)
    log_odds = np.log(model.a / before) + (model.r + x) * np.log((model.alpha + age) / (model.alpha + recency))
    return np.where(x > 0, _logistic(-log_odds), 1.0)


def purchase_probability(
    model: BgNbd, repeats: Integers, recency: Floats, age: Floats, horizon: float | Floats
) -> Floats:
    """P(at least one purchase within `horizon` after the cut-off), in the histories' unit of time.

    Exact: a customer can only stop at a purchase, so until the next one the rate keeps its
    gamma(r + x, alpha + T) posterior, whose zero class is ((alpha + T) / (alpha + T + h)) ** (r + x).
    """
    buys = -np.expm1(-(model.r + repeats) * np.log1p(horizon / (model.alpha + age)))
    chance: Floats = np.clip(alive_probability(model, repeats, recency, age) * buys, 0.0, 1.0)
    return chance


def expected_orders(model: BgNbd, repeats: Integers, recency: Floats, age: Floats, horizon: float) -> Floats:
    """Expected purchases within `horizon` after the cut-off.

    The published closed form holds a Gauss hypergeometric function and divides by a - 1. The same
    expectation is the mean over beta(a, b + x) of (1 - (1 + p h / (alpha + T)) ** -(r + x)) / p,
    taken here by Gauss-Jacobi quadrature: no pole at a = 1. It depends on (x, T) alone.
    """
    if horizon <= 0 or len(repeats) == 0:
        return np.zeros(len(repeats))
    ages, age_at = np.unique(age, return_inverse=True)
    codes, code_at = np.unique(repeats.astype(np.int64) * len(ages) + age_at, return_inverse=True)
    pair_repeats, pair_age = codes // len(ages), ages[codes % len(ages)]
    while_alive = np.empty(len(codes))
    starts = np.flatnonzero(np.r_[True, np.diff(pair_repeats) > 0])
    for start, end in zip(starts, np.r_[starts[1:], len(codes)], strict=True):
        x = float(pair_repeats[start])
        span = horizon / (model.alpha + pair_age[start:end])
        while_alive[start:end] = _mean_over_stopping(model, x, span)
    gathered: Floats = while_alive[code_at]
    return gathered * alive_probability(model, repeats, recency, age)


def orders_if_any(model: BgNbd, repeats: Integers, recency: Floats, age: Floats, horizon: float) -> Floats:
    """Expected purchases within `horizon`, given that there is one: at least 1."""
    orders = expected_orders(model, repeats, recency, age, horizon)
    chance = purchase_probability(model, repeats, recency, age, horizon)
    return np.where(chance > _TINY, np.maximum(orders / np.maximum(chance, _TINY), 1.0), 1.0)


def expected_orders_of_newcomer(model: BgNbd, times: Floats) -> Floats:
    """E[X(t)]: expected repeat purchases in the first `t` after a first purchase."""
    return _mean_over_stopping(model, 0.0, np.asarray(times, dtype=np.float64) / model.alpha)


def _mean_over_stopping(model: BgNbd, x: float, span: Floats) -> Floats:
    """Mean over p ~ beta(a, b + x) of (1 - (1 + p span) ** -(r + x)) / p, for each span."""
    chance, weights = _beta_nodes(model.a, model.b + x)
    scaled = np.multiply.outer(span, chance)
    values = -np.expm1(-(model.r + x) * np.log1p(scaled)) / np.maximum(chance, _TINY)
    at_zero = (model.r + x) * span[:, np.newaxis]
    mean: Floats = (np.where(chance < _TINY, at_zero, values) * weights).sum(axis=1)
    return mean


def _beta_nodes(a: float, b: float) -> tuple[Floats, Floats]:
    """Gauss nodes and weights (of sum 1) for the mean over beta(a, b).

    Golub and Welsch (1969): eigenvalues of the tridiagonal matrix of the recurrence of the Jacobi
    polynomials, shifted to (0, 1). Unlike scipy's roots_jacobi it does not overflow for a large b,
    which is where customers hardly ever stop.
    """
    n = np.arange(_NODES, dtype=np.float64)
    total = a + b
    middle = 2 * n + total - 1
    diagonal = np.empty(_NODES)
    diagonal[0] = a / total
    k, m = n[1:], middle[1:]
    diagonal[1:] = 0.5 + (a - b) * (total - 2) / (2 * (m - 1) * (m + 1))
    squared = np.empty(_NODES - 1)
    squared[0] = a * b / (total**2 * (total + 1))
    k, m = n[2:], middle[2:]
    squared[1:] = k * (k + a - 1) * (k + b - 1) * (k + total - 2) / ((m - 1) ** 2 * m * (m - 2))
    nodes, vectors = eigh_tridiagonal(diagonal, np.sqrt(squared))
    return np.clip(nodes, 0.0, 1.0), vectors[0] ** 2


def _logistic(value: Floats) -> Floats:
    return np.exp(-np.logaddexp(0.0, -value))

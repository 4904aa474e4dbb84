"""Gamma-Gamma against published numbers, numerical integration and draws."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import gamma

from orchestration.scores import gamma_gamma
from orchestration.scores.gamma_gamma import GammaGamma


def posterior_weight(nu: float, model: GammaGamma, x: int, m: float) -> float:
    """Density of a mean amount m over x orders and of nu, which varies between customers."""
    return float(gamma.pdf(m, model.p * x, scale=1 / (x * nu)) * gamma.pdf(nu, model.q, scale=1 / model.v))


@pytest.mark.parametrize(("x", "m"), [(1, 11.77), (2, 22.345), (9, 60.0)])
def test_the_likelihood_is_the_integral_over_customers(x: int, m: float) -> None:
    model = GammaGamma(6.25, 3.74, 15.44, 0)
    integral, _ = quad(posterior_weight, 0, 5, args=(model, x, m), limit=200)
    found, _ = gamma_gamma.log_likelihood(np.array([x]), np.array([m]), model.p, model.q, model.v)
    assert found == pytest.approx(np.log(integral), abs=1e-6)


@pytest.mark.parametrize(("x", "m"), [(1, 11.77), (2, 22.345), (9, 60.0)])
def test_the_expected_amount_is_the_posterior_mean(x: int, m: float) -> None:
    model = GammaGamma(6.25, 3.74, 15.44, 0)
    above, _ = quad(lambda nu: model.p / nu * posterior_weight(nu, model, x, m), 0, 5, limit=200)
    below, _ = quad(posterior_weight, 0, 5, args=(model, x, m), limit=200)
    found = gamma_gamma.expected_amount(model, np.array([x]), np.array([m]))
    assert found[0] == pytest.approx(above / below, rel=1e-6)


def test_a_one_time_buyer_is_expected_to_spend_what_everyone_does() -> None:
    model = GammaGamma(6.25, 3.74, 15.44, 0)
    found = gamma_gamma.expected_amount(model, np.array([0, 0]), np.array([0.0, 999.0]))
    assert found.tolist() == pytest.approx([35.22, 35.22], abs=0.01)


def test_a_customer_whose_returns_exceed_their_orders_counts_as_spending_nothing() -> None:
    model = GammaGamma(6.25, 3.74, 15.44, 0)
    below, zero = gamma_gamma.expected_amount(model, np.array([2, 2]), np.array([-30.0, 0.0]))
    assert 0 < below == zero


def test_the_gradient_is_the_slope_of_the_likelihood() -> None:
    x, m, point = np.array([1, 1, 3, 12]), np.array([4.0, 90.0, 22.0, 31.0]), np.array([5.0, 3.0, 14.0])
    _, gradient = gamma_gamma.log_likelihood(x, m, *point)
    for place in range(3):
        step = np.zeros(3)
        step[place] = 1e-5
        rise = (
            gamma_gamma.log_likelihood(x, m, *(point + step))[0] - gamma_gamma.log_likelihood(x, m, *(point - step))[0]
        )
        assert gradient[place] == pytest.approx(rise / 2e-5, rel=1e-5)


def test_a_fit_expects_the_amounts_that_customers_were_drawn_with() -> None:
    # p and v are hardly told apart by means alone: what they expect together is.
    draw = np.random.default_rng(8)
    nu = draw.gamma(3.5, 1 / 20.0, 8000)
    x = draw.integers(1, 9, 8000)
    m = draw.gamma(5.0 * x, 1 / (x * nu))
    model = gamma_gamma.fit(x, m)
    assert model is not None and model.has_mean
    assert model.log_likelihood > gamma_gamma.log_likelihood(x, m, 5.0, 3.5, 20.0)[0]
    assert model.p * model.v / (model.q - 1) == pytest.approx(5.0 * 20.0 / 2.5, rel=0.04)
    found = gamma_gamma.expected_amount(model, x, m)
    for orders in (1, 4, 8):
        own = 5.0 / nu[x == orders]
        assert found[x == orders].mean() == pytest.approx(own.mean(), rel=0.05)


def test_customers_without_a_positive_repeat_amount_teach_nothing() -> None:
    assert gamma_gamma.fit(np.array([0, 2]), np.array([10.0, -3.0])) is None


def test_cdnow_gives_the_published_parameters_and_amounts(retail: Path) -> None:
    with (retail / "cdnow_sample_customers.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    repeats = np.array([int(float(row["frequency"])) for row in rows])
    spend = np.array([float(row["monetary_value"]) for row in rows])
    assert ((repeats > 0) & (spend > 0)).sum() == 946
    model = gamma_gamma.fit(repeats, spend)
    assert model is not None
    assert [round(value, 4) for value in (model.p, model.q, model.v)] == [6.2496, 3.7442, 15.4435]
    found = gamma_gamma.expected_amount(model, repeats, spend)
    assert found[[0, 1, 2, 5, 8]].tolist() == pytest.approx([24.654, 18.910, 35.170, 71.465, 27.282], abs=1e-3)

"""BG/NBD against published numbers, the published closed form and simulation.

The oracles share nothing with the code: it uses Gauss quadrature, they use the hypergeometric
function, adaptive integration and random draws.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import hyp2f1
from scipy.stats import beta, gamma

from orchestration.scores import bg_nbd
from orchestration.scores.bg_nbd import BgNbd, Histories

PUBLISHED = BgNbd(r=0.242595, alpha=4.413603, a=0.792922, b=2.425906, log_likelihood=-9582.429)


def one(repeats: int, recency: float, age: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.array([repeats]), np.array([recency]), np.array([age])


def closed_form(model: BgNbd, x: int, tx: float, T: float, t: float) -> float:
    """Equation 10 of Fader, Hardie and Lee (2005)."""
    r, alpha, a, b = model.r, model.alpha, model.a, model.b
    inner = hyp2f1(r + x, b + x, a + b + x - 1, t / (alpha + T + t))
    above = (a + b + x - 1) / (a - 1) * (1 - ((alpha + T) / (alpha + T + t)) ** (r + x) * inner)
    below = 1 + (a / (b + x - 1) * ((alpha + T) / (alpha + tx)) ** (r + x) if x else 0)
    return above / below


def simulate(model: BgNbd, customers: int, span: float, seed: int) -> list[list[float]]:
    """Purchase times of each customer from their first, at 0, up to `span`."""
    draw = np.random.default_rng(seed)
    found = []
    for _ in range(customers):
        rate, stop = draw.gamma(model.r, 1 / model.alpha), draw.beta(model.a, model.b)
        at, times = 0.0, [0.0]
        while True:
            at += draw.exponential(1 / max(rate, 1e-300))
            if at > span:
                break
            times.append(at)
            if draw.random() < stop:
                break
        found.append(times)
    return found


@pytest.mark.parametrize(
    ("weeks", "orders"),
    [(0.1429, 0.0078), (1, 0.0532), (3, 0.1506), (31.8571, 1.0405), (32, 1.0437), (78, 1.8576)],
)
def test_a_newcomer_is_expected_to_buy_as_often_as_published(weeks: float, orders: float) -> None:
    found = bg_nbd.expected_orders_of_newcomer(PUBLISHED, np.array([weeks]))
    assert found[0] == pytest.approx(orders, abs=5e-5 if weeks < 50 else 5e-4)


def test_the_published_customer_is_expected_to_buy_1_226_times() -> None:
    found = bg_nbd.expected_orders(PUBLISHED, *one(2, 30.43, 38.86), 39)
    assert found[0] == pytest.approx(1.226, abs=5e-4)


@pytest.mark.parametrize("model", [PUBLISHED, BgNbd(2.0, 0.5, 0.3, 5.0, 0), BgNbd(0.8, 9.0, 1.7, 0.6, 0)])
@pytest.mark.parametrize("history", [(0, 0.0, 0.0), (0, 0.0, 30.0), (1, 3.0, 40.0), (7, 38.0, 40.0), (120, 50.0, 52.0)])
def test_expected_orders_agree_with_the_closed_form(model: BgNbd, history: tuple[int, float, float]) -> None:
    for weeks in (1.0, 13.0, 52.0):
        found = bg_nbd.expected_orders(model, *one(*history), weeks)[0]
        assert found == pytest.approx(closed_form(model, *history, weeks), rel=1e-6)


def test_expected_orders_have_no_pole_where_a_is_one() -> None:
    below, at, above = (
        bg_nbd.expected_orders(BgNbd(0.5, 5.0, a, 2.0, 0), *one(3, 20.0, 30.0), 26)[0] for a in (0.99, 1.0, 1.01)
    )
    assert below > at > above
    assert at == pytest.approx((below + above) / 2, rel=1e-3)


def test_customers_who_never_stop_are_expected_to_buy_at_their_own_rate() -> None:
    # a / (a + b) is 0.00000001: the negative binomial limit, (r + x) t / (alpha + T).
    model = BgNbd(r=0.8, alpha=9.0, a=0.001, b=100_000.0, log_likelihood=0)
    found = bg_nbd.expected_orders(model, *one(3, 20.0, 30.0), 26)[0]
    assert found == pytest.approx(3.8 * 26 / 39, rel=1e-5)


def test_the_likelihood_is_the_integral_over_rates_and_stopping_chances() -> None:
    r, alpha, a, b = 1.3, 4.0, 0.9, 2.5
    middles = (np.arange(1500) + 0.5) / 1500
    rate = gamma.ppf(middles, r, scale=1 / alpha)[:, np.newaxis]
    p = beta.ppf(middles, a, b)[np.newaxis, :]
    for x, tx, T in ((0, 0.0, 12.0), (1, 4.0, 12.0), (3, 10.0, 12.0)):
        going = (1 - p) ** x * rate**x * np.exp(-rate * T)
        stopped = p * (1 - p) ** (x - 1) * rate**x * np.exp(-rate * tx) if x else 0.0
        histories = Histories(*one(x, tx, T), np.array([1.0]))
        found, _ = bg_nbd.log_likelihood(histories, r, alpha, a, b)
        assert found == pytest.approx(np.log((going + stopped).mean()), abs=2e-3)


def test_the_gradient_is_the_slope_of_the_likelihood() -> None:
    histories = Histories(
        np.array([0, 0, 1, 2, 9]), np.array([0, 0, 3.0, 11.0, 30.0]),
        np.array([0, 20.0, 30.0, 12.0, 31.0]), np.array([5.0, 100.0, 20.0, 9.0, 2.0]),
    )  # fmt: skip
    point = np.array([0.4, 5.0, 0.7, 2.2])
    _, gradient = bg_nbd.log_likelihood(histories, *point)
    for place in range(4):
        step = np.zeros(4)
        step[place] = 1e-5
        rise = (
            bg_nbd.log_likelihood(histories, *(point + step))[0] - bg_nbd.log_likelihood(histories, *(point - step))[0]
        )
        assert gradient[place] == pytest.approx(rise / 2e-5, rel=1e-5)


def test_purchase_probability_is_the_share_of_simulated_customers_who_buy() -> None:
    model, age, horizon = BgNbd(1.2, 10.0, 0.8, 2.5, 0), 40.0, 13.0
    seen = simulate(model, 40_000, age + horizon, seed=3)
    predicted, bought, orders, expected = [], [], [], []
    histories = []
    for times in seen:
        before = [at for at in times if at <= age]
        histories.append((len(before) - 1, before[-1], age))
        orders.append(len(times) - len(before))
        bought.append(len(times) > len(before))
    x, tx, T = (np.array(column) for column in zip(*histories, strict=True))
    predicted = bg_nbd.purchase_probability(model, x, tx, T, horizon)
    expected = bg_nbd.expected_orders(model, x, tx, T, horizon)
    happened, counted = np.array(bought), np.array(orders)
    for group in (x == 0, x == 1, (x >= 2) & (age - tx < 8), (x >= 2) & (age - tx >= 8)):
        error = 4 * np.sqrt(0.25 / group.sum())
        assert predicted[group].mean() == pytest.approx(happened[group].mean(), abs=error)
        assert expected[group].mean() == pytest.approx(
            counted[group].mean(), abs=4 * counted[group].std() / np.sqrt(group.sum())
        )


def test_purchase_probability_is_the_integral_of_the_first_purchase_after_the_cut_off() -> None:
    model, (x, tx, T) = PUBLISHED, (4, 25.0, 38.0)

    def rate_of_first(after: float) -> float:
        shape, scale = model.r + x, model.alpha + T
        return shape * scale**shape / (scale + after) ** (shape + 1)

    buys, _ = quad(rate_of_first, 0, 13)
    alive = 1 / (1 + model.a / (model.b + x - 1) * ((model.alpha + T) / (model.alpha + tx)) ** (model.r + x))
    assert bg_nbd.purchase_probability(model, *one(x, tx, T), 13)[0] == pytest.approx(alive * buys, rel=1e-9)


def test_one_time_buyers_are_ranked_by_their_age_where_being_alive_ranks_none() -> None:
    repeats, recency, age = np.zeros(3, dtype=np.int64), np.zeros(3), np.array([1.0, 20.0, 100.0])
    assert bg_nbd.alive_probability(PUBLISHED, repeats, recency, age).tolist() == [1.0, 1.0, 1.0]
    fresh, older, oldest = bg_nbd.purchase_probability(PUBLISHED, repeats, recency, age, 13)
    assert fresh > older > oldest


def test_a_fit_finds_the_parameters_that_purchases_were_drawn_from() -> None:
    truth = BgNbd(1.0, 8.0, 0.6, 2.0, 0)
    spans = np.random.default_rng(5).uniform(20, 100, 6000)
    seen = [
        [at for at in times if at <= span] for times, span in zip(simulate(truth, 6000, 100, 4), spans, strict=True)
    ]
    histories = Histories(
        np.array([len(times) - 1 for times in seen]), np.array([times[-1] for times in seen]), spans, np.ones(6000)
    )
    model = bg_nbd.fit(histories)
    assert model is not None
    assert (model.r, model.alpha, model.a, model.b) == (
        pytest.approx(1.0, rel=0.1), pytest.approx(8.0, rel=0.1),
        pytest.approx(0.6, rel=0.25), pytest.approx(2.0, rel=0.35),
    )  # fmt: skip
    assert model.log_likelihood > bg_nbd.log_likelihood(histories, 1.0, 8.0, 0.6, 2.0)[0]


def test_grouping_equal_histories_changes_nothing() -> None:
    apart = Histories(
        np.array([0, 0, 2, 2, 2]), np.array([0, 0, 9.0, 9.0, 9.0]), np.array([5.0, 5, 20, 20, 20]), np.ones(5)
    )
    together = Histories(np.array([0, 2]), np.array([0, 9.0]), np.array([5.0, 20]), np.array([2.0, 3.0]))
    left, right = (bg_nbd.log_likelihood(each, 0.5, 3.0, 0.8, 2.0) for each in (apart, together))
    assert left[0] == pytest.approx(right[0], rel=1e-12)
    assert left[1] == pytest.approx(right[1], rel=1e-9)


def test_no_histories_give_no_model() -> None:
    assert bg_nbd.fit(Histories(np.array([], dtype=np.int64), np.array([]), np.array([]), np.array([]))) is None


@pytest.fixture
def cdnow(retail: Path) -> dict[str, np.ndarray]:
    with (retail / "cdnow_sample_customers.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = ("frequency", "recency", "T", "x_holdout", "bgnbd_exp39", "bgnbd_palive")
    return {name: np.array([float(row[name]) for row in rows]) for name in names}


def test_cdnow_gives_the_published_parameters_and_holdout(cdnow: dict[str, np.ndarray]) -> None:
    repeats = cdnow["frequency"].astype(np.int64)
    model = bg_nbd.fit(Histories(repeats, cdnow["recency"], cdnow["T"], np.ones(len(repeats))))
    assert model is not None
    assert [round(value, 3) for value in (model.r, model.alpha, model.a, model.b)] == [0.243, 4.414, 0.793, 2.426]
    assert round(model.log_likelihood, 3) == -9582.429
    found = bg_nbd.expected_orders(model, repeats, cdnow["recency"], cdnow["T"], 39)
    assert np.abs(found - cdnow["bgnbd_exp39"]).max() < 1e-5
    assert round(found.sum(), 1) == 1653.4
    assert cdnow["x_holdout"].sum() == 1882
    assert round(np.abs(found - cdnow["x_holdout"]).mean(), 4) == 0.7855
    assert found[0] == pytest.approx(1.2259, abs=1e-4)
    alive = bg_nbd.alive_probability(model, repeats, cdnow["recency"], cdnow["T"])
    assert np.abs(alive - cdnow["bgnbd_palive"]).max() < 1e-5

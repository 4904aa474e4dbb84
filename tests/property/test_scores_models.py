"""What must hold of the models for any parameters and any history."""

from __future__ import annotations

import numpy as np
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from orchestration.scores import bg_nbd, gamma_gamma
from orchestration.scores.backtest import area_under_curve, midranks
from orchestration.scores.bg_nbd import BgNbd, Histories
from orchestration.scores.gamma_gamma import GammaGamma

positive = st.floats(0.05, 50, allow_nan=False)
bg_nbd_models = st.builds(BgNbd, r=positive, alpha=positive, a=positive, b=positive, log_likelihood=st.just(0.0))


@st.composite
def histories(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Repeats, recency and age of up to 30 customers, in weeks."""
    size = draw(st.integers(1, 30))
    days = [draw(st.tuples(st.integers(0, 40), st.integers(0, 1500), st.integers(0, 1500))) for _ in range(size)]
    repeats = np.array([x for x, _, _ in days])
    recency = np.array([0 if x == 0 else max(one, x) for x, one, _ in days]) / 7
    age = recency + np.array([other for _, _, other in days]) / 7
    return repeats, recency, age


@settings(max_examples=80, deadline=None, derandomize=True)
@given(bg_nbd_models, histories())
def test_chances_stay_between_0_and_1_and_grow_with_the_horizon(model: BgNbd, found: tuple) -> None:
    before = np.zeros(len(found[0]))
    for weeks in (1.0, 30 / 7, 90 / 7, 52.0, 500.0):
        chance = bg_nbd.purchase_probability(model, *found, weeks)
        assert np.all((before <= chance) & (chance <= 1))
        before = chance


@settings(max_examples=80, deadline=None, derandomize=True)
@given(bg_nbd_models, histories(), st.floats(0.1, 100))
def test_expected_orders_are_at_least_the_chance_of_one(model: BgNbd, found: tuple, weeks: float) -> None:
    orders = bg_nbd.expected_orders(model, *found, weeks)
    assert np.all(orders >= bg_nbd.purchase_probability(model, *found, weeks) - 1e-9)
    assert np.all(orders <= (model.r + found[0]) * weeks / (model.alpha + found[2]) * (1 + 1e-9))


@settings(max_examples=80, deadline=None, derandomize=True)
@given(bg_nbd_models, histories(), st.floats(0.1, 5))
def test_a_later_last_purchase_never_lowers_a_chance(model: BgNbd, found: tuple, later: float) -> None:
    repeats, recency, age = found
    moved = np.where(repeats > 0, np.minimum(recency + later, age), 0.0)
    first = bg_nbd.purchase_probability(model, repeats, recency, age, 13)
    second = bg_nbd.purchase_probability(model, repeats, moved, age, 13)
    assert np.all(second >= first - 1e-12)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(bg_nbd_models, st.floats(0, 500), st.floats(0.01, 100))
def test_a_one_time_buyer_is_less_likely_to_return_the_longer_ago_it_was(model: BgNbd, age: float, more: float) -> None:
    none, nothing = np.zeros(2, dtype=np.int64), np.zeros(2)
    sooner, later = bg_nbd.purchase_probability(model, none, nothing, np.array([age, age + more]), 13)
    assert sooner >= later


@settings(max_examples=15, deadline=None, derandomize=True, phases=(Phase.generate,))  # shrinking a fit is slow
@given(histories(), st.randoms(use_true_random=False))
def test_a_fit_gives_the_same_bits_in_any_order(found: tuple, shuffler: object) -> None:
    order = list(range(len(found[0])))
    shuffler.shuffle(order)  # type: ignore[attr-defined]
    weights = np.arange(1.0, len(order) + 1)
    straight = bg_nbd.fit(Histories(*found, weights))
    mixed = bg_nbd.fit(Histories(*(column[order] for column in found), weights[order]))
    assert straight == mixed


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.builds(GammaGamma, p=positive, q=st.floats(1.1, 50), v=positive, log_likelihood=st.just(0.0)),
    st.integers(1, 500),
    st.floats(0.01, 1e5),
)
def test_an_expected_amount_lies_between_the_customers_own_and_everyones(model: GammaGamma, x: int, m: float) -> None:
    found = gamma_gamma.expected_amount(model, np.array([x]), np.array([m]))[0]
    everyone = model.p * model.v / (model.q - 1)
    assert min(m, everyone) * (1 - 1e-9) <= found <= max(m, everyone) * (1 + 1e-9)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=40))
def test_ranks_are_those_of_counting(values: list[int]) -> None:
    expected = [
        sum(other < one for other in values) + (sum(other == one for other in values) + 1) / 2 for one in values
    ]
    assert midranks(np.array(values, dtype=np.float64)).tolist() == expected


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=2, max_size=40))
def test_ranking_backwards_gives_the_rest_of_the_area(pairs: list[tuple[int, bool]]) -> None:
    predicted = np.array([value for value, _ in pairs], dtype=np.float64)
    happened = np.array([value for _, value in pairs])
    area, backwards = area_under_curve(predicted, happened), area_under_curve(-predicted, happened)
    assert (area is None) == (backwards is None)
    if area is not None and backwards is not None:
        assert abs(area + backwards - 1) < 1e-12

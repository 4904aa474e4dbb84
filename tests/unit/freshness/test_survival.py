"""The estimate recovers the hazards that data were drawn with, and its probabilities come true."""

from __future__ import annotations

import numpy as np
import pytest

from orchestration.freshness import Curve, Evidence, fit, survival
from orchestration.freshness.survival import fit_kind, hazard_of

EDGES = (0.0, 1.0, 3.0)
TRADE = hazard_of(0.11)


def drawn_age(random: np.random.Generator, hazards: list[float], many: int) -> np.ndarray:
    """Ages at which contact points go stale: the inverse of the cumulative hazard, band by band."""
    left = random.exponential(size=many)
    age = np.zeros(many)
    done = np.zeros(many, dtype=bool)
    for band, hazard in enumerate(hazards):
        width = EDGES[band + 1] - EDGES[band] if band + 1 < len(EDGES) else np.inf
        dies = ~done & (left <= hazard * width)
        age[dies] = EDGES[band] + left[dies] / hazard
        done |= dies
        left -= hazard * width
    return age


def looked_at_once(age: np.ndarray, looked: np.ndarray) -> Evidence:
    """Each contact point is proved at 0 and looked at once more: good then, or found lost."""
    good = age > looked
    proved = np.array(
        [
            np.sum(np.clip(looked[good], start, end) - start)
            for start, end in zip(EDGES, [*EDGES[1:], np.inf], strict=True)
        ]
    )
    waits = looked[~good]
    return Evidence(proved, np.zeros(len(EDGES)), waits, np.ones(len(waits)))


@pytest.mark.parametrize("hazards", [[0.05, 0.05, 0.05], [0.3, 0.12, 0.04], [0.02, 0.1, 0.25]])
def test_known_hazards_are_recovered_from_interval_censored_losses(hazards: list[float]) -> None:
    random = np.random.default_rng(11)
    age = drawn_age(random, hazards, 60_000)
    evidence = looked_at_once(age, random.uniform(0.05, 8, len(age)))
    curve = fit(evidence, EDGES, np.full(3, TRADE), 20)
    # four standard errors of what 60,000 single looks can tell, and what the prior draws
    assert curve.hazards == pytest.approx(np.array(hazards), rel=0.06, abs=0.006)
    # with hardly any prior the truth is within the error that the estimate itself states
    free = fit(evidence, EDGES, np.full(3, TRADE), 0.01)
    assert np.all(np.abs(np.log(free.hazards) - np.log(hazards)) < 4 * free.log_deviation)


def test_known_hazard_is_recovered_where_every_loss_is_told_and_silence_is_censored() -> None:
    random = np.random.default_rng(5)
    age, until = random.exponential(1 / 0.2, 40_000), random.uniform(0.5, 6, 40_000)
    told = age < until
    bands = [(0.0, 1.0), (1.0, 3.0), (3.0, np.inf)]
    silent = np.array([np.sum(np.clip(until[~told], a, b) - a) for a, b in bands])
    # told the day it happened: the wait is exact, so the loss is looked for in a last short stretch
    proved = np.array([np.sum(np.clip(age[told], a, b) - a) for a, b in bands])
    evidence = Evidence(proved, silent, np.full(told.sum(), 1e-6), np.ones(told.sum()))
    curve = fit(evidence, EDGES, np.full(3, TRADE), 20)
    assert curve.told_rate == 1
    flat = Evidence(proved.sum(keepdims=True), silent.sum(keepdims=True), evidence.waits, evidence.counts)
    assert fit(flat, (0.0,), np.array([TRADE]), 20).hazards[0] == pytest.approx(0.2, rel=0.03)


def test_without_data_the_declared_rate_holds() -> None:
    kind, each = fit_kind({"crm": Evidence.nothing(3)}, EDGES, 0.11, 20)
    assert kind.yearly_loss == pytest.approx(0.11)
    assert each["crm"].yearly_loss == pytest.approx(0.11)


def test_few_losses_move_the_estimate_a_little_and_many_move_it_all_the_way() -> None:
    def losing_a_third(years: float) -> float:
        losses = round(years * 0.4)
        evidence = Evidence(np.array([years - losses * 0.5, 0, 0]), np.zeros(3), np.full(losses, 1.0), np.ones(losses))
        return fit(evidence, EDGES, np.full(3, TRADE), 20).hazards[0]

    few, many = losing_a_third(10), losing_a_third(20_000)
    assert TRADE < few < 0.2
    assert many == pytest.approx(0.42, abs=0.04)


def test_silence_alone_is_not_taken_for_health_and_proof_is() -> None:
    years = np.array([5_000.0, 5_000.0, 5_000.0])
    silent = fit(Evidence(np.zeros(3), years, np.empty(0), np.empty(0)), EDGES, np.full(3, TRADE), 20)
    proved = fit(Evidence(years, np.zeros(3), np.empty(0), np.empty(0)), EDGES, np.full(3, TRADE), 20)
    assert silent.yearly_loss == pytest.approx(0.11)
    assert proved.yearly_loss < 0.005


def test_losses_above_the_declared_rate_are_believed_without_proofs() -> None:
    # 25 % a year told, nobody ever proves anything
    silent = np.array([10_000.0, 0.0, 0.0])
    evidence = Evidence(np.zeros(3), silent, np.full(3_300, 0.5), np.ones(3_300))
    assert fit(evidence, EDGES, np.full(3, TRADE), 20).yearly_loss == pytest.approx(0.25, abs=0.02)


def test_a_source_with_little_data_takes_after_its_kind() -> None:
    random = np.random.default_rng(3)
    fast = looked_at_once(drawn_age(random, [0.4, 0.4, 0.4], 20_000), random.uniform(0.1, 4, 20_000))
    small = looked_at_once(drawn_age(random, [0.02, 0.02, 0.02], 40), random.uniform(0.1, 4, 40))
    kind, each = fit_kind({"fast": fast, "small": small}, EDGES, 0.11, 20)
    assert each["fast"].hazards[0] == pytest.approx(0.4, rel=0.06)
    assert 0.1 < each["small"].hazards[0] < kind.hazards[0]


def test_probabilities_come_true_in_every_tenth_of_them() -> None:
    random = np.random.default_rng(8)
    hazards = [0.25, 0.1, 0.05]
    age, looked = drawn_age(random, hazards, 30_000), random.uniform(0.05, 7, 30_000)
    curve = fit(looked_at_once(age, looked), EDGES, np.full(3, TRADE), 20)
    again, silence = drawn_age(random, hazards, 50_000), random.uniform(0, 9, 50_000)
    predicted, good = survival(curve, silence), again > silence
    for chunk in np.array_split(np.argsort(predicted, kind="stable"), 10):
        assert predicted[chunk].mean() == pytest.approx(good[chunk].mean(), abs=0.02)


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(21)
    held = 0
    for _ in range(200):
        age = random.exponential(1 / 0.15, 400)
        looked = np.full(400, 0.5)
        good = age > looked
        evidence = Evidence(np.array([looked[good].sum()]), np.zeros(1), looked[~good], np.ones(int((~good).sum())))
        low, high = fit(evidence, (0.0,), np.array([TRADE]), 1e-3).interval()
        held += bool(low[0] <= 0.15 <= high[0])
    assert 0.84 <= held / 200 <= 0.96


def test_survival_falls_from_one_and_never_rises() -> None:
    flat = np.full(3, 1.0)
    curve = Curve(EDGES, np.array([0.3, 0.1, 0.02]), flat, 1.0)
    good = survival(curve, np.linspace(0, 20, 400))
    assert good[0] == 1
    assert np.all(np.diff(good) <= 0)
    assert survival(curve, np.array([4.0]))[0] == pytest.approx(np.exp(-(0.3 + 0.1 * 2 + 0.02 * 1)))

"""The judge: AUC, Brier score and calibration against plain counting."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from orchestration.scores import backtest
from orchestration.scores.backtest import BG_NBD, LOGISTIC, BackTest, Outcome


def test_the_area_under_the_curve_is_the_share_of_pairs_ranked_right() -> None:
    draw = np.random.default_rng(2)
    predicted = np.round(draw.uniform(size=120), 1)  # many ties
    happened = draw.uniform(size=120) < predicted
    pairs = [
        1.0 if yes > no else 0.5 if yes == no else 0.0 for yes in predicted[happened] for no in predicted[~happened]
    ]
    assert backtest.area_under_curve(predicted, happened) == pytest.approx(sum(pairs) / len(pairs), abs=1e-12)


def test_there_is_no_area_where_everyone_did_the_same() -> None:
    assert backtest.area_under_curve(np.array([0.1, 0.9]), np.array([True, True])) is None


def test_the_brier_score_is_the_mean_squared_miss() -> None:
    assert backtest.brier_score(np.array([0.8, 0.4]), np.array([True, False])) == pytest.approx((0.04 + 0.16) / 2)


def test_equal_predictions_stay_in_one_calibration_band() -> None:
    predicted = np.array([0.1] * 5 + [0.5] * 3 + [0.9] * 2)
    happened = np.array([False] * 4 + [True] * 4 + [True] * 2)
    bands = backtest.calibration_bands(predicted, happened, 2)
    assert bands == [(1, 5, pytest.approx(0.1), pytest.approx(0.2)), (2, 5, pytest.approx(0.66), pytest.approx(1.0))]


def test_calibration_bands_hold_every_customer_in_any_order() -> None:
    draw = np.random.default_rng(3)
    predicted, happened = np.round(draw.uniform(size=500), 2), draw.uniform(size=500) < 0.3
    shuffled = draw.permutation(500)
    bands = backtest.calibration_bands(predicted, happened, 10)
    assert sum(customers for _, customers, _, _ in bands) == 500
    again = backtest.calibration_bands(predicted[shuffled], happened[shuffled], 10)
    assert [(band, customers) for band, customers, _, _ in again] == [
        (band, customers) for band, customers, _, _ in bands
    ]


def result_of(model: str, on: dt.date, brier: float) -> BackTest:
    return BackTest(model, on, 90, 1000, 0.8, brier, 100.0, 100, 150.0, 150, 1.0)


@pytest.mark.parametrize(("brier", "by", "kept"), [(0.10, 0.0, LOGISTIC), (0.10, 0.05, BG_NBD), (0.12, 0.0, BG_NBD)])
def test_logistic_is_kept_only_where_it_beats_bg_nbd(brier: float, by: float, kept: str) -> None:
    on = dt.date(2025, 9, 30)
    found = Outcome((result_of(BG_NBD, on, 0.12), result_of(LOGISTIC, on, brier)), (), {})
    assert found.better(90, by) == kept


def test_models_are_compared_on_the_cut_offs_that_both_have() -> None:
    easy, hard = dt.date(2025, 3, 31), dt.date(2025, 9, 30)
    found = Outcome(
        (result_of(BG_NBD, easy, 0.01), result_of(BG_NBD, hard, 0.20), result_of(LOGISTIC, hard, 0.15)), (), {}
    )
    assert found.better(90, 0.0) == LOGISTIC


def test_bg_nbd_is_kept_where_nothing_can_be_compared() -> None:
    assert Outcome((), (), {}).better(90, 0.0) == BG_NBD

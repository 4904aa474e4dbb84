"""`scores.yml`: what it accepts, and what it says of what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.contracts.loader import load, parse, validate
from orchestration.contracts.scoring import Scoring
from orchestration.errors import DeclarationError


def read(text: str) -> Scoring:
    return validate(parse(text, "scores.yml"), Scoring)


def test_the_demo_declares_the_published_gate(project: Path) -> None:
    gate = load(project / "declarations" / "scores.yml", Scoring).gate
    assert (gate.buyers, gate.history_days, gate.last_order_days, gate.frequent_orders) == (500, 180, 30, 3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gate: {buyer: 10}", 'scores.yml:1: unknown key "buyer"; did you mean "buyers"?'),
        ("churn: {low: 0.1}", "each must be above the next"),
        ("churn: {horizon_days: 60}", "30, 90 or 365"),
        ("back_test:\n  cut_offs_days_back: [10]", "scores.yml:2: "),
        ("back_test: {cut_offs_days_back: [90, 90]}", "given twice"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, said: str) -> None:
    with pytest.raises(DeclarationError) as raised:
        read(text)
    assert said in str(raised.value)


def test_only_what_shapes_a_model_changes_its_key() -> None:
    plain = read("refit_after_days: 30").model_key
    assert read("churn: {low: 0.9}").model_key == plain
    assert read("refit_after_days: 10").model_key == plain
    assert read("season: {prior_orders: 1}").model_key != plain


def test_bands_start_where_declared() -> None:
    table = read("churn: {horizon_days: 365, low: 0.8, medium: 0.5, high: 0.1}").tables()["churn_bands"]
    assert [(row["churn_risk_band"], row["at_least"]) for row in table.to_pylist()] == [
        ("low", 0.8), ("medium", 0.5), ("high", 0.1), ("lost", 0.0),
    ]  # fmt: skip

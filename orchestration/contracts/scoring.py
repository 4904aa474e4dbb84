"""`scores.yml`: when purchase scores are given, how they are fitted and checked, and the churn bands.

Thresholds only: the arithmetic is in `orchestration/scores`. The horizons of 30, 90 and 365 days are
names of published columns, hence not declared.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import pyarrow as pa
from pydantic import Field, field_validator, model_validator

from orchestration.contracts.loader import Declaration

Horizon = Literal[30, 90, 365]

#: Raised when stored models of an earlier code can no longer be read or mean something else.
_MODEL_FORMAT = 1


class Gate(Declaration):
    """What the data must hold for a score to mean something; else scores are withheld, with the reason."""

    buyers: int = Field(default=500, ge=1, description="Customers who bought at least once")
    history_days: int = Field(default=180, ge=1, description="Days from the first order to the as-of date")
    last_order_days: int = Field(default=30, ge=1, description="An order was seen within so many days")
    frequent_orders: int = Field(default=3, ge=2, description="Orders, on different days, of a frequent customer")
    frequent_customers: int = Field(default=10, ge=1, description="Customers with at least frequent_orders")


class ChurnBands(Declaration):
    """Bands of P(at least one purchase within the horizon): below `high` a customer is lost."""

    horizon_days: Horizon = 90
    low: float = Field(default=0.40, gt=0, lt=1, description="Low risk from this probability on")
    medium: float = Field(default=0.20, gt=0, lt=1, description="Medium risk from this probability on")
    high: float = Field(default=0.05, gt=0, lt=1, description="High risk from this probability on; lost below")

    @model_validator(mode="after")
    def _are_in_order(self) -> ChurnBands:
        if not self.low > self.medium > self.high:
            raise ValueError(
                f"low ({self.low}), medium ({self.medium}) and high ({self.high}) are probabilities of buying: "
                "each must be above the next"
            )
        return self


class Season(Declaration):
    """Seasonal index by calendar month: seen repeat orders over those that the model expects."""

    is_applied: bool = True
    history_days: int = Field(default=365, ge=365, description="Below it no index: every month must have been seen")
    prior_orders: int = Field(default=50, ge=0, description="Imaginary orders at index 1 that steady a thin month")


class Logistic(Declaration):
    """The logistic model that is fitted beside BG/NBD when history allows."""

    is_fitted: bool = True
    history_days: int = Field(default=180, ge=30, description="Days of history before the window it learns from")
    minimum_outcomes: int = Field(
        default=100, ge=10, description="Customers who bought, and who did not, in the window"
    )
    inverse_penalty: float = Field(default=1.0, gt=0, description="scikit-learn's C")


class BackTest(Declaration):
    """Past cut-offs on which every model is fitted and compared with what then happened."""

    cut_offs_days_back: tuple[int, ...] = Field(default=(90, 180, 365), description="Days before the fit")
    decided_at_days: Horizon = Field(default=90, description="Horizon at which the better model is chosen")
    better_by: float = Field(default=0.0, ge=0, description="Brier score by which logistic must beat BG/NBD")
    customers: int = Field(default=50_000, ge=1000, description="At most so many customers, a hash-stable sample")
    bands: int = Field(default=10, ge=2, le=50, description="Calibration bands, equal in customers but for ties")

    @field_validator("cut_offs_days_back")
    @classmethod
    def _leave_time_to_be_seen(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        for days in value:
            if days < 30:
                raise ValueError(f"a cut-off {days} days back leaves no horizon to look at; give 30 or more")
        if len(set(value)) != len(value):
            raise ValueError("a cut-off is given twice")
        return tuple(sorted(value))


class Scoring(Declaration):
    """The whole of `scores.yml`."""

    refit_after_days: int = Field(default=30, ge=1, description="Models older than this are fitted again")
    gate: Gate = Gate()
    churn: ChurnBands = ChurnBands()
    season: Season = Season()
    logistic: Logistic = Logistic()
    back_test: BackTest = BackTest()

    @property
    def model_key(self) -> str:
        """Fingerprint of what shapes a fitted model: a stored model with another key is not used."""
        shaping = self.model_dump_json(include={"season", "logistic", "back_test"})
        return hashlib.sha256(f"{_MODEL_FORMAT}:{shaping}".encode()).hexdigest()[:12]

    def tables(self) -> dict[str, pa.Table]:
        """`churn_bands`: one row per band, with the horizon and the probability it starts from."""
        starts = {
            "low": self.churn.low,
            "medium": self.churn.medium,
            "high": self.churn.high,
            "lost": 0.0,
        }
        return {
            "churn_bands": pa.Table.from_pylist(
                [
                    {"churn_risk_band": band, "horizon_days": self.churn.horizon_days, "at_least": start}
                    for band, start in starts.items()
                ]
            )
        }

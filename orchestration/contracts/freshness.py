"""`freshness.yml`: what is taken as known of how fast contact data age, before the data are asked.

What belongs here: the trade's rate, how much it weighs against the data, the bands of silence that get a rate
of their own, when a contact point is in doubt. What does not: the estimate (`orchestration/freshness`) and the
probabilities made from it (SQL).
"""

from __future__ import annotations

import hashlib
from typing import Literal

import pyarrow as pa
from pydantic import Field, field_validator

from orchestration.contracts.loader import Declaration

ContactKind = Literal["email", "mobile", "landline", "post"]

#: Kinds of contact point that age, each with its own rate.
CONTACT_KINDS: tuple[ContactKind, ...] = ("email", "mobile", "landline", "post")

#: Share of contact data that goes stale in a year, where nothing better is known: the middle of what the
#: trade reports (10 to 12 %).
YEARLY_LOSS = 0.11


class Freshness(Declaration):
    """How contact data age, before the data say so themselves."""

    yearly_loss: float = Field(
        default=YEARLY_LOSS, gt=0, lt=1, description="Share that goes stale in a year, before the data are asked"
    )
    kinds: dict[ContactKind, float] = Field(default_factory=dict, description="The same for one kind")
    prior_losses: float = Field(
        default=20.0, gt=0, description="The declared rate weighs as much as so many losses seen in the data"
    )
    bands_years: tuple[float, ...] = Field(
        default=(1.0, 3.0), description="Years since the last confirmation at which the rate may change"
    )
    one_at_a_time: tuple[ContactKind, ...] = Field(
        default=("mobile", "landline", "post"),
        description="Kinds of which a person has one: a newer one in another record ends the older",
    )
    fit_on_at_most: int = Field(
        default=100_000, ge=100, description="Customers that the estimate looks at, chosen by a hash of their id"
    )
    doubtful_below: float = Field(default=0.5, gt=0, lt=1, description="Below it a contact point is in doubt")

    @field_validator("kinds")
    @classmethod
    def _shares(cls, value: dict[str, float]) -> dict[str, float]:
        for kind, loss in value.items():
            if not 0 < loss < 1:
                raise ValueError(f'"{kind}": the yearly loss is a share between 0 and 1, not {loss}')
        return value

    @field_validator("bands_years")
    @classmethod
    def _bands_go_up(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if list(value) != sorted(set(value)) or any(not 0 < edge <= 15 for edge in value):
            raise ValueError("bands are years, growing, above 0 and at most 15")
        return value

    def loss_of(self, kind: ContactKind) -> float:
        """The declared share of `kind` that goes stale in a year."""
        return self.kinds.get(kind, self.yearly_loss)

    def fit_fingerprint(self) -> str:
        """Changes when the estimate would: with any setting but the one that only reads the curves."""
        return hashlib.sha256(self.model_dump_json(exclude={"doubtful_below"}).encode()).hexdigest()[:16]

    def tables(self) -> dict[str, pa.Table]:
        """`freshness_rates`: kind, yearly_loss (share, before the data are asked), doubtful_below."""
        rates = [
            {"kind": kind, "yearly_loss": self.loss_of(kind), "doubtful_below": self.doubtful_below}
            for kind in CONTACT_KINDS
        ]
        return {
            "freshness_rates": pa.Table.from_pylist(
                rates,
                schema=pa.schema(
                    [("kind", pa.string()), ("yearly_loss", pa.float64()), ("doubtful_below", pa.float64())]
                ),
            )
        }

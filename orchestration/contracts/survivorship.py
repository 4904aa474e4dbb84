"""`survivorship.yml`: which of several records gives each golden value, and how fast contact data age.

What belongs here: the attributes that can be ruled, the strategies there are, their validation, and the
control tables that the golden record reads. What does not: the choice itself, which is SQL.
"""

from __future__ import annotations

from typing import Literal

import pyarrow as pa
from pydantic import Field, field_validator, model_validator

from orchestration.contracts.loader import Declaration, did_you_mean

Strategy = Literal["valid_first", "most_trusted", "most_recent", "most_frequent", "most_complete", "last_confirmed"]

#: What a rule may be declared for, with the columns of `rcu.customers` that are taken together.
ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "civility": ("civility",),
    "name": ("first_name", "last_name"),
    "birth_name": ("birth_name",),
    "birth_on": ("birth_on",),
    "sex": ("sex",),
    "email": ("email",),
    "phone": ("phone",),
    "address": (
        "address_line", "address_extra", "postal_code", "city", "commune_code", "department", "region", "country",
    ),
    "language": ("language",),
    "national_number": ("national_number",),
    "company": ("company_name", "company_number"),
    "preferred_contact_channel": ("preferred_contact_channel",),
    "contact_frequency": ("contact_frequency",),
}  # fmt: skip

ContactKind = Literal["email", "mobile", "landline", "post"]

#: Kinds of contact point that age, each with its own rate.
CONTACT_KINDS: tuple[ContactKind, ...] = ("email", "mobile", "landline", "post")

DEFAULT_STRATEGIES: tuple[Strategy, ...] = ("valid_first", "most_trusted", "most_recent")

#: Share of contact data that goes stale in a year, where nothing better is known: the middle of what the
#: trade reports (10 to 12 %).
YEARLY_LOSS = 0.11


class AttributeRule(Declaration):
    """The strategies tried in turn: a later one only decides between values that tie on the earlier ones."""

    strategies: tuple[Strategy, ...] = Field(default=DEFAULT_STRATEGIES, min_length=1, max_length=5)
    sources: tuple[str, ...] = Field(
        default=(), description="Sources that this attribute trusts before all others, best first"
    )

    @field_validator("strategies", "sources")
    @classmethod
    def _no_repeats(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        repeated = sorted({item for item in value if value.count(item) > 1})
        if repeated:
            raise ValueError(f'"{repeated[0]}" is given twice; keep the first')
        return value


class Freshness(Declaration):
    """How fast contact data age: the share that goes stale in a year, per kind of contact point."""

    yearly_loss: float = Field(default=YEARLY_LOSS, gt=0, lt=1)
    kinds: dict[ContactKind, float] = Field(default_factory=dict)
    doubtful_below: float = Field(default=0.5, gt=0, lt=1, description="Below it a contact point is in doubt")

    @field_validator("kinds")
    @classmethod
    def _shares(cls, value: dict[str, float]) -> dict[str, float]:
        for kind, loss in value.items():
            if not 0 < loss < 1:
                raise ValueError(f'"{kind}": the yearly loss is a share between 0 and 1, not {loss}')
        return value


class Survivorship(Declaration):
    """How the golden record is made. Attributes that are not named take the default strategies."""

    attributes: dict[str, AttributeRule] = Field(default_factory=dict)
    freshness: Freshness = Freshness()

    @model_validator(mode="after")
    def _known_attributes(self) -> Survivorship:
        for name in self.attributes:
            if name not in ATTRIBUTES:
                grouped = {column: rule for rule, columns in ATTRIBUTES.items() for column in columns}
                hint = (
                    f'; it is chosen as part of "{grouped[name]}"'
                    if name in grouped
                    else did_you_mean(name, ATTRIBUTES)
                )
                raise ValueError(f'there is no rule for an attribute "{name}"{hint}')
        return self

    def rule(self, attribute: str) -> AttributeRule:
        return self.attributes.get(attribute, AttributeRule())

    def tables(self) -> dict[str, pa.Table]:
        """The control tables.

        `survivorship_rules`: attribute, position (from 1), strategy. `survivorship_sources`: attribute,
        source, preference (from 1). `freshness_rates`: kind, yearly_loss (share), doubtful_below.
        """
        rules = [
            {"attribute": attribute, "position": position, "strategy": strategy}
            for attribute in ATTRIBUTES
            for position, strategy in enumerate(self.rule(attribute).strategies, start=1)
        ]
        preferred = [
            {"attribute": attribute, "source": source, "preference": preference}
            for attribute in ATTRIBUTES
            for preference, source in enumerate(self.rule(attribute).sources, start=1)
        ]
        rates = [
            {
                "kind": kind,
                "yearly_loss": self.freshness.kinds.get(kind, self.freshness.yearly_loss),
                "doubtful_below": self.freshness.doubtful_below,
            }
            for kind in CONTACT_KINDS
        ]
        return {
            "survivorship_rules": pa.Table.from_pylist(
                rules,
                schema=pa.schema([("attribute", pa.string()), ("position", pa.int32()), ("strategy", pa.string())]),
            ),
            "survivorship_sources": pa.Table.from_pylist(
                preferred,
                schema=pa.schema([("attribute", pa.string()), ("source", pa.string()), ("preference", pa.int32())]),
            ),
            "freshness_rates": pa.Table.from_pylist(
                rates,
                schema=pa.schema(
                    [("kind", pa.string()), ("yearly_loss", pa.float64()), ("doubtful_below", pa.float64())]
                ),
            ),
        }

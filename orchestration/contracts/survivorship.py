"""`survivorship.yml`: which of several records gives each golden value.

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
    "custom": ("custom",),
}  # fmt: skip

ListRule = Literal["all", "most_recent", "most_trusted"]

DEFAULT_STRATEGIES: tuple[Strategy, ...] = ("valid_first", "most_trusted", "most_recent")


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


class Lists(Declaration):
    """What becomes of values that come as lists: all of them, or those of one record."""

    tags: ListRule = "all"
    interests: ListRule = "all"


class Survivorship(Declaration):
    """How the golden record is made. Attributes that are not named take the default strategies."""

    attributes: dict[str, AttributeRule] = Field(default_factory=dict)
    lists: Lists = Lists()

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
        source, preference (from 1). `survivorship_lists`: attribute (tags, interests), keep.
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
        return {
            "survivorship_rules": pa.Table.from_pylist(
                rules,
                schema=pa.schema([("attribute", pa.string()), ("position", pa.int32()), ("strategy", pa.string())]),
            ),
            "survivorship_sources": pa.Table.from_pylist(
                preferred,
                schema=pa.schema([("attribute", pa.string()), ("source", pa.string()), ("preference", pa.int32())]),
            ),
            "survivorship_lists": pa.table(
                {"attribute": ["tags", "interests"], "keep": [self.lists.tags, self.lists.interests]}
            ),
        }

"""`consents.yml`: the law of contacting people, as settings: ages, terms, what counts as a yes.

What belongs here: terms and channels. What does not: which statement holds over merged records (SQL: the most
restrictive, unless an explicit yes for the same channel and purpose is later), which no setting weakens.
"""

from __future__ import annotations

import datetime as dt
from typing import Literal

import pyarrow as pa
from pydantic import Field, field_validator

from orchestration.contracts.loader import Declaration

Channel = Literal["email", "sms", "phone", "post", "push"]
CHANNELS: tuple[Channel, ...] = ("email", "sms", "phone", "post", "push")

#: Calls need a yes since then (law 2025-594).
CALLS_NEED_YES_ON = dt.date(2026, 8, 11)


class Consents(Declaration):
    """What makes a consent valid. The defaults are those of French law and the CNIL's guidance."""

    double_opt_in: tuple[Channel, ...] = Field(
        default=(), description="Channels on which a yes counts only once it was confirmed (basis double_opt_in)"
    )
    expires_after_days: dict[Channel, int] = Field(
        default_factory=dict, description="Days after which a yes on the channel no longer holds"
    )
    needs_proof: tuple[Channel, ...] = Field(
        default=("phone",),
        description="Channels on which a yes counts only with a proof or the version of the text that was shown",
    )
    soft_opt_in_days: int = Field(
        default=1095,
        ge=1,
        description="Own customers may be written to about similar products so long after a purchase",
    )
    soft_opt_in_channels: tuple[Literal["email", "sms"], ...] = Field(
        default=("email", "sms"), description="Channels on which that exception is used"
    )
    minor_under: int = Field(default=15, ge=13, le=18, description="Below this age a parent has to agree")
    unknown_age_is_minor: bool = Field(default=False, description="Treat people without a birth date as minors")
    parental_consent: bool = Field(
        default=False, description="A minor is contacted where a parent agreed (a consent with the basis `parental`)"
    )
    professionals: bool = Field(
        default=False,
        description="A customer with a company may be e-mailed on the ground legitimate_interest that a source tells",
    )
    calls_need_yes_from: dt.date = Field(default=CALLS_NEED_YES_ON, description="Day since which calls need a yes")

    @field_validator("expires_after_days")
    @classmethod
    def _whole_days(cls, value: dict[Channel, int]) -> dict[Channel, int]:
        for channel, days in value.items():
            if days < 1:
                raise ValueError(f'"{channel}": a consent lasts at least a day, not {days}')
        return value

    def tables(self) -> dict[str, pa.Table]:
        """`consent_settings`: one row. `consent_channels`: one row per channel."""
        return {
            "consent_settings": pa.Table.from_pylist(
                [
                    {
                        "soft_opt_in_days": self.soft_opt_in_days,
                        "minor_under": self.minor_under,
                        "unknown_age_is_minor": self.unknown_age_is_minor,
                        "parental_consent": self.parental_consent,
                        "professionals": self.professionals,
                        "calls_need_yes_from": self.calls_need_yes_from,
                    }
                ],
                schema=pa.schema(
                    [
                        ("soft_opt_in_days", pa.int32()), ("minor_under", pa.int32()),
                        ("unknown_age_is_minor", pa.bool_()), ("parental_consent", pa.bool_()),
                        ("professionals", pa.bool_()), ("calls_need_yes_from", pa.date32()),
                    ]
                ),
            ),
            "consent_channels": pa.Table.from_pylist(
                [
                    {
                        "channel": channel,
                        "needs_double_opt_in": channel in self.double_opt_in,
                        "needs_proof": channel in self.needs_proof,
                        "expires_after_days": self.expires_after_days.get(channel),
                        "allows_soft_opt_in": channel in self.soft_opt_in_channels,
                    }
                    for channel in CHANNELS
                ],
                schema=pa.schema(
                    [
                        ("channel", pa.string()), ("needs_double_opt_in", pa.bool_()), ("needs_proof", pa.bool_()),
                        ("expires_after_days", pa.int32()), ("allows_soft_opt_in", pa.bool_()),
                    ]
                ),
            ),
        }  # fmt: skip

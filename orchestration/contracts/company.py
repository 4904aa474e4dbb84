"""`company.yml`: who the company is, and the money, clock and calendar that every run uses."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from typing import Literal

import pyarrow as pa
from pydantic import Field, field_validator

from orchestration.contracts.loader import Declaration

Role = Literal["pseudonymised", "aggregate"]


class Access(Declaration):
    """What others than those who may see everything are given: a database of their own per role."""

    roles: tuple[Role, ...] = Field(default=(), description="Roles that get a database: pseudonymised, aggregate")
    small_cells_below: int = Field(
        default=10, ge=2, description="In the aggregate database, counts below it are withheld"
    )
    encrypted: bool = Field(default=False, description="These databases are encrypted, each with a key of its own")


class Company(Declaration):
    """The company whose customers these are."""

    name: str
    currency: str = Field(default="EUR", pattern=r"^[A-Z]{3}$", description="ISO 4217 code")
    country: str = Field(default="FR", pattern=r"^[A-Z]{2}$", description="ISO 3166 code of the home market")
    time_zone: str = Field(default="Europe/Paris", description="IANA name; as-of dates are days of this zone")
    first_day: dt.date = Field(default=dt.date(2020, 1, 1), description="First date that a run can be as of")
    first_day_of_week: Literal["monday", "sunday"] = "monday"
    languages: tuple[str, ...] = Field(default=("fr", "en"), min_length=1)
    encrypted_at_rest: bool = Field(
        default=False, description="The build and published databases are encrypted, with a key from the key file"
    )
    access: Access = Field(default=Access(), description="Databases for roles that may not see everybody")

    @field_validator("time_zone")
    @classmethod
    def _zone_exists(cls, value: str) -> str:
        try:
            zoneinfo.ZoneInfo(value)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError):
            raise ValueError(f'"{value}" is no IANA time zone; try "Europe/Paris"') from None
        return value

    def today(self) -> dt.date:
        """The current date in the company's time zone."""
        return dt.datetime.now(zoneinfo.ZoneInfo(self.time_zone)).date()

    def tables(self) -> dict[str, pa.Table]:
        """`company`: one row."""
        return {
            "company": pa.Table.from_pylist(
                [
                    {
                        "name": self.name,
                        "currency": self.currency,
                        "country": self.country,
                        "time_zone": self.time_zone,
                        "first_day": self.first_day,
                        "first_day_of_week": self.first_day_of_week,
                        "languages": ",".join(self.languages),
                    }
                ]
            )
        }

"""`declarations/retention.yml`: how long what is kept, and how requests are handled.

What belongs here: the model of the file and its defaults. What does not: removing anything.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from orchestration.contracts.loader import Declaration


class Requests(Declaration):
    """Requests of persons. An erasure waits a few days, so that a mistaken one can still be refused."""

    erase_after_days: int = Field(
        default=7, ge=0, le=25, description="Days from reception until a run carries out a delivered erasure request"
    )


class People(Declaration):
    """When somebody who fell silent is erased, counted from the last contact that came from them."""

    prospects_after_months: int = Field(default=36, ge=1, le=120, description="Those who never bought")
    customers_after_months: int = Field(
        default=60, ge=1, le=240, description="Those who bought; order lines stay, without the person"
    )


class Records(Declaration):
    """What is kept besides people."""

    grants_after_months: int = Field(
        default=120, ge=36, le=240, description="Old consents given; refusals are kept as long as the person"
    )
    originals_after_months: int = Field(default=120, ge=1, le=240, description="Archived original files")
    refused_files_after_days: int = Field(default=90, ge=1, le=3650, description="Files refused whole")
    exports_after_days: int = Field(default=90, ge=1, le=3650, description="Audience files and removal files")
    publications_after_days: int = Field(
        default=400, ge=1, le=3650, description="Publications of past dates; the current one always stays"
    )
    logs_after_days: int = Field(default=90, ge=1, le=3650, description="Runs in the Dagster UI, and logs")


class Purpose(Declaration):
    """One line of the register of processing (article 30)."""

    purpose: str
    legal_basis: Literal["consent", "contract", "legal_obligation", "legitimate_interest"]
    concerns: str = Field(description="Whose data")
    kept: str = Field(description="How long, in words")


class Controller(Declaration):
    """Who answers for the processing, and whom to write to."""

    name: str | None = Field(default=None, description="Default: the company's name")
    contact: str | None = Field(default=None, description="Address of the data protection officer")


class Retention(Declaration):
    """How long personal data are kept, and why they are held."""

    controller: Controller = Field(default_factory=Controller)
    requests: Requests = Field(default_factory=Requests)
    people: People = Field(default_factory=People)
    records: Records = Field(default_factory=Records)
    purposes: tuple[Purpose, ...] = ()

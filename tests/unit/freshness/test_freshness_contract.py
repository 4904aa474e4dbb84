"""freshness.yml and consents.yml: what they accept, what they refuse, the tables they give."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from orchestration.contracts.consents import Consents
from orchestration.contracts.freshness import Freshness
from orchestration.contracts.loader import load, parse, validate
from orchestration.errors import DeclarationError
from orchestration.freshness import figures as freshness_of_marts


def freshness(text: str) -> Freshness:
    return validate(parse(text, "freshness.yml"), Freshness)


def consents(text: str) -> Consents:
    return validate(parse(text, "consents.yml"), Consents)


def test_the_demo_declares_both(project: Path) -> None:
    assert load(project / "declarations" / "freshness.yml", Freshness).yearly_loss == 0.11
    assert load(project / "declarations" / "consents.yml", Consents).minor_under == 15


def test_each_kind_of_contact_point_has_a_rate() -> None:
    rows = freshness("{yearly_loss: 0.2, kinds: {landline: 0.05}}").tables()["freshness_rates"].to_pylist()
    assert {row["kind"]: row["yearly_loss"] for row in rows} == {
        "email": 0.2, "mobile": 0.2, "landline": 0.05, "post": 0.2,
    }  # fmt: skip


def test_channels_carry_their_terms() -> None:
    rows = consents("{double_opt_in: [email], expires_after_days: {sms: 365}}").tables()["consent_channels"].to_pylist()
    told = {
        row["channel"]: (row["needs_double_opt_in"], row["expires_after_days"], row["allows_soft_opt_in"])
        for row in rows
    }
    assert told == {
        "email": (True, None, True), "sms": (False, 365, True), "phone": (False, None, False),
        "post": (False, None, False), "push": (False, None, False),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{yearly_loss: 11}", "yearly_loss"),
        ("{kinds: {email: 11}}", "a share between 0 and 1"),
        ("{kinds: {fax: 0.1}}", "kinds.fax"),
        ("{bands_years: [3, 1]}", "bands are years, growing"),
        ("{prior_losses: 0}", "prior_losses"),
        ("{prior_loss: 5}", 'unknown key "prior_loss"; did you mean "prior_losses"?'),
    ],
)
def test_what_is_wrong_in_freshness_is_said_with_its_line(text: str, message: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        freshness(text)
    assert message in str(caught.value)
    assert str(caught.value).startswith("freshness.yml:1: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{double_opt_in: [fax]}", "double_opt_in.0"),
        ("{expires_after_days: {email: 0}}", "at least a day"),
        ("{soft_opt_in_channels: [phone]}", "soft_opt_in_channels.0"),
        ("{minor_under: 3}", "minor_under"),
        ("{double_optin: [email]}", 'unknown key "double_optin"; did you mean "double_opt_in"?'),
    ],
)
def test_what_is_wrong_in_consents_is_said_with_its_line(text: str, message: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        consents(text)
    assert message in str(caught.value)
    assert str(caught.value).startswith("consents.yml:1: ")


def test_the_figures_for_the_runs_are_those_of_the_marts_and_of_all_sources_together() -> None:
    with duckdb.connect() as connection:
        connection.execute(
            "create schema marts; create table marts.freshness_forecast as select * from (values ('email', '', 0, 0.05), "
            "('email', '', 12, 0.15), ('email', 'crm', 0, 0.5), ('post', '', 3, null)) as t(kind, source, horizon_months, obsolete_rate); "
            "create table marts.reverification as select range + 1 as priority, 2.0 as stake from range(150)"
        )
        told = freshness_of_marts(connection, "marts.freshness_forecast")
        assert told == {"email_obsolete_rate_today": 0.05, "email_obsolete_rate_in_12_months": 0.15}
        told = freshness_of_marts(connection, "marts.reverification")
        assert told == {"value_at_stake": 300, "value_at_stake_in_first_100": 200}
        assert freshness_of_marts(connection, "rcu.customers") == {}

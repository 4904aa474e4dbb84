"""What freshness and consents promise of a published database."""

from __future__ import annotations

import pytest

from tests.pipeline.conftest import History
from tests.pipeline.workspaces import Shop


@pytest.fixture(scope="module")
def shop(history: History) -> Shop:
    return history.shop


def test_curves_begin_at_one_never_rise_and_lie_within_their_interval(shop: Shop) -> None:
    curves: dict[tuple, list[float]] = {}
    for kind, source, rate in shop.query(
        "select kind, source, still_good_rate from marts.contact_decay order by kind, source, age_months"
    ):
        curves.setdefault((kind, source), []).append(rate)
    assert {kind for kind, source in curves if source == ""} == {"email", "mobile", "landline", "post"}
    for rates in curves.values():
        assert rates[0] == 1
        assert rates == sorted(rates, reverse=True)
        assert len(rates) == 121
    outside = shop.query(
        "select count(*) from marts.contact_decay where not yearly_loss_rate between yearly_loss_low_rate and yearly_loss_high_rate"
    )
    assert outside == [(0,)]


def test_freshness_is_that_of_the_curve_of_its_source_at_its_age(shop: Shop) -> None:
    rows = shop.query(
        "select p.freshness, d.still_good_rate from rcu.contact_points as p join marts.contact_decay as d "
        "on d.kind = p.kind and d.source = p.source and d.age_days = p.age_days where p.is_valid"
    )
    assert len(rows) > 20
    assert [row for row in rows if abs(row[0] - row[1]) > 1e-9] == []
    assert shop.query("select count(*) from rcu.contact_points where not is_valid and freshness > 0") == [(0,)]
    assert shop.query("select count(*) from rcu.contact_points where freshness not between 0 and 1") == [(0,)]


def test_the_360_carries_the_freshness_of_the_golden_values(shop: Shop) -> None:
    wrong = shop.query(
        "select count(*) from marts.customer_360 as c join rcu.contact_points as p on c.customer_id = p.customer_id "
        "and p.channel = 'email' and p.value = c.email where c.email_freshness is distinct from p.freshness"
    )
    assert wrong == [(0,)]
    assert shop.query(
        "select count(*) from marts.customer_360 where email is not null and email_freshness is null"
    ) == [(0,)]
    assert shop.query(
        "select count(*) from marts.customer_360 where abs(address_doubt + address_freshness - 1) > 1e-9"
    ) == [(0,)]


def test_the_forecast_only_worsens_and_its_parts_add_up(shop: Shop) -> None:
    rates: dict[tuple, list[float]] = {}
    for kind, source, rate in shop.query(
        "select kind, source, obsolete_rate from marts.freshness_forecast where point_count > 0 order by kind, source, horizon_months"
    ):
        rates.setdefault((kind, source), []).append(rate)
    assert rates and all(len(found) == 4 and found == sorted(found) for found in rates.values())
    counts = shop.query(
        "select kind, horizon_months, sum(point_count) filter (where source <> ''), sum(point_count) filter (where source = '') "
        "from marts.freshness_forecast group by all"
    )
    assert [row for row in counts if row[2] != row[3]] == []


def test_what_to_verify_first_is_where_most_is_at_stake(shop: Shop) -> None:
    stakes = [stake for (stake,) in shop.query("select stake from marts.reverification order by priority")]
    assert len(stakes) > 50
    assert stakes == sorted(stakes, reverse=True)
    assert shop.query(
        "select count(*) from marts.reverification where abs(stake - customer_value * doubt_rate) > 0.01 + customer_value * 0.0001"
    ) == [(0,)]
    assert shop.query("select count(*) from marts.reverification join rcu.suppressions using (customer_id)") == [(0,)]


def test_nobody_who_said_no_last_is_contactable(shop: Shop) -> None:
    """From the ledger itself: a refusal without a later statement of any kind about channel and purpose."""
    wrong = shop.query(
        """
        with last_words as (
            select c.customer_id, c.channel, c.purpose,
                max(l.occurred_at) filter (where l.status in ('refused', 'withdrawn')) as no_at,
                max(l.occurred_at) filter (where l.status = 'granted') as yes_at
            from rcu.contactability as c
            join rcu.consent_ledger as l on c.customer_id = l.customer_id and l.channel in (c.channel, 'all')
                and l.purpose in (c.purpose, 'all')
            where c.is_contactable
            group by all
        )
        select count(*), count(*) filter (where no_at is not null and coalesce(yes_at, no_at) <= no_at) from last_words
        """
    )[0]
    assert wrong[0] > 50
    assert wrong[1] == 0


def test_nobody_suppressed_or_bounced_is_contactable(shop: Shop) -> None:
    assert shop.query(
        "select count(*) from rcu.contactability join rcu.suppressions using (customer_id) where is_contactable"
    ) == [(0,)]
    assert shop.query(
        "select count(*) from rcu.contactability as c where c.channel = 'email' and c.is_contactable and not exists "
        "(select 1 from rcu.contact_points as p where p.customer_id = c.customer_id and p.channel = 'email' and p.is_valid)"
    ) == [(0,)]


def test_every_golden_value_tells_where_it_came_from(shop: Shop) -> None:
    for column in ("email", "language", "sex", "civility"):
        lost = shop.query(
            f"select count(*) from rcu.customers as c where c.{column} is not null and not exists (select 1 from "
            f"rcu.customer_attributes as a where a.customer_id = c.customer_id and a.attribute = '{column}' and a.value = c.{column})"
        )
        assert lost == [(0,)], column
    assert shop.query(
        "select count(*) from rcu.customer_attributes anti join rcu.customer_records using (customer_id, source, record_id)"
    ) == [(0,)]

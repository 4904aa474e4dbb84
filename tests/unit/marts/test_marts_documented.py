"""The published marts, as their YAML states them: described, classified, keyed."""

from __future__ import annotations

import re

import pytest
import yaml

from orchestration.settings import DBT_PROJECT_DIR

MARTS = DBT_PROJECT_DIR / "models" / "marts"
CLASSES = {"identity", "contact", "reference", "trait", "sensitive", "none"}
MODELS = {
    model["name"]: model
    for file in sorted(MARTS.rglob("_*.yml"))
    for model in yaml.safe_load(file.read_text(encoding="utf-8"))["models"]
}
SQL = {file.stem: file.read_text(encoding="utf-8") for file in sorted(MARTS.rglob("*.sql"))}

# What the other domains and the design page rely on.
_NAMES = """
customer_id household_id civility first_name last_name birth_on age_years sex is_minor email phone address_line
postal_code city department region country language custom tags interests preferred_contact_channel first_seen_on
last_contact_at days_since_last_contact record_count source_count sources is_suppressed has_email has_phone
has_postal_address is_contactable_email is_contactable_sms is_contactable_phone is_contactable_post
email_contact_reason sms_contact_reason phone_contact_reason post_contact_reason email_freshness phone_freshness
address_freshness address_doubt first_order_on last_order_on days_since_last_order order_count order_count_365d
amount_gross amount_returned amount_net amount_net_365d average_order_amount return_rate discount_rate
average_interval_days preferred_channel preferred_store preferred_category preferred_brand preferred_audience
category_count channel_count has_web_order has_store_order rfm_recency_score rfm_frequency_score rfm_monetary_score
rfm_segment lifecycle_stage lifecycle_since_on days_in_stage lifecycle_reason previous_lifecycle_stage
churn_risk_band purchase_probability_30d purchase_probability_90d purchase_probability_365d expected_orders_365d
expected_value_365d last_email_open_at last_email_click_at email_click_count_90d session_count_30d last_session_at
last_cart_at call_count_365d last_survey_score plan plan_reason plan_runner_up value_percentile control_bucket
"""
RELIED_ON = frozenset(_NAMES.split())


def test_every_mart_has_a_description_and_every_description_a_mart():
    assert set(MODELS) == set(SQL)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_mart_says_its_grain_and_tests_its_key(name):
    assert SQL[name].startswith("-- One row per "), f"{name}.sql does not begin with its grain"
    keys = [
        test[kind]["arguments"]["columns"]
        for test in MODELS[name]["data_tests"]
        for kind in ("one_row_per", "unique_together")
        if kind in test
    ]
    columns = {column["name"] for column in MODELS[name]["columns"]}
    assert len(keys) == 1 and set(keys[0]) <= columns


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_column_is_described_typed_and_classified_once(name):
    columns = MODELS[name]["columns"]
    assert len({column["name"] for column in columns}) == len(columns)
    for column in columns:
        where = f"{name}.{column['name']}"
        assert len(column["description"]) > 2, where
        assert column["config"]["meta"]["personal"] in CLASSES, where
        if column["name"].startswith("amount_"):
            assert column["data_type"] == "decimal(18,4)", f"{where}: money is never {column['data_type']}"
        if column["name"].endswith("_on") and not column["name"].startswith(("is_", "has_")):
            assert column["data_type"] == "date", where
        if column["name"].endswith("_at"):
            assert column["data_type"] == "timestamp", where


def test_customer_360_has_every_column_that_others_rely_on():
    assert not RELIED_ON - {column["name"] for column in MODELS["customer_360"]["columns"]}


@pytest.mark.parametrize("name", sorted(SQL))
def test_a_mart_publishes_named_columns_only(name):
    final = re.split(r"^(?=select\b)", SQL[name], flags=re.MULTILINE)[-1]
    assert not re.search(r"select\s+(\w+\.)?\*", final), f"{name}.sql ends in select *"


@pytest.mark.parametrize("column", MODELS["customer_360"]["columns"], ids=lambda column: column["name"])
def test_a_column_of_customer_360_says_its_unit_and_the_table_it_is_from(column):
    """Which of the tables it may be read in the published database, so that a figure can be traced."""
    meta = column["config"]["meta"]
    assert meta["unit"] in {
        "key", "text", "date", "UTC", "days", "years", "count", "company currency", "0 to 1", "true or false",
        "1 to 5", "1 to 7", "0 to 23", "0 to 99", "JSON", "points of the survey",
    }  # fmt: skip
    schema, table = meta["from"].split(".")
    folder = {"rcu": MARTS.parent / "rcu", "marts": MARTS}[schema]
    assert list(folder.rglob(f"{table}.sql")), meta["from"]
    # what the unit says, name and type say too
    said = {
        "key": column["name"].endswith("_id"),
        "date": column["data_type"] == "date",
        "UTC": column["data_type"] == "timestamp",
        "company currency": column["data_type"] == "decimal(18,4)",
        "true or false": column["data_type"] == "boolean",
    }
    assert said.get(meta["unit"], True) and all(meta["unit"] == unit for unit, holds in said.items() if holds)
    name, unit = column["name"], meta["unit"]
    if column["data_type"] == "varchar":
        assert unit in {"key", "text", "JSON"}
    if name.endswith(("_rate", "_freshness", "_percentile")) or "_probability_" in name:
        assert unit == "0 to 1"
    if "_count" in name:
        assert unit == "count"
    if name.startswith("days_") or name.endswith("_days"):
        assert unit == "days"

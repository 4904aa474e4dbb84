"""`value.yml` and `plans.yml`: what is refused, with which words, and what SQL is handed."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pytest

from orchestration.contracts.loader import load, parse, validate
from orchestration.contracts.plans import Plans
from orchestration.contracts.value import Value
from orchestration.errors import DeclarationError
from orchestration.settings import PROJECT_ROOT


def value(text: str) -> Value:
    return validate(parse(text, "value.yml"), Value)


def plans(text: str) -> Plans:
    return validate(parse(text, "plans.yml"), Plans)


def refusal(text: str, read=value) -> str:
    with pytest.raises(DeclarationError) as caught:
        read(text)
    return str(caught.value)


def test_the_demo_declarations_are_valid():
    assert load(PROJECT_ROOT / "declarations" / "value.yml", Value).rfm.methods[0].returns == "net"
    assert [plan.plan for plan in load(PROJECT_ROOT / "declarations" / "plans.yml", Plans).plans] == [
        "welcome", "conversion", "loyalty", "retention", "reactivation",
    ]  # fmt: skip


def test_a_workspace_that_begins_knows_the_line_kinds_that_an_empty_file_knows():
    starter = PROJECT_ROOT / "orchestration" / "contracts" / "starter" / "declarations" / "value.yml"
    begun, empty = load(starter, Value).orders.line_kinds, value("orders: {}").orders.line_kinds
    assert [(rule.kind, rule.when) for rule in begun] == [(rule.kind, rule.when) for rule in empty]


def test_every_part_of_value_yml_has_defaults_and_every_table_is_there_even_when_empty():
    tables = value("orders: {}").tables()
    assert tables["currency_rates"].num_rows == 0
    assert tables["rfm_thresholds"].num_rows == 0
    assert tables["order_systems"].num_rows == 0
    assert tables["rfm_settings"].num_rows == 1
    assert tables["lifecycle_settings"].num_rows == 1
    assert tables["rfm_grid"].num_rows == 25


def test_an_unknown_key_is_refused_with_its_line_and_the_nearest_name():
    message = refusal("rfm:\n  methods:\n    - {method: m, freqency_ties: together}\n")
    assert message.startswith("value.yml:3: unknown key") and 'did you mean "frequency_ties"?' in message


def test_a_rule_without_condition_is_refused():
    assert "would hold for every line" in refusal("orders:\n  line_kinds:\n    - {kind: fee, when: {}}\n")


@pytest.mark.parametrize(
    ("pattern", "words"), [("[", "no regular expression"), ("(?=x)y", "looks around"), (r"(a)\\1", "looks around")]
)
def test_a_pattern_that_sql_engines_cannot_run_is_refused(pattern, words):
    text = f'orders:\n  line_kinds:\n    - {{kind: fee, when: {{product_matches: "{pattern}"}}}}\n'
    assert words in refusal(text)


def test_a_rule_becomes_one_row_and_its_lists_one_row_per_value_in_lower_case():
    tables = value(
        "orders:\n  line_kinds:\n    - {kind: fee, when: {products: [POST, post, Dot], unit_price: positive}}\n"
    ).tables()
    (rule,) = tables["line_kind_rules"].to_pylist()
    assert (rule["position"], rule["kind"], rule["unit_price_sign"]) == (1, "fee", "positive")
    assert rule["has_product_list"] and not rule["has_source_list"] and not rule["has_status_list"]
    assert [(row["field"], row["value"]) for row in tables["line_kind_rule_values"].to_pylist()] == [
        ("product", "dot"), ("product", "post"),
    ]  # fmt: skip


def test_a_rate_holds_until_the_next_one_of_its_currency():
    tables = value(
        "currency_rates:\n"
        "  - {currency: GBP, since: 2024-01-01, rate: 1.1}\n"
        "  - {currency: USD, since: 2020-01-01, rate: 0.9}\n"
        "  - {currency: GBP, since: 2020-01-01, rate: 1.2}\n"
    ).tables()
    rows = [tuple(row.values()) for row in tables["currency_rates"].to_pylist()]
    assert rows == [
        ("GBP", dt.date(2020, 1, 1), dt.date(2024, 1, 1), Decimal("1.20000000")),
        ("GBP", dt.date(2024, 1, 1), dt.date(9999, 12, 31), Decimal("1.10000000")),
        ("USD", dt.date(2020, 1, 1), dt.date(9999, 12, 31), Decimal("0.90000000")),
    ]


def test_two_rates_of_one_currency_and_day_are_refused():
    text = (
        "currency_rates:\n  - {currency: GBP, since: 2024-01-01, rate: 1.1}\n"
        "  - {currency: GBP, since: 2024-01-01, rate: 1.3}\n"
    )
    assert "GBP has two rates since 2024-01-01" in refusal(text)


def test_a_source_in_two_systems_is_refused():
    text = "orders:\n  systems:\n    - {system: tills, sources: [lines]}\n    - {system: web, sources: [lines]}\n"
    assert '"tills" and "web"' in refusal(text)


CELL = "- {{segment: {0}, label: {{en: a, fr: b}}, recency: {1}, frequency: {2}}}"


def grid(*cells: tuple[str, str, str]) -> str:
    lines = "\n".join("        " + CELL.format(*cell) for cell in cells)
    return f"rfm:\n  methods: [{{method: m, grid: two}}]\n  grids:\n    - grid: two\n      cells:\n{lines}\n"


EVERY = "[1, 2, 3, 4, 5]"


def test_a_grid_gives_each_pair_of_scores_one_segment():
    assert value(grid(("low", "[1, 2]", EVERY), ("high", "[3, 4, 5]", EVERY))).tables()["rfm_grid"].num_rows == 50
    assert "recency 3, frequency 1 is in" in refusal(grid(("low", "[1, 2, 3]", EVERY), ("high", "[3, 4, 5]", EVERY)))
    assert "no segment has the scores 51, 52, 53, 54, 55" in refusal(grid(("low", "[1, 2, 3, 4]", EVERY)))


def test_the_first_method_is_the_default_and_of_customers():
    tables = value("rfm:\n  methods: [{method: a}, {method: b, unit: household}]\n").tables()
    assert [row["is_default"] for row in tables["rfm_settings"].to_pylist()] == [True, False]
    assert '"methods" is empty' in refusal("rfm: {methods: []}\n")
    assert "must be of customers" in refusal("rfm:\n  methods: [{method: b, unit: household}]\n")
    assert 'no grid "eleven"' in refusal("rfm:\n  methods: [{method: a, grid: eleven}]\n")


def test_fixed_thresholds_go_with_their_setting_and_rise():
    edges = "recency_days: [30, 90, 180, 365], frequency: [1, 2, 4, 8], monetary: [50, 100, 250.5, 1000]"
    tables = value(f"rfm:\n  methods: [{{method: a, scores: thresholds, thresholds: {{{edges}}}}}]\n").tables()
    assert {row["measure"]: row["edge_3"] for row in tables["rfm_thresholds"].to_pylist()} == {
        "recency": Decimal(180), "frequency": Decimal(4), "monetary": Decimal("250.5"),
    }  # fmt: skip
    assert "goes with" in refusal("rfm:\n  methods: [{method: a, scores: thresholds}]\n")
    falling = edges.replace("[1, 2, 4, 8]", "[1, 4, 2, 8]")
    assert '"frequency" should rise' in refusal(
        f"rfm:\n  methods: [{{method: a, scores: thresholds, thresholds: {{{falling}}}}}]\n"
    )


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("starting_days: [90, 90, 365]", "should rise"),
        ("late: {quantile: 0.95}", "quantiles should rise"),
        ("at_risk: {quantile: 0.9, days: 300}\n  lost: {quantile: 0.95, days: 200}", "days should rise"),
        ("loyal_orders: 8\n  ambassador_orders: 4", "should be above"),
    ],
)
def test_lifecycle_thresholds_rise(setting, words):
    assert words in refusal(f"lifecycle:\n  {setting}\n")


def test_days_of_a_group_need_groups_rise_and_become_a_row_each():
    tables = value("lifecycle:\n  rhythm_by: category\n  overrides: {Shoes: {at_risk: 60, lost: 90}}\n").tables()
    assert tables["lifecycle_overrides"].to_pylist() == [
        {"rhythm_group": "Shoes", "late_days": None, "at_risk_days": 60, "lost_days": 90}
    ]
    assert value("orders: {}").tables()["lifecycle_overrides"].num_rows == 0
    assert 'set "rhythm_by"' in refusal("lifecycle:\n  overrides: {Shoes: {lost: 90}}\n")
    for days, words in (("late: 90, lost: 60", "should rise"), ("", "no days are given")):
        assert words in refusal(f"lifecycle:\n  rhythm_by: category\n  overrides: {{Shoes: {{{days}}}}}\n")


PLAN = (
    "plans:\n  - plan: welcome\n    label: {en: a, fr: b}\n    objective: {en: a, fr: b}\n    offer: {en: a, fr: b}\n"
    "    channels: [email, post]\n    every_days: 7\n    for:\n"
)


def test_a_plan_rule_becomes_one_row_per_combination_of_its_conditions():
    tables = plans(
        PLAN + "      - {stages: [new, regular], churn_risk_bands: [high], weight: 5, why: because}\n"
    ).tables()
    assert [
        (row["stage"], row["churn_risk_band"], row["rfm_segment"], row["weight"])
        for row in tables["plan_rules"].to_pylist()
    ] == [("new", "high", None, 5), ("regular", "high", None, 5)]
    assert [row["channel"] for row in tables["plan_channels"].to_pylist()] == ["email", "post"]


def test_a_plan_rule_without_condition_or_with_an_unknown_stage_is_refused():
    assert "no condition" in refusal(PLAN + "      - {weight: 5, why: because}\n", plans)
    assert "plans.yml:9" in refusal(PLAN + "      - {stages: [nwe], weight: 5, why: because}\n", plans)


def test_a_plan_given_twice_is_refused():
    text = PLAN + "      - {stages: [new], weight: 5, why: because}\n"
    assert '"welcome" is given twice' in refusal(text + text.removeprefix("plans:\n"), plans)


def test_messages_name_the_file_relative_to_the_workspace(tmp_path: Path):
    (tmp_path / "value.yml").write_text("lifecycle: {minimum_stay_days: 0}\n", encoding="utf-8")
    with pytest.raises(DeclarationError, match=r"^value\.yml:1: "):
        load(tmp_path / "value.yml", Value, tmp_path)

"""The daily step end to end, on invented shops: what it writes, when it withholds, which model it takes."""

from __future__ import annotations

import datetime as dt
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestration import registry
from orchestration.contracts.scoring import BackTest, ChurnBands, Gate, Logistic, Scoring
from orchestration.scores import ScoreReport, score
from orchestration.scores.models import SCORE_MODELS
from orchestration.settings import Workspace
from orchestration.warehouse import Connection

LAST = dt.date(2025, 12, 31)
COLUMNS = [
    ("customer_id", "VARCHAR"),
    ("purchase_probability_30d", "DOUBLE"),
    ("purchase_probability_90d", "DOUBLE"),
    ("purchase_probability_365d", "DOUBLE"),
    ("expected_orders_365d", "DOUBLE"),
    ("expected_value_365d", "DECIMAL(18,4)"),
    ("churn_risk_band", "VARCHAR"),
    ("model", "VARCHAR"),
    ("withheld_reason", "VARCHAR"),
]
MAKE = Callable[..., Connection]


def run(
    connection: Connection, workspace: Workspace, settings: Scoring, as_of_on: dt.date = LAST,
    *, number: int = 1, is_forward: bool = True, is_committed: bool = True, refit: bool = False,
) -> ScoreReport:  # fmt: skip
    version = f"{as_of_on:%Y%m%d}-{number:04d}"
    report = score(
        connection, workspace, settings, as_of_on=as_of_on, version=version, run_id=f"run-{version}",
        is_forward=is_forward, refit=refit,
    )  # fmt: skip
    if is_forward and is_committed:
        registry.commit_version(
            workspace, registry.Commit(version, as_of_on, f"run-{version}", "", "2026-01-01T00:00:00")
        )
    return report


def scores_of(connection: Connection) -> list[tuple[object, ...]]:
    return connection.execute("select * from scores.customer_scores order by customer_id").fetchall()


def stored_fits(connection: Connection, workspace: Workspace) -> list[dt.date]:
    stored = registry.rows(workspace, SCORE_MODELS)
    return [day for (day,) in connection.execute(f"select distinct fitted_on from ({stored}) order by 1").fetchall()]


def test_every_living_customer_has_one_row_with_the_agreed_columns(
    warehouse: Connection, workspace: Workspace, settings: Scoring
) -> None:
    report = run(warehouse, workspace, settings)
    described = warehouse.execute("describe scores.customer_scores").fetchall()
    assert [(row[0], row[1]) for row in described] == COLUMNS
    assert (report.customers, report.prospects, report.scored, report.withheld) == (901, 1, 900, 0)
    assert warehouse.execute("select count(distinct customer_id) from scores.customer_scores").fetchone() == (901,)


def test_a_prospect_has_no_score_and_the_reason(warehouse: Connection, workspace: Workspace, settings: Scoring) -> None:
    run(warehouse, workspace, settings)
    found = warehouse.execute("select * from scores.customer_scores where customer_id = 'prospect'").fetchone()
    assert found == ("prospect", *[None] * 7, "no purchase")


def test_probabilities_grow_with_the_horizon_and_never_exceed_the_orders_they_promise(
    warehouse: Connection, workspace: Workspace, settings: Scoring
) -> None:
    run(warehouse, workspace, settings)
    wrong = warehouse.execute(
        """
        select count(*) from scores.customer_scores
        where model is not null and not (
            0 <= purchase_probability_30d
            and purchase_probability_30d <= purchase_probability_90d
            and purchase_probability_90d <= purchase_probability_365d
            and purchase_probability_365d <= 1
            and purchase_probability_365d <= expected_orders_365d + 1e-6
            and expected_value_365d > 0
        )
        """
    ).fetchone()
    assert wrong == (0,)


def test_churn_bands_follow_the_declared_thresholds(warehouse: Connection, workspace: Workspace) -> None:
    churn = ChurnBands(horizon_days=365, low=0.8, medium=0.5, high=0.2)
    run(warehouse, workspace, Scoring(churn=churn))
    rows = warehouse.execute(
        "select purchase_probability_365d, churn_risk_band from scores.customer_scores where model is not null"
    ).fetchall()
    for chance, band in rows:
        expected = "low" if chance >= 0.8 else "medium" if chance >= 0.5 else "high" if chance >= 0.2 else "lost"
        assert band == expected
    assert {band for _, band in rows} == {"low", "medium", "high", "lost"}


def test_purchases_of_nobody_and_of_the_future_play_no_part(
    open_warehouse: MAKE, shop: list, tmp_path: Path, settings: Scoring
) -> None:
    plain, troubled = open_warehouse(shop), open_warehouse(shop)
    troubled.execute(
        """
        insert into marts.orders values
            ('unknown', date '2025-06-01', 10, 10, true),
            (null, date '2025-06-01', 10, 10, true),
            ('c00001', date '2031-01-01', 10, 10, true),
            ('only_returns', date '2025-06-01', 0, -10, false)
        """
    )
    run(plain, Workspace(tmp_path / "a"), settings)
    run(troubled, Workspace(tmp_path / "b"), settings)
    assert scores_of(plain) == scores_of(troubled)


def test_a_credit_note_lowers_the_value_of_its_customer_and_no_chance_to_buy(
    open_warehouse: MAKE, shop: list, tmp_path: Path, settings: Scoring
) -> None:
    days = sorted({on for who, on, _ in shop if who == "c00000"})
    assert len(days) > 1
    plain, returned = open_warehouse(shop), open_warehouse(shop)
    returned.execute("insert into marts.orders values ('c00000', ?, 0, -20, false)", [days[-1]])
    run(plain, Workspace(tmp_path / "a"), settings)
    run(returned, Workspace(tmp_path / "b"), settings)
    query = (
        "select purchase_probability_90d, expected_orders_365d, expected_value_365d "
        "from scores.customer_scores where customer_id = 'c00000'"
    )
    before, after = (connection.execute(query).fetchall()[0] for connection in (plain, returned))
    assert before[:2] == after[:2]
    assert after[2] < before[2]


def test_a_customer_with_returns_only_is_a_prospect(
    open_warehouse: MAKE, shop: list, workspace: Workspace, settings: Scoring
) -> None:
    connection = open_warehouse(shop, extra_customers=("only_returns",))
    connection.execute("insert into marts.orders values ('only_returns', date '2025-06-01', 0, -10, false)")
    run(connection, workspace, settings)
    found = connection.execute("select withheld_reason from scores.customer_scores where customer_id = 'only_returns'")
    assert found.fetchone() == ("no purchase",)


def test_two_orders_on_one_day_are_one_occasion(
    open_warehouse: MAKE, shop: list, tmp_path: Path, settings: Scoring
) -> None:
    halves = [(who, on, f"{float(amount) / 2:.3f}") for who, on, amount in shop for _ in range(2)]
    whole, split = open_warehouse(shop), open_warehouse(halves)
    run(whole, Workspace(tmp_path / "a"), settings)
    run(split, Workspace(tmp_path / "b"), settings)
    assert scores_of(whole) == scores_of(split)


def test_the_order_of_rows_plays_no_part(open_warehouse: MAKE, shop: list, tmp_path: Path, settings: Scoring) -> None:
    shuffled = list(shop)
    random.Random(1).shuffle(shuffled)
    first, second = open_warehouse(shop), open_warehouse(shuffled)
    run(first, Workspace(tmp_path / "a"), settings)
    run(second, Workspace(tmp_path / "b"), settings)
    assert scores_of(first) == scores_of(second)
    assert first.execute("from scores.models").fetchall() == second.execute("from scores.models").fetchall()


@pytest.mark.parametrize(
    ("gate", "as_of_on", "reason"),
    [
        (Gate(buyers=901), LAST, "only 900 buyers, 901 are needed"),
        (Gate(history_days=800), LAST, "only 730 days of history, 800 are needed"),
        (Gate(), LAST + dt.timedelta(days=31), "no order in the last 30 days"),
        (Gate(frequent_orders=60), LAST, "only 0 customers with 60 or more orders, 10 are needed"),
    ],
)
def test_thin_data_withhold_every_score_and_say_why(
    warehouse: Connection, workspace: Workspace, gate: Gate, as_of_on: dt.date, reason: str
) -> None:
    report = run(warehouse, workspace, Scoring(gate=gate), as_of_on)
    assert (report.scored, report.withheld, report.prospects) == (0, 900, 1)
    assert report.withheld_reason is not None and report.withheld_reason.startswith(reason)
    found = warehouse.execute(
        "select distinct purchase_probability_90d, churn_risk_band, model, withheld_reason "
        "from scores.customer_scores where withheld_reason <> 'no purchase'"
    ).fetchall()
    assert found == [(None, None, None, report.withheld_reason)]
    assert stored_fits(warehouse, workspace) == []


def test_a_shop_without_any_order_has_prospects_only(
    open_warehouse: MAKE, workspace: Workspace, settings: Scoring
) -> None:
    connection = open_warehouse([], extra_customers=("a", "b"))
    report = run(connection, workspace, settings)
    assert (report.customers, report.prospects, report.scored) == (2, 2, 0)
    assert report.withheld_reason == "only 0 buyers, 500 are needed"
    assert connection.execute("select count(*) from scores.models").fetchone() == (0,)


def test_a_shop_without_repeat_buyers_is_withheld(
    open_warehouse: MAKE, workspace: Workspace, settings: Scoring
) -> None:
    orders = [(f"c{number:04d}", LAST - dt.timedelta(days=number % 400), "10") for number in range(600)]
    report = run(open_warehouse(orders), workspace, settings)
    assert report.withheld_reason == "only 0 customers with 3 or more orders, 10 are needed"


def test_scores_rank_and_size_what_customers_then_did(
    open_warehouse: MAKE, shop: list, workspace: Workspace, settings: Scoring
) -> None:
    cut_off = LAST - dt.timedelta(days=90)
    connection = open_warehouse(shop)
    run(connection, workspace, settings, cut_off)
    later = {who for who, on, _ in shop if on > cut_off}
    rows = connection.execute(
        "select customer_id, purchase_probability_90d from scores.customer_scores where model is not null"
    ).fetchall()
    buyers = [chance for who, chance in rows if who in later]
    others = [chance for who, chance in rows if who not in later]
    ranked = sum((yes > no) + (yes == no) / 2 for yes in buyers for no in others) / (len(buyers) * len(others))
    assert ranked > 0.7
    assert sum(chance for _, chance in rows) == pytest.approx(len([who for who, _ in rows if who in later]), rel=0.2)


def test_back_tests_count_what_really_happened_after_each_cut_off(
    warehouse: Connection, shop: list, workspace: Workspace
) -> None:
    run(warehouse, workspace, Scoring(gate=Gate(buyers=300)))
    rows = warehouse.execute(
        "select cut_off_on, horizon_days, customers, actual_buyers, actual_orders from scores.back_tests"
    ).fetchall()
    assert {(LAST - on).days for on, *_ in rows} == {90, 180, 365}
    for on, horizon, customers, buyers, orders in rows:
        known = {who for who, day, _ in shop if day <= on}
        then = {(who, day) for who, day, _ in shop if who in known and 0 < (day - on).days <= horizon}
        assert (customers, buyers, orders) == (len(known), len({who for who, _ in then}), len(then))
    assert warehouse.execute(
        """
        select count(*) from (
            select model, cut_off_on, horizon_days, sum(customers) as customers
            from scores.calibration group by all
        ) as bands
        inner join scores.back_tests using (model, cut_off_on, horizon_days)
        where bands.customers = back_tests.customers
        """
    ).fetchone() == (len(rows),)


def test_logistic_is_fitted_beside_only_when_history_allows(warehouse: Connection, tmp_path: Path) -> None:
    run(warehouse, Workspace(tmp_path / "a"), Scoring())
    assert ("logistic",) in warehouse.execute("select distinct model from scores.back_tests").fetchall()
    run(warehouse, Workspace(tmp_path / "b"), Scoring(logistic=Logistic(minimum_outcomes=5000)))
    assert warehouse.execute("select distinct model from scores.back_tests").fetchall() == [("bg_nbd",)]
    told = warehouse.execute("select metrics from scores.models where model = 'logistic'").fetchone()
    assert told is not None and "are needed" in json.loads(told[0])["withheld_reasons"]["90"]


def test_each_model_can_be_the_one_that_scores(warehouse: Connection, tmp_path: Path) -> None:
    for by, decided in ((1.0, "bg_nbd"), (0.0, None)):
        report = run(warehouse, Workspace(tmp_path / str(by)), Scoring(back_test=BackTest(better_by=by)))
        kept = warehouse.execute(
            "select model from scores.models where is_kept and model in ('bg_nbd', 'logistic')"
        ).fetchall()
        used = warehouse.execute("select distinct model from scores.customer_scores where model is not null").fetchall()
        assert kept == used == [(report.model,)]
        assert decided in (None, report.model)
        mean_brier = dict(
            warehouse.execute(
                "select model, avg(brier) from scores.back_tests where horizon_days = 90 group by model"
            ).fetchall()
        )
        if by == 0.0:
            assert report.model == min(mean_brier, key=mean_brier.__getitem__)


def test_the_stored_model_scores_until_it_is_too_old(
    warehouse: Connection, workspace: Workspace, settings: Scoring
) -> None:
    first = LAST - dt.timedelta(days=40)
    assert run(warehouse, workspace, settings, first).is_refit
    same = run(warehouse, workspace, settings, first + dt.timedelta(days=30))
    assert (same.is_refit, same.fitted_on) == (False, first)
    assert warehouse.execute("select count(*) > 0 from scores.calibration").fetchone() == (True,)
    assert run(warehouse, workspace, settings, first + dt.timedelta(days=31)).is_refit
    assert stored_fits(warehouse, workspace) == [first, first + dt.timedelta(days=31)]


def test_a_refit_on_demand_replaces_a_young_model(
    warehouse: Connection, workspace: Workspace, settings: Scoring
) -> None:
    run(warehouse, workspace, settings, LAST - dt.timedelta(days=5))
    report = run(warehouse, workspace, settings, refit=True)
    assert (report.is_refit, report.fitted_on) == (True, LAST)


def test_changed_declarations_do_not_use_the_old_model(
    warehouse: Connection, workspace: Workspace, settings: Scoring
) -> None:
    run(warehouse, workspace, settings, LAST - dt.timedelta(days=5))
    assert run(warehouse, workspace, Scoring(logistic=Logistic(is_fitted=False))).is_refit
    assert not run(warehouse, workspace, Scoring(churn=ChurnBands(low=0.9)), number=2, refit=False).is_refit


def test_a_backfill_gives_what_the_run_of_that_day_gave(
    warehouse: Connection, workspace: Workspace, settings: Scoring
) -> None:
    days = [LAST - dt.timedelta(days=back) for back in (60, 45, 20, 0)]
    given = {}
    for day in days:
        run(warehouse, workspace, settings, day)
        given[day] = scores_of(warehouse)
    fits = stored_fits(warehouse, workspace)
    for day in days:
        report = run(warehouse, workspace, settings, day, number=9, is_forward=False)
        assert not report.is_refit
        assert scores_of(warehouse) == given[day]
    assert stored_fits(warehouse, workspace) == fits


def test_a_backfill_before_the_first_fit_gives_what_a_run_would_have_and_stages_nothing(
    warehouse: Connection, tmp_path: Path, settings: Scoring
) -> None:
    early = LAST - dt.timedelta(days=50)
    run(warehouse, Workspace(tmp_path / "a"), settings, early)
    would_have = scores_of(warehouse)
    late = Workspace(tmp_path / "b")
    run(warehouse, late, settings, LAST)
    report = run(warehouse, late, settings, early, is_forward=False)
    assert report.is_refit
    assert scores_of(warehouse) == would_have
    assert stored_fits(warehouse, late) == [LAST]


def test_what_a_killed_run_fitted_is_not_used(warehouse: Connection, workspace: Workspace, settings: Scoring) -> None:
    run(warehouse, workspace, settings, LAST - dt.timedelta(days=1), is_committed=False)
    assert run(warehouse, workspace, settings).is_refit


def test_stored_models_name_no_customer(warehouse: Connection, workspace: Workspace, settings: Scoring) -> None:
    run(warehouse, workspace, settings)
    stored = registry.rows(workspace, SCORE_MODELS)
    for parameters, metrics in warehouse.execute(f"select parameters, metrics from ({stored})").fetchall():
        assert "c00" not in parameters + metrics


def test_no_temporary_table_is_left(warehouse: Connection, workspace: Workspace, settings: Scoring) -> None:
    run(warehouse, workspace, settings)
    left = warehouse.execute("select table_name from duckdb_tables() where temporary").fetchall()
    assert left == []


def test_back_tests_on_a_sample_do_not_depend_on_the_order_of_rows(
    open_warehouse: MAKE, shop_of: Callable[..., list], tmp_path: Path
) -> None:
    orders = shop_of(2200, dt.date(2024, 10, 1), 457, seed=5)
    settings = Scoring(back_test=BackTest(customers=1000))
    first, second = open_warehouse(orders), open_warehouse(orders[::-1])
    run(first, Workspace(tmp_path / "a"), settings)
    run(second, Workspace(tmp_path / "b"), settings)
    tests = first.execute("from scores.back_tests order by all").fetchall()
    assert tests == second.execute("from scores.back_tests order by all").fetchall()
    assert 0 < max(customers for _, _, _, customers, *_ in tests) < 1200
    assert scores_of(first) == scores_of(second)


def test_online_retail_is_ranked_better_than_by_recency_alone(
    retail: Path, open_warehouse: MAKE, workspace: Workspace, settings: Scoring
) -> None:
    connection = open_warehouse([])
    connection.execute(
        f"""
        insert into marts.orders
        select cast(customer_id as varchar), cast(min(invoice_date) as date), sum(quantity * price),
            sum(quantity * price), true
        from read_parquet('{retail / "online_retail.parquet"}')
        where customer_id is not null and invoice not like 'C%' and quantity > 0 and price > 0
        group by customer_id, invoice
        """
    )
    connection.execute("insert into rcu.customers select distinct customer_id from marts.orders")
    report = run(connection, workspace, settings, dt.date(2011, 12, 9))
    assert (report.customers, report.scored) == (4338, 4338)
    recency_alone = {dt.date(2011, 9, 10): 0.683, dt.date(2011, 6, 12): 0.670}  # by scikit-learn's roc_auc_score
    rows = connection.execute(
        "select model, cut_off_on, auc, predicted_buyers / actual_buyers from scores.back_tests where horizon_days = 90"
    ).fetchall()
    assert {on for _, on, _, _ in rows} == set(recency_alone)
    for _, on, auc, ratio in rows:
        assert auc > recency_alone[on] + 0.04
        assert 0.75 < ratio < 1.25

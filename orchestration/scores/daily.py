"""The daily step: score every living customer with the models that hold on the as-of date.

Reads `marts.orders` and `rcu.customers`, writes the schema `scores`. Probabilities are of at least one
purchase; P(alive) is nowhere. They are rounded to six decimals, so that the last bit of a sum on
another machine does not make two equal runs differ.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from orchestration import remade
from orchestration.contracts.scoring import ChurnBands, Scoring
from orchestration.scores import bg_nbd, gamma_gamma, logistic, models, purchases
from orchestration.scores.backtest import LOGISTIC
from orchestration.scores.models import Models
from orchestration.scores.purchases import ALL_DAYS, HORIZONS, SAMPLE_DAYS, UNIT_DAYS, Summary
from orchestration.settings import Workspace
from orchestration.warehouse import Connection, literal

Floats = NDArray[np.float64]

NO_PURCHASE = "no purchase"
_DECIMALS = 6
_NUMBERS = "score_numbers"


@dataclass(frozen=True)
class ScoreReport:
    """Counts of one scoring. `withheld` counts buyers without a score, prospects apart."""

    customers: int
    prospects: int
    scored: int
    withheld: int
    withheld_reason: str | None
    model: str | None
    fitted_on: dt.date | None
    is_refit: bool
    auc: float | None
    brier: float | None
    predicted_over_actual: float | None


@dataclass(frozen=True)
class Scores:
    """Scores of buyers, one entry each, in the order of the summary they were made from."""

    purchase_probability: dict[int, Floats]
    expected_orders: Floats
    expected_value: Floats | None


def score(
    connection: Connection, workspace: Workspace, settings: Scoring,
    *, as_of_on: dt.date, version: str, run_id: str, is_forward: bool, refit: bool = False,
) -> ScoreReport:  # fmt: skip
    """Write scores.{customer_scores, models, back_tests, calibration} as of `as_of_on`.

    Models come from the registry as of that date, or are fitted (see `models`); a forward run stages
    what it fitted, a backfill stages nothing. `refit` asks for a new fit whatever its age.
    """
    purchases.load(connection, as_of_on)
    summary = purchases.summarise(connection, ALL_DAYS, as_of_on)
    reason = purchases.gate_reason(summary, settings.gate)
    fitted, is_refit = None, False
    if reason is None:
        fitted = None if refit else models.read(connection, workspace, settings, as_of_on)
        if fitted is None:
            fitted = models.fit(connection, summary, settings)
            is_refit = fitted is not None
            reason = None if fitted else "BG/NBD could not be fitted to these purchases"
        if fitted and is_refit and is_forward:
            models.stage(connection, workspace, fitted, settings, as_of_on=as_of_on, version=version, run_id=run_id)
    scores = predict(fitted, summary) if fitted else None
    _write_customers(connection, summary, scores, fitted.kept if fitted else None, reason, settings.churn)
    _write_models(connection, fitted)
    connection.execute(f"drop table if exists temp.{ALL_DAYS}")
    connection.execute(f"drop table if exists temp.{SAMPLE_DAYS}")
    return _report(connection, fitted, is_refit, reason, settings)


def predict(fitted: Models, summary: Summary) -> Scores:
    """Scores at the summary's cut-off. A longer horizon is never given a smaller probability.

    Where the logistic model is kept but a horizon is too long for it to have been learnt, BG/NBD
    gives that horizon. Expected orders are the kept probability times the orders that BG/NBD expects of
    a customer who buys at all: never below the probability itself.
    """
    after = summary.cut_off_on
    recency, age = summary.recency / UNIT_DAYS, summary.age / UNIT_DAYS
    probabilities: dict[int, Floats] = {}
    floor = np.zeros(len(summary))
    for horizon in sorted(HORIZONS):
        learnt = fitted.logistic.get(horizon)
        if fitted.kept == LOGISTIC and learnt:
            found = logistic.purchase_probability(learnt, summary, fitted.season.factor(after, horizon))
        else:
            span = fitted.season.ordinary_days(after, horizon) / UNIT_DAYS
            found = bg_nbd.purchase_probability(fitted.bg_nbd, summary.repeats, recency, age, span)
        floor = np.maximum(floor, np.round(found, _DECIMALS))
        probabilities[horizon] = floor
    year = fitted.season.ordinary_days(after, 365) / UNIT_DAYS
    orders = floor * bg_nbd.orders_if_any(fitted.bg_nbd, summary.repeats, recency, age, year)
    value = None
    if fitted.gamma_gamma:
        value = orders * gamma_gamma.expected_amount(fitted.gamma_gamma, summary.repeats, summary.spend_net)
    return Scores(probabilities, np.round(orders, _DECIMALS), value)


def _write_customers(
    connection: Connection, summary: Summary, scores: Scores | None, model: str | None,
    reason: str | None, churn: ChurnBands,
) -> None:  # fmt: skip
    empty = np.array([], dtype=np.float64)
    columns: dict[str, Any] = {"customer_number": summary.customer_number if scores else np.array([], dtype=np.int64)}
    for horizon in HORIZONS:
        columns[f"p{horizon}"] = scores.purchase_probability[horizon] if scores else empty
    columns["orders"] = scores.expected_orders if scores else empty
    value = scores.expected_value if scores else None
    columns["value"] = (
        pa.array(np.round(value, 4)) if value is not None else pa.nulls(len(columns["orders"]), pa.float64())
    )
    connection.register(_NUMBERS, pa.table(columns))
    band = f"p{churn.horizon_days}"
    connection.execute("create schema if not exists scores")
    remade.put(
        connection,
        "scores.customer_scores",
        f"""
        with

        buyers as (

            select distinct customer_id, customer_number from {ALL_DAYS}

        )

        select
            customers.customer_id,
            numbers.p30 as purchase_probability_30d,
            numbers.p90 as purchase_probability_90d,
            numbers.p365 as purchase_probability_365d,
            numbers.orders as expected_orders_365d,
            cast(numbers.value as decimal(18, 4)) as expected_value_365d,
            case
                when numbers.{band} >= {churn.low!r} then 'low'
                when numbers.{band} >= {churn.medium!r} then 'medium'
                when numbers.{band} >= {churn.high!r} then 'high'
                when numbers.{band} is not null then 'lost'
            end as churn_risk_band,
            case when numbers.p30 is not null then {_or_null(model)} end as model,
            case
                when buyers.customer_id is null then {literal(NO_PURCHASE)}
                else {_or_null(reason)}
            end as withheld_reason
        from rcu.customers as customers
        left join buyers on customers.customer_id = buyers.customer_id
        left join {_NUMBERS} as numbers on buyers.customer_number = numbers.customer_number
        order by customers.customer_id
        """,
    )
    connection.unregister(_NUMBERS)


_TABLES = {
    "models": "model varchar, is_kept boolean, fitted_on date, parameters varchar, metrics varchar",
    "back_tests": "model varchar, cut_off_on date, horizon_days integer, customers bigint, auc double, brier double, "
    "predicted_buyers double, actual_buyers bigint, predicted_orders double, actual_orders bigint, season_factor double",
    "calibration": "model varchar, cut_off_on date, horizon_days integer, band integer, customers bigint, "
    "predicted double, actual double",
}


def _write_models(connection: Connection, fitted: Models | None) -> None:
    apart = ("back_tests", "calibration")
    told: dict[str, list[dict[str, Any]]] = {"models": [], "back_tests": [], "calibration": []}
    if fitted is not None:
        for row in fitted.rows:
            kept = {name: value for name, value in json.loads(row.metrics).items() if name not in apart}
            told["models"].append(
                {
                    "model": row.model,
                    "is_kept": row.is_kept,
                    "fitted_on": fitted.fitted_on,
                    "parameters": row.parameters,
                    "metrics": json.dumps(kept),
                }
            )
        told["back_tests"] = [test.__dict__ for test in fitted.back_tests]
        told["calibration"] = [band.__dict__ for band in fitted.calibration]
    for name, columns in _TABLES.items():
        connection.execute(f"create or replace temp table score_rows ({columns})")
        if told[name]:
            connection.register(_NUMBERS, pa.Table.from_pylist(told[name]))
            connection.execute(f"insert into temp.score_rows by name select * from {_NUMBERS}")
            connection.unregister(_NUMBERS)
        remade.put(connection, f"scores.{name}", "from temp.score_rows")
    connection.execute("drop table temp.score_rows")


def _report(
    connection: Connection, fitted: Models | None, is_refit: bool, reason: str | None, settings: Scoring
) -> ScoreReport:
    found = connection.execute(
        f"""
        select
            count(*),
            count(*) filter (where withheld_reason = {literal(NO_PURCHASE)}),
            count(purchase_probability_90d)
        from scores.customer_scores
        """
    ).fetchone()
    customers, prospects, scored = found if found else (0, 0, 0)
    tests = [
        test
        for test in (fitted.back_tests if fitted else ())
        if fitted and test.model == fitted.kept and test.horizon_days == settings.back_test.decided_at_days
    ]
    ranked = [test.auc for test in tests if test.auc is not None]
    actual = sum(test.actual_buyers for test in tests)
    return ScoreReport(
        customers=customers,
        prospects=prospects,
        scored=scored,
        withheld=customers - prospects - scored,
        withheld_reason=reason,
        model=fitted.kept if fitted else None,
        fitted_on=fitted.fitted_on if fitted else None,
        is_refit=is_refit,
        auc=sum(ranked) / len(ranked) if ranked else None,
        brier=sum(test.brier for test in tests) / len(tests) if tests else None,
        predicted_over_actual=sum(test.predicted_buyers for test in tests) / actual if actual else None,
    )


def _or_null(text: str | None) -> str:
    return literal(text) if text else "cast(null as varchar)"

"""The fitted models of one date: fitted together, stored in the registry, read back as of a date.

Which models a run for D uses depends on D and the registry alone:

1. the last models fitted on or before D, of a committed run, under the same declared settings;
2. unless they are older than `refit_after_days` at D, or there are none: then models are fitted on the
   data as of D. A forward run stages them, so a later backfill of D reads them by rule 1; a backfill
   keeps them to itself, and gives what a run on D would have given.

Fitted or read, the models pass through the same JSON, so both give the same bits. Models hold sums over
many customers and no key or value of one.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from orchestration import registry
from orchestration.contracts.scoring import Scoring
from orchestration.scores import backtest, bg_nbd, gamma_gamma, logistic, season
from orchestration.scores.backtest import BG_NBD, LOGISTIC, BackTest, CalibrationBand
from orchestration.scores.bg_nbd import BgNbd
from orchestration.scores.gamma_gamma import GammaGamma
from orchestration.scores.logistic import LogisticModel
from orchestration.scores.purchases import (
    ALL_DAYS,
    HORIZONS,
    UNIT_DAYS,
    Summary,
    daily_counts,
    grouped,
    load_sample,
    summarise,
)
from orchestration.scores.season import SeasonalIndex
from orchestration.settings import Workspace
from orchestration.warehouse import Connection, literal

GAMMA_GAMMA = "gamma_gamma"
SEASONAL_INDEX = "seasonal_index"

SCORE_MODELS = registry.RegistryTable(
    name="score_models",
    columns={
        "fitted_on": "date",
        "model": "varchar",
        "is_kept": "boolean",
        "model_key": "varchar",
        "parameters": "varchar",
        "metrics": "varchar",
    },
)


@dataclass(frozen=True)
class ModelRow:
    """One model as the registry keeps it; `parameters` and `metrics` are JSON objects in text."""

    model: str
    is_kept: bool
    parameters: str
    metrics: str


@dataclass(frozen=True)
class Models:
    """What scoring needs, and what the back-tests said. `kept` gives the probabilities."""

    fitted_on: dt.date
    kept: str
    bg_nbd: BgNbd
    gamma_gamma: GammaGamma | None
    season: SeasonalIndex
    logistic: dict[int, LogisticModel]
    back_tests: tuple[BackTest, ...]
    calibration: tuple[CalibrationBand, ...]
    rows: tuple[ModelRow, ...]


def fit(connection: Connection, summary: Summary, settings: Scoring) -> Models | None:
    """Fit and back-test on the data as of the summary's cut-off; None when BG/NBD finds no optimum.

    The temporary tables of `purchases.load` must be there.
    """
    as_of_on = summary.cut_off_on
    table = load_sample(connection, settings.back_test.customers)
    counts, sample_counts = daily_counts(connection, ALL_DAYS), daily_counts(connection, table)
    purchases = bg_nbd.fit(grouped(connection, ALL_DAYS, as_of_on))
    if purchases is None or counts is None or sample_counts is None:
        return None
    index = season.fit(counts.until(as_of_on), purchases, settings.season)
    amounts = gamma_gamma.fit(summary.repeats, summary.spend_net)

    seen: dict[dt.date, Summary] = {}

    def summary_at(cut_off_on: dt.date) -> Summary:
        if cut_off_on not in seen:
            seen[cut_off_on] = summarise(connection, table, cut_off_on)
        return seen[cut_off_on]

    tested = backtest.run(connection, table, sample_counts, summary_at, settings, as_of_on)
    learnt: dict[int, LogisticModel] = {}
    thin: dict[str, str] = {}
    for horizon in HORIZONS:
        learnt_on = as_of_on - dt.timedelta(days=horizon)
        past = summary_at(learnt_on)
        reason = logistic.thin_reason(past, horizon, settings.logistic)
        if reason:
            thin[str(horizon)] = reason
        else:
            learnt[horizon] = logistic.fit(past, horizon, index.factor(learnt_on, horizon), settings.logistic)

    decided_at = settings.back_test.decided_at_days
    better = tested.better(decided_at, settings.back_test.better_by)
    kept = better if better == BG_NBD or decided_at in learnt else BG_NBD

    def told(model: str) -> dict[str, Any]:
        return {
            "back_tests": [_to_json(test) for test in tested.back_tests if test.model == model],
            "calibration": [_to_json(band) for band in tested.calibration if band.model == model],
        }

    repeat_buyers = int(((summary.repeats > 0) & (summary.spend_net > 0)).sum())
    rows = (
        _row(
            BG_NBD, kept == BG_NBD,
            {**asdict(purchases), "unit_days": UNIT_DAYS},
            {
                "customers": len(summary), "is_at_bound": purchases.is_at_bound,
                "skipped_cut_offs": tested.skipped, **told(BG_NBD),
            },
        ),
        _row(
            GAMMA_GAMMA, True,
            asdict(amounts) if amounts and amounts.has_mean else {},
            {
                "customers": repeat_buyers,
                "withheld_reason": None
                if amounts and amounts.has_mean
                else "repeat orders do not tell what a coming order amounts to",
            },
        ),
        _row(
            LOGISTIC, kept == LOGISTIC,
            {"features": logistic.FEATURES, "horizons": [asdict(learnt[horizon]) for horizon in sorted(learnt)]},
            {"withheld_reasons": thin, **told(LOGISTIC)},
        ),
        _row(
            SEASONAL_INDEX, True,
            {"months": index.months},
            {"is_flat": index == season.NO_SEASON, "history_days": int(summary.age.max())},
        ),
    )  # fmt: skip
    return _from_rows(as_of_on, rows)


def read(connection: Connection, workspace: Workspace, settings: Scoring, as_of_on: dt.date) -> Models | None:
    """The last committed models fitted on or before `as_of_on` that are not too old; else None."""
    oldest = as_of_on - dt.timedelta(days=settings.refit_after_days)
    stored = registry.rows(workspace, SCORE_MODELS, as_of_on=as_of_on)
    found = connection.execute(
        f"""
        with

        usable as (

            select *
            from ({stored})
            where model_key = {literal(settings.model_key)}
                and fitted_on between date '{oldest}' and date '{as_of_on}'

        )

        select fitted_on, model, is_kept, parameters, metrics
        from usable
        where (fitted_on, version) = (
            select (fitted_on, version) from usable order by fitted_on desc, version desc limit 1
        )
        order by model
        """
    ).fetchall()
    if not found:
        return None
    rows = tuple(ModelRow(model, is_kept, parameters, metrics) for _, model, is_kept, parameters, metrics in found)
    return _from_rows(found[0][0], rows)


def stage(
    connection: Connection, workspace: Workspace, models: Models, settings: Scoring,
    *, as_of_on: dt.date, version: str, run_id: str,
) -> int:  # fmt: skip
    """Stage the models in the registry, to count once the run commits. Returns the row count."""
    selects = " union all ".join(
        f"select date '{models.fitted_on}' as fitted_on, {literal(row.model)} as model, {row.is_kept} as is_kept, "
        f"{literal(settings.model_key)} as model_key, {literal(row.parameters)} as parameters, "
        f"{literal(row.metrics)} as metrics"
        for row in models.rows
    )
    return registry.stage(
        workspace, SCORE_MODELS, connection, f"select * from ({selects}) order by model",
        as_of_on=as_of_on, version=version, run_id=run_id,
    )  # fmt: skip


def _row(model: str, is_kept: bool, parameters: dict[str, Any], metrics: dict[str, Any]) -> ModelRow:
    return ModelRow(model, is_kept, json.dumps(parameters, sort_keys=True), json.dumps(metrics, sort_keys=True))


def _to_json(entry: BackTest | CalibrationBand) -> dict[str, Any]:
    return {**asdict(entry), "cut_off_on": entry.cut_off_on.isoformat()}


def _from_json(kind: type[Any], told: dict[str, Any]) -> Any:
    values = {**told, "cut_off_on": dt.date.fromisoformat(told["cut_off_on"])}
    return kind(**{field.name: values[field.name] for field in fields(kind)})


def _from_rows(fitted_on: dt.date, rows: tuple[ModelRow, ...]) -> Models:
    ordered = tuple(sorted(rows, key=lambda row: row.model))
    parameters = {row.model: json.loads(row.parameters) for row in ordered}
    metrics = [json.loads(row.metrics) for row in ordered]
    purchases = {name: value for name, value in parameters[BG_NBD].items() if name != "unit_days"}
    learnt = [
        LogisticModel(
            horizon_days=told["horizon_days"],
            intercept=told["intercept"],
            coefficients=tuple(told["coefficients"]),
            means=tuple(told["means"]),
            scales=tuple(told["scales"]),
            season_factor=told["season_factor"],
        )
        for told in parameters[LOGISTIC]["horizons"]
    ]
    return Models(
        fitted_on=fitted_on,
        kept=next(row.model for row in ordered if row.is_kept and row.model in (BG_NBD, LOGISTIC)),
        bg_nbd=BgNbd(**purchases),
        gamma_gamma=GammaGamma(**parameters[GAMMA_GAMMA]) if parameters[GAMMA_GAMMA] else None,
        season=SeasonalIndex(tuple(parameters[SEASONAL_INDEX]["months"])),
        logistic={model.horizon_days: model for model in learnt},
        back_tests=tuple(_from_json(BackTest, told) for told_of in metrics for told in told_of.get("back_tests", [])),
        calibration=tuple(
            _from_json(CalibrationBand, told) for told_of in metrics for told in told_of.get("calibration", [])
        ),
        rows=ordered,
    )

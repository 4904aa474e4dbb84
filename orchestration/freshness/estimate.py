"""The daily step: fit the decay curves as of a date and write them, and keep them in the registry."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from orchestration import registry
from orchestration.contracts.freshness import CONTACT_KINDS, Freshness
from orchestration.freshness.evidence import DAYS_PER_YEAR, gather
from orchestration.freshness.survival import Curve, Evidence, fit_kind, hazard_of, survival
from orchestration.registry import RegistryTable
from orchestration.settings import Workspace
from orchestration.warehouse import Connection

#: Curves end here: older contact points keep the last value.
LAST_DAY = 20 * 366

#: Name of the curve over all sources.
EVERY_SOURCE = ""

_CURVES = {
    "kind": "varchar",
    "source": "varchar",
    "band": "integer",
    "from_years": "double",
    "hazard": "double",
    "hazard_low": "double",
    "hazard_high": "double",
    "declared_hazard": "double",
    "losses": "integer",
    "proved_years": "double",
    "silent_years": "double",
    "told_rate": "double",
    "yearly_loss": "double",
}

#: The curves of every forward run: how the estimate moved over time. No row is about a person.
CONTACT_CURVES = RegistryTable("contact_curves", _CURVES)

_DECIMALS = 6


@dataclass(frozen=True)
class FreshnessReport:
    """Counts of one estimate, over all sources; losses and years are those of the customers looked at."""

    curves: int
    losses: int
    proved_years: float
    silent_years: float
    email_yearly_loss: float
    mobile_yearly_loss: float
    landline_yearly_loss: float
    post_yearly_loss: float


def estimate(
    connection: Connection, workspace: Workspace, settings: Freshness,
    *, as_of_on: dt.date, version: str, run_id: str, is_forward: bool,
) -> FreshnessReport:  # fmt: skip
    """Write freshness.curves (kind, source, band) and freshness.decay (kind, source, age_days, still_good_rate).

    Source '' stands for all sources together. A forward run stages the curves in the registry.
    """
    edges = (0.0, *settings.bands_years)
    groups = gather(connection, settings, edges, as_of_on=as_of_on)
    rows: list[dict[str, object]] = []
    decay: list[pa.Table] = []
    days = np.arange(LAST_DAY + 1)
    whole: dict[str, Curve] = {}
    for kind in CONTACT_KINDS:
        declared = settings.loss_of(kind)
        whole[kind], each = fit_kind(groups[kind], edges, declared, settings.prior_losses)
        every = sum(groups[kind].values(), start=Evidence.nothing(len(edges)))
        for source, curve, evidence in [
            (EVERY_SOURCE, whole[kind], every),
            *((source, each[source], groups[kind][source]) for source in each),
        ]:
            rows += _rows(kind, source, curve, evidence, hazard_of(declared))
            decay.append(_decay(kind, source, curve, days))
    schema = pa.schema([(name, _ARROW[kind]) for name, kind in _CURVES.items()])
    connection.execute("create schema if not exists freshness")
    for name, table in (("curves", pa.Table.from_pylist(rows, schema=schema)), ("decay", pa.concat_tables(decay))):
        connection.register("fitted", table)
        connection.execute(f"create or replace table freshness.{name} as select * from fitted")
        connection.unregister("fitted")
    if is_forward:
        registry.stage(
            workspace, CONTACT_CURVES, connection, "select * from freshness.curves order by kind, source, band",
            as_of_on=as_of_on, version=version, run_id=run_id,
        )  # fmt: skip
    seen = [evidence for kind in CONTACT_KINDS for evidence in groups[kind].values()]
    return FreshnessReport(
        curves=len(decay),
        losses=round(sum(evidence.losses for evidence in seen)),
        proved_years=round(float(sum(evidence.proved.sum() for evidence in seen)), 1),
        silent_years=round(float(sum(evidence.silent.sum() for evidence in seen)), 1),
        **{f"{kind}_yearly_loss": round(whole[kind].yearly_loss, 4) for kind in CONTACT_KINDS},
    )


_ARROW = {"varchar": pa.string(), "integer": pa.int32(), "double": pa.float64()}


def _rows(kind: str, source: str, curve: Curve, evidence: Evidence, declared: float) -> list[dict[str, object]]:
    low, high = curve.interval()
    return [
        {
            "kind": kind,
            "source": source,
            "band": band,
            "from_years": start,
            "hazard": round(float(curve.hazards[band]), _DECIMALS),
            "hazard_low": round(float(low[band]), _DECIMALS),
            "hazard_high": round(float(high[band]), _DECIMALS),
            "declared_hazard": round(declared, _DECIMALS),
            "losses": round(evidence.losses),
            "proved_years": round(float(evidence.proved[band]), 3),
            "silent_years": round(float(evidence.silent[band]), 3),
            "told_rate": round(curve.told_rate, 4),
            "yearly_loss": round(curve.yearly_loss, _DECIMALS),
        }
        for band, start in enumerate(curve.edges)
    ]


def _decay(kind: str, source: str, curve: Curve, days: np.ndarray) -> pa.Table:
    good = np.round(survival(curve, days / DAYS_PER_YEAR), 4)
    return pa.table(
        {
            "kind": pa.repeat(kind, len(days)),
            "source": pa.repeat(source, len(days)),
            "age_days": pa.array(days, type=pa.int32()),
            "still_good_rate": pa.array(good, type=pa.float64()),
        }
    )

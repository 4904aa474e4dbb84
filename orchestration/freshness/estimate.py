"""The daily step: the decay curves as of a date, fitted once or as the registry keeps them.

A curve is a model of a day. The first run of a date fits it; the later ones of that date read it, so that a small
file leaves every contact point that it does not name as it was. They fit again where the settings, the sources or a
tenth of the data are others.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from orchestration import registry, remade
from orchestration.contracts.freshness import CONTACT_KINDS, Freshness
from orchestration.freshness.evidence import DAYS_PER_YEAR, gather
from orchestration.freshness.survival import Curve, Evidence, fit_kind, hazard_of, survival
from orchestration.registry import RegistryTable
from orchestration.settings import Workspace
from orchestration.warehouse import Connection, literal

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

#: What the curves were fitted on, so that a later run of the date can tell whether they still hold.
_FITTED_ON = {"settings": "varchar", "records": "bigint", "statements": "bigint", "signs": "bigint"}

#: Every fit of a forward run: how the estimate moved over time. No row is about a person.
CONTACT_CURVES = RegistryTable("contact_curves", {**_CURVES, **_FITTED_ON})

_DECIMALS = 6

#: Raised when a change of code gives other curves from the same data: those of before are then not read.
_CODE = "1"

#: The curves of a date hold as long as the rows they were fitted on differ by no more than this share.
_SAME_DATA_RATE = 0.1


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
    *, as_of_on: dt.date, version: str, run_id: str, is_forward: bool, refit: bool = False,
) -> FreshnessReport:  # fmt: skip
    """Write freshness.curves (kind, source, band) and freshness.decay (kind, source, age_days, still_good_rate).

    Source '' stands for all sources together. Where the registry has curves of this date, made with these settings
    on about these data, those are taken; `refit` fits all the same. A forward run stages what it fitted.
    """
    fitted_on = _fitted_on(connection, settings)
    kept = None if refit else _kept(connection, workspace, fitted_on, as_of_on)
    rows = kept or _fitted(connection, settings, as_of_on)
    # From what is written, never from what was fitted: curves that are read give the same to the last digit.
    decay = _decay(rows)
    schema = pa.schema([(name, _ARROW[kind]) for name, kind in _CURVES.items()])
    connection.execute("create schema if not exists freshness")
    for name, table in (("curves", pa.Table.from_pylist(rows, schema=schema)), ("decay", decay)):
        connection.register("fitted", table)
        remade.put(connection, f"freshness.{name}", "select * from fitted")
        connection.unregister("fitted")
    if is_forward and kept is None:
        told = ", ".join(f"{literal(str(value))} as {name}" for name, value in fitted_on.items())
        registry.stage(
            workspace, CONTACT_CURVES, connection,
            f"select *, {told} from freshness.curves order by kind, source, band",
            as_of_on=as_of_on, version=version, run_id=run_id,
        )  # fmt: skip
    return _report(rows)


def _fitted_on(connection: Connection, settings: Freshness) -> dict[str, Any]:
    """What curves that are fitted now would be fitted on: the settings, and how many rows of each kind."""
    counts = connection.execute(
        "select (select count(*) from identity.record_customers), "
        "(select count(*) from intermediate.int_contact_history), (select count(*) from intermediate.int_contact_signs)"
    ).fetchall()[0]
    told = (f"{settings.fit_fingerprint()}/{_CODE}", *counts)
    return dict(zip(_FITTED_ON, told, strict=True))


def _kept(
    connection: Connection, workspace: Workspace, fitted_on: dict[str, Any], as_of_on: dt.date
) -> list[dict[str, Any]] | None:
    """The rows of the last committed curves of this date, or None where they are none of these settings and data."""
    names = ", ".join(CONTACT_CURVES.columns)
    result = connection.execute(
        f"select {names} from ({registry.rows(workspace, CONTACT_CURVES)}) where as_of_on = ? "
        "qualify rank() over (order by version desc) = 1 order by kind, source, band",
        [as_of_on],
    )
    told = [dict(zip(CONTACT_CURVES.columns, row, strict=True)) for row in result.fetchall()]
    if not told or told[0]["settings"] != fitted_on["settings"]:
        return None
    if any(
        abs(int(told[0][name]) - int(fitted_on[name])) > _SAME_DATA_RATE * int(told[0][name])
        for name in ("records", "statements", "signs")
    ):
        return None
    sources = connection.execute("select distinct source from identity.record_customers").fetchall()
    if {row["source"] for row in told} != {EVERY_SOURCE, *(source for (source,) in sources)}:
        return None
    return [{name: row[name] for name in _CURVES} for row in told]


def _fitted(connection: Connection, settings: Freshness, as_of_on: dt.date) -> list[dict[str, Any]]:
    """The rows of freshness.curves, estimated from the data of this build."""
    edges = (0.0, *settings.bands_years)
    groups = gather(connection, settings, edges, as_of_on=as_of_on)
    rows: list[dict[str, Any]] = []
    for kind in CONTACT_KINDS:
        declared = settings.loss_of(kind)
        whole, each = fit_kind(groups[kind], edges, declared, settings.prior_losses)
        every = sum(groups[kind].values(), start=Evidence.nothing(len(edges)))
        for source, curve, evidence in [
            (EVERY_SOURCE, whole, every),
            *((source, each[source], groups[kind][source]) for source in each),
        ]:
            rows += _rows(kind, source, curve, evidence, hazard_of(declared))
    return sorted(rows, key=lambda row: (row["kind"], row["source"], row["band"]))


def _report(rows: list[dict[str, Any]]) -> FreshnessReport:
    first = [row for row in rows if row["band"] == 0]  # what is told of a whole curve stands on each of its bands
    each = [row for row in rows if row["source"] != EVERY_SOURCE]
    losses = {row["kind"]: row["yearly_loss"] for row in first if row["source"] == EVERY_SOURCE}
    return FreshnessReport(
        curves=len(first),
        losses=sum(row["losses"] for row in first if row["source"] != EVERY_SOURCE),
        proved_years=round(sum(row["proved_years"] for row in each), 1),
        silent_years=round(sum(row["silent_years"] for row in each), 1),
        **{f"{kind}_yearly_loss": round(losses[kind], 4) for kind in CONTACT_KINDS},
    )


_ARROW = {"varchar": pa.string(), "integer": pa.int32(), "double": pa.float64()}


def _rows(kind: str, source: str, curve: Curve, evidence: Evidence, declared: float) -> list[dict[str, Any]]:
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


def _decay(rows: list[dict[str, Any]]) -> pa.Table:
    """The probability of being still good by kind, source and days of silence, from the rows of freshness.curves."""
    days = np.arange(LAST_DAY + 1)
    bands: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        bands.setdefault((row["kind"], row["source"]), []).append(row)
    tables = []
    for (kind, source), found in sorted(bands.items()):
        edges = tuple(float(row["from_years"]) for row in found)
        hazards = np.array([row["hazard"] for row in found], dtype=np.float64)
        curve = Curve(edges, hazards, log_deviation=np.zeros(len(edges)), told_rate=1.0)
        good = survival(curve, days / DAYS_PER_YEAR)
        tables.append(
            pa.table(
                {
                    "kind": pa.repeat(kind, len(days)),
                    "source": pa.repeat(source, len(days)),
                    "age_days": pa.array(days, type=pa.int32()),
                    "still_good_rate": pa.array(np.round(good, 4), type=pa.float64()),
                }
            )
        )
    return pa.concat_tables(tables)

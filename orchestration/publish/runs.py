"""The record of runs, and what `rcu status` shows.

What belongs here: appending a run's outcome to the registry and reading it back. What does not: how
it is printed.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import duckdb

from orchestration import registry, warehouse
from orchestration.publish.publications import Publication, current, list_publications
from orchestration.settings import Workspace
from orchestration.warehouse import Connection, literal

Outcome = Literal["running", "published", "nothing_new", "failed"]

RUNS = registry.RegistryTable(
    "runs",
    {
        "status": "varchar",
        "is_forward": "boolean",
        "mode": "varchar",
        "started_at": "timestamp",
        "ended_at": "timestamp",
        "reason": "varchar",
        "counts": "varchar",
    },
    is_versioned=False,
)


@dataclass(frozen=True)
class Run:
    """One run. `counts`: numbers by name (records, customers, ...). Times are UTC."""

    run_id: str
    as_of_on: dt.date
    version: str
    status: Outcome
    started_at: dt.datetime
    ended_at: dt.datetime | None = None
    is_forward: bool = True
    mode: str = ""
    reason: str = ""
    counts: Mapping[str, int | float] = field(default_factory=dict)


@dataclass(frozen=True)
class Status:
    """The state of a workspace: what readers see, what is kept, the last runs (newest first)."""

    current: Publication | None
    publications: list[Publication]
    runs: list[Run]
    is_rolled_back: bool
    build: warehouse.Stamp | None


def record_run(workspace: Workspace, run: Run) -> None:
    """Append a run's state. Recorded again when it ends: the last record of a run counts.

    `reason` goes to the registry as it is: never pass the text of an error that quotes data.
    """
    values = ", ".join(
        (
            f"{literal(run.status)} as status",
            f"{'true' if run.is_forward else 'false'} as is_forward",
            f"{literal(run.mode)} as mode",
            f"{_time_sql(run.started_at)} as started_at",
            f"{_time_sql(run.ended_at)} as ended_at",
            f"{literal(run.reason)} as reason",
            f"{literal(json.dumps(dict(run.counts), sort_keys=True))} as counts",
        )
    )
    connection = warehouse.connect()
    try:
        registry.stage(
            workspace, RUNS, connection, f"select {values}",
            as_of_on=run.as_of_on, version=run.version, run_id=run.run_id,
        )  # fmt: skip
    finally:
        connection.close()


def last_runs(workspace: Workspace, limit: int = 10) -> list[Run]:
    """The last runs, newest first."""
    return _runs(workspace, "true", limit)


def _runs(workspace: Workspace, where: str, limit: int | None = None) -> list[Run]:
    connection = warehouse.connect()
    try:
        rows = connection.execute(
            f"select * from ({_latest_sql(workspace)}) where {where} order by started_at desc, run_id desc"
            + ("" if limit is None else f" limit {limit:d}")
        ).fetchall()
    finally:
        connection.close()
    return [
        Run(
            run_id=run_id, as_of_on=as_of_on, version=version, status=status, started_at=started_at,
            ended_at=ended_at, is_forward=is_forward, mode=mode, reason=reason, counts=json.loads(counts),
        )
        for run_id, as_of_on, version, status, started_at, ended_at, is_forward, mode, reason, counts in rows
    ]  # fmt: skip


def close_lost_runs(workspace: Workspace, run_id: str | None = None) -> list[str]:
    """Record as failed the runs, or the one given, that began and never said how they ended.

    Call under the run lock: no other run can then be under way. Returns their ids.
    """
    lost = [run for run in _runs(workspace, "status = 'running'") if run_id in (None, run.run_id)]
    reason = "a step failed" if run_id else "it was killed, or its machine stopped"
    for run in lost:
        now = dt.datetime.now(dt.UTC)
        record_run(workspace, replace(run, status="failed", ended_at=now, reason=f"{reason}; Dagster has its log"))
    return [run.run_id for run in lost]


def write_runs(connection: Connection, workspace: Workspace, *, as_of_on: dt.date, publishing: str = "") -> None:
    """Write `audit.runs` into the build: one row per run for a date up to `as_of_on`.

    The run `publishing` is told as published, with no end yet: whoever reads its row reads what it published.
    """
    connection.execute("create schema if not exists audit")
    connection.execute(
        f"create or replace table audit.runs as select * replace ("
        f"case when run_id = {literal(publishing)} then 'published' else status end as status) "
        f"from ({_latest_sql(workspace)}) where as_of_on <= date '{as_of_on}' order by started_at, run_id"
    )


def status(workspace: Workspace, *, runs: int = 10) -> Status:
    """What `rcu status` shows. Reads only; safe beside a run, whose build is then told as None."""
    publications = list_publications(workspace)
    shown = current(workspace)
    commits = registry.commits(workspace)
    return Status(
        current=shown,
        publications=publications,
        runs=last_runs(workspace, runs),
        is_rolled_back=bool(commits) and shown is not None and shown.version != commits[-1].version,
        build=_stamp_if_free(workspace),
    )


def _stamp_if_free(workspace: Workspace) -> warehouse.Stamp | None:
    try:
        return warehouse.read_stamp(workspace.build_file)
    except duckdb.IOException:
        return None


def _latest_sql(workspace: Workspace) -> str:
    return (
        "select run_id, as_of_on, version, status, started_at, ended_at, is_forward, mode, reason, counts "
        f"from ({registry.rows(workspace, RUNS)}) qualify row_number() over (partition by run_id "
        "order by ended_at desc nulls last, status = 'running', status, version) = 1"
    )


def _time_sql(moment: dt.datetime | None) -> str:
    if moment is None:
        return "cast(null as timestamp)"
    utc = moment.astimezone(dt.UTC) if moment.tzinfo else moment
    return f"timestamp '{utc:%Y-%m-%d %H:%M:%S.%f}'"

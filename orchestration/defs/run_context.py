"""What every step of a run shares: the workspace, the whole-run lock, the step's date and run.

A step calls `open_step` and works on the build database it gets; errors that a person can mend
become one-line Dagster failures.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
import platform
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import dagster as dg

from orchestration import protection, publish, registry
from orchestration.contracts.catalogue import Catalogue, load_catalogue
from orchestration.defs.event_log import RunEventLog
from orchestration.errors import RcuError
from orchestration.settings import Workspace
from orchestration.warehouse import Connection, let_go, open_build, run_lock

progress = logging.getLogger("rcu.progress")


class WarehouseRun(dg.ConfigurableResource):
    """Holds the workspace's run lock from the first step of a run to its last."""

    workspace_root: str

    @property
    def workspace(self) -> Workspace:
        return Workspace(Path(self.workspace_root))

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[WarehouseRun]:
        self.workspace.prepare()
        protection.open_databases(self.workspace)
        with ExitStack() as stack:
            stack.enter_context(run_lock(self.workspace, f"run {context.run_id}"))
            if context.run is not None and context.instance is not None:
                stack.enter_context(event_log_kept_open(self.workspace, context.instance, context.run.run_id))
            publish.recover(self.workspace)
            publish.close_lost_runs(self.workspace)
            self._begin(context.run)
            try:
                yield self
            finally:
                let_go()
                if context.run is not None:
                    publish.close_lost_runs(self.workspace, _root_run_id(context.run))

    def _begin(self, run: dg.DagsterRun | None) -> None:
        """Say that a run began. The steps that know how it ends say so; what ends unsaid has failed."""
        partition = run.tags.get("dagster/partition") if run else None
        if run is None or partition is None:
            return
        as_of_on = dt.date.fromisoformat(partition)
        publish.record_run(
            self.workspace,
            publish.Run(
                run_id=_root_run_id(run),
                as_of_on=as_of_on,
                version=registry.next_version(self.workspace, as_of_on),
                status="running",
                started_at=dt.datetime.now(dt.UTC),
            ),
        )


class ScoresConfig(dg.Config):
    """`refit`: fit and back-test the models, and fit the decay curves, anew on this run's data, however young they are."""

    refit: bool = False


def refit_config(refit: bool) -> dict[str, Any]:
    """The run configuration of the job `daily` that asks for new models, or for nothing."""
    return {"ops": {"scores": {"config": {"refit": True}}}} if refit else {}


def asks_to_refit(run_config: Mapping[str, Any]) -> bool:
    """Whether a run of `daily` was asked for new models: then there is something to do without a new file."""
    step = run_config.get("ops", {}).get("scores") or {}
    return bool((step.get("config") or {}).get("refit", False))


#: Which process executes a run that Dagster's daemon did not launch; the daemon looks after its own.
_PROCESS = "rcu/process"


def process_tag() -> dict[str, str]:
    """The tag of a run that this process executes itself."""
    return {_PROCESS: f"{platform.node()}:{os.getpid()}"}


def fail_lost_runs(instance: dg.DagsterInstance) -> int:
    """Tell Dagster which runs ended with their process: it would count them as running, and launch no other.

    Returns how many. Runs of another machine are left alone.
    """
    lost = 0
    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        host, _, process = run.tags.get(_PROCESS, "").rpartition(":")
        if host == platform.node() and not _is_alive(int(process)):
            instance.report_run_failed(run, f"process {process} is no more: the run was killed")
            lost += 1
    return lost


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _root_run_id(run: dg.DagsterRun) -> str:
    """A retry of a failed run continues it."""
    return run.root_run_id or run.run_id


@contextmanager
def event_log_kept_open(workspace: Workspace, instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Keep Dagster's SQLite files open while a run lasts: its event log, and the list of runs.

    Dagster opens and closes the list of runs for every change of status; the last connection that closes makes
    SQLite write its log back and delete it, which costs more than the change. This connection is never the last.
    """
    runs = workspace.dagster_home / "history" / "runs.db"
    runs.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        connection = stack.enter_context(closing(sqlite3.connect(runs)))
        connection.execute("pragma journal_mode = wal").fetchone()
        connection.execute("select count(*) from sqlite_master").fetchone()
        if isinstance(instance.event_log_storage, RunEventLog):
            stack.enter_context(instance.event_log_storage.kept_open(run_id))
        yield


@dataclass(frozen=True)
class Step:
    """One step of one run: where, for which date, in which run, and the plan that `landing` made."""

    workspace: Workspace
    catalogue: Catalogue
    as_of_on: dt.date
    run_id: str

    @property
    def build_path(self) -> Path:
        """Runs forward in time share the build file; a backfill has its own."""
        is_forward = publish.is_forward(self.workspace, self.as_of_on)
        return self.workspace.build_file if is_forward else self.workspace.scratch_file


@dataclass(frozen=True)
class PlannedStep:
    """A step after `landing`: the build database is open and the plan known."""

    step: Step
    connection: Connection
    version: str
    is_forward: bool
    mode: Literal["increment", "rebuild"]

    @property
    def arguments(self) -> dict[str, Any]:
        """What the domain functions take by keyword."""
        return {
            "as_of_on": self.step.as_of_on,
            "version": self.version,
            "run_id": self.step.run_id,
            "is_forward": self.is_forward,
        }


@contextmanager
def told(label: str) -> Iterator[None]:
    """Say on the progress log that a step took place and how long it took."""
    started = time.monotonic()
    yield
    progress.info(f"{label:<22} {time.monotonic() - started:5.1f} s")


@contextmanager
def user_errors() -> Iterator[None]:
    """Turn an error that a person can mend into a one-line failure that carries the exit code."""
    try:
        yield
    except RcuError as error:
        raise dg.Failure(
            description=str(error),
            metadata={"exit_code": dg.MetadataValue.int(error.exit_code)},
            allow_retries=False,
        ) from None


_declared: dict[Path, tuple[tuple[tuple[str, int, int], ...], Catalogue]] = {}


def declared(declarations: Path) -> Catalogue:
    """The declarations as they are now: read again only when a file of them changed. A score of steps asks."""
    files = (path for path in sorted(declarations.rglob("*")) if path.is_file())
    state = tuple((str(path), told.st_mtime_ns, told.st_size) for path in files if (told := path.stat()))
    known = _declared.get(declarations)
    if known is None or known[0] != state:
        known = (state, load_catalogue(declarations))
        _declared[declarations] = known
    return known[1]


def step_of(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext, warehouse: WarehouseRun) -> Step:
    """The step a Dagster context stands for. A retry of a failed run continues that run's build."""
    run = context.run
    partition = run.tags.get("dagster/partition")
    if partition is None:
        raise dg.Failure(
            description="this job runs for one date: choose one partition, or use `rcu run --from A --to B` "
            "(the job `backfill`) for several days",
            metadata={"exit_code": dg.MetadataValue.int(2)},
            allow_retries=False,
        )
    workspace = warehouse.workspace
    return Step(
        workspace=workspace,
        catalogue=declared(workspace.declarations),
        as_of_on=dt.date.fromisoformat(partition),
        run_id=_root_run_id(run),
    )


def ended_run(
    context: dg.AssetExecutionContext, step: Step, status: publish.Outcome, version: str, is_forward: bool,
    mode: str = "", counts: Mapping[str, int] | None = None,
) -> publish.Run:  # fmt: skip
    """The record of this run, ended now."""
    record = context.instance.get_run_record_by_id(context.run_id)
    now = dt.datetime.now(dt.UTC)
    began = record.start_time if record and record.start_time else now.timestamp()
    return publish.Run(
        run_id=step.run_id,
        as_of_on=step.as_of_on,
        version=version,
        status=status,
        started_at=dt.datetime.fromtimestamp(began, dt.UTC),
        ended_at=now,
        is_forward=is_forward,
        mode=mode,
        counts=counts or {},
    )


@contextmanager
def open_step(
    context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext, warehouse: WarehouseRun
) -> Iterator[PlannedStep]:
    """Open the build database for one step; refuse a build that another run or date stamped."""
    with user_errors():
        step = step_of(context, warehouse)
        with open_build(step.build_path, as_of_on=step.as_of_on, run_id=step.run_id) as connection:
            version, is_forward, mode = connection.execute(
                "select version, is_forward, mode from control.run_plan"
            ).fetchall()[0]
            yield PlannedStep(step, connection, version, is_forward, mode)


def row_counts(connection: Connection, tables: list[str]) -> dict[str, int]:
    """Rows of each `schema.table`, in one query."""
    if not tables:
        return {}
    union = " union all ".join(f"select '{table}', count(*) from {table}" for table in tables)
    return {name: int(count) for name, count in connection.execute(union).fetchall()}

"""The daily job, its schedule, the inbox sensor, and the job that goes back over past days."""

import datetime as dt
import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from orchestration import publish
from orchestration.contracts.catalogue import Catalogue
from orchestration.defs.run_context import ScoresConfig, fail_lost_runs, process_tag, refit_config
from orchestration.settings import Workspace

#: Seconds a file of the inbox must be left untouched before a run is launched for it: as long as the run itself asks.
SETTLED_SECONDS = 2
#: Dagster's daemon asks a sensor every five seconds. One that goes on looking while it is asked misses little of them.
WATCHED_SECONDS = 4.5
LOOK_SECONDS = 0.25


def partitions_of(catalogue: Catalogue) -> dg.DailyPartitionsDefinition:
    """One partition per as-of date, in the company's time zone, today included."""
    company = catalogue.company
    return dg.DailyPartitionsDefinition(company.first_day.isoformat(), timezone=company.time_zone, end_offset=1)


@dg.failure_hook(required_resource_keys={"warehouse"})
def tell_failure(context: dg.HookContext) -> None:
    """Write the failed step into the record of runs, which `rcu status` shows."""
    run = context.instance.get_run_by_id(context.run_id)
    partition = run.tags.get("dagster/partition") if run else None
    if partition:
        now = dt.datetime.now(dt.UTC)
        record = context.instance.get_run_record_by_id(context.run_id)
        began = record.start_time if record and record.start_time else now.timestamp()
        publish.record_run(
            context.resources.warehouse.workspace,
            publish.Run(
                run_id=context.run_id,
                as_of_on=dt.date.fromisoformat(partition),
                version="",
                status="failed",
                started_at=dt.datetime.fromtimestamp(began, dt.UTC),
                ended_at=now,
                reason=f"step {context.op.name}",
            ),
        )


def daily_job(partitions: dg.PartitionsDefinition) -> UnresolvedAssetJobDefinition:
    """The whole chain for one date, in one process: DuckDB lets one process write."""
    return dg.define_asset_job(
        "daily",
        selection=dg.AssetSelection.all(),
        description="The whole chain for one as-of date: from the files of the inbox to the published database",
        partitions_def=partitions,
        executor_def=dg.in_process_executor,
        tags={"dagster/max_runtime": "14400"},
        hooks={tell_failure},
    )


def daily_schedule(job: UnresolvedAssetJobDefinition, catalogue: Catalogue) -> dg.ScheduleDefinition:
    """Every morning at 05:00, as of that day."""

    @dg.schedule(
        name="every_day",
        job=job,
        cron_schedule="0 5 * * *",
        execution_timezone=catalogue.company.time_zone,
        description="Runs the job `daily` each day at 05:00 for that day",
    )
    def every_day(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        fail_lost_runs(context.instance)
        return dg.RunRequest(partition_key=context.scheduled_execution_time.date().isoformat())

    return every_day


@dataclass(frozen=True)
class Waiting:
    """What lies in the inbox: a digest of its files, how many they are, and the one that is still being written."""

    digest: str
    count: int
    unsettled: str | None


def look(inbox: Path) -> Waiting:
    """The files of the inbox as they are now. A file is settled after `SETTLED_SECONDS`, or with a `.done` beside it."""
    now = dt.datetime.now(dt.UTC).timestamp()
    files: list[tuple[str, int, int]] = []
    unsettled = None
    for path in sorted(inbox.rglob("*")) if inbox.exists() else []:
        try:
            if path.is_symlink() or not path.is_file() or path.name.startswith(".") or path.suffix == ".done":
                continue
            told = path.stat()
        except FileNotFoundError:  # taken meanwhile
            continue
        if now - told.st_mtime < SETTLED_SECONDS and not path.with_name(path.name + ".done").exists():
            unsettled = unsettled or path.name
        files.append((str(path.relative_to(inbox)), told.st_size, told.st_mtime_ns))
    return Waiting(hashlib.sha256(json.dumps(files).encode()).hexdigest(), len(files), unsettled)


def watch(inbox: Path, launched: str | None, seconds: float = WATCHED_SECONDS) -> Waiting:
    """Look until the inbox holds settled files other than those of the digest `launched`, for `seconds` at most."""
    until = time.monotonic() + seconds
    while True:
        waiting = look(inbox)
        is_new = waiting.count > 0 and waiting.digest != launched and not waiting.unsettled
        if is_new or time.monotonic() >= until:
            return waiting
        time.sleep(LOOK_SECONDS)


def inbox_sensor(job: UnresolvedAssetJobDefinition, catalogue: Catalogue, workspace: Workspace) -> dg.SensorDefinition:
    """Launches the daily job for today when the inbox holds files that were not there at the last launch.

    The cursor is a digest of the inbox as it was at the last launch: a file that a failed run left there
    does not launch the job again and again, a changed or re-delivered one does.
    """

    @dg.sensor(
        name="inbox",
        job=job,
        minimum_interval_seconds=1,  # with the five of the daemon's loop, every other one would be left out
        description="Runs the job `daily` for today when new files have settled in data/inbox",
    )
    def inbox(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        fail_lost_runs(context.instance)
        waiting = watch(workspace.inbox, context.cursor)
        if waiting.unsettled:
            return dg.SkipReason(f"{waiting.unsettled} is still being written")
        if not waiting.count or waiting.digest == context.cursor:
            context.update_cursor(waiting.digest)
            return dg.SkipReason("the inbox holds nothing new")
        context.update_cursor(waiting.digest)
        return dg.RunRequest(
            partition_key=catalogue.company.today().isoformat(), tags={"rcu/files": str(waiting.count)}
        )

    return inbox


class BackfillConfig(dg.Config):
    """The days to go back over, both included (ISO dates). `refit`: new score models on each of them."""

    first: str
    last: str
    refit: bool = False


def _run_day(context: dg.OpExecutionContext, day: dt.date, *, refit: bool) -> None:
    """Run the job `daily` for one day, in this process, as a run of its own. Raises dg.Failure when it fails."""
    result = context.repository_def.get_job("daily").execute_in_process(
        partition_key=day.isoformat(),
        instance=context.instance,
        raise_on_error=False,
        tags={"rcu/launched_by": context.run_id, **process_tag()},
        run_config=refit_config(refit),
    )
    if not result.success:
        raise dg.Failure(
            description=f"{day} failed (run {result.run_id}): stopped there; what came before is kept",
            allow_retries=False,
        )
    context.log.info(f"{day} done")


def today_job(catalogue: Catalogue) -> dg.JobDefinition:
    """The job `daily` for the latest date, with nothing to choose: Dagster preselects no partition."""

    @dg.op(name="latest_day")
    def latest_day(context: dg.OpExecutionContext, config: ScoresConfig) -> None:
        _run_day(context, catalogue.company.today(), refit=config.refit)

    @dg.job(
        name="today",
        executor_def=dg.in_process_executor,
        description="The job `daily` for the latest date: press Launch Run, there is nothing to choose",
    )
    def today() -> None:
        latest_day()

    return today


def backfill_job() -> dg.JobDefinition:
    """Whole days, in order, in one process, stopping at the first failure."""

    @dg.op(name="days")
    def days(context: dg.OpExecutionContext, config: BackfillConfig) -> None:
        try:
            day, last = dt.date.fromisoformat(config.first), dt.date.fromisoformat(config.last)
        except ValueError as error:
            raise dg.Failure(description=f"first and last are dates such as 2026-03-01: {error}") from None
        while day <= last:
            _run_day(context, day, refit=config.refit)
            day += dt.timedelta(days=1)

    @dg.job(
        name="backfill",
        executor_def=dg.in_process_executor,
        description="The job `daily` for each day from first to last, in order, stopping at the first failure",
    )
    def backfill() -> None:
        days()

    return backfill

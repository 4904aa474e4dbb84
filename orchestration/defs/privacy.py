"""Privacy in Dagster: the job that applies retention, its schedule, and the check on overdue requests."""

import datetime as dt

import dagster as dg

from orchestration import privacy
from orchestration.contracts.catalogue import Catalogue, load_catalogue
from orchestration.defs.run_context import WarehouseRun, open_step, user_errors

LEDGER = dg.AssetKey(["audit", "privacy_requests"])


class RetentionConfig(dg.Config):
    """`dry_run`: count what would go and change nothing. `on`: as of this day (ISO; empty: today)."""

    dry_run: bool = True
    on: str = ""


def expire_runs(instance: dg.DagsterInstance, before: dt.date, is_dry: bool) -> int:
    """Remove the runs, with their events, that were created before a day; returns how many."""
    limit = dt.datetime.combine(before, dt.time(), dt.UTC)
    old = instance.get_run_records(filters=dg.RunsFilter(created_before=limit))
    if not is_dry:
        for record in old:
            instance.delete_run(record.dagster_run.run_id)
    return len(old)


def retention_job() -> dg.JobDefinition:
    """What was kept long enough goes; a dry run by default."""

    @dg.op(name="retain", required_resource_keys={"warehouse"})
    def retain(context: dg.OpExecutionContext, config: RetentionConfig) -> None:
        warehouse: WarehouseRun = context.resources.warehouse
        workspace = warehouse.workspace
        with user_errors():
            catalogue = load_catalogue(workspace.declarations)
            try:
                on = dt.date.fromisoformat(config.on) if config.on else catalogue.company.today()
            except ValueError:
                raise dg.Failure(description=f'on is a date such as 2026-03-01, not "{config.on}"') from None
            if on > catalogue.company.today():
                raise dg.Failure(description=f"{on} is in the future: what is not due yet would go")
            report = privacy.retain(
                workspace,
                catalogue.sources,
                catalogue.retention,
                on=on,
                is_dry=config.dry_run,
                expire_runs=lambda before, is_dry: expire_runs(context.instance, before, is_dry),
            )
            waiting = 0 if config.dry_run else len(privacy.tell_destinations(workspace, catalogue.activations).waiting)
        context.add_output_metadata({**report.counts(), "dry_run": config.dry_run, "removals_waiting": waiting})

    @dg.job(
        name="retention",
        executor_def=dg.in_process_executor,
        description="Removes what was kept long enough (declarations/retention.yml); a dry run unless told otherwise",
    )
    def retention() -> None:
        retain()

    return retention


def retention_schedule(job: dg.JobDefinition, catalogue: Catalogue) -> dg.ScheduleDefinition:
    """Every Sunday at 02:00, for good."""
    return dg.ScheduleDefinition(
        name="every_sunday",
        job=job,
        cron_schedule="0 2 * * 0",
        execution_timezone=catalogue.company.time_zone,
        run_config={"ops": {"retain": {"config": {"dry_run": False}}}},
        description="Applies retention each Sunday at 02:00",
    )


def overdue_check() -> dg.AssetChecksDefinition:
    """Fails when a request of a person was not answered in time. It stops no run: data are not at fault."""

    @dg.asset_check(asset=LEDGER, name="requests_are_answered_in_time", blocking=False)
    def requests_are_answered_in_time(
        context: dg.AssetCheckExecutionContext, warehouse: WarehouseRun
    ) -> dg.AssetCheckResult:
        with open_step(context, warehouse) as planned:
            late = planned.connection.execute(
                "select request_id, due_on from audit.privacy_requests where is_overdue order by due_on, request_id"
            ).fetchall()
        shown = ", ".join(f"{request_id} (due {due_on})" for request_id, due_on in late[:5])
        more = f" and {len(late) - 5} more" if len(late) > 5 else ""
        return dg.AssetCheckResult(
            passed=not late,
            severity=dg.AssetCheckSeverity.ERROR,
            metadata={"overdue": len(late)},
            description=f"overdue: {shown}{more}; `rcu requests` lists them" if late else "none is overdue",
        )

    return requests_are_answered_in_time

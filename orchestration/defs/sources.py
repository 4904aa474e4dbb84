"""Sources and landing: files of the inbox become Parquet, then the build's `landing` tables as of D."""

from collections.abc import Iterator

import dagster as dg

from orchestration import ingest, privacy, publish
from orchestration.contracts.catalogue import Catalogue
from orchestration.contracts.entities import ENTITIES
from orchestration.defs.run_context import (
    Step,
    WarehouseRun,
    asks_to_refit,
    ended_run,
    progress,
    row_counts,
    step_of,
    told,
    user_errors,
)
from orchestration.errors import UsageError
from orchestration.warehouse import begin_build, keep_open, open_build

AUDIT_TABLES = {
    "files": "Every file ever seen: hash, rows, dates, status (one row per file)",
    "quarantine": "Rows refused, with file, line, column, rule and reason; no raw text (one row per refused row)",
    "landing_counts": "Rows per file and entity, to hold landed tables against the manifest (one row per delivery)",
    "source_profile": "Share filled and distinct values of each delivered column (one row per source, entity, column)",
    "freshness": "Age of each source's last delivery against its cadence (one row per source)",
    "privacy_requests": "Requests of persons, when an answer is due and how each ended (one row per request)",
}
OWNER = "team:customer-data"


def source_assets(catalogue: Catalogue, partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """One asset per source contract: the extracts that were taken from the inbox."""

    @dg.multi_asset(
        name="ingest",
        specs=[
            dg.AssetSpec(
                ["sources", source.source],
                description=source.describes,
                group_name="sources",
                kinds={source.file.format if source.file else "database"},
                owners=[source.owner or OWNER],
                tags={"layer": "sources", "delivery": source.delivery},
                partitions_def=partitions,
                skippable=True,
            )
            for source in catalogue.sources.values()
        ],
        can_subset=True,
    )
    def ingest_sources(context: dg.AssetExecutionContext, warehouse: WarehouseRun) -> Iterator[dg.MaterializeResult]:
        with told("ingest"), user_errors():
            refuse_dagster_backfill(context)
            step = step_of(context, warehouse)
            today = step.catalogue.company.today()
            if step.as_of_on > today:
                raise UsageError(f"{step.as_of_on} is in the future (today is {today}); choose an earlier date")
            is_forward = publish.is_forward(step.workspace, step.as_of_on)
            report = ingest.ingest(
                step.workspace,
                step.catalogue.sources,
                step.catalogue.company,
                received_on=step.as_of_on if is_forward else today,
                is_forward=is_forward,
                run_id=step.run_id,
                progress=context.log.info,
            )
            kept = privacy.before_landing(
                step.workspace,
                step.catalogue.sources,
                step.catalogue.activations,
                step.catalogue.retention,
                today=step.as_of_on if is_forward else today,
                is_forward=is_forward,
                time_zone=step.catalogue.company.time_zone,
            )
            context.log.info(f"privacy: {numbers_of(kept)}")
            for message in (*report.errors, *report.warnings):
                context.log.warning(message)
            for message in report.errors:
                progress.warning(message)
            if report.warnings:
                progress.info(f"{len(report.warnings)} warnings on the files; the first: {report.warnings[0]}")
            for key in context.selected_asset_keys:
                files = [file for file in report.files if file.source == key.path[-1]]
                read = sum(file.rows_read for file in files)
                quarantined = sum(file.rows_quarantined for file in files)
                yield dg.MaterializeResult(
                    asset_key=key,
                    metadata={
                        "files": len(files),
                        "rows_read": read,
                        "rows_landed": sum(file.rows_landed for file in files),
                        "rows_quarantined": quarantined,
                        "rows_filtered": sum(file.rows_filtered for file in files),
                        "reject_rate": quarantined / read if read else 0.0,
                    },
                )

    return ingest_sources


def landing_assets(catalogue: Catalogue, partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The landing tables of the build, as of the run's date; here the run is planned and stamped."""
    sources = [dg.AssetKey(["sources", name]) for name in catalogue.sources]
    entities = {
        f"landing.{entity.plural}": f"Every {entity.name.replace('_', ' ')} delivered up to the run's date, typed, "
        "in the one canonical form"
        for entity in ENTITIES.values()
    }
    tables = {**entities, **{f"audit.{name}": text for name, text in AUDIT_TABLES.items()}}

    @dg.multi_asset(
        name="landing",
        specs=[
            dg.AssetSpec(
                table.split("."),
                deps=sources,
                description=text,
                group_name="landing",
                kinds={"parquet", "duckdb"},
                owners=[OWNER],
                tags={"layer": table.split(".")[0]},
                partitions_def=partitions,
                skippable=True,
            )
            for table, text in tables.items()
        ],
    )
    def land(context: dg.AssetExecutionContext, warehouse: WarehouseRun) -> Iterator[dg.MaterializeResult]:
        with told("landing"), user_errors():
            step = step_of(context, warehouse)
            plan = publish.plan_run(
                step.workspace,
                as_of_on=step.as_of_on,
                run_id=step.run_id,
                code_fingerprint=publish.code_fingerprint(step.workspace),
                input_fingerprint=publish.input_fingerprint(step.workspace, as_of_on=step.as_of_on),
                today=step.catalogue.company.today(),
            )
            if plan.is_nothing_new and not asks_to_refit(context.run.run_config):
                context.log.info(f"nothing new: {plan.reason}")
                publish.record_run(
                    step.workspace, ended_run(context, step, "nothing_new", plan.version, plan.is_forward)
                )
                return
            begin_build(plan.build_path, plan.stamp, encrypted=step.catalogue.company.encrypted_at_rest)
            keep_open(plan.build_path)
            yield from _assemble(step, plan, tables)

    return land


def _assemble(step: Step, plan: publish.RunPlan, tables: dict[str, str]) -> Iterator[dg.MaterializeResult]:
    with open_build(plan.build_path, as_of_on=step.as_of_on, run_id=step.run_id) as connection:
        connection.execute(
            "create or replace table control.run_plan as select ? as version, ?::boolean as is_forward, "
            "? as mode, ? as fingerprint",
            [plan.version, plan.is_forward, plan.mode, plan.fingerprint],
        )
        for name, table in step.catalogue.tables().items():
            connection.register("declared", table)
            connection.execute(f"create or replace table control.{name} as select * from declared")
            connection.unregister("declared")
        ingest.assemble(connection, step.workspace, step.catalogue.sources, as_of_on=step.as_of_on)
        privacy.write_requests(connection, step.workspace, today=step.as_of_on)
        for name, rows in row_counts(connection, list(tables)).items():
            yield dg.MaterializeResult(asset_key=name.split("."), metadata={"dagster/row_count": rows})


def numbers_of(report: privacy.DailyReport) -> str:
    """The counts of a report in words."""
    return ", ".join(f"{name} {count}" for name, count in vars(report).items() if count) or "nothing to do"


def refuse_dagster_backfill(context: dg.AssetExecutionContext) -> None:
    """Dagster's own backfills launch days apart from each other, in any order and past a failure."""
    if "dagster/backfill" in context.run.tags or "dagster/asset_partition_range_start" in context.run.tags:
        raise UsageError(
            "Dagster's own backfill runs days apart and goes on past a failed one; launch the job `backfill` with "
            "from and to, or `rcu run --from A --to B`: whole days, in order, stopping at the first failure"
        )

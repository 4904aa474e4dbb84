"""What Dagster loads. Assembly only: declarations and the dbt manifest are read here, no database."""

from __future__ import annotations

import json

import dagster as dg

from orchestration.defs import activation, gates, jobs, privacy, reports, sources, steps
from orchestration.defs.dbt_build import manifest_path
from orchestration.defs.run_context import WarehouseRun, declared
from orchestration.protection import open_databases
from orchestration.settings import Workspace, current_workspace


def build_definitions(workspace: Workspace) -> dg.Definitions:
    """The asset graph, checks, jobs, schedule and sensor of one workspace."""
    open_databases(workspace)
    catalogue = declared(workspace.declarations)
    manifest_file = manifest_path(workspace)
    manifest = json.loads(manifest_file.read_text(encoding="utf-8"))
    partitions = jobs.partitions_of(catalogue)
    prepare = steps.dbt_layer("prepare", manifest_file, manifest, partitions, gate="landing")
    unify = steps.dbt_layer("unify", manifest_file, manifest, partitions, gate=None)
    serve = steps.dbt_layer("serve", manifest_file, manifest, partitions, gate="golden")
    marts = sorted(serve.keys)
    segments = steps.segment_assets(catalogue, marts, partitions)
    activations = activation.activation_assets(catalogue, partitions)
    daily = jobs.daily_job(partitions)
    retention = privacy.retention_job()
    return dg.Definitions(
        assets=[
            sources.source_assets(catalogue, partitions),
            sources.landing_assets(catalogue, partitions),
            prepare,
            steps.identity_assets(partitions),
            steps.freshness_assets(partitions),
            unify,
            steps.score_assets(partitions),
            serve,
            segments,
            steps.candidate_asset([*marts, *sorted(segments.keys)], partitions),
            steps.publication_asset(partitions),
            reports.reports_asset(partitions),
            *([activations] if activations else []),
        ],
        asset_checks=[*(gates.gate_checks(gate) for gate in catalogue.gates.values()), privacy.overdue_check()],
        jobs=[daily, jobs.today_job(catalogue), jobs.backfill_job(), retention],
        schedules=[jobs.daily_schedule(daily, catalogue), privacy.retention_schedule(retention, catalogue)],
        sensors=[jobs.inbox_sensor(daily, catalogue, workspace)],
        resources={"warehouse": WarehouseRun(workspace_root=str(workspace.root))},
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """The definitions of the current workspace."""
    return build_definitions(current_workspace())

"""The steps between the gates: three dbt calls, identity, scores, segments, publication."""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import dbt_assets

from orchestration import freshness, identity, privacy, publish, quality, scores, segments
from orchestration.contracts.catalogue import Catalogue
from orchestration.contracts.gate import GATES
from orchestration.defs import kept_models
from orchestration.defs.dbt_build import TRANSLATOR, BuiltModel, JudgedTest, build_layer
from orchestration.defs.gates import CANDIDATE
from orchestration.defs.run_context import (
    ScoresConfig,
    WarehouseRun,
    asks_to_refit,
    ended_run,
    open_step,
    progress,
    row_counts,
    told,
    user_errors,
)
from orchestration.defs.sources import OWNER

IDENTITY_TABLES = {
    "record_customers": "Which customer each record belongs to, since when and how (one row per living record)",
    "customer_id_history": "Creations, merges, splits and retirements of customer ids (one row per event)",
    "current_ids": "Every id ever given and the living customer it resolves to (one row per id)",
    "match_links": "Pairs of records and why they are, or are not, one person (one row per pair)",
    "match_review": "Pairs waiting for a steward (one row per pair)",
    "set_aside_decisions": "Steward decisions that could not be applied, and why (one row per decision)",
    "suspicious_clusters": "Customers that look over-merged (one row per customer and reason)",
    "shared_values": "E-mails, phones and other values that many names carry (one row per value)",
    "metrics": "Counts of the run's matching (one row per metric)",
}
FRESHNESS_TABLES = {
    "curves": "How fast contact points go stale, by kind, source and length of silence (one row each)",
    "decay": "Probability of being still good (one row per kind, source and days since the last confirmation)",
}
SCORE_TABLES = {
    "customer_scores": "Probability and value of the next purchases (one row per customer)",
    "models": "The models in force, their parameters and back-tests (one row per model)",
    "back_tests": "How well each model did on past cut-offs (one row per model, cut-off and horizon)",
    "calibration": "Predicted against actual on past cut-offs (one row per cut-off and band)",
}
#: The check that stands on the asset of each segment.
SIZE_CHECK = "size_is_as_expected"
SEGMENT_TABLES = {
    "definitions": "The segments in force, in words and in SQL (one row per segment)",
    "members": "Who is in each segment, since when and why (one row per segment and customer)",
    "changes": "Who entered or left today, and because of what (one row per segment and customer)",
    "history": "Entries and exits (one row per segment, customer and stay)",
    "sizes": "Size and reach over time (one row per segment and as-of date)",
    "overlap": "How many customers two segments share (one row per pair)",
    "movements": "Who left one segment for another in this run (one row per pair)",
    "trigger_events": "What the triggers fired, when and why (one row per trigger, customer and subject)",
}


def dbt_layer(
    tag: str, manifest_file: Path, manifest: Mapping[str, Any], partitions: dg.PartitionsDefinition, gate: str | None
) -> dg.AssetsDefinition:
    """The dbt models of one tag as one step. It refuses to start unless `gate` has passed."""

    @dbt_assets(
        name=tag,
        manifest=manifest,
        select=f"tag:{tag}",
        dagster_dbt_translator=TRANSLATOR,
        partitions_def=partitions,
    )
    def build(context: dg.AssetExecutionContext, warehouse: WarehouseRun) -> Iterator[Any]:
        with open_step(context, warehouse) as planned:
            if gate:
                quality.require_passed(planned.connection, gate)
            path = planned.step.build_path
            choice = kept_models.choose(planned.connection, manifest, tag)
        results: list[Any] = []
        with told(tag):
            if choice.models:
                names = None if choice.is_whole else choice.names
                results = list(build_layer(warehouse.workspace, path, manifest_file, tag, names))
        with open_step(context, warehouse) as planned:
            kept_models.remember(planned.connection, tag, choice)
            tables = [".".join(result.asset_key.path) for result in results if isinstance(result, BuiltModel)]
            every = [*tables, *(".".join(place) for place in choice.kept)]
            counts = row_counts(planned.connection, every)
            figures = {table: freshness.figures(planned.connection, table) for table in every}
        kept = len(choice.kept) + sum(1 for result in results if isinstance(result, BuiltModel) and result.is_kept)
        if kept:
            context.log.info(f"{kept} models are kept: their inputs did not change")
        for place in choice.kept:
            key = dg.AssetKey(place)
            if key in context.selected_asset_keys:
                # Without a result of its own, what stands on it would be skipped.
                yield dg.MaterializeResult(
                    asset_key=key,
                    metadata={
                        "dagster/row_count": counts[".".join(place)],
                        "seconds": 0.0,
                        "is_kept": 1,
                        **figures[".".join(place)],
                    },
                )
        for result in results:
            if isinstance(result, BuiltModel) and result.asset_key in context.selected_asset_keys:
                table = ".".join(result.asset_key.path)
                told_kept = {"is_kept": 1} if result.is_kept else {}
                yield dg.MaterializeResult(
                    asset_key=result.asset_key,
                    metadata={
                        "dagster/row_count": counts[table],
                        "seconds": result.seconds,
                        **told_kept,
                        **figures[table],
                    },
                )
            elif isinstance(result, JudgedTest) and result.check_key in context.selected_asset_check_keys:
                yield dg.AssetCheckResult(
                    asset_key=result.check_key.asset_key,
                    check_name=result.check_key.name,
                    passed=result.is_passed,
                    severity=dg.AssetCheckSeverity.WARN if result.is_warning else dg.AssetCheckSeverity.ERROR,
                    metadata={"failing_rows": result.failing_rows},
                )

    return build


def _specs(
    schema: str, tables: dict[str, str], deps: list[dg.AssetKey], partitions: dg.PartitionsDefinition, group: str
) -> list[dg.AssetSpec]:
    return [
        dg.AssetSpec(
            [schema, name],
            deps=deps,
            description=text,
            group_name=group,
            kinds={"python", "duckdb"},
            owners=[OWNER],
            tags={"layer": schema},
            partitions_def=partitions,
            skippable=True,
        )
        for name, text in tables.items()
    ]


def numbers(report: Any) -> dict[str, float | int]:
    """The counts of a report as metadata: numbers only, so never a personal value."""
    return {
        field.name: value
        for field in dataclasses.fields(report)
        if isinstance(value := getattr(report, field.name), (int, float)) and not isinstance(value, bool)
    }


def identity_assets(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """Records become customers."""

    @dg.multi_asset(
        name="identity",
        specs=_specs(
            "identity",
            IDENTITY_TABLES,
            [dg.AssetKey(["intermediate", "int_identity_records"])],
            partitions,
            "customers",
        ),
    )
    def resolve(context: dg.AssetExecutionContext, warehouse: WarehouseRun) -> Iterator[dg.MaterializeResult]:
        with told("identity"), open_step(context, warehouse) as planned:
            report = identity.resolve(
                planned.connection,
                planned.step.workspace,
                planned.step.catalogue.matching,
                mode=planned.mode,
                **planned.arguments,
            )
            privacy.write_suppressed(planned.connection, planned.step.workspace)
            for note in report.notes:
                context.log.warning(note)
                progress.info(note)
            counts = row_counts(planned.connection, [f"identity.{name}" for name in IDENTITY_TABLES])
            # Every figure of the run on the asset of the figures, where Dagster draws it over time.
            told_metrics = dict(planned.connection.execute("select name, value from identity.metrics").fetchall())
            for name in IDENTITY_TABLES:
                extra = {"record_customers": numbers(report), "metrics": told_metrics}.get(name, {})
                yield dg.MaterializeResult(
                    asset_key=["identity", name],
                    metadata={"dagster/row_count": counts[f"identity.{name}"], **extra},
                )

    return resolve


def freshness_assets(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """How fast contact points go stale, estimated from the data's own changes."""

    @dg.multi_asset(
        name="freshness",
        specs=_specs(
            "freshness",
            FRESHNESS_TABLES,
            [
                dg.AssetKey(["identity", "record_customers"]),
                dg.AssetKey(["intermediate", "int_contact_history"]),
                dg.AssetKey(["intermediate", "int_contact_signs"]),
            ],
            partitions,
            "customers",
        ),
    )
    def estimate(context: dg.AssetExecutionContext, warehouse: WarehouseRun) -> Iterator[dg.MaterializeResult]:
        with told("freshness"), open_step(context, warehouse) as planned:
            report = freshness.estimate(
                planned.connection,
                planned.step.workspace,
                planned.step.catalogue.freshness,
                refit=asks_to_refit(context.run.run_config),
                **planned.arguments,
            )
            counts = row_counts(planned.connection, [f"freshness.{name}" for name in FRESHNESS_TABLES])
            for name in FRESHNESS_TABLES:
                extra = numbers(report) if name == "curves" else {}
                yield dg.MaterializeResult(
                    asset_key=["freshness", name], metadata={"dagster/row_count": counts[f"freshness.{name}"], **extra}
                )

    return estimate


def score_assets(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """Probabilities and value of each customer's next purchases. The golden gate must have passed."""

    @dg.multi_asset(
        name="scores",
        specs=_specs(
            "scores",
            SCORE_TABLES,
            [dg.AssetKey(["marts", "orders"]), dg.AssetKey(["rcu", "customers"])],
            partitions,
            "scores",
        ),
    )
    def score(
        context: dg.AssetExecutionContext, config: ScoresConfig, warehouse: WarehouseRun
    ) -> Iterator[dg.MaterializeResult]:
        with told("scores"), open_step(context, warehouse) as planned:
            quality.require_passed(planned.connection, "golden")
            report = scores.score(
                planned.connection,
                planned.step.workspace,
                planned.step.catalogue.scoring,
                refit=config.refit,
                **planned.arguments,
            )
            if config.refit:
                progress.info(f"new models: {report.withheld_reason or f'{report.model} is kept'}")
            counts = row_counts(planned.connection, [f"scores.{name}" for name in SCORE_TABLES])
            for name in SCORE_TABLES:
                extra = numbers(report) if name == "customer_scores" else {}
                yield dg.MaterializeResult(
                    asset_key=["scores", name], metadata={"dagster/row_count": counts[f"scores.{name}"], **extra}
                )

    return score


def segment_assets(
    catalogue: Catalogue, upstream: list[dg.AssetKey], partitions: dg.PartitionsDefinition
) -> dg.AssetsDefinition:
    """One asset per segment declaration, and the tables that hold them all."""
    each = [
        dg.AssetSpec(
            ["segment", definition.segment],
            deps=upstream,
            description=f"{definition.label.en}. Objective: {definition.objective}\n\n"
            f"{segments.explain_segment(definition, 'en')}\n\n*{segments.explain_segment(definition, 'fr')}*",
            group_name="segments",
            kinds={"yaml", "duckdb"},
            owners=[definition.owner or OWNER],
            tags={"layer": "segments"},
            partitions_def=partitions,
            skippable=True,
        )
        for definition in catalogue.segments
    ]
    tables = _specs("segments", SEGMENT_TABLES, upstream, partitions, "segments")

    checks = [
        dg.AssetCheckSpec(
            SIZE_CHECK,
            asset=["segment", definition.segment],
            description="Neither empty nor everyone, and within its expected share of customers where one is declared",
        )
        for definition in catalogue.segments
    ]

    @dg.multi_asset(name="segments", specs=[*each, *tables], check_specs=checks, can_subset=True)
    def evaluate(
        context: dg.AssetExecutionContext, warehouse: WarehouseRun
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        selected, judged = context.selected_asset_keys, context.selected_asset_check_keys
        only = {key.path[-1] for key in selected if key.path[0] == "segment"}
        with told("segments"), open_step(context, warehouse) as planned:
            definitions = planned.step.catalogue.segments
            report = segments.materialise(
                planned.connection,
                planned.step.workspace,
                definitions,
                only=None if only == set(definitions.by_name) else only,
                **planned.arguments,
            )
            fired = segments.fire(
                planned.connection,
                planned.step.workspace,
                planned.step.catalogue.triggers,
                definitions,
                **planned.arguments,
            )
            for size in report.sizes:
                if size.segment in only:
                    yield dg.MaterializeResult(asset_key=["segment", size.segment], metadata=numbers(size))
                    if dg.AssetCheckKey(dg.AssetKey(["segment", size.segment]), SIZE_CHECK) in judged:
                        yield dg.AssetCheckResult(
                            asset_key=["segment", size.segment],
                            check_name=SIZE_CHECK,
                            passed=size.is_as_expected,
                            severity=dg.AssetCheckSeverity.WARN,
                            metadata={"status": size.status, "size": size.size, "rate": size.rate},
                        )
            counts = row_counts(planned.connection, [f"segments.{name}" for name in SEGMENT_TABLES])
            for name in SEGMENT_TABLES:
                key = dg.AssetKey(["segments", name])
                if key in selected:
                    extra = numbers(fired) if name == "trigger_events" else {}
                    yield dg.MaterializeResult(
                        asset_key=key, metadata={"dagster/row_count": counts[f"segments.{name}"], **extra}
                    )

    return evaluate


def candidate_asset(upstream: list[dg.AssetKey], partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """What is about to be published, as a whole: the publish gate judges it."""

    @dg.asset(
        key=CANDIDATE,
        deps=upstream,
        description="All tables that are about to be published; the publish gate stands on them",
        group_name="publication",
        kinds={"duckdb"},
        owners=[OWNER],
        tags={"layer": "published"},
        partitions_def=partitions,
    )
    def candidate(context: dg.AssetExecutionContext, warehouse: WarehouseRun) -> dg.MaterializeResult:
        with open_step(context, warehouse) as planned:
            publish.write_runs(
                planned.connection,
                planned.step.workspace,
                as_of_on=planned.step.as_of_on,
                publishing=planned.step.run_id,
            )
            tables = planned.connection.execute(
                "select schema_name || '.' || table_name from duckdb_tables() "
                "where schema_name in ('rcu', 'marts', 'segments', 'audit') order by all"
            ).fetchall()
            counts = row_counts(planned.connection, [name for (name,) in tables])
        return dg.MaterializeResult(metadata={"tables": len(counts), "rows": sum(counts.values())})

    return candidate


def publication_asset(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The published database. The publish gate must have passed; the pointer moves last."""

    @dg.asset(
        key=["published", "rcu"],
        deps=[CANDIDATE],
        description="The database that analysts query: data/published/current/rcu.duckdb",
        group_name="publication",
        kinds={"duckdb", "parquet"},
        owners=[OWNER],
        tags={"layer": "published", "personal_data": "yes"},
        partitions_def=partitions,
    )
    def publication(context: dg.AssetExecutionContext, warehouse: WarehouseRun) -> dg.MaterializeResult:
        with open_step(context, warehouse) as planned:
            quality.require_passed(planned.connection, "publish")
            step = planned.step
            path, version, is_forward, mode = step.build_path, planned.version, planned.is_forward, planned.mode
            fingerprint = planned.connection.execute("select fingerprint from control.run_plan").fetchall()[0][0]
        with told("publication"), user_errors():
            published = publish.publish(
                step.workspace,
                path,
                as_of_on=step.as_of_on,
                run_id=step.run_id,
                version=version,
                fingerprint=fingerprint,
                is_forward=is_forward,
                required_gates=GATES,
            )
            publish.prune(step.workspace)
            if is_forward:
                publish.write_views(step.workspace, published, step.catalogue.company.access)
            publish.record_run(
                step.workspace,
                ended_run(context, step, "published", version, is_forward, mode, published.tables),
            )
        return dg.MaterializeResult(
            metadata={
                "version": published.version,
                "path": dg.MetadataValue.path(str(published.path)),
                "tables": len(published.tables),
                "rows": sum(published.tables.values()),
            }
        )

    return publication

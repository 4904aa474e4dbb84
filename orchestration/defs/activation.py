"""One asset per activation, after the publication: who was sent, who was left out, and whether it arrived."""

import datetime as dt
from collections.abc import Iterator

import dagster as dg

from orchestration import activation, publish
from orchestration.activation import Outcome
from orchestration.contracts.catalogue import Catalogue
from orchestration.defs.run_context import WarehouseRun, progress, step_of, told, user_errors
from orchestration.defs.sources import OWNER

PUBLICATION = dg.AssetKey(["published", "rcu"])
ARRIVED = "arrived"


def activation_assets(catalogue: Catalogue, partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition | None:
    """The declared activations; None where there is none. Only runs forward in time send anything.

    A delivery that fails does not fail the run: what is published stays published, the check beside the asset
    is red, and the next run (or `rcu activate`) sends it.
    """
    if not catalogue.activations:
        return None
    keys = {name: dg.AssetKey(["activation", name]) for name in sorted(catalogue.activations)}

    @dg.multi_asset(
        name="activation",
        specs=[
            dg.AssetSpec(
                keys[name],
                deps=[PUBLICATION],
                description=f"{declared.label.en}. Objective: {declared.objective}. {declared.format}, by "
                f"{declared.deliver.kind}",
                group_name="activation",
                kinds={"yaml", declared.deliver.kind if declared.deliver.kind in ("s3", "postgres") else "file"},
                owners=[declared.owner or OWNER],
                tags={"layer": "activation", "personal_data": "yes"},
                partitions_def=partitions,
                skippable=True,
            )
            for name, declared in sorted(catalogue.activations.items())
        ],
        check_specs=[
            dg.AssetCheckSpec(ARRIVED, asset=keys[name], description="The delivery was neither refused nor lost")
            for name in keys
        ],
        can_subset=True,
    )
    def send(
        context: dg.AssetExecutionContext, warehouse: WarehouseRun
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        selected = context.selected_asset_keys
        only = {name for name, key in keys.items() if key in selected}
        checks = {key.asset_key for key in context.selected_asset_check_keys}
        with told("activation"), user_errors():
            step = step_of(context, warehouse)
            current = publish.current(step.workspace)
            outcomes: tuple[Outcome, ...] = ()
            # A backfill leaves the pointer where it is: what it points to is of another date.
            if current is not None and current.as_of_on == step.as_of_on and current.is_forward:
                outcomes = activation.activate(
                    step.workspace,
                    step.catalogue.activations,
                    activation.Published.of(current),
                    sources=step.catalogue.sources,
                    limits=step.catalogue.triggers.limits,
                    time_zone=step.catalogue.company.time_zone,
                    run_id=step.run_id,
                    now=dt.datetime.now(dt.UTC),
                    only=only,
                )
        _tell_what_did_not_leave(outcomes)
        for outcome in outcomes:
            key = keys[outcome.activation]
            if outcome.is_well and outcome.status != "already":
                yield dg.MaterializeResult(asset_key=key, metadata=_numbers(outcome))
            if key in checks:
                yield dg.AssetCheckResult(
                    asset_key=key,
                    check_name=ARRIVED,
                    passed=outcome.is_well,
                    severity=dg.AssetCheckSeverity.ERROR if outcome.status == "failed" else dg.AssetCheckSeverity.WARN,
                    description=outcome.message or outcome.status,
                    metadata=_numbers(outcome),
                )

    return send


def _tell_what_did_not_leave(outcomes: tuple[Outcome, ...]) -> None:
    """One line per reason: an old publication is refused by every activation alike."""
    told: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        if not outcome.is_well:
            told.setdefault(outcome.message, []).append(outcome)
    for message, those in told.items():
        alone = activation.in_words(those[0])
        progress.info(alone if len(those) == 1 else f"{len(those)} activations {those[0].status}: {message}")


def _numbers(outcome: Outcome) -> dict[str, float | int | str]:
    """Counts only: no name of a file of people, no value of a person."""
    return {
        "dagster/row_count": outcome.sent,
        "status": outcome.status,
        "audience": outcome.audience,
        "sent": outcome.sent,
        "updated": outcome.updated,
        "removed": outcome.removed,
        "left_out": outcome.left_out_count,
        **{f"left_out_{reason}": count for reason, count in sorted(outcome.left_out.items())},
        "seconds": outcome.seconds,
    }

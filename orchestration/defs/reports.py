"""Reports as an asset: pages about what was just published. Written after the pointer moved."""

from collections.abc import Iterator

import dagster as dg

from orchestration import publish, reports
from orchestration.defs.run_context import WarehouseRun, open_step, told
from orchestration.defs.sources import OWNER


def reports_asset(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """HTML pages of the publication. A backfill writes none: it publishes for analysts, not for readers."""

    @dg.asset(
        key=["published", "reports"],
        deps=[["published", "rcu"]],
        description="Pages that open offline: run, data quality, identity, segments, lifecycle, value, contact "
        "freshness, and the pairs that wait for a steward (that page holds personal data)",
        group_name="publication",
        kinds={"html"},
        owners=[OWNER],
        tags={"layer": "published", "personal_data": "yes"},
        partitions_def=partitions,
        output_required=False,
    )
    def pages(context: dg.AssetExecutionContext, warehouse: WarehouseRun) -> Iterator[dg.MaterializeResult]:
        with open_step(context, warehouse) as planned:
            if not planned.is_forward:
                return
            workspace = planned.step.workspace
            with told("reports"):
                written = reports.write_reports(
                    planned.connection, workspace, planned.step.catalogue, version=planned.version
                )
                reports.prune(workspace, [kept.version for kept in publish.list_publications(workspace)])
        yield dg.MaterializeResult(
            metadata={
                "path": dg.MetadataValue.path(str(written.index)),
                "pages": len(written.pages),
                "bytes": written.size,
            }
        )

    return pages

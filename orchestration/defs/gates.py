"""The three gates as blocking asset checks. Keys are derived from the declared tables, never written.

A check of the landing or golden gate stands on the table it judges. Those of the publish gate stand on
the candidate: they judge what is about to be published as a whole, after the segments, and a blocking
check on a mart would have to end before the segments that are made from it begin.
"""

from collections.abc import Iterator

import dagster as dg

from orchestration import quality
from orchestration.contracts.gate import Gate
from orchestration.defs.run_context import WarehouseRun, open_step, told

CANDIDATE = dg.AssetKey(["published", "candidate"])


def asset_of(gate: Gate, table: str) -> dg.AssetKey:
    """The asset that a check of `gate` on `table` (`schema.table`) stands on."""
    return CANDIDATE if gate.gate == "publish" else dg.AssetKey(table.split("."))


def gate_checks(gate: Gate) -> dg.AssetChecksDefinition:
    """One blocking check per declared check of a gate, all judged in one step."""

    @dg.multi_asset_check(
        name=f"{gate.gate}_gate",
        specs=[
            dg.AssetCheckSpec(
                check.name,
                asset=asset_of(gate, check.table),
                description=check.describes,
                blocking=check.severity == "error",
                metadata={"gate": gate.gate, "expectation": check.expect},
            )
            for check in gate.checks
        ],
    )
    def judge(context: dg.AssetCheckExecutionContext, warehouse: WarehouseRun) -> Iterator[dg.AssetCheckResult]:
        with told(f"{gate.gate}_gate"), open_step(context, warehouse) as planned:
            results = quality.run_gate(planned.connection, gate)
            quality.write_results(
                planned.connection, results, as_of_on=planned.step.as_of_on, run_id=planned.step.run_id
            )
        for result in results:
            yield dg.AssetCheckResult(
                asset_key=asset_of(gate, result.table),
                check_name=result.name,
                passed=result.passed,
                severity=dg.AssetCheckSeverity.ERROR if result.severity == "error" else dg.AssetCheckSeverity.WARN,
                description=result.message,
                metadata={
                    "expectation": result.expectation,
                    "rows": result.element_count or 0,
                    "unexpected_rows": result.unexpected_count or 0,
                    "unexpected_rate": float(result.unexpected_rate or 0.0),
                    "seconds": round(result.duration, 3),
                },
            )

    return judge

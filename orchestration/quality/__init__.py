"""Gates: declared expectations of the data, judged by Great Expectations inside DuckDB.

What belongs here: evaluating a gate and keeping its results. What does not: tests of our own SQL
(they stand beside the dbt models), and what a failed gate stops (the pipeline decides).
"""

from orchestration.quality.gates import CheckResult, require_passed, run_gate, write_results

__all__ = ["CheckResult", "require_passed", "run_gate", "write_results"]

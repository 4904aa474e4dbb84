"""A run whose process was killed is told to Dagster as failed: else it would launch no other."""

from __future__ import annotations

import platform
import subprocess
import sys

import dagster as dg

from orchestration.defs.run_context import fail_lost_runs, process_tag


def started(instance: dg.DagsterInstance, tags: dict[str, str]) -> str:
    run = dg.DagsterRun(job_name="daily", status=dg.DagsterRunStatus.STARTED, tags=tags)
    instance.add_run(run)
    return run.run_id


def test_runs_end_with_their_process_and_only_with_their_own() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with dg.DagsterInstance.ephemeral() as instance:
        killed = started(instance, {"rcu/process": f"{platform.node()}:{ended.pid}"})
        elsewhere = started(instance, {"rcu/process": f"another-machine:{ended.pid}"})
        of_the_daemon = started(instance, {})
        running = started(instance, process_tag())
        assert fail_lost_runs(instance) == 1
        states = {run.run_id: run.status for run in instance.get_runs()}
    assert states[killed] is dg.DagsterRunStatus.FAILURE
    assert {states[run] for run in (elsewhere, of_the_daemon, running)} == {dg.DagsterRunStatus.STARTED}

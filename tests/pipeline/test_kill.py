"""A run killed at any stage leaves the last publication readable, and the next run comes out right."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from tests.pipeline.conftest import DAYS, FIRST, Extracts
from tests.pipeline.workspaces import Shop, contents, environment, new_shop

pytestmark = pytest.mark.slow

STAGES = ["ingest", "landing", "landing_gate", "prepare", "identity", "unify", "golden_gate", "scores", "serve",
          "segments", "publish_gate"]  # fmt: skip


def kill_after(shop: Shop, stage: str, *arguments: str) -> str:
    """Start a run and kill it, with SIGKILL, as soon as it says that `stage` is done."""
    process = subprocess.Popen(
        shop.command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**environment(), "PYTHONUNBUFFERED": "1"}, start_new_session=True,
    )  # fmt: skip
    timer = threading.Timer(300, lambda: os.killpg(process.pid, signal.SIGKILL))
    timer.start()
    seen = []
    assert process.stdout is not None
    for line in process.stdout:
        seen.append(line)
        if line.split() and line.split()[0] == stage:
            os.killpg(process.pid, signal.SIGKILL)
            break
    process.wait()
    timer.cancel()
    return "".join(seen)


def test_a_run_killed_at_each_stage_and_run_again_gives_what_an_undisturbed_run_gives(
    extracts: Extracts, tmp_path: Path
) -> None:
    undisturbed = new_shop(tmp_path / "undisturbed")
    extracts.deliver(undisturbed, FIRST)
    undisturbed.rcu("run", "--as-of", FIRST.isoformat())
    first = contents(undisturbed.current.resolve())
    extracts.deliver(undisturbed, DAYS[1])
    shop = Shop(shutil.copytree(undisturbed.root, tmp_path / "killed", symlinks=True))
    undisturbed.rcu("run", "--as-of", DAYS[1].isoformat())

    for stage in STAGES:
        output = kill_after(shop, stage, "run", "--as-of", DAYS[1].isoformat())
        assert f"{stage} " in output, f"{stage} was never reached:\n{output}"
        assert contents(shop.current.resolve()) == first, f"killed after {stage}"
    shop.rcu("run", "--as-of", DAYS[1].isoformat())
    assert contents(shop.current.resolve()) == contents(undisturbed.current.resolve()) != first

"""A run killed at any stage leaves the last publication readable, and the next run comes out right."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipeline.conftest import DAYS, FIRST, Extracts
from tests.pipeline.workspaces import Shop, contents, environment, new_shop

pytestmark = pytest.mark.slow

STAGES = ["ingest", "landing", "landing_gate", "prepare", "identity", "unify", "golden_gate", "scores", "serve",
          "segments", "publish_gate"]  # fmt: skip


#: From these a run begins again; the last one is really killed.
TAKEN_UP = ["landing", "segments"]
KILLED = "golden_gate"


def watch(shop: Shop, *arguments: str, at_stage: Callable[[subprocess.Popen[str], str], None]) -> str:
    """Run `rcu`, and call `at_stage` as soon as it says that a stage is done; what it said."""
    process = subprocess.Popen(
        shop.command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**environment(), "PYTHONUNBUFFERED": "1"}, start_new_session=True,
    )  # fmt: skip
    timer = threading.Timer(600, lambda: os.killpg(process.pid, signal.SIGKILL))
    timer.start()
    seen = []
    assert process.stdout is not None
    for line in process.stdout:
        seen.append(line)
        if line.split() and line.split()[0] in STAGES:
            at_stage(process, line.split()[0])
    process.wait()
    timer.cancel()
    return "".join(seen)


def test_a_run_killed_at_each_stage_and_run_again_gives_what_an_undisturbed_run_gives(
    extracts: Extracts, tmp_path: Path
) -> None:
    shop = new_shop(tmp_path / "shop")
    extracts.deliver(shop, FIRST)
    shop.rcu("run", "--as-of", FIRST.isoformat())
    first = contents(shop.current.resolve())
    extracts.deliver(shop, DAYS[1])
    before = Shop(shutil.copytree(shop.root, tmp_path / "before", symlinks=True))
    second = ("run", "--as-of", DAYS[1].isoformat())

    # What a kill leaves is what lies on the disk then: the run is halted there, and its folder copied.
    halted: dict[str, Shop] = {}

    def copy(process: subprocess.Popen[str], stage: str) -> None:
        os.killpg(process.pid, signal.SIGSTOP)
        halted[stage] = Shop(shutil.copytree(shop.root, tmp_path / stage, symlinks=True))
        os.killpg(process.pid, signal.SIGCONT)

    output = watch(shop, *second, at_stage=copy)
    assert list(halted) == STAGES, output
    undisturbed = contents(shop.current.resolve())
    assert undisturbed != first
    for stage, left in halted.items():
        assert contents(left.current.resolve()) == first, f"killed after {stage}"
    for stage in TAKEN_UP:
        halted[stage].rcu(*second)
        assert contents(halted[stage].current.resolve()) == undisturbed, f"killed after {stage}"

    def kill(process: subprocess.Popen[str], stage: str) -> None:
        if stage == KILLED:
            os.killpg(process.pid, signal.SIGKILL)

    output = watch(before, *second, at_stage=kill)
    assert f"{KILLED} " in output and f"{STAGES[-1]} " not in output, output
    assert contents(before.current.resolve()) == first
    before.rcu(*second)
    assert contents(before.current.resolve()) == undisturbed

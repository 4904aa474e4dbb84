"""How long it takes until one small file is in the published segments, beside a whole run.

    python -m benchmarks.near_real_time [--customers 100000] [--keep DIR]

Makes the extracts of the demo retailer in a temporary workspace (or uses the one that `--keep` left there),
runs the whole chain once, then delivers one new web account and runs again, as the inbox sensor would: same
job, one process. Prints for each step its seconds on the wall and those of all processors, then the tick of the
sensor that comes on top. On a machine that does other work, compare processor seconds.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import tempfile
import time
from pathlib import Path

from orchestration.cli import cli
from orchestration.defs.jobs import SETTLED_SECONDS
from orchestration.settings import PROJECT_ROOT, Workspace

SENSOR_SECONDS = 5


class Steps(logging.Handler):
    """Keeps what the run says of its steps, with the processor seconds since the step before."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, float, float]] = []
        self.restart()

    def restart(self) -> None:
        self.told = []
        self.last = (time.perf_counter(), time.process_time())

    def lap(self, name: str) -> None:
        now = (time.perf_counter(), time.process_time())
        self.told.append((name, now[0] - self.last[0], now[1] - self.last[1]))
        self.last = now

    def emit(self, record: logging.LogRecord) -> None:
        name, _, seconds = record.getMessage().partition(" ")
        if seconds.strip().endswith(" s"):
            self.lap(name)


def run(workspace: Workspace, steps: Steps) -> list[tuple[str, float, float]]:
    """Run `rcu run` in this process; (step, wall seconds, processor seconds) of each."""
    steps.restart()
    cli.main(["--workspace", str(workspace.root), "run"], standalone_mode=False)
    steps.lap("(end)")
    return steps.told


def deliver_one_account(workspace: Workspace) -> Path:
    """Send the last file of web accounts again, with one account more: an invented person."""
    last = sorted((workspace.archive / "web_accounts").rglob("*web_accounts_*.jsonl"))[-1]
    lines = last.read_text(encoding="utf-8").splitlines()
    account = json.loads(lines[0])
    number = time.time_ns()
    account["id"] = f"W{number}"
    account["identity"] |= {"first_name": "Odile", "last_name": "Exemple", "birth_date": None}
    account["contact"] |= {"email": f"odile.{number}@example.org", "phone": None}
    target = workspace.inbox / last.name.split("-", 1)[1]
    target.write_text("\n".join([*lines, json.dumps(account)]) + "\n", encoding="utf-8")
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--keep", type=Path, help="workspace to use and leave behind")
    chosen = parser.parse_args()
    steps = Steps()
    logger = logging.getLogger("rcu.progress")
    logger.addHandler(steps)
    logger.setLevel(logging.INFO)
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(chosen.keep or Path(folder) / "workspace")
        whole: list[tuple[str, float, float]] = []
        if not workspace.build_file.exists():
            shutil.copytree(PROJECT_ROOT / "declarations", workspace.root / "declarations", dirs_exist_ok=True)
            made = ["samples", "--customers", str(chosen.customers), "--seed", "5", "--days", "1"]
            cli.main(["--workspace", str(workspace.root), *made], standalone_mode=False)
            whole = run(workspace, steps)
        deliver_one_account(workspace)
        small = run(workspace, steps)
    before = {name: (wall, processor) for name, wall, processor in whole}
    print(
        f"\n{'step':16} {'whole run':>22} {'one small file':>22}\n{'':16} {'wall':>10} {'processor':>11} {'wall':>10} {'processor':>11}"
    )
    for name, wall, processor in small:
        first = before.get(name)
        shown = f"{first[0]:8.1f} s {first[1]:9.1f} s" if first else f"{'':22}"
        print(f"{name:16} {shown} {wall:8.1f} s {processor:9.1f} s")
    for title, told in (("whole run", whole), ("one small file", small)):
        if told:
            print(f"{title}: {sum(one[1] for one in told):.1f} s, processors {sum(one[2] for one in told):.1f} s")
    print(f"sensor: a file rests {SETTLED_SECONDS} s, then at most {SENSOR_SECONDS} s until the tick")


if __name__ == "__main__":
    main()

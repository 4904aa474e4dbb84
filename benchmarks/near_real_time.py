"""How long it takes until a small file is in the published segments, beside a whole run.

    python -m benchmarks.near_real_time [--customers 100000] [--keep DIR] [--kinds account orders emails till] [--sensor]

Makes the extracts of the demo retailer in a temporary workspace (or uses the one that `--keep` left there): its
history, and the files of one day after it. Runs the whole chain once, then delivers small files, one kind after the other, and runs for each, as the inbox
sensor would: same job, one process of its own from its start to its end. Prints for each step its seconds on the
wall and those of all processors. What comes after `publication` is out of the figure: the segments are published by
then. On a machine that does other work, compare processor seconds. With `--sensor` nothing is run from here: Dagster's
daemon is started, its sensor finds each file, and what is printed are the seconds from the file's completion to the
move of the pointer, the sensor's tick and the start of the run's process among them.
"""

from __future__ import annotations

import argparse
import gzip
import json
import logging
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from orchestration.cli import cli
from orchestration.cli.runs import write_instance_settings
from orchestration.settings import PROJECT_ROOT, Workspace, export_to_environment

#: Longest time to wait for the daemon to publish a file, in seconds.
PATIENCE = 1800


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


def run(workspace: Workspace) -> list[tuple[str, float, float]]:
    """Run `rcu run` in this process; (step, wall seconds, processor seconds) of each, its start included."""
    steps = Steps()
    logger = logging.getLogger("rcu.progress")
    logger.addHandler(steps)
    logger.setLevel(logging.INFO)
    steps.last = (steps.last[0], 0.0)  # the imports are work of this process too
    cli.main(["--workspace", str(workspace.root), "run"], standalone_mode=False)
    steps.lap("(end)")
    return steps.told


def run_apart(workspace: Workspace) -> list[tuple[str, float, float]]:
    """The same in a process of its own, as Dagster launches a run."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "steps.json"
        command = [
            sys.executable,
            "-m",
            "benchmarks.near_real_time",
            "--keep",
            str(workspace.root),
            "--told",
            str(told),
        ]
        began = time.perf_counter()
        subprocess.run(command, check=True)
        wall = time.perf_counter() - began
        steps = [(name, seconds, processor) for name, seconds, processor in json.loads(told.read_text("utf-8"))]
    return [("(process)", wall - sum(one[1] for one in steps), 0.0), *steps]


# --- small files, each the source's last one with a little more in it: invented persons and purchases ---------


def _last(workspace: Workspace, source: str) -> Path:
    return sorted((workspace.archive / source).rglob("*.*"))[-1]


def _send(workspace: Workspace, last: Path, text: str) -> None:
    target = workspace.inbox / last.name.split("-", 1)[1]
    target.write_bytes(gzip.compress(text.encode()) if target.suffix == ".gz" else text.encode())


def _read(path: Path) -> str:
    return gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text("utf-8")


def deliver_account(workspace: Workspace, number: str) -> None:
    """One web account more."""
    last = _last(workspace, "web_accounts")
    lines = last.read_text(encoding="utf-8").splitlines()
    account = json.loads(lines[0])
    account["id"] = f"W{number}"
    account["identity"] |= {"first_name": "Odile", "last_name": "Exemple", "birth_date": None}
    account["contact"] |= {"email": f"odile.{number}@example.org", "phone": None}
    _send(workspace, last, "\n".join([*lines, json.dumps(account)]) + "\n")


def deliver_orders(workspace: Workspace, number: str) -> None:
    """Three web orders more, of those who bought already."""
    last = _last(workspace, "web_orders")
    head, *lines = _read(last).splitlines()
    named = [line.split(";") for line in lines]
    bought = [fields for fields in named if fields[7] == "COMPTE" and fields[4] == "VALIDEE"][:3]
    more = [";".join([f"W{number}{n}", "1", *fields[2:]]) for n, fields in enumerate(bought)]
    _send(workspace, last, "\n".join([head, *lines, *more]) + "\n")


def deliver_emails(workspace: Workspace, number: str) -> None:
    """A click and an unsubscription more."""
    last = _last(workspace, "email_events")
    head, *lines = _read(last).splitlines()
    clicked, left = lines[0].split(","), lines[1].split(",")
    clicked[0], clicked[2] = f"E{number}1", "click"
    left[0], left[2] = f"E{number}2", "unsubscribe"
    _send(workspace, last, "\n".join([head, *lines, ",".join(clicked), ",".join(left)]) + "\n")


def deliver_till(workspace: Workspace, number: str) -> None:
    """One ticket with a loyalty card and its line more: two files."""
    for source in ("till_tickets", "till_lines"):
        last = _last(workspace, source)
        head, *lines = _read(last).splitlines()
        more = f"T{number};{lines[0].partition(';')[2]}"
        _send(workspace, last, "\n".join([head, *lines, more]) + "\n")


KINDS = {"account": deliver_account, "orders": deliver_orders, "emails": deliver_emails, "till": deliver_till}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--keep", type=Path, help="workspace to use and leave behind")
    parser.add_argument("--kinds", nargs="*", choices=sorted(KINDS), default=list(KINDS))
    parser.add_argument("--sensor", action="store_true", help="let Dagster's daemon find the files and run")
    parser.add_argument("--told", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.told:
        chosen.told.write_text(json.dumps(run(Workspace(chosen.keep))), encoding="utf-8")
        return
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(chosen.keep or Path(folder) / "workspace")
        runs: dict[str, list[tuple[str, float, float]]] = {}
        if not workspace.build_file.exists():
            shutil.copytree(PROJECT_ROOT / "declarations", workspace.root / "declarations", dirs_exist_ok=True)
            made = ["samples", "--customers", str(chosen.customers), "--seed", "5", "--days", "2"]
            cli.main(["--workspace", str(workspace.root), *made], standalone_mode=False)
            runs["whole run"] = run_apart(workspace)
        if chosen.sensor:
            watch_daemon(workspace, chosen.kinds)
            return
        for kind in chosen.kinds:
            KINDS[kind](workspace, str(time.time_ns()))
            runs[kind] = run_apart(workspace)
    show(runs)


def watch_daemon(workspace: Workspace, kinds: list[str]) -> None:
    """Start the daemon with the sensor on; print for each kind the seconds from its file to the pointer's move."""
    workspace.prepare()
    write_instance_settings(workspace)
    export_to_environment(workspace)
    binaries = Path(sys.executable).parent
    place = ["--workspace", str(PROJECT_ROOT / "workspace.yaml")]
    silent = subprocess.DEVNULL
    subprocess.run(
        [binaries / "dagster", "sensor", "start", "inbox", *place],
        check=True,
        cwd=PROJECT_ROOT,
        stdout=silent,
        stderr=silent,
    )
    daemon = subprocess.Popen(
        [binaries / "dagster-daemon", "run", *place], cwd=PROJECT_ROOT, stdout=silent, stderr=silent
    )
    try:
        time.sleep(30)  # it loads the definitions first
        for kind in kinds:
            _wait_until(lambda: _is_idle(workspace))
            before = (workspace.published / "current").resolve()
            KINDS[kind](workspace, str(time.time_ns()))
            began, launched = time.monotonic(), None
            while (workspace.published / "current").resolve() == before:
                if launched is None and not _is_idle(workspace):
                    launched = time.monotonic() - began
                if time.monotonic() - began > PATIENCE:
                    raise TimeoutError(f"{kind}: nothing was published; see the runs in Dagster's UI")
                time.sleep(0.1)
            seconds = time.monotonic() - began
            print(
                f"{kind}: published {seconds:.1f} s after its file; the run held the lock after {launched or 0:.1f} s"
            )
        _wait_until(lambda: _is_idle(workspace))
    finally:
        daemon.terminate()
        daemon.wait(timeout=60)


def _is_idle(workspace: Workspace) -> bool:
    """Whether no run holds the lock. Its file is read: to take it, even for an instant, could turn the run away."""
    try:
        holder = json.loads(workspace.lock_file.read_text(encoding="utf-8"))["pid"]
    except (FileNotFoundError, ValueError):
        return True
    return not Path(f"/proc/{holder}").exists()  # what a killed run left


def _wait_until(is_true: Callable[[], bool]) -> None:
    began = time.monotonic()
    while not is_true():
        if time.monotonic() - began > PATIENCE:
            raise TimeoutError("a run does not end")
        time.sleep(1)


def show(runs: dict[str, list[tuple[str, float, float]]]) -> None:
    """Print a column of wall and processor seconds per run, and what each took up to its publication."""
    names = list(dict.fromkeys(name for told in runs.values() for name, _, _ in told))
    print("\n" + " " * 16 + "".join(f"{title:>20}" for title in runs))
    print(" " * 16 + f"{'wall':>11}{'cpu':>9}" * len(runs))
    for name in names:
        cells = {title: next((one for one in told if one[0] == name), None) for title, told in runs.items()}
        print(f"{name:16}" + "".join(f"{one[1]:9.1f} s{one[2]:7.1f} s" if one else " " * 20 for one in cells.values()))
    for title, told in runs.items():
        steps = [one[0] for one in told]
        until = steps.index("publication") + 1 if "publication" in steps else len(told)
        wall, processor = (sum(one[place] for one in told[:until]) for place in (1, 2))
        print(f"{title}: published after {wall:.1f} s, processors {processor:.1f} s")


if __name__ == "__main__":
    main()

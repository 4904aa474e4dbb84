"""Speed and memory of identity: `python -m benchmarks.identity_build BUILD [--memory 2GB] [--changed 10000]`.

BUILD is a build database after its `prepare` step (`data/build/warehouse.duckdb`); it is copied, never written.
Matches everything anew with the declared model, with `--splink` then with Splink alone (its own settings, blocking and
clustering, trained before the clock starts), then the changed records as an increment, on a database file as in a
run, and prints the seconds of each part, the CPU seconds beside them (what is left when other work shares the machine)
and the highest memory. The changed records get another e-mail each, as after a change of provider.
"""

from __future__ import annotations

import argparse
import datetime as dt
import resource
import shutil
import tempfile
from pathlib import Path

from benchmarks.identity_competitors import splink_speed
from orchestration.contracts.loader import load
from orchestration.contracts.matching import Matching
from orchestration.identity import IdentityReport, resolve
from orchestration.settings import PROJECT_ROOT, Workspace
from orchestration.warehouse import connect, literal

DAY = dt.date(2026, 1, 1)

#: The parts that a matching library does; the rest is preparing records before, lasting ids and tables after.
MATCHING = ("blocking", "scoring", "clustering")


def _told(name: str, report: IdentityReport) -> str:
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    parts = "; ".join(
        f"{part} {seconds:.1f} ({report.cpu_seconds[part]:.1f})" for part, seconds in report.seconds.items()
    )
    matching, cpu = (sum(laps[part] for part in MATCHING) for laps in (report.seconds, report.cpu_seconds))
    return (
        f"{name}: blocking, scoring and clustering {matching:.1f} s, {cpu:.1f} s of CPU; the whole step "
        f"{sum(report.seconds.values()):.1f} s, {sum(report.cpu_seconds.values()):.1f} s of CPU [{parts}]; "
        f"{report.records} records, {report.candidate_pairs} pairs compared, {report.customers} customers; {memory} MB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=Path)
    parser.add_argument("--memory", default="2GB", help="DuckDB's memory limit")
    parser.add_argument("--changed", type=int, default=10_000)
    parser.add_argument("--splink", action="store_true", help="Splink alone beside it, in the same minutes")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        shutil.copytree(PROJECT_ROOT / "declarations", workspace.declarations)
        workspace.prepare()
        matching = load(workspace.declarations / "matching.yml", Matching)
        connection = connect(Path(folder) / "build.duckdb")
        connection.execute(f"set memory_limit = {literal(asked.memory)}")
        connection.execute(f"attach {literal(str(asked.build))} as given (read_only)")
        for schema in ("intermediate", "control"):
            connection.execute(f"create schema {schema}")
        connection.execute(
            "create table intermediate.int_identity_records as select * from given.intermediate.int_identity_records"
        )
        connection.execute("detach given")
        report = resolve(
            connection, workspace, matching,
            as_of_on=DAY, version="20260101-0001", run_id="benchmark", is_forward=False, mode="rebuild",
        )  # fmt: skip
        print(_told("everything", report), flush=True)
        if asked.splink:
            seconds, cpu, pairs = splink_speed(connection)
            ours = sum(report.cpu_seconds[part] for part in MATCHING)
            print(
                f"Splink alone: {seconds:.1f} s, {cpu:.1f} s of CPU, {pairs} pairs scored; this project takes "
                f"{ours / cpu:.1f} times its CPU",
                flush=True,
            )
        connection.execute(
            "create table control.touched_records as select source, record_id from intermediate.int_identity_records "
            f"order by md5(concat(source, record_id)), source, record_id limit {asked.changed}"
        )
        connection.execute(
            "update intermediate.int_identity_records set email = concat(split_part(email, '@', 1), '@changed.example') "
            "where email is not null and (source, record_id) in (select (source, record_id) from control.touched_records)"
        )
        connection.execute("checkpoint")
        report = resolve(
            connection, workspace, matching,
            as_of_on=DAY, version="20260101-0002", run_id="benchmark", is_forward=False, mode="increment",
        )  # fmt: skip
        print(_told(f"{asked.changed} changed records", report))


if __name__ == "__main__":
    main()

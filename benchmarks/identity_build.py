"""Quality and speed on a build of the demo retailer: `python -m benchmarks.identity_build BUILD [--truth TRUTH_CSV]`.

BUILD is a build database after its `prepare` step (`data/build/rcu.duckdb`), TRUTH_CSV what `rcu samples` wrote beside
the extracts. Matches everything anew with the declared model, then 10,000 changed records as an increment, and prints
the seconds of each part; with a truth, the quality of automatic joins and with the review queue answered rightly.
"""

from __future__ import annotations

import argparse
import datetime as dt
import resource
import shutil
import tempfile
from pathlib import Path

import pandas as pd

from benchmarks.identity_quality import HEADER, measure
from orchestration.contracts.loader import load
from orchestration.contracts.matching import Matching
from orchestration.identity import IdentityReport, resolve
from orchestration.settings import PROJECT_ROOT, Workspace
from orchestration.warehouse import connect, literal


def _told(name: str, report: IdentityReport) -> str:
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    parts = ", ".join(f"{part} {seconds}" for part, seconds in report.seconds.items())
    return (
        f"{name}: {sum(report.seconds.values()):.1f} s ({parts}); {report.records} records, {report.candidate_pairs} "
        f"pairs compared, {report.customers} customers; {memory} MB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=Path)
    parser.add_argument("--truth", type=Path)
    asked = parser.parse_args()
    connection = connect()
    connection.execute(f"attach {literal(str(asked.build))} as build (read_only)")
    connection.execute("create schema intermediate")
    connection.execute("create schema control")
    connection.execute(
        "create table intermediate.int_identity_records as select * from build.intermediate.int_identity_records"
    )
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        shutil.copytree(PROJECT_ROOT / "declarations", workspace.declarations)
        workspace.prepare()
        matching = load(workspace.declarations / "matching.yml", Matching)
        day = dt.date(2026, 1, 1)
        report = resolve(
            connection, workspace, matching,
            as_of_on=day, version="20260101-0001", run_id="benchmark", is_forward=False, mode="rebuild",
        )  # fmt: skip
        print(_told("everything", report))
        if asked.truth:
            _print_quality(connection, asked.truth)
        connection.execute(
            "create table control.touched_records as select source, record_id from intermediate.int_identity_records "
            "order by md5(concat(source, record_id)), source, record_id limit 10000"
        )
        connection.execute(
            "update intermediate.int_identity_records set city = 'elsewhere' where (source, record_id) in "
            "(select (source, record_id) from control.touched_records)"
        )
        report = resolve(
            connection, workspace, matching,
            as_of_on=day, version="20260101-0002", run_id="benchmark", is_forward=False, mode="increment",
        )  # fmt: skip
        print(_told("10,000 changed records", report))


def _print_quality(connection, truth: Path) -> None:
    connection.execute(f"create table truth as select * from read_csv({literal(str(truth))}, all_varchar = true)")
    frame = connection.execute(
        "select customer_id, person from identity.record_customers join truth using (source, record_id)"
    ).df()
    print(HEADER)
    print(measure(frame["customer_id"], frame["person"]).row("automatic joins"))
    print(f"largest true customer: {int(frame.groupby('person').size().max())} records")
    answered = connection.execute(
        "select left_customer_id, right_customer_id from identity.match_review as v "
        "join truth as a on a.source = v.left_source and a.record_id = v.left_record_id "
        "join truth as b on b.source = v.right_source and b.record_id = v.right_record_id where a.person = b.person"
    ).fetchall()
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        while parent.get(key, key) != key:
            key = parent[key]
        return key

    for one, other in answered:
        if root(one) != root(other):
            parent[root(one)] = root(other)
    joined = pd.Series([root(key) for key in frame["customer_id"]], index=frame.index)
    print(measure(joined, frame["person"]).row("and the review queue answered rightly"))


if __name__ == "__main__":
    main()

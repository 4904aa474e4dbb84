"""Quality on retailers with truth: `python -m benchmarks.identity_demo [--competitors PYTHON] [--seed 23]`.

Makes the demo retailer's extracts (`rcu samples`) for a seed, takes them through the real ingest and dbt's `prepare`,
matches with the declared model and prints pairwise and B-cubed figures: automatic joins, and with the review queue
answered rightly. Beside them, on the same standardised records: Splink alone at its best fixed threshold and, where
`--competitors` names a Python with `benchmarks/requirements.txt` installed, GoldenMatch without configuration.
`--other` does the same for a second retailer with other systems and other dirt (`benchmarks/other_retailer.py`), on
which nothing was tuned; `--without birth_on phone` leaves out what such a retailer never asks for. `--keep FOLDER` keeps the workspace, and takes up what it holds.
"""

from __future__ import annotations

import argparse
import datetime as dt
import shutil
import tempfile
import time
from pathlib import Path

import pandas as pd

from benchmarks import other_retailer
from benchmarks.identity_competitors import goldenmatch, people_of, people_settings, row, splink_alone
from benchmarks.identity_prepare import customer_sources, prepare, records_of
from benchmarks.identity_quality import HEADER, measure
from orchestration.contracts.loader import load
from orchestration.contracts.matching import Matching
from orchestration.identity import IdentityReport, resolve
from orchestration.samples.generate import generate
from orchestration.settings import PROJECT_ROOT, Workspace
from orchestration.warehouse import Connection, literal

DAY = dt.date(2026, 6, 30)


def make(root: Path, *, customers: int, seed: int, is_other: bool, without: frozenset[str] = frozenset()) -> Workspace:
    """The workspace with its extracts, standardised; `truth.csv` beside."""
    workspace = Workspace(root)
    if workspace.build_file.exists():
        return workspace
    shutil.copytree(PROJECT_ROOT / "declarations", workspace.declarations)
    workspace.prepare()
    if is_other:
        other_retailer.write(root, customers=customers, seed=seed, on=DAY, without=without)
    else:
        generate(workspace.inbox, customers=customers, seed=seed, days=0, until=DAY, truth_file=root / "truth.csv")
        wanted = [source.file.pattern for source in customer_sources(workspace).values()]
        stems = {pattern.split("{")[0].split("*")[0] for pattern in wanted}
        for file in sorted(workspace.inbox.iterdir()):  # what delivers no customer takes no part in matching
            if not any(file.name.startswith(stem) for stem in stems):
                file.unlink()
    prepare(workspace, on=DAY)
    return workspace


def ours(connection: Connection, declarations: Path) -> IdentityReport:
    """Match the records of the connection anew with the declarations' configuration and model."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        shutil.copytree(declarations, workspace.declarations)
        workspace.prepare()
        matching = load(workspace.declarations / "matching.yml", Matching)
        return resolve(
            connection, workspace, matching,
            as_of_on=DAY, version=f"{DAY:%Y%m%d}-0001", run_id="benchmark", is_forward=False, mode="rebuild",
        )  # fmt: skip


def found_by_us(connection: Connection) -> tuple[pd.DataFrame, pd.Series]:
    """Each record's person and customer; and its customer once every pair of the queue is answered rightly."""
    frame = connection.execute(
        "select customer_id, person from identity.record_customers join truth using (source, record_id)"
    ).df()
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
    return frame, pd.Series([root(key) for key in frame["customer_id"]], index=frame.index)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=23)
    parser.add_argument("--competitors", help="a Python with benchmarks/requirements.txt installed")
    parser.add_argument("--ours-only", action="store_true")
    parser.add_argument("--other", action="store_true", help="the second retailer")
    parser.add_argument(
        "--without",
        nargs="+",
        default=[],
        choices=sorted(other_retailer.KINDS),
        help="with --other: what it never asks",
    )
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--declarations", type=Path, default=PROJECT_ROOT / "declarations")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = asked.keep or Path(folder) / "workspace"
        workspace = make(
            root, customers=asked.customers, seed=asked.seed, is_other=asked.other, without=frozenset(asked.without)
        )
        connection = records_of(workspace.build_file)
        connection.execute(
            f"create table truth as select * from read_csv({literal(str(root / 'truth.csv'))}, all_varchar = true) "
            "semi join intermediate.int_identity_records using (source, record_id)"
        )
    began, worked = time.perf_counter(), time.process_time()
    report = ours(connection, asked.declarations)
    seconds, cpu = time.perf_counter() - began, time.process_time() - worked
    frame, answered = found_by_us(connection)
    print(f"{report.records} records of {frame['person'].nunique()} persons, seed {asked.seed}")
    print(
        f"{report.review_pairs} pairs for review; largest true customer: {frame.groupby('person').size().max()} records"
    )
    print(HEADER)
    print(measure(frame["customer_id"], frame["person"]).row(f"this project ({seconds:.0f} s, {cpu:.0f} s of CPU)"))
    print(measure(answered, frame["person"]).row("and the review queue answered rightly"), flush=True)
    if asked.ours_only:
        return
    people = people_of(connection)
    for name, quality in splink_alone(people, *people_settings()).items():
        print(quality.row(name), flush=True)
    if asked.competitors:
        print(row("GoldenMatch, no configuration", goldenmatch(asked.competitors, people)))


if __name__ == "__main__":
    main()

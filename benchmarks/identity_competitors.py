"""What this project is measured against: Splink alone and GoldenMatch without configuration.

What belongs here: running them on a table of people and measuring what they find. What does not: our own matching.
Splink clusters by components over fixed thresholds, as its documentation shows; the best of them is chosen with the
truth in sight, in its favour.
"""

from __future__ import annotations

import logging
import subprocess
import tempfile
import time
from pathlib import Path

import pandas as pd

from benchmarks.identity_quality import Quality, measure
from orchestration.warehouse import Connection, connect

THRESHOLDS = (0.1, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 0.9999, 0.99999, 0.999999)

#: Columns of the standardised records of the demo's shape, as both competitors get them.
PEOPLE = (
    "first_name", "last_name", "sex", "birth_on", "email", "phone", "address_line", "postal_code", "city", "card_number",
)  # fmt: skip


def people_of(connection: Connection) -> pd.DataFrame:
    """The standardised records with their truth (table `truth`), one column per kind of value, text or null."""
    told = {
        "phone": "coalesce(phone_mobile, phone_landline, phone_other)",
        **{name: name for name in PEOPLE if name != "phone"},
    }
    columns = ", ".join(f"cast({told[name]} as varchar) as {name}" for name in PEOPLE)
    return connection.execute(
        f"select concat(r.source, '|', r.record_id) as unique_id, t.person, {columns} "
        "from intermediate.int_identity_records as r join truth as t using (source, record_id) order by 1"
    ).df()


def splink_alone(
    frame: pd.DataFrame, settings: object, training: list[str], deterministic: list[str]
) -> dict[str, Quality]:
    """Splink clustered at fixed thresholds: at .95, and the best of them by pair F1."""
    from splink import DuckDBAPI, Linker

    logging.getLogger("splink").setLevel(logging.ERROR)
    api = DuckDBAPI(connection=connect())
    people = frame.drop(columns=["person"]).astype("string")  # a column without any value is text as well
    linker = Linker(api.register(people), settings, log_level=logging.ERROR)
    linker.training.estimate_probability_two_random_records_match(deterministic, recall=0.6)
    linker.training.estimate_u_using_random_sampling(max_pairs=2e6, seed=7)
    for rule in training:
        linker.training.estimate_parameters_using_expectation_maximisation(rule)
    pairs = linker.inference.predict(threshold_match_probability=0.05)
    truth = frame.set_index("unique_id")["person"]
    found: dict[float, Quality] = {}
    for threshold in THRESHOLDS:
        clusters = linker.clustering.cluster_pairwise_predictions_at_threshold(
            pairs, threshold_match_probability=threshold
        ).as_pandas_dataframe()
        found[threshold] = measure(clusters.set_index("unique_id")["cluster_id"].reindex(truth.index), truth)
    best = max(found, key=lambda threshold: (found[threshold].f1, -threshold))
    return {"Splink alone at .95": found[0.95], f"Splink alone at its best fixed threshold ({best})": found[best]}


def splink_speed(connection: Connection) -> tuple[float, float, int]:
    """Seconds, CPU seconds and scored pairs of Splink's blocking, scoring and clustering at .95, trained before."""
    from splink import DuckDBAPI, Linker

    logging.getLogger("splink").setLevel(logging.ERROR)
    connection.execute("create or replace table truth as select source, record_id, '' as person from "
                       "intermediate.int_identity_records")  # fmt: skip
    people = people_of(connection).drop(columns=["person"])
    connection.execute("drop table truth")
    settings, deterministic, training = people_settings()
    api = DuckDBAPI(connection=connect())
    linker = Linker(api.register(people), settings, log_level=logging.ERROR)
    linker.training.estimate_probability_two_random_records_match(deterministic, recall=0.6)
    linker.training.estimate_u_using_random_sampling(max_pairs=1e5, seed=7)
    for rule in training:
        linker.training.estimate_parameters_using_expectation_maximisation(rule)
    began, worked = time.perf_counter(), time.process_time()
    pairs = linker.inference.predict(threshold_match_probability=0.05)
    linker.clustering.cluster_pairwise_predictions_at_threshold(pairs, threshold_match_probability=0.95)
    seconds, cpu = time.perf_counter() - began, time.process_time() - worked
    return seconds, cpu, len(pairs.as_pandas_dataframe())


def people_settings() -> tuple[object, list[str], list[str]]:
    """Splink's comparisons for persons as its library offers them, for the columns of `PEOPLE`."""
    import splink.comparison_library as cl
    from splink import SettingsCreator, block_on

    settings = SettingsCreator(
        link_type="dedupe_only",
        blocking_rules_to_generate_predictions=[
            block_on("email"), block_on("phone"), block_on("card_number"), block_on("first_name", "last_name"),
            block_on("last_name", "birth_on"), block_on("first_name", "birth_on"),
            block_on("postal_code", "last_name"), block_on("postal_code", "first_name"),
            block_on("substr(first_name,1,2)", "substr(last_name,1,2)", "substr(birth_on,1,4)"),
        ],
        comparisons=[
            cl.ForenameSurnameComparison("first_name", "last_name"),
            cl.DateOfBirthComparison("birth_on", input_is_string=True), cl.EmailComparison("email"),
            cl.ExactMatch("phone").configure(term_frequency_adjustments=True),
            cl.LevenshteinAtThresholds("address_line", [2, 5]),
            cl.ExactMatch("postal_code").configure(term_frequency_adjustments=True), cl.ExactMatch("card_number"),
        ],
    )  # fmt: skip
    return (
        settings,
        [block_on("first_name", "last_name"), block_on("email")],
        [block_on("first_name", "last_name", "birth_on"), block_on("first_name", "last_name", "email")],
    )


def goldenmatch(python: str, frame: pd.DataFrame, *, most: int | None = None) -> Quality | str:
    """GoldenMatch without configuration, in the environment of `python`; or why it gave nothing."""
    with tempfile.TemporaryDirectory() as folder:
        given, answer = Path(folder) / "given.csv", Path(folder) / "answer.csv"
        frame.drop(columns=["person"]).to_csv(given, index=False)
        script = Path(__file__).with_name("run_goldenmatch.py")
        try:
            done = subprocess.run(
                [python, str(script), str(given), str(answer)],
                capture_output=True, text=True, timeout=most or 3600, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return f"gave nothing within {most or 3600} s"
        if done.returncode or not answer.exists():
            return f"failed: {' '.join(done.stderr.split())[-200:]}"
        clusters = pd.read_csv(answer, dtype=str).set_index("unique_id")["cluster"]
    truth = frame.astype({"unique_id": str}).set_index("unique_id")["person"]
    return measure(clusters.reindex(truth.index).fillna(pd.Series(truth.index, index=truth.index)), truth)


def row(name: str, found: Quality | str) -> str:
    """A line of the table of results."""
    return found.row(name) if isinstance(found, Quality) else f"| {name} | {found} |" + " |" * 6

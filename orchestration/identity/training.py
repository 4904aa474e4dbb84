"""Training the model with Splink. Imported only when a model is to be trained.

What belongs here: the settings that Splink gets, its sessions, the stored text. What does not: reading a stored
model (`model`), scoring with it (`scoring`).

Splink works on its own in-memory database, so that nothing of it stays in the build. Random pairs give the u
probabilities, expectation maximisation the m ones; the share of matches among all pairs is what the rules find,
divided by the recall they are trusted with (as Splink's `estimate_probability_two_random_records_match`).
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from orchestration import registry
from orchestration.contracts.matching import Matching
from orchestration.identity import fields, model, scoring
from orchestration.identity.tables import IDENTITY_MODELS
from orchestration.settings import Workspace
from orchestration.warehouse import Connection, connect, quote

#: Fewer records than this cannot train anything.
_FEWEST = 200


def train_first_model(
    connection: Connection, workspace: Workspace, matching: Matching, *, as_of_on: dt.date, version: str,
    run_id: str, is_forward: bool,
) -> tuple[model.Model | None, list[str]]:  # fmt: skip
    """Train on `identity.records` and register the result (forward runs). None, with a reason, when it cannot be."""
    text, notes = train(connection, matching)
    if text is None:
        return None, notes
    if is_forward:
        connection.execute("create or replace temp table identity_trained as select ? as fingerprint, ? as model",
                           [model.fingerprint(matching), text])  # fmt: skip
        registry.stage(
            workspace, IDENTITY_MODELS, connection, "select fingerprint, model from identity_trained",
            as_of_on=as_of_on, version=version, run_id=run_id,
        )  # fmt: skip
    return model.read(text, matching, "the model just trained"), notes


def train(connection: Connection, matching: Matching) -> tuple[str | None, list[str]]:
    """The text of a model trained on `identity.records`, or None; and what is worth telling."""
    settings = matching.model.training
    row = connection.execute("select count(*) from identity.records").fetchone()
    count = int(row[0]) if row else 0
    if count < _FEWEST:
        return None, [f"no model was trained: {count} records are too few (at least {_FEWEST}); rules alone were used"]
    names = [comparison.field for comparison in matching.model.comparisons]
    empty = [name for name in names if not _held(connection, name)]
    prior = _prior(connection, matching, count)
    if prior is None:
        return None, ["no model was trained: the rules join no pair at all, so there is nothing to learn from"]
    columns = sorted({*fields.pair_columns(set(names), matching), *_blocking_columns(matching)})
    told = ", ".join(quote(name) for name in columns)
    rows = connection.execute(
        f"select concat(source, '|', record_id) as unique_id, {told} from identity.records "
        f"order by md5(concat(source, '|', record_id)), source, record_id limit {settings.max_records}"
    ).to_arrow_table()
    splink_settings = _train_with_splink(rows, matching, prior)
    _complete(splink_settings)
    frequencies = {
        comparison.field: found
        for comparison in matching.model.comparisons
        if comparison.frequencies
        and not fields.is_list(matching.fields[comparison.field])
        and (found := _frequencies(connection, comparison.field, settings.max_frequencies)) is not None
    }
    text = {
        "format": model.FORMAT,
        "trained": {"records": min(count, settings.max_records), "of_records": count, "seed": settings.seed, "max_pairs": settings.max_pairs,
                    "fields_without_values": empty},
        "splink": splink_settings,
        "frequencies": frequencies,
    }  # fmt: skip
    notes = [f"a model was trained on {min(count, settings.max_records)} records"]
    notes += [f"no record has a value of {name}: its comparison says nothing" for name in empty]
    return json.dumps(text, indent=1, ensure_ascii=False, sort_keys=True) + "\n", notes


def _held(connection: Connection, name: str) -> bool:
    return (
        connection.execute(f"select 1 from identity.records where {quote(name)} is not null limit 1").fetchone()
        is not None
    )


def _blocking_columns(matching: Matching) -> set[str]:
    return {item.split(".")[0] for key in matching.model.training.expectation_on for item in key}


def _prior(connection: Connection, matching: Matching, count: int) -> float | None:
    """The probability that two random records match."""
    scoring.score(connection, matching, None, is_rebuild=True)
    row = connection.execute("select count(*) from identity.links where rules > 0").fetchone()
    pairs = int(row[0]) if row else 0
    connection.execute("delete from identity.links")
    if not pairs:
        return None
    return min(0.5, pairs / matching.model.training.deterministic_recall / (count * (count - 1) / 2))


def splink_comparisons(matching: Matching) -> list[dict[str, Any]]:
    """The comparisons as Splink's settings want them."""
    found = []
    for asked in model.shape(matching):
        name = asked["field"]
        null = f"not {fields.present(name, matching)}"
        levels: list[dict[str, Any]] = [{"sql_condition": null, "label_for_charts": "absent", "is_null_level": True}]
        levels += [{"sql_condition": level["sql"], "label_for_charts": level["name"]} for level in asked["levels"]]
        levels.append({"sql_condition": "ELSE", "label_for_charts": "anything else"})
        found.append({"output_column_name": name, "comparison_levels": levels, "comparison_description": name})
    return found


def _train_with_splink(rows: Any, matching: Matching, prior: float) -> dict[str, Any]:
    from splink import DuckDBAPI, Linker

    settings = matching.model.training
    own = connect()
    own.register("people", rows)
    own.execute("create table identity_training as select * from people")
    own.unregister("people")
    told = {
        "link_type": "dedupe_only",
        "unique_id_column_name": "unique_id",
        "probability_two_random_records_match": prior,
        "comparisons": splink_comparisons(matching),
        "blocking_rules_to_generate_predictions": [],
        "retain_intermediate_calculation_columns": True,
        "linker_uid": "rcu",
    }
    with _quiet():
        api = DuckDBAPI(connection=own)
        linker = Linker(api.register("identity_training"), told, log_level=logging.ERROR)
        linker.training.estimate_u_using_random_sampling(max_pairs=settings.max_pairs, seed=settings.seed)
        for key in settings.expectation_on:
            rule = " and ".join(
                f"{fields.key_expression(item, matching, 'l')} = {fields.key_expression(item, matching, 'r')}"
                for item in key
            )
            linker.training.estimate_parameters_using_expectation_maximisation(
                rule, fix_probability_two_random_records_match=False
            )
        found = linker.misc.save_model_to_json()
    own.close()
    return {
        "link_type": "dedupe_only",
        "unique_id_column_name": "unique_id",
        "sql_dialect": "duckdb",
        "probability_two_random_records_match": prior,
        "blocking_rules_to_generate_predictions": [],
        "comparisons": found["comparisons"],
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Splink reports on its loggers; a run has its own report."""
    logger = logging.getLogger("splink")
    before, propagates = logger.level, logger.propagate
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.propagate = propagates


def _complete(told: dict[str, Any]) -> None:
    """Give levels that training never saw a weight between those of their neighbours."""
    for comparison in told["comparisons"]:
        levels = [level for level in comparison["comparison_levels"] if not level.get("is_null_level")]
        weights: list[float | None] = []
        for level in levels:
            m, u = level.get("m_probability"), level.get("u_probability")
            is_known = isinstance(m, float) and isinstance(u, float) and m > 0 and u > 0
            weights.append(math.log2(m / u) if is_known and m and u else None)
        for at, level in enumerate(levels):
            for fixed in ("fix_m_probability", "fix_u_probability"):
                level.pop(fixed, None)
            if weights[at] is not None:
                continue
            before = next((w for w in reversed(weights[:at]) if w is not None), None)
            after = next((w for w in weights[at + 1 :] if w is not None), None)
            known = [w for w in (before, after) if w is not None]
            weight = sum(known) / len(known) if known else 0.0
            u = level.get("u_probability")
            level["u_probability"] = u if isinstance(u, float) and u > 0 else 1e-6
            level["m_probability"] = level["u_probability"] * 2**weight
            level["label_for_charts"] += " (not seen in training)"


def _frequencies(connection: Connection, name: str, most: int) -> dict[str, Any] | None:
    """How often the common values occur among records that have one, and a typical rare value."""
    column = quote(name)
    counted = (
        f"select {column} as value, count(*) as n from identity.records where {column} is not null group by {column}"
    )
    row = connection.execute(f"select sum(n) from ({counted})").fetchone()
    if not row or not row[0]:
        return None
    total = int(row[0])
    top = connection.execute(
        f"select value, n from ({counted}) where n > 1 order by n desc, value limit {most}"
    ).fetchall()
    listed = {value for value, _ in top}
    rest = connection.execute(
        f"select sum(n * n) / sum(n) from ({counted}) where value not in (select unnest(?::varchar[]))",
        [sorted(listed)],
    ).fetchone()
    rare = float(rest[0]) if rest and rest[0] else 1.0
    return {"other": rare / total, "values": {value: n / total for value, n in top}}


__all__ = ["splink_comparisons", "train", "train_first_model"]

"""A stored model: reading it, checking that it fits the configuration, and its weights as whole numbers.

What belongs here: the file's shape. What does not: training (`training`), scoring SQL (`scoring`).

The file is JSON to be read in review: Splink's own settings (comparisons, levels, m and u probabilities),
the frequencies of common values, and how and on what it was trained.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestration.contracts.matching import ComparisonSpec, Matching
from orchestration.errors import DeclarationError
from orchestration.identity import fields

FORMAT = 1
_SCALE = 1000
#: No single level may weigh more than this (bits): an estimate from a few pairs is not a certainty.
_MOST = 24.0


@dataclass(frozen=True)
class Frequencies:
    """What equality of a value adds to the level's weight, in thousandths of a bit."""

    default: int
    adjustments: dict[str, int]


@dataclass(frozen=True)
class ModelLevel:
    name: str
    sql: str
    weight: int
    takes_frequency: bool
    agrees: bool = False
    certain: int = 0  # the weight without that of chance (log2 of the m probability)


@dataclass(frozen=True)
class ModelComparison:
    field: str
    levels: tuple[ModelLevel, ...]
    otherwise: int
    frequencies: Frequencies | None


@dataclass(frozen=True)
class Model:
    """Weights in thousandths of a bit. `prior`: that of two random records, of as many as `records`."""

    prior: int
    records: int
    comparisons: tuple[ModelComparison, ...]
    fingerprint: str

    def comparison(self, name: str) -> ModelComparison:
        return next(comparison for comparison in self.comparisons if comparison.field == name)


def shape(matching: Matching) -> list[dict[str, Any]]:
    """The comparisons that the configuration asks for: a model fits when it has just these."""
    return [
        {
            "field": comparison.field,
            "levels": [
                {"name": level.name, "sql": level.sql, "agrees": level.agrees}
                for level in fields.levels(comparison.field, matching)
            ],
            "frequency_level": next(
                (n for n, level in enumerate(fields.levels(comparison.field, matching)) if level.takes_frequency), -1
            ),
        }
        for comparison in matching.model.comparisons
    ]


def fingerprint(matching: Matching) -> str:
    """Changes when the comparisons that a model must have change."""
    return hashlib.sha256(json.dumps(shape(matching), sort_keys=True).encode()).hexdigest()[:16]


def read(text: str, matching: Matching, where: str) -> Model:
    """Parse a stored model. Raises DeclarationError when it does not fit `matching`; `where` names it."""
    try:
        told = json.loads(text)
    except ValueError as error:
        raise DeclarationError(f"{where}: this is not JSON ({error}); train the model again") from None
    if not isinstance(told, dict) or told.get("format") != FORMAT or "splink" not in told:
        raise DeclarationError(f"{where}: this is not a model of format {FORMAT}; train the model again")
    wanted = shape(matching)
    stored = {c["output_column_name"]: c for c in told["splink"].get("comparisons", [])}
    missing = [w["field"] for w in wanted if w["field"] not in stored]
    surplus = sorted(set(stored) - {w["field"] for w in wanted})
    if missing or surplus:
        parts = [f"it lacks {', '.join(missing)}"] if missing else []
        parts += [f"it has {', '.join(surplus)}, which is not compared any more"] if surplus else []
        raise DeclarationError(f"{where}: the model does not fit matching.yml: {'; '.join(parts)}; train it again")
    comparisons = []
    for ask, spec in zip(wanted, matching.model.comparisons, strict=True):
        known = stored[ask["field"]]["comparison_levels"]
        conditions = [level["sql_condition"] for level in known if not level.get("is_null_level")]
        if conditions != [level["sql"] for level in ask["levels"]] + ["ELSE"]:
            raise DeclarationError(
                f'{where}: the model does not fit matching.yml: the levels of "{ask["field"]}" differ; train it again'
            )
        unknown = set(spec.at_most) - {level["name"] for level in ask["levels"]}
        if unknown:
            names = ", ".join(level["name"] for level in ask["levels"])
            raise DeclarationError(
                f'matching.yml: model.comparisons "{spec.field}": at_most names no level: '
                f"{', '.join(sorted(unknown))}; levels: {names}"
            )
        comparisons.append(_comparison(ask, known, spec, told.get("frequencies", {}).get(ask["field"])))
    prior = float(told["splink"]["probability_two_random_records_match"])
    trained = told.get("trained", {})
    return Model(
        _thousandths(math.log2(prior / (1 - prior))),
        int(trained.get("of_records") or trained.get("records") or 0),
        tuple(comparisons),
        hashlib.sha256(text.encode()).hexdigest()[:16],
    )


def read_file(path: Path, matching: Matching) -> Model:
    """Read the declared model file."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DeclarationError(f"matching.yml: model file {path} does not exist; train one, or remove `file`") from None
    return read(text, matching, path.name)


def _comparison(
    ask: dict[str, Any], known: list[dict[str, Any]], spec: ComparisonSpec, told: dict[str, Any] | None
) -> ModelComparison:
    damping = spec.damping
    valued = [level for level in known if not level.get("is_null_level")]
    weights = [_weight(level) for level in valued]
    levels = tuple(
        ModelLevel(
            a["name"],
            a["sql"],
            _thousandths(min(w * damping, spec.at_most.get(a["name"], _MOST))),
            told is not None and number == ask["frequency_level"],
            a["agrees"],
            _thousandths(damping * math.log2(max(float(level.get("m_probability") or 0), 1e-9))),
        )
        for number, (a, w, level) in enumerate(zip(ask["levels"], weights, valued, strict=False))
    )
    frequencies = None
    if told is not None:
        u = float(valued[ask["frequency_level"]]["u_probability"])
        adjust = {value: _thousandths(damping * math.log2(u / float(f))) for value, f in told["values"].items()}
        frequencies = Frequencies(_thousandths(damping * math.log2(u / float(told["other"]))), adjust)
    return ModelComparison(ask["field"], levels, _thousandths(weights[-1] * damping), frequencies)


def _weight(level: dict[str, Any]) -> float:
    m = min(max(float(level.get("m_probability") or 0), 1e-9), 1.0)
    u = min(max(float(level.get("u_probability") or 0), 1e-9), 1.0)
    return min(max(math.log2(m / u), -_MOST), _MOST)


def _thousandths(bits: float) -> int:
    return round(bits * _SCALE)

"""What stewards' answers say of the matching: precision and recall with intervals, and thresholds that follow them.

What belongs here: arithmetic on answered pairs and their weights, and reading those. What does not: applying the
answers (`decisions`, `linkage`).

The answers are taken as a sample of the pairs of their band. Those on the review queue are one by construction; the
automatic band has one where `review.audit_pairs` shows some of its joins to stewards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from orchestration.contracts.matching import Matching
from orchestration.identity.decisions import Settled
from orchestration.identity.scoring import SCALE
from orchestration.warehouse import Connection

#: Answers about pairs farther than this from even odds (bits) say little about the thresholds.
_NEAR = 8.0
#: Thresholds never move by more than this (bits), and only in steps, so that they do not move every day.
_MOST, _STEP = 4.0, 0.5


@dataclass(frozen=True)
class Label:
    """An answered pair: its weight in bits, whether a rule joins it, and the answer."""

    weight: float
    is_ruled: bool
    is_same: bool


@dataclass(frozen=True)
class Estimates:
    """Of pairs of records, at a confidence of 95 %; None where there is no answer to tell from."""

    labels: int
    precision: float | None = None
    precision_low: float | None = None
    precision_high: float | None = None
    recall: float | None = None
    recall_low: float | None = None
    recall_high: float | None = None

    def named(self) -> dict[str, float]:
        """As metrics: what is known, by name."""
        found = {
            "estimated_precision": self.precision, "estimated_precision_low": self.precision_low,
            "estimated_precision_high": self.precision_high, "estimated_recall": self.recall,
            "estimated_recall_low": self.recall_low, "estimated_recall_high": self.recall_high,
        }  # fmt: skip
        return {name: round(value, 4) for name, value in found.items() if value is not None}


def wilson(hits: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """The interval of a share (Wilson 1927, "Probable inference"); (0, 1) without a count."""
    if not count:
        return (0.0, 1.0)
    share, weight = hits / count, z * z / count
    middle = (share + weight / 2) / (1 + weight)
    half = z / (1 + weight) * math.sqrt(share * (1 - share) / count + weight / count / 4)
    return (max(0.0, middle - half), min(1.0, middle + half))


def estimate(labels: Sequence[Label], *, automatic_pairs: int, review_pairs: int, automatic: float) -> Estimates:
    """Precision of the pairs from `automatic` bits up, and their recall among these and the `review_pairs` below."""
    above = [label.is_same for label in labels if label.weight >= automatic]
    below = [label.is_same for label in labels if label.weight < automatic]
    if not labels:
        return Estimates(0)
    precision = sum(above) / len(above) if above else None
    low, high = wilson(sum(above), len(above))
    found = Estimates(len(labels), precision, *((low, high) if above else (None, None)))
    if not below or precision is None:
        return found
    missed = sum(below) / len(below)
    missed_low, missed_high = wilson(sum(below), len(below))

    def recall(right: float, share: float) -> float:
        hits, lost = automatic_pairs * right, review_pairs * share
        return hits / (hits + lost) if hits + lost else 1.0

    return Estimates(
        len(labels), precision, low, high, recall(precision, missed), recall(low, missed_high), recall(high, missed_low)
    )


def offset(labels: Sequence[Label], least: int) -> float:
    """By how many bits the weights are too low (negative: too high) according to at least `least` answers; else 0.

    The offset makes the expected number of same persons, under odds of 2^(weight + offset), that of the answers. Pairs
    that a rule joins have the rule's weight, and take no part.
    """
    told = [label for label in labels if not label.is_ruled and abs(label.weight) <= _NEAR]
    if len(told) < max(1, least):
        return 0.0
    low, high = -_MOST, _MOST
    right = sum(label.is_same for label in told)
    for _ in range(40):
        middle = (low + high) / 2
        expected = sum(1 / (1 + 2 ** -(label.weight + middle)) for label in told)
        low, high = (middle, high) if expected < right else (low, middle)
    return round((low + high) / 2 / _STEP) * _STEP


def read_labels(connection: Connection, settled: Settled) -> list[Label]:
    """The answered pairs that were compared, with their weights. Needs `identity.links`."""
    labels: list[Label] = []
    for pairs, is_same in ((settled.same, True), (settled.cannot, False)):
        if not pairs:
            continue
        rows = connection.execute(
            "with told as (select unnest(?::varchar[]) as ls, unnest(?::varchar[]) as lr, unnest(?::varchar[]) as rs, "
            "unnest(?::varchar[]) as rr), "
            "pairs as (select least(l.rid, r.rid) as left_rid, greatest(l.rid, r.rid) as right_rid from told "
            "join identity.records as l on l.source = ls and l.record_id = lr "
            "join identity.records as r on r.source = rs and r.record_id = rr) "
            "select k.weight, k.rules > 0 from identity.links as k join pairs using (left_rid, right_rid) "
            "where not k.is_completed order by 1, 2",
            [[p[0][0] for p in pairs], [p[0][1] for p in pairs], [p[1][0] for p in pairs], [p[1][1] for p in pairs]],
        ).fetchall()
        labels += [Label(weight / SCALE, bool(is_ruled), is_same) for weight, is_ruled in rows]
    return labels


def shifted(matching: Matching, bits: float) -> Matching:
    """The configuration with its two thresholds moved down by `bits`; the review band never below `edge`."""
    if not bits:
        return matching
    bands = matching.bands
    moved = bands.model_copy(
        update={"automatic": bands.automatic - bits, "review": max(bands.edge, bands.review - bits)}
    )
    return matching.model_copy(update={"bands": moved})


def of_run(connection: Connection, matching: Matching, labels: Sequence[Label]) -> Estimates:
    """The estimates of a run, from its links and the bands that it used."""
    if not labels:
        return Estimates(0)
    bands = matching.bands
    row = connection.execute(
        f"select count(*) filter (where weight >= {round(bands.automatic * SCALE)}), "
        f"count(*) filter (where weight < {round(bands.automatic * SCALE)} and weight >= {round(bands.review * SCALE)}) "
        "from identity.links where not is_completed"
    ).fetchone()
    above, below = row if row else (0, 0)
    return estimate(labels, automatic_pairs=above, review_pairs=below, automatic=bands.automatic)

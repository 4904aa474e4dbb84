"""Pairwise and B-cubed precision, recall and F1 of a partition against the truth.

What belongs here: the measures, in pandas, sharing no code with what they judge.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Quality:
    precision: float
    recall: float
    f1: float
    b_precision: float
    b_recall: float
    b_f1: float
    largest: int

    def row(self, name: str) -> str:
        return (
            f"| {name} | {self.precision:.4f} | {self.recall:.4f} | {self.f1:.4f} | {self.b_precision:.4f} | "
            f"{self.b_recall:.4f} | {self.b_f1:.4f} | {self.largest} |"
        )


HEADER = (
    "| method | pair precision | pair recall | pair F1 | B3 precision | B3 recall | B3 F1 | largest |\n"
    "|---|---|---|---|---|---|---|---|"
)


def measure(found: pd.Series, truth: pd.Series) -> Quality:
    """`found` and `truth`: the cluster and the person of each record, on one index."""
    frame = pd.DataFrame({"found": found, "truth": truth})
    both = frame.groupby(["found", "truth"]).size()
    by_found, by_truth = frame.groupby("found").size(), frame.groupby("truth").size()
    hits, said, true = (float((s * (s - 1) / 2).sum()) for s in (both, by_found, by_truth))
    precision, recall = (hits / said if said else 1.0), (hits / true if true else 1.0)
    cells = both.reset_index(name="n")
    cells["of_found"] = cells["found"].map(by_found)
    cells["of_truth"] = cells["truth"].map(by_truth)
    b_precision = float((cells["n"] ** 2 / cells["of_found"]).sum() / len(frame))
    b_recall = float((cells["n"] ** 2 / cells["of_truth"]).sum() / len(frame))
    return Quality(
        precision,
        recall,
        _f1(precision, recall),
        b_precision,
        b_recall,
        _f1(b_precision, b_recall),
        int(by_found.max()),
    )


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0

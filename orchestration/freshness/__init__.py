"""Freshness: how fast contact points go stale, estimated from the data's own changes.

What belongs here: the evidence (which contact points were proved good, and which were lost), the survival
estimate per kind and source, the decay curves that the golden record reads. What does not: the probability
of one contact point (SQL, from the curves), and what is done with it (segments, marts).
"""

from orchestration.freshness.estimate import FreshnessReport, estimate
from orchestration.freshness.figures import figures
from orchestration.freshness.survival import Curve, Evidence, fit, survival

__all__ = ["Curve", "Evidence", "FreshnessReport", "estimate", "figures", "fit", "survival"]

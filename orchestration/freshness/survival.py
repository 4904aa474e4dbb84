r"""The survival estimate: piecewise-constant hazards from proofs, losses and silence. Numbers only.

The clock of a contact point starts anew each time something proves it good. In band *j* of the time since
then (the first year, the second and third, later) it goes stale at hazard :math:`\lambda_j` per year, so that

    S(t) = exp(-sum_j lambda_j * time that t spends in band j)

is the probability that it is still good after `t` years of silence. Three things are seen:

* *proved* time, between two proofs: the contact point was good all along;
* a *loss*, noticed `w` years after the last proof: it went stale somewhere in (0, w], and only that is known
  (interval-censored);
* *silence* from the last proof to today: right-censored where losses are told, worth nothing where they are not.

**Estimate.** The likelihood of interval- and right-censored data (Klein and Moeschberger 2003, section 3.5)
times a Gamma prior on each hazard, at its mode over the logarithms of the hazards:

    sum over losses of log(1 - S(w)) - sum_j lambda_j (P_j + q U_j) + k sum_j (log lambda_j - lambda_j / prior_j)

with P the proved years and U the silent years in each band, and `k` the strength of the prior in losses. It is
concave in the hazards, so Newton's method finds the one maximum. Where losses are noticed at once it is the
posterior mean (k + losses) / (k / prior + years). The interval is Laplace's, on the logarithms.

**Silence is not health.** A source that never hears of a removal would look the freshest of all. Silence
therefore counts in the share `q` in which its losses seem to be told: the losses seen, over those that the
prior expects in the time of this group,

    q = min(1, losses / (prior * (P + U)))

so that losses alone can raise the estimate above the prior, and only proofs can lower it far below. Where no
loss was ever told, the prior stands.

**Shrinkage.** A kind as a whole is drawn towards the declared rate, each of its bands towards the kind, and
each source's band towards that of the kind, each time with the strength `k`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]

_ROUNDS = 100
_TOLERANCE = 1e-9

#: Share of the posterior within the interval that is told beside an estimate.
COVERAGE = 0.9


@dataclass(frozen=True)
class Evidence:
    """What was seen of the contact points of one group, in years.

    `proved` and `silent`: time spent in each band. `waits`: years from the last proof to the notice of each
    loss (all above 0); `counts`: how many losses had that wait.
    """

    proved: Floats
    silent: Floats
    waits: Floats
    counts: Floats

    @property
    def losses(self) -> float:
        return float(self.counts.sum())

    def __add__(self, other: Evidence) -> Evidence:
        return Evidence(
            self.proved + other.proved,
            self.silent + other.silent,
            np.concatenate([self.waits, other.waits]),
            np.concatenate([self.counts, other.counts]),
        )

    @classmethod
    def nothing(cls, bands: int) -> Evidence:
        """No evidence at all, for `bands` bands."""
        return cls(np.zeros(bands), np.zeros(bands), np.empty(0), np.empty(0))


@dataclass(frozen=True)
class Curve:
    """A fitted decay curve. `edges` are the starts of the bands in years, the first 0.

    `log_deviation` is the standard deviation of the logarithm of each hazard; `told_rate` the share `q` in which
    silence counted.
    """

    edges: tuple[float, ...]
    hazards: Floats
    log_deviation: Floats
    told_rate: float

    @property
    def yearly_loss(self) -> float:
        """Share that goes stale in the first year of silence."""
        return float(1 - survival(self, np.array([1.0]))[0])

    def interval(self) -> tuple[Floats, Floats]:
        """Lower and upper bounds of each hazard, `COVERAGE` of the posterior between them."""
        factor = np.exp(stats.norm.ppf((1 + COVERAGE) / 2) * self.log_deviation)
        return self.hazards / factor, self.hazards * factor


def hazard_of(yearly_loss: float) -> float:
    """The constant hazard per year at which the share `yearly_loss` goes stale in a year."""
    return float(-np.log1p(-yearly_loss))


def time_in_bands(years: Floats, edges: Sequence[float]) -> Floats:
    """Of each span (years since the last proof), the time in each band: shape (spans, bands)."""
    starts = np.asarray(edges, dtype=np.float64)
    ends = np.append(starts[1:], np.inf)
    clipped: Floats = np.clip(years[:, None], starts[None, :], ends[None, :]) - starts[None, :]
    return clipped


def survival(curve: Curve, years: Floats) -> Floats:
    """The probability of being still good after `years` of silence."""
    kept: Floats = np.exp(-time_in_bands(np.asarray(years, dtype=np.float64), curve.edges) @ curve.hazards)
    return kept


def fit(evidence: Evidence, edges: Sequence[float], prior: Floats, prior_losses: float) -> Curve:
    """The curve of one group. `prior`: hazard per band that it is drawn towards, with `prior_losses` losses."""
    told = _told_rate(evidence, prior)
    years = evidence.proved + told * evidence.silent
    inside = time_in_bands(evidence.waits, edges)
    hazards = prior.astype(np.float64)
    for _ in range(_ROUNDS):
        slope, bend = _derivatives(hazards, inside, evidence.counts, years, prior, prior_losses)
        step = np.linalg.solve(bend, slope)
        # never further than half of the way to 0, where the logarithm ends
        found = np.maximum(hazards + step, hazards / 2)
        is_settled = bool(np.max(np.abs(found - hazards) / hazards) < _TOLERANCE)
        hazards = found
        if is_settled:
            break
    slope, bend = _derivatives(hazards, inside, evidence.counts, years, prior, prior_losses)
    # at the mode the curvature over the logarithms is that over the hazards, scaled
    spread = np.linalg.inv(bend * hazards[:, None] * hazards[None, :])
    return Curve(tuple(edges), hazards, np.sqrt(np.diag(spread)), told)


def _told_rate(evidence: Evidence, prior: Floats) -> float:
    expected = float(prior @ (evidence.proved + evidence.silent))
    return min(1.0, evidence.losses / expected) if expected else 1.0


def _derivatives(
    hazards: Floats, inside: Floats, counts: Floats, years: Floats, prior: Floats, prior_losses: float
) -> tuple[Floats, Floats]:
    """The gradient of the log posterior, and minus its second derivatives."""
    lost = -np.expm1(-(inside @ hazards))
    kept = 1 - lost
    slope = (counts * kept / lost) @ inside - years + prior_losses / hazards - prior_losses / prior
    bend = (inside * (counts * kept / lost**2)[:, None]).T @ inside + np.diag(prior_losses / hazards**2)
    return slope, bend


def fit_kind(
    groups: dict[str, Evidence], edges: Sequence[float], yearly_loss: float, prior_losses: float
) -> tuple[Curve, dict[str, Curve]]:
    """The curve of a kind over all its sources, and that of each source, drawn towards the kind's."""
    bands = len(edges)
    every = sum((groups[source] for source in sorted(groups)), start=Evidence.nothing(bands))
    flat = Evidence(
        every.proved.sum(keepdims=True), every.silent.sum(keepdims=True), every.waits, every.counts
    )  # one band
    whole = fit(flat, (0.0,), np.array([hazard_of(yearly_loss)]), prior_losses)
    kind = fit(every, edges, np.full(bands, whole.hazards[0]), prior_losses)
    return kind, {source: fit(groups[source], edges, kind.hazards, prior_losses) for source in sorted(groups)}

"""The search for maximum-likelihood parameters that both purchase models use.

It knows nothing of purchases: a mean negative log-likelihood with its gradient, in the logarithms of
positive parameters, and how far the search may go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Floats = NDArray[np.float64]

_PENALTY = 0.01


def search(
    objective: Callable[[Floats], tuple[float, Floats]],
    starts: Sequence[Sequence[float]],
    lowest: float,
    highest: float,
) -> tuple[Floats, float] | None:
    """The parameters (not their logarithms) where `objective` is least, and its value there.

    From each start; the best end wins, the earlier start on a tie. Beyond (lowest, highest), where data
    no longer tell a parameter, a penalty turns the search back and the end is clipped. None when it ends
    on no finite point.

    BFGS rather than L-BFGS-B: scipy's calls a threaded LAPACK at each step, whose threads spin on a
    busy machine (8 ms a step measured on two shared cores, against half a millisecond).
    """
    edges = np.log(lowest), np.log(highest)

    def held(logarithms: Floats) -> tuple[float, Floats]:
        inside = np.clip(logarithms, *edges)
        beyond = logarithms - inside
        value, gradient = objective(inside)
        return value + _PENALTY * float((beyond**2).sum()), np.where(beyond == 0, gradient, 2 * _PENALTY * beyond)

    best: tuple[Floats, float] | None = None
    for start in starts:
        inside = np.clip(start, 2 * lowest, highest / 2)
        found = minimize(held, np.log(inside), jac=True, method="BFGS", options={"gtol": 1e-9, "maxiter": 500})
        ended = np.clip(found.x, *edges)
        value = float(objective(ended)[0])
        if np.isfinite(value) and np.all(np.isfinite(ended)) and (best is None or value < best[1]):
            best = np.exp(ended), value
    return best

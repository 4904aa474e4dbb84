"""Scores: how likely a customer is to buy again, how often and for how much, and how well that is known.

`score` is the daily step. `bg_nbd` and `gamma_gamma` are the published models over arrays, `logistic`
the regression beside them, `season` the calendar, `backtest` the judge, `models` what the registry
keeps, `purchases` the only reader of `marts.orders`. Nothing here knows Dagster, dbt or a person.

The step is imported when first asked for: scipy takes half a second, which commands that score nothing
should not pay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestration.scores.daily import ScoreReport, score

__all__ = ["ScoreReport", "score"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from orchestration.scores import daily

        return getattr(daily, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

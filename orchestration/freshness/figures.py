"""Figures of the freshness marts for whoever watches the runs: shares and sums, never anything of a person.

What belongs here: which figures of which mart. What does not: how they are worked out (the models of dbt).
"""

from __future__ import annotations

from orchestration.warehouse import Connection

#: Of each mart a query of (name, number), for all sources together.
_FIGURES = {
    "marts.contact_decay": """
        select kind || '_still_good_rate_after_' || age_months || '_months', still_good_rate
        from marts.contact_decay
        where source = '' and age_months in (12, 36, 60)
    """,
    "marts.freshness_forecast": """
        select
            kind || '_obsolete_rate_' || case horizon_months when 0 then 'today' else 'in_' || horizon_months || '_months' end,
            obsolete_rate
        from marts.freshness_forecast
        where source = '' and obsolete_rate is not null
    """,
    "marts.reverification": """
        select 'value_at_stake', coalesce(sum(stake), 0) from marts.reverification
        union all
        select 'value_at_stake_in_first_100', coalesce(sum(stake), 0) from marts.reverification where priority <= 100
    """,
}  # fmt: skip


def figures(connection: Connection, table: str) -> dict[str, float]:
    """The figures of one table of a build, by name; none for a table that is no freshness mart."""
    if table not in _FIGURES:
        return {}
    rows = connection.execute(f"select * from ({_FIGURES[table]}) order by 1").fetchall()
    return {str(name): round(float(value), 4) for name, value in rows}

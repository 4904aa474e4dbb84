"""From what was said and seen of contact points to the evidence of each kind and source. SQL, read only.

A *holding* is a value as the records of one source give it for one customer. Its proofs are the days it was
said, by any record of the customer, and the signs that it works. It is lost when, after its last proof, the
record says another value, or a message, letter or call comes back; for kinds of which a person has one at a
time also when another record of the customer says another value.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import numpy as np

from orchestration.contracts.freshness import CONTACT_KINDS, Freshness
from orchestration.freshness.survival import Evidence
from orchestration.warehouse import Connection, literal

DAYS_PER_YEAR = 365.25

_HOLDINGS = """
create or replace temp table contact_holdings as
with

sampled as (

    select
        source,
        record_id,
        customer_id
    from identity.record_customers
    where ('0x' || substr(md5(customer_id), 1, 8))::bigint < {hashed_below}

),

said as (

    select
        sampled.customer_id,
        history.source,
        history.kind,
        history.channel,
        history.value,
        history.moved_key,
        history.said_on,
        history.last_said_on,
        case when history.until_on <= date '{as_of_on}' then history.until_on end as until_on
    from intermediate.int_contact_history as history
    inner join sampled on history.source = sampled.source and history.record_id = sampled.record_id
    where history.said_on <= date '{as_of_on}'

),

holdings as (

    select
        customer_id,
        source,
        kind,
        channel,
        moved_key,
        min(said_on) as said_on,
        -- lost for its own records only when none of them says it any more
        case when count(*) = count(until_on) then max(until_on) end as left_on
    from said
    group by customer_id, source, kind, channel, moved_key

),

said_days as (

    select customer_id, kind, moved_key, said_on as happened_on from said
    union
    select customer_id, kind, moved_key, last_said_on from said

),

spellings as (

    select distinct
        customer_id,
        kind,
        channel,
        moved_key,
        value
    from said

),

signs as (

    select
        spellings.customer_id,
        spellings.kind,
        spellings.moved_key,
        signs.happened_on,
        signs.is_good,
        signs.sign
    from spellings
    inner join intermediate.int_contact_signs as signs
        on spellings.channel = signs.channel and spellings.value = signs.value
    where signs.happened_on <= date '{as_of_on}' and signs.sign <> 'soft_bounce'

),

proof_days as (

    select customer_id, kind, moved_key, happened_on from said_days where happened_on <= date '{as_of_on}'
    union
    select customer_id, kind, moved_key, happened_on from signs where is_good

),

proofs as (

    select
        holdings.customer_id,
        holdings.source,
        holdings.kind,
        holdings.moved_key,
        proof_days.happened_on,
        lead(proof_days.happened_on) over (
            partition by holdings.customer_id, holdings.source, holdings.kind, holdings.moved_key
            order by proof_days.happened_on
        ) as next_on
    from holdings
    inner join proof_days
        on holdings.customer_id = proof_days.customer_id
        and holdings.kind = proof_days.kind
        and holdings.moved_key = proof_days.moved_key
    where proof_days.happened_on >= holdings.said_on

),

last_proofs as (

    select
        customer_id,
        source,
        kind,
        moved_key,
        max(happened_on) as proved_on,
        {proved}
    from proofs
    group by customer_id, source, kind, moved_key

),

others as (

    select
        last_proofs.customer_id,
        last_proofs.source,
        last_proofs.kind,
        last_proofs.moved_key,
        min(said_days.happened_on) as replaced_on
    from last_proofs
    inner join said_days
        on last_proofs.customer_id = said_days.customer_id
        and last_proofs.kind = said_days.kind
        and last_proofs.moved_key <> said_days.moved_key
        and said_days.happened_on > last_proofs.proved_on
    where last_proofs.kind in ({one_at_a_time}) and said_days.happened_on <= date '{as_of_on}'
    group by all

),

came_back as (

    select
        last_proofs.customer_id,
        last_proofs.source,
        last_proofs.kind,
        last_proofs.moved_key,
        min(signs.happened_on) as refused_on
    from last_proofs
    inner join signs
        on last_proofs.customer_id = signs.customer_id
        and last_proofs.kind = signs.kind
        and last_proofs.moved_key = signs.moved_key
        and not signs.is_good
        and signs.happened_on >= last_proofs.proved_on
    group by all

)

select
    last_proofs.*,
    least(
        case when holdings.left_on > last_proofs.proved_on then holdings.left_on end,
        others.replaced_on,
        came_back.refused_on
    ) as lost_on
from last_proofs
inner join holdings using (customer_id, source, kind, moved_key)
left join others using (customer_id, source, kind, moved_key)
left join came_back using (customer_id, source, kind, moved_key)
"""


def gather(
    connection: Connection, settings: Freshness, edges: Sequence[float], *, as_of_on: dt.date
) -> dict[str, dict[str, Evidence]]:
    """The evidence by kind and source, as known at `as_of_on`; every source of records has an entry.

    Reads identity.record_customers, intermediate.int_contact_history and intermediate.int_contact_signs.
    """
    customers = connection.execute("select count(distinct customer_id) from identity.record_customers").fetchall()
    share = settings.fit_on_at_most / max(int(customers[0][0]), settings.fit_on_at_most)
    connection.execute(
        _HOLDINGS.format(
            as_of_on=as_of_on,
            # the lowest hashes: with a customer more the sample loses the highest of them, not its make-up
            hashed_below=int(share * 2**32),
            proved=_in_bands("next_on - happened_on", edges, "proved", "next_on is not null"),
            one_at_a_time=", ".join(literal(kind) for kind in settings.one_at_a_time) or "''",
        )
    )
    found: dict[str, dict[str, Evidence]] = {
        kind: {source: _evidence_of(edges) for source in _sources(connection)} for kind in CONTACT_KINDS
    }
    silence = _in_bands(f"date '{as_of_on}' - proved_on", edges, "silent", "lost_on is null")
    proved = ", ".join(f"sum(proved_{band})" for band in range(len(edges)))
    for kind, source, *years in connection.execute(
        f"select kind, source, {proved}, {silence} from contact_holdings group by kind, source order by kind, source"
    ).fetchall():
        spans = np.array([float(value or 0) for value in years])
        found[kind][source] = _evidence_of(edges, spans[: len(edges)], spans[len(edges) :])
    for kind, source, days, count in connection.execute(
        "select kind, source, list(days order by days), list(losses order by days) from (select kind, source, "
        "greatest(lost_on - proved_on, 1) as days, count(*) as losses from contact_holdings "
        "where lost_on is not null group by all) group by kind, source order by kind, source"
    ).fetchall():
        whole = found[kind][source]
        found[kind][source] = Evidence(
            whole.proved,
            whole.silent,
            np.array(days, dtype=np.float64) / DAYS_PER_YEAR,
            np.array(count, dtype=np.float64),
        )
    connection.execute("drop table temp.contact_holdings")
    return found


def _sources(connection: Connection) -> list[str]:
    rows = connection.execute("select distinct source from identity.record_customers order by source").fetchall()
    return [source for (source,) in rows]


def _evidence_of(
    edges: Sequence[float], proved: np.ndarray | None = None, silent: np.ndarray | None = None
) -> Evidence:
    empty = Evidence.nothing(len(edges))
    return Evidence(
        empty.proved if proved is None else proved,
        empty.silent if silent is None else silent,
        empty.waits,
        empty.counts,
    )


def _in_bands(days: str, edges: Sequence[float], name: str, where: str) -> str:
    """Sums of the years that `days` (an SQL expression) spends in each band, over the rows `where` holds."""
    parts = []
    for band, start in enumerate(edges):
        first = round(start * DAYS_PER_YEAR)
        end = f"least({days}, {round(edges[band + 1] * DAYS_PER_YEAR)})" if band + 1 < len(edges) else f"({days})"
        parts.append(f"sum(greatest({end} - {first}, 0)) filter (where {where}) / {DAYS_PER_YEAR} as {name}_{band}")
    return ", ".join(parts)

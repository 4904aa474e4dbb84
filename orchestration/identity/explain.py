"""Why records are, or are not, one customer: structured answers for people.

What belongs here: reading `identity.*` of a build or of a publication and telling it. What does not: printing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from orchestration.warehouse import Connection


@dataclass(frozen=True)
class LinkTold:
    """A scored pair. `field_weights`: bits that each field adds or takes away."""

    left: tuple[str, str]
    right: tuple[str, str]
    kind: str
    rule: str | None
    probability: float | None
    weight: float | None
    field_weights: dict[str, float] = field(default_factory=dict)
    band: str = "rejected"


@dataclass(frozen=True)
class RecordTold:
    source: str
    record_id: str
    attached_on: str
    attached_by: str


@dataclass(frozen=True)
class CustomerTold:
    """A customer: its records, the links inside, and the pairs that were kept out, with the guard."""

    customer_id: str
    current_customer_id: str | None
    records: tuple[RecordTold, ...]
    links: tuple[LinkTold, ...]
    kept_out: tuple[tuple[LinkTold, str | None], ...]
    history: tuple[tuple[str, str, str, str | None, str], ...]


@dataclass(frozen=True)
class PairTold:
    """Two records: whether they are one customer, and the chain of links that joins them (strongest path)."""

    is_same_customer: bool
    left_customer_id: str | None
    right_customer_id: str | None
    direct: LinkTold | None
    guard: str | None
    chain: tuple[LinkTold, ...]
    why: str


_LINK = (
    "left_source, left_record_id, right_source, right_record_id, kind, rule, match_probability, match_weight, "
    "field_weights, band"
)


def _link(row: tuple) -> LinkTold:
    weights = json.loads(row[8]) if row[8] else {}
    return LinkTold((row[0], row[1]), (row[2], row[3]), row[4], row[5], row[6], row[7], weights, row[9])


def explain_customer(connection: Connection, customer_id: str) -> CustomerTold | None:
    """Everything that holds a customer together, or None when the id was never given.

    A retired id is explained by the customer it stands for now.
    """
    row = connection.execute(
        "select current_customer_id from identity.current_ids where customer_id = ?", [customer_id]
    ).fetchone()
    if row is None:
        return None
    current = row[0]
    held = connection.execute(
        "select source, record_id, cast(attached_on as varchar), attached_by from identity.record_customers "
        "where customer_id = ? order by source, record_id",
        [current],
    ).fetchall()
    members = "(select source, record_id from identity.record_customers where customer_id = $id)"
    links = connection.execute(
        f"select {_LINK} from identity.match_links where is_within_customer and (left_source, left_record_id) in "
        f"(select (source, record_id) from {members}) order by match_weight desc, {_LINK}",
        {"id": current},
    ).fetchall()
    out = connection.execute(
        f"select {_LINK}, (select any_value(guard) from identity.match_review as v where v.left_source = "
        "k.left_source and "
        "v.left_record_id = k.left_record_id and v.right_source = k.right_source and v.right_record_id = "
        "k.right_record_id) "
        f"from identity.match_links as k where not is_within_customer and ((left_source, left_record_id) in "
        f"(select (source, record_id) from {members}) or (right_source, right_record_id) in "
        f"(select (source, record_id) from {members})) order by match_weight desc, {_LINK}",
        {"id": current},
    ).fetchall()
    history = connection.execute(
        "select cast(event_on as varchar), event, customer_id, successor_id, reason from identity.customer_id_history "
        "where customer_id in ($id, $now) or successor_id in ($id, $now) order by event_on, event, customer_id, successor_id",
        {"id": customer_id, "now": current},
    ).fetchall()
    return CustomerTold(
        customer_id,
        current,
        tuple(RecordTold(*row) for row in held),
        tuple(_link(row) for row in links),
        tuple((_link(row), row[10]) for row in out),
        tuple((when, event, who, to, reason) for when, event, who, to, reason in history),
    )


def explain_pair(connection: Connection, left: tuple[str, str], right: tuple[str, str]) -> PairTold:
    """Why two records (source, record id) are or are not one customer."""
    first, second = sorted((left, right))
    customers: dict[tuple[str, str], str] = {}
    for key in (left, right):
        row = connection.execute(
            "select customer_id from identity.record_customers where source = ? and record_id = ?", list(key)
        ).fetchone()
        if row:
            customers[key] = row[0]
    row = connection.execute(
        f"select {_LINK} from identity.match_links where left_source = ? and left_record_id = ? and right_source = ? "
        f"and right_record_id = ? order by match_weight desc nulls last, {_LINK} limit 1",
        [*first, *second],
    ).fetchone()
    direct = _link(row) if row else None
    guard_row = connection.execute(
        "select guard from identity.match_review where left_customer_id in ($a, $b) and right_customer_id in ($a, $b) "
        "and guard is not null order by match_probability desc, pair_id limit 1",
        {"a": customers.get(left), "b": customers.get(right)},
    ).fetchone()
    guard = guard_row[0] if guard_row else None
    same = left in customers and customers.get(left) == customers.get(right)
    chain: tuple[LinkTold, ...] = ()
    if left not in customers or right not in customers:
        missing = left if left not in customers else right
        why = f"there is no record {missing[1]} of source {missing[0]}"
    elif same:
        chain = _path(connection, customers[left], first, second)
        why = "they are linked directly" if len(chain) == 1 else "they are linked through other records"
    elif guard:
        why = f"the guard {guard} keeps their customers apart"
    elif direct:
        why = "their link is too weak, or their customers as wholes do not match"
    else:
        why = "no rule and no comparison brought them together"
    return PairTold(same, customers.get(left), customers.get(right), direct, guard, chain, why)


def _path(
    connection: Connection, customer_id: str, start: tuple[str, str], end: tuple[str, str]
) -> tuple[LinkTold, ...]:
    """The path between two records whose weakest link is strongest (then shortest)."""
    rows = connection.execute(
        f"select {_LINK} from identity.match_links where is_within_customer and (left_source, left_record_id) in "
        "(select (source, record_id) from identity.record_customers where customer_id = ?) "
        f"order by match_weight desc nulls first, {_LINK}",
        [customer_id],
    ).fetchall()
    parent: dict[tuple[str, str], tuple[str, str]] = {}

    def root(key: tuple[str, str]) -> tuple[str, str]:
        while parent.get(key, key) != key:
            key = parent[key]
        return key

    near: dict[tuple[str, str], list[tuple[tuple[str, str], LinkTold]]] = {}
    for row in rows:  # strongest first: the links that first connect the two ends suffice
        link = _link(row)
        near.setdefault(link.left, []).append((link.right, link))
        near.setdefault(link.right, []).append((link.left, link))
        parent[root(link.right)] = root(link.left)
        if root(start) == root(end):
            break
    came: dict[tuple[str, str], tuple[tuple[str, str], LinkTold]] = {}
    waiting = [start]
    for key in waiting:
        for other, link in near.get(key, []):
            if other != start and other not in came:
                came[other] = (key, link)
                waiting.append(other)
    path: list[LinkTold] = []
    here = end
    while here != start and here in came:
        here, link = came[here]
        path.append(link)
    return tuple(reversed(path))

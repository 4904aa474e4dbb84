"""The review queue as a steward sees it: pairs side by side, why they wait, the most valuable first.

What belongs here: reading a publication's queue with the customers' names and values. What does not: which pairs
wait (`outputs`), taking an answer (`decisions`), printing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from orchestration.contracts.matching import review_priority
from orchestration.warehouse import Connection

#: What is shown of each customer, in this order.
SHOWN = ("first_name", "last_name", "birth_on", "email", "phone", "address_line", "postal_code", "city")


@dataclass(frozen=True)
class ReviewPair:
    """`value`: what both customers bought, net. `priority`: that, times the uncertainty of the answer."""

    pair_id: str
    left: tuple[str, str]
    right: tuple[str, str]
    probability: float | None
    reason: str
    guard: str | None
    left_customer_id: str
    right_customer_id: str
    value: float
    priority: float
    field_weights: dict[str, float]
    left_values: dict[str, str | None]
    right_values: dict[str, str | None]


def review_queue(
    connection: Connection,
    *,
    limit: int,
    customers: str = "published.main.customers",
    customer_360: str = "published.marts.customer_360",
) -> list[ReviewPair]:
    """The first `limit` pairs of `identity.match_review`; the two tables tell who the customers are and what they buy.

    Sorted by customer value times uncertainty: a pair of two good customers at even odds comes before one that is nearly
    sure, or concerns nobody who buys. Each amount counts by its logarithm, so that one large customer does not fill
    the page; equal pairs are sorted by their id.
    """
    shown = ", ".join(f"cast({side}.{name} as varchar)" for side in ("a", "b") for name in SHOWN)
    rows = connection.execute(
        "with told as (select v.*, cast(coalesce(x.amount_net, 0) + coalesce(y.amount_net, 0) as double) as bought "
        f"from identity.match_review as v left join {customer_360} as x on x.customer_id = v.left_customer_id "
        f"left join {customer_360} as y on y.customer_id = v.right_customer_id), "
        f"ranked as (select *, {review_priority('bought', 'match_probability')} as priority from told "
        "order by priority desc, pair_id limit ?) "
        "select r.pair_id, r.left_source, r.left_record_id, r.right_source, r.right_record_id, r.match_probability, "
        "r.reason, r.guard, r.left_customer_id, r.right_customer_id, r.bought, r.priority, "
        f"(select max(k.field_weights) from identity.match_links as k where k.left_source = r.left_source "
        "and k.left_record_id = r.left_record_id and k.right_source = r.right_source "
        f"and k.right_record_id = r.right_record_id), {shown} from ranked as r "
        f"left join {customers} as a on a.customer_id = r.left_customer_id "
        f"left join {customers} as b on b.customer_id = r.right_customer_id "
        "order by r.priority desc, r.pair_id",
        [limit],
    ).fetchall()
    count = len(SHOWN)
    return [
        ReviewPair(
            row[0], (row[1], row[2]), (row[3], row[4]), row[5], row[6], row[7], row[8], row[9], row[10], row[11],
            json.loads(row[12]) if row[12] else {},
            dict(zip(SHOWN, row[13 : 13 + count], strict=True)),
            dict(zip(SHOWN, row[13 + count :], strict=True)),
        )
        for row in rows
    ]  # fmt: skip


def set_aside_decisions(connection: Connection) -> list[str]:
    """The steward decisions that could not be applied, in words. Empty where the publication does not tell them."""
    there = connection.execute(
        "select 1 from information_schema.tables where table_schema = 'identity' and table_name = 'set_aside_decisions'"
    ).fetchone()
    if there is None:
        return []
    rows = connection.execute(
        "select told_in, decided_by, left_source, left_record_id, right_source, right_record_id, decision, reason "
        "from identity.set_aside_decisions order by told_in, decided_at, left_source, left_record_id, right_source, "
        "right_record_id, decision, reason"
    ).fetchall()
    return [
        f"{where or 'a decision'}: {left} {left_id} and {right} {right_id}: {said or 'no answer'}"
        f"{f', by {who}' if who else ''}: {reason}"
        for where, who, left, left_id, right, right_id, said, reason in rows
    ]

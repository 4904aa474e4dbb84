"""What stewards decided about pairs of records, and what is left of it once contradictions are out.

What belongs here: must-links and cannot-links. What does not: who answers, and how (the command line).
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from orchestration import registry
from orchestration.errors import UsageError
from orchestration.identity.tables import STEWARD_DECISIONS
from orchestration.settings import Workspace
from orchestration.warehouse import Connection, literal

RecordKey = tuple[str, str]


@dataclass(frozen=True)
class Decision:
    """One answer about two records. `said`: same, different or later."""

    left: RecordKey
    right: RecordKey
    said: str
    decided_at: dt.datetime | None
    decision_id: str


@dataclass(frozen=True)
class Settled:
    """Decisions that can hold together, and the count of those that cannot."""

    must: tuple[tuple[RecordKey, RecordKey], ...]
    cannot: tuple[tuple[RecordKey, RecordKey], ...]
    later: frozenset[tuple[RecordKey, RecordKey]]
    contradictory: int  # "same" answers that a "different" answer contradicts, directly or through others
    unknown: int  # answers about records that are not there
    unreadable: int  # answers that are none of the three words, or about one record alone


def read(connection: Connection, workspace: Workspace, as_of_on: dt.date) -> list[Decision]:
    """Every decision known at `as_of_on`: delivered as files, and given on the command line."""
    given = registry.rows(workspace, STEWARD_DECISIONS, as_of_on=as_of_on)
    columns = "left_source, left_record_id, right_source, right_record_id, decision, decided_at, decision_id"
    delivered = ""
    if connection.execute(
        "select 1 from information_schema.tables where table_schema = 'landing' and table_name = 'steward_decisions'"
    ).fetchone():
        delivered = f"union all select {columns} from landing.steward_decisions"
    rows = connection.execute(
        f"select {columns} from ({given}) {delivered} order by decided_at, decision_id, {columns}"
    ).fetchall()
    return [
        Decision(
            (str(row[0] or "").strip(), str(row[1] or "").strip()),
            (str(row[2] or "").strip(), str(row[3] or "").strip()),
            str(row[4] or "").strip().lower(),
            row[5],
            str(row[6] or ""),
        )
        for row in rows
    ]


def settle(decisions: Iterable[Decision], living: set[RecordKey]) -> Settled:
    """The last answer about a pair holds. A "same" that would join two records said different is set aside."""
    last: dict[tuple[RecordKey, RecordKey], Decision] = {}
    unknown = unreadable = 0
    ordered = sorted(decisions, key=lambda d: (d.decided_at or dt.datetime.min, d.decision_id, d.left, d.right))
    for decision in ordered:
        if decision.said not in ("same", "different", "later") or decision.left == decision.right:
            unreadable += 1
        elif decision.left not in living or decision.right not in living:
            unknown += 1
        else:
            first, second = sorted((decision.left, decision.right))
            last[(first, second)] = decision
    cannot = sorted(pair for pair, decision in last.items() if decision.said == "different")
    later = frozenset(pair for pair, decision in last.items() if decision.said == "later")
    parent: dict[RecordKey, RecordKey] = {}

    def root(key: RecordKey) -> RecordKey:
        while parent.get(key, key) != key:
            parent[key] = parent.get(parent[key], parent[key])
            key = parent[key]
        return key

    must: list[tuple[RecordKey, RecordKey]] = []
    contradictory = 0
    same = [(pair, decision) for pair, decision in last.items() if decision.said == "same"]
    for pair, _ in sorted(same, key=lambda item: (item[1].decided_at or dt.datetime.min, item[1].decision_id, item[0])):
        one, other = root(pair[0]), root(pair[1])
        if one != other and any({root(x), root(y)} == {one, other} for x, y in cannot):
            contradictory += 1
            continue
        parent[other] = one
        must.append(pair)
    return Settled(tuple(sorted(must)), tuple(cannot), later, contradictory, unknown, unreadable)


def decide(connection: Connection, workspace: Workspace, pair_id: str, said: str, who: str, *, on: dt.date) -> None:
    """Append a steward's answer about a pair of the review queue. Raises UsageError for an unknown pair."""
    pair = connection.execute(
        "select left_source, left_record_id, right_source, right_record_id from identity.match_review "
        "where pair_id = ?",
        [pair_id],
    ).fetchone()
    if pair is None:
        raise UsageError(f'no pair "{pair_id}" waits for review; `rcu review` lists them')
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    decision_id = uuid.uuid4().hex
    values = ", ".join(
        f"{literal(str(value))} as {name}"
        for name, value in zip(STEWARD_DECISIONS.columns, (decision_id, *pair, said, who, now), strict=True)
    )
    registry.stage(
        workspace, STEWARD_DECISIONS, connection, f"select {values}",
        as_of_on=on, version=decision_id, run_id=f"review-{decision_id[:12]}",
    )  # fmt: skip

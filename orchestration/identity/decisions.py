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

#: How many set-aside decisions the run's report spells out.
_FIRST_TOLD = 5


@dataclass(frozen=True)
class Decision:
    """One answer about two records. `said`: same, different or later."""

    left: RecordKey
    right: RecordKey
    said: str
    decided_at: dt.datetime | None
    decision_id: str
    decided_by: str = ""
    told_in: str = ""  # file and line, or the command line


@dataclass(frozen=True)
class SetAside:
    """An answer that could not be applied, and why. `kind`: the same without a word of the answer, for logs."""

    decision: Decision
    reason: str
    kind: str


@dataclass(frozen=True)
class Settled:
    """Decisions that can hold together, and those that cannot."""

    must: tuple[tuple[RecordKey, RecordKey], ...]
    cannot: tuple[tuple[RecordKey, RecordKey], ...]
    later: frozenset[tuple[RecordKey, RecordKey]]
    contradictory: int  # "same" answers that a "different" answer contradicts, directly or through others
    unknown: int  # answers about records that are not there
    unreadable: int  # answers that are none of the three words, or about one record alone
    set_aside: tuple[SetAside, ...] = ()

    @property
    def same(self) -> tuple[tuple[RecordKey, RecordKey], ...]:
        """The pairs answered "same": those that hold."""
        return self.must


def read(connection: Connection, workspace: Workspace, as_of_on: dt.date) -> list[Decision]:
    """Every decision known at `as_of_on`: delivered as files, and given on the command line."""
    given = registry.rows(workspace, STEWARD_DECISIONS, as_of_on=as_of_on)
    columns = (
        "left_source, left_record_id, right_source, right_record_id, decision, decided_at, decision_id, decided_by"
    )
    delivered = ""
    if _has_column(connection, "landing", "steward_decisions", "decision"):
        place, files = "''", ""
        if _has_column(connection, "landing", "steward_decisions", "line_number"):
            place = "concat('line ', line_number)"
            if _has_column(connection, "audit", "files", "sha256"):
                files = (
                    "left join (select substr(sha256, 1, 16) as batch_id, min(file_name) as file_name from audit.files "
                    "group by all) as files using (batch_id)"
                )
                place = "concat_ws(' ', file_name, 'line', line_number)"
        delivered = f"union all select {columns}, {place} from landing.steward_decisions {files}"
    rows = connection.execute(
        f"select * from (select {columns}, 'the command line' as told_in from ({given}) {delivered}) "
        # pins are about one record's values: they are survivorship's
        "where coalesce(lower(trim(decision)), '') not in ('pin', 'unpin') "
        f"order by decided_at, decision_id, {columns}, told_in"
    ).fetchall()
    return [
        Decision(
            (str(row[0] or "").strip(), str(row[1] or "").strip()),
            (str(row[2] or "").strip(), str(row[3] or "").strip()),
            str(row[4] or "").strip().lower(),
            row[5],
            str(row[6] or ""),
            str(row[7] or ""),
            str(row[8] or ""),
        )
        for row in rows
    ]


def _has_column(connection: Connection, schema: str, table: str, column: str) -> bool:
    found = connection.execute(
        "select 1 from information_schema.columns where table_schema = ? and table_name = ? and column_name = ?",
        [schema, table, column],
    ).fetchone()
    return found is not None


def settle(decisions: Iterable[Decision], living: set[RecordKey]) -> Settled:
    """The last answer about a pair holds. A "same" that would join two records said different is set aside."""
    last: dict[tuple[RecordKey, RecordKey], Decision] = {}
    aside: list[SetAside] = []
    unknown = unreadable = 0
    ordered = sorted(decisions, key=lambda d: (d.decided_at or dt.datetime.min, d.decision_id, d.left, d.right))
    for decision in ordered:
        if decision.said not in ("same", "different", "later") or decision.left == decision.right:
            unreadable += 1
            is_itself = decision.left == decision.right
            aside.append(
                SetAside(
                    decision,
                    "a record and itself" if is_itself else f'"{decision.said}": say same, different or later',
                    "a record and itself" if is_itself else "say same, different or later",
                )
            )
        elif decision.left not in living or decision.right not in living:
            unknown += 1
            missing = decision.left if decision.left not in living else decision.right
            told = f"there is no record {missing[1]} of source {missing[0]}"
            aside.append(SetAside(decision, told, "it names a record that is not there"))
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
    for pair, decision in sorted(
        same, key=lambda item: (item[1].decided_at or dt.datetime.min, item[1].decision_id, item[0])
    ):
        one, other = root(pair[0]), root(pair[1])
        against = [pair for pair in cannot if {root(pair[0]), root(pair[1])} == {one, other}] if one != other else []
        if against:
            contradictory += 1
            (x, y) = against[0]
            by, where = last[(x, y)].decided_by or "a steward", last[(x, y)].told_in
            aside.append(
                SetAside(
                    decision,
                    f"{by} said{f' ({where})' if where else ''} that {x[0]} {x[1]} and {y[0]} {y[1]} are different, and "
                    "this joins them",
                    "it contradicts another decision",
                )
            )
            continue
        parent[other] = one
        must.append(pair)
    return Settled(tuple(sorted(must)), tuple(cannot), later, contradictory, unknown, unreadable, tuple(aside))


def write_set_aside(connection: Connection, settled: Settled) -> tuple[str, ...]:
    """Fill `identity.set_aside_decisions`; returns lines for the run's report, where there is something to say.

    The lines go to logs, which nobody can erase from: they name no person, and repeat nothing that a file holds.
    """
    connection.execute("delete from identity.set_aside_decisions")
    for aside in settled.set_aside:
        told = aside.decision
        connection.execute(
            "insert into identity.set_aside_decisions values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [*told.left, *told.right, told.said, told.decided_by, told.decided_at, told.told_in, aside.reason],
        )
    if not settled.set_aside:
        return ()
    counts = (
        (settled.contradictory, "contradict another"), (settled.unknown, "name a record that is not there"),
        (settled.unreadable, "cannot be read"),
    )  # fmt: skip
    told_counts = ", ".join(f"{count} {what}" for count, what in counts if count)
    return (
        f"steward decisions set aside: {told_counts}; `rcu review` tells each",
        *(f"{aside.decision.told_in or 'a decision'}: {aside.kind}" for aside in settled.set_aside[:_FIRST_TOLD]),
    )


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

"""What was delivered: the registry tables `activation_deliveries` and `activation_members`.

What belongs here: recording an attempt, the last delivery of an activation, who it held. What does not: the
delivery itself.

A delivery counts once its row in `activation_deliveries` says so; the members are written before it, under the
same attempt, so that a crash between the two leaves rows that nothing refers to. Of the lists of an activation the
last delivered one is kept, from which the next delta is worked out and which tells an erasure what to remove,
and the one before it, for a version that is sent again. Nothing older holds people's addresses.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from dataclasses import dataclass, field

import pyarrow as pa

from orchestration import registry, warehouse
from orchestration.activation import recipients
from orchestration.settings import Workspace
from orchestration.warehouse import Connection, literal

DELIVERIES = registry.RegistryTable(
    "activation_deliveries",
    {
        "activation": "varchar",
        "delivery_key": "varchar",  # idempotency key: activation and version
        "attempt": "varchar",
        "status": "varchar",  # delivered, unchanged, failed, refused
        "format": "varchar",
        "channel": "varchar",
        "purpose": "varchar",
        "mode": "varchar",
        "destination": "varchar",  # kind: folder, sftp, s3, webhook, postgres
        "files": "varchar",  # JSON: names with rows and checksum
        "audience_count": "bigint",
        "sent_count": "bigint",
        "added_count": "bigint",
        "updated_count": "bigint",
        "removed_count": "bigint",
        "left_out": "varchar",  # JSON: reason -> people
        "message": "varchar",
        "ended_at": "timestamp",
    },
    is_versioned=False,
)
MEMBERS = registry.RegistryTable(
    "activation_members",
    {
        "activation": "varchar",
        "attempt": "varchar",
        "member_key": "varchar",  # customer id, or event key of a trigger
        "customer_id": "varchar",
        "identity": "varchar",  # JSON: the columns by which the destination knows the row
        "content": "varchar",  # digest of its other columns, of a delta: what changes makes an update
    },
    is_versioned=False,
)

DONE = ("delivered", "unchanged")


@dataclass(frozen=True)
class Delivery:
    """One attempt, as the registry keeps it."""

    activation: str
    delivery_key: str
    attempt: str
    status: str
    version: str
    as_of_on: dt.date
    format: str
    channel: str
    purpose: str
    mode: str
    destination: str
    ended_at: dt.datetime
    files: list[dict[str, object]] = field(default_factory=list)
    audience_count: int = 0
    sent_count: int = 0
    added_count: int = 0
    updated_count: int = 0
    removed_count: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    message: str = ""


def new_attempt() -> str:
    """A name for one attempt; it never leaves the registry."""
    return uuid.uuid4().hex


def deliveries(workspace: Workspace, activation: str | None = None) -> list[Delivery]:
    """Every attempt, oldest first."""
    names = [*DELIVERIES.columns, "version", "as_of_on"]
    where = f"where activation = {literal(activation)}" if activation else ""
    connection = warehouse.connect()
    try:
        rows = connection.execute(
            f"select {', '.join(names)} from ({registry.rows(workspace, DELIVERIES)}) {where} "
            "order by ended_at, activation, version, attempt"
        ).fetchall()
    finally:
        connection.close()
    found = []
    for row in rows:
        told = dict(zip(names, row, strict=True))
        told["files"] = json.loads(told["files"] or "[]")
        told["left_out"] = json.loads(told["left_out"] or "{}")
        told["updated_count"] = told["updated_count"] or 0  # there was none before there were updates
        found.append(Delivery(**told))
    return found


def last_done(workspace: Workspace, activation: str) -> Delivery | None:
    """The last attempt that reached its destination."""
    done = [delivery for delivery in deliveries(workspace, activation) if delivery.status in DONE]
    return done[-1] if done else None


def record(workspace: Workspace, delivery: Delivery, members: pa.Table | None, *, run_id: str) -> None:
    """Append one attempt; `members` (columns of MEMBERS but activation and attempt) only when it is done."""
    told = {name: getattr(delivery, name) for name in DELIVERIES.columns}
    told["files"] = json.dumps(delivery.files, sort_keys=True)
    told["left_out"] = json.dumps(delivery.left_out, sort_keys=True)
    connection = warehouse.connect()
    try:
        if members is not None and members.num_rows:
            connection.register("members_to_write", members)
            registry.stage(
                workspace, MEMBERS, connection,
                f"select {literal(delivery.activation)} as activation, {literal(delivery.attempt)} as attempt, "
                "member_key, customer_id, identity, content from members_to_write order by member_key",
                as_of_on=delivery.as_of_on, version=delivery.version, run_id=run_id,
            )  # fmt: skip
        connection.register("delivery_to_write", pa.Table.from_pylist([told]))
        registry.stage(
            workspace, DELIVERIES, connection, "select * from delivery_to_write",
            as_of_on=delivery.as_of_on, version=delivery.version, run_id=run_id,
        )  # fmt: skip
    finally:
        connection.close()


def members_of(workspace: Workspace, attempts: list[str]) -> str:
    """A select over the rows that these attempts delivered."""
    listing = ", ".join(literal(attempt) for attempt in attempts) or "''"
    return f"select * from ({registry.rows(workspace, MEMBERS)}) where attempt in ({listing})"


def drop_older_members(workspace: Workspace, activation: str, keep: list[str]) -> int:
    """Remove the lists of an activation but those of the attempts `keep`; returns how many files went."""
    files = sorted((workspace.registry / MEMBERS.name).glob("*.parquet"))
    if not files:
        return 0
    connection: Connection = warehouse.connect()
    try:
        listing = ", ".join(literal(str(file)) for file in files)
        kept = ", ".join(literal(attempt) for attempt in keep)
        every = f"read_parquet([{listing}], union_by_name = true, filename = true)"
        rows = connection.execute(
            f"select distinct filename from {every} where activation = ? and attempt not in ({kept}) order by filename",
            [activation],
        ).fetchall()
        left = connection.execute(
            f"select distinct customer_id, as_of_on from {every} where activation = $activation "
            f"and attempt not in ({kept}) and customer_id not in "
            f"(select customer_id from {every} where activation = $activation and attempt in ({kept})) "
            "qualify row_number() over (partition by customer_id order by as_of_on desc) = 1 order by customer_id",
            {"activation": activation},
        ).fetchall()
    finally:
        connection.close()
    recipients.remember(workspace, activation, dict(left))  # before the lists go: a stop in between loses nobody
    by_name = {str(file): file for file in files}
    for (name,) in rows:
        by_name[name].unlink(missing_ok=True)
    return len(rows)

"""Removal files reach the destinations that received an erased person, by the way the person went there.

What belongs here: sending what `erase` wrote, and keeping what could not be sent until it can. What does not: who is
erased. A removal file is let go once its destination has it: it is the last trace of whom it names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from orchestration import warehouse
from orchestration.activation import files
from orchestration.activation.destinations import DeliveryFailed, Parcel, send
from orchestration.activation.erase import REMOVALS
from orchestration.contracts.activation import Activation, Postgres
from orchestration.errors import RcuError
from orchestration.settings import Workspace, resolve_secret
from orchestration.warehouse import literal, quote

ACTION = "erase"


@dataclass(frozen=True)
class RemovalsSent:
    """Removal files that were taken by their destinations, and why others wait (one line each, nobody named)."""

    sent: int = 0
    waiting: tuple[str, ...] = ()


def waiting_removals(workspace: Workspace) -> list[Path]:
    """Removal files that no destination has taken yet, in order."""
    return sorted((workspace.exports / REMOVALS).glob("*/*.jsonl"))


def send_removals(workspace: Workspace, activations: Mapping[str, Activation]) -> RemovalsSent:
    """Send every removal file that waits. Call under the run lock; what fails is tried again by the next call."""
    sent = 0
    waiting = []
    for path in waiting_removals(workspace):
        name = path.parent.name
        activation = activations.get(name)
        if activation is None:
            waiting.append(f"{name}: this activation is no longer declared; send {path.name} by hand, then delete it")
            continue
        try:
            _send(workspace, activation, path)
        except (RcuError, OSError) as error:
            told = str(error) if isinstance(error, RcuError) else f"{name}: {error.strerror}"
            waiting.append(told)
            continue
        path.unlink()
        sent += 1
    return RemovalsSent(sent, tuple(waiting))


def _send(workspace: Workspace, activation: Activation, path: Path) -> None:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if activation.deliver.postgres is not None:
        _delete_rows(workspace, activation.activation, activation.deliver.postgres, rows)
        return
    with files.scratch(workspace) as folder:
        # Not named after the activation: the lists of an activation are counted, and old ones let go, by name.
        stem = f"{ACTION}-{activation.activation}-{path.stem}"
        written = files.write_lines(rows, folder, stem, ACTION)
        told = {
            "activation": activation.activation, "what": "take these people away: they asked for erasure",
            "idempotency_key": f"{activation.activation}:{ACTION}:{path.stem}", "files": [written.told()],
            "rows": len(rows),
        }  # fmt: skip
        table = pa.table(
            {
                "customer_id": pa.array([row["customer_id"] for row in rows], pa.string()),
                "sha256": pa.array([json.dumps(row["sha256"], sort_keys=True) for row in rows], pa.string()),
            }
        )
        send(
            Parcel(
                activation, workspace, "", f"{activation.activation}:{ACTION}:{path.stem}", stem, (written,),
                files.write_manifest(told, folder, stem), {ACTION: table},
                {ACTION: [row["customer_id"] for row in rows]}, False,
            )
        )  # fmt: skip


def _delete_rows(workspace: Workspace, name: str, declared: Postgres, rows: list[dict[str, object]]) -> None:
    """A table needs no file: its rows about the person go."""
    schema, _, table = declared.table.rpartition(".")
    keys = ", ".join(literal(key) for row in rows for key in _keys(row)) or "''"
    connection = warehouse.connect()
    try:
        warehouse.load_extension(connection, "postgres_scanner")
        connection.execute(f"attach {literal(resolve_secret(declared.dsn, workspace))} as destination (type postgres)")
        connection.execute(
            f"delete from destination.{quote(schema or 'public')}.{quote(table)} "
            f"where activation = {literal(name)} and member_key in ({keys})"
        )
    except duckdb.Error as error:  # its message may hold the connection string
        raise DeliveryFailed(
            f"{name}: rows of erased people in {declared.table} behind {declared.dsn} could not be removed "
            f"({type(error).__name__}); it is tried again"
        ) from None
    finally:
        connection.close()


def _keys(row: dict[str, object]) -> Iterator[str]:
    yield str(row["customer_id"])
    found = row.get("member_keys", [])
    if isinstance(found, list):
        yield from map(str, found)

"""What an erasure does to activation: each destination that received the person is told, then they go.

What belongs here: the removal files, and the registry's lists of who was delivered. What does not: who is
erased, and the audience files themselves (they are searched like any export).

A removal file names nobody in clear: the customer id, the keys under which rows were sent, and SHA-256 of the
columns by which the destination knows them, the form in which platforms take removals. `removals` sends it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from dataclasses import dataclass

from orchestration import rewriting, warehouse
from orchestration.activation.ledger import DELIVERIES, MEMBERS
from orchestration.contracts.subject import Subject
from orchestration.settings import Workspace
from orchestration.warehouse import literal

REMOVALS = "removals"


@dataclass(frozen=True)
class ActivationErased:
    """Removal files written, and rows of delivered lists taken out."""

    removal_files: int = 0
    rows: int = 0


def erase(workspace: Workspace, subject: Subject, *, request_id: str, on: dt.date) -> ActivationErased:
    """Write a removal file per activation that delivered the person, then forget them. Safe to call again.

    The files are `exports/removals/<activation>/<date>-<request>.jsonl`, until they are sent.
    """
    found: dict[str, dict[tuple[str, str], set[str]]] = {}
    rows = 0
    files = sorted((workspace.registry / MEMBERS.name).glob("*.parquet"))
    done = _done_attempts(workspace)
    connection = warehouse.connect()
    try:
        connection.execute("create temp table s_ids (customer_id varchar)")
        connection.execute("insert into s_ids select unnest(?::varchar[])", [sorted(subject.customer_ids)])
        theirs = "coalesce(customer_id in (select customer_id from s_ids), false)"
        stale = []
        for path in files:
            file = f"read_parquet({literal(str(path))})"
            held = connection.execute(
                f"select activation, attempt, customer_id, identity, member_key from {file} where {theirs} order by all"
            ).fetchall()
            for activation, attempt, customer_id, identity, member_key in held:
                if attempt in done:
                    told = found.setdefault(activation, {}).setdefault((customer_id, identity or "{}"), set())
                    told |= {member_key} - {None, customer_id}
            if held:
                stale.append(path)
                rows += len(held)
        for activation, people in sorted(found.items()):
            lines = [_removal(*who, sorted(keys)) for who, keys in sorted(people.items())]
            _write(workspace, activation, f"{on}-{request_id}", lines)
        for path in stale:
            temporary = path.with_name(f".{path.stem}.erasing.tmp")
            connection.execute(
                f"copy (select * from read_parquet({literal(str(path))}) where not {theirs}) "
                f"to {literal(str(temporary))} (format parquet)"
            )
            rewriting.replace(temporary, path)
    finally:
        connection.close()
    return ActivationErased(len(found), rows)


def _done_attempts(workspace: Workspace) -> set[str]:
    files = sorted((workspace.registry / DELIVERIES.name).glob("*.parquet"))
    if not files:
        return set()
    listing = ", ".join(literal(str(file)) for file in files)
    connection = warehouse.connect()
    try:
        rows = connection.execute(
            f"select distinct attempt from read_parquet([{listing}], union_by_name = true) "
            "where status in ('delivered', 'unchanged') order by attempt"
        ).fetchall()
    finally:
        connection.close()
    return {attempt for (attempt,) in rows}


def _removal(customer_id: str, identity: str, member_keys: list[str]) -> str:
    told = json.loads(identity)
    hashed = {
        name: hashlib.sha256(str(value).strip().lower().encode()).hexdigest()
        for name, value in sorted(told.items())
        if value not in (None, "") and value != customer_id
    }
    line = {"customer_id": customer_id, "sha256": hashed, **({"member_keys": member_keys} if member_keys else {})}
    return json.dumps(line, sort_keys=True)


def _write(workspace: Workspace, activation: str, name: str, lines: list[str]) -> None:
    folder = workspace.exports / REMOVALS / activation
    folder.mkdir(parents=True, exist_ok=True, mode=0o750)
    safe = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)
    target = folder / f"{safe}.jsonl"
    temporary = target.with_name(f".{target.name}.tmp")
    temporary.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    temporary.chmod(0o640)
    temporary.replace(target)

"""What an erasure does to activation: each destination that received the person is told, then they go.

What belongs here: the removal files, and the registry's lists of who was delivered. What does not: who is
erased, and the audience files themselves (they are searched like any export).

A removal file names nobody in clear: the customer id, the keys under which rows were sent, and SHA-256 of the
columns by which the destination knows them, the form in which platforms take removals. Of a list that is no longer
kept those columns are forgotten: then it is SHA-256 of the person's own addresses and numbers. `removals` sends it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from dataclasses import dataclass

from orchestration import rewriting, warehouse
from orchestration.activation import recipients
from orchestration.activation.ledger import MEMBERS
from orchestration.contracts.subject import Subject
from orchestration.settings import Workspace
from orchestration.warehouse import literal

REMOVALS = "removals"
_SHA256 = re.compile(r"^[0-9a-f]{64}$")
_E164 = re.compile(r"^\+\d{8,15}$")


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
    earlier = recipients.received(workspace, subject.customer_ids)
    rows = 0
    files = sorted((workspace.registry / MEMBERS.name).glob("*.parquet"))
    connection = warehouse.connect()
    try:
        connection.execute("create temp table s_ids (customer_id varchar)")
        connection.execute("insert into s_ids select unnest(?::varchar[])", [sorted(subject.customer_ids)])
        theirs = "coalesce(customer_id in (select customer_id from s_ids), false)"
        stale = []
        for path in files:
            file = f"read_parquet({literal(str(path))})"
            held = connection.execute(
                f"select activation, customer_id, identity, member_key from {file} where {theirs} order by all"
            ).fetchall()
            # A list is noted once its destination took it: whoever is in one was sent.
            for activation, customer_id, identity, member_key in held:
                told = found.setdefault(activation, {}).setdefault((customer_id, identity or "{}"), set())
                told |= {member_key} - {None, customer_id}
            if held:
                stale.append(path)
                rows += len(held)
        told_to = sorted({*found, *earlier})
        for activation in told_to:
            people = found.get(activation, {})
            lines = [_removal(*who, sorted(keys)) for who, keys in sorted(people.items())]
            lines += _by_contact(subject, earlier.get(activation, set()) - {who for who, _ in people})
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
    rows += recipients.forget(workspace, subject.customer_ids)
    return ActivationErased(len(told_to), rows)


def _by_contact(subject: Subject, customer_ids: set[str]) -> list[str]:
    """Lines for who was only in lists that are no longer kept: by each address and number that is theirs alone."""
    contacts = [{"email": text} for text in sorted({text.strip().lower() for text in subject.texts if "@" in text})]
    contacts += [{"phone": text} for text in sorted(subject.texts) if _E164.match(text)]
    return [
        _removal(customer_id, json.dumps(contact), []) for customer_id in sorted(customer_ids) for contact in contacts or [{}]
    ]  # fmt: skip


def _removal(customer_id: str, identity: str, member_keys: list[str]) -> str:
    told = json.loads(identity)
    hashed = {
        # What a platform took as a hash is known to it by that hash.
        name: value if _SHA256.match(str(value)) else hashlib.sha256(str(value).strip().lower().encode()).hexdigest()
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

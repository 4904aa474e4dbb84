"""Who an activation ever delivered and is in none of its kept lists: the registry table `activation_recipients`.

What belongs here: remembering them as keyed tokens that nobody can read back, and telling at an erasure which
activations delivered somebody. What does not: the kept lists themselves (`ledger`), and telling destinations (`erase`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping

import pyarrow as pa

from orchestration import protection, registry, rewriting, warehouse
from orchestration.settings import Workspace
from orchestration.warehouse import literal

RECIPIENTS = registry.RegistryTable(
    "activation_recipients",
    {"activation": "varchar", "key_id": "varchar", "token": "varchar"},
    is_versioned=False,
)
_USE = "recipient"


def remember(workspace: Workspace, activation: str, last_on: Mapping[str, dt.date]) -> int:
    """Note customers (id: the date of the last list that held them) that leave the kept lists; returns how many are new."""
    if not last_on:
        return 0
    every = sorted(last_on)
    key = protection.current_key(workspace)
    tokens = key.tokens(_USE, [_text(activation, customer_id) for customer_id in every])
    table = pa.table(
        {"activation": [activation] * len(every), "key_id": [key.key_id] * len(every), "token": pa.array(tokens, pa.string())}
    )  # fmt: skip
    on = max(last_on.values())
    connection = warehouse.connect()
    try:
        connection.register("left_lists", table)
        return registry.stage(
            workspace, RECIPIENTS, connection,
            f"select * from left_lists where token not in (select token from ({registry.rows(workspace, RECIPIENTS)})) "
            "order by token",
            as_of_on=on, version=f"{on:%Y%m%d}-0000", run_id="activation",
        )  # fmt: skip
    finally:
        connection.close()


def received(workspace: Workspace, customer_ids: Iterable[str]) -> dict[str, set[str]]:
    """Activations that delivered some of these customers in a list that is no longer kept: {activation: ids}."""
    connection = warehouse.connect()
    try:
        listed = connection.execute(
            f"select distinct activation, key_id, token from ({registry.rows(workspace, RECIPIENTS)}) order by all"
        ).fetchall()
    finally:
        connection.close()
    if not listed:
        return {}
    wanted = sorted(customer_ids)
    known = set(listed)
    ring = {key.key_id: key for key in protection.keys(workspace)}
    found: dict[str, set[str]] = {}
    for activation, key_id in sorted({(activation, key_id) for activation, key_id, _ in listed}):
        tokens = ring[key_id].tokens(_USE, [_text(activation, one) for one in wanted])
        for customer_id, token in zip(wanted, tokens, strict=True):
            if (activation, key_id, token) in known:
                found.setdefault(activation, set()).add(customer_id)
    return found


def forget(workspace: Workspace, customer_ids: Iterable[str]) -> int:
    """Take the tokens of some customers out; returns how many went. Safe to call again."""
    files = sorted((workspace.registry / RECIPIENTS.name).glob("*.parquet"))
    if not files:
        return 0
    gone = 0
    wanted = sorted(customer_ids)
    ring = protection.keys(workspace)
    connection = warehouse.connect()
    try:
        names = [
            name for (name,) in connection.execute(
                f"select distinct activation from ({registry.rows(workspace, RECIPIENTS)}) order by activation"
            ).fetchall()
        ]  # fmt: skip
        texts = [_text(name, one) for name in names for one in wanted]
        tokens = [token for key in ring for token in key.tokens(_USE, texts)]
        connection.register("their_tokens", pa.table({"token": pa.array(tokens, pa.string())}))
        for path in files:
            file = f"read_parquet({literal(str(path))})"
            test = "token in (select token from their_tokens)"
            (count,) = connection.execute(f"select count(*) from {file} where {test}").fetchall()[0]
            if not count:
                continue
            temporary = path.with_name(f".{path.stem}.erasing.tmp")
            connection.execute(
                f"copy (select * from {file} where not {test}) to {literal(str(temporary))} (format parquet)"
            )
            rewriting.replace(temporary, path)
            gone += count
    finally:
        connection.close()
    return gone


def _text(activation: str, customer_id: str) -> str:
    return f"{activation}\x1f{customer_id}"

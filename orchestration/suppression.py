"""The two keyed lists of people we must not revive or contact, and the look-up of a value in them.

What belongs here: the registry tables `erasures` and `objections`, which hold keyed hashes (HMAC) and
dates only, and the forms in which values are hashed. What does not: who asked for what (the ledger of
`orchestration.privacy`), and what is done with an answer.

* `erasures` names the records that were erased, and the contact values that nobody else carried then: a
  re-sent extract does not revive the person.
* `objections` names contact values that nobody may use, whoever carries them.

Both are *immediate* and not as-of: what they hold counts for every run, backfill and export. Each token
has its key's id beside it, and a value is looked up under every key, so a rotation loses nothing.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from typing import Literal

import pyarrow as pa

from orchestration import protection, registry, warehouse
from orchestration.errors import UsageError
from orchestration.settings import Workspace

#: `dormant` is a record whose person fell silent: it comes back when it tells of something newer.
Kind = Literal["record", "dormant", "email", "phone", "card", "cookie", "line"]
#: The kinds of value that reach a person.
CONTACT_KINDS: tuple[Kind, ...] = ("email", "phone")

_COLUMNS = {"kind": "varchar", "key_id": "varchar", "token": "varchar", "since_on": "date", "request_id": "varchar"}
ERASURES = registry.RegistryTable("erasures", _COLUMNS, is_versioned=False)
OBJECTIONS = registry.RegistryTable("objections", _COLUMNS, is_versioned=False)

_USES = {ERASURES.name: "erasure", OBJECTIONS.name: "suppression"}


def record_key(source: str, record_id: str) -> str:
    """The text under which a record is hashed."""
    return f"{source}\x1f{record_id}"


def email_key(text: str) -> str:
    """The text under which an e-mail address is hashed and compared: how it is written does not matter."""
    return text.strip().lower()


def phone_key(text: str) -> str:
    """The text under which a phone number is hashed and compared: its last nine digits; '' where it has fewer."""
    digits = re.sub(r"\D", "", text)
    return digits[-9:] if len(digits) >= 9 else ""


def value_key(kind: Kind, text: str) -> str:
    """The compared form of a value of any kind; '' for one that cannot be compared."""
    if kind == "email":
        return email_key(text) if "@" in text else ""
    return phone_key(text) if kind == "phone" else text.strip()


#: The same forms in SQL: `{0}` stands for the column.
KEY_SQL: dict[Kind, str] = {
    "email": "nullif(lower(trim({0})), '')",
    "phone": "case when length(regexp_replace({0}, '[^0-9]', '', 'g')) >= 9 "
    "then right(regexp_replace({0}, '[^0-9]', '', 'g'), 9) end",
    "card": "nullif(trim({0}), '')",
    "cookie": "nullif(trim({0}), '')",
}


def add_erased(
    workspace: Workspace, values: Mapping[Kind, Iterable[str]], *, since_on: dt.date, request_id: str
) -> int:
    """Put keys (`record_key`, `value_key`, ...) on the list of the erased; returns how many are new."""
    return _add(workspace, ERASURES, values, since_on, request_id)


def add_objections(
    workspace: Workspace, values: Mapping[Kind, Iterable[str]], *, since_on: dt.date, request_id: str
) -> int:
    """Put contact keys on the list of objections; returns how many are new."""
    return _add(workspace, OBJECTIONS, values, since_on, request_id)


def erased_among(workspace: Workspace, kind: Kind, keys: Iterable[str]) -> dict[str, dt.date]:
    """Those of `keys` that are on the list of the erased, with the day (the last, where there are several)."""
    return _found(workspace, ERASURES, kind, keys)


def objected_among(workspace: Workspace, kind: Kind, keys: Iterable[str]) -> dict[str, dt.date]:
    """Those of `keys` that nobody may use, with the day since when (the first).

    Call it on everything that is about to leave, with the values in the form of `value_key`.
    """
    return _found(workspace, OBJECTIONS, kind, keys)


def has_erased(workspace: Workspace) -> bool:
    return any((workspace.registry / ERASURES.name).glob("*.parquet"))


def has_objections(workspace: Workspace) -> bool:
    return any((workspace.registry / OBJECTIONS.name).glob("*.parquet"))


def state_of_objections(workspace: Workspace) -> str:
    """Changes when the list of objections does."""
    files = sorted((workspace.registry / OBJECTIONS.name).glob("*.parquet"))
    told = "\n".join(f"{path.name} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in files)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def entries_by_key(workspace: Workspace) -> dict[str, int]:
    """How many entries of the two lists were hashed with each key: as long as there are any, the key must stay."""
    found: dict[str, int] = {}
    connection = warehouse.connect()
    try:
        for table in (ERASURES, OBJECTIONS):
            for key_id, count in connection.execute(
                f"select key_id, count(*) from ({registry.rows(workspace, table)}) group by key_id order by key_id"
            ).fetchall():
                found[key_id] = found.get(key_id, 0) + int(count)
    finally:
        connection.close()
    return found


def _add(
    workspace: Workspace, table: registry.RegistryTable, values: Mapping[Kind, Iterable[str]],
    since_on: dt.date, request_id: str,
) -> int:  # fmt: skip
    key = protection.current_key(workspace)
    subkey = key.subkey(_USES[table.name])
    told = []
    for kind in sorted(values):
        wanted = sorted({value for value in values[kind] if value})
        known = _found(workspace, table, kind, wanted)
        told += [
            {"kind": kind, "key_id": key.key_id, "token": _token(subkey, kind, value), "since_on": since_on,
             "request_id": request_id}
            for value in wanted
            if table is ERASURES or value not in known
        ]  # fmt: skip
    if not told:
        return 0
    connection = warehouse.connect()
    try:
        connection.register("told", pa.Table.from_pylist(told))
        return registry.stage(
            workspace, table, connection, "select * from told order by kind, token",
            as_of_on=since_on, version=f"{since_on:%Y%m%d}-0000", run_id=f"privacy-{request_id}",
        )  # fmt: skip
    finally:
        connection.close()


def _token(subkey: bytes, kind: Kind, value: str) -> str:
    # The kind is part of what is hashed: a card number that equals a record's key is another value.
    return hmac.digest(subkey, f"{kind}\x1f{value}".encode(), "sha256").hex()[:32]


def _found(workspace: Workspace, table: registry.RegistryTable, kind: Kind, keys: Iterable[str]) -> dict[str, dt.date]:
    if not any((workspace.registry / table.name).glob("*.parquet")):
        return {}
    connection = warehouse.connect()
    try:
        listed = connection.execute(
            f"select key_id, token, min(since_on), max(since_on) from ({registry.rows(workspace, table)}) "
            "where kind = ? group by key_id, token order by key_id, token",
            [kind],
        ).fetchall()
    finally:
        connection.close()
    if not listed:
        return {}
    days: dict[tuple[str, str], dt.date] = {
        (key_id, token): last if table is ERASURES else first for key_id, token, first, last in listed
    }
    ring = {key.key_id: key.subkey(_USES[table.name]) for key in protection.keys(workspace)}
    missing = sorted({key_id for key_id, _ in days} - set(ring))
    if missing:
        raise UsageError(
            f"{workspace.key_file}: key {missing[0]} is gone, and the list of {table.name} was hashed with it; restore "
            "the key file from its backup (nothing runs before: people who said no would be contacted)"
        )
    used = sorted({key_id for key_id, _ in days})
    found: dict[str, dt.date] = {}
    for value in keys:
        hits = [day for key_id in used if (day := days.get((key_id, _token(ring[key_id], kind, value))))]
        if hits:
            found[value] = max(hits) if table is ERASURES else min(hits)
    return found

"""The person an access or erasure is about, and how each table that holds personal data finds them.

What belongs here: plain values, and the plan that follows from the classification of every column in
`entities` and `published_tables`. Access and erasure both walk this plan, so they cover the same columns.
What does not: looking anything up, or changing anything.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Literal, Protocol

from orchestration.contracts.entities import ENTITIES, Entity
from orchestration.contracts.published_tables import PublishedTable, published_tables

#: What becomes of a person's row: it goes, or it stays without what tells of the person.
Treatment = Literal["remove", "anonymise"]

#: Entities and tables whose rows are accounting documents: they stay, without the person.
FINANCIAL_ENTITIES = frozenset({"order", "order_line"})
FINANCIAL_TABLES = frozenset({"marts.orders", "marts.order_lines"})
#: The id of the customer of whom nothing is known.
UNKNOWN = "unknown"


class Finder(Protocol):
    """What finds somebody in a text: a compiled pattern, or one that looks for several words on one line."""

    def search(self, text: str, /) -> object: ...


@dataclass(frozen=True)
class Subject:
    """One or several persons that are looked for together. All values are texts.

    `customer_ids`: every id that stands for them. `records`: (source, record id). `keys`: values that they
    alone carry, by kind (email, phone, card, cookie), in the form of `suppression.value_key`. `texts`:
    what they alone carry, as written anywhere (names, addresses, numbers), for what has no column.
    `orders`, `events`: (source, key) of the facts attached to them. `names`: texts that together on one line tell
    them, such as a name and a postal code, in the form of `rewriting.folded`.
    """

    customer_ids: frozenset[str] = frozenset()
    records: frozenset[tuple[str, str]] = frozenset()
    keys: dict[str, frozenset[str]] = field(default_factory=dict)
    texts: frozenset[str] = frozenset()
    orders: frozenset[tuple[str, str]] = frozenset()
    events: frozenset[tuple[str, str]] = frozenset()
    names: frozenset[tuple[str, ...]] = frozenset()

    @property
    def is_empty(self) -> bool:
        return not (self.customer_ids or self.records)

    def to_json(self) -> str:
        told = asdict(self)
        for name in ("customer_ids", "texts"):
            told[name] = sorted(told[name])
        for name in ("records", "orders", "events"):
            told[name] = sorted(list(pair) for pair in told[name])
        told["names"] = sorted(list(parts) for parts in self.names)
        told["keys"] = {kind: sorted(values) for kind, values in sorted(self.keys.items())}
        return json.dumps(told, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Subject:
        told = json.loads(text)
        pairs = {name: frozenset((a, b) for a, b in told[name]) for name in ("records", "orders", "events")}
        return cls(
            customer_ids=frozenset(told["customer_ids"]), texts=frozenset(told["texts"]),
            keys={kind: frozenset(values) for kind, values in told["keys"].items()},
            names=frozenset(tuple(parts) for parts in told.get("names", ())), **pairs,
        )  # fmt: skip


@dataclass(frozen=True)
class PersonalTable:
    """One place that holds personal data: how the person's rows are found in it and what becomes of them.

    `ids`: columns that hold a customer id. `records`: (source column, record column) pairs. `values`:
    (column, kind) of contact values. `personal`: every column that is classified as personal. `free_texts`: those of
    a delivery that anybody may have written anything in, another person's address too.
    """

    name: str
    ids: tuple[str, ...]
    records: tuple[tuple[str, str], ...]
    values: tuple[tuple[str, str], ...]
    personal: tuple[str, ...]
    kept: tuple[str, ...]
    treatment: Treatment
    free_texts: tuple[str, ...] = ()

    @property
    def is_reachable(self) -> bool:
        """Whether a person's rows can be found at all."""
        return bool(self.ids or self.records or self.values or self.searched)

    @property
    def full_place(self) -> tuple[str, str]:
        """Schema and table in a published file, where the tables of `rcu` lie in `main`."""
        schema, name = self.name.split(".")
        return ("main" if schema == "rcu" else schema, name)

    @property
    def searched(self) -> tuple[str, ...]:
        """Personal columns in which the person's texts are looked for, whoever the row belongs to."""
        found = {*self.ids, *(column for pair in self.records for column in pair)}
        return tuple(column for column in self.personal if column not in found)


_REFERENCE_KINDS = {"ref_email": "email", "ref_phone": "phone", "ref_card": "card", "ref_cookie": "cookie"}
_CUSTOMER_KINDS = {"email": "email", "phone": "phone", "phone_other": "phone", "card_number": "card"}
_PAIRS = (
    ("source", "record_id"), ("account_source", "account"), ("ref_account_source", "ref_account"),
    ("left_source", "left_record_id"), ("right_source", "right_record_id"),
)  # fmt: skip


def landing_tables() -> list[PersonalTable]:
    """Every landing entity that holds personal data, by name."""
    return [table for entity in ENTITIES.values() if (table := _landing(entity)) is not None]


def _landing(entity: Entity) -> PersonalTable | None:
    names = [column.name for column in entity.columns]
    personal = tuple(column.name for column in entity.columns if column.personal != "none")
    present = {*names, "source"}
    pairs = [pair for pair in _PAIRS if set(pair) <= present]
    if entity.name == "customer":
        # What another record says of its own account in another system is about that other record.
        pairs = [("source", "record_id")]
    kinds = _CUSTOMER_KINDS if entity.name == "customer" else _REFERENCE_KINDS
    values = tuple((name, kinds[name]) for name in names if name in kinds)
    if not pairs and not values:
        return None
    is_financial = entity.name in FINANCIAL_ENTITIES
    free = (c.name for c in entity.columns if c.personal == "sensitive" or (c.personal != "none" and c.kind == "json"))
    return PersonalTable(
        entity.name, (), tuple(pairs), values, personal, (*entity.keys, "returned_order_id"),
        "anonymise" if is_financial else "remove", tuple(free),
    )  # fmt: skip


def publication_tables() -> list[PersonalTable]:
    """Every published table that holds personal data, in the order of `published_tables`."""
    return [table for one in published_tables() if (table := _published(one)) is not None]


def _published(table: PublishedTable) -> PersonalTable | None:
    personal = tuple(column.name for column in table.columns if column.personal != "none")
    if not personal:
        return None
    names = {column.name for column in table.columns}
    ids = tuple(name for name in personal if name.endswith("customer_id") or name in ("successor_id", "unit_id"))
    pairs = tuple(pair for pair in _PAIRS if set(pair) <= names)
    is_financial = table.full_name in FINANCIAL_TABLES
    kept = tuple(name for name in personal if name.endswith("order_id") or name == "order_line_id")
    return PersonalTable(
        table.full_name, ids, pairs, (), personal, kept if is_financial else (),
        "anonymise" if is_financial else "remove",
    )  # fmt: skip

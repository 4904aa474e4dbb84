"""Who a request is about: from an id, a record, or references to one person and all that is theirs alone.

What belongs here: looking people up in the current publication, landing and the registry. What does not:
changing anything.

A value is a person's own when no record of anybody else ever carried it. A shared address, a family's phone,
the e-mail of a couple stay with those who live on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestration import landed, publish, registry, suppression, warehouse
from orchestration.contracts.entities import ENTITIES
from orchestration.contracts.loader import did_you_mean
from orchestration.contracts.subject import Subject
from orchestration.errors import UsageError
from orchestration.identity import RECORD_CUSTOMERS
from orchestration.settings import Workspace
from orchestration.suppression import KEY_SQL, Kind
from orchestration.warehouse import Connection, literal, quote

ERASED = "erased"
#: Columns of a customer record whose text, when nobody else carries it, is looked for anywhere.
_TEXTS = ("email", "phone", "phone_other", "card_number", "national_number", "address_line")
_KINDS: dict[str, Kind] = {"email": "email", "phone": "phone", "phone_other": "phone", "card_number": "card"}
_REFERENCES: dict[str, Kind] = {
    "ref_email": "email", "ref_phone": "phone", "ref_card": "card", "ref_cookie": "cookie",
}  # fmt: skip
#: A text as `rewriting.folded` gives it, its words divided by one space.
_FOLDED = "coalesce(trim(regexp_replace(lower(strip_accents({0})), '[^a-z0-9]+', ' ', 'g')), '')"
#: Shorter texts would be found everywhere.
_SHORTEST = 6


@dataclass(frozen=True)
class Person:
    """One person: the living customer id (None where no run has seen the record yet), and all that is theirs."""

    customer_id: str | None
    subject: Subject


@contextmanager
def published(workspace: Workspace) -> Iterator[Connection]:
    """A connection on the current publication, attached as `rcu`; empty schemas where nothing is published."""
    connection = warehouse.connect()
    try:
        current = publish.current(workspace)
        if current is not None:
            warehouse.attach(connection, current.database, "rcu", read_only=True)
        yield connection
    finally:
        connection.close()


def find_person(workspace: Workspace, what: Sequence[str]) -> Person:
    """The person that a customer id, an e-mail address, or a source and a record id stand for.

    Raises UsageError for somebody unknown, erased before, or not told apart from others.
    """
    with published(workspace) as connection:
        has_publication = publish.current(workspace) is not None
        if len(what) == 2:
            source, record_id = what
            rows = []
            if has_publication:
                rows = connection.execute(
                    "select customer_id from rcu.customer_records where source = ? and record_id = ?",
                    [source, record_id],
                ).fetchall()
            if rows:
                return Person(rows[0][0], subject_of(connection, workspace, [rows[0][0]]))
            known = {path.name.removeprefix("source=") for path in (workspace.landing / "customer").glob("source=*")}
            if source not in known:
                raise UsageError(f'no source "{source}" ever delivered a person{did_you_mean(source, known)}')
            if not _has_landed(connection, workspace, source, record_id):
                raise UsageError(
                    f'no record "{record_id}" of source "{source}" was ever delivered; check both, or give a customer id'
                )
            return Person(None, subject_of(connection, workspace, [], extra={(source, record_id)}))
        if len(what) != 1:
            raise UsageError("give a customer id, an e-mail address, or a source and a record id")
        if not has_publication:
            raise UsageError("nothing is published yet, so no customer id is known; give a source and a record id")
        found = _customers_for(connection, what[0])
        if found == [ERASED]:
            raise UsageError(f"{what[0]} was erased: nothing is held; `rcu requests` shows when")
        if not found:
            raise UsageError(f'nobody is known as "{what[0]}"; give a customer id, or a source and a record id')
        if len(found) > 1:
            raise UsageError(
                f"{len(found)} customers carry that value ({', '.join(found[:5])}); give the customer id of the one meant"
            )
        return Person(found[0], subject_of(connection, workspace, found))


def _customers_for(connection: Connection, text: str) -> list[str]:
    if "@" in text:
        return [
            row[0]
            for row in connection.execute(
                "select distinct customer_id from rcu.identifiers where type = 'email' and lower(value) = ? "
                "order by customer_id",
                [suppression.email_key(text)],
            ).fetchall()
        ]
    rows = connection.execute(
        "select distinct current_customer_id from rcu.customer_id_history where customer_id = $id "
        "union select customer_id from rcu.customers where customer_id = $id order by 1",
        {"id": text},
    ).fetchall()
    found = [row[0] for row in rows if row[0]]
    if rows and not found:
        raise UsageError(f"{text}: none of its records is left; name a source and a record id that it had")
    return found


def customers_of_references(connection: Connection, row: dict[str, str | None]) -> list[str]:
    """The customers that the references of a request lead to; the first kind that finds somebody decides.

    `connection` is on the current publication. A name that goes with the request tells sharers apart.
    """
    found: list[str] = []
    if row.get("ref_account"):
        found = _column(
            connection, "select distinct customer_id from rcu.customer_records where source = ? and record_id = ?",
            [row.get("ref_account_source"), row.get("ref_account")],
        )  # fmt: skip
        if row.get("ref_account_source") == "rcu":
            found = [one for one in _customers_for(connection, str(row["ref_account"])) if one != ERASED]
    for column, kind in _REFERENCES.items():
        if found or not row.get(column):
            continue
        key = suppression.value_key(kind, str(row[column]))
        test = KEY_SQL[kind].format("value")
        found = _column(
            connection,
            f"select distinct customer_id from rcu.identifiers where type = {literal(kind)} and {test} = ? order by 1",
            [key],
        )
    name = str(row.get("ref_last_name") or "").strip()
    if len(found) > 1 and name:
        first = str(row.get("ref_first_name") or "").strip()
        agreed = _column(
            connection,
            "select customer_id from rcu.customers where customer_id in (select unnest(?::varchar[])) "
            "and lower(strip_accents(last_name)) = lower(strip_accents(?)) "
            "and (? = '' or lower(strip_accents(first_name)) = lower(strip_accents(?))) order by 1",
            [found, name, first, first],
        )
        found = agreed or found
    return found


def _column(connection: Connection, query: str, values: list[object]) -> list[str]:
    return [row[0] for row in connection.execute(query, values).fetchall()]


def _has_landed(connection: Connection, workspace: Workspace, source: str, record_id: str) -> bool:
    files = landing_files(workspace, "customer", source)
    if not files:
        return False
    return (
        connection.execute(
            f"select 1 from {scan(workspace, 'customer', files)} where source = ? and record_id = ? limit 1",
            [source, record_id],
        ).fetchone()
        is not None
    )


def landing_files(workspace: Workspace, entity: str, source: str = "*") -> list[Path]:
    return landed.files(workspace, ENTITIES[entity], source)


def scan(workspace: Workspace, entity: str, files: Iterable[Path]) -> str:
    return landed.rows(workspace, ENTITIES[entity], files)


# --- all that is theirs ------------------------------------------------------------------------


def subject_of(
    connection: Connection, workspace: Workspace, customers: list[str], extra: set[tuple[str, str]] | None = None
) -> Subject:
    """Everything by which some customers can be found anywhere; `connection` is on the current publication."""
    has_publication = publish.current(workspace) is not None and bool(customers)
    ids: set[str] = set(customers)
    if has_publication:
        ids |= set(
            _column(
                connection,
                "select distinct customer_id from rcu.customer_id_history "
                "where current_customer_id in (select unnest(?::varchar[]))",
                [customers],
            )
        )
    records = _records(connection, workspace, ids, has_publication) | (extra or set())
    _write_pairs(connection, "p_records", records)
    orders: set[tuple[str, str]] = set()
    events: set[tuple[str, str]] = set()
    if has_publication:
        listed = [sorted(ids)]
        orders = set(
            connection.execute(
                "select source, source_order_id from rcu.marts.orders where customer_id in (select unnest(?::varchar[]))",
                listed,
            ).fetchall()
        )
        events = {
            (source, event_id.removeprefix(f"{source}:"))
            for source, event_id in connection.execute(
                "select source, event_id from rcu.marts.events where customer_id in (select unnest(?::varchar[]))",
                listed,
            ).fetchall()
        }
    _write_pairs(connection, "p_orders", orders)
    _write_pairs(connection, "p_events", events)
    keys, texts = _own_values(connection, workspace)
    if has_publication:
        for kind, value in connection.execute(
            "select type, value from rcu.identifiers where type in ('email', 'phone', 'card', 'cookie') "
            "group by type, value having bool_and(customer_id in (select unnest(?::varchar[]))) order by all",
            [sorted(ids)],
        ).fetchall():
            key = suppression.value_key(kind, value)
            if key and not _is_carried_by_others(connection, kind, key):
                keys.setdefault(kind, set()).add(key)
                texts.add(value)
    texts |= {form for key in keys.get("phone", ()) for form in (f"0{key}", f"+33{key}", f"33{key}")}
    names, spelled = _own_names(connection, workspace, sorted(ids) if has_publication else [])
    texts |= spelled
    return Subject(
        frozenset(ids), frozenset(records), {kind: frozenset(values) for kind, values in sorted(keys.items())},
        frozenset(text for text in texts if len(text.strip()) >= _SHORTEST), frozenset(orders), frozenset(events), names,
    )  # fmt: skip


def _records(
    connection: Connection, workspace: Workspace, ids: set[str], has_publication: bool
) -> set[tuple[str, str]]:
    """The records that are theirs now, and those that were theirs last before their source deleted them."""
    if not ids:
        return set()
    found: set[tuple[str, str]] = set()
    if has_publication:
        found = set(
            connection.execute(
                "select source, record_id from rcu.customer_records where customer_id in (select unnest(?::varchar[]))",
                [sorted(ids)],
            ).fetchall()
        )
    past = registry.rows(workspace, RECORD_CUSTOMERS)
    return found | set(
        connection.execute(
            f"select source, record_id from (select * from ({past}) where customer_id is not null "
            "qualify row_number() over (partition by source, record_id order by as_of_on desc, version desc) = 1) "
            "where customer_id in (select unnest(?::varchar[]))",
            [sorted(ids)],
        ).fetchall()
    )


def _write_pairs(connection: Connection, name: str, pairs: set[tuple[str, str]]) -> None:
    listed = sorted(pairs)
    connection.execute(f"create or replace temp table {name} (source varchar, key varchar)")
    connection.execute(
        f"insert into {name} select unnest(?::varchar[]), unnest(?::varchar[])",
        [[source for source, _ in listed], [key for _, key in listed]],
    )


def _own_values(connection: Connection, workspace: Workspace) -> tuple[dict[str, set[str]], set[str]]:
    """Keys by kind, and texts as written, that the loaded person alone carries in landing."""
    parts = []
    files = landing_files(workspace, "customer")
    mine = "(source, record_id) in (select (source, key) from p_records)"
    if files:
        for column in _TEXTS:
            kind = _KINDS.get(column)
            key = KEY_SQL[kind].format(quote(column)) if kind else f"nullif(lower(trim({quote(column)})), '')"
            parts.append(
                f"select {literal(kind or column)} as kind, {key} as key, {quote(column)} as text, {mine} as is_mine "
                f"from {scan(workspace, 'customer', files)} where {key} is not null"
            )
    for entity in ("order", "order_line", "event", "consent", "privacy_request"):
        files = landing_files(workspace, entity)
        if not files:
            continue
        attached = "(ref_account_source, ref_account) in (select (source, key) from p_records)"
        # A fact that names nobody's account says nothing of who else carries its values.
        others = "ref_account is not null"
        if entity in ("order", "order_line"):
            attached += " or (source, order_id) in (select (source, key) from p_orders)"
        if entity == "event":
            attached += " or (source, row_key) in (select (source, key) from p_events)"
        for column, kind in _REFERENCES.items():
            key = KEY_SQL[kind].format(quote(column))
            parts.append(
                f"select {literal(kind)} as kind, {key} as key, {quote(column)} as text, "
                f"coalesce({attached}, false) as is_mine from {scan(workspace, entity, files)} "
                f"where {key} is not null and (coalesce({attached}, false) or {others})"
            )
    parts.append("select '' as kind, '' as key, '' as text, false as is_mine where false")
    connection.execute(f"create or replace temp table p_values as {' union all '.join(parts)}")
    rows = connection.execute(
        "select kind, key, list(distinct text order by text) from p_values group by kind, key "
        "having bool_and(is_mine) order by kind, key"
    ).fetchall()
    keys: dict[str, set[str]] = {}
    texts: set[str] = set()
    for kind, key, written in rows:
        if kind in ("email", "phone", "card", "cookie"):
            keys.setdefault(kind, set()).add(key)
        texts |= {re.sub(r"\s+", " ", text).strip() for text in written} | {text.strip() for text in written}
    return keys, texts


def _own_names(
    connection: Connection, workspace: Workspace, ids: list[str]
) -> tuple[frozenset[tuple[str, ...]], set[str]]:
    """What of their names tells the loaded person alone: (`Subject.names`, full names as written).

    A full name that no record of anybody else carries; beside a postal code or an address, one that others carry.
    """
    parts = ["select '' as first, '' as last, '' as first_given, '' as last_given, '' as code, '' as line, false as is_mine "
             "where false"]  # fmt: skip
    columns = ", ".join(
        [f"{_FOLDED.format(name)} as {short}" for name, short in (("first_name", "first"), ("last_name", "last"))]
        + ["first_name as first_given", "last_name as last_given"]
        + [f"{_FOLDED.format(name)} as {short}" for name, short in (("postal_code", "code"), ("address_line", "line"))]
    )
    files = landing_files(workspace, "customer")
    if files:
        mine = "(source, record_id) in (select (source, key) from p_records)"
        parts.append(f"select {columns}, {mine} as is_mine from {scan(workspace, 'customer', files)}")
    if ids:
        listed = ", ".join(map(literal, ids))
        parts.append(f"select {columns}, customer_id in ({listed}) as is_mine from rcu.customers")
    connection.execute(f"create or replace temp table p_names as select distinct * from ({' union all '.join(parts)})")
    mine = "is_mine and length(first) > 1 and length(last) > 1"
    alone = "first || ' ' || last not in (select first || ' ' || last from p_names where not is_mine and first <> '')"
    names: set[tuple[str, ...]] = set()
    spelled: set[str] = set()
    for first, last, first_given, last_given in connection.execute(
        "select first, last, trim(first_given), trim(last_given) from p_names as own "
        f"where {mine} and {alone} and not exists (select 1 from p_names as others where not others.is_mine "
        # a street may bear the name
        "and (contains(others.line, own.first || ' ' || own.last) or contains(others.line, own.last || ' ' || own.first))) "
        "order by all"
    ).fetchall():
        names |= {(f"{first} {last}",), (f"{last} {first}",)}
        spelled |= {f"{first_given} {last_given}", f"{last_given} {first_given}"}
    for place in ("code", "line"):
        names |= set(
            connection.execute(
                f"select last, first, {place} from p_names where {mine} and length({place}) > 3 except "
                f"select last, first, {place} from p_names where not is_mine order by all"
            ).fetchall()
        )
    return frozenset(names), spelled


def _is_carried_by_others(connection: Connection, kind: str, key: str) -> bool:
    row = connection.execute(
        "select 1 from p_values where kind = ? and key = ? and not is_mine limit 1", [kind, key]
    ).fetchone()
    return row is not None

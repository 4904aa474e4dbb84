"""Objections: the suppression list, and the customers that it holds for one build.

What belongs here: putting somebody on the list, and finding who in a build is on it. What does not: the list
itself (`orchestration.suppression`), and what contactability does with it (dbt).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import pyarrow as pa

from orchestration import changes, remade, suppression
from orchestration.contracts.subject import Subject
from orchestration.settings import Workspace
from orchestration.suppression import KEY_SQL, Kind
from orchestration.warehouse import Connection, literal, quote

_CONTACTS: dict[str, Kind] = {
    "email": "email", "email_given": "email", "phone_mobile": "phone", "phone_landline": "phone",
    "phone_other": "phone",
}  # fmt: skip


_KINDS: tuple[Kind, ...] = ("record", *suppression.CONTACT_KINDS)

_SUPPRESSED = "control.suppressed_customers"
_READ = ("identity.record_customers", "intermediate.int_customer_records")
_ANSWERS = "control.objection_answers"
_MADE_FROM = "control.suppressed_from"


def object_to_contact(
    workspace: Workspace, subject: Subject, named: Mapping[Kind, set[str]] | None = None, *,
    since_on: dt.date, request_id: str,
) -> int:  # fmt: skip
    """Put a person on the suppression list: records, own contact values, and the values that a request names.

    A value that a request names binds everybody who holds it. Returns how many tokens are new.
    """
    values: dict[Kind, set[str]] = {
        "record": {suppression.record_key(source, record) for source, record in subject.records}
    }
    for kind in suppression.CONTACT_KINDS:
        values[kind] = set(subject.keys.get(kind, ())) | set((named or {}).get(kind, ()))
    return suppression.add_objections(workspace, values, since_on=since_on, request_id=request_id)


def write_suppressed(connection: Connection, workspace: Workspace) -> int:
    """Write `control.suppressed_customers` (customer_id, since_on): who may not be contacted, whatever the date.

    To be called once identity has attached records. Returns how many customers it holds.
    """
    connection.execute("create schema if not exists control")
    changes.prepare(connection)
    if not suppression.has_objections(workspace):
        for made in (_ANSWERS, _MADE_FROM):
            connection.execute(f"drop table if exists {made}")
        remade.put(connection, _SUPPRESSED, "select ''::varchar as customer_id, null::date as since_on where false")
        return 0
    made_from = _made_from(connection, workspace)
    connection.execute(f"create table if not exists {_MADE_FROM} (told varchar)")
    if made_from is not None and connection.execute(f"from {_MADE_FROM}").fetchall() == [(made_from,)]:
        suppression.objected_among(workspace, "record", [])  # refuses a list that can no longer be read
        return _count(connection)
    connection.execute(f"delete from {_MADE_FROM}")
    _lay_out_keys(connection)
    _ask(connection, workspace)
    remade.put(
        connection,
        _SUPPRESSED,
        f"select held.customer_id, min(answers.since_on) as since_on from temp.held_keys as held "
        f"inner join {_ANSWERS} as answers on held.kind = answers.kind and md5_number(held.key) = answers.digest "
        "where answers.since_on is not null group by held.customer_id order by held.customer_id",
    )
    connection.execute("drop table temp.held_keys")
    connection.execute(f"insert into {_MADE_FROM} values (?)", [made_from])
    return _count(connection)


def _made_from(connection: Connection, workspace: Workspace) -> str | None:
    """What the table follows from; None where it is not noted what one of the tables holds."""
    held = [changes.known_contents(connection, place) for place in _READ]
    if None in held:
        return None
    return "\n".join([suppression.state_of_objections(workspace), *map(str, held)])


def _count(connection: Connection) -> int:
    return int(connection.execute(f"select count(*) from {_SUPPRESSED}").fetchall()[0][0])


def _lay_out_keys(connection: Connection) -> None:
    """temp.held_keys (kind, key, customer_id): what of each customer could be on the list."""
    columns = {row[0] for row in connection.execute("describe intermediate.int_customer_records").fetchall()}
    parts = [
        f"select 'record' as kind, source || {literal(suppression.record_key('', ''))} || record_id as key, customer_id "
        "from identity.record_customers"
    ]
    parts += [
        f"select {literal(kind)}, {KEY_SQL[kind].format('records.' + quote(column))}, links.customer_id "
        "from intermediate.int_customer_records as records inner join identity.record_customers as links "
        "on records.source = links.source and records.record_id = links.record_id "
        f"where records.{quote(column)} is not null"
        for column, kind in _CONTACTS.items()
        if column in columns
    ]
    connection.execute(
        f"create or replace temp table held_keys as select * from ({' union all '.join(parts)}) where key is not null"
    )


def _ask(connection: Connection, workspace: Workspace) -> None:
    """Look up the keys that this build has not looked up in this very list before: each costs a keyed hash.

    The build keeps the answers: `since_on` is null for who is not on the list.
    """
    state = suppression.state_of_objections(workspace)
    connection.execute(
        f"create table if not exists {_ANSWERS} (state varchar, kind varchar, digest uhugeint, since_on date)"
    )
    connection.execute(f"delete from {_ANSWERS} where state <> ?", [state])
    for kind in _KINDS:
        asked = connection.execute(
            f"select distinct key from temp.held_keys as held where kind = {literal(kind)} and md5_number(key) not in "
            f"(select digest from {_ANSWERS} where kind = {literal(kind)}) order by key"
        ).fetchall()
        keys = [key for (key,) in asked]
        # With no key at all as well: that refuses a list which cannot be read.
        objected = suppression.objected_among(workspace, kind, keys)
        answers = pa.table(
            {
                "key": pa.array(keys, pa.string()),
                "since_on": pa.array([objected.get(key) for key in keys], pa.date32()),
            }
        )
        connection.register("answers_now", answers)
        connection.execute(
            f"insert into {_ANSWERS} select ?, ?, md5_number(key), since_on from answers_now", [state, kind]
        )
        connection.unregister("answers_now")

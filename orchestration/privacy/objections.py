"""Objections: the suppression list, and the customers that it holds for one build.

What belongs here: putting somebody on the list, and finding who in a build is on it. What does not: the list
itself (`orchestration.suppression`), and what contactability does with it (dbt).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import pyarrow as pa

from orchestration import suppression
from orchestration.contracts.subject import Subject
from orchestration.settings import Workspace
from orchestration.suppression import KEY_SQL, Kind
from orchestration.warehouse import Connection, quote

_CONTACTS: dict[str, Kind] = {
    "email": "email", "email_given": "email", "phone_mobile": "phone", "phone_landline": "phone",
    "phone_other": "phone",
}  # fmt: skip


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
    connection.execute("create or replace table control.suppressed_customers (customer_id varchar, since_on date)")
    if not suppression.has_objections(workspace):
        return 0
    found: dict[str, dt.date] = {}

    def note(customer_id: str, since_on: dt.date) -> None:
        found[customer_id] = min(found.get(customer_id, since_on), since_on)

    records = connection.execute(
        "select source, record_id, customer_id from identity.record_customers order by source, record_id"
    ).fetchall()
    by_key = {suppression.record_key(source, record): customer for source, record, customer in records}
    for key, since_on in suppression.objected_among(workspace, "record", by_key).items():
        note(by_key[key], since_on)
    columns = {row[0] for row in connection.execute("describe intermediate.int_customer_records").fetchall()}
    for kind in suppression.CONTACT_KINDS:
        parts = [
            f"select {KEY_SQL[kind].format('records.' + quote(column))} as key, links.customer_id "
            "from intermediate.int_customer_records as records inner join identity.record_customers as links "
            "on records.source = links.source and records.record_id = links.record_id"
            for column, its_kind in _CONTACTS.items()
            if its_kind == kind and column in columns
        ]
        rows = connection.execute(
            f"select distinct key, customer_id from ({' union all '.join(parts)}) where key is not null order by all"
        ).fetchall()
        objected = suppression.objected_among(workspace, kind, sorted({key for key, _ in rows}))
        for key, customer_id in rows:
            if key in objected:
                note(customer_id, objected[key])
    if found:
        listed = sorted(found.items())
        table = pa.table(
            {
                "customer_id": pa.array([c for c, _ in listed], pa.string()),
                "since_on": pa.array([d for _, d in listed], pa.date32()),
            }
        )
        connection.register("suppressed_now", table)
        connection.execute("insert into control.suppressed_customers select * from suppressed_now")
        connection.unregister("suppressed_now")
    return len(found)

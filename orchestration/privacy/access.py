"""The answer to an access request: everything held about a person, with where it came from.

What belongs here: reading. What does not: finding the person (`people`), the page (`access_page`). It walks the same
plan as an erasure (`contracts.subject`), so both cover the same columns.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from orchestration import ingest, publish, registry, segments, suppression, warehouse
from orchestration.contracts.company import Company
from orchestration.contracts.entities import ENTITIES
from orchestration.contracts.published_tables import published_tables
from orchestration.contracts.retention import Retention
from orchestration.contracts.subject import landing_tables, publication_tables
from orchestration.identity import RECORD_CUSTOMERS, STEWARD_DECISIONS
from orchestration.privacy import ledger, strays
from orchestration.privacy.people import Person, published
from orchestration.settings import Workspace
from orchestration.warehouse import literal

#: What the person gave us, or what they did: the part that goes to them in a form a machine reads (article 20).
PORTABLE = ("customer", "order", "order_line", "consent", "event")


def access_person(workspace: Workspace, company: Company, retention: Retention, person: Person) -> dict[str, Any]:
    """Everything held about a person, as JSON values."""
    subject = person.subject
    connection = warehouse.connect()
    try:
        delivered = ingest.held(connection, workspace, subject)
    finally:
        connection.close()
    with published(workspace) as connection:
        current = publish.current(workspace)
        shown = publish.held(connection, subject) if current is not None else {}
        histories = _histories(connection, workspace, sorted(subject.customer_ids), sorted(subject.records))
    if listed := segments.listed_in(workspace, subject):
        histories["static_lists"] = listed
    told = {
        "controller": {
            "name": retention.controller.name or company.name,
            "contact": retention.controller.contact,
        },
        "customer_id": person.customer_id,
        "known_as": sorted(subject.customer_ids),
        "records": [{"source": source, "record_id": record} for source, record in sorted(subject.records)],
        "as_of_on": current.as_of_on if current is not None else None,
        "delivered": delivered,
        "published": shown,
        "history": histories,
        "on_the_suppression_list": _is_suppressed(workspace, person),
        "found_elsewhere": [path.relative_to(workspace.root).as_posix() for path in strays.holding(workspace, subject)],
        "requests": [
            vars(request) for request in ledger.requests(workspace) if request.customer_id in subject.customer_ids
        ],
        "purposes": [purpose.model_dump() for purpose in retention.purposes],
        "classes": classes(),
    }
    found: dict[str, Any] = json.loads(json.dumps(told, default=str))
    return found


def classes() -> dict[str, dict[str, str]]:
    """The class of personal data of each column that an answer covers, by table."""
    described = {table.full_name: {c.name: c.personal for c in table.columns} for table in published_tables()}
    found = {
        table.name: {name: described[table.name][name] for name in table.personal} for table in publication_tables()
    }
    for table in landing_tables():
        entity = ENTITIES[table.name]
        found[f"landing.{entity.plural}"] = {c.name: c.personal for c in entity.columns if c.name in table.personal}
    return found


def _histories(
    connection: warehouse.Connection, workspace: Workspace, ids: list[str], records: list[tuple[str, str]]
) -> dict[str, list[dict[str, Any]]]:
    from orchestration import activation

    told: dict[str, list[dict[str, Any]]] = {}
    listed = ", ".join(map(literal, ids)) or "''"
    for table in segments.CUSTOMER_TABLES:
        told[table.name] = _rows(
            connection,
            f"select * from ({registry.rows(workspace, table)}) where customer_id in ({listed}) order by all",
        )
    pairs = ", ".join(f"({literal(source)}, {literal(record)})" for source, record in records) or "('', '')"
    told[RECORD_CUSTOMERS.name] = _rows(
        connection,
        f"select * from ({registry.rows(workspace, RECORD_CUSTOMERS)}) where (source, record_id) in ({pairs}) order by all",
    )
    told[STEWARD_DECISIONS.name] = _rows(
        connection,
        f"select * from ({registry.rows(workspace, STEWARD_DECISIONS)}) where (left_source, left_record_id) in ({pairs}) "
        f"or (right_source, right_record_id) in ({pairs}) order by all",
    )
    told["delivered_to"] = _rows(
        connection,
        "select distinct d.activation, d.channel, d.purpose, d.destination, d.version, d.ended_at, m.identity as sent "
        f"from ({registry.rows(workspace, activation.MEMBERS)}) as m "
        f"inner join ({registry.rows(workspace, activation.DELIVERIES)}) as d on m.attempt = d.attempt "
        f"where m.customer_id in ({listed}) order by all",
    )
    earlier = activation.received(workspace, ids)
    told["delivered_to_before"] = [{"activation": name, "lists": "no longer kept"} for name in sorted(earlier)]
    return {name: rows for name, rows in told.items() if rows}


def _rows(connection: warehouse.Connection, query: str) -> list[dict[str, Any]]:
    result = connection.execute(query)
    names = [item[0] for item in result.description or []]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def _is_suppressed(workspace: Workspace, person: Person) -> bool:
    records = {suppression.record_key(source, record) for source, record in person.subject.records}
    return bool(suppression.objected_among(workspace, "record", sorted(records))) or any(
        suppression.objected_among(workspace, kind, sorted(person.subject.keys.get(kind, ())))
        for kind in suppression.CONTACT_KINDS
    )


def portable(told: Mapping[str, Any]) -> dict[str, Any]:
    """The part of an answer that the person gave or caused, for them to take elsewhere."""
    return {
        "customer_id": told["customer_id"],
        "delivered": {name: rows for name, rows in told["delivered"].items() if name in PORTABLE},
    }

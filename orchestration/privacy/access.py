"""The answer to an access request: everything held about a person, with where it came from.

What belongs here: reading, and the two forms of the answer (JSON, a page). What does not: finding the person
(`people`). It walks the same plan as an erasure (`contracts.subject`), so both cover the same columns.
"""

from __future__ import annotations

import datetime as dt
import html
import json
from collections.abc import Mapping
from typing import Any

from orchestration import ingest, publish, registry, suppression, warehouse
from orchestration.contracts.company import Company
from orchestration.contracts.entities import ENTITIES
from orchestration.contracts.published_tables import published_tables
from orchestration.contracts.retention import Retention
from orchestration.contracts.subject import landing_tables, publication_tables
from orchestration.identity import RECORD_CUSTOMERS
from orchestration.privacy import ledger
from orchestration.privacy.people import Person, published
from orchestration.segments import CUSTOMER_TABLES
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
    told: dict[str, list[dict[str, Any]]] = {}
    listed = ", ".join(map(literal, ids)) or "''"
    for table in CUSTOMER_TABLES:
        told[table.name] = _rows(
            connection,
            f"select * from ({registry.rows(workspace, table)}) where customer_id in ({listed}) order by all",
        )
    pairs = ", ".join(f"({literal(source)}, {literal(record)})" for source, record in records) or "('', '')"
    told[RECORD_CUSTOMERS.name] = _rows(
        connection,
        f"select * from ({registry.rows(workspace, RECORD_CUSTOMERS)}) where (source, record_id) in ({pairs}) order by all",
    )
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


_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2rem}table{border-collapse:collapse;margin:.5rem 0 1.5rem}"
    "th,td{border:1px solid #ccc;padding:.25rem .5rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}"
    "th{background:#f3f3f3;font-weight:600}.origin{color:#666;font-size:.9em}@media print{body{margin:0}}"
)


def access_html(told: Mapping[str, Any], *, on: dt.date) -> str:
    """The same as a page that opens anywhere: no script, nothing loaded."""
    out = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>What is held about you</title>"
        f"<style>{_STYLE}</style></head><body>",
        "<h1>What is held about you</h1>",
        f"<p>{_text(told['controller']['name'])}, {on}. Questions, corrections, objection or erasure: "
        f"{_text(told['controller']['contact'] or 'the address you wrote to')}.</p>",
        "<p>You are known as " + ", ".join(f"<code>{_text(one)}</code>" for one in told["known_as"] or ["no customer yet"])
        + f", from {len(told['records'])} records. "
        + ("You are on the list of those who are not contacted." if told["on_the_suppression_list"] else "") + "</p>",
    ]  # fmt: skip
    if told["purposes"]:
        out.append("<h2>Why</h2>" + _table(told["purposes"]))
    golden = told["published"].get("rcu.customers")
    if golden:
        out.append("<h2>In short</h2>" + _pairs(golden[0]))
    for title, part in (("What was delivered, by whom and when", "delivered"), ("What was made of it", "published"),
                        ("What was noted over time", "history")):  # fmt: skip
        if told[part]:
            out.append(f"<h2>{title}</h2>")
        for name, rows in told[part].items():
            if name != "rcu.customers":
                out.append(f"<h3>{_text(name)} ({len(rows)})</h3>" + _table(rows))
    if told["requests"]:
        out.append("<h2>Your requests</h2>" + _table(told["requests"]))
    return "\n".join([*out, "</body></html>", ""])


def _text(value: object) -> str:
    return html.escape("" if value is None else str(value))


def _pairs(row: Mapping[str, object]) -> str:
    cells = "".join(
        f"<tr><th>{_text(name)}</th><td>{_text(value)}</td></tr>" for name, value in row.items() if value is not None
    )
    return f"<table>{cells}</table>"


def _table(rows: list[dict[str, object]]) -> str:
    names = [name for name in rows[0] if any(row.get(name) not in (None, "") for row in rows)]
    head = "".join(f"<th>{_text(name)}</th>" for name in names)
    body = "".join("<tr>" + "".join(f"<td>{_text(row.get(name))}</td>" for name in names) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"

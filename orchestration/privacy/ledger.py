"""The ledger of requests: what was asked, when an answer is due, how it ended.

What belongs here: the append-only registry table `privacy_requests` and the state that follows from it. What
does not: answering. No line holds a name, an address or a number: who asked is told by customer id, or by the
source's own request number.

A request is due one month after it was received (GDPR, article 12); `extend` adds two more, once. A line that
comes out of order (an answer before the request) closes nothing: the request stays open.
"""

from __future__ import annotations

import calendar
import datetime as dt
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from orchestration import registry, warehouse
from orchestration.contracts.loader import did_you_mean
from orchestration.errors import UsageError
from orchestration.settings import Workspace
from orchestration.warehouse import Connection

TYPES = ("access", "erasure", "rectification", "objection", "portability")
#: In the order in which they can follow each other at the same instant.
EVENTS = ("received", "waiting", "extended", "answered", "refused")
CLOSING = ("answered", "refused")

REQUESTS = registry.RegistryTable(
    "privacy_requests",
    {
        "request_id": "varchar",
        "request_type": "varchar",
        "event": "varchar",
        "event_on": "date",
        "event_at": "timestamp",
        "customer_id": "varchar",
        "origin": "varchar",
        "done_by": "varchar",
        "note": "varchar",  # JSON: counts, or why it waits
    },
    is_versioned=False,
)


@dataclass(frozen=True)
class Request:
    """One request as it stands. `is_irregular`: its lines are out of order; it counts as open."""

    request_id: str
    request_type: str
    received_on: dt.date
    due_on: dt.date
    state: str  # open, answered, refused
    closed_on: dt.date | None
    customer_id: str | None
    origin: str
    reason: str
    is_irregular: bool = False

    def is_overdue(self, today: dt.date) -> bool:
        return self.state == "open" and self.due_on < today


def due(received_on: dt.date, months: int = 1) -> dt.date:
    """The same day `months` later, or the last day of a month that is shorter."""
    at = received_on.month - 1 + months
    year, month = received_on.year + at // 12, at % 12 + 1
    return dt.date(year, month, min(received_on.day, calendar.monthrange(year, month)[1]))


def open_request(
    workspace: Workspace, request_type: str, *, received_on: dt.date, customer_id: str | None = None,
    origin: str = "command line", request_id: str | None = None, done_by: str = "",
) -> str:  # fmt: skip
    """Enter a request; returns its number. Raises UsageError for a type that does not exist."""
    if request_type not in TYPES:
        raise UsageError(f'"{request_type}" is no kind of request{did_you_mean(request_type, TYPES)}')
    request_id = request_id or f"R{received_on:%Y%m%d}-{uuid.uuid4().hex[:8]}"
    append(workspace, [(request_id, request_type, "received", received_on, customer_id, origin, done_by, {})])
    return request_id


def close(
    workspace: Workspace,
    request_id: str,
    event: str,
    *,
    on: dt.date,
    done_by: str,
    note: Mapping[str, object] | None = None,
) -> Request:
    """Note an answer, a refusal or an extension. Raises UsageError for an unknown or closed request."""
    known = {request.request_id: request for request in requests(workspace)}
    if request_id not in known:
        raise UsageError(
            f'there is no request "{request_id}"{did_you_mean(request_id, known)}; `rcu requests` lists them'
        )
    request = known[request_id]
    if request.state != "open":
        raise UsageError(f"request {request_id} was {request.state} on {request.closed_on} already")
    if event not in EVENTS[1:]:
        raise UsageError(f'"{event}" is no way to end a request; say answered, refused or extended')
    append(
        workspace,
        [(request_id, request.request_type, event, on, request.customer_id, request.origin, done_by, dict(note or {}))],
    )
    return next(one for one in requests(workspace) if one.request_id == request_id)


def require_open(workspace: Workspace, request_id: str) -> Request:
    """The open request of that number. Raises UsageError, before anything is done for one that is not."""
    found = next((one for one in requests(workspace) if one.request_id == request_id), None)
    if found is None or found.state != "open":
        raise UsageError(f'there is no open request "{request_id}"; `rcu requests` lists them')
    return found


Line = tuple[str, str, str, dt.date, str | None, str, str, dict[str, object]]


def append(workspace: Workspace, lines: list[Line]) -> None:
    """Append lines: (request, type, event, day, customer, origin, by, note)."""
    if not lines:
        return
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    told = [
        {
            "request_id": request_id, "request_type": kind, "event": event, "event_on": on, "event_at": now,
            "customer_id": customer_id, "origin": origin, "done_by": by, "note": json.dumps(note, sort_keys=True),
        }
        for request_id, kind, event, on, customer_id, origin, by, note in lines
    ]  # fmt: skip
    schema = pa.schema(
        [(name, {"date": pa.date32(), "timestamp": pa.timestamp("us")}.get(kind, pa.string()))
         for name, kind in REQUESTS.columns.items()]
    )  # fmt: skip
    connection = warehouse.connect()
    try:
        connection.register("lines", pa.Table.from_pylist(told, schema=schema))
        on = max(line[3] for line in lines)
        registry.stage(
            workspace, REQUESTS, connection, "select * from lines",
            as_of_on=on, version=f"{on:%Y%m%d}-0000", run_id="privacy",
        )  # fmt: skip
    finally:
        connection.close()


def requests(workspace: Workspace) -> list[Request]:
    """Every request as it stands now, the one due first at the head."""
    names = list(REQUESTS.columns)
    connection = warehouse.connect()
    try:
        rows = connection.execute(
            f"select {', '.join(names)} from ({registry.rows(workspace, REQUESTS)}) "
            "order by request_id, event_on, event_at, event, note"
        ).fetchall()
    finally:
        connection.close()
    by_id: dict[str, list[dict[str, object]]] = {}
    for row in rows:
        line = dict(zip(names, row, strict=True))
        by_id.setdefault(str(line["request_id"]), []).append(line)
    found = [_state(request_id, lines) for request_id, lines in by_id.items()]
    return sorted(found, key=lambda request: (request.state != "open", request.due_on, request.request_id))


def _state(request_id: str, lines: list[dict[str, object]]) -> Request:
    rank = {event: number for number, event in enumerate(EVENTS)}
    ordered = sorted(lines, key=lambda line: (line["event_on"], rank.get(str(line["event"]), 9), line["event_at"]))  # type: ignore[arg-type,return-value]
    received = [line for line in ordered if line["event"] == "received"]
    first = received[0] if received else ordered[0]
    received_on = first["event_on"]
    assert isinstance(received_on, dt.date)
    months = 1
    state, closed_on, reason = "open", None, ""
    is_irregular = not received or ordered[0]["event"] != "received"
    customer_id = None
    for line in ordered:
        customer_id = line["customer_id"] or customer_id
        event = str(line["event"])
        if event not in EVENTS:
            is_irregular = True
        elif event == "extended":
            months = 3
        elif event == "waiting":
            reason = str(json.loads(str(line["note"] or "{}")).get("why", ""))
        elif event in CLOSING and not is_irregular:
            on = line["event_on"]
            assert isinstance(on, dt.date)
            state, closed_on, reason = event, on, ""
    return Request(
        request_id, str(first["request_type"]), received_on, due(received_on, months), state, closed_on,
        str(customer_id) if customer_id else None, str(first["origin"] or ""),
        "its lines are out of order" if is_irregular else reason, is_irregular,
    )  # fmt: skip


def overdue(workspace: Workspace, today: dt.date) -> list[Request]:
    """Requests still open after the day an answer was due."""
    return [request for request in requests(workspace) if request.is_overdue(today)]


def write_requests(connection: Connection, workspace: Workspace, *, today: dt.date) -> int:
    """Write `audit.privacy_requests` into a build, whatever its as-of date; returns how many are overdue."""
    found = requests(workspace)
    connection.execute("create schema if not exists audit")
    connection.execute(
        "create or replace table audit.privacy_requests (request_id varchar, request_type varchar, received_on date, "
        "due_on date, state varchar, closed_on date, customer_id varchar, origin varchar, reason varchar, "
        "is_overdue boolean)"
    )
    for request in found:
        connection.execute(
            "insert into audit.privacy_requests values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                request.request_id, request.request_type, request.received_on, request.due_on, request.state,
                request.closed_on, request.customer_id, request.origin, request.reason, request.is_overdue(today),
            ],
        )  # fmt: skip
    return sum(request.is_overdue(today) for request in found)

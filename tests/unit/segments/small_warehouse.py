"""A warehouse of a few invented customers, for tests of segments and triggers."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from orchestration.contracts.loader import parse, validate
from orchestration.contracts.segment import Segment, SegmentSet
from orchestration.registry import Commit, commit_version
from orchestration.segments import SegmentsReport, materialise
from orchestration.settings import Workspace
from orchestration.warehouse import Connection, connect

COLUMNS = {
    "customer_id": "varchar", "first_name": "varchar", "city": "varchar", "birth_on": "date", "sex": "varchar",
    "order_count": "integer", "amount_net": "decimal(18,4)", "lifecycle_stage": "varchar", "last_contact_at": "timestamp",
    "first_order_on": "date", "days_since_last_order": "integer", "average_interval_days": "double",
    "churn_risk_band": "varchar", "tags": "varchar", "interests": "varchar", "custom": "varchar",
    "is_suppressed": "boolean", "is_minor": "boolean", "is_contactable_email": "boolean", "is_contactable_sms": "boolean",
    "is_contactable_phone": "boolean", "is_contactable_post": "boolean", "email_freshness": "double",
}  # fmt: skip
EVENTS = (
    "event_id varchar, customer_id varchar, event_type varchar, occurred_at timestamp, occurred_on date, channel varchar, "
    "campaign varchar, product_id varchar, reason varchar, value decimal(18,4), properties varchar"
)
LINES = (
    "order_line_id varchar, order_id varchar, customer_id varchar, ordered_at timestamp, ordered_on date, line_kind varchar, "
    "product_id varchar, category varchar, subcategory varchar, brand varchar, audience varchar, is_product boolean, "
    "quantity decimal(18,4), amount_net decimal(18,4)"
)
ORDERS = (
    "order_id varchar, customer_id varchar, ordered_at timestamp, ordered_on date, channel varchar, store varchar, "
    "is_purchase boolean, purchase_number integer, amount_net decimal(18,4)"
)


class SmallWarehouse:
    """Tables of schema marts that a test fills, and runs over them."""

    def __init__(self, folder: Path) -> None:
        self.workspace = Workspace(folder)
        self.workspace.prepare()
        self.connection: Connection = connect()
        self.connection.execute("set threads = 1")
        self.connection.execute("create schema marts")
        columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
        for table, body in (("customer_360", columns), ("events", EVENTS), ("order_lines", LINES), ("orders", ORDERS)):
            self.connection.execute(f"create table marts.{table} ({body})")

    def customer(self, customer_id: str, **values: Any) -> None:
        """Add a customer, or replace the one of that id."""
        self.connection.execute("delete from marts.customer_360 where customer_id = ?", [customer_id])
        self._insert("customer_360", {"customer_id": customer_id, "is_suppressed": False, **values})

    def forget(self, customer_id: str) -> None:
        self.connection.execute("delete from marts.customer_360 where customer_id = ?", [customer_id])

    def event(self, customer_id: str, event_type: str, occurred_at: str, **values: Any) -> None:
        number = self.rows("select count(*) from marts.events")[0][0]
        told = {
            "event_id": f"e{number}",
            "customer_id": customer_id,
            "event_type": event_type,
            "occurred_at": occurred_at,
        }
        self._insert("events", {"properties": "{}", **told, "occurred_on": occurred_at[:10], **values})

    def order(self, customer_id: str, ordered_on: str, *lines: dict[str, Any], **values: Any) -> str:
        number = self.rows("select count(*) from marts.orders")[0][0]
        order_id = f"o{number}"
        told = {
            "order_id": order_id,
            "customer_id": customer_id,
            "ordered_on": ordered_on,
            "ordered_at": f"{ordered_on} 10:00:00",
        }
        self._insert("orders", {"is_purchase": True, "channel": "web", **told, **values})
        for index, line in enumerate(lines or ({},)):
            given = {"line_kind": "sale", "is_product": True, "quantity": 1, "amount_net": 10, **line}
            self._insert("order_lines", {"order_line_id": f"{order_id}-{index}", **told, **given})
        return order_id

    def _insert(self, table: str, values: dict[str, Any]) -> None:
        names, marks = ", ".join(values), ", ".join("?" for _ in values)
        self.connection.execute(f"insert into marts.{table} ({names}) values ({marks})", list(values.values()))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(query).fetchall()

    def run(
        self, definitions: SegmentSet, day: dt.date, *, number: int = 1, is_forward: bool = True, is_committed: bool = True,
        only: set[str] | None = None,
    ) -> SegmentsReport:  # fmt: skip
        version = f"{day:%Y%m%d}-{number:04d}"
        report = materialise(
            self.connection, self.workspace, definitions, as_of_on=day, version=version, run_id=f"run {version}",
            is_forward=is_forward, only=only,
        )  # fmt: skip
        if is_forward and is_committed:
            self.commit(day, number)
        return report

    def commit(self, day: dt.date, number: int = 1) -> None:
        commit_version(self.workspace, Commit(f"{day:%Y%m%d}-{number:04d}", day, "run", "", ""))

    def members(self, segment: str) -> list[str]:
        return [
            row[0]
            for row in self.rows(f"select customer_id from segments.members where segment = '{segment}' order by 1")
        ]


def segment(name: str, where: str, **more: Any) -> Segment:
    """A segment from the YAML of its rule."""
    lines = "\n".join(f"{key}: {value}" for key, value in more.items())
    text = f"segment: {name}\nlabel: {{en: {name}, fr: {name}}}\nobjective: test\nwhere: {where}\n{lines}\n"
    return validate(parse(text, f"{name}.yml"), Segment)


def segments(*some: Segment, lists: dict[str, Path] | None = None) -> SegmentSet:
    return SegmentSet(tuple(some), lists or {})

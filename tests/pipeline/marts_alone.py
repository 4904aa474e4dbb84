"""The models of facts and marts on tables that a test writes down: no files, no ingest, no identity.

dbt compiles the project once; the SQL then runs as it is in an in-memory database, a second or so per shop.
Each `source:account` that a test names is a customer of the same name. What customers' own tables hold
beyond that (consents, contact points) is empty unless the test fills it.
"""

from __future__ import annotations

import datetime as dt
import functools
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from orchestration.contracts.company import Company
from orchestration.contracts.entities import (
    ENTITIES,
    LANDING_COLUMNS,
    SQL_TYPES,
    VERSION_COLUMNS,
)
from orchestration.contracts.plans import Plans
from orchestration.contracts.value import Value
from tests.pipeline.workspaces import PROJECT, environment

Row = Mapping[str, Any]

#: A plan file as short as it can be: everybody's plan is told by their stage.
PLANS: dict[str, Any] = {
    "plans": [
        {
            "plan": plan,
            "label": {"en": plan, "fr": plan},
            "objective": {"en": plan, "fr": plan},
            "offer": {"en": plan, "fr": plan},
            "channels": ["email"],
            "every_days": 7,
            "for": [{"stages": stages, "weight": 100, "why": "their stage"}],
        }
        for plan, stages in {
            "welcome": ["prospect"],
            "conversion": ["new", "reactivated"],
            "loyalty": ["regular", "loyal"],
            "retention": ["ambassador"],
            "reactivation": ["at_risk", "abandoner"],
        }.items()
    ]
}

CONTACT = "int_customer_contact"

_SCORES = """
create table scores.customer_scores (
    customer_id varchar, purchase_probability_30d double, purchase_probability_90d double,
    purchase_probability_365d double, expected_orders_365d double, expected_value_365d decimal(18, 4),
    churn_risk_band varchar, model varchar, withheld_reason varchar
);
create table scores.models (
    model varchar, is_kept boolean, fitted_on date, parameters varchar, metrics varchar
);
create table scores.back_tests (
    model varchar, cut_off_on date, horizon_days integer, customers bigint, auc double, brier double,
    predicted_buyers double, actual_buyers bigint, predicted_orders double, actual_orders bigint, season_factor double
);
create table scores.calibration (
    model varchar, cut_off_on date, horizon_days integer, band integer, customers bigint, predicted double,
    actual double
)
"""
_IDENTITY = (
    "create table identity.record_customers (source varchar, record_id varchar, customer_id varchar)",
    "create table intermediate.int_identity_records "
    "(source varchar, record_id varchar, last_name varchar, birth_name varchar, first_name_token varchar)",
)


@functools.cache
def manifest() -> dict[str, Any]:
    """dbt's own account of the project, with each model's SQL compiled; once per process."""
    with tempfile.TemporaryDirectory() as folder:
        project = PROJECT / "dbt_project"
        subprocess.run(
            [str(Path(sys.executable).parent / "dbt"), "--quiet", "compile",
             "--project-dir", str(project), "--profiles-dir", str(project),
             "--target-path", folder, "--log-path", folder],
            check=True, timeout=300, env={**environment(), "RCU_BUILD_FILE": str(Path(folder, "warehouse.duckdb"))},
        )  # fmt: skip
        return json.loads(Path(folder, "manifest.json").read_text(encoding="utf-8"))


def _is_run(node: Mapping[str, Any]) -> bool:
    facts = node["schema"] == "staging" and node["name"] in (
        "stg_orders", "stg_order_lines", "stg_products", "stg_events",
    )  # fmt: skip
    # how customers can be reached is no matter of purchases: a table that says nothing stands in for it
    is_mart = node["schema"] == "marts" and "freshness" not in node["fqn"]
    return facts or is_mart or ("facts" in node["fqn"] and node["name"] != CONTACT)


@functools.cache
def _models(wanted: frozenset[str] | None) -> tuple[Mapping[str, Any], ...]:
    """The models to run, each after those it reads; all of them, or the wanted ones and what they need."""
    nodes = {key: node for key, node in manifest()["nodes"].items() if node["resource_type"] == "model"}
    ordered: dict[str, Mapping[str, Any]] = {}

    def take(key: str) -> None:
        if key in nodes and key not in ordered and _is_run(nodes[key]):
            for needed in nodes[key]["depends_on"]["nodes"]:
                take(needed)
            ordered[key] = nodes[key]

    for key, node in nodes.items():
        if wanted is None or node["name"] in wanted:
            take(key)
    return tuple(ordered.values())


class Marts:
    """One shop's tables. `rows(sql)` asks them."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection

    def rows(self, sql: str) -> list[tuple]:
        return self.connection.execute(sql).fetchall()

    def one(self, sql: str) -> tuple:
        [row] = self.rows(sql)
        return row

    def test_failures(self, name: str) -> list[tuple]:
        """What the named dbt test of the project finds wrong: no row where it passes."""
        [node] = [
            node for node in manifest()["nodes"].values() if node["resource_type"] == "test" and node["name"] == name
        ]
        return self.rows(node["compiled_code"])


def build(
    as_of_on: dt.date,
    *,
    lines: Iterable[Row] = (),
    orders: Iterable[Row] = (),
    products: Iterable[Row] = (),
    events: Iterable[Row] = (),
    customers: Iterable[Row] = (),
    scores: Iterable[Row] = (),
    same_customer: Mapping[str, str] | None = None,
    value: Mapping[str, Any] | None = None,
    plans: Mapping[str, Any] | None = None,
    company: Mapping[str, Any] | None = None,
    only: Iterable[str] | None = None,
) -> Marts:
    """Build the marts of one shop as of a date.

    Rows are mappings of the columns that matter; the rest is null, or what an ordinary delivery says: source
    `shop`, key from the entity's keys. `ref_account: a` is customer `a`, known since its first row unless
    `customers` says more; `same_customer` merges accounts into others. `only` names the models to stop at.
    """
    connection = duckdb.connect()
    connection.execute(
        "attach ':memory:' as warehouse; use warehouse; set timezone = 'UTC'; "
        "set default_null_order = 'nulls_first_on_asc_last_on_desc'; set threads = 1; "
        "set preserve_insertion_order = true; set enable_progress_bar = false"
    )
    for schema in ("control", "landing", "staging", "intermediate", "identity", "rcu", "marts", "scores"):
        connection.execute(f"create schema {schema}")
    given = {"orders": list(orders), "order_lines": list(lines), "products": list(products), "events": list(events)}
    sources = sorted({row.get("source", "shop") for rows in given.values() for row in rows} | {"shop"})
    _write_control(connection, as_of_on, sources, value, plans, company)
    for entity in ENTITIES.values():
        if entity.plural in given:
            _write_landing(connection, entity.name, given[entity.plural], as_of_on)
    _write_customers(connection, given, list(customers), same_customer or {}, as_of_on)
    connection.execute(_SCORES)
    _insert(connection, "scores.customer_scores", list(scores))
    for node in _models(None if only is None else frozenset(only)):
        connection.execute(f"create table {node['schema']}.{node['alias']} as {node['compiled_code']}")
    return Marts(connection)


def _insert(connection: duckdb.DuckDBPyConnection, table: str, rows: list[dict[str, Any]] | list[Row]) -> None:
    """Rows of texts, dates and numbers; the table's types decide, missing columns are null."""
    if not rows:
        return
    columns = [row[0] for row in connection.execute(f"describe {table}").fetchall()]
    unknown = {name for row in rows for name in row} - set(columns)
    assert not unknown, f"{table} has no column {sorted(unknown)}"
    texts = {
        name: pa.array([None if row.get(name) is None else str(row[name]) for row in rows], pa.string())
        for name in columns
    }
    connection.register("written_down", pa.table(texts))
    connection.execute(f"insert into {table} select * from written_down")
    connection.unregister("written_down")


def _write_control(
    connection: duckdb.DuckDBPyConnection, as_of_on: dt.date, sources: list[str], value: Mapping[str, Any] | None,
    plans: Mapping[str, Any] | None, company: Mapping[str, Any] | None,
) -> None:  # fmt: skip
    about = Company.model_validate({"name": "A shop", "time_zone": "UTC", **(company or {})})
    tables = {
        "as_of": pa.table({"as_of_on": pa.array([as_of_on], pa.date32())}),
        "sources": pa.table(
            {"source": sources, "trust_rank": pa.array(range(1, len(sources) + 1), pa.int32())}
        ),
        **about.tables(),
        **Value.model_validate(value or {}).tables(),
        **Plans.model_validate(plans or PLANS).tables(),
    }  # fmt: skip
    for name, table in tables.items():
        connection.register("declared", table)
        connection.execute(f"create table control.{name} as select * from declared")
        connection.unregister("declared")


def _write_landing(connection: duckdb.DuckDBPyConnection, entity_name: str, rows: list[Row], as_of_on: dt.date) -> None:
    entity = ENTITIES[entity_name]
    columns = (*entity.columns, *LANDING_COLUMNS, *(VERSION_COLUMNS if entity.is_state else ()))
    kinds = ", ".join(f'"{column.name}" {SQL_TYPES[column.kind]}' for column in columns)
    connection.execute(f"create table {entity.table} ({kinds})")
    written = []
    for number, row in enumerate(rows, start=1):
        keys = [str(row.get(key, number)) for key in entity.keys]
        full: dict[str, Any] = {
            **dict(zip(entity.keys, keys, strict=True)),
            "source": "shop", "row_key": "|".join(keys), "business_on": as_of_on, "available_on": as_of_on,
            "line_number": number,
            **({"is_current": True, "is_deleted": False, "first_seen_on": as_of_on, "valid_from_on": as_of_on,
                "last_seen_on": as_of_on} if entity.is_state else {}),
            **row,
        }  # fmt: skip
        if full.get("ref_account") and "ref_account_source" not in row:
            full["ref_account_source"] = "crm"
        written.append(full)
    _insert(connection, entity.table, written)


def _write_customers(
    connection: duckdb.DuckDBPyConnection, given: Mapping[str, list[Row]], customers: list[Row],
    same_customer: Mapping[str, str], as_of_on: dt.date,
) -> None:  # fmt: skip
    for statement in _IDENTITY:
        connection.execute(statement)
    for node in manifest()["nodes"].values():
        if node["resource_type"] == "model" and node["schema"] == "rcu":
            columns = ", ".join(f'"{name}" {about["data_type"]}' for name, about in node["columns"].items())
            connection.execute(f"create table rcu.{node['alias']} ({columns})")
    contact = {
        column
        for node in _models(None)
        if any(needed.endswith(CONTACT) for needed in node["depends_on"]["nodes"])
        for column in re.findall(r"\bcontact\.(\w+)", node["compiled_code"])
    } | {"customer_id"}
    kinds = {"is": "boolean", "freshness": "double", "on": "date"}
    columns = ", ".join(
        f"{name} {kinds.get(name.split('_')[0]) or kinds.get(name.split('_')[-1]) or 'varchar'}"
        for name in sorted(contact)
    )
    connection.execute(f"create table intermediate.{CONTACT} ({columns})")
    known = {row["customer_id"]: dict(row) for row in customers}
    for rows in given.values():
        for row in rows:
            if row.get("ref_account") and "ref_account_source" not in row:
                known.setdefault(row["ref_account"], {})
    written = [
        {
            "first_seen_on": as_of_on, "record_count": 1, "source_count": 1, "is_suppressed": False,
            "as_of_on": as_of_on, **about, "customer_id": customer,
        }
        for customer, about in sorted(known.items())
        if customer not in same_customer
    ]  # fmt: skip
    _insert(connection, "rcu.customers", written)
    births = [
        {"customer_id": customer, "attribute": "birth_on", "value": about["birth_on"]}
        for customer, about in sorted(known.items())
        if about.get("birth_on")
    ]
    _insert(connection, "rcu.customer_attributes", births)
    links = [
        {"source": "crm", "record_id": customer, "customer_id": same_customer.get(customer, customer)}
        for customer in sorted(known)
    ]
    _insert(connection, "identity.record_customers", links)
    _insert(connection, "rcu.customer_records", links)

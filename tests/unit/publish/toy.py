"""A workspace with a build of a few rows, made the way a run makes it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from orchestration import registry, warehouse
from orchestration.publish import Publication, RunPlan, plan_run, publish
from orchestration.publish.publications import OnStep
from orchestration.settings import Workspace

MOMENT = dt.datetime(2026, 3, 1, 4, 0, tzinfo=dt.UTC)
TODAY = dt.date(2026, 3, 31)

IDS = registry.RegistryTable("ids", {"customer_id": "varchar"})


def day(number: int) -> dt.date:
    return dt.date(2026, 3, number)


def new_workspace(root: Path) -> Workspace:
    workspace = Workspace(root)
    workspace.prepare()
    return workspace


def plan(
    workspace: Workspace, as_of_on: dt.date, *, run_id: str, code: str = "code", inputs: str = "inputs"
) -> RunPlan:
    return plan_run(
        workspace, as_of_on=as_of_on, run_id=run_id, code_fingerprint=code, input_fingerprint=inputs, today=TODAY
    )


def build(workspace: Workspace, planned: RunPlan, *, customers: int, encrypted: bool = False) -> None:
    """Stamp and fill the build; stage one registry row for a forward run."""
    warehouse.begin_build(planned.build_path, planned.stamp, encrypted=encrypted)
    with warehouse.open_build(planned.build_path, as_of_on=planned.as_of_on, run_id=planned.run_id) as connection:
        for schema in ("landing", "rcu", "marts", "segments", "audit"):
            connection.execute(f"create schema if not exists {schema}")
        connection.execute("create or replace table landing.customers as select 'private' as last_name")
        connection.execute(
            "create or replace table rcu.customers as select 'c' || i as customer_id, "
            f"date '{planned.as_of_on}' as as_of_on from range({customers}) as numbers (i)"
        )
        connection.execute(
            "create or replace table marts.customer_360 as select customer_id, 12.5::decimal(18, 4) as amount_net "
            "from rcu.customers"
        )
        connection.execute("comment on table rcu.customers is 'One row per customer'")
        connection.execute("comment on column rcu.customers.customer_id is 'The lasting id'")
        connection.execute(
            "create or replace table segments.sizes as select 'vip' as segment, "
            f"unnest([date '2026-01-01', date '{planned.as_of_on}']) as as_of_on"
        )
        connection.execute(
            "create or replace table audit.checks as select 'publish' as gate, 'a' as name, 'error' as severity, "
            f"true as passed, '{planned.run_id}' as run_id"
        )
        if planned.is_forward:
            registry.stage(
                workspace, IDS, connection, "select customer_id from rcu.customers limit 1",
                as_of_on=planned.as_of_on, version=planned.version, run_id=planned.run_id,
            )  # fmt: skip


def publish_plan(workspace: Workspace, planned: RunPlan, *, on_step: OnStep = lambda step: None) -> Publication:
    return publish(
        workspace,
        planned.build_path,
        as_of_on=planned.as_of_on,
        run_id=planned.run_id,
        version=planned.version,
        fingerprint=planned.fingerprint,
        is_forward=planned.is_forward,
        now=MOMENT,
        on_step=on_step,
    )


def run(
    workspace: Workspace, as_of_on: dt.date, *, run_id: str, customers: int = 3, inputs: str = "inputs",
    encrypted: bool = False,
) -> Publication:  # fmt: skip
    planned = plan(workspace, as_of_on, run_id=run_id, inputs=inputs)
    build(workspace, planned, customers=customers, encrypted=encrypted)
    return publish_plan(workspace, planned)


def customers_seen(workspace: Workspace) -> int:
    """What an analyst reads through the pointer."""
    reader = warehouse.connect(workspace.published / "current" / "rcu.duckdb", read_only=True)
    try:
        return int(reader.execute("select count(*) from rcu.customers").fetchall()[0][0])
    finally:
        reader.close()

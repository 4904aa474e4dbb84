"""A workspace's extracts as standardised records: the real ingest, then dbt's `prepare`, and nothing after.

What belongs here: the way from files in an inbox to `intermediate.int_identity_records`. What does not: matching.
"""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

from orchestration.contracts.company import Company
from orchestration.contracts.loader import load
from orchestration.contracts.source import Source, load_source
from orchestration.contracts.survivorship import Survivorship
from orchestration.defs.dbt_build import build_layer, manifest_path
from orchestration.ingest import assemble, ingest
from orchestration.settings import PROJECT_ROOT, Workspace, export_to_environment
from orchestration.warehouse import Connection, Stamp, begin_build, connect, literal, open_build

RUN = "benchmark"
_SCHEMAS = (
    "control", "landing", "staging", "intermediate", "identity", "rcu", "marts", "scores", "segments", "audit",
)  # fmt: skip


def customer_sources(workspace: Workspace) -> dict[str, Source]:
    """The declared sources that deliver customers: all that matching reads."""
    files = sorted((workspace.declarations / "sources").glob("*.yml"))
    every = {file.stem: load_source(file, workspace.root) for file in files}
    return {name: source for name, source in every.items() if "customer" in source.delivers}


def prepare(workspace: Workspace, *, on: dt.date) -> dict[str, int]:
    """Take what lies in the inbox and standardise it; returns the counts of the ingest."""
    before = dict(os.environ)
    workspace.prepare()
    export_to_environment(workspace)
    try:
        return _prepare(workspace, on)
    finally:
        os.environ.clear()
        os.environ.update(before)


def _prepare(workspace: Workspace, on: dt.date) -> dict[str, int]:
    sources = customer_sources(workspace)
    company = load(workspace.declarations / "company.yml", Company, workspace.root)
    report = ingest(workspace, sources, company, received_on=on, is_forward=True, run_id=RUN)
    begin_build(workspace.build_file, Stamp(on, RUN, "rebuild", "benchmark"))
    with open_build(workspace.build_file, as_of_on=on, run_id=RUN) as connection:
        for schema in _SCHEMAS:
            connection.execute(f"create schema if not exists {schema}")
        assemble(connection, workspace, sources, as_of_on=on)
        # Matching does not read it, but dbt's `prepare` needs its tables: a workspace without one has the project's.
        declared = workspace.declarations / "survivorship.yml"
        declared = declared if declared.exists() else PROJECT_ROOT / "declarations" / "survivorship.yml"
        survivorship = load(declared, Survivorship)
        for name, table in {**company.tables(), **survivorship.tables()}.items():
            connection.register("declared", table)
            connection.execute(f"create or replace table control.{name} as select * from declared")
            connection.unregister("declared")
    list(build_layer(workspace, workspace.build_file, manifest_path(workspace), "prepare"))  # raises where a test fails
    return report.counts()


def records_of(build: Path) -> Connection:
    """An in-memory database with the standardised records of a build, so that the build stays as it is."""
    connection = connect()
    connection.execute(f"attach {literal(str(build))} as build (read_only)")
    for schema in ("intermediate", "control"):
        connection.execute(f"create schema {schema}")
    connection.execute(
        "create table intermediate.int_identity_records as select * from build.intermediate.int_identity_records"
    )
    connection.execute("detach build")
    return connection

"""New score models on demand: what `rcu run --refit` and the jobs' configuration come to."""

from __future__ import annotations

import datetime as dt
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from orchestration import publish, registry, warehouse
from orchestration.contracts.catalogue import load_catalogue
from orchestration.defs import jobs, sources, steps
from orchestration.defs.run_context import WarehouseRun, asks_to_refit, refit_config
from orchestration.scores.models import SCORE_MODELS
from orchestration.settings import PROJECT_ROOT, Workspace
from tests.unit.publish import toy

DAY = toy.day(10)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    shutil.copytree(PROJECT_ROOT / "declarations", tmp_path / "declarations")
    workspace = toy.new_workspace(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(workspace.dagster_home))
    return workspace


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def run_id_of(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def materialise(
    workspace: Workspace, instance: dg.DagsterInstance, assets: list[dg.AssetsDefinition], number: int, *, refit: bool
) -> dg.ExecuteInProcessResult:
    job = dg.Definitions(
        assets=assets,
        jobs=[dg.define_asset_job("some", partitions_def=jobs.partitions_of(load_catalogue(workspace.declarations)))],
        resources={"warehouse": WarehouseRun(workspace_root=str(workspace.root))},
    ).resolve_job_def("some")
    return job.execute_in_process(
        partition_key=DAY.isoformat(),
        run_id=run_id_of(number),
        run_config=refit_config(refit),
        instance=instance,
        raise_on_error=False,
    )


def a_build_with_orders(workspace: Workspace, run_id: str) -> None:
    """600 customers of two years, and a golden gate that passed, stamped for one run."""
    draw = random.Random(5)
    planned = toy.plan(workspace, DAY, run_id=run_id)
    warehouse.begin_build(planned.build_path, planned.stamp)
    orders = [
        (f"c{number:03}", DAY - dt.timedelta(days=draw.randrange(700)), draw.randrange(5, 90))
        for number in range(600)
        for _ in range(draw.choice([1, 1, 2, 3, 6]))
    ]
    with warehouse.open_build(planned.build_path, as_of_on=DAY, run_id=run_id) as connection:
        for schema in ("rcu", "marts", "audit"):
            connection.execute(f"create schema if not exists {schema}")
        connection.execute(
            "create table marts.orders as select col0 as customer_id, col1::date as ordered_on, "
            "col2::decimal(18, 4) as amount_gross, col2::decimal(18, 4) as amount_net, true as is_purchase "
            f"from (values {', '.join(repr((who, str(on), amount)) for who, on, amount in orders)})"
        )
        connection.execute("create table rcu.customers as select distinct customer_id from marts.orders")
        connection.execute(
            f"create table audit.checks as select 'golden' as gate, 'all' as name, true as passed, "
            f"'error' as severity, '' as message, '' as describes, '{run_id}' as run_id"
        )
        connection.execute(
            f"create table control.run_plan as select '{planned.version}' as version, true as is_forward, "
            "'rebuild' as mode, 'f' as fingerprint"
        )


def scored(workspace: Workspace, instance: dg.DagsterInstance, number: int, *, refit: bool) -> bool:
    """Score in a run of its own and commit it; whether it staged new models."""
    a_build_with_orders(workspace, run_id_of(number))
    catalogue = load_catalogue(workspace.declarations)
    asset = steps.score_assets(jobs.partitions_of(catalogue))
    assert materialise(workspace, instance, [asset], number, refit=refit).success
    version = f"{DAY:%Y%m%d}-{number:04d}"
    registry.commit_version(workspace, registry.Commit(version, DAY, run_id_of(number), "", "2026-03-10T00:00:00"))
    return (workspace.registry / SCORE_MODELS.name / f"{version}.parquet").exists()


def test_models_are_fitted_anew_when_the_run_asks_and_kept_when_it_does_not(
    workspace: Workspace, instance: dg.DagsterInstance
) -> None:
    fitted = [scored(workspace, instance, number, refit=refit) for number, refit in ((1, False), (2, False), (3, True))]
    assert fitted == [True, False, True]


def test_a_refit_runs_where_nothing_else_is_new(workspace: Workspace, instance: dg.DagsterInstance) -> None:
    catalogue = load_catalogue(workspace.declarations)
    partitions = jobs.partitions_of(catalogue)
    assets = [
        sources.landing_assets(catalogue, partitions),
        steps.score_assets(partitions),
    ]
    planned = toy.plan(
        workspace, DAY, run_id="before", code=publish.code_fingerprint(workspace),
        inputs=publish.input_fingerprint(workspace, as_of_on=DAY),
    )  # fmt: skip
    toy.build(workspace, planned, customers=1)
    toy.publish_plan(workspace, planned)
    landed = {}
    for number, refit in ((1, False), (2, True)):
        # What scores say of an empty build is not asked: the landing tables are there, or they are not.
        result = materialise(workspace, instance, assets, number, refit=refit)
        landed[refit] = {event.asset_key.path[0] for event in result.get_asset_materialization_events()}
    assert landed[False] == set()
    assert "landing" in landed[True]


def test_only_a_plain_yes_asks_for_new_models() -> None:
    assert asks_to_refit(refit_config(True))
    assert not asks_to_refit(refit_config(False))
    assert not asks_to_refit({"ops": {"scores": {"config": {"refit": False}}}})
    assert not asks_to_refit({"ops": {"scores": {}, "landing": None}})

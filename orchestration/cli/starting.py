"""Commands that prepare a workspace: init, samples, check."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import click

from orchestration.cli.app import DAY, cli, near, out, timed
from orchestration.settings import Workspace

DEMO_CUSTOMERS, DEMO_SEED, DEMO_DAYS = 3_000, 1, 3


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path))
def init(folder: Path) -> None:
    """Write a commented starter workspace into FOLDER."""
    from orchestration.contracts.starter import write_starter

    for path in write_starter(folder):
        out.print(f"  {near(path)}")
    out.print(f"next: an extract into {near(folder / 'data' / 'inbox')}, then rcu --workspace {near(folder)} run")


@cli.command()
@click.option(
    "--customers",
    default=DEMO_CUSTOMERS,
    show_default=True,
    type=click.IntRange(10, 5_000_000),
    help="How many persons.",
)
@click.option("--seed", default=DEMO_SEED, show_default=True, help="Same arguments, same files, byte for byte.")
@click.option(
    "--days",
    default=0,
    show_default=True,
    type=click.IntRange(0, 366),
    help="Dated daily deliveries after the initial load.",
)
@click.option("--until", type=DAY, help="Last day of the data (default: today).")
@click.option("--into", type=click.Path(path_type=Path), help="Folder for the files (default: the inbox).")
@click.pass_obj
def samples(
    workspace: Workspace, customers: int, seed: int, days: int, until: dt.date | None, into: Path | None
) -> None:
    """Make the extracts of the demo retailer (all persons invented), and truth.csv."""
    make_samples(workspace, customers, seed, days, until, into)


def make_samples(
    workspace: Workspace, customers: int, seed: int, days: int, until: dt.date | None, into: Path | None
) -> None:
    from orchestration.contracts.catalogue import load_catalogue
    from orchestration.samples.generate import generate

    workspace.prepare()
    target = into or workspace.inbox
    truth = (into.parent if into else workspace.data) / "truth.csv"
    with timed(f"demo extracts: {customers:,} persons, seed {seed}, {days} daily deliveries -> {near(target)}"):
        report = generate(
            target,
            customers=customers,
            seed=seed,
            days=days,
            until=until or load_catalogue(workspace.declarations).company.today(),
            truth_file=truth,
        )
    out.print(f"  {report.files} files, {report.rows:,} rows; who is who: {near(truth)}")


def make_demo_extracts(workspace: Workspace) -> None:
    was_delivered = any(workspace.registry.glob("files/*.parquet"))
    is_waiting = workspace.inbox.is_dir() and any(
        p.is_file() and not p.name.startswith(".") for p in workspace.inbox.rglob("*")
    )
    if not was_delivered and not is_waiting:
        make_samples(workspace, DEMO_CUSTOMERS, DEMO_SEED, DEMO_DAYS, None, None)


@cli.command()
@click.pass_obj
def check(workspace: Workspace) -> None:
    """Check all declarations; no data is touched."""
    from orchestration.contracts.catalogue import load_catalogue

    catalogue = load_catalogue(workspace.declarations, drafts_pass=False)
    checks = sum(len(gate.checks) for gate in catalogue.gates.values())
    out.print(
        f"all declarations are right: {len(catalogue.sources)} sources, {len(catalogue.segments)} segments, "
        f"{len(catalogue.triggers)} triggers, {len(catalogue.gates)} gates with {checks} checks"
    )

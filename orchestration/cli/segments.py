"""Commands on segments: segment explain, preview and diff."""

from __future__ import annotations

import json

import click

from orchestration.cli.app import cli, current_publication, escape, out
from orchestration.settings import Workspace


@cli.group()
def segment() -> None:
    """Look at a segment before and after it lives."""


@segment.command(name="explain")
@click.argument("name")
@click.pass_obj
def segment_explain(workspace: Workspace, name: str) -> None:
    """The rule in plain English and French, and its SQL."""
    from orchestration import segments
    from orchestration.contracts.catalogue import MARTS_CONTRACT, load_catalogue
    from orchestration.contracts.segment import read_catalogue

    catalogue = load_catalogue(workspace.declarations)
    company = catalogue.company
    told = segments.explain(
        catalogue.segments, name, read_catalogue(MARTS_CONTRACT), as_of_on=company.today(), time_zone=company.time_zone
    )
    out.print(f"[bold]en[/] {escape(told.english)}\n[bold]fr[/] {escape(told.french)}\n[bold]sql[/] {escape(told.sql)}")


@segment.command(name="preview")
@click.argument("name")
@click.pass_obj
def segment_preview(workspace: Workspace, name: str) -> None:
    """Size, reach, overlap and a pseudonymised sample, on the published customers; no run."""
    from orchestration import segments
    from orchestration.contracts.catalogue import load_catalogue
    from orchestration.protection import current_key
    from orchestration.warehouse import connect

    catalogue = load_catalogue(workspace.declarations)
    key = current_key(workspace)
    connection = connect(current_publication(workspace).database, read_only=True)
    try:
        told = segments.preview(connection, catalogue.segments, name, pseudonym=lambda who: key.token("pseudonym", who))
    finally:
        connection.close()
    out.print(
        f"{name}: {told.size:,} of {told.customer_count:,} customers ({told.rate:.1%}), as of {told.as_of_on}: {told.status}"
    )
    out.print("reach: " + ", ".join(f"{channel} {count:,}" for channel, count in told.reachable.items()))
    for overlap in told.overlaps[:5]:
        out.print(f"  {overlap.share:.0%} also in {overlap.segment}")
    for row in told.sample:
        out.print(f"  {escape(json.dumps(row, default=str, ensure_ascii=False))}")


@segment.command(name="diff")
@click.argument("names", nargs=-1)
@click.pass_obj
def segment_diff(workspace: Workspace, names: tuple[str, ...]) -> None:
    """Who would enter and leave if the declarations as they are now went live."""
    from orchestration import segments
    from orchestration.contracts.catalogue import load_catalogue
    from orchestration.protection import current_key
    from orchestration.warehouse import connect

    catalogue = load_catalogue(workspace.declarations)
    key = current_key(workspace)
    connection = connect(current_publication(workspace).database, read_only=True)
    try:
        found = segments.diff(
            connection, catalogue.segments, set(names) or None, pseudonym=lambda who: key.token("pseudonym", who)
        )
    finally:
        connection.close()
    for one in found:
        out.print(
            f"{one.segment}: {one.size_before:,} -> {one.size_after:,} ({one.entered_count:,} enter, "
            f"{one.left_count:,} leave; because of {one.because})"
        )
    if not found:
        out.print("nobody would enter or leave a segment")

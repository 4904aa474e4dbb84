"""Commands that send audiences: activate, and what was sent."""

from __future__ import annotations

import datetime as dt
import json
import uuid

import click
from rich.table import Table

from orchestration.cli.app import cli, current_publication, escape, out
from orchestration.errors import GateError, RcuError, UsageError
from orchestration.settings import Workspace


@cli.command()
@click.argument("names", nargs=-1, metavar="[NAME...] | status")
@click.option(
    "--dry-run", is_flag=True, help="Say who would be sent and left out; nothing leaves, nothing is recorded."
)
@click.option("--again", is_flag=True, help="Send what this version delivered already, under the same key and names.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per activation.")
@click.pass_obj
def activate(workspace: Workspace, names: tuple[str, ...], dry_run: bool, again: bool, as_json: bool) -> None:
    """Send the audiences of declarations/activations/ from the current publication; `status` shows what was sent."""
    from orchestration import activation
    from orchestration.contracts.catalogue import load_catalogue
    from orchestration.warehouse import run_lock

    catalogue = load_catalogue(workspace.declarations)
    declared = catalogue.activations
    if names == ("status",):
        _show_status(workspace, sorted(declared), as_json)
        return
    if not declared:
        raise UsageError("declarations/activations/ holds no activation; declare one (docs/guide/activation.md)")
    with run_lock(workspace, "rcu activate"):
        outcomes = activation.activate(
            workspace,
            declared,
            activation.Published.of(current_publication(workspace)),
            sources=catalogue.sources,
            limits=catalogue.triggers.limits,
            time_zone=catalogue.company.time_zone,
            run_id=f"activate-{uuid.uuid4().hex[:12]}",
            now=dt.datetime.now(dt.UTC),
            only=set(names) or None,
            dry_run=dry_run,
            again=again,
            progress=lambda message: None if as_json else out.print(escape(message)),
        )
    if as_json:
        for outcome in outcomes:
            click.echo(json.dumps({**vars(outcome), "left_out_count": outcome.left_out_count}, ensure_ascii=False))
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    refused = [outcome for outcome in outcomes if outcome.status == "refused"]
    if failed:
        raise RcuError(
            f"{len(failed)} of {len(outcomes)} activations failed: {'; '.join(one.message for one in failed)}"
        )
    if refused:
        told = "; ".join(f"{one.activation}: {one.message}" for one in refused)
        raise GateError(f"{len(refused)} of {len(outcomes)} activations were refused: {told}")


def _show_status(workspace: Workspace, declared: list[str], as_json: bool) -> None:
    from orchestration import activation

    history = activation.deliveries(workspace)
    last = {delivery.activation: delivery for delivery in history}
    names = sorted({*declared, *last})
    if as_json:
        for name in names:
            click.echo(json.dumps(vars(last[name]) if name in last else {"activation": name}, default=str))
        return
    table = Table(title="last attempt of each activation", title_justify="left", title_style="bold")
    for column in ("activation", "status", "version", "to", "in the list", "added", "updated", "removed", "left out",
                   "at (UTC)"):  # fmt: skip
        is_count = column in ("in the list", "added", "updated", "removed", "left out")
        table.add_column(column, justify="right" if is_count else "left")
    for name in names:
        one = last.get(name)
        if one is None:
            table.add_row(name, "never sent")
            continue
        state = one.status if name in declared else f"{one.status}, no longer declared"
        table.add_row(
            name, state, one.version, one.destination, f"{one.sent_count:,}", f"{one.added_count:,}",
            f"{one.updated_count:,}", f"{one.removed_count:,}", f"{sum(one.left_out.values()):,}", f"{one.ended_at:%Y-%m-%d %H:%M}",
        )  # fmt: skip
    out.print(table)
    for name in names:
        if name in last and last[name].message:
            out.print(f"[yellow]{last[name].status}:[/] {escape(last[name].message)}")

"""Commands on sources and their deliveries: source new, replay."""

from __future__ import annotations

from pathlib import Path

import click

from orchestration.cli.app import cli, escape, near, out
from orchestration.errors import UsageError
from orchestration.settings import Workspace


@cli.command()
@click.option("--source", "names", multiple=True, help="Only this source; may be given several times.")
@click.option("--edit", is_flag=True, help="Write the rows in quarantine to a file that a person can mend.")
@click.pass_obj
def replay(workspace: Workspace, names: tuple[str, ...], edit: bool) -> None:
    """Take refused files and quarantined rows again, after a contract or a row was mended."""
    import uuid

    from orchestration import ingest
    from orchestration.contracts.catalogue import load_catalogue
    from orchestration.contracts.loader import did_you_mean
    from orchestration.warehouse import run_lock

    workspace.prepare()
    catalogue = load_catalogue(workspace.declarations)
    for name in names:
        if name not in catalogue.sources:
            raise UsageError(f'no source is called "{name}"{did_you_mean(name, catalogue.sources)}')
    with run_lock(workspace, "rcu replay"):
        if edit:
            count = ingest.write_rows_to_mend(workspace, catalogue.sources)
            file = ingest.rows_to_mend(workspace)
            out.print(f"{count:,} rows to mend: {near(file)}; change raw_text, then `rcu replay`")
            return
        report = ingest.replay(
            workspace,
            catalogue.sources,
            catalogue.company,
            received_on=catalogue.company.today(),
            run_id=f"replay-{uuid.uuid4().hex[:12]}",
            only=frozenset(names) or None,
        )
    for message in (*report.errors, *report.warnings):
        out.print(f"[yellow]warning:[/] {escape(message)}")
    left = ingest.rows_in_quarantine(workspace, frozenset(names) or None)
    use = "; the next `rcu run` uses them" if report.count("landed") else ""
    out.print(
        f"replayed: {len(report.files)} files, {report.rows_landed:,} rows landed, {left:,} rows still in quarantine{use}"
    )


@cli.group()
def source() -> None:
    """Declare a source from one of its files."""


@source.command(name="new")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", help="Name of the source (default: that of the file, without its date).")
@click.option("--stdout", "is_shown", is_flag=True, help="Print the draft instead of writing it.")
@click.pass_obj
def source_new(workspace: Workspace, file: Path, name: str | None, is_shown: bool) -> None:
    """Draft the contract of FILE: layout, types, keys, what each column means; what is not sure is marked."""
    from orchestration.contracts.source import NAME
    from orchestration.ingest.drafting import draft_contract

    if name is not None and not NAME.match(name):
        raise UsageError(f'"{name}": the name of a source has lowercase letters, digits and _ only')
    draft = draft_contract(file, name)
    if is_shown:
        click.echo(draft.text, nl=False)
        return
    target = workspace.declarations / "sources" / f"{draft.source}.yml"
    if target.exists():
        raise UsageError(f"{near(target)}: this source is declared already; give another --name, or --stdout")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(draft.text, encoding="utf-8")
    out.print(f"{near(target)}: {draft.columns} columns; {draft.doubts} to decide, which `rcu check` names")

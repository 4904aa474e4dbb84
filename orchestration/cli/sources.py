"""Commands on sources and their deliveries: replay."""

from __future__ import annotations

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
    out.print(
        f"replayed: {len(report.files)} files, {report.rows_landed:,} rows landed, {report.rows_quarantined:,} still in "
        "quarantine; the next `rcu run` uses them"
    )

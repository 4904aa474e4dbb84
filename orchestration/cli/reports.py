"""Command on reports: where the pages of the current publication are."""

from __future__ import annotations

import json

import click

from orchestration.cli.app import cli, current_publication, near, out
from orchestration.settings import Workspace


@cli.command()
@click.option("--open", "is_open", is_flag=True, help="Open the first page in the browser.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def report(workspace: Workspace, is_open: bool, as_json: bool) -> None:
    """The pages about the current publication; written now where a run did not."""
    from orchestration import reports
    from orchestration.contracts.catalogue import load_catalogue
    from orchestration.warehouse import connect

    current = current_publication(workspace)
    found = reports.find_reports(workspace, current.version)
    if found is None:
        workspace.prepare()
        connection = connect(current.database, read_only=True)
        try:
            found = reports.write_reports(
                connection, workspace, load_catalogue(workspace.declarations), version=current.version
            )
        finally:
            connection.close()
    if as_json:
        click.echo(json.dumps({"version": found.version, "pages": {page.stem: str(page) for page in found.pages}}))
    else:
        for page in found.pages:
            personal = "  (personal data: for its owner alone)" if page.name == reports.REVIEW else ""
            out.print(f"{near(page)}{personal}")
    if is_open:
        click.launch(found.index.as_uri())

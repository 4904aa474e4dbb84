"""Commands on what is published: query, status, rollback."""

from __future__ import annotations

import json
import sys

import click
from rich.table import Table

from orchestration.cli.app import cli, current_publication, escape, near, out
from orchestration.errors import UsageError
from orchestration.settings import Workspace


@cli.command()
@click.argument("sql")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per row.")
@click.option("--csv", "as_csv", is_flag=True, help="Comma-separated, with a header.")
@click.option("--limit", default=100, show_default=True, help="Rows to show in the table form; 0: all.")
@click.pass_obj
def query(workspace: Workspace, sql: str, as_json: bool, as_csv: bool, limit: int) -> None:
    """Query the published database (read-only)."""
    import duckdb

    from orchestration.warehouse import connect

    connection = connect(current_publication(workspace).database, read_only=True)
    try:
        relation = connection.execute(sql)
        columns = [item[0] for item in relation.description or []]
        rows = relation.fetchall()
    except duckdb.Error as error:
        raise UsageError(f"the query was refused: {' '.join(str(error).split())}") from None
    finally:
        connection.close()
    if as_json:
        for row in rows:
            click.echo(json.dumps(dict(zip(columns, row, strict=True)), default=str, ensure_ascii=False))
    elif as_csv:
        import csv

        from orchestration.activation import neutral

        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        # a spreadsheet takes some texts for formulas
        writer.writerows([neutral(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    else:
        table = Table()
        for column in columns:
            table.add_column(column)
        shown = rows if limit == 0 else rows[:limit]
        for row in shown:
            table.add_row(*("" if value is None else escape(str(value)) for value in row))
        out.print(table)
        if len(shown) < len(rows):
            out.print(f"{len(shown)} of {len(rows):,} rows; --limit 0 shows all")


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def status(workspace: Workspace, as_json: bool) -> None:
    """What is published, what arrived, what is late, how the last runs ended."""
    from orchestration import ingest, publish
    from orchestration.contracts.catalogue import load_catalogue

    workspace.prepare()
    catalogue = load_catalogue(workspace.declarations)
    today = catalogue.company.today()
    told = publish.status(workspace)
    sources = ingest.source_states(workspace, catalogue.sources, as_of_on=today)
    troubles = ingest.refused_files(workspace)
    waiting = sorted(
        path.name
        for path in workspace.inbox.rglob("*")
        if path.is_file() and not path.name.startswith(".") and path.suffix != ".done"
    )
    if as_json:
        click.echo(
            json.dumps(
                {
                    "current": told.current and {"version": told.current.version, "as_of_on": told.current.as_of_on},
                    "is_rolled_back": told.is_rolled_back,
                    "publications": [p.version for p in told.publications],
                    "sources": [vars(source) for source in sources],
                    "refused_files": [vars(file) for file in troubles],
                    "inbox": waiting,
                    "runs": [{"run_id": r.run_id, "as_of_on": r.as_of_on, "status": r.status} for r in told.runs],
                },
                default=str,
            )
        )
        return
    if told.current:
        back = ", rolled back" if told.is_rolled_back else ""
        out.print(f"published: version {told.current.version}, as of {told.current.as_of_on}{back}")
        out.print(f"  {near(told.current.database)}")
    else:
        out.print("published: nothing yet; run `rcu run`")
    kept = ", ".join(p.version + ("" if p.is_forward else " (backfill)") for p in told.publications)
    out.print(f"kept: {kept or 'none'}")
    table = Table(title="sources", title_justify="left", title_style="bold")
    for column in ("source", "files", "rows", "quarantined", "last about", "last received", "state"):
        table.add_column(column, justify="right" if column in ("files", "rows", "quarantined") else "left")
    for source in sources:
        table.add_row(
            source.source, f"{source.files:,}", f"{source.rows_landed:,}", f"{source.rows_quarantined:,}",
            str(source.last_business_on or ""), str(source.last_received_on or ""), source.state,
        )  # fmt: skip
    out.print(table)
    for file in troubles:
        out.print(f"[yellow]{file.status}:[/] {escape(file.file_name)}: {escape(file.message)}")
    if waiting:
        out.print(f"inbox: {len(waiting)} files wait: {', '.join(waiting[:5])}{' ...' if len(waiting) > 5 else ''}")
    for run in told.runs[:5]:
        out.print(
            f"run {run.run_id[:8]} as of {run.as_of_on}: {run.status}{f' ({escape(run.reason)})' if run.reason else ''}"
        )


@cli.command()
@click.option("--to", "version", help="The version to go back to (default: the one before the current).")
@click.pass_obj
def rollback(workspace: Workspace, version: str | None) -> None:
    """Point `current` back at an earlier publication."""
    from orchestration import publish
    from orchestration.contracts.catalogue import load_catalogue
    from orchestration.warehouse import run_lock

    access = load_catalogue(workspace.declarations).company.access
    with run_lock(workspace, "rcu rollback"):
        publication = publish.rollback(workspace, version)
        publish.write_views(workspace, publication, access)
    out.print(f"current is now version {publication.version}, as of {publication.as_of_on}")

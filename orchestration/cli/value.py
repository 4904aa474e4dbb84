"""Commands on what customers are worth and where they stand: the transition matrix of any two dates."""

from __future__ import annotations

import datetime as dt
import json

import click
from rich.table import Table

from orchestration.cli.app import DAY, cli, current_publication, out
from orchestration.contracts.value import STAGES
from orchestration.errors import UsageError
from orchestration.settings import Workspace

#: The stage of each customer on both dates; who was not known on the first comes from `unknown`.
_MATRIX = """
select coalesce(from_stage, 'unknown') as from_stage, to_stage, count(*) as customer_count
from (
    select
        max(stage) filter (where since_on <= $from_on and coalesce(until_on > $from_on, true)) as from_stage,
        max(stage) filter (where since_on <= $to_on and coalesce(until_on > $to_on, true)) as to_stage
    from marts.lifecycle_history
    group by customer_id
) as placed
where to_stage is not null
group by all
"""


@cli.command()
@click.argument("from_on", metavar="FROM", type=DAY)
@click.argument("to_on", metavar="TO", type=DAY)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per pair of stages.")
@click.pass_obj
def transitions(workspace: Workspace, from_on: dt.date, to_on: dt.date, as_json: bool) -> None:
    """How many customers went from which lifecycle stage to which, between any two dates."""
    from orchestration.warehouse import connect

    publication = current_publication(workspace)
    if from_on > to_on:
        raise UsageError(f"{from_on} is after {to_on}: give the earlier date first")
    if to_on > dt.date.fromisoformat(str(publication.as_of_on)):
        raise UsageError(f"{to_on} is after {publication.as_of_on}, the date of what is published; run that date first")
    connection = connect(publication.database, read_only=True)
    try:
        found = {
            (before, after): count
            for before, after, count in connection.execute(_MATRIX, {"from_on": from_on, "to_on": to_on}).fetchall()
        }
    finally:
        connection.close()
    order = ["unknown", *STAGES]
    if as_json:
        for before, after in sorted(found, key=lambda pair: (order.index(pair[0]), order.index(pair[1]))):
            told = {"from_stage": before, "to_stage": after, "customer_count": found[before, after]}
            click.echo(json.dumps(told))
        return
    after_stages = [stage for stage in order if any(after == stage for _, after in found)]
    table = Table(title=f"customers, from {from_on} (rows) to {to_on} (columns)", title_justify="left")
    table.add_column("")
    for stage in after_stages:
        table.add_column(stage, justify="right")
    for before in order:
        if any(pair[0] == before for pair in found):
            table.add_row(
                before, *(f"{found[before, after]:,}" if (before, after) in found else "" for after in after_stages)
            )
    out.print(table)

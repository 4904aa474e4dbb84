"""Commands on who is who: explain, review."""

from __future__ import annotations

import json
from typing import Any

import click
from rich.table import Table

from orchestration.cli.app import cli, current_publication, escape, out
from orchestration.errors import UsageError
from orchestration.settings import Workspace


@cli.command()
@click.argument("what", nargs=-1, required=True, metavar="CUSTOMER_ID | SOURCE RECORD_ID [SOURCE RECORD_ID]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def explain(workspace: Workspace, what: tuple[str, ...], as_json: bool) -> None:
    """Why records are one customer: the links that hold them, the guards that kept others out."""
    import dataclasses

    from orchestration import identity, publish

    if len(what) not in (1, 2, 4):
        raise UsageError("give a customer id, a source and a record id, or two of each (which tells of the pair)")
    with publish.identity_as_published(current_publication(workspace)) as connection:
        if len(what) == 4:
            pair = identity.explain_pair(connection, (what[0], what[1]), (what[2], what[3]))
            if as_json:
                click.echo(json.dumps(dataclasses.asdict(pair)))
                return
            same = "are one customer" if pair.is_same_customer else "are not one customer"
            out.print(f"they {same}: {escape(pair.why)}")
            for link in pair.chain or ((pair.direct,) if pair.direct else ()):
                out.print(f"  {escape(_link_in_words(link))}")
            return
        customer_id = what[0]
        if len(what) == 2:
            row = connection.execute(
                "select customer_id from identity.record_customers where source = ? and record_id = ?", list(what)
            ).fetchone()
            if row is None:
                raise UsageError(f'there is no record "{what[1]}" of source "{what[0]}" in the current publication')
            customer_id = row[0]
        told = identity.explain_customer(connection, customer_id)
    if told is None:
        raise UsageError(f'no customer ever had the id "{customer_id}"; `rcu explain SOURCE RECORD_ID` finds by record')
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(told)))
        return
    if told.current_customer_id != customer_id:
        out.print(f"{customer_id} is now {told.current_customer_id}")
    out.print(f"[bold]{told.current_customer_id}[/]: {len(told.records)} records")
    for record in told.records:
        out.print(
            f"  {escape(record.source)} {escape(record.record_id)}, since {record.attached_on}, by {record.attached_by}"
        )
    for title, links in (("held by", told.links), ("kept out", [link for link, _ in told.kept_out])):
        if links:
            out.print(f"{title}:")
            for link in links:
                out.print(f"  {escape(_link_in_words(link))}")
    for when, event, who, to, reason in told.history:
        out.print(f"{when}: {who} {event}{f' into {to}' if to else ''}{f' ({escape(reason)})' if reason else ''}")


def _link_in_words(link: Any) -> str:
    weights = ", ".join(f"{field} {weight:+.1f}" for field, weight in link.field_weights.items())
    by = f"rule {link.rule}" if link.rule else link.kind
    probability = f" p={link.probability:.4f}" if link.probability is not None else ""
    left, right = " ".join(link.left), " ".join(link.right)
    return f"{left} - {right}: {by}{probability}, {link.band}{f' ({weights})' if weights else ''}"


@cli.command()
@click.option("--decide", nargs=2, metavar="PAIR_ID DECISION", help="Answer a pair: same, different or later.")
@click.option("--by", "who", help="Who decides (with --decide).")
@click.option("--limit", default=20, show_default=True, help="Pairs to show.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per pair.")
@click.pass_obj
def review(workspace: Workspace, decide: tuple[str, str] | None, who: str | None, limit: int, as_json: bool) -> None:
    """The pairs that wait for a steward; --decide answers one."""
    from orchestration import identity, publish

    current = current_publication(workspace)
    if decide:
        if decide[1] not in ("same", "different", "later"):
            raise UsageError(f'"{decide[1]}" is no decision; say same, different or later')
        if not who:
            raise UsageError("--decide goes with --by: who takes the decision")
        from orchestration.contracts.catalogue import load_catalogue
        from orchestration.warehouse import run_lock

        today = load_catalogue(workspace.declarations).company.today()
        with run_lock(workspace, "rcu review"), publish.identity_as_published(current) as connection:
            identity.decide(connection, workspace, decide[0], decide[1], who, on=today)
        out.print(f"{decide[0]}: {decide[1]}, by {escape(who)}; the next `rcu run` applies it")
        return
    with publish.identity_as_published(current) as connection:
        pairs = connection.execute(
            "select pair_id, left_source, left_record_id, right_source, right_record_id, match_probability, reason, "
            "guard from identity.match_review order by match_probability desc nulls last, pair_id limit ?",
            [limit],
        ).fetchall()
        waiting = connection.execute("select count(*) from identity.match_review").fetchall()[0][0]
    names = (
        "pair_id",
        "left_source",
        "left_record_id",
        "right_source",
        "right_record_id",
        "probability",
        "reason",
        "guard",
    )
    if as_json:
        for pair in pairs:
            click.echo(json.dumps(dict(zip(names, pair, strict=True))))
        return
    table = Table(title=f"{waiting:,} pairs wait", title_justify="left", title_style="bold")
    for column in ("pair", "left", "right", "probability", "reason", "guard"):
        table.add_column(column)
    for pair_id, ls, lr, rs, rr, probability, reason, guard in pairs:
        told = f"{probability:.3f}" if probability is not None else ""
        table.add_row(pair_id, f"{ls} {lr}", f"{rs} {rr}", told, reason or "", guard or "")
    out.print(table)
    out.print("answer one: rcu review --decide PAIR_ID same|different|later --by YOUR_NAME")

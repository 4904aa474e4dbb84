"""Commands on who is who: explain, review."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from orchestration.cli.app import cli, current_publication, escape, out
from orchestration.errors import UsageError
from orchestration.settings import Workspace

if TYPE_CHECKING:
    from orchestration.identity import Comparison, ReviewPair


@cli.command()
@click.argument("what", nargs=-1, required=True, metavar="CUSTOMER_ID | SOURCE RECORD_ID [SOURCE RECORD_ID]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def explain(workspace: Workspace, what: tuple[str, ...], as_json: bool) -> None:
    """Why records are one customer, or are not: links, weights of fields, rules, guards, vetoes."""
    from orchestration import identity, publish

    if len(what) not in (1, 2, 4):
        raise UsageError("give a customer id, a source and a record id, or two of each (which tells of the pair)")
    if len(what) == 4:
        _explain_pair(workspace, (what[0], what[1]), (what[2], what[3]), as_json=as_json)
        return
    with publish.identity_as_published(current_publication(workspace)) as connection:
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
    count = len(told.records)
    out.print(f"[bold]{told.current_customer_id}[/]: {count} record{'' if count == 1 else 's'}")
    for record in told.records:
        out.print(
            f"  {escape(record.source)} {escape(record.record_id)}, since {record.attached_on}, by {record.attached_by}"
        )
    if told.links:
        out.print("held by:")
    for link in told.links:
        out.print(f"  {escape(_link_in_words(link))}")
    if told.kept_out:
        out.print("kept out:")
    for link, guard in told.kept_out:
        out.print(f"  {escape(_link_in_words(link))}{f'; stopped by the guard {escape(guard)}' if guard else ''}")
    for when, event, who, to, reason in told.history:
        out.print(f"{when}: {who} {event}{f' into {to}' if to else ''}{f' ({escape(reason)})' if reason else ''}")


def _explain_pair(workspace: Workspace, left: tuple[str, str], right: tuple[str, str], *, as_json: bool) -> None:
    from orchestration import identity, publish

    with publish.identity_as_published(current_publication(workspace)) as connection:
        pair = identity.explain_pair(connection, left, right)
    compared, why_not = _compared(workspace, left, right)
    if as_json:
        made = dataclasses.asdict(compared) if compared else None
        click.echo(json.dumps({**dataclasses.asdict(pair), "comparison": made}))
        return
    same = "are one customer" if pair.is_same_customer else "are not one customer"
    out.print(f"they {same}: {escape(pair.why)}")
    for link in pair.chain or ((pair.direct,) if pair.direct else ()):
        out.print(f"  {escape(_link_in_words(link))}")
    if compared is None:
        out.print(f"field by field: {why_not}")
        return
    out.print("field by field:")
    for field in compared.fields:
        bits = f", {field.bits:+.1f} bits" if field.bits is not None else ""
        out.print(f"  {escape(field.field)}: {escape(field.level)}{bits}")
    if compared.weight is not None:
        out.print(
            f"weight: {compared.weight:+.1f} bits{f' (at most what the veto {escape(compared.veto)} allows)' if compared.veto else ''}"
        )
    for rule in compared.rules:
        out.print(f"rule {escape(rule)}: holds")
    for rule, missing in compared.failed.items():
        out.print(f"rule {escape(rule)}: {escape(missing)}")
    keys = ", ".join(compared.shared_keys)
    out.print(f"looked at because both have: {escape(keys)}" if keys else "no blocking key in common: never looked at")
    if compared.capped_keys:
        out.print(f"too many records share, so left out: {escape(', '.join(compared.capped_keys))}")


def _compared(workspace: Workspace, left: tuple[str, str], right: tuple[str, str]) -> tuple[Comparison | None, str]:
    """The two records compared anew in the build, or why that cannot be done now."""
    from orchestration import identity
    from orchestration.contracts.catalogue import load_catalogue
    from orchestration.errors import BusyError
    from orchestration.warehouse import connect, run_lock

    if not workspace.build_file.exists():
        return None, "the build is not there; `rcu run` makes it anew"
    catalogue = load_catalogue(workspace.declarations)
    try:
        with run_lock(workspace, "rcu explain"):
            connection = connect(workspace.build_file, read_only=True)
            try:
                found = identity.compare_records(
                    connection, workspace, catalogue.matching, left, right, as_of_on=catalogue.company.today()
                )
            finally:
                connection.close()
    except BusyError:
        return None, "a run holds the build; ask again when it has ended"
    return found, "the build does not hold both records"


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
@click.option("--pair", "pair_id", help="Show this pair alone, side by side.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per pair.")
@click.pass_obj
def review(
    workspace: Workspace,
    decide: tuple[str, str] | None,
    who: str | None,
    limit: int,
    pair_id: str | None,
    as_json: bool,
) -> None:
    """The pairs that wait for a steward, the most valuable first; --decide answers one."""
    from orchestration import identity, publish

    current = current_publication(workspace)
    if decide:
        _decide(workspace, decide, who)
        return
    with publish.identity_as_published(current) as connection:
        waiting = connection.execute("select count(*) from identity.match_review").fetchall()[0][0]
        pairs = identity.review_queue(connection, limit=waiting if pair_id else limit)
        set_aside = identity.set_aside_decisions(connection)
    if pair_id:
        pairs = [pair for pair in pairs if pair.pair_id == pair_id]
        if not pairs:
            raise UsageError(f'no pair "{pair_id}" waits for review; `rcu review` lists them')
    if as_json:
        for pair in pairs:
            click.echo(json.dumps(dataclasses.asdict(pair)))
        return
    if pair_id:
        _print_side_by_side(pairs[0])
        return
    table = Table(title=f"{waiting:,} pairs wait", title_justify="left", title_style="bold")
    table.add_column("pair", no_wrap=True, min_width=32)
    for column in ("left", "right", "probability", "bought", "reason", "guard"):
        table.add_column(column)
    for pair in pairs:
        told = f"{pair.probability:.3f}" if pair.probability is not None else ""
        table.add_row(
            pair.pair_id, escape(" ".join(pair.left)), escape(" ".join(pair.right)), told, f"{pair.value:,.0f}",
            pair.reason, pair.guard or "",
        )  # fmt: skip
    out.print(table)
    for decision in set_aside[:limit]:
        out.print(f"set aside: {escape(decision)}")
    if len(set_aside) > limit:
        out.print(f"and {len(set_aside) - limit:,} more decisions set aside: rcu.set_aside_decisions")
    out.print("side by side: rcu review --pair PAIR_ID")
    out.print("answer one: rcu review --decide PAIR_ID same|different|later --by YOUR_NAME")


def _decide(workspace: Workspace, decide: tuple[str, str], who: str | None) -> None:
    from orchestration import identity, publish
    from orchestration.contracts.catalogue import load_catalogue
    from orchestration.warehouse import run_lock

    if decide[1] not in ("same", "different", "later"):
        raise UsageError(f'"{decide[1]}" is no decision; say same, different or later')
    if not who:
        raise UsageError("--decide goes with --by: who takes the decision")
    today = load_catalogue(workspace.declarations).company.today()
    current = current_publication(workspace)
    with run_lock(workspace, "rcu review"), publish.identity_as_published(current) as connection:
        identity.decide(connection, workspace, decide[0], decide[1], who, on=today)
    out.print(f"{decide[0]}: {decide[1]}, by {escape(who)}; the next `rcu run` applies it")


def _print_side_by_side(pair: ReviewPair) -> None:
    told = f", p={pair.probability:.4f}" if pair.probability is not None else ""
    table = Table(title=f"{pair.reason}{told}", title_justify="left", title_style="bold")
    for column in ("", escape(" ".join(pair.left)), escape(" ".join(pair.right))):
        table.add_column(column)
    table.add_row("customer", pair.left_customer_id, pair.right_customer_id)
    for name, value in pair.left_values.items():
        table.add_row(name, escape(value or ""), escape(pair.right_values[name] or ""))
    out.print(table)
    weights = ", ".join(f"{field} {weight:+.1f}" for field, weight in pair.field_weights.items())
    if weights:
        out.print(f"bits that each field adds or takes away: {escape(weights)}")
    if pair.guard:
        out.print(f"the guard {escape(pair.guard)} stopped the join")
    out.print(f"answer: rcu review --decide {pair.pair_id} same|different|later --by YOUR_NAME")

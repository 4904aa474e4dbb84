"""Commands on segments: list, explain, preview, diff, why and import."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from orchestration.cli.app import cli, current_publication, escape, out
from orchestration.settings import Workspace
from orchestration.warehouse import Connection

as_json_option = click.option("--json", "as_json", is_flag=True, help="For a program: JSON.")


@cli.group()
def segment() -> None:
    """Look at a segment before and after it lives."""


@contextmanager
def _published(workspace: Workspace) -> Iterator[Connection]:
    """The current publication, only read."""
    from orchestration.warehouse import connect

    connection = connect(current_publication(workspace).database, read_only=True)
    try:
        yield connection
    finally:
        connection.close()


def _as_json(told: object) -> None:
    click.echo(json.dumps(told, default=str, ensure_ascii=False))


@segment.command(name="list")
@as_json_option
@click.pass_obj
def segment_list(workspace: Workspace, as_json: bool) -> None:
    """Every declared segment with its objective and its published size."""
    from orchestration import publish
    from orchestration.contracts.catalogue import load_catalogue

    catalogue = load_catalogue(workspace.declarations)
    sizes: dict[str, tuple[int, str]] = {}
    if publish.current(workspace) is not None:
        with _published(workspace) as connection:
            rows = connection.execute(
                "select segment, size, status from segments.sizes "
                "where as_of_on = (select as_of_on from segments.evaluation) order by segment"
            ).fetchall()
            sizes = {name: (size, status) for name, size, status in rows}
    told: list[dict[str, Any]] = [
        {
            "segment": one.segment, "label_en": one.label.en, "label_fr": one.label.fr, "objective": one.objective,
            "size": sizes.get(one.segment, (None,))[0], "status": sizes.get(one.segment, (None, "not published"))[1],
        }
        for one in sorted(catalogue.segments, key=lambda one: one.segment)
    ]  # fmt: skip
    if as_json:
        _as_json(told)
        return
    table = Table(title=f"{len(told)} segments", title_justify="left", title_style="bold")
    for column in ("segment", "size", "status", "label", "objective"):
        table.add_column(column, justify="right" if column == "size" else "left")
    for row in told:
        size = "" if row["size"] is None else f"{row['size']:,}"
        table.add_row(row["segment"], size, row["status"], escape(row["label_en"]), escape(row["objective"]))
    out.print(table)


@segment.command(name="explain")
@click.argument("name")
@as_json_option
@click.pass_obj
def segment_explain(workspace: Workspace, name: str, as_json: bool) -> None:
    """The rule in plain English and French, and its SQL."""
    from orchestration import segments
    from orchestration.contracts.catalogue import load_catalogue

    catalogue = load_catalogue(workspace.declarations)
    company = catalogue.company
    told = segments.explain(
        catalogue.segments, name, catalogue.fields, as_of_on=company.today(), time_zone=company.time_zone
    )
    if as_json:
        _as_json(dataclasses.asdict(told))
        return
    out.print(f"[bold]en[/] {escape(told.english)}\n[bold]fr[/] {escape(told.french)}\n[bold]sql[/] {escape(told.sql)}")


@segment.command(name="preview")
@click.argument("name")
@as_json_option
@click.pass_obj
def segment_preview(workspace: Workspace, name: str, as_json: bool) -> None:
    """Size, reach, overlap and a pseudonymised sample, on the published customers; no run."""
    from orchestration import segments
    from orchestration.contracts.catalogue import load_catalogue
    from orchestration.protection import current_key

    catalogue = load_catalogue(workspace.declarations)
    key = current_key(workspace)
    with _published(workspace) as connection:
        told = segments.preview(connection, catalogue.segments, name, pseudonym=lambda who: key.token("pseudonym", who))
    if as_json:
        _as_json({**dataclasses.asdict(told), "rate": told.rate})
        return
    out.print(
        f"{name}: {told.size:,} of {told.customer_count:,} customers ({told.rate:.1%}), as of {told.as_of_on}: {told.status}"
    )
    out.print("reach: " + ", ".join(f"{channel} {count:,}" for channel, count in told.reachable.items()))
    if told.control_count:
        out.print(f"control group: {told.control_count:,}, not to be contacted")
    for overlap in told.overlaps[:5]:
        out.print(f"  {overlap.share:.0%} also in {overlap.segment}")
    for row in told.sample:
        out.print(f"  {escape(json.dumps(row, default=str, ensure_ascii=False))}")


@segment.command(name="diff")
@click.argument("names", nargs=-1)
@as_json_option
@click.pass_obj
def segment_diff(workspace: Workspace, names: tuple[str, ...], as_json: bool) -> None:
    """Who would enter and leave if the declarations as they are now went live."""
    from orchestration import segments
    from orchestration.contracts.catalogue import load_catalogue
    from orchestration.protection import current_key

    catalogue = load_catalogue(workspace.declarations)
    key = current_key(workspace)
    with _published(workspace) as connection:
        found = segments.diff(
            connection, catalogue.segments, set(names) or None, pseudonym=lambda who: key.token("pseudonym", who)
        )
    if as_json:
        _as_json([dataclasses.asdict(one) for one in found])
        return
    for one in found:
        out.print(
            f"{one.segment}: {one.size_before:,} -> {one.size_after:,} ({one.entered_count:,} enter, "
            f"{one.left_count:,} leave; because of {one.because})"
        )
        for change, people, count in (
            ("enters", one.entering, one.entered_count), ("leaves", one.leaving, one.left_count),
        ):  # fmt: skip
            for row in people:
                out.print(f"  {change} {escape(json.dumps(row, default=str, ensure_ascii=False))}")
            if count > len(people):
                out.print(f"  and {count - len(people):,} more")
    if not found:
        out.print("nobody would enter or leave a segment")


@segment.command(name="why")
@click.argument("customer_id")
@click.argument("name", required=False)
@as_json_option
@click.pass_obj
def segment_why(workspace: Workspace, customer_id: str, name: str | None, as_json: bool) -> None:
    """Why a customer is in their segments; with NAME, condition by condition why in it or not."""
    from orchestration import segments
    from orchestration.contracts.catalogue import load_catalogue

    with _published(workspace) as connection:
        if name is None:
            stays = segments.memberships(connection, customer_id)
            if as_json:
                _as_json([dataclasses.asdict(one) for one in stays])
                return
            for stay in stays:
                until = f" until {stay.left_on}" if stay.left_on else ""
                control = " (control group)" if stay.is_control else ""
                reason = f": {json.dumps(stay.reason, ensure_ascii=False)}" if not stay.left_on else ""
                out.print(escape(f"{stay.segment}{control}, since {stay.entered_on}{until}{reason}"))
            if not stays:
                out.print("in no segment, now or before")
            return
        verdicts = segments.judge(connection, load_catalogue(workspace.declarations).segments, name, customer_id)
    if as_json:
        _as_json([dataclasses.asdict(one) for one in verdicts])
        return
    out.print(f"{name}: {'in' if all(one.holds for one in verdicts) else 'not in'}")
    for verdict in verdicts:
        values = f"  {json.dumps(verdict.values, ensure_ascii=False)}" if verdict.values else ""
        out.print(escape(f"  {'yes' if verdict.holds else 'no '} {verdict.english}{values}"))


@segment.command(name="import")
@click.argument("name")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.pass_obj
def segment_import(workspace: Workspace, name: str, file: Path) -> None:
    """Make FILE the static list NAME, whole: whoever is not in it is no longer on the list after the next run."""
    from orchestration import segments

    imported = segments.import_list(workspace.declarations / "segments" / "lists", name, file)
    before = "new" if imported.rows_before is None else f"{imported.rows_before:,} before"
    out.print(f"list {name}: {imported.rows:,} rows ({before}); use it with `in_list: {name}`, then `rcu run`")

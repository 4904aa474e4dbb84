"""Commands on personal data: access, erase, object, rectify, pin, requests, retain, register."""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from orchestration.cli.app import DAY, cli, escape, near, out
from orchestration.errors import UsageError
from orchestration.settings import Workspace

_WHO = "CUSTOMER_ID | EMAIL | SOURCE RECORD_ID"


def _catalogue(workspace: Workspace) -> Any:
    from orchestration.contracts.catalogue import load_catalogue

    workspace.prepare()
    return load_catalogue(workspace.declarations)


def _check_keys(workspace: Workspace) -> None:
    """Before anything is written: with a wrong key nobody would be known again. Raises UsageError."""
    from orchestration import protection

    protection.keys(workspace)


def _write(path: Path, text: str) -> None:
    """Write a file that its owner alone can read."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)


@cli.command()
@click.argument("what", nargs=-1, required=True, metavar=_WHO)
@click.option("--html", "page", type=click.Path(path_type=Path), help="Write a readable page to this file.")
@click.option("--portable", is_flag=True, help="Only what the person gave or caused (portability).")
@click.option("--request", "request_id", help="The request that this answers; it is closed.")
@click.option("--by", "who", default="", help="Who answers (with --request).")
@click.pass_obj
def access(
    workspace: Workspace, what: tuple[str, ...], page: Path | None, portable: bool, request_id: str | None, who: str
) -> None:
    """Everything held about a person, with where it came from, as JSON (or a page with --html)."""
    from orchestration import privacy
    from orchestration.warehouse import run_lock

    if request_id and not who:
        raise UsageError("--request goes with --by: who answers")
    catalogue = _catalogue(workspace)
    today = catalogue.company.today()
    with run_lock(workspace, "rcu access"):
        person = privacy.find_person(workspace, what)
        told = privacy.access_person(workspace, catalogue.company, catalogue.retention, person)
        if request_id:
            privacy.close(workspace, request_id, "answered", on=today, done_by=who)
    if page:
        _write(page, privacy.access_html(told, on=today))
        out.print(f"written: {near(page)} (readable by you alone; it holds personal data)")
    else:
        click.echo(json.dumps(privacy.portable(told) if portable else told, ensure_ascii=False, indent=1))


@cli.command()
@click.argument("what", nargs=-1, metavar=_WHO)
@click.option("--request", "request_id", help="The delivered request that this carries out.")
@click.option("--by", "who", default="", help="Who decides.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def erase(
    workspace: Workspace, what: tuple[str, ...], request_id: str | None, who: str, yes: bool, as_json: bool
) -> None:
    """Erase a person everywhere; without an argument, complete an erasure that was interrupted."""
    from orchestration import privacy
    from orchestration.warehouse import run_lock

    catalogue = _catalogue(workspace)
    today = catalogue.company.today()
    with run_lock(workspace, "rcu erase"):
        _check_keys(workspace)
        done = privacy.resume(workspace, catalogue.sources)
        if what:
            person = privacy.find_person(workspace, what)
            records = len(person.subject.records)
            if not yes:
                click.confirm(
                    f"Erase {person.customer_id or 'this record'} ({records} records)? This cannot be undone",
                    abort=True,
                )
            if request_id:
                privacy.require_open(workspace, request_id)
            else:
                request_id = privacy.open_request(
                    workspace, "erasure", received_on=today, customer_id=person.customer_id, done_by=who
                )
            done.append(
                privacy.erase(
                    workspace,
                    catalogue.sources,
                    person.subject,
                    request_id=request_id,
                    on=today,
                    done_by=who or "rcu erase",
                )
            )
        removals = privacy.tell_destinations(workspace, catalogue.activations)
    if as_json:
        click.echo(json.dumps([vars(report) for report in done], default=str))
        return
    for report in done:
        counts = report.counts
        out.print(
            f"erased, request {report.request_id}: {report.records} records, "
            f"{counts.get('deliveries_rows_removed', 0)} rows removed and {counts.get('deliveries_rows_anonymised', 0)} "
            f"order lines made anonymous in landing, {counts.get('deliveries_archived_files', 0)} original files, "
            f"{counts.get('publications_publications', 0)} publications and {counts.get('strays_cleaned', 0)} other files "
            "written anew"
        )
        for name in report.waiting_files:
            out.print(
                f"[yellow]warning:[/] inbox/{escape(name)} holds the person, or cannot be opened; it is cleaned when it is taken"
            )
        for name in report.stray_files:
            out.print(
                f"[yellow]warning:[/] {escape(name)} is no part of RCU, and holds the person or cannot be opened: "
                "look at it and delete it"
            )
    if removals.sent:
        out.print(f"{removals.sent} destinations that had received the person were told to take them away")
    for line in removals.waiting:
        out.print(f"[yellow]warning:[/] {escape(line)}; `rcu erase`, or the next run, sends it again")
    if not done and not removals.sent:
        out.print("nothing to do: no erasure was interrupted (name a person to erase)")
    elif done:
        out.print("the build was removed; the next `rcu run` makes it anew")


@cli.command("object")
@click.argument("what", nargs=-1, required=True, metavar=_WHO)
@click.option("--by", "who", default="", help="Who enters it.")
@click.pass_obj
def object_(workspace: Workspace, what: tuple[str, ...], who: str) -> None:
    """Put a person on the list of those who are not contacted."""
    from orchestration import privacy, suppression
    from orchestration.warehouse import run_lock

    catalogue = _catalogue(workspace)
    today = catalogue.company.today()
    named: dict[Any, set[str]] = {"email": {suppression.email_key(what[0])}} if "@" in what[0] else {}
    with run_lock(workspace, "rcu object"):
        _check_keys(workspace)
        try:
            person = privacy.find_person(workspace, what)
        except UsageError:
            if not named:
                raise
            # An address that several carry, or nobody yet, is refused as such: it binds whoever holds it.
            person = privacy.Person(None, privacy.Subject())
        request_id = privacy.open_request(
            workspace, "objection", received_on=today, customer_id=person.customer_id, done_by=who
        )
        new = privacy.object_to_contact(workspace, person.subject, named, since_on=today, request_id=request_id)
        privacy.close(workspace, request_id, "answered", on=today, done_by=who or "rcu object")
    told = person.customer_id or "the address"
    out.print(f"{told} is not contacted any more ({new} new entries); exports heed it now, tables from the next run")


def _values(given: tuple[str, ...], file: Path | None) -> dict[str, str]:
    """What is to be corrected, from FIELD=VALUE words and a file of JSON."""
    told: dict[str, str] = {}
    for word in given:
        name, equals, text = word.partition("=")
        if not equals:
            raise UsageError(f'"{name}" is no correction; write FIELD=VALUE, such as city=Lyon')
        told[name.strip()] = text
    if file is not None:
        try:
            document = json.loads(sys.stdin.read() if str(file) == "-" else file.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise UsageError(f"{file}: it cannot be read as JSON ({type(error).__name__})") from None
        if not isinstance(document, dict):
            raise UsageError(f'{file}: it holds no JSON object such as {{"city": "Lyon"}}')
        told |= {str(name): str(value) for name, value in document.items()}
    return told


@cli.command()
@click.argument("customer_id")
@click.argument("given", nargs=-1, metavar="FIELD=VALUE...")
@click.option("--values", "file", type=click.Path(path_type=Path), help="Corrections as a JSON object; - for stdin.")
@click.option("--by", "who", required=True, help="Who corrects.")
@click.option("--request", "request_id", help="The request that this answers; it is closed.")
@click.pass_obj
def rectify(
    workspace: Workspace, customer_id: str, given: tuple[str, ...], file: Path | None, who: str, request_id: str | None
) -> None:
    """Correct values of a person; they hold over every record from the next run on."""
    from orchestration import privacy
    from orchestration.warehouse import run_lock

    values = _values(given, file)
    catalogue = _catalogue(workspace)
    today = catalogue.company.today()
    with run_lock(workspace, "rcu rectify"):
        person = privacy.find_person(workspace, [customer_id])
        if request_id:
            privacy.require_open(workspace, request_id)
        path = privacy.rectify(
            workspace, catalogue.sources, person, values, by=who, at=dt.datetime.now(dt.UTC).replace(tzinfo=None)
        )
        if not request_id:
            request_id = privacy.open_request(
                workspace, "rectification", received_on=today, customer_id=person.customer_id, done_by=who
            )
        privacy.close(workspace, request_id, "answered", on=today, done_by=who)
    out.print(
        f"{person.customer_id}: {', '.join(sorted(values))} corrected in {near(path)}; the next `rcu run` takes it"
    )


@cli.command()
@click.argument("customer_id")
@click.argument("attribute")
@click.argument("record", nargs=-1, metavar="[SOURCE RECORD_ID]")
@click.option("--off", is_flag=True, help="Take the pin back: the rules choose again.")
@click.option("--by", "who", required=True, help="Who decides.")
@click.pass_obj
def pin(workspace: Workspace, customer_id: str, attribute: str, record: tuple[str, ...], off: bool, who: str) -> None:
    """Take a golden value from one record, whatever the rules say."""
    from orchestration import privacy
    from orchestration.warehouse import run_lock

    if len(record) != (0 if off else 2):
        raise UsageError("give the source and the id of the record to take it from, or --off alone")
    catalogue = _catalogue(workspace)
    with run_lock(workspace, "rcu pin"):
        person = privacy.find_person(workspace, [customer_id])
        path = privacy.pin(
            workspace, catalogue.sources, person, attribute, None if off else (record[0], record[1]), by=who,
            at=dt.datetime.now(dt.UTC).replace(tzinfo=None),
        )  # fmt: skip
    told = "by its rules again" if off else f"from {' '.join(record)}"
    out.print(f"{person.customer_id}: {attribute} {escape(told)}, in {near(path)}; the next `rcu run` takes it")


@cli.command("requests")
@click.option("--open", "kind", help="Enter a request: access, erasure, rectification, objection, portability.")
@click.option("--customer", help="Who asked (with --open): a customer id.")
@click.option("--received", type=DAY, help="Day it was received (with --open; default: today).")
@click.option("--close", "request_id", help="Note how a request ended (with --as and --by).")
@click.option("--as", "event", type=click.Choice(["answered", "refused", "extended"]), help="How it ended.")
@click.option("--by", "who", default="", help="Who enters it.")
@click.option("--all", "show_all", is_flag=True, help="Closed ones too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per request.")
@click.pass_obj
def requests_(
    workspace: Workspace, kind: str | None, customer: str | None, received: dt.date | None, request_id: str | None,
    event: str | None, who: str, show_all: bool, as_json: bool,
) -> None:  # fmt: skip
    """The ledger of requests: what was asked, until when an answer is due; enter and close them."""
    from orchestration import privacy
    from orchestration.warehouse import run_lock

    catalogue = _catalogue(workspace)
    today = catalogue.company.today()
    if kind:
        if not customer:
            raise UsageError("--open goes with --customer: whose request it is")
        if received and received > today:
            raise UsageError(f"--received {received} is in the future; today is {today}")
        with run_lock(workspace, "rcu requests"):
            person = privacy.find_person(workspace, [customer])
            new = privacy.open_request(
                workspace, kind, received_on=received or today, customer_id=person.customer_id, done_by=who
            )
        out.print(f"{new}: {kind}, entered")
        return
    if request_id:
        if not event or not who:
            raise UsageError("--close goes with --as answered|refused|extended and --by: who decides")
        with run_lock(workspace, "rcu requests"):
            closed = privacy.close(workspace, request_id, event, on=today, done_by=who)
        out.print(f"{request_id}: {closed.state}, due {closed.due_on}")
        return
    found = [one for one in privacy.requests(workspace) if show_all or one.state == "open"]
    if as_json:
        for one in found:
            click.echo(json.dumps({**vars(one), "is_overdue": one.is_overdue(today)}, default=str))
        return
    table = Table(title=f"{len(found)} requests", title_justify="left", title_style="bold")
    for column in ("request", "kind", "received", "due", "state", "customer", "origin", "note"):
        table.add_column(column)
    for one in found:
        state = "[red]overdue[/]" if one.is_overdue(today) else one.state
        table.add_row(
            escape(one.request_id), one.request_type, str(one.received_on), str(one.due_on), state,
            one.customer_id or "", escape(one.origin), escape(one.reason),
        )  # fmt: skip
    out.print(table)
    demo = workspace.data / "truth.csv"  # who is who in the extracts that `rcu samples` makes: searched, not told
    others = [path.relative_to(workspace.root).as_posix() for path in privacy.stray_files(workspace) if path != demo]
    if others:
        others.sort(key=lambda place: (place.count("/"), place))
        shown = ", ".join(map(escape, others[:5])) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
        out.print(
            f"[yellow]warning:[/] {len(others)} files are no part of RCU: {shown}; erasures search them, nothing lets them "
            "go: delete what nobody needs"
        )


@cli.command()
@click.option("--dry-run", is_flag=True, help="Count what would go; change nothing.")
@click.option("--on", type=DAY, help="As of this day (default: today).")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def retain(workspace: Workspace, dry_run: bool, on: dt.date | None, as_json: bool) -> None:
    """Remove what was kept long enough, as declarations/retention.yml says."""
    from orchestration import privacy
    from orchestration.warehouse import run_lock

    catalogue = _catalogue(workspace)
    today = catalogue.company.today()
    if on and on > today:
        raise UsageError(f"--on {on} is in the future: what is not due yet would go; today is {today}")

    def expire_runs(before: dt.date, is_dry: bool) -> int:
        from orchestration.cli.runs import write_instance_settings

        if not (workspace.dagster_home / "history").exists():
            return 0
        write_instance_settings(workspace)
        from dagster import DagsterInstance

        from orchestration.defs.privacy import expire_runs as expire

        with DagsterInstance.get() as instance:
            return expire(instance, before, is_dry)

    with run_lock(workspace, "rcu retain"):
        report = privacy.retain(
            workspace, catalogue.sources, catalogue.retention, on=on or today, is_dry=dry_run, expire_runs=expire_runs
        )
        removals = None if dry_run else privacy.tell_destinations(workspace, catalogue.activations)
    if as_json:
        click.echo(json.dumps({"on": str(report.on), "is_dry": report.is_dry, **report.counts(), "rows": report.rows}))
        return
    table = Table(title=f"retention as of {report.on}{' (dry run)' if dry_run else ''}", title_justify="left")
    table.add_column("what")
    table.add_column("would go" if dry_run else "removed", justify="right")
    for name, count in report.counts().items():
        table.add_row(name.replace("_", " "), f"{count:,}")
    out.print(table)
    for line in removals.waiting if removals else ():
        out.print(f"[yellow]warning:[/] {escape(line)}; the next run sends it again")


@cli.command()
@click.option("--html", "page", type=click.Path(path_type=Path), help="Write a page to this file.")
@click.pass_obj
def register(workspace: Workspace, page: Path | None) -> None:
    """The register of processing (GDPR, article 30), from the declarations, as Markdown (or a page with --html)."""
    from orchestration import privacy

    catalogue = _catalogue(workspace)
    if page:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(privacy.processing_html(catalogue, catalogue.retention), encoding="utf-8")
        out.print(f"written: {near(page)}")
    else:
        click.echo(privacy.processing_markdown(catalogue, catalogue.retention), nl=False)

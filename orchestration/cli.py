"""The `rcu` command. Parses, calls, prints; every error is one line and every exit code has a meaning.

Exit codes: 0 done · 1 failed · 2 wrong call or declaration · 3 a source failed · 4 a gate failed ·
5 another run holds the warehouse · 6 the build belongs to another run.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from orchestration.errors import RcuError, UsageError
from orchestration.settings import Workspace, current_workspace, export_to_environment

out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 140)
err = Console(stderr=True, highlight=False, soft_wrap=True)

DEMO_CUSTOMERS, DEMO_SEED, DEMO_DAYS = 3_000, 1, 3


def main() -> None:
    """Entry point: run a command, turn an RcuError into one line and its exit code."""
    try:
        cli.main(standalone_mode=False, prog_name="rcu")
    except RcuError as error:
        err.print(f"[red]error:[/] {_escape(str(error))}")
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except click.Abort:
        err.print("stopped")
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _escape(text: str) -> str:
    return text.replace("[", r"\[")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--workspace",
    metavar="DIR",
    help="Folder with declarations/ and data/ (default: RCU_WORKSPACE, else this project).",
)
@click.pass_context
def cli(context: click.Context, workspace: str | None) -> None:
    """RCU: one trusted record per customer, every day, from the extracts of all your systems."""
    found = current_workspace(workspace)
    if not found.root.is_dir():
        raise UsageError(f"{found.root}: there is no such workspace folder; create it, or leave --workspace out")
    export_to_environment(found)
    context.obj = found


class _Day(click.ParamType):
    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dt.date:
        if isinstance(value, dt.date):
            return value
        try:
            return dt.date.fromisoformat(value)
        except ValueError:
            self.fail(f'"{value}" is not a date; write it as 2026-03-31', param, ctx)


DAY = _Day()


@cli.command()
@click.option(
    "--customers",
    default=DEMO_CUSTOMERS,
    show_default=True,
    type=click.IntRange(10, 5_000_000),
    help="How many persons.",
)
@click.option("--seed", default=DEMO_SEED, show_default=True, help="Same arguments, same files, byte for byte.")
@click.option(
    "--days",
    default=0,
    show_default=True,
    type=click.IntRange(0, 366),
    help="Dated daily deliveries after the initial load.",
)
@click.option("--until", type=DAY, help="Last day of the data (default: today).")
@click.option("--into", type=click.Path(path_type=Path), help="Folder for the files (default: the inbox).")
@click.pass_obj
def samples(
    workspace: Workspace, customers: int, seed: int, days: int, until: dt.date | None, into: Path | None
) -> None:
    """Make the extracts of the demo retailer (all persons invented), and truth.csv."""
    _make_samples(workspace, customers, seed, days, until, into)


def _make_samples(
    workspace: Workspace, customers: int, seed: int, days: int, until: dt.date | None, into: Path | None
) -> None:
    from orchestration.contracts.catalogue import load_catalogue
    from orchestration.samples.generate import generate

    workspace.prepare()
    target = into or workspace.inbox
    truth = (into.parent if into else workspace.data) / "truth.csv"
    with _timed(f"demo extracts: {customers:,} persons, seed {seed}, {days} daily deliveries -> {_near(target)}"):
        report = generate(
            target,
            customers=customers,
            seed=seed,
            days=days,
            until=until or load_catalogue(workspace.declarations).company.today(),
            truth_file=truth,
        )
    out.print(f"  {report.files} files, {report.rows:,} rows; who is who: {_near(truth)}")


@cli.command()
@click.pass_obj
def check(workspace: Workspace) -> None:
    """Check all declarations; no data is touched."""
    from orchestration.contracts.catalogue import load_catalogue

    catalogue = load_catalogue(workspace.declarations)
    checks = sum(len(gate.checks) for gate in catalogue.gates.values())
    out.print(
        f"all declarations are right: {len(catalogue.sources)} sources, {len(catalogue.segments)} segments, "
        f"{len(catalogue.triggers)} triggers, {len(catalogue.gates)} gates with {checks} checks"
    )


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path))
def init(folder: Path) -> None:
    """Write a commented starter workspace into FOLDER."""
    from orchestration.contracts.starter import write_starter

    for path in write_starter(folder):
        out.print(f"  {_near(path)}")
    out.print(f"next: an extract into {_near(folder / 'data' / 'inbox')}, then rcu --workspace {_near(folder)} run")


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
            out.print(f"{count:,} rows to mend: {_near(file)}; change raw_text, then `rcu replay`")
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
        out.print(f"[yellow]warning:[/] {_escape(message)}")
    out.print(
        f"replayed: {len(report.files)} files, {report.rows_landed:,} rows landed, {report.rows_quarantined:,} still in "
        "quarantine; the next `rcu run` uses them"
    )


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
    with publish.identity_as_published(_current(workspace)) as connection:
        if len(what) == 4:
            pair = identity.explain_pair(connection, (what[0], what[1]), (what[2], what[3]))
            if as_json:
                click.echo(json.dumps(dataclasses.asdict(pair)))
                return
            same = "are one customer" if pair.is_same_customer else "are not one customer"
            out.print(f"they {same}: {_escape(pair.why)}")
            for link in pair.chain or ((pair.direct,) if pair.direct else ()):
                out.print(f"  {_escape(_link_in_words(link))}")
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
            f"  {_escape(record.source)} {_escape(record.record_id)}, since {record.attached_on}, by {record.attached_by}"
        )
    for title, links in (("held by", told.links), ("kept out", [link for link, _ in told.kept_out])):
        if links:
            out.print(f"{title}:")
            for link in links:
                out.print(f"  {_escape(_link_in_words(link))}")
    for when, event, who, to, reason in told.history:
        out.print(f"{when}: {who} {event}{f' into {to}' if to else ''}{f' ({_escape(reason)})' if reason else ''}")


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

    current = _current(workspace)
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
        out.print(f"{decide[0]}: {decide[1]}, by {_escape(who)}; the next `rcu run` applies it")
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


@cli.group()
def segment() -> None:
    """Look at a segment before and after it lives."""


@segment.command(name="explain")
@click.argument("name")
@click.pass_obj
def segment_explain(workspace: Workspace, name: str) -> None:
    """The rule in plain English and French, and its SQL."""
    from orchestration import segments
    from orchestration.contracts.catalogue import MARTS_CONTRACT, load_catalogue
    from orchestration.contracts.segment import read_catalogue

    catalogue = load_catalogue(workspace.declarations)
    company = catalogue.company
    told = segments.explain(
        catalogue.segments, name, read_catalogue(MARTS_CONTRACT), as_of_on=company.today(), time_zone=company.time_zone
    )
    out.print(
        f"[bold]en[/] {_escape(told.english)}\n[bold]fr[/] {_escape(told.french)}\n[bold]sql[/] {_escape(told.sql)}"
    )


@segment.command(name="preview")
@click.argument("name")
@click.pass_obj
def segment_preview(workspace: Workspace, name: str) -> None:
    """Size, reach, overlap and a pseudonymised sample, on the published customers; no run."""
    from orchestration import segments
    from orchestration.contracts.catalogue import load_catalogue
    from orchestration.protection import current_key
    from orchestration.warehouse import connect

    catalogue = load_catalogue(workspace.declarations)
    key = current_key(workspace)
    connection = connect(_current(workspace).database, read_only=True)
    try:
        told = segments.preview(connection, catalogue.segments, name, pseudonym=lambda who: key.token("pseudonym", who))
    finally:
        connection.close()
    out.print(
        f"{name}: {told.size:,} of {told.customer_count:,} customers ({told.rate:.1%}), as of {told.as_of_on}: {told.status}"
    )
    out.print("reach: " + ", ".join(f"{channel} {count:,}" for channel, count in told.reachable.items()))
    for overlap in told.overlaps[:5]:
        out.print(f"  {overlap.share:.0%} also in {overlap.segment}")
    for row in told.sample:
        out.print(f"  {_escape(json.dumps(row, default=str, ensure_ascii=False))}")


@segment.command(name="diff")
@click.argument("names", nargs=-1)
@click.pass_obj
def segment_diff(workspace: Workspace, names: tuple[str, ...]) -> None:
    """Who would enter and leave if the declarations as they are now went live."""
    from orchestration import segments
    from orchestration.contracts.catalogue import load_catalogue
    from orchestration.protection import current_key
    from orchestration.warehouse import connect

    catalogue = load_catalogue(workspace.declarations)
    key = current_key(workspace)
    connection = connect(_current(workspace).database, read_only=True)
    try:
        found = segments.diff(
            connection, catalogue.segments, set(names) or None, pseudonym=lambda who: key.token("pseudonym", who)
        )
    finally:
        connection.close()
    for one in found:
        out.print(
            f"{one.segment}: {one.size_before:,} -> {one.size_after:,} ({one.entered_count:,} enter, "
            f"{one.left_count:,} leave; because of {one.because})"
        )
    if not found:
        out.print("nobody would enter or leave a segment")


@cli.command()
@click.option("--as-of", "as_of", type=DAY, help="The run's date (default: today in the company's time zone).")
@click.option("--from", "first", type=DAY, help="First day of a backfill.")
@click.option("--to", "last", type=DAY, help="Last day of a backfill.")
@click.pass_obj
def run(workspace: Workspace, as_of: dt.date | None, first: dt.date | None, last: dt.date | None) -> None:
    """Run the whole chain through Dagster, for one date or for each day from --from to --to."""
    if (first is None) != (last is None):
        raise UsageError("--from and --to go together; for one date use --as-of")
    if first and last:
        if as_of:
            raise UsageError("--as-of is for one date, --from and --to for several; give one or the other")
        if last < first:
            raise UsageError(f"--to {last} is before --from {first}; swap them")
        _run_days(workspace, [first + dt.timedelta(days=n) for n in range((last - first).days + 1)])
    else:
        _run_days(workspace, [as_of])


@cli.command()
@click.pass_obj
def demo(workspace: Workspace) -> None:
    """Make the demo extracts where nothing was ever delivered, run the whole chain, say where to look."""
    _make_demo_extracts(workspace)
    _run_days(workspace, [None])


def _make_demo_extracts(workspace: Workspace) -> None:
    was_delivered = any(workspace.registry.glob("files/*.parquet"))
    is_waiting = workspace.inbox.is_dir() and any(
        p.is_file() and not p.name.startswith(".") for p in workspace.inbox.rglob("*")
    )
    if not was_delivered and not is_waiting:
        _make_samples(workspace, DEMO_CUSTOMERS, DEMO_SEED, DEMO_DAYS, None, None)


def _run_days(workspace: Workspace, days: list[dt.date | None]) -> None:
    from orchestration.contracts.catalogue import load_catalogue
    from orchestration.warehouse import run_lock

    workspace.prepare()
    catalogue = load_catalogue(workspace.declarations)
    with run_lock(workspace, "rcu run"):
        pass  # a held lock is said at once, before the seconds that loading Dagster takes
    with _timed("loading the pipeline"):
        job, instance = _daily_job(workspace)
    with instance:
        for day in days:
            as_of_on = day or catalogue.company.today()
            if as_of_on < catalogue.company.first_day:
                raise UsageError(
                    f"{as_of_on} is before first_day {catalogue.company.first_day} of declarations/company.yml; "
                    "set an earlier first_day or choose a later date"
                )
            _run_one(workspace, job, instance, as_of_on)


def _daily_job(workspace: Workspace) -> tuple[Any, Any]:
    import warnings

    warnings.filterwarnings("ignore")
    logging.captureWarnings(True)
    write_instance_settings(workspace)
    import dagster as dg

    from orchestration.definitions import build_definitions

    return build_definitions(workspace).resolve_job_def("daily"), dg.DagsterInstance.get()


def write_instance_settings(workspace: Workspace) -> None:
    """Put dagster.yaml into DAGSTER_HOME, and tell the UI that its first-visit window was seen."""
    template = Path(__file__).parent / "defs" / "dagster.yaml"
    target = workspace.dagster_home / "dagster.yaml"
    workspace.dagster_home.mkdir(parents=True, exist_ok=True)
    text = template.read_text(encoding="utf-8")
    if not target.exists() or target.read_text(encoding="utf-8") != text:
        target.write_text(text, encoding="utf-8")
    seen = workspace.dagster_home / ".nux" / "nux.yaml"
    if not seen.exists():
        seen.parent.mkdir(exist_ok=True)
        seen.write_text("seen: 1\n", encoding="utf-8")


class RunFailed(RcuError):
    """A run that failed, with the exit code of what failed it."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def _run_one(workspace: Workspace, job: Any, instance: Any, as_of_on: dt.date) -> None:
    from orchestration import publish

    before = publish.current(workspace)
    started = time.monotonic()
    out.print(f"[bold]run as of {as_of_on}[/]")
    with _progress():
        result = job.execute_in_process(
            partition_key=as_of_on.isoformat(),
            instance=instance,
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
    if not result.success:
        raise _failure_of(result)
    version = _published_version(result)
    if version is None:
        current = publish.current(workspace)
        told = f"version {current.version} already holds {as_of_on}" if current else "nothing was published"
        out.print(
            f"nothing new: {told} from the same deliveries; nothing was published ({time.monotonic() - started:.0f} s)"
        )
        return
    _print_summary(workspace, version, time.monotonic() - started, is_first=before is None)


def _published_version(result: Any) -> str | None:
    for event in result.get_asset_materialization_events():
        if event.asset_key.path == ["published", "rcu"]:
            return str(event.materialization.metadata["version"].value)
    return None


def _failure_of(result: Any) -> RcuError:
    """The first thing that failed, as one line: a person's error, a gate, or a bug with its place."""
    for event in result.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            user = data.user_failure_data
            if user is not None:
                code = (user.metadata or {}).get("exit_code")
                return RunFailed(user.description or "the run failed", int(code.value) if code else 1)
            error = data.error
            if error.cls_name == "DagsterAssetCheckFailedError":
                return RunFailed(_gate_message(result, event.step_key), 4)
            cause = error
            while cause.cause is not None:
                cause = cause.cause
            return RunFailed(
                f"step {event.step_key}: {' '.join(cause.message.split())}; details: rcu ui, run {result.run_id}", 1
            )
    for event in result.all_events:
        data = getattr(event, "event_specific_data", None)
        error = getattr(data, "error", None)
        if error is not None:
            while error.cause is not None:
                error = error.cause
            is_busy = error.cls_name == "BusyError"
            return RunFailed(error.message.split(": ", 1)[-1].strip(), 5 if is_busy else 1)
    return RunFailed(f"the run failed; details: rcu ui, run {result.run_id}", 1)


def _gate_message(result: Any, step: str) -> str:
    failed = [
        f"{'.'.join(evaluation.asset_key.path)}: {evaluation.check_name}"
        + (f" ({evaluation.description})" if evaluation.description else "")
        for evaluation in result.get_asset_check_evaluations()
        if not evaluation.passed and evaluation.severity.value == "ERROR"
    ]
    return (
        f"{step.replace('_', ' ')} failed, nothing was published: {'; '.join(failed[:5])}"
        f"{f' and {len(failed) - 5} more' if len(failed) > 5 else ''}; mend the source or declarations/quality/, then run again"
    )


def _print_summary(workspace: Workspace, version: str, seconds: float, *, is_first: bool) -> None:
    from orchestration.warehouse import connect

    folder = workspace.published / f"rcu-{version}"
    connection = connect(folder / "rcu.duckdb", read_only=True)

    def one(query: str) -> Any:
        row = connection.execute(query).fetchone()
        return row[0] if row else None

    table = Table(title=f"publication {version}", show_header=False, title_justify="left", title_style="bold")
    table.add_column()
    table.add_column(justify="right")
    for label, query in (
        ("rows in", "select coalesce(sum(rows_read), 0) from audit.files"),
        ("rows quarantined", "select coalesce(sum(rows_quarantined), 0) from audit.files"),
        ("customer records", "select count(*) from rcu.customer_records"),
        ("customers", "select count(*) from rcu.customers"),
        ("orders", "select count(*) from marts.orders"),
    ):
        table.add_row(label, f"{one(query):,}")
    table.add_section()
    for name, size in connection.execute(
        "select segment, size from segments.sizes "
        "where as_of_on = (select max(as_of_on) from segments.sizes) order by size desc, segment"
    ).fetchall():
        table.add_row(f"segment {name}", f"{size:,}")
    table.add_section()
    passed, total = connection.execute("select count(*) filter (where passed), count(*) from audit.checks").fetchall()[
        0
    ]
    table.add_row("checks passed", f"{passed} of {total}")
    warned = connection.execute("select name, message from audit.checks where not passed order by name").fetchall()
    connection.close()
    out.print(table)
    for name, message in warned:
        out.print(f"[yellow]warning:[/] {_escape(name)}: {_escape(message or 'see audit.checks')}")
    current = workspace.published / "current"
    is_current = current.exists() and current.resolve() == folder.resolve()
    out.print(f"published in {seconds:.0f} s: {_near(current if is_current else folder)}/rcu.duckdb")
    out.print("try next:")
    out.print(
        '  .venv/bin/rcu query "select lifecycle_stage, count(*) from marts.customer_360 group by all order by 2 desc"'
    )
    out.print("  .venv/bin/rcu status")
    out.print("  make ui          (then open http://localhost:3000)")


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

    connection = connect(_current(workspace).database, read_only=True)
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

        writer = csv.writer(sys.stdout)
        writer.writerow(columns)
        writer.writerows(rows)
    else:
        table = Table()
        for column in columns:
            table.add_column(column)
        shown = rows if limit == 0 else rows[:limit]
        for row in shown:
            table.add_row(*("" if value is None else _escape(str(value)) for value in row))
        out.print(table)
        if len(shown) < len(rows):
            out.print(f"{len(shown)} of {len(rows):,} rows; --limit 0 shows all")


def _current(workspace: Workspace) -> Any:
    """The current publication, or the error that says how to get one."""
    from orchestration import publish

    current = publish.current(workspace)
    if current is None:
        raise UsageError(f"{_near(workspace.published)}: nothing is published yet; run `rcu run` first")
    return current


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
        out.print(f"  {_near(told.current.database)}")
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
        out.print(f"[yellow]{file.status}:[/] {_escape(file.file_name)}: {_escape(file.message)}")
    if waiting:
        out.print(f"inbox: {len(waiting)} files wait: {', '.join(waiting[:5])}{' ...' if len(waiting) > 5 else ''}")
    for run in told.runs[:5]:
        out.print(
            f"run {run.run_id[:8]} as of {run.as_of_on}: {run.status}{f' ({_escape(run.reason)})' if run.reason else ''}"
        )


@cli.command()
@click.option("--to", "version", help="The version to go back to (default: the one before the current).")
@click.pass_obj
def rollback(workspace: Workspace, version: str | None) -> None:
    """Point `current` back at an earlier publication."""
    from orchestration import publish
    from orchestration.warehouse import run_lock

    with run_lock(workspace, "rcu rollback"):
        publication = publish.rollback(workspace, version)
    out.print(f"current is now version {publication.version}, as of {publication.as_of_on}")


@cli.command()
@click.option("--port", default=3000, show_default=True)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Anything but loopback needs a proxy that asks for a password.",
)
@click.pass_obj
def ui(workspace: Workspace, port: int, host: str) -> None:
    """Open the Dagster UI for this workspace."""
    from orchestration.settings import PROJECT_ROOT

    workspace.prepare()
    write_instance_settings(workspace)
    if workspace.root == PROJECT_ROOT:
        _make_demo_extracts(workspace)
    binary = Path(sys.executable).parent / "dagster"
    out.print(f"Dagster is starting on http://localhost:{port} (about 15 seconds; Ctrl-C ends it)")
    sys.stdout.flush()
    os.chdir(PROJECT_ROOT)
    os.execv(
        str(binary),
        [str(binary), "dev", "--workspace", str(PROJECT_ROOT / "workspace.yaml"), "--host", host, "--port", str(port)],
    )


def _near(path: Path) -> str:
    """A path as short as it can be told from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


@contextmanager
def _timed(label: str) -> Iterator[None]:
    out.print(label, end=" ")
    started = time.monotonic()
    yield
    out.print(f"({time.monotonic() - started:.1f} s)")


@contextmanager
def _progress() -> Iterator[None]:
    """Show the steps of a run as they begin and end."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            out.print(f"  {_escape(record.getMessage())}")

    logger, handler = logging.getLogger("rcu.progress"), Handler()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)


if __name__ == "__main__":
    main()

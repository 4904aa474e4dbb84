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

DEMO_CUSTOMERS, DEMO_SEED, DEMO_DAYS = 5_000, 1, 3


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
        f"{len(catalogue.gates)} gates with {checks} checks"
    )


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
    waiting = sorted(p.name for p in workspace.inbox.rglob("*") if p.is_file() and not p.name.startswith("."))
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

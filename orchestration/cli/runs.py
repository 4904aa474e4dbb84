"""Commands that run the chain: run, demo, ui."""

from __future__ import annotations

import datetime as dt
import logging
import os
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from orchestration.cli.app import DAY, cli, escape, near, out, timed
from orchestration.cli.starting import make_demo_extracts
from orchestration.errors import RcuError, UsageError
from orchestration.settings import Workspace


@cli.command()
@click.option("--as-of", "as_of", type=DAY, help="The run's date (default: today in the company's time zone).")
@click.option("--from", "first", type=DAY, help="First day of a backfill.")
@click.option("--to", "last", type=DAY, help="Last day of a backfill.")
@click.option("--refit", is_flag=True, help="Fit score models and decay curves anew; run even if no file is new.")
@click.pass_obj
def run(workspace: Workspace, as_of: dt.date | None, first: dt.date | None, last: dt.date | None, refit: bool) -> None:
    """Run the whole chain through Dagster, for one date or for each day from --from to --to."""
    if (first is None) != (last is None):
        raise UsageError("--from and --to go together; for one date use --as-of")
    if first and last:
        if as_of:
            raise UsageError("--as-of is for one date, --from and --to for several; give one or the other")
        if last < first:
            raise UsageError(f"--to {last} is before --from {first}; swap them")
        _run_days(workspace, [first + dt.timedelta(days=n) for n in range((last - first).days + 1)], refit=refit)
    else:
        _run_days(workspace, [as_of], refit=refit)


@cli.command()
@click.pass_obj
def demo(workspace: Workspace) -> None:
    """Make the demo extracts where nothing was ever delivered, run the whole chain, say where to look."""
    make_demo_extracts(workspace)
    _run_days(workspace, [None])


def _run_days(workspace: Workspace, days: list[dt.date | None], *, refit: bool = False) -> None:
    from orchestration.contracts.catalogue import load_catalogue
    from orchestration.warehouse import run_lock

    workspace.prepare()
    catalogue = load_catalogue(workspace.declarations)
    with run_lock(workspace, "rcu run"):
        pass  # a held lock is said at once, before the seconds that loading Dagster takes
    with timed("loading the pipeline"):
        job, instance = _daily_job(workspace)
    with instance:
        for day in days:
            as_of_on = day or catalogue.company.today()
            if as_of_on < catalogue.company.first_day:
                raise UsageError(
                    f"{as_of_on} is before first_day {catalogue.company.first_day} of declarations/company.yml; "
                    "set an earlier first_day or choose a later date"
                )
            if as_of_on > catalogue.company.today():
                raise UsageError(
                    f"{as_of_on} is in the future: today is {catalogue.company.today()} in "
                    f"{catalogue.company.time_zone}; choose today or an earlier date"
                )
            _run_one(workspace, job, instance, as_of_on, refit=refit)


def _daily_job(workspace: Workspace) -> tuple[Any, Any]:
    import warnings

    warnings.filterwarnings("ignore")
    logging.captureWarnings(True)
    # With nothing new, gates are skipped like what they stand on, and Dagster warns of each check.
    logging.getLogger("dagster._core.execution.plan.active").setLevel(logging.ERROR)
    write_instance_settings(workspace)
    import dagster as dg

    from orchestration.definitions import build_definitions

    return build_definitions(workspace).resolve_job_def("daily"), dg.DagsterInstance.get()


def write_instance_settings(workspace: Workspace) -> None:
    """Put dagster.yaml into DAGSTER_HOME, and tell the UI that its first-visit window was seen."""
    template = Path(__file__).parent.parent / "defs" / "dagster.yaml"
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


def _run_one(workspace: Workspace, job: Any, instance: Any, as_of_on: dt.date, *, refit: bool) -> None:
    from orchestration import publish
    from orchestration.defs.run_context import event_log_kept_open, process_tag, refit_config

    before = publish.current(workspace)
    started = time.monotonic()
    out.print(f"[bold]run as of {as_of_on}[/]")
    run_id = str(uuid.uuid4())
    with progress(), event_log_kept_open(workspace, instance, run_id):
        result = job.execute_in_process(
            run_id=run_id,
            partition_key=as_of_on.isoformat(),
            instance=instance,
            raise_on_error=False,
            tags=process_tag(),
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}, **refit_config(refit)},
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
        out.print(f"[yellow]warning:[/] {escape(name)}: {escape(message or 'see audit.checks')}")
    current = workspace.published / "current"
    is_current = current.exists() and current.resolve() == folder.resolve()
    out.print(f"published in {seconds:.0f} s: {near(current if is_current else folder)}/rcu.duckdb")
    out.print("try next:")
    out.print(
        '  .venv/bin/rcu query "select lifecycle_stage, count(*) from marts.customer_360 group by all order by 2 desc"'
    )
    out.print("  .venv/bin/rcu status")
    out.print("  make ui          (then open http://localhost:3000)")


@contextmanager
def progress() -> Iterator[None]:
    """Show the steps of a run as they begin and end."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            out.print(f"  {escape(record.getMessage())}")

    logger, handler = logging.getLogger("rcu.progress"), Handler()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)


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
        make_demo_extracts(workspace)
    binary = Path(sys.executable).parent / "dagster"
    out.print(f"Dagster is starting on http://localhost:{port} (about 15 seconds; Ctrl-C ends it)")
    sys.stdout.flush()
    os.chdir(PROJECT_ROOT)
    os.execv(
        str(binary),
        [str(binary), "dev", "--workspace", str(PROJECT_ROOT / "workspace.yaml"), "--host", host, "--port", str(port)],
    )

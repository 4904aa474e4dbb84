"""The `rcu` group, and what all its commands share: consoles, dates, paths as they are told."""

from __future__ import annotations

import datetime as dt
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from orchestration.errors import UsageError
from orchestration.settings import Workspace, current_workspace, export_to_environment
from orchestration.unlocking import KeyHolder, hold_keys

out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 140)


err = Console(stderr=True, highlight=False, soft_wrap=True)


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
    hold_keys(found.data, KeyHolder(found.key_file, lambda: _database_keys(found)))
    context.obj = found


def _database_keys(workspace: Workspace) -> list[str]:
    from orchestration import protection

    return protection.database_keys(workspace)


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


def escape(text: str) -> str:
    return text.replace("[", r"\[")


def near(path: Path) -> str:
    """A path as short as it can be told from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


@contextmanager
def timed(label: str) -> Iterator[None]:
    out.print(label, end=" ")
    started = time.monotonic()
    yield
    out.print(f"({time.monotonic() - started:.1f} s)")


def current_publication(workspace: Workspace) -> Any:
    """The current publication, or the error that says how to get one."""
    from orchestration import publish

    current = publish.current(workspace)
    if current is None:
        raise UsageError(f"{near(workspace.published)}: nothing is published yet; run `rcu run` first")
    return current

"""The `rcu` command. Parses, calls, prints; every error is one line and every exit code has a meaning.

One module per subject; importing it registers its commands.

Exit codes: 0 done · 1 failed · 2 wrong call or declaration · 3 a source failed · 4 a gate failed ·
5 another run holds the warehouse · 6 the build belongs to another run.
"""

from __future__ import annotations

import os
import sys

import click

from orchestration.cli import (  # noqa: F401
    activation,
    identity,
    keys,
    privacy,
    published,
    reports,
    runs,
    segments,
    sources,
    starting,
    value,
)
from orchestration.cli.app import cli, err, escape
from orchestration.errors import RcuError

__all__ = ["cli", "main"]


def main() -> None:
    """Entry point: run a command, turn an RcuError into one line and its exit code."""
    try:
        cli.main(standalone_mode=False, prog_name="rcu")
    except RcuError as error:
        err.print(f"[red]error:[/] {escape(str(error))}")
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except click.Abort:
        err.print("stopped")
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

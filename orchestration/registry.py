"""The registry: append-only Parquet tables that, with landing, are all that lasts.

Two kinds of table. *Immediate* ones (file manifest, privacy) are true as soon as they are appended.
*Versioned* ones (ids, segment history, trigger firings, ...) are staged during a run and count only
once their version is committed by `commit_version`, the run's single point of no return; what a
killed run staged is ignored and swept away.

Every row carries `as_of_on` (the date of the run that wrote it), `version` and `run_id`. A run for D
reads rows with `as_of_on <= D`.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import uuid
from dataclasses import dataclass
from pathlib import Path

from orchestration.settings import Workspace
from orchestration.warehouse import Connection, literal

VERSION = re.compile(r"^\d{8}-\d{4}$")


@dataclass(frozen=True)
class RegistryTable:
    """A registry table: its columns with DuckDB types, and whether it waits for a commit."""

    name: str
    columns: dict[str, str]
    is_versioned: bool = True

    @property
    def all_columns(self) -> dict[str, str]:
        return {**self.columns, "as_of_on": "date", "version": "varchar", "run_id": "varchar"}


@dataclass(frozen=True)
class Commit:
    """One committed version: what it was made from, so that an equal run can say 'nothing new'."""

    version: str
    as_of_on: dt.date
    run_id: str
    fingerprint: str
    committed_at: str


def next_version(workspace: Workspace, as_of_on: dt.date) -> str:
    """The version a run for `as_of_on` will have: the date and a number that grows."""
    day = f"{as_of_on:%Y%m%d}"
    taken = {commit.version for commit in commits(workspace)}
    taken |= {path.name.removeprefix("rcu-") for path in workspace.published.glob(f"rcu-{day}-*")}
    numbers = [int(version[9:]) for version in taken if VERSION.match(version) and version.startswith(day)]
    return f"{day}-{max(numbers, default=0) + 1:04d}"


def stage(workspace: Workspace, table: RegistryTable, connection: Connection, query: str, *,
          as_of_on: dt.date, version: str, run_id: str) -> int:  # fmt: skip
    """Append the rows of `query` (its columns: those of the table, by name). Returns the row count.

    For a versioned table the rows wait for `commit_version`. Staging twice in one version replaces.
    """
    folder = workspace.registry / table.name
    folder.mkdir(parents=True, exist_ok=True)
    suffix = version if table.is_versioned else f"{version}-{uuid.uuid4().hex[:12]}"
    target = folder / f"{suffix}.parquet"
    temporary = folder / f".{suffix}.{os.getpid()}.tmp"
    columns = ", ".join(f'cast("{name}" as {kind}) as "{name}"' for name, kind in table.columns.items())
    try:
        connection.execute(
            f"copy (select {columns}, date '{as_of_on}' as as_of_on, {literal(version)} as version, "
            f"{literal(run_id)} as run_id from ({query})) to {literal(str(temporary))} (format parquet)"
        )
        count = connection.execute(f"select count(*) from read_parquet({literal(str(temporary))})").fetchone()
        rows = int(count[0]) if count else 0
        if rows == 0:
            if table.is_versioned:
                target.unlink(missing_ok=True)
            return 0
        _sync(temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)  # a disk that is full holds nothing of it
    _sync(folder)
    return rows


def rows(workspace: Workspace, table: RegistryTable, *, as_of_on: dt.date | None = None) -> str:
    """An SQL select over the committed rows of a table, up to `as_of_on` where given.

    Works on an empty registry (an empty typed select). Wrap it in parentheses to query it.
    """
    folder = workspace.registry / table.name
    files = sorted(folder.glob("*.parquet"))
    if table.is_versioned:
        committed = {commit.version for commit in commits(workspace)}
        files = [file for file in files if file.stem in committed]
    names = ", ".join(f'"{name}"' for name in table.all_columns)
    typed = ", ".join(f'cast(null as {kind}) as "{name}"' for name, kind in table.all_columns.items())
    if not files:
        return f"select {typed} where false"
    listing = ", ".join(literal(str(file)) for file in files)
    where = f" where as_of_on <= date '{as_of_on}'" if as_of_on else ""
    # The typed columns first: one that was added to the table since is null in the files from before.
    return (
        f"select {names} from (select {typed} where false union all by name "
        f"select * from read_parquet([{listing}], union_by_name = true)){where}"
    )


def commits(workspace: Workspace) -> list[Commit]:
    """Every committed version, oldest first."""
    found = []
    for path in sorted((workspace.registry / "commits").glob("*.json")):
        told = json.loads(path.read_text(encoding="utf-8"))
        told["as_of_on"] = dt.date.fromisoformat(told["as_of_on"])
        found.append(Commit(**told))
    return found


def commit_version(workspace: Workspace, commit: Commit) -> None:
    """The run's point of no return: from here on its registry rows count, whatever happens next."""
    folder = workspace.registry / "commits"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{commit.version}.json"
    temporary = folder / f".{commit.version}.tmp"
    told = {**commit.__dict__, "as_of_on": commit.as_of_on.isoformat()}
    temporary.write_text(json.dumps(told, indent=1), encoding="utf-8")
    _sync(temporary)
    temporary.replace(target)
    _sync(folder)


def sweep(workspace: Workspace) -> list[str]:
    """Remove what killed runs staged and never committed. Call only under the run lock."""
    committed = {commit.version for commit in commits(workspace)}
    removed = []
    for file in workspace.registry.glob("*/*"):
        is_orphan = VERSION.match(file.stem) and file.suffix == ".parquet" and file.stem not in committed
        if is_orphan or file.name.endswith(".tmp"):
            file.unlink()
            removed.append(f"{file.parent.name}/{file.name}")
    return removed


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

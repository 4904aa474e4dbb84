"""The published folder: what is in it, the pointer, recovery, rollback and retention.

What belongs here: reading and moving what was already written. What does not: writing a new
publication (`write.py`). Everything that changes the folder is called under the run lock.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestration import registry, warehouse
from orchestration.contracts.loader import did_you_mean
from orchestration.errors import UsageError
from orchestration.settings import Workspace

POINTER = "current"
FORWARD_KEPT = 7

ROLLBACKS = registry.RegistryTable(
    "rollbacks",
    {"from_version": "varchar", "to_version": "varchar", "head_version": "varchar", "rolled_back_at": "timestamp"},
    is_versioned=False,
)


@dataclass(frozen=True)
class Publication:
    """One published version. `tables`: row count by `schema.table`. `gates`: check counts by gate."""

    version: str
    as_of_on: dt.date
    run_id: str
    is_forward: bool
    created_at: str
    fingerprint: str
    tables: dict[str, int]
    gates: dict[str, dict[str, int]]
    path: Path
    is_current: bool = False

    @property
    def database(self) -> Path:
        return self.path / "rcu.duckdb"


@dataclass(frozen=True)
class Recovery:
    """What `recover` had to mend; all empty when the last run ended well."""

    moved_to: str | None = None
    removed: tuple[str, ...] = ()
    swept: tuple[str, ...] = ()

    @property
    def is_needed(self) -> bool:
        return bool(self.moved_to or self.removed or self.swept)


def folder_of(workspace: Workspace, version: str) -> Path:
    return workspace.published / f"rcu-{version}"


def pointed_version(workspace: Workspace) -> str | None:
    """The version that the pointer names, whether or not its folder is there."""
    try:
        return (workspace.published / POINTER).readlink().name.removeprefix("rcu-")
    except FileNotFoundError:
        return None


def list_publications(workspace: Workspace) -> list[Publication]:
    """Every publication, oldest version first."""
    pointed = pointed_version(workspace)
    found = []
    for folder in sorted(workspace.published.glob("rcu-*")):
        told = _manifest(folder)
        if told is not None:
            found.append(_publication(folder, told, pointed))
    return found


def current(workspace: Workspace) -> Publication | None:
    """The publication that readers see; None before the first, or where its folder is gone."""
    pointed = pointed_version(workspace)
    if pointed is None:
        return None
    folder = folder_of(workspace, pointed)
    told = _manifest(folder)
    return _publication(folder, told, pointed) if told is not None else None


def move_pointer(workspace: Workspace, version: str) -> None:
    """Name `version` as the current one: one atomic replacement, on disk when it returns."""
    temporary = workspace.published / f".{POINTER}.{os.getpid()}.tmp"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(f"rcu-{version}", target_is_directory=True)
    temporary.replace(workspace.published / POINTER)
    sync(workspace.published)


def recover(workspace: Workspace) -> Recovery:
    """Bring a workspace that a killed run left halfway to its last committed state.

    Temporary folders and publications without a commit go, the pointer moves to the last committed
    version (or to where a later rollback put it), and what was staged in the registry without a
    commit is swept. Every run begins with it; on a workspace in order it changes nothing.
    """
    if not workspace.published.exists():
        return Recovery(swept=tuple(registry.sweep(workspace)))
    removed = []
    for leftover in sorted(workspace.published.glob(".*.tmp")):
        remove_folder(leftover)
        removed.append(leftover.name)
    committed = [commit.version for commit in registry.commits(workspace)]
    for folder in sorted(workspace.published.glob("rcu-*")):
        told = _manifest(folder)
        if told is None or (told["is_forward"] and told["version"] not in committed):
            remove_folder(folder)
            removed.append(folder.name)
    wanted = _wanted_version(workspace, committed)
    moved_to = None
    if wanted is not None and wanted != pointed_version(workspace):
        move_pointer(workspace, wanted)
        moved_to = wanted
    return Recovery(moved_to, tuple(removed), tuple(registry.sweep(workspace)))


def rollback(workspace: Workspace, to: str | None = None, *, now: dt.datetime | None = None) -> Publication:
    """Move the pointer back to the forward publication before the current one, or to version `to`.

    The registry is not undone: ids and histories stay known. The rollback is recorded, so that
    recovery does not undo it; the next run forward in time publishes again. Raises UsageError where
    there is nothing to go back to.
    """
    committed = {commit.version for commit in registry.commits(workspace)}
    publications = {
        publication.version: publication
        for publication in list_publications(workspace)
        if publication.is_forward and publication.version in committed
    }
    pointed = pointed_version(workspace)
    if pointed is None:
        raise UsageError("nothing is published yet, so there is nothing to roll back; `rcu run` publishes")
    if to is None:
        earlier = [version for version in sorted(publications) if version < pointed]
        if not earlier:
            raise UsageError(f"version {pointed} is the oldest kept, so there is nothing to roll back to")
        to = earlier[-1]
    elif to not in publications:
        near = did_you_mean(to, publications)
        raise UsageError(f'there is no version "{to}" to roll back to{near} (`rcu status` lists them)')
    elif to == pointed:
        raise UsageError(f"version {to} is the current one already")
    _record_rollback(workspace, pointed, to, now or dt.datetime.now(dt.UTC))
    move_pointer(workspace, to)
    return _publication(publications[to].path, _read(publications[to].path), to)


def prune(workspace: Workspace, *, forward_kept: int = FORWARD_KEPT, backfills_kept: int | None = None) -> list[str]:
    """Remove old publications; returns their versions.

    Kept: the current one, the newest `forward_kept` made by forward runs, and for each backfilled
    date its newest publication (of the newest `backfills_kept` dates where given).
    """
    publications = list_publications(workspace)
    keep = {publication.version for publication in publications if publication.is_current}
    forward = [publication.version for publication in publications if publication.is_forward]
    keep.update(forward[-forward_kept:] if forward_kept > 0 else [])
    dated: dict[dt.date, str] = {}
    for publication in publications:
        if not publication.is_forward:
            dated[publication.as_of_on] = publication.version  # the oldest come first
    days = sorted(dated) if backfills_kept is None else sorted(dated)[len(dated) - min(backfills_kept, len(dated)) :]
    keep.update(dated[day] for day in days)
    removed = []
    for publication in publications:
        if publication.version not in keep:
            remove_folder(publication.path)
            removed.append(publication.version)
    return removed


def _wanted_version(workspace: Workspace, committed: list[str]) -> str | None:
    """Where the pointer belongs: the last commit, or where a rollback made since then put it."""
    kept = [version for version in committed if _manifest(folder_of(workspace, version)) is not None]
    if not kept:
        return None
    connection = warehouse.connect()
    try:
        row = connection.execute(
            f"select to_version from ({registry.rows(workspace, ROLLBACKS)}) where head_version = ? "
            "order by rolled_back_at desc, to_version desc limit 1",
            [committed[-1]],
        ).fetchone()
    finally:
        connection.close()
    if row is not None and row[0] in kept:
        return str(row[0])
    return kept[-1]


def _record_rollback(workspace: Workspace, pointed: str, to: str, now: dt.datetime) -> None:
    head = registry.commits(workspace)[-1]
    connection = warehouse.connect()
    try:
        registry.stage(
            workspace,
            ROLLBACKS,
            connection,
            f"select {warehouse.literal(pointed)} as from_version, {warehouse.literal(to)} as to_version, "
            f"{warehouse.literal(head.version)} as head_version, "
            f"timestamp '{now.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S.%f}' as rolled_back_at",
            as_of_on=head.as_of_on,
            version=head.version,
            run_id="rollback",
        )
    finally:
        connection.close()


def _publication(folder: Path, told: dict[str, Any], pointed: str | None) -> Publication:
    return Publication(
        version=told["version"],
        as_of_on=dt.date.fromisoformat(told["as_of_on"]),
        run_id=told["run_id"],
        is_forward=told["is_forward"],
        created_at=told["created_at"],
        fingerprint=told["fingerprint"],
        tables={name: table["rows"] for name, table in told["tables"].items()},
        gates=told["gates"],
        path=folder,
        is_current=told["version"] == pointed,
    )


def _manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a sealed publication; None where the folder is none."""
    try:
        return _read(folder)
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
        return None


def _read(folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return told


def remove_folder(path: Path) -> None:
    """Remove a sealed (read-only) folder, or a stray link or file. Open readers keep their files."""
    if path.is_symlink() or path.is_file():
        path.unlink()
        return
    if not path.exists():
        return
    for folder in [path, *(below for below in path.rglob("*") if below.is_dir())]:
        folder.chmod(0o750)
    # The manifest goes first: what a crash leaves of the rest no longer counts as a publication.
    (path / "manifest.json").unlink(missing_ok=True)
    shutil.rmtree(path)


def sync(path: Path) -> None:
    """Put a file, or the names in a folder, on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


#: Told the name of each step that is done: `written`, `audited`, `sealed`, `renamed`, `committed`, `pointed`.
OnStep = Callable[[str], None]

"""Plan a run: forward or backfill, increment or rebuild, or nothing to do.

What belongs here: the decision, from the registry, the publications, the build's stamp and two
fingerprints. What does not: doing any of it. Nothing here writes.

*Forward* means an as-of date at or after every committed one. It is held against the registry and
not against the pointer: after a rollback the registry still holds what later runs wrote, so a run
for a date before them is a backfill.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import duckdb

from orchestration import registry, warehouse
from orchestration.errors import BusyError, UsageError
from orchestration.publish.publications import current, list_publications
from orchestration.settings import DBT_PROJECT_DIR, PROJECT_ROOT, Workspace
from orchestration.warehouse import Connection, literal, quote

Mode = Literal["increment", "rebuild"]

#: Registry folders that say what runs did, not what they were made from.
_OUTPUTS = frozenset(
    {"commits", "runs", "rollbacks", "activation_deliveries", "activation_members", "activation_recipients"}
)

#: Columns that differ between two records of the same input.
_CIRCUMSTANCES = frozenset({"as_of_on", "version", "run_id"})

_DBT_PARTS = ("models", "macros", "seeds", "tests", "snapshots", "analyses")


@dataclass(frozen=True)
class RunPlan:
    """What a run for one date will do. `reason` says why, in words for a person."""

    as_of_on: dt.date
    run_id: str
    is_forward: bool
    mode: Mode
    build_path: Path
    version: str
    code_fingerprint: str
    fingerprint: str
    is_nothing_new: bool
    reason: str

    @property
    def stamp(self) -> warehouse.Stamp:
        """The stamp to begin the build with."""
        return warehouse.Stamp(self.as_of_on, self.run_id, self.mode, self.code_fingerprint)


def is_forward(workspace: Workspace, as_of_on: dt.date) -> bool:
    """Whether a run for `as_of_on` may append to the registry and move the pointer."""
    return all(as_of_on >= commit.as_of_on for commit in registry.commits(workspace))


def plan_run(
    workspace: Workspace,
    *,
    as_of_on: dt.date,
    run_id: str,
    code_fingerprint: str,
    input_fingerprint: str,
    today: dt.date,
) -> RunPlan:
    """Decide how to run for `as_of_on`. Call after `recover` and ingest, under the run lock.

    Raises UsageError for a date after `today` (the company's), BusyError where another process has
    the build file open.
    """
    if as_of_on > today:
        raise UsageError(f"--as-of {as_of_on} is in the future; today is {today}")
    commits = registry.commits(workspace)
    latest = max((commit.as_of_on for commit in commits), default=None)
    goes_forward = is_forward(workspace, as_of_on)
    fingerprint = _digest([as_of_on.isoformat(), code_fingerprint, input_fingerprint])
    published = current(workspace)
    is_rolled_back = bool(commits) and (published is None or published.version != commits[-1].version)
    if goes_forward:
        is_nothing_new = published is not None and not is_rolled_back and published.fingerprint == fingerprint
        mode, why = _mode(workspace, as_of_on, code_fingerprint, commits)
    else:
        known = {(publication.as_of_on, publication.fingerprint) for publication in list_publications(workspace)}
        is_nothing_new = (as_of_on, fingerprint) in known
        mode, why = "rebuild", f"{as_of_on} is before {latest}, the latest published date: a backfill"
    if is_nothing_new:
        why = f"{as_of_on} is published from the same deliveries, declarations and code"
    return RunPlan(
        as_of_on=as_of_on,
        run_id=run_id,
        is_forward=goes_forward,
        mode=mode,
        build_path=workspace.build_file if goes_forward else workspace.scratch_file,
        version=registry.next_version(workspace, as_of_on),
        code_fingerprint=code_fingerprint,
        fingerprint=fingerprint,
        is_nothing_new=is_nothing_new,
        reason=why,
    )


def _mode(workspace: Workspace, as_of_on: dt.date, code: str, commits: list[registry.Commit]) -> tuple[Mode, str]:
    """Whether the build file is a state that a run for `as_of_on` may go on from."""
    try:
        stamp = warehouse.read_stamp(workspace.build_file)
    except duckdb.Error as error:
        if "lock" in str(error).lower():
            raise BusyError(
                f"{workspace.build_file}: another process has the build file open; close it "
                "(query data/published/current/rcu.duckdb instead), then run again"
            ) from None
        return "rebuild", "the build file cannot be read"
    if stamp is None:
        return "rebuild", "there is no build yet"
    if not stamp.is_complete:
        return "rebuild", f"the build of {stamp.as_of_on} was not finished"
    if stamp.code != code:
        return "rebuild", "code or declarations changed since the last build"
    if stamp.as_of_on > as_of_on:
        return "rebuild", f"the build is of {stamp.as_of_on}, after {as_of_on}"
    if not commits or commits[-1].run_id != stamp.run_id:
        return "rebuild", "the build is not of the last committed run"
    return "increment", f"goes on from the build of {stamp.as_of_on}"


def code_fingerprint(workspace: Workspace) -> str:
    """A hash of all that turns deliveries into tables: code, dbt project, lock, declarations."""
    files: list[tuple[str, Path]] = []
    files += _named(PROJECT_ROOT, (PROJECT_ROOT / "orchestration").rglob("*.py"))
    files += _named(PROJECT_ROOT, PROJECT_ROOT.glob("requirements.lock"))
    files += _named(PROJECT_ROOT, DBT_PROJECT_DIR.glob("*.yml"))
    for part in _DBT_PARTS:
        files += _named(PROJECT_ROOT, (path for path in (DBT_PROJECT_DIR / part).rglob("*") if path.is_file()))
    files += _named(workspace.root, (path for path in workspace.declarations.rglob("*") if path.is_file()))
    return _digest(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}" for name, path in sorted(files))


def input_fingerprint(workspace: Workspace, *, as_of_on: dt.date) -> str:
    """A hash of what a run for `as_of_on` is made from, as the registry's immediate tables tell it.

    That is the file manifest (rows with `available_on` up to the date) and the privacy and steward
    tables, which count whatever their date. The order of rows and files does not matter, nor the run
    that wrote a row or when (timestamps are left out).
    """
    parts = []
    connection = warehouse.connect()
    try:
        for folder in sorted(workspace.registry.glob("*")):
            # A versioned table's files bear a version alone: they are what runs made of the inputs.
            files = sorted(file for file in folder.glob("*.parquet") if not registry.VERSION.match(file.stem))
            if files and folder.name not in _OUTPUTS:
                parts.append(f"{folder.name}\0{_rows_digest(connection, files, as_of_on)}")
    finally:
        connection.close()
    return _digest(parts)


def _rows_digest(connection: Connection, files: list[Path], as_of_on: dt.date) -> str:
    listing = ", ".join(literal(str(file)) for file in files)
    table = f"read_parquet([{listing}], union_by_name = true)"
    columns = connection.execute(f"describe select * from {table}").fetchall()
    kept = sorted(name for name, kind, *_ in columns if name not in _CIRCUMSTANCES and not kind.startswith("TIMESTAMP"))
    where = f" where available_on <= date '{as_of_on}'" if "available_on" in kept else ""
    values = ", ".join(f"cast({quote(name)} as varchar)" for name in kept)
    rows = connection.execute(f"select distinct {values} from {table}{where} order by all").fetchall()
    return _digest(repr(row) for row in [tuple(kept), *rows])


def _named(root: Path, paths: Iterable[Path]) -> list[tuple[str, Path]]:
    return [(path.relative_to(root).as_posix(), path) for path in paths]


def _digest(parts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode())
        digest.update(b"\n")
    return digest.hexdigest()

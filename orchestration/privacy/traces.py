"""What an erasure does outside the domains' own files: exports, Dagster's storage, logs.

What belongs here: searching those for what the person alone carried. What does not: files with a known place
for each row (the domains' own `erase`). By design nothing personal gets into logs and Dagster; this is the net
under that rule.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestration import rewriting
from orchestration.contracts.subject import Subject
from orchestration.errors import BusyError
from orchestration.privacy.strays import SHORTEST_KEY
from orchestration.rewriting import Edit
from orchestration.settings import Workspace


@dataclass(frozen=True)
class TracesErased:
    """Files written anew."""

    exports: int = 0
    logs: int = 0


def erase(workspace: Workspace, subject: Subject) -> TracesErased:
    """Clean exports, Dagster's storage and every log. Call under the run lock; safe to call again."""
    from orchestration import activation

    wanted = rewriting.traces_of(subject.texts | subject.customer_ids, subject.names)
    keys = {record for _, record in subject.records if len(record) >= SHORTEST_KEY}
    private = rewriting.pattern_of(subject.texts | keys)
    exports = logs = 0
    if wanted is not None:
        removals = workspace.exports / activation.REMOVALS  # they name whom others must take away, until they are sent
        for path in _below(workspace.exports):
            if removals in path.parents:
                continue
            exports += rewriting.edit_file(path, rewriting.layout_for(path.name), lambda name: Edit(pattern=wanted)) > 0
    if private is not None:
        for path in [*_below(workspace.dagster_home), *_below(workspace.dbt_state)]:
            logs += _clean(path, private)
    return TracesErased(exports, logs)


def _below(folder: Path) -> Iterator[Path]:
    if folder.exists():
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink() and not path.name.startswith(".rewriting-"):
                yield path


def _clean(path: Path, pattern: re.Pattern[str]) -> int:
    with path.open("rb") as file:
        head = file.read(16)
    if path.name.endswith(("-wal", "-shm", "-journal")):
        return 0  # they belong to the database beside them, which takes them up
    if head.startswith(b"SQLite format 3"):
        try:
            return int(rewriting.edit_sqlite(path, pattern) > 0)
        except sqlite3.OperationalError as error:
            raise BusyError(f"{path}: {error}; stop the Dagster UI, then call again to complete the erasure") from None
    if path.suffix in (".msgpack", ".pickle", ".pack"):
        return 0
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    if pattern.search(text) is None:
        return 0
    temporary = path.with_name(f".{path.name}.erasing.tmp")
    temporary.write_bytes(pattern.sub("[erased]", text).encode("utf-8", "surrogateescape"))
    rewriting.replace(temporary, path)
    return 1

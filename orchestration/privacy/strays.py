"""Files below `data/` that belong to no domain: copies that somebody made, left-overs, other programs' files.

What belongs here: telling them from ours by where they lie, and searching and cleaning them at an erasure. What does
not: files with a known place for each row (the domains' own `erase`), exports, Dagster's storage and logs (`traces`).

Nothing is known of what a stray holds. So whole rows go, of every table and text in it, that hold what the person
alone carries. What cannot be opened is named, never passed over: somebody has to look.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from orchestration import ingest, publish, rewriting, searching, warehouse
from orchestration.contracts.entities import ENTITIES
from orchestration.contracts.subject import Subject
from orchestration.errors import UsageError
from orchestration.rewriting import Edit, Traces
from orchestration.settings import Workspace
from orchestration.warehouse import quote

#: A shorter record key could be any number.
SHORTEST_KEY = 6
#: The tables of the registry; a test holds the list against the code.
REGISTRY_TABLES = (
    "activation_deliveries", "activation_members", "activation_recipients", "contact_curves", "customer_id_events", "erasures", "files",
    "identity_models", "objections", "privacy_requests", "record_customers", "rollbacks", "runs", "score_models",
    "segment_changes", "segment_sizes", "steward_decisions", "trigger_firings",
)  # fmt: skip


@dataclass(frozen=True)
class StraysErased:
    """Files written anew, and those that a person has to look at: they hold the person, or cannot be opened."""

    cleaned: int = 0
    left: tuple[str, ...] = field(default=())


def stray_files(workspace: Workspace) -> list[Path]:
    """Files below `data/` that no domain knows, in order. Links are not followed."""
    known = _known(workspace)
    archived = ingest.archived_files(workspace)
    found = []
    for path in sorted(workspace.data.rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        place = path.relative_to(workspace.data).as_posix()
        if path not in archived and known.fullmatch(place) is None:
            found.append(path)
    return found


def _known(workspace: Workspace) -> re.Pattern[str]:
    entities = "|".join(map(re.escape, ENTITIES))
    tables = "|".join(REGISTRY_TABLES)
    versions = "|".join(re.escape(one.version) for one in publish.list_publications(workspace)) or "none"
    return re.compile(
        r"\.run\.lock|inbox/.*|exports/.*|\.dagster/.*|build/dbt/.*|(?:[a-z]+/)?(?:README\.md|\.gitkeep|\.gitignore)"
        rf"|landing/(?:{entities})/(?:_empty\.parquet|source=[^/]+/batch=[^/]+/[^/]+\.parquet)"
        rf"|registry/(?:{tables})/[^/]+\.parquet|registry/(?:commits|privacy)/[^/]+\.json"
        r"|quarantine/(?:rows/source=[^/]+/[^/]+\.parquet|files/.*|to_mend\.jsonl)"
        r"|build/(?:scratch/)?warehouse\.duckdb(?:\.wal|\.tmp/.*)?"
        rf"|published/rcu-(?:{versions})/(?:rcu\.duckdb|manifest\.json|parquet/[a-z]+/[a-z0-9_]+\.parquet)"
        r"|published/roles/[a-z]+/rcu\.duckdb|reports/\d{8}-\d{4}/[^/]+\.html"
    )


def finder_of(subject: Subject) -> Traces | None:
    """What tells the person in a file of which nothing is known."""
    keys = {record for _, record in subject.records if len(record) >= SHORTEST_KEY}
    return rewriting.traces_of(subject.texts | subject.customer_ids | keys, subject.names)


def holding(workspace: Workspace, subject: Subject) -> list[Path]:
    """Strays that hold the person, or of which nobody can tell."""
    finder = finder_of(subject)
    return [
        path for path in stray_files(workspace) if finder is not None and searching.holds(path, finder) is not False
    ]


def erase(workspace: Workspace, subject: Subject) -> StraysErased:
    """Clean every stray. Call under the run lock; safe to call again."""
    finder = finder_of(subject)
    if finder is None:
        return StraysErased()
    cleaned = 0
    left = []
    for path in stray_files(workspace):
        if searching.holds(path, finder) is False:
            continue
        try:
            with _writable(path.parent):
                changed = _clean(path, finder)
        except (OSError, ValueError, EOFError, LookupError, RuntimeError, UsageError, sqlite3.Error, duckdb.Error):
            changed = False  # of a kind that is not what it looks like: named below
        cleaned += changed
        if searching.holds(path, finder) is not False:
            left.append(path.relative_to(workspace.root).as_posix())
    return StraysErased(cleaned, tuple(left))


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    """A copy of a sealed folder is sealed too."""
    mode = folder.stat().st_mode & 0o777
    folder.chmod(mode | 0o200)
    try:
        yield
    finally:
        folder.chmod(mode)


def _clean(path: Path, finder: Traces) -> bool:
    with path.open("rb") as file:
        head = file.read(searching.HEAD)
    if head.startswith(b"SQLite format 3"):
        return finder.words is not None and rewriting.edit_sqlite(path, finder.words) > 0
    if head[8:12] == b"DUCK":
        return _clean_database(path, finder)
    if b"\0" in head and head[:4] != b"PAR1" and head[:2] not in (b"PK", b"\x1f\x8b"):
        return False  # rows cannot be told in it
    return rewriting.edit_file(path, rewriting.layout_for(path.name), lambda name: Edit(pattern=finder)) > 0


def _clean_database(path: Path, finder: Traces) -> bool:
    """Write a DuckDB file anew without the rows, of any table, that `finder` finds."""
    new = path.with_name(f".{path.name}.erasing.tmp")
    new.unlink(missing_ok=True)
    connection = warehouse.connect()
    try:
        warehouse.attach(connection, path, "stray", read_only=True)
        warehouse.attach(connection, new, "fresh", encrypted=warehouse.is_encrypted(path))
        connection.create_function("is_theirs", finder.search, ["VARCHAR"], "BOOLEAN")
        connection.execute("use stray")
        for schema, table in searching.tables(connection):
            place = f"{quote(schema)}.{quote(table)}"
            connection.execute(f"create schema if not exists fresh.{quote(schema)}")
            connection.execute(
                f"create table fresh.{place} as select * from stray.{place} as told "
                "where not coalesce(is_theirs(cast(told as varchar)), false)"
            )
        connection.execute("checkpoint fresh")
    finally:
        connection.close()
    rewriting.replace(new, path)
    return True

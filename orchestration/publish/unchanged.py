"""What a publication takes over from the one before it: the tables that hold the same rows, or nearly.

What belongs here: finding those tables, and their copies. What does not: writing the others (`write.py`).

An increment changes few rows of few tables. The others come as they are: their Parquet files as second names of the
same sealed files, which nobody writes any more (an erasure puts new files in their place), and the database as a copy
in which changed rows are replaced, or changed tables made anew. Tables are told apart by what the build holds now,
and a file is only taken over if its bytes are still those that were audited.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestration import changes, registry
from orchestration.publish.publications import folder_of
from orchestration.settings import Workspace
from orchestration.warehouse import Connection

DATABASE = "rcu.duckdb"
_CHUNK = 1 << 23


@dataclass(frozen=True)
class Before:
    """The publication that the build went on from.

    `same`: SHA-256 of the Parquet file of each unchanged table. `changes`: of each other table whose rows that went and
    came since are known, where the build keeps them. `database`: SHA-256 of its file, None where it is no help.
    """

    version: str
    folder: Path
    same: Mapping[str, str]
    changes: Mapping[str, str]
    database: str | None

    def take_database(self, target: Path) -> bool:
        """Begin a publication's database from that of the one before; False (and no file) where that is damaged."""
        told = hashlib.sha256()
        try:
            with (self.folder / DATABASE).open("rb") as source, target.open("wb") as copy:
                while chunk := source.read(_CHUNK):
                    copy.write(chunk)
                    told.update(chunk)
        except FileNotFoundError:
            pass
        if told.hexdigest() == self.database:
            return True
        target.unlink(missing_ok=True)
        return False

    def link_parquet(self, table: str, file: str, target: Path) -> bool:
        """Give the Parquet file of an unchanged table a second name; False where it has to be written."""
        source = self.folder / file
        try:
            if table not in self.same or sha256(source) != self.same[table]:
                return False
            os.link(source, target)
        except OSError:  # a file that is gone, or a file system without links
            return False
        return True


def find(
    workspace: Workspace, connection: Connection, contents: Mapping[str, str], rows: Mapping[str, int]
) -> Before | None:
    """The last committed publication and what of it is in the build; None where it is no help.

    `contents`: a fingerprint of each table of the build. Only an increment goes on from a publication: it is by the
    same code and declarations.
    """
    commits = registry.commits(workspace)
    mode = connection.execute("select mode from control.build").fetchall()
    if not commits or mode != [("increment",)]:
        return None
    version = commits[-1].version
    folder = folder_of(workspace, version)
    try:
        told = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return None
    if told["database"].get("is_encrypted"):
        return None
    held = {name: table["contents"] for name, table in told["tables"].items() if table.get("contents") is not None}
    same = {name: str(told["tables"][name]["sha256"]) for name, was in held.items() if was == contents.get(name)}
    changes.prepare(connection)
    leading = connection.execute(f"select place, contents_before, contents_after from {changes.CHANGES}").fetchall()
    known = {
        name: changes.log_of(name)
        for name, before, after in leading
        if name not in same and (before, after) == (held.get(name), contents.get(name))
    }
    # Where most changes, a file written from nothing is smaller and no slower.
    is_worth_it = 2 * sum(rows[name] for name in (*same, *known)) > sum(rows.values())
    return Before(version, folder, same, known, str(told["database"]["sha256"]) if is_worth_it else None)


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""What a publication takes over from the one before it: the tables that hold the same rows.

What belongs here: finding those tables, and their copies. What does not: writing the others (`write.py`).

An increment changes few tables. The others come as they are: their Parquet files as second names of the same
sealed files, which nobody writes any more (an erasure puts new files in their place), and the database as a copy
in which only the changed tables are made anew. Tables are told apart by what the build holds now, and a file is
only taken over if its bytes are still those that were audited.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestration import registry
from orchestration.publish.publications import folder_of
from orchestration.settings import Workspace
from orchestration.warehouse import Connection

DATABASE = "rcu.duckdb"


@dataclass(frozen=True)
class Before:
    """The publication that the build went on from. `same`: SHA-256 of the Parquet file of each unchanged table."""

    folder: Path
    same: Mapping[str, str]
    has_database: bool

    def copy_database(self, target: Path) -> None:
        """Begin a publication's database from that of the one before."""
        shutil.copyfile(self.folder / DATABASE, target)

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
    """The last committed publication and the tables that are in it as in the build; None where it is no help.

    `contents`: a fingerprint of each table of the build. Only an increment goes on from a publication: it is by the
    same code and declarations.
    """
    commits = registry.commits(workspace)
    mode = connection.execute("select mode from control.build").fetchall()
    if not commits or mode != [("increment",)]:
        return None
    folder = folder_of(workspace, commits[-1].version)
    try:
        told = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return None
    if told["database"].get("is_encrypted"):
        return None
    same = {
        name: str(table["sha256"])
        for name, table in told["tables"].items()
        if table.get("contents") is not None and table["contents"] == contents.get(name)
    }
    # Where most changes, a file written from nothing is smaller and no slower.
    is_worth_it = 2 * sum(rows[name] for name in same) > sum(rows.values())
    has_database = is_worth_it and sha256(folder / DATABASE) == told["database"]["sha256"]
    return Before(folder, same, has_database)


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

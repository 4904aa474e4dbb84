"""What an erasure does to segments: stays and trigger firings of the person go, and their rows of static lists.

What belongs here: segments' own registry tables and lists. What does not: who is erased. Sizes stay: they are counts.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from orchestration import rewriting, suppression, warehouse
from orchestration.contracts.subject import Subject
from orchestration.segments.materialise import SEGMENT_CHANGES
from orchestration.segments.triggers import TRIGGER_FIRINGS
from orchestration.settings import Workspace
from orchestration.warehouse import literal

_KINDS: dict[str, suppression.Kind] = {"email": "email", "phone": "phone", "card": "card"}


@dataclass(frozen=True)
class SegmentsErased:
    """Files of the registry, and static lists, written anew, and rows taken out."""

    files: int = 0
    rows: int = 0


def erase(workspace: Workspace, subject: Subject) -> SegmentsErased:
    """Take a person out of the segments' registry. Call under the run lock; safe to call again."""
    files = rows = 0
    connection = warehouse.connect()
    try:
        connection.execute("create temp table s_ids (customer_id varchar)")
        connection.execute("insert into s_ids select unnest(?::varchar[])", [sorted(subject.customer_ids)])
        theirs = "customer_id in (select customer_id from s_ids)"
        for table in (SEGMENT_CHANGES, TRIGGER_FIRINGS):
            for path in sorted((workspace.registry / table.name).glob("*.parquet")):
                file = f"read_parquet({literal(str(path))})"
                found = connection.execute(f"select count(*) from {file} where {theirs}").fetchone()
                if not found or not found[0]:
                    continue
                temporary = path.with_name(f".{path.stem}.erasing.tmp")
                connection.execute(
                    f"copy (select * from {file} where not coalesce({theirs}, false)) "
                    f"to {literal(str(temporary))} (format parquet)"
                )
                rewriting.replace(temporary, path)
                files += 1
                rows += int(found[0])
    finally:
        connection.close()
    for path in _lists(workspace):
        gone = _erase_from_list(path, subject)
        files, rows = files + bool(gone), rows + gone
    return SegmentsErased(files, rows)


def listed_in(workspace: Workspace, subject: Subject) -> list[dict[str, str]]:
    """The rows of static lists that name the person, each with its list."""
    found = []
    for path in _lists(workspace):
        header, rows = _read(path)
        found += [
            {"list": path.stem, **dict(zip(header, row, strict=False))} for row in rows if _names(header, row, subject)
        ]
    return found


def _lists(workspace: Workspace) -> list[Path]:
    return sorted((workspace.declarations / "segments" / "lists").glob("*.csv"))


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    """Header and rows; nothing of a file that is no list: `rcu check` refuses it."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        return [], []
    header, *rows = list(csv.reader(io.StringIO(text, newline=""))) or [[]]
    return header, rows


def _names(header: list[str], row: list[str], subject: Subject) -> bool:
    """Whether a row of a list names the person by any of its columns."""
    for column, value in zip(header, row, strict=False):
        if column == "customer_id" and value.strip() in subject.customer_ids:
            return True
        if column == "account" and value.strip() in {record for _, record in subject.records}:
            return True
        if (kind := _KINDS.get(column)) and suppression.value_key(kind, value) in subject.keys.get(kind, ()):
            return True
    return False


def _erase_from_list(path: Path, subject: Subject) -> int:
    """Take out the rows that name the person; returns how many went."""
    header, rows = _read(path)
    kept = [row for row in rows if not _names(header, row, subject)]
    if len(kept) < len(rows):
        temporary = path.with_name(f".{path.stem}.erasing.tmp")
        with temporary.open("w", encoding="utf-8", newline="") as sink:
            csv.writer(sink, lineterminator="\n").writerows([header, *kept])
        rewriting.replace(temporary, path)
    return len(rows) - len(kept)

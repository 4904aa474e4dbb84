"""What an erasure does to the segments' registry: stays and trigger firings of the person go.

What belongs here: segments' own registry tables. What does not: who is erased. Sizes stay: they are counts.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestration import rewriting, warehouse
from orchestration.contracts.subject import Subject
from orchestration.segments.materialise import SEGMENT_CHANGES
from orchestration.segments.triggers import TRIGGER_FIRINGS
from orchestration.settings import Workspace
from orchestration.warehouse import literal


@dataclass(frozen=True)
class SegmentsErased:
    """Registry files written anew, and rows taken out."""

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
    return SegmentsErased(files, rows)

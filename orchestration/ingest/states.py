"""What `rcu status` shows of the sources: what each last delivered, what is late, what was refused.

What belongs here: reading the manifest for a person. What does not: judging a run (the landing gate).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from orchestration import warehouse
from orchestration.contracts.source import Source
from orchestration.ingest import manifest
from orchestration.ingest.manifest import FileRecord
from orchestration.settings import Workspace


@dataclass(frozen=True)
class SourceState:
    """One source: its landed files and rows, its last delivery, and whether that is recent enough."""

    source: str
    files: int
    rows_landed: int
    rows_quarantined: int
    last_business_on: dt.date | None
    last_received_on: dt.date | None
    state: str


def source_states(workspace: Workspace, sources: Mapping[str, Source], *, as_of_on: dt.date) -> list[SourceState]:
    """The state of every declared source on a day, by name."""
    landed = [record for record in _manifest(workspace) if record.status == "landed"]
    states = []
    for name, source in sorted(sources.items()):
        files = [record for record in landed if record.source == name]
        last = max((record.business_on for record in files), default=None)
        states.append(
            SourceState(
                source=name,
                files=len(files),
                rows_landed=sum(record.rows_landed for record in files),
                rows_quarantined=sum(record.rows_quarantined for record in files),
                last_business_on=last,
                last_received_on=max((record.received_on for record in files), default=None),
                state=_state(source, last, as_of_on),
            )
        )
    return states


def refused_files(workspace: Workspace, limit: int = 20) -> list[FileRecord]:
    """The last files that did not land (nor did since, by replay), newest first; each content once."""
    last: dict[str, FileRecord] = {}
    for record in reversed(_manifest(workspace)):
        last.setdefault(record.sha256 + record.file_name, record)
    return [record for record in last.values() if record.status not in ("landed", "duplicate")][:limit]


def _state(source: Source, last: dt.date | None, as_of_on: dt.date) -> str:
    if last is None:
        return "never delivered" + (" (required)" if source.required else "")
    age = (as_of_on - last).days
    if source.cadence_days is None:
        return f"{age} days old" if age > 1 else "fresh"
    return f"late: {age} days old, expected every {source.cadence_days}" if age > source.cadence_days else "fresh"


def _manifest(workspace: Workspace) -> list[FileRecord]:
    connection = warehouse.connect()
    try:
        return manifest.read(connection, workspace)
    finally:
        connection.close()

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
from orchestration.ingest.fetching import recall
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
    known = _manifest(workspace)
    states = []
    for name, source in sorted(sources.items()):
        heard = [record for record in known if record.source == name]
        files = [record for record in heard if record.status == "landed"]
        last = max((record.business_on for record in files), default=None)
        # A header alone, or the same content again, is news of a source that has nothing to tell.
        last_heard = max(
            (r.business_on for r in heard if r.status in ("landed", "duplicate", "header_only")), default=None
        )
        states.append(
            SourceState(
                source=name,
                files=len(files),
                rows_landed=sum(record.rows_landed for record in files),
                rows_quarantined=sum(record.rows_quarantined for record in files),
                last_business_on=last,
                last_received_on=max((record.received_on for record in files), default=None),
                state=_drafted(source)
                + _state(source, last, last_heard, as_of_on)
                + _standing_in(heard, last, as_of_on)
                + _fetching(workspace, source),
            )
        )
    return states


def refused_files(workspace: Workspace, limit: int = 20) -> list[FileRecord]:
    """The files that did not land, and that nothing has mended since, newest first; each content once."""
    known = _manifest(workspace)
    unmended = manifest.still_open(known)
    last_landed = {record.source: record.ingested_at for record in known if record.status == "landed"}
    told: dict[str, FileRecord] = {}
    for place, record in reversed(list(enumerate(known))):
        # What was not fetched is no file; its source's state tells of the last time.
        is_trouble = place in unmended and record.status != "not_fetched"
        is_hollow = record.status == "header_only" and record.ingested_at >= last_landed.get(
            record.source, record.ingested_at
        )
        if is_trouble or is_hollow:
            told.setdefault(record.sha256 + record.file_name, record)
    return list(told.values())[:limit]


def rows_in_quarantine(workspace: Workspace, only: frozenset[str] | None = None) -> int:
    """Rows of the deliveries that count which are still refused, of all sources or of `only` some."""
    counting = manifest.effective(_manifest(workspace))
    return sum(record.rows_quarantined for record in counting if only is None or record.source in only)


def _state(source: Source, last: dt.date | None, last_heard: dt.date | None, as_of_on: dt.date) -> str:
    """`last`: of rows that landed; `last_heard`: of any delivery, one without anything new too."""
    if last_heard is None:
        return "never delivered" + (" (required)" if source.required else "")
    age = (as_of_on - last_heard).days
    if source.cadence_days is None:
        return f"{age} days old" if age > 1 else "fresh"
    if age > source.cadence_days:
        return f"late: {age} days old, expected every {source.cadence_days}"
    return "fresh" if last == last_heard else f"fresh, nothing new since {last}" if last else "fresh, no row yet"


def _drafted(source: Source) -> str:
    return f"draft: {source.questions} to decide (`rcu check`); " if source.is_draft else ""


def _standing_in(heard: list[FileRecord], last: dt.date | None, as_of_on: dt.date) -> str:
    """What is used instead, where the last file of a source was refused."""
    told = [record for record in heard if record.status != "duplicate"]
    if not told or told[-1].status not in ("refused", "unreadable"):
        return ""
    refused = f"; {told[-1].file_name} was refused on {told[-1].received_on}"
    return refused + (f": the data of {last} is used, {(as_of_on - last).days} days old" if last else "")


def _fetching(workspace: Workspace, source: Source) -> str:
    """Why the last fetch failed, when it did."""
    if source.connect is None:
        return ""
    memory = recall(workspace, source.source)
    return f"; not fetched on {memory.failed_on}: {memory.failure}" if memory.failure else ""


def _manifest(workspace: Workspace) -> list[FileRecord]:
    connection = warehouse.connect()
    try:
        return manifest.read(connection, workspace)
    finally:
        connection.close()

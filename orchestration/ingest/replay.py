"""Replay: what was refused or put in quarantine is tried again, after a contract or a row was mended.

What belongs here: three ways back. A refused file returns to the inbox and is ingested as if it had just
come. A delivery with rows in quarantine is read again, whole, from the archive by the contract of today;
when that saves a row, the new reading supersedes the first from the day of the replay on. Rows mended by
hand (`write_rows_to_mend`, then edit) make a corrected file, which is a re-delivery under the same name:
the archive keeps both, so that what was received and what was made of it stay apart.
"""

from __future__ import annotations

import datetime as dt
import gzip
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pyarrow.parquet as pq

from orchestration import warehouse
from orchestration.contracts.company import Company
from orchestration.contracts.source import NameMatch, Source
from orchestration.errors import UsageError
from orchestration.ingest import inbox, manifest, textfile, unpack
from orchestration.ingest.landing import (
    Arrival,
    IngestReport,
    Night,
    Progress,
    ingest,
    open_night,
    quarantine_file,
    take,
)
from orchestration.ingest.manifest import FileRecord
from orchestration.ingest.problems import FileProblem
from orchestration.settings import Workspace

#: Formats whose rows are lines that a person can mend.
_LINES = ("csv", "fixed", "jsonl")


def replay(
    workspace: Workspace,
    sources: Mapping[str, Source],
    company: Company,
    *,
    received_on: dt.date,
    run_id: str,
    only: frozenset[str] | None = None,
    progress: Progress | None = None,
) -> IngestReport:
    """Try again what was refused, and the rows in quarantine, of all sources or of `only` some.

    Takes the rows to mend into account when that file is there, and puts it away. Call under the run lock.
    """
    chosen = {name: source for name, source in sources.items() if only is None or name in only}
    corrected = _correct_files(workspace, chosen)
    left = _return_refused(workspace, chosen)
    first = ingest(
        workspace, sources, company,
        received_on=received_on, is_forward=True, run_id=run_id, progress=progress, settle_seconds=0, is_fetching=False,
    )  # fmt: skip
    with open_night(workspace, company, received_on=received_on, run_id=run_id, progress=progress) as night:
        for record in manifest.effective(night.known):
            if record.rows_quarantined and record.source in chosen and record.stored_as not in corrected:
                _read_again(night, record, chosen[record.source])
    second = night.report()
    return IngestReport(
        received_on, True, first.files + second.files, first.errors + second.errors,
        (*left, *first.warnings, *second.warnings),
    )  # fmt: skip


def _return_refused(workspace: Workspace, sources: Mapping[str, Source]) -> tuple[str, ...]:
    """Put refused files back into the inbox; returns what is said of those that stay.

    A file that was delivered again since stays: it would supersede what came in its stead. So does one whose name a
    file of the inbox has by now.
    """
    connection = warehouse.connect()
    try:
        records = manifest.read(connection, workspace)
    finally:
        connection.close()
    last = {record.stored_as: record for record in records if record.status in ("refused", "unreadable")}
    told = []
    for name in sorted(sources):
        for path in sorted((workspace.quarantine / "files" / name).glob("*-*")):
            record = last.get(str(path.relative_to(workspace.data)))
            if record is not None and manifest.came_again(record, records):
                continue
            target = workspace.inbox / path.name.split("-", 1)[1]
            if target.exists():
                told.append(
                    f"{target.name}: a file of this name waits in the inbox; the refused one stays in quarantine"
                )
                continue
            inbox.move(path, target)
    return tuple(told)


def _read_again(night: Night, record: FileRecord, source: Source) -> None:
    kept = night.workspace.data / record.stored_as
    if not kept.exists():
        night.errors.append(f"{record.source}: {record.stored_as}: the original is no longer in the archive")
        return
    try:
        content, stats = _content_of(kept, record, night.scratch)
    except FileProblem as problem:
        night.errors.append(f"{record.source}: {record.stored_as}: {problem.message}")
        return
    # The name need not match the pattern of today: what the delivery was about is in the manifest.
    match = NameMatch(record.business_on, record.part)
    take(
        night,
        Arrival(kept, record.file_name, record.file_name, source, match, record.sha256, stats, content, record),
        is_historical=False,
    )


def _content_of(kept: Path, record: FileRecord, scratch: Path) -> tuple[Path, textfile.TextStats]:
    if not unpack.is_archive(kept.name):
        _, stats = textfile.sha256_of(kept)
        return kept, stats
    for member in unpack.members(kept):
        target = scratch / "replayed"
        sha256, stats = unpack.unpack(member, kept.stat().st_size, target)
        if sha256 == record.sha256:
            return target, stats
    raise FileProblem("unreadable", "the archive no longer holds the file that was delivered")


# --- rows mended by hand -----------------------------------------------------------------------


def rows_to_mend(workspace: Workspace) -> Path:
    """The file of the rows that a person mends; it holds raw text, and lies in the quarantine folder."""
    return workspace.quarantine / "to_mend.jsonl"


def write_rows_to_mend(workspace: Workspace, sources: Mapping[str, Source]) -> int:
    """Write the rows in quarantine of deliveries that count, one JSON object a line; returns their number.

    A person edits `raw_text`; lines left as they are, or taken out, stay in quarantine.
    """
    connection = warehouse.connect()
    try:
        records = manifest.effective(manifest.read(connection, workspace))
    finally:
        connection.close()
    told = []
    for record in records:
        path = quarantine_file(workspace, record.source, record.batch_id)
        source = sources.get(record.source)
        if source is None or source.file.format not in _LINES or not path.exists():
            continue
        for row in pq.read_table(path).to_pylist():
            names = ("source", "batch_id", "file_name", "line_number", "column_name", "rule", "reason", "raw_text")
            told.append({name: row[name] for name in names})
    target = rows_to_mend(workspace)
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in told)
    target.touch(mode=0o600)
    target.write_text(lines, encoding="utf-8")
    return len(told)


def _correct_files(workspace: Workspace, sources: Mapping[str, Source]) -> set[str]:
    """Put corrected copies of files with mended rows into the inbox; returns where the originals lie."""
    listed = rows_to_mend(workspace)
    if not listed.exists():
        return set()
    connection = warehouse.connect()
    try:
        records = {(r.source, r.batch_id): r for r in manifest.effective(manifest.read(connection, workspace))}
    finally:
        connection.close()
    corrected = set()
    for (source_name, batch_id), rows in _mended(listed).items():
        record, source = records.get((source_name, batch_id)), sources.get(source_name)
        if record is None or source is None:
            continue
        before = {
            row["line_number"]: row["raw_text"]
            for row in pq.read_table(quarantine_file(workspace, source_name, batch_id)).to_pylist()
        }
        changed = {line: text for line, text in rows.items() if before.get(line) not in (None, text)}
        if changed:
            _write_corrected(workspace, record, source, changed, {line: before[line] for line in changed})
            corrected.add(record.stored_as)
    listed.unlink()
    return corrected


def _mended(path: Path) -> dict[tuple[str, str], dict[int, str]]:
    found: dict[tuple[str, str], dict[int, str]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            found.setdefault((row["source"], row["batch_id"]), {})[int(row["line_number"])] = str(row["raw_text"])
        except (ValueError, KeyError, TypeError):
            raise UsageError(f"{path}:{number}: this line is no longer JSON; mend it, or take it out") from None
    return found


def _write_corrected(
    workspace: Workspace, record: FileRecord, source: Source, changed: dict[int, str], before: dict[int, str]
) -> None:
    kept = workspace.data / record.stored_as
    scratch = workspace.build / "ingest"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True, mode=0o750)
    try:
        content, _ = _content_of(kept, record, scratch)
        text = content.read_bytes().decode(source.file.encoding, "surrogateescape")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    lines = text.splitlines(keepends=True) if "\n" not in text else text.split("\n")
    joint = "" if "\n" not in text else "\n"
    for number, mended in sorted(changed.items(), reverse=True):
        span = before[number].count("\n") + 1
        end = "\r" if lines[number - 1].endswith("\r") else ""
        lines[number - 1 : number - 1 + span] = [mended + end]
    target = workspace.inbox / record.file_name.removesuffix(".gz")
    for waiting in (target, workspace.inbox / record.file_name):
        if waiting.exists():
            raise UsageError(
                f"{waiting}: a newer file of this name waits in the inbox; `rcu run` first, then `rcu replay`"
            )
    content_bytes = joint.join(lines).encode(source.file.encoding, "surrogateescape")
    if record.file_name.lower().endswith(".gz"):
        content_bytes, target = gzip.compress(content_bytes, mtime=0), workspace.inbox / record.file_name
    partial = target.with_name(f".{target.name}.tmp")
    partial.write_bytes(content_bytes)
    partial.replace(target)

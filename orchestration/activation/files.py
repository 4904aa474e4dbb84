"""Writing the files of a delivery: CSV, Parquet, JSON and JSON lines, with their checksums.

What belongs here: bytes. What does not: who is in a file, where it goes. Files are written into a folder of the
delivery's own and put on disk before anything is sent: a disk that fills up stops the delivery before it began.
Two writings of the same rows are the same bytes.

A spreadsheet takes a text that begins with = + - or @ for a formula. Such a text gets an apostrophe in front,
unless it is a number, or a phone number in E.164.
"""

from __future__ import annotations

import csv
import datetime as dt
import decimal
import hashlib
import io
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from orchestration.activation.formats import Layout
from orchestration.settings import Workspace

_FORMULA = re.compile(r"^\s*[=+\-@\t\r＝＋－＠]")
_NUMBER = re.compile(r"^[+-]?\d+([.,]\d+)?$")
_BATCH_ROWS = 20_000


@dataclass(frozen=True)
class WrittenFile:
    """One file of a delivery. `action`: full, add or remove; or manifest."""

    path: Path
    action: str
    rows: int
    size: int
    sha256: str

    @property
    def name(self) -> str:
        return self.path.name

    def told(self) -> dict[str, Any]:
        """As a manifest tells it."""
        return {"name": self.name, "action": self.action, "rows": self.rows, "bytes": self.size, "sha256": self.sha256}


def neutral(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.match(text) else text


def as_text(value: Any) -> str:
    """A value in a text file: ISO dates, `true`, numbers with a point, nothing for nothing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dt.datetime):
        return f"{value:%Y-%m-%dT%H:%M:%S}+00:00"
    if isinstance(value, dt.date):
        return value.isoformat()
    return str(value)


def as_json(value: Any) -> Any:
    """A value in a JSON file: decimals as numbers, dates as texts."""
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, dt.date):
        return as_text(value)
    return value


def records(table: pa.Table) -> Iterator[dict[str, Any]]:
    """The rows of a table as JSON objects, a batch at a time."""
    for batch in table.to_batches(max_chunksize=_BATCH_ROWS):
        for row in batch.to_pylist():
            yield {name: as_json(value) for name, value in row.items()}


def write(table: pa.Table, layout: Layout, folder: Path, stem: str, action: str) -> list[WrittenFile]:
    """Write the rows of one action; several files where one would be larger than the platform takes."""
    parts = {"csv": _write_csv, "parquet": _write_parquet, "json": _write_json, "jsonl": _write_json_lines}
    return list(parts[layout.extension](table, layout, folder, f"{stem}-{action}", action))


def write_lines(rows: list[dict[str, Any]], folder: Path, stem: str, action: str) -> WrittenFile:
    """A file of JSON lines, whatever form the activation's own files have."""
    with _opened(folder / f"{stem}.jsonl") as sink:
        for row in rows:
            sink.write((json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n").encode())
    return _told(sink.path, action, len(rows))


@contextmanager
def scratch(workspace: Workspace) -> Iterator[Path]:
    """A folder of this delivery alone; what a killed run left is swept first."""
    parent = workspace.build / "activation"
    shutil.rmtree(parent, ignore_errors=True)
    parent.mkdir(parents=True, mode=0o700)
    try:
        yield Path(tempfile.mkdtemp(dir=parent))
    finally:
        shutil.rmtree(parent, ignore_errors=True)


def write_manifest(told: dict[str, Any], folder: Path, stem: str) -> WrittenFile:
    """The manifest: what is in the delivery, how many, and how many were left out and why."""
    text = json.dumps(told, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    with _opened(folder / f"{stem}.manifest.json") as sink:
        sink.write(text.encode())
    return _told(sink.path, "manifest", 0)


class _opened:
    """A file that is private to its owner and on disk once it is closed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self.file = os.fdopen(handle, "wb")
        self.size = 0

    def write(self, data: bytes) -> None:
        self.file.write(data)
        self.size += len(data)

    def __enter__(self) -> _opened:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        try:
            self.file.flush()
            os.fsync(self.file.fileno())
        finally:
            self.file.close()


def _told(path: Path, action: str, rows: int) -> WrittenFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return WrittenFile(path, action, rows, path.stat().st_size, digest)


def _write_csv(table: pa.Table, layout: Layout, folder: Path, stem: str, action: str) -> Iterator[WrittenFile]:
    most = layout.most_bytes
    lines = _csv_lines(table, layout.delimiter)
    header = next(lines)
    held: bytes | None = next(lines, None)
    number = 0
    while held is not None or number == 0:
        number += 1
        suffix = f"-p{number:02d}" if number > 1 else ""
        rows = 0
        with _opened(folder / f"{stem}{suffix}.csv") as sink:
            sink.write(header)
            while held is not None and (rows == 0 or most is None or sink.size + len(held) < most):
                sink.write(held)
                rows += 1
                held = next(lines, None)
        yield _told(sink.path, action, rows)


def _csv_lines(table: pa.Table, delimiter: str) -> Iterator[bytes]:
    line = io.StringIO()
    writer = csv.writer(line, delimiter=delimiter, lineterminator="\r\n")

    def encoded(values: list[str]) -> bytes:
        line.seek(0)
        line.truncate()
        writer.writerow(values)
        return line.getvalue().encode()

    yield encoded([neutral(name) for name in table.column_names])
    for batch in table.to_batches(max_chunksize=_BATCH_ROWS):
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            yield encoded([neutral(as_text(value)) for value in row])


def _write_parquet(table: pa.Table, layout: Layout, folder: Path, stem: str, action: str) -> Iterator[WrittenFile]:
    with _opened(folder / f"{stem}.parquet") as sink:
        pq.write_table(table, sink.file, compression="zstd")
    yield _told(sink.path, action, table.num_rows)


def _write_json(table: pa.Table, layout: Layout, folder: Path, stem: str, action: str) -> Iterator[WrittenFile]:
    with _opened(folder / f"{stem}.json") as sink:
        before = b"[\n"
        for record in records(table):
            sink.write(before + json.dumps(record, ensure_ascii=False).encode())
            before = b",\n"
        sink.write(b"[]\n" if before == b"[\n" else b"\n]\n")
    yield _told(sink.path, action, table.num_rows)


def _write_json_lines(table: pa.Table, layout: Layout, folder: Path, stem: str, action: str) -> Iterator[WrittenFile]:
    with _opened(folder / f"{stem}.jsonl") as sink:
        for record in records(table):
            sink.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
    yield _told(sink.path, action, table.num_rows)

"""Searching a file of which nothing is known: unpacked, decoded, tables read as tables.

What belongs here: whether a file holds what a pattern finds. What does not: changing one (`rewriting`).
"""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Iterator
from pathlib import Path

import duckdb

from orchestration import warehouse
from orchestration.contracts.subject import Finder
from orchestration.errors import UsageError
from orchestration.warehouse import literal, quote

#: So much of a file tells of what kind it is.
HEAD = 65536
#: Archives that are not opened here: 7z, bzip2, xz, zstd, rar.
_PACKED = (b"7z\xbc\xaf", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"Rar!")


def holds(path: Path, pattern: Finder) -> bool | None:
    """Whether a file holds what `pattern` finds; None where it cannot be opened."""
    try:
        return any(pattern.search(text) for text in texts(path))
    except (OSError, ValueError, EOFError, LookupError, RuntimeError, UsageError, zipfile.BadZipFile, duckdb.Error):
        return None


def texts(path: Path) -> Iterator[str]:
    """The texts of a file, unpacked. Raises ValueError where it cannot be read as any kind that is known."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    if head[8:12] == b"DUCK":
        yield from _rows_of(path)
    if head[:4] == b"PARE" or head.startswith(_PACKED) or head[257:262] == b"ustar":
        raise ValueError("not a kind that is opened")
    if head[:4] == b"PAR1":
        yield from _in_memory(f"select cast(told as varchar) from read_parquet({literal(str(path))}) as told")
    elif head[:2] == b"\x1f\x8b":
        with gzip.open(path, "rb") as packed:
            yield from _packed_texts(packed.read())
    elif head[:2] == b"PK":
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if member.flag_bits & 1:
                    raise ValueError("locked")
                yield from _packed_texts(archive.read(member))
    else:
        raw = path.read_bytes()
        yield raw.decode("utf-8", "replace")
        yield raw.decode("latin-1")


def _packed_texts(raw: bytes) -> Iterator[str]:
    if raw[:2] in (b"\x1f\x8b", b"PK") or raw[:4] in (b"PAR1", b"PARE") or raw[8:12] == b"DUCK":
        raise ValueError("packed twice")
    yield raw.decode("utf-8", "replace")
    yield raw.decode("latin-1")


def _in_memory(query: str) -> Iterator[str]:
    connection = warehouse.connect()
    try:
        result = connection.execute(query)
        while rows := result.fetchmany(10_000):
            yield "\n".join(text for (text,) in rows if text)
    finally:
        connection.close()


def _rows_of(path: Path) -> Iterator[str]:
    connection = warehouse.connect(path, read_only=True)
    try:
        for schema, table in tables(connection):
            result = connection.execute(f"select cast(told as varchar) from {quote(schema)}.{quote(table)} as told")
            while rows := result.fetchmany(10_000):
                yield "\n".join(text for (text,) in rows if text)
    finally:
        connection.close()


def tables(connection: warehouse.Connection) -> list[tuple[str, str]]:
    """Schema and table of everything in the database that a connection looks at."""
    return connection.execute(
        "select schema_name, table_name from duckdb_tables() where database_name = current_database() and not internal "
        "order by schema_name, table_name"
    ).fetchall()

"""gz and zip: what is in them, taken out with care.

What belongs here: the guards against archives that unpack to far more than they are, that name files
outside their folder, or that nest. What does not: what the files mean. Nothing is ever written under a
name that an archive chose.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from orchestration.ingest.problems import refused, unreadable
from orchestration.ingest.textfile import BLOCK, TextStats

#: An archive may unpack to this many times its own size once it is past `FREE_SIZE`...
LARGEST_RATIO = 200
FREE_SIZE = 64 * 1024 * 1024
#: ... and never to more than this.
LARGEST_UNPACKED = 64 * 1024**3
MOST_MEMBERS = 1000
#: What reading a damaged archive raises.
DAMAGED = (
    zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError,
    ValueError, struct.error,
)  # fmt: skip


_DAMAGED = "the archive is damaged or truncated; ask for it again"


@dataclass(frozen=True)
class Member:
    """One file of an archive: its base name and how to open it."""

    name: str
    open: Callable[[], io.BufferedIOBase | IO[bytes]]


def is_archive(name: str) -> bool:
    return name.lower().endswith((".gz", ".zip"))


def members(path: Path) -> list[Member]:
    """The files in a gz or zip. Raises FileProblem for an archive that is broken or not to be trusted."""
    if path.name.lower().endswith(".gz"):
        return [Member(path.name[:-3], lambda: gzip.open(path, "rb"))]
    try:
        archive = zipfile.ZipFile(path)
    except (*DAMAGED, OSError):
        raise unreadable("this is no zip archive, or a truncated one; ask for it again") from None
    with archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    entries = [entry for entry in entries if not _is_clutter(entry.filename)]
    if not entries:
        raise unreadable("the zip archive is empty; ask for it again")
    if len(entries) > MOST_MEMBERS:
        raise refused(f"the zip archive holds {len(entries)} files, more than {MOST_MEMBERS}")
    total = sum(entry.file_size for entry in entries)
    _check_size(total, path.stat().st_size)
    for entry in entries:
        name = entry.filename.replace("\\", "/")
        parts = PurePosixPath(name).parts
        if name.startswith("/") or ".." in parts or (parts and ":" in parts[0]):
            raise refused("the zip archive names a file outside its own folder; it is not to be trusted")
        if entry.flag_bits & 1:
            raise refused("the zip archive is protected by a password; ask for it without")
        if is_archive(name):
            raise refused("the zip archive holds another archive; send the inner one")
    return [Member(PurePosixPath(entry.filename.replace("\\", "/")).name, _opener(path, entry)) for entry in entries]


def _is_clutter(name: str) -> bool:
    base = PurePosixPath(name.replace("\\", "/")).name
    return base.startswith(".") or "__MACOSX" in name


def _opener(path: Path, entry: zipfile.ZipInfo) -> Callable[[], io.BufferedIOBase | IO[bytes]]:
    return lambda: zipfile.ZipFile(path).open(entry)


def _check_size(unpacked: int, packed: int) -> None:
    if unpacked > LARGEST_UNPACKED or (unpacked > FREE_SIZE and unpacked > LARGEST_RATIO * packed):
        raise refused(
            f"the archive unpacks to more than {unpacked // 2**20} MB from {packed // 1024} kB: it looks like a zip "
            "bomb; send the file unpacked"
        )


def unpack(member: Member, packed: int, target: Path) -> tuple[str, TextStats]:
    """Write a member to `target`; returns (SHA-256 in hex, statistics) of the content."""
    digest, stats = hashlib.sha256(), TextStats()
    try:
        with member.open() as inside, target.open("wb") as out:
            while block := inside.read(BLOCK):
                digest.update(block)
                stats.feed(block)
                _check_size(stats.size, packed)  # what an archive says of its size may be a lie
                out.write(block)
    except DAMAGED:
        raise unreadable(_DAMAGED) from None
    except OSError as error:
        if error.errno == errno.EINVAL:  # a place before the start of the file: its directory is wrong
            raise unreadable(_DAMAGED) from None
        raise
    return digest.hexdigest(), stats

"""The inbox: which files are there, which are whole, whose they are, and how they leave it.

What belongs here: names, sizes, times, moves. What does not: what is in a file. A file leaves the inbox
only for the archive or for `quarantine/files`; nothing is deleted.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import os
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestration.contracts.source import NameMatch, Source, match_name
from orchestration.ingest.unpack import is_archive
from orchestration.settings import Workspace

DONE = ".done"


@dataclass(frozen=True)
class Found:
    """What a look at the inbox showed. Paths are absolute and sorted."""

    whole: tuple[Path, ...]
    growing: tuple[Path, ...]
    links: tuple[Path, ...]


def look(inbox: Path, settle_seconds: float) -> Found:
    """Find the files that can be taken.

    A file is whole when `<name>.done` stands beside it, or when it has not changed for `settle_seconds`.
    Names that start with a dot, and the markers, are not deliveries. Symbolic links are never followed.
    """
    files: list[Path] = []
    links: list[Path] = []
    for folder, folders, names in os.walk(inbox, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        links += [Path(folder) / name for name in folders if (Path(folder) / name).is_symlink()]
        for name in names:
            path = Path(folder) / name
            if name.startswith(".") or name.endswith(DONE) or name in ("README.md", "README"):
                continue
            if path.is_symlink():
                links.append(path)
            elif path.is_file():
                files.append(path)
    first = {path: _state(path) for path in files}
    newest = max((state[1] for path, state in first.items() if state and not _is_marked(path)), default=0.0)
    wait = newest + settle_seconds - time.time()
    if 0 < wait <= settle_seconds:
        time.sleep(wait)
    whole: list[Path] = []
    growing: list[Path] = []
    for path in sorted(files):
        state = _state(path)
        if state is None:
            continue
        is_young = settle_seconds > 0 and time.time() - state[1] < settle_seconds
        is_still = state == first[path] and not is_young
        (whole if _is_marked(path) or is_still else growing).append(path)
    return Found(tuple(whole), tuple(growing), tuple(sorted(links)))


def _state(path: Path) -> tuple[int, float] | None:
    try:
        told = path.stat()
    except FileNotFoundError:
        return None
    # A clock that runs ahead must not keep a file for ever.
    return told.st_size, min(told.st_mtime, time.time())


def _is_marked(path: Path) -> bool:
    return path.with_name(path.name + DONE).exists()


def owners(name: str, sources: Mapping[str, Source]) -> list[tuple[Source, NameMatch]]:
    """The sources whose pattern a file name matches (with and without `.gz`)."""
    plain = name[:-3] if name.lower().endswith(".gz") else name
    found = []
    for _, source in sorted(sources.items()):
        match = match_name(source.file, plain)
        if match is None and plain != name:
            match = match_name(source.file, name)
        if match is not None:
            found.append((source, match))
    return found


def zip_owners(name: str, sources: Mapping[str, Source]) -> list[tuple[Source, NameMatch]]:
    """As `owners`, for a zip of one file whose own name tells: `x.csv.zip` or `x.zip` for `x.csv`."""
    plain = name[:-4]
    for candidate in (name, plain):
        if found := owners(candidate, sources):
            return found
    found = []
    for _, source in sorted(sources.items()):
        suffix = Path(source.file.pattern).suffix
        match = match_name(source.file, plain + suffix) if suffix and not is_archive(plain + suffix) else None
        if match is not None:
            found.append((source, match))
    return found


_ADDRESS = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)*")
_ENDINGS = re.compile(r"(?:\.(?:csv|txt|tsv|xlsx|json|jsonl|ndjson|parquet|gz|zip))*$", re.IGNORECASE)


def safe_name(name: str) -> str:
    """A file name as text that any table and terminal takes, and that no log is spoilt by: addresses are masked."""
    printable = "".join(letter if letter.isprintable() else "_" for letter in name)
    stem = printable[: _ENDINGS.search(printable).start()]  # type: ignore[union-attr]
    printable = _ADDRESS.sub("(address)", stem) + printable[len(stem) :]
    return printable.encode("utf-8", "backslashreplace").decode("utf-8")[-180:]


def archive_place(workspace: Workspace, source: str, business_on: dt.date, sha256: str, name: str) -> Path:
    return workspace.archive / source / business_on.isoformat() / f"{sha256[:16]}-{safe_name(name)}"


def refused_place(workspace: Workspace, source: str, sha256: str, name: str) -> Path:
    return workspace.quarantine / "files" / (source or "unmatched") / f"{sha256[:16]}-{safe_name(name)}"


def move(path: Path, target: Path) -> None:
    """Move a file so that at every instant it is whole in at least one of the two places."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    try:
        path.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # Another file system: copy beside the target, make it last, then let the original go.
        partial = target.with_name(f".{target.name}.tmp")
        shutil.copyfile(path, partial)
        sync(partial)
        partial.replace(target)
        sync(target.parent)
        path.unlink()
    sync(target.parent)
    with contextlib.suppress(FileNotFoundError):
        path.with_name(path.name + DONE).unlink()


def sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

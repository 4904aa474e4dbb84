"""Refusals that are still in the inbox: deliveries that no run has taken yet and that may hold some.

What belongs here: telling by its name and its contract whether a waiting file may hold a refusal. What does not:
reading it, which is ingest's, with its checks and its quarantine. So nothing leaves until a run took the file: the
run reads it as every other, and sends.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from orchestration.activation.refusals import EVENTS_OF_REFUSAL
from orchestration.contracts.source import Delivery, Source, match_name
from orchestration.settings import Workspace


def files_to_take_first(workspace: Workspace, sources: Mapping[str, Source], channel: str) -> list[str]:
    """The files of the inbox, whole or still growing, that may hold a refusal which binds `channel`.

    Names within the inbox, in order. A file that no source claims is not among them: no run would take it. Nor is
    one of a new source whose contract is a draft; a source that delivered before still counts, whatever became of
    its contract.
    """
    binding = [
        source
        for name, source in sorted(sources.items())
        if _may_refuse(source, channel)
        and (not source.is_draft or any(workspace.landing.glob(f"*/source={name}/batch=*")))
    ]
    return [
        str(path.relative_to(workspace.inbox))
        for path in _waiting(workspace.inbox)
        if any(match_name(source.file, name) for name in _names(path) for source in binding)
    ]


def _waiting(inbox: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(inbox, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder) / name
            if not name.startswith(".") and not name.endswith(".done") and not path.is_symlink():
                yield path


def _names(path: Path) -> Iterator[str]:
    """Under which names a source may claim a file: its own, without what it is packed in, its members'."""
    yield path.name
    stem, packing = path.stem, path.suffix
    if packing.lower() == ".gz":
        yield stem
    elif packing.lower() == ".zip":
        yield stem
        for ending in (".csv", ".xlsx", ".json", ".jsonl", ".parquet", ".txt"):
            yield stem + ending
        try:
            with zipfile.ZipFile(path) as archive:
                yield from (Path(member).name for member in archive.namelist())
        except (OSError, zipfile.BadZipFile):
            return  # still being written, or damaged: its own name has to tell


def _may_refuse(source: Source, channel: str) -> bool:
    if "consent" in source.delivers or "privacy_request" in source.delivers:
        return True
    return channel == "email" and "event" in source.delivers and _tells_refusals(source.delivers["event"])


def _tells_refusals(delivery: Delivery) -> bool:
    rule = delivery.columns.get("event_type")
    if rule is None:
        return False
    known: Iterable[str | None] = [rule.constant, rule.default, rule.otherwise, *(rule.values or {}).values()]
    is_open = rule.columns is not None and rule.values is None
    return is_open or any(kind in EVENTS_OF_REFUSAL for kind in known)


__all__ = ["files_to_take_first"]

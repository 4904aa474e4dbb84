"""What the inbox sensor sees: files that are whole, and those that it launched a run for already."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from orchestration.defs.jobs import look, watch

LONG_AGO = 1_700_000_000


def drop(inbox: Path, name: str, *, is_young: bool = False) -> Path:
    path = inbox / name
    path.write_text("rows")
    if not is_young:
        os.utime(path, (LONG_AGO, LONG_AGO))
    return path


def test_a_file_is_settled_when_it_has_rested_or_is_marked_as_done(tmp_path: Path) -> None:
    drop(tmp_path, "old.csv")
    assert look(tmp_path).unsettled is None
    ahead = drop(tmp_path, "young.csv")
    os.utime(ahead, (time.time() + 3600, time.time() + 3600))
    assert look(tmp_path).unsettled == "young.csv"
    (tmp_path / "young.csv.done").touch()
    waiting = look(tmp_path)
    assert (waiting.unsettled, waiting.count) == (None, 2)


def test_markers_hidden_files_and_links_are_no_deliveries(tmp_path: Path) -> None:
    drop(tmp_path, ".part")
    (tmp_path / "x.done").touch()
    (tmp_path / "link.csv").symlink_to(tmp_path / ".part")
    assert look(tmp_path).count == 0
    assert look(tmp_path / "missing").count == 0


def test_the_same_files_are_told_by_the_same_digest(tmp_path: Path) -> None:
    drop(tmp_path, "a.csv")
    first = look(tmp_path).digest
    assert look(tmp_path).digest == first
    os.utime(tmp_path / "a.csv", (LONG_AGO + 1, LONG_AGO + 1))
    assert look(tmp_path).digest != first


def test_watching_ends_when_a_file_has_come(tmp_path: Path) -> None:
    drop(tmp_path, "a.csv")
    launched = look(tmp_path).digest
    assert watch(tmp_path, launched, seconds=0).digest == launched
    found = []
    watcher = threading.Thread(target=lambda: found.append(watch(tmp_path, launched, seconds=3600)))
    watcher.start()
    drop(tmp_path, "b.csv")
    watcher.join(timeout=60)
    assert [waiting.count for waiting in found] == [2]

"""Who opens the encrypted databases of a workspace: where its keys lie and how they are got when one is needed.

What belongs here: that, by data folder, and nothing else: it is light, so that every entry point can say it. What
does not: keys themselves (`protection`), and opening (`warehouse`), which may not know each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class KeyHolder:
    """`keys()`: those of the databases below one data folder, the one for new databases first."""

    key_file: Path
    keys: Callable[[], list[str]]


_holders: dict[Path, KeyHolder] = {}


def hold_keys(data: Path, holder: KeyHolder) -> None:
    """Say who opens the encrypted databases below `data`. No key is read before one is needed."""
    _holders[data] = holder


def holder_of(database: Path) -> KeyHolder | None:
    """Who opens `database`; None where nobody was named."""
    found = [data for data in _holders if data in database.parents]
    return _holders[max(found, key=lambda data: len(data.parts))] if found else None

"""The starter that `rcu init` writes: a small workspace whose declarations pass `rcu check` as they are.

What belongs here: the commented YAML files (in `declarations/` beside this module) and the function that
copies them. What does not: the declarations of the demo retailer, which are the repository's own.
"""

from __future__ import annotations

from pathlib import Path

from orchestration.contracts.schemas import write_schemas
from orchestration.errors import UsageError
from orchestration.settings import Workspace

STARTER = Path(__file__).resolve().parent / "declarations"

#: Extracts, publications and keys hold personal data: none of them belongs under version control.
IGNORED = "data/\n.keys/\n"


def write_starter(folder: Path) -> list[Path]:
    """Write the starter into the workspace `folder`, which is created; returns the files written, sorted.

    Writes `declarations/`, the JSON Schemas for editors and, where there is none, a `.gitignore`, and makes
    the empty inbox. Raises UsageError, having written nothing, where the folder already has declarations.
    """
    target = folder / "declarations"
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: this is a file; name a folder for the workspace")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target}: there are declarations already; name another folder, or take them away first")
    written = []
    for source in sorted(STARTER.rglob("*.yml")):
        path = target / source.relative_to(STARTER)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
        written.append(path)
    written += write_schemas(target / "schemas")
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text(IGNORED, encoding="utf-8")
        written.append(ignore)
    Workspace(folder).inbox.mkdir(parents=True, exist_ok=True, mode=0o750)
    return sorted(written)

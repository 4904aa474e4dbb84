"""What no declaration may hold: a literal secret, or SQL.

What belongs here: finding them in any YAML file of the declarations, whatever its model. What does not: what the
models themselves refuse. A problem never repeats the text it is about.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestration.contracts.loader import Document, Location, Problem, read_document

#: Keys that hold a secret in any vocabulary; a reference (env:NAME, file:PATH) is the only value they may have.
_SECRET_KEY = re.compile(
    r"^(?:.*_)?(?:password|passwd|passphrase|pwd|secret|secret_key|access_key|private_key|api_?key|token|dsn|credentials?)$",
    re.IGNORECASE,
)
_REFERENCE = re.compile(r"^(?:env:[A-Za-z_][A-Za-z0-9_]*|file:\S.*)$")

#: Values that are secrets wherever they stand: a URL with a password, a private key, keys of well-known services.
_SECRET_VALUE = re.compile(
    r"[a-z][a-z0-9+.-]*://[^\s/:@]+:[^\s/@]+@|-----BEGIN [A-Z ]*PRIVATE KEY-----|\bAKIA[0-9A-Z]{16}\b"
    r"|\bgh[pousr]_[A-Za-z0-9]{30,}\b|\bxox[abpr]-[A-Za-z0-9-]{10,}|\bpassword\s*=\s*[^\s;]+",
    re.IGNORECASE,
)

_SQL = re.compile(
    r"\bselect\b.+\bfrom\b|\binsert\s+into\b|\bupdate\b.+\bset\b|\bdelete\s+from\b|\b(?:drop|create|alter)\s+(?:table|view|schema)\b"
    r"|\bunion\s+(?:all\s+)?select\b|\battach\s+'|\bcopy\s+\(|;\s*--",
    re.IGNORECASE | re.DOTALL,
)

#: Keys whose value is prose for people, where "select ... from" is English.
_PROSE = frozenset({"describes", "description", "objective", "label", "en", "fr", "reason", "comment", "title", "text"})

#: Where names of the source's own columns stand as keys: a column may well be called `token`.
_OWN_NAMES = frozenset({"columns", "custom", "values", "delivers", "filter", "ignored", "properties"})

_WORTH_READING = re.compile(
    f"{_SECRET_VALUE.pattern}|{_SQL.pattern}|(?:pass|pwd|secret|key|token|dsn|credential)", re.IGNORECASE | re.DOTALL
)


def unwanted(declarations: Path, root: Path) -> list[Problem]:
    """Every literal secret and SQL text in the YAML files below `declarations`, with file and line."""
    problems: list[Problem] = []
    for path in sorted(declarations.rglob("*.yml")):
        if _WORTH_READING.search(path.read_text(encoding="utf-8", errors="replace")):
            document = read_document(path, root)
            problems += _walk(document, document.data, ())
    return problems


def _walk(document: Document, value: Any, location: Location) -> Iterator[Problem]:
    if isinstance(value, dict):
        for key, below in value.items():
            yield from _walk(document, below, (*location, str(key)))
    elif isinstance(value, list):
        for index, below in enumerate(value):
            yield from _walk(document, below, (*location, index))
    elif isinstance(value, str):
        words = [part for part in location if isinstance(part, str)]
        key = words[-1] if words else ""
        is_own_name = bool(_OWN_NAMES.intersection(words[:-1]))
        if _SECRET_VALUE.search(value) or (_SECRET_KEY.match(key) and not is_own_name and not _REFERENCE.match(value)):
            yield document.problem(
                location,
                f'"{key}" holds a secret; write env:NAME or file:PATH here, keep the secret there, and change it',
            )
        elif key not in _PROSE and _SQL.search(value):
            yield document.problem(location, f'"{key}" holds SQL; declarations name fields and values, never SQL')

"""Static lists: a file of customers, imported whole.

What belongs here: taking a file over as a list of the workspace. What does not: finding the customers that its rows
name (`materialise.load_lists`).
"""

from __future__ import annotations

import csv
import io
import os
import re
from dataclasses import dataclass
from pathlib import Path

from orchestration.contracts.loader import did_you_mean
from orchestration.contracts.segment import LIST_KEYS
from orchestration.errors import DeclarationError, UsageError

_NAME = re.compile(r"^[a-z][a-z0-9_]{0,62}$")


@dataclass(frozen=True)
class ImportedList:
    """Rows of the list, and of the one that it replaced."""

    rows: int
    rows_before: int | None


def import_list(folder: Path, name: str, file: Path) -> ImportedList:
    """Replace the list `name` of `folder` by `file`, or leave it as it is and say which line is wrong.

    Of the file only the columns that name customers are kept. Delimiter: `,`, `;` or a tab.
    """
    if not _NAME.match(name):
        raise UsageError(f'"{name}" is no name of a list; use lowercase letters, digits and _')
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DeclarationError(f"{file}:1: this file is not UTF-8 (byte {error.start}); save it as UTF-8") from None
    head = text.split("\n", 1)[0]
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count))
    header = [column.strip().lower() for column in next(rows, [])]
    keys = [key for key in LIST_KEYS if key in header]
    if not keys:
        near = next((hint for column in header if "mean" in (hint := did_you_mean(column, LIST_KEYS))), "")
        raise DeclarationError(f"{file}:1: a list needs a column named one of: {', '.join(LIST_KEYS)}{near}")
    kept = []
    for row in rows:
        if not any(cell.strip() for cell in row):
            continue
        told = dict(zip(header, row, strict=False))
        values = [told.get(key, "").strip() for key in keys]
        if not any(values):
            raise DeclarationError(f"{file}:{rows.line_num}: this row names nobody; fill one of {', '.join(keys)}")
        kept.append(values)
    target = folder / f"{name}.csv"
    before = None
    if target.exists():
        with target.open(encoding="utf-8-sig", newline="") as handle:
            before = max(0, sum(1 for _ in csv.reader(handle)) - 1)
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{name}.part"
    try:
        with os.fdopen(
            os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8", newline=""
        ) as sink:
            writer = csv.writer(sink, lineterminator="\n")
            writer.writerows([keys, *kept])
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return ImportedList(len(kept), before)

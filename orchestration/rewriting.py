"""Rewriting files without some of their rows: texts, spreadsheets, Parquet, archives, SQLite.

What belongs here: formats, and how a file is replaced so that a stop at any instant leaves it whole, old or
new. What does not: which rows go (each domain knows its own files).

A row that goes leaves an empty one in its place (an empty line, `{}`, a row of nulls): the numbers of the
others stay true, and doing the same twice changes nothing.
"""

from __future__ import annotations

import csv
import functools
import gzip
import io
import json
import os
import re
import shutil
import sqlite3
import tempfile
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import python_calamine
import xlsxwriter

from orchestration.contracts.subject import Finder

Format = Literal["csv", "fixed", "jsonl", "json", "xlsx", "parquet", "text"]
#: A csv record never takes more lines than this: a quote that is not closed must not swallow the file.
LONGEST_RECORD = 1000
_LINES: tuple[Format, ...] = ("csv", "fixed", "jsonl", "text")


@dataclass(frozen=True)
class Layout:
    """How a file is written. `fields`: of fixed width, (first character from 1, width) by name."""

    format: Format = "text"
    encoding: str = "utf-8"
    delimiter: str = ","
    quote: str | None = '"'
    names: tuple[str, ...] | None = None
    skip_lines: int = 0
    fields: dict[str, tuple[int, int]] = field(default_factory=dict)
    sheet: str | None = None
    rows_at: str | None = None


@dataclass(frozen=True)
class Edit:
    """What to do to the rows of one file, by their number from 1 (of a text: the physical line).

    `drop`: rows that go. `blank`: rows of which only the columns in `kept` stay. `pattern`: any other row that it is
    found in goes too; or, where `spares`, keeps the columns in `kept`. `known`: numbers at which a row is known to begin.
    """

    drop: frozenset[int] = frozenset()
    blank: frozenset[int] = frozenset()
    kept: frozenset[str] = frozenset()
    pattern: Finder | None = None
    known: frozenset[int] = frozenset()
    spares: bool = False

    def goes(self, number: int, text: str) -> bool:
        if number in self.drop:
            return True
        return number not in self.blank and not self.spares and self._finds(text)

    def blanks(self, number: int, text: str) -> bool:
        return number not in self.drop and (number in self.blank or (self.spares and self._finds(text)))

    def _finds(self, text: str) -> bool:
        return self.pattern is not None and bool(self.pattern.search(text))


def pattern_of(texts: frozenset[str] | set[str]) -> re.Pattern[str] | None:
    """A pattern that finds any of `texts` as a whole word, also as JSON writes it; None for none."""
    return _pattern_of(frozenset(texts))


def folded(text: str) -> str:
    """A text as names are compared: small letters without accents; line ends stay."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()


@dataclass(frozen=True)
class Traces:
    """What tells a person in a text: a word of theirs, or a line with all the parts of one of `names`.

    A name alone is many people's; with the address or the postal code beside it, it is one person's. Parts are as
    `folded` gives them, words divided by one space; in a text anything but letters and digits may divide them.
    """

    words: re.Pattern[str] | None
    names: frozenset[tuple[str, ...]] = frozenset()

    def search(self, text: str, /) -> bool:
        if self.words is not None and self.words.search(text):
            return True
        first = _first_parts(self.names)
        if first is None:
            return False
        plain = folded(text)
        by_first = _by_first(self.names)
        for hit in first.finditer(plain):
            line = plain[plain.rfind("\n", 0, hit.start()) + 1 : _line_end(plain, hit.end())]
            spaced = f" {_DIVIDERS.sub(' ', line)} "
            found = _DIVIDERS.sub(" ", hit.group())
            if any(all(f" {part} " in spaced for part in others) for others in by_first[found]):
                return True
        return False


def traces_of(texts: frozenset[str] | set[str], names: frozenset[tuple[str, ...]]) -> Traces | None:
    """What finds any of `texts` (`pattern_of`) or of `names`; None where there is neither."""
    words = pattern_of(texts)
    return Traces(words, names) if words is not None or names else None


_DIVIDERS = re.compile(r"[^a-z0-9]+")


def _line_end(text: str, start: int) -> int:
    end = text.find("\n", start)
    return len(text) if end < 0 else end


@functools.lru_cache(maxsize=8)
def _first_parts(names: frozenset[tuple[str, ...]]) -> re.Pattern[str] | None:
    parts = {name[0] for name in names}
    if not parts:
        return None
    return re.compile(rf"(?<![a-z0-9]){_any_of(parts)}(?![a-z0-9])".replace(r"\ ", r"[^a-z0-9\n]{1,8}"))


@functools.lru_cache(maxsize=8)
def _by_first(names: frozenset[tuple[str, ...]]) -> dict[str, list[tuple[str, ...]]]:
    found: dict[str, list[tuple[str, ...]]] = {}
    for name in sorted(names):
        found.setdefault(name[0], []).append(name[1:])
    return found


@functools.lru_cache(maxsize=8)
def _pattern_of(texts: frozenset[str]) -> re.Pattern[str] | None:
    forms = {form for text in texts for form in (text, json.dumps(text)[1:-1]) if text.strip()}
    if not forms:
        return None
    return re.compile(rf"(?<![^\W_]){_any_of({form.lower() for form in forms})}(?![^\W_])", re.IGNORECASE)


def _any_of(forms: set[str]) -> str:
    """An expression for any of `forms`, branching letter by letter: the time it takes hardly grows with their number."""
    tree: dict[str, Any] = {}
    for form in sorted(forms):
        node = tree
        for letter in form:
            node = node.setdefault(letter, {})
        node[""] = {}
    return _branches(tree)


def _branches(node: dict[str, Any]) -> str:
    parts = []
    for letter, below in node.items():
        if letter:
            run = letter
            while len(below) == 1 and "" not in below:
                (step,) = below
                run, below = run + step, below[step]
            parts.append(re.escape(run) + (_branches(below) if set(below) != {""} else ""))
    joined = parts[0] if len(parts) == 1 and "" not in node else f"(?:{'|'.join(parts)})"
    return f"{joined}?" if "" in node and parts else joined


def layout_for(name: str) -> Layout:
    """The layout that a file name tells, for files that no contract describes."""
    plain = name.lower().removesuffix(".gz").removesuffix(".zip")
    suffix = plain.rsplit(".", 1)[-1]
    found: dict[str, Format] = {"parquet": "parquet", "xlsx": "xlsx", "jsonl": "jsonl", "ndjson": "jsonl"}
    return Layout(found.get(suffix, "text"))


def edit_file(path: Path, layout: Layout, edit: Callable[[str], Edit | None]) -> int:
    """Rewrite `path` without some rows; returns how many were changed, and leaves the file alone at 0.

    `edit` is asked for each file inside: with the name of the member of a zip, else with the file's own name
    (less `.gz`). None: nothing to do there. The new file has the mode of the old one.
    """
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".rewriting-") as folder:
        target = Path(folder) / "new"
        lower = path.name.lower()
        if lower.endswith(".zip"):
            changed = _edit_zip(path, target, layout, edit, Path(folder))
        elif lower.endswith(".gz"):
            changed = _edit_gz(path, target, layout, edit(path.name[:-3]), Path(folder))
        else:
            asked = edit(path.name)
            changed = _edit_plain(path, target, layout, asked) if asked else 0
        if changed:
            replace(target, path)
    return changed


def replace(new: Path, old: Path) -> None:
    """Put `new` in the place of `old`, on disk, with its mode."""
    new.chmod(old.stat().st_mode & 0o777)
    handle = os.open(new, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    new.replace(old)
    handle = os.open(old.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _edit_gz(path: Path, target: Path, layout: Layout, edit: Edit | None, folder: Path) -> int:
    if edit is None:
        return 0
    plain, edited = folder / "plain", folder / "edited"
    with gzip.open(path, "rb") as packed, plain.open("wb") as out:
        shutil.copyfileobj(packed, out)
    changed = _edit_plain(plain, edited, layout, edit)
    if changed:
        with edited.open("rb") as text, target.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as out:
            shutil.copyfileobj(text, out)
    return changed


def _edit_zip(path: Path, target: Path, layout: Layout, edit: Callable[[str], Edit | None], folder: Path) -> int:
    changed = 0
    with zipfile.ZipFile(path) as packed, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as out:
        for number, entry in enumerate(packed.infolist()):
            if entry.is_dir():
                continue
            plain, edited = folder / f"plain-{number}", folder / f"edited-{number}"
            with packed.open(entry) as member, plain.open("wb") as copy:
                shutil.copyfileobj(member, copy)
            asked = edit(entry.filename.replace("\\", "/").rsplit("/", 1)[-1])
            done = _edit_plain(plain, edited, layout, asked) if asked else 0
            changed += done
            out.write(edited if done else plain, zipfile.ZipInfo(entry.filename, entry.date_time).filename)
    return changed


def _edit_plain(path: Path, target: Path, layout: Layout, edit: Edit) -> int:
    with path.open("rb") as file:
        head = file.read(4)
    # What a file is called may be wrong; what it begins with is not.
    if head == b"PAR1":
        return _edit_parquet(path, target, edit)
    if head[:2] == b"PK":
        return _edit_xlsx(path, target, layout, edit)
    if layout.format == "json":
        return _edit_json(path, target, layout, edit)
    return _edit_text(path, target, layout, edit)


# --- texts -------------------------------------------------------------------------------------


def _edit_text(path: Path, target: Path, layout: Layout, edit: Edit) -> int:
    changed = 0
    names: tuple[str, ...] | None = layout.names
    reading: dict[str, Any] = {"encoding": layout.encoding, "errors": "surrogateescape", "newline": ""}
    with path.open("r", **reading) as text, target.open("w", **reading) as out:
        for number, record in _records(text, layout, edit):
            if (
                layout.format == "csv"
                and names is None
                and number > layout.skip_lines
                and record.strip("\r\n\ufeff \t")
            ):
                names = tuple(_cells(record.lstrip("\ufeff"), layout))
                out.write(record)
                continue
            if record.strip("\r\n") and edit.goes(number, record):
                changed += 1
                out.write("".join(re.findall(r"\r\n|\r|\n", record)))
            elif record.strip("\r\n") and edit.blanks(number, record):
                blanked = _blank(record, layout, edit, names or ())
                changed += blanked != record
                out.write(blanked)
            else:
                out.write(record)
    return changed


def _records(text: io.TextIOBase, layout: Layout, edit: Edit) -> Iterator[tuple[int, str]]:
    """(physical line, text with its line ends) of each record."""
    number, lines = 0, iter(text)
    pending = next(lines, None)
    while pending is not None:
        record, start = pending, number + 1
        number += 1
        pending = next(lines, None)
        if layout.format == "csv" and layout.quote and start > layout.skip_lines:
            while (
                record.count(layout.quote) % 2
                and pending is not None
                and number + 1 not in edit.known
                and number - start < LONGEST_RECORD
            ):
                record += pending
                number += 1
                pending = next(lines, None)
        yield start, record


def _cells(record: str, layout: Layout) -> list[str]:
    text = record.rstrip("\r\n")
    if len(layout.delimiter) > 1:
        return text.split(layout.delimiter)
    quoting: Literal[0, 3] = 0 if layout.quote else 3  # minimal, none
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=layout.delimiter, quotechar=layout.quote, quoting=quoting
    )
    return next(reader, [])


def _blank(record: str, layout: Layout, edit: Edit, names: tuple[str, ...]) -> str:
    text = record.rstrip("\r\n")
    end = record[len(text) :]
    kept = {name.casefold() for name in edit.kept}
    if layout.format == "fixed":
        letters = list(text)
        spared = [layout.fields[name] for name in layout.fields if name.casefold() in kept]
        for at in range(len(letters)):
            if not any(first <= at + 1 < first + width for first, width in spared):
                letters[at] = " "
        return "".join(letters) + end
    if layout.format == "jsonl":
        try:
            row = json.loads(text)
        except ValueError:
            return end
        return json.dumps(pruned(row, edit.kept), ensure_ascii=False) + end
    if layout.format != "csv":
        return end
    cells = _cells(record, layout)
    left = [cell if at < len(names) and names[at].strip().casefold() in kept else "" for at, cell in enumerate(cells)]
    if len(layout.delimiter) > 1 or not layout.quote:
        return layout.delimiter.join(left) + end
    out = io.StringIO()
    csv.writer(out, delimiter=layout.delimiter, quotechar=layout.quote, lineterminator="").writerow(left)
    return out.getvalue() + end


def pruned(value: Any, kept: frozenset[str], place: str = "") -> Any:
    """A JSON value with the leaves whose dotted path (array positions left out) is in `kept`."""
    if isinstance(value, dict):
        found = {}
        for name, inner in value.items():
            below = f"{place}.{name}" if place else name
            if any(path == below or path.startswith(below + ".") for path in kept):
                found[name] = inner if below in kept else pruned(inner, kept, below)
        return found
    if isinstance(value, list):
        return [pruned(inner, kept, place) for inner in value]
    return value if place in kept else None


def _edit_json(path: Path, target: Path, layout: Layout, edit: Edit) -> int:
    text = path.read_bytes().decode(layout.encoding, "surrogateescape").removeprefix("\ufeff")
    try:
        document = json.loads(text)
    except ValueError:
        return _edit_text(path, target, Layout("text", layout.encoding), Edit(pattern=edit.pattern))
    holder: Any = {"": document}
    name = ""
    for step in layout.rows_at.split(".") if layout.rows_at else []:
        holder, name = holder[name], step
        if not isinstance(holder, dict) or name not in holder:
            return 0
    items = holder[name]
    if isinstance(items, dict):
        items = [items]
    if not isinstance(items, list):
        return 0
    changed = 0
    for at, item in enumerate(items):
        if item != {} and edit.goes(at + 1, json.dumps(item, ensure_ascii=False)):
            items[at] = {}
        elif item != {} and edit.blanks(at + 1, json.dumps(item, ensure_ascii=False)):
            items[at] = pruned(item, edit.kept)
        changed += items[at] != item
    if changed:
        holder[name] = items
        whole = holder[""] if not layout.rows_at else document
        encoded = json.dumps(whole, ensure_ascii=False).encode(layout.encoding, "surrogateescape")
        target.write_bytes(encoded)
    return changed


# --- tables ------------------------------------------------------------------------------------


def _edit_parquet(path: Path, target: Path, edit: Edit) -> int:
    table = pq.read_table(path)
    texts = [json.dumps(row, ensure_ascii=False, default=str) for row in table.to_pylist()] if edit.pattern else []
    dropped = {
        at for at in range(table.num_rows)
        if edit.goes(at + 1, texts[at] if texts else "") and (not texts or any(table.slice(at, 1).to_pylist()[0].values()))
    }  # fmt: skip
    blanked = {at for at in range(table.num_rows) if edit.blanks(at + 1, texts[at] if texts else "")} - dropped
    if not dropped | blanked:
        return 0
    columns, fields = [], []
    kept = {name.casefold() for name in edit.kept}
    for column in table.schema:
        gone = dropped if column.name.casefold() in kept else dropped | blanked
        places = pa.array([None if at in gone else at for at in range(table.num_rows)], pa.int64())
        columns.append(table.column(column.name).take(places))
        fields.append(column.with_nullable(True))
    pq.write_table(pa.Table.from_arrays(columns, schema=pa.schema(fields)), target, compression="zstd")
    return len(dropped | blanked)


def _edit_xlsx(path: Path, target: Path, layout: Layout, edit: Edit) -> int:
    """The values of a workbook are kept; colours and formulas are not."""
    workbook = python_calamine.CalamineWorkbook.from_path(str(path))
    wanted = layout.sheet or (workbook.sheet_names[0] if workbook.sheet_names else "")
    changed = 0
    with xlsxwriter.Workbook(str(target), {"strings_to_formulas": False, "strings_to_urls": False}) as out:
        moment, day = (
            out.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}),
            out.add_format({"num_format": "yyyy-mm-dd"}),
        )
        for name in workbook.sheet_names:
            sheet = out.add_worksheet(name)
            titles: list[str] | None = None
            for at, row in enumerate(workbook.get_sheet_by_name(name).to_python(skip_empty_area=False)):
                filled = any(cell not in ("", None) for cell in row)
                if titles is None:
                    if filled and (name != wanted or at >= layout.skip_lines):
                        titles = [" ".join(str(cell).split()).casefold() for cell in row]
                elif filled:
                    shown = edit if name == wanted else Edit(pattern=edit.pattern)
                    if shown.goes(at + 1, "\t".join(map(str, row))):
                        changed += 1
                        continue
                    if shown.blanks(at + 1, "\t".join(map(str, row))):
                        kept = {column.casefold() for column in shown.kept}
                        left = [c if i < len(titles) and titles[i] in kept else "" for i, c in enumerate(row)]
                        changed += left != row
                        row = left
                for column, cell in enumerate(row):
                    if cell in ("", None):
                        continue
                    if hasattr(cell, "hour") and hasattr(cell, "year"):
                        sheet.write_datetime(at, column, cell, moment)
                    elif hasattr(cell, "year"):
                        sheet.write_datetime(at, column, cell, day)
                    else:
                        sheet.write(at, column, cell if isinstance(cell, (str, bool, int, float)) else str(cell))
    return changed


# --- SQLite ------------------------------------------------------------------------------------


def edit_sqlite(path: Path, pattern: re.Pattern[str], put: str = "[erased]") -> int:
    """Replace what `pattern` finds in every text of a SQLite file, and write the file anew; returns the cells."""
    changed = 0
    with closing(sqlite3.connect(path, timeout=30)) as connection:
        connection.create_function("has_it", 1, lambda text: pattern.search(_text(text)) is not None)
        connection.create_function("without_it", 1, lambda text: pattern.sub(put, _text(text)))
        tables = connection.execute("select name from sqlite_master where type = 'table' order by name").fetchall()
        for (table,) in tables:
            named = '"' + table.replace('"', '""') + '"'
            for _, column, *_ in connection.execute(f"pragma table_info({named})").fetchall():
                cell = '"' + column.replace('"', '""') + '"'
                where = f"typeof({cell}) in ('text', 'blob') and has_it({cell})"
                done = connection.execute(f"update {named} set {cell} = without_it({cell}) where {where}")
                changed += done.rowcount
        connection.commit()
        if changed:
            connection.execute("vacuum")
            connection.execute("pragma wal_checkpoint(truncate)")
    return changed


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)

"""A bounded look at a file nobody has described yet: how it is written, and its columns as texts.

What belongs here: format, encoding, delimiter, quoting, where the header stands, the width of fixed fields,
where the rows of a JSON document are. What does not: what the columns mean (`vocabulary`, `mapping`). Only
the first megabytes are read, whatever the size of the file.
"""

from __future__ import annotations

import codecs
import csv
import datetime as dt
import io
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from orchestration.errors import UsageError
from orchestration.ingest import readers, unpack
from orchestration.ingest.problems import FileProblem

SAMPLE_BYTES = 4 * 1024 * 1024
SAMPLE_ROWS = 5_000
#: Lines below which fixed fields are told apart by blanks alone.
FEWEST_FOR_FIELDS = 20
#: Binary formats are opened whole; larger ones are described from a shorter export.
LARGEST_WHOLE = 512 * 1024 * 1024
DELIMITERS = (";", ",", "\t", "|", "^", "~", "||", "¤", "§")

CIVILITIES = frozenset(
    ["m", "mr", "mme", "mlle", "madame", "monsieur", "mademoiselle", "mrs", "ms", "miss", "dr", "mx", "mister"]
)

FileFormat = Literal["csv", "fixed", "jsonl", "json", "xlsx", "parquet"]


@dataclass
class ColumnSample:
    """The values of one column, in file order; None where the file has none. `is_list`: a JSON array of texts."""

    name: str
    values: list[str | None]
    is_list: bool = False
    inside: str | None = None  # path of the array of objects that holds it


@dataclass
class Sample:
    """What was seen. `layout` holds the keys of `file:` in a contract; `doubts` what a person should confirm."""

    file_name: str
    format: FileFormat
    columns: list[ColumnSample]
    rows: int
    layout: dict[str, Any] = field(default_factory=dict)
    doubts: list[tuple[str, str]] = field(default_factory=list)
    totals: tuple[str, str] | None = None  # column and beginning of the lines of totals below the table


def take_sample(path: Path) -> Sample:
    """Look at a file. Raises UsageError for what is no extract: empty, binary, damaged."""
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file")
    try:
        name, head, is_whole, opened = _open(path)
        if not head:
            raise UsageError(f"{path}: the file is empty; ask for one with rows")
        return _look(name, head, is_whole, opened)
    except FileProblem as problem:
        raise UsageError(f"{path}: {problem.message}") from None
    except OSError as error:
        raise UsageError(f"{path}: it cannot be read ({error.strerror}); check its permissions") from None


def _open(path: Path) -> tuple[str, bytes, bool, Path | bytes]:
    """(name, first bytes, whether that is all, the file for formats that are opened whole)."""
    if not unpack.is_archive(path.name):
        with path.open("rb") as handle:
            head = handle.read(SAMPLE_BYTES)
            return path.name, head, not handle.read(1), path
    member = unpack.members(path)[0]
    name = path.name[:-3] if path.name.lower().endswith(".gz") else member.name
    try:
        with member.open() as handle:
            head = handle.read(SAMPLE_BYTES)
            is_whole = not handle.read(1)
        if not head.startswith((b"PK\x03\x04", b"PAR1")):
            return name, head, is_whole, path
        with member.open() as handle:
            content = handle.read(LARGEST_WHOLE + 1)
    except unpack.DAMAGED:
        raise UsageError(f"{path}: the archive is damaged or truncated; ask for it again") from None
    if len(content) > LARGEST_WHOLE:
        raise UsageError(f"{path}: too large to be looked at packed; unpack it, or describe a shorter export")
    return name, head, is_whole, content


def _look(name: str, head: bytes, is_whole: bool, opened: Path | bytes) -> Sample:
    if head.startswith(b"PAR1"):
        return _parquet(name, opened)
    if head.startswith(b"PK\x03\x04"):
        return _xlsx(name, opened)
    encoding, doubt = detect_encoding(head)
    text = codecs.getincrementaldecoder(encoding)(errors="replace").decode(head).removeprefix("\ufeff")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text[:4096] or sum(not (c.isprintable() or c in "\n\t") for c in text[:4096]) > 80:
        raise UsageError(f"{name}: this is binary, not an extract; csv, fixed width, JSON, xlsx and Parquet are read")
    if not is_whole and "\n" in text:
        text = text[: text.rindex("\n") + 1]
    first = text.lstrip()[:1]
    if first in ("{", "["):
        sample = _json(name, text, is_whole)
    else:
        sample = _delimited(name, text)
    if encoding != "utf-8":
        sample.layout["encoding"] = encoding
    if doubt:
        sample.doubts.append(("encoding", doubt))
    return sample


# --- encoding ----------------------------------------------------------------------------------

#: Letters that French, and its neighbours, write beyond ASCII.
_LETTERS = frozenset("éèêëàâäçùûüîïôöœæÉÈÊËÀÂÄÇÙÛÜÎÏÔÖŒÆñÑáíóúßãõ")
_MARKS = frozenset("€°’‘“”«»–—…\u00a0·•")


def detect_encoding(head: bytes) -> tuple[str, str | None]:
    """(Python's name of the encoding, what is not sure of it)."""
    for mark, found in (
        (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
    ):  # fmt: skip
        if head.startswith(mark):
            return found, None
    if head.isascii() and b"\0" not in head:
        return "utf-8", None
    nuls = head[:4096].count(b"\0")
    if nuls > len(head[:4096]) // 4:
        odd = head[1:4096:2].count(b"\0")
        return ("utf-16-le" if odd > nuls // 2 else "utf-16-be"), None
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
        return "utf-8", None
    except UnicodeDecodeError:
        pass
    scores = {name: _looks_written(head, name) for name in ("cp1252", "iso8859-15", "cp850", "mac-roman")}
    best = max(scores, key=lambda name: (scores[name], name == "cp1252"))
    ranked = sorted(scores.values(), reverse=True)
    is_sure = best == "cp1252" or ranked[0] > ranked[1]
    return best, None if is_sure else f"the bytes fit {best} best; look at the accents of a few names"


def _looks_written(head: bytes, encoding: str) -> int:
    """Accented letters that the encoding makes of the bytes, less what nobody writes."""
    score = 0
    for byte, count in Counter(byte for byte in head if byte > 127).items():
        letter = bytes([byte]).decode(encoding, "replace")
        # Capitals with an accent are rare beside the same letters in lower case.
        score += count * ((3 if letter.islower() else 1) if letter in _LETTERS else 0 if letter in _MARKS else -2)
    return score


# --- csv and fixed width -----------------------------------------------------------------------


def _delimited(name: str, text: str) -> Sample:
    lines = [line for line in text.split("\n")[: SAMPLE_ROWS * 2] if line.strip()]
    if not lines:
        raise UsageError(f"{name}: the file has blank lines only; ask for one with rows")
    found = _best_delimiter(lines)
    if found is None:
        fields = _fixed_fields(lines)
        if fields is not None:
            return _fixed(name, lines, fields)
        found = ",", 1
    delimiter, width = found
    quote = _quote_of(text, delimiter)
    escape = "\\" if quote and text.count("\\" + quote) > text.count(quote + quote) else None
    records = _records(text, delimiter, quote, escape)
    skipped = next((index for index, (_, row) in enumerate(records) if len(row) == width), 0)
    skipped += _titles_above([row for _, row in records[skipped:]])
    rows = [row for _, row in records[skipped:]]
    layout: dict[str, Any] = {}
    if delimiter != ",":
        layout["delimiter"] = delimiter
    if quote != '"':
        layout["quote"] = quote
    if escape:
        layout["escape"] = escape
    doubts = []
    header = [" ".join(cell.split()) for cell in rows[0]]
    if _is_second_header(rows):
        header, second = _joined_headers(rows[0], rows[1]), [" ".join(cell.split()) for cell in rows[1]]
        skipped, body = skipped + 1, rows[2:]
        if all(second) and len(set(second)) == len(second):
            header = second
        else:
            skipped += 1
            layout["names"] = header
            doubts.append(("names", "the header has two lines: are these the names that its columns should have?"))
    elif _is_header(header, rows[1:]):
        body = rows[1:]
    else:
        body, header = rows, [f"column_{index + 1}" for index in range(width)]
        layout["names"] = header
        doubts.append(("names", "the file has no header line: give its columns their names, here and below"))
    if before := records[skipped][0] if skipped else 0:
        layout["skip_lines"] = before
    if width == 1:
        doubts.append(("delimiter", "one column only: is there a delimiter that was not recognised?"))
    body = [row for row in body[:SAMPLE_ROWS] if len(row) == width]
    names = unique_names(header)
    body, totals = _without_totals(body, names)
    columns = [ColumnSample(title, [_text(row[i]) for row in body]) for i, title in enumerate(names)]
    return Sample(name, "csv", columns, len(body), layout, doubts, totals)


_TOTAL = re.compile(
    r"(?i)\W*((?:sous[- ]?|grand[ -]|sub[- ]?)?tota(?:l|ux)|nombre|fin de fichier|end of file|rows?|lignes?)\b"
)


def _without_totals(body: list[list[str]], names: list[str]) -> tuple[list[list[str]], tuple[str, str] | None]:
    """The rows without a last one that sums them up, and how such a row is known: its column and first word."""
    if len(body) < 5:
        return body, None
    filled = sorted(sum(bool(cell.strip()) for cell in row) for row in body)
    usual = filled[len(filled) // 2]
    for index, cell in enumerate(body[-1]):
        if cell.strip():
            found = _TOTAL.match(cell)
            is_short = sum(bool(value.strip()) for value in body[-1]) * 2 <= usual
            if found and is_short:
                return body[:-1], (names[index], found.group(1))
            break
    return body, None


def _best_delimiter(lines: list[str]) -> tuple[str, int] | None:
    """(delimiter, columns) that cut most lines alike into most columns."""
    best: tuple[float, int, str, int] | None = None
    probe = lines[:1000]
    for rank, delimiter in enumerate(DELIMITERS):
        widths = Counter(_width(line, delimiter) for line in probe)
        width, count = max(widths.items(), key=lambda item: (item[1] * (item[0] > 1), item[0]))
        if width < 2:
            continue
        share = count / len(probe)
        if share < 0.5:
            continue
        # What a header is cut by counts more than what stands in free text.
        score = share * min(width, 12) * (1.5 if _width(probe[0], delimiter) == width else 1.0)
        candidate = (score, -rank if len(delimiter) == 1 else 0, delimiter, width)
        if best is None or candidate[:2] > best[:2]:
            best = candidate
    return (best[2], best[3]) if best else None


def _width(line: str, delimiter: str) -> int:
    if '"' in line and len(delimiter) == 1:
        return len(next(csv.reader([line], delimiter=delimiter), []))
    return line.count(delimiter) + 1


def _quote_of(text: str, delimiter: str) -> str | None:
    """The character that opens and closes values; None where quotes stand within values only."""
    edge = re.escape(delimiter)
    for mark in ('"', "'"):
        opened = len(re.findall(rf"(?:^|{edge}){mark}", text, re.MULTILINE))
        closed = len(re.findall(rf"{mark}(?:{edge}|$)", text, re.MULTILINE))
        if opened and closed and min(opened, closed) * 2 >= max(opened, closed) and (mark == '"' or opened > 20):
            return mark
    return '"' if '"' not in text else None


def _records(text: str, delimiter: str, quote: str | None, escape: str | None) -> list[tuple[int, list[str]]]:
    """(physical lines before, values) of each record that is not blank."""
    found: list[tuple[int, list[str]]] = []
    if len(delimiter) > 1:
        for number, line in enumerate(text.split("\n")):
            if line.strip():
                found.append((number, [value.strip().strip(quote or "") for value in line.split(delimiter)]))
            if len(found) > SAMPLE_ROWS + 50:
                break
        return found
    csv.field_size_limit(2**31 - 1)
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, quotechar=quote, escapechar=escape,
        doublequote=escape is None, quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
    )  # fmt: skip
    before = 0
    try:
        for row in reader:
            if row and any(value.strip() for value in row):
                found.append((before, row))
            before = reader.line_num
            if len(found) > SAMPLE_ROWS + 50:
                break
    except csv.Error as error:
        raise UsageError(f"the rows cannot be cut ({error}); is this a csv?") from None
    return found


_DATA = re.compile(r"@|^[-+]?[\d .,]+$|^\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|^\d{4}-\d\d-\d\d")


def _is_header(first: list[str], rows: list[list[str]]) -> bool:
    """Names repeat no value of their column, are no numbers, dates or addresses, and are nearly all given."""
    if any(_DATA.search(cell) for cell in first if cell):
        return False
    if sum(bool(cell) for cell in first) * 2 < len(first) or len(set(filter(None, first))) * 2 < len(first):
        return False
    same = sum(
        any(index < len(row) and row[index].strip() == cell for row in rows[:200])
        for index, cell in enumerate(first)
        if cell
    )
    return same * 3 <= len(first)


def _titles_above(rows: list[list[str]]) -> int:
    """How many rows at the start are titles: they fill far fewer cells than the rows of the table."""
    filled = [sum(bool(cell.strip()) for cell in row) for row in rows[:200]]
    usual = sorted(filled)[len(filled) // 2]
    return next((index for index, count in enumerate(filled) if count * 2 >= usual), 0)


def _is_second_header(rows: list[list[str]]) -> bool:
    """Whether the second row is a header too: it has words where the rows below have numbers, dates or addresses."""
    if len(rows) < 5 or any(_DATA.search(cell.strip()) for cell in rows[0] if cell.strip()):
        return False
    told = 0
    for index, cell in enumerate(rows[1]):
        below = [value for row in rows[2:200] if index < len(row) and (value := row[index].strip())]
        is_data = len(below) > 2 and sum(bool(re.search(r"\d|@", value)) for value in below) >= 0.9 * len(below)
        if is_data and cell.strip():
            is_like_them = _shape(cell.strip()) in {_shape(value) for value in below}
            if is_like_them or "@" in cell or not re.search(r"[^\W\d_]", cell):
                return False
            told += 1
    return told >= 2


def _shape(text: str) -> str:
    return re.sub(r"\d+", "9", re.sub(r"[^\W\d_]+", "a", text))


def _joined_headers(first: list[str], second: list[str]) -> list[str]:
    """One name for each column of a header in two lines: a blank group goes on from the left."""
    plain = [" ".join(cell.split()) for cell in second]
    group, joined = "", []
    for index, above in enumerate(first):
        group = " ".join(above.split()) or group
        below = plain[index] if index < len(plain) else ""
        joined.append(below if below and plain.count(below) == 1 else f"{group} {below}".strip())
    return unique_names(joined)


def unique_names(header: list[str]) -> list[str]:
    """As the reader names them: unnamed columns by their place, repeated ones by a number."""
    seen: Counter[str] = Counter()
    told = []
    for index, name in enumerate(header):
        seen[name] += 1
        told.append(f"column_{index + 1}" if not name else name if seen[name] == 1 else f"{name}#{seen[name]}")
    return told


def _fixed_fields(lines: list[str]) -> list[tuple[int, int]] | None:
    """[(first character from 1, width)] where lines are of one length and columns parted by blanks; else None."""
    body = [line.rstrip("\n") for line in lines[:2000]]
    longest = max(len(line) for line in body)
    if longest < 8 or len(body) < 3:
        return None
    if sum(longest - len(line.rstrip()) > longest // 2 for line in body) * 5 > len(body):
        return None
    padded = [line.ljust(longest) for line in body]
    blank = [sum(line[at] == " " for line in padded) == len(padded) for at in range(longest)]
    starts = [0]
    for at in range(1, longest):
        before_is_blank = blank[at - 1]
        if before_is_blank and not blank[at]:
            starts.append(at)
    if len(starts) < 2:
        return None
    starts = sorted({*starts, *_starts_without_blank(padded[1:])})  # the first line may be a header
    starts = sorted({*starts, *_after_civilities(padded[1:], starts)})
    ends = [*starts[1:], longest]
    return [(first + 1, end - first) for first, end in zip(starts, ends, strict=True)]


def _starts_without_blank(lines: list[str]) -> list[int]:
    """Where one field ends and the next begins without a blank: letters after digits, or digits after a date.

    Told from many lines only: a few may agree by chance.
    """
    if len(lines) < FEWEST_FOR_FIELDS:
        return []
    longest = len(lines[0])
    digits = [all("0" <= line[at] <= "9" for line in lines) for at in range(longest)]
    letters = [all(line[at].isalpha() for line in lines) for at in range(longest)]
    starts = [at for at in range(1, longest) if digits[at - 1] and letters[at]]
    for at in range(longest - 8):
        begins = digits[at] and (at == 0 or not digits[at - 1])
        if begins and all(digits[at : at + 9]) and _are_dates([line[at : at + 8] for line in lines]):
            starts.append(at + 8)
    return starts


def _after_civilities(lines: list[str], starts: list[int]) -> list[int]:
    """Where a name begins right behind a civility of fixed width: `MME`, `M  `."""
    found = []
    for at in starts:
        for width in (3, 4, 5, 8):
            pieces = {line[at : at + width].strip().lower().rstrip(".") for line in lines}
            follows = sum(line[at + width : at + width + 1].isalpha() for line in lines)
            if len(pieces) > 1 and pieces <= CIVILITIES | {""} and pieces != {""} and follows >= 0.9 * len(lines):
                found.append(at + width)
                break
    return found


def _are_dates(texts: list[str]) -> bool:
    return any(all(_is_date(text, form) for text in texts) for form in ("%d%m%Y", "%Y%m%d"))


def _is_date(text: str, form: str) -> bool:
    try:
        return 1900 <= dt.datetime.strptime(text, form).year <= 2100
    except ValueError:
        return False


def _fixed(name: str, lines: list[str], fields: list[tuple[int, int]]) -> Sample:
    rows = [[line[first - 1 : first - 1 + width].strip() for first, width in fields] for line in lines[:SAMPLE_ROWS]]
    layout: dict[str, Any] = {}
    doubts = [("fields", "columns were told apart by blanks, digits and dates: hold their first characters and widths against the "
               "description of the file")]  # fmt: skip
    if _is_header(rows[0], rows[1:]):
        titles, rows = unique_names([" ".join(cell.split()) for cell in rows[0]]), rows[1:]
        layout["skip_lines"] = 1
    else:
        titles = [f"column_{index + 1}" for index in range(len(fields))]
        doubts.append(("names", "the file has no header line: give its columns their names, here and below"))
    layout["fields"] = {title: list(place) for title, place in zip(titles, fields, strict=True)}
    columns = [ColumnSample(title, [_text(row[i]) for row in rows]) for i, title in enumerate(titles)]
    return Sample(name, "fixed", columns, len(rows), layout, doubts)


def _text(value: Any) -> str | None:
    text = str(value).strip(" \t\n\u00a0\u202f\u200b\ufeff")
    return text or None


# --- JSON --------------------------------------------------------------------------------------


def _json(name: str, text: str, is_whole: bool) -> Sample:
    lines = [line for line in text.split("\n") if line.strip()]
    items = _json_lines(lines)
    if items is not None:
        return _from_objects(name, "jsonl", items, {})
    if not is_whole:
        items = _objects_of_a_start(text)
        path = None if text.lstrip().startswith("[") else _path_of_a_start(text)
        if not items:
            raise UsageError(
                f"{name}: no rows were found at its start; describe a shorter export, or ask for JSON lines"
            )
        return _from_objects(name, "json", items, {"rows_at": path} if path else {})
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(f"{name}: this is not valid JSON ({error.msg}, line {error.lineno})") from None
    except RecursionError:
        raise UsageError(f"{name}: the JSON is nested too deeply to be data") from None
    rows_at, items = _rows_of(document, ())
    if not items:
        raise UsageError(f"{name}: there is no array of objects in the document; which rows does it hold?")
    return _from_objects(name, "json", items, {"rows_at": rows_at} if rows_at else {})


def _json_lines(lines: list[str]) -> list[dict[str, Any]] | None:
    items, bad = [], 0
    for line in lines[:SAMPLE_ROWS]:
        try:
            item = json.loads(line, parse_float=str)
        except (json.JSONDecodeError, RecursionError):
            bad += 1
            continue
        if isinstance(item, dict):
            items.append(item)
        else:
            bad += 1
    is_lines = len(items) > 1 or (len(lines) == 1 and len(items) == 1 and not _rows_of(items[0], ())[1])
    return items if is_lines and bad * 10 <= len(items) else None


def _rows_of(value: Any, path: tuple[str, ...]) -> tuple[str, list[dict[str, Any]]]:
    """The largest array of objects that is reached through objects alone."""
    if isinstance(value, list):
        items = [item for item in value if isinstance(item, dict)]
        return (".".join(path), items) if len(items) * 2 > len(value) else ("", [])
    best: tuple[str, list[dict[str, Any]]] = ("", [])
    if isinstance(value, dict) and len(path) < 6:
        for key, inner in value.items():
            found = _rows_of(inner, (*path, str(key)))
            if len(found[1]) > len(best[1]):
                best = found
    return best


def _objects_of_a_start(text: str) -> list[dict[str, Any]]:
    """The whole objects of the first array of objects in a document that is cut."""
    at = re.search(r"\[\s*\{", text)
    if at is None:
        return []
    items: list[dict[str, Any]] = []
    decoder, position = json.JSONDecoder(parse_float=str), at.end() - 1
    while len(items) < SAMPLE_ROWS:
        try:
            item, end = decoder.raw_decode(text, position)
        except json.JSONDecodeError:
            break
        if isinstance(item, dict):
            items.append(item)
        following = re.compile(r"\s*,\s*").match(text, end)
        if following is None:
            break
        position = following.end()
    return items


def _path_of_a_start(text: str) -> str | None:
    at = re.search(r"\[\s*\{", text)
    keys = re.findall(r'"([^"\\]+)"\s*:\s*(?=[\[{])', text[: at.end() if at else 0])
    return ".".join(keys) or None


def _from_objects(name: str, kind: FileFormat, items: list[dict[str, Any]], layout: dict[str, Any]) -> Sample:
    items = items[:SAMPLE_ROWS]
    flat: dict[str, list[Any]] = {}
    lists: set[str] = set()
    inside: dict[str, list[dict[str, Any]]] = {}
    for number, item in enumerate(items):
        for path, value in _leaves(item, ()):
            if isinstance(value, list):
                if any(isinstance(element, dict) for element in value):
                    inside.setdefault(path, []).extend(e for e in value if isinstance(e, dict))
                    continue
                lists.add(path)
                value = ", ".join(str(element) for element in value)
            flat.setdefault(path, [None] * len(items))[number] = _scalar(value)
    columns = [ColumnSample(path, values, is_list=path in lists) for path, values in flat.items()]
    waiting = list(inside.items())
    while waiting:
        path, elements = waiting.pop(0)
        elements = elements[:SAMPLE_ROWS]
        parts: dict[str, list[Any]] = {}
        deeper: dict[str, list[dict[str, Any]]] = {}
        for number, element in enumerate(elements):
            for inner, value in _leaves(element, ()):
                if isinstance(value, list) and any(isinstance(one, dict) for one in value):
                    deeper.setdefault(inner, []).extend(one for one in value if isinstance(one, dict))
                    continue
                told = ", ".join(map(str, value)) if isinstance(value, list) else value
                parts.setdefault(inner, [None] * len(elements))[number] = _scalar(told)
        columns += [ColumnSample(inner, values, inside=path) for inner, values in parts.items()]
        waiting += [(f"{path}[*].{inner}", found) for inner, found in deeper.items()]
    return Sample(name, kind, columns, len(items), layout)


def _leaves(value: dict[str, Any], path: tuple[str, ...]) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, inner in value.items():
        here = (*path, str(key))
        if isinstance(inner, dict) and len(here) < 8:
            found += _leaves(inner, here)
        else:
            found.append((".".join(here), inner))
    return found


def _scalar(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return _text(value)


# --- xlsx and Parquet --------------------------------------------------------------------------


def _xlsx(name: str, opened: Path | bytes) -> Sample:
    sheet, rows, others = readers.sheet_of(opened)
    filled = [(number, row) for number, row in enumerate(rows) if any(cell not in ("", None) for cell in row)]
    if not filled:
        raise UsageError(f"{name}: the sheet {sheet!r} is empty")
    widths = Counter(sum(cell not in ("", None) for cell in row) for _, row in filled[:50])
    usual = max(widths)
    # Titles above a table fill one or two cells; the header fills nearly as many as the widest row.
    position, header = next((n, row) for n, row in filled if sum(c not in ("", None) for c in row) * 2 >= usual)
    texts = [
        [readers.cell_text(cell) if cell not in ("", None) else "" for cell in row]
        for number, row in filled[:300]
        if number >= position
    ]
    if _is_second_header(texts) and sum(map(bool, texts[1])) >= usual and len({*filter(None, texts[1])}) >= usual:
        # The first line groups the columns that the second one names.
        position, header = next((number, row) for number, row in filled if number > position)
    titles = [" ".join(readers.cell_text(cell).split()) for cell in header]
    while titles and not titles[-1]:
        titles.pop()
    names = unique_names(titles)
    body = [row for number, row in filled if number > position][:SAMPLE_ROWS]
    columns = [
        ColumnSample(title, [_text(readers.cell_text(row[index])) if index < len(row) else None for row in body])
        for index, title in enumerate(names)
    ]
    layout: dict[str, Any] = {}
    doubts = []
    if position:
        layout["skip_lines"] = position
    if others:
        layout["sheet"] = sheet
        doubts.append(("sheet", f"the workbook has {len(others)} more sheets; the first was taken"))
    return Sample(name, "xlsx", columns, len(body), layout, doubts)


def _parquet(name: str, opened: Path | bytes) -> Sample:
    try:
        file = pq.ParquetFile(opened if isinstance(opened, Path) else io.BytesIO(opened))
        batch = next(file.iter_batches(batch_size=SAMPLE_ROWS), None)
    except (pa.ArrowException, OSError):
        raise UsageError(f"{name}: it cannot be read as Parquet; is it complete?") from None
    if batch is None or not batch.num_rows:
        raise UsageError(f"{name}: the file has no rows; describe one that has")
    items = [{key: _plain(value) for key, value in row.items()} for row in batch.to_pylist()]
    sample = _from_objects(name, "parquet", items, {})
    sample.columns.sort(key=lambda column: file.schema_arrow.names.index(column.name.split(".")[0]))
    return sample


def _plain(value: Any) -> Any:
    if hasattr(value, "isoformat"):
        return value.isoformat(" ") if hasattr(value, "hour") and hasattr(value, "year") else value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value

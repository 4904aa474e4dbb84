"""One reader per format: a delivered file becomes a table of texts, nothing converted, nothing lost.

What belongs here: csv, fixed width, JSON, xlsx and Parquet, up to a temporary DuckDB table whose rows
know their line. What does not: what the texts mean (`conversions`). A line that is no row of the format
is a `Reject`; a file that is none of the format raises `FileProblem`.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import python_calamine

from orchestration.contracts.loader import did_you_mean
from orchestration.contracts.source import Source
from orchestration.ingest import jsonfile, textfile
from orchestration.ingest.conversions import Blanks, JsonPaths, RowSource, json_path
from orchestration.ingest.problems import refused, unreadable
from orchestration.ingest.textfile import LONGEST_LINE, LONGEST_RAW, TextStats
from orchestration.warehouse import Connection, literal, quote

#: More columns than this is taken for a wrong delimiter.
MOST_COLUMNS = 4096
#: A JSON document that is not as it should be is read whole, to tell what is wrong; a larger one is not.
LARGEST_DOCUMENT = 64 * 1024 * 1024
#: An xlsx workbook is read whole.
LARGEST_WORKBOOK = 1024 * 1024 * 1024
_RAW = "raw_rows"
#: Up to so many rejected lines, the line of a row is worked out from its place.
FEW_REJECTS = 200
_RULES = {
    "MISSING COLUMNS": "columns",
    "TOO MANY COLUMNS": "columns",
    "UNQUOTED VALUE": "quotes",
    "INVALID ENCODING": "encoding",
    "LINE SIZE OVER MAXIMUM": "line_length",
}


@dataclass(frozen=True)
class Reject:
    """A line that the format itself refuses."""

    line_number: int
    rule: str
    reason: str
    raw_text: str


@dataclass(frozen=True)
class Stream:
    """A text file that DuckDB can read on its way to somewhere else, without a table of texts in between.

    `relation`: the table expression. `rows`: how many it has when every line is a row; with fewer, values hold line
    ends, lines are blank, or some were rejected (`rejected`: those, after the relation was read to its end).
    """

    relation: str
    rows: int
    first_line: int
    _plain: Path
    _before: int
    _over: Callable[[Path], str]

    def prepare(self, connection: Connection) -> None:
        """Call before each reading."""
        _forget_rejected(connection)

    def line_number(self, rejects: list[Reject]) -> str | None:
        """The line of a row, over `file_row_number` of a Parquet file made from all of the stream; None: too many
        lines were rejected to say it in a few words."""
        rejected = sorted({reject.line_number - self.first_line for reject in rejects})
        if len(rejected) > FEW_REJECTS:
            return None
        return _shifted(self.first_line - 1, [place + 1 for place in rejected], "file_row_number")

    def rejected(self, connection: Connection) -> list[Reject]:
        return _rejects(connection, self._plain, self._before)


@dataclass
class RawFile:
    """A file as texts. `rows` counts the rows of the table; `rejects` come on top of them.

    With a `stream`, there is a table only once `load` was called.
    """

    rows: int
    columns: tuple[str, ...]
    rejects: list[Reject] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    kept: tuple[str, ...] = ()
    encoding: str | None = None
    delimiter: str | None = None
    has_nul: bool = False
    has_unknown: bool = False  # bytes of another encoding: see `textfile.UNKNOWN`
    blanks: Blanks = "any"
    line_number: str = "rowid + 1"
    text_path: Path | None = None
    record_lines: np.ndarray | None = None
    raw_sql: str | None = None
    is_nested: bool = False
    is_typed: bool = False
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    stream: Stream | None = None
    _load: Callable[[], None] | None = None
    _expressions: dict[str, str] = field(default_factory=dict)

    def load(self) -> None:
        """Fill the table of raw rows, where it was not. Raises FileProblem."""
        if self._load is not None:
            with _telling_of("csv"):
                self._load()
            self._load = self.stream = None

    def streamed_source(self) -> RowSource:
        """As `row_source`, over the stream: neither places nor lines of rows are known while it runs."""
        assert self.stream is not None
        unknown = "cast(null as bigint)"
        return RowSource(self.stream.relation, unknown, self._find, blanks=self.blanks, row=unknown)

    def extract(self, connection: Connection, lines: list[int], scratch: Path) -> RowSource:
        """Load some lines of the stream, ascending, each a row: row i of the source is line `lines[i]`."""
        assert self.stream is not None
        few = scratch / "few_lines.txt"
        textfile.copy_lines(self.stream._plain, [line - self.stream._before for line in lines], few)
        self.stream.prepare(connection)
        connection.execute(f"create or replace temp table {_RAW} as select * from {self.stream._over(few)}")
        few.unlink()
        return RowSource(_RAW, "rowid", self._find, blanks=self.blanks)

    def row_source(self, delivery: Any = None) -> RowSource:
        """How conversions find the columns, for one entity."""
        if self.is_nested:
            paths = JsonPaths(depth=len(delivery.array_steps) if delivery else 0, aliases=self.aliases)
            return RowSource(
                _RAW, self.line_number, paths.find, is_nested=True, is_typed=True, paths=paths,
                blanks=self.blanks,
            )  # fmt: skip
        return RowSource(_RAW, self.line_number, self._find, is_typed=self.is_typed, blanks=self.blanks)

    def _find(self, name: str) -> str:
        return self._expressions.get(name, "cast(null as varchar)")

    @property
    def rows_read(self) -> int:
        return self.rows + len(self.rejects)

    def raw_texts(self, connection: Connection, rows: list[tuple[int, int]]) -> dict[int, str]:
        """The raw text of some rows, given as (rowid, line number): by rowid."""
        if not rows:
            return {}
        if self.text_path is not None:
            last = self._last_lines([line for _, line in rows])
            texts = textfile.raw_lines(self.text_path, last)
            return {row: texts.get(line, "") for row, line in rows}
        ids = pa.table({"r": pa.array([row for row, _ in rows], pa.int64())})
        connection.register("wanted_rows", ids)
        found = connection.execute(
            f"select rowid, left({self.raw_sql}, {LONGEST_RAW}) from {_RAW} where rowid in (select r from wanted_rows)"
        ).fetchall()
        connection.unregister("wanted_rows")
        return {row: textfile.shown(text) for row, text in found}

    def _last_lines(self, firsts: list[int]) -> dict[int, int]:
        if self.record_lines is None:
            return {line: line for line in firsts}
        at = np.searchsorted(self.record_lines, firsts, side="right")
        following = np.append(self.record_lines, 2**62)[at]
        return {line: int(min(after - 1, line + 1000)) for line, after in zip(firsts, following, strict=True)}


def read_raw(connection: Connection, path: Path, stats: TextStats, source: Source, scratch: Path) -> RawFile:
    """Read one file into the temporary table of raw rows, or make it ready to be streamed. Raises FileProblem."""
    connection.execute(f"drop table if exists {_RAW}")
    readers = {
        "csv": _read_csv, "fixed": _read_fixed, "jsonl": _read_json_lines, "json": _read_json,
        "xlsx": _read_xlsx, "parquet": _read_parquet,
    }  # fmt: skip
    with _telling_of(source.file.format):
        raw = readers[source.file.format](connection, path, stats, source, scratch)
    raw.aliases = source.aliases
    raw.has_nul = raw.has_nul or (source.file.format in ("csv", "fixed") and stats.nuls > 0)
    return raw


@contextmanager
def _telling_of(file_format: str) -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        # DuckDB quotes the offending line further down its message: only the first line is safe to show.
        first = str(error).splitlines()[0].split("Original Line")[0][:200]
        first = re.sub(r"'[^']*/[^']*'", "the file", first)  # where it lies on this machine is nobody's business
        raise unreadable(f"it cannot be read as {file_format} ({first}); check format, delimiter and quote") from error


# --- csv ---------------------------------------------------------------------------------------


def _read_csv(connection: Connection, path: Path, stats: TextStats, source: Source, scratch: Path) -> RawFile:
    layout = source.file
    textfile.check_is_text(stats, layout.encoding)
    plain, stats = textfile.plain_text(path, stats, layout.encoding, scratch, edges_of(source))
    skipped = layout.skip_lines
    if layout.names is None:
        header = textfile.read_header(plain, layout.delimiter, layout.quote, layout.skip_lines)
        if header is None:
            raise unreadable("the file has no header line; ask for it again")
        names, skipped = header.names, header.lines
        whole = plain
        if not header.is_one_line:
            plain = _without_lines(plain, skipped, scratch)
            before, skipped = skipped, 0
        else:
            before = 0
    else:
        names, before, whole = layout.names, 0, plain
    told, repeated = _tell_apart(names)
    _check_header(source, told, repeated)
    expressions, kept, warnings = _place_columns(source, told)
    raw = RawFile(
        0, tuple(told), warnings=warnings, kept=kept, encoding=layout.encoding, delimiter=layout.delimiter,
        has_nul=stats.nuls > 0, has_unknown=stats.has_unknown, _expressions=expressions,
    )  # fmt: skip
    escape = layout.escape or layout.quote or ""
    dialect = f"delim={literal(layout.delimiter)}, quote={literal(layout.quote or '')}, escape={literal(escape)}"
    relation = _relation(plain, len(names), skipped, dialect)
    used = sorted({int(expression[1:]) for expression in expressions.values()})
    raw.text_path = whole

    def load() -> None:
        raw.blanks = "any"
        _forget_rejected(connection)
        connection.execute(f"create or replace temp table {_RAW} as select {_chosen(used)} from {relation}")
        raw.rows = _count(connection)
        raw.rejects = _rejects(connection, plain, before)
        _number_lines(connection, raw, plain, stats, layout, skipped, before)
        # Where a value holds a line end, it may also begin or end with one.
        if raw.record_lines is None:
            raw.blanks = stats.blanks
        elif stats.returns:
            # A line end within a value is the same whatever system wrote the file.
            raw._expressions = {name: f"replace({found}, chr(13), '')" for name, found in raw._expressions.items()}

    raw.blanks = stats.blanks
    raw.stream = Stream(
        relation, stats.lines - before - skipped, before + skipped + 1, plain, before,
        lambda lines: _relation(lines, len(names), 0, dialect),
    )  # fmt: skip
    raw._load = load
    return raw


def edges_of(source: Source) -> tuple[bytes, ...]:
    """The byte pairs that show a blank at the edge of a value; empty where they cannot be told."""
    layout = source.file
    if layout.format != "csv" or len(layout.delimiter) > 1 or layout.delimiter.isspace():
        return ()
    beside = [layout.delimiter, layout.quote or "", "\n", "\r"]
    return tuple(pair.encode() for mark in beside if mark for pair in (f" {mark}", f"{mark} "))


def _without_lines(plain: Path, lines: int, scratch: Path) -> Path:
    target = scratch / "body.txt"
    with plain.open("rb") as source, target.open("wb") as out:
        for _ in range(lines):
            source.readline()
        while block := source.read(textfile.BLOCK):
            out.write(block)
    return target


def _tell_apart(names: tuple[str, ...]) -> tuple[list[str], set[str]]:
    """Give unnamed columns a name and repeated ones a number; returns the repeated names too."""
    repeated = {name for name, count in Counter(names).items() if count > 1 and name}
    seen: Counter[str] = Counter()
    told = []
    for index, name in enumerate(names):
        seen[name] += 1
        if not name:
            told.append(f"column_{index + 1}")
        else:
            told.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return told, repeated


def _used(source: Source) -> list[str]:
    return list(dict.fromkeys(name for _, name in source.columns_read()))


def _check_header(source: Source, names: list[str], repeated: set[str]) -> None:
    used = _used(source)
    if len(names) > MOST_COLUMNS:
        raise unreadable(f"the file has {len(names)} columns, more than {MOST_COLUMNS}: check the delimiter", 1)
    twice = sorted(repeated & set(used))
    if twice:
        raise refused(f'column "{twice[0]}" stands twice in the header; rename one at the source', 1)
    missing = [name for name in used if _find(source, name, names) is None]
    if not missing or source.drift.missing_column == "warn":
        return
    if len(missing) == len(used):
        raise refused(_nothing_found(source, names), 1)
    near = did_you_mean(missing[0], set(names) - set(used) - set(source.ignored))
    hint = near if near.startswith("; did you mean") else "; ask for it, or mend the contract"
    more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
    raise refused(f'column "{missing[0]}"{more} is missing from the file{hint}', 1)


def _nothing_found(source: Source, names: list[str]) -> str:
    layout = source.file
    if layout.format == "csv" and len(names) == 1:
        for delimiter in (";", ",", "\t", "|"):
            found = textfile.split_line(names[0], delimiter, layout.quote)
            if len(set(found) & set(_used(source))) > 1:
                shown = "\\t" if delimiter == "\t" else delimiter
                return f'the columns are parted by "{shown}", not by "{layout.delimiter}"; declare delimiter: "{shown}"'
    return (
        "none of the columns of the contract is in the first line; check delimiter and encoding, or declare "
        "names: [...] if the file has no header"
    )


def _match(name: str, names: list[str]) -> str | None:
    """The column of the file that a contract means: exact, else the only one that differs by case."""
    if name in names:
        return name
    near = [other for other in names if other.casefold() == name.casefold()]
    return near[0] if len(near) == 1 else None


def _find(source: Source, name: str, names: list[str]) -> str | None:
    """As `_match`, else by the first of the column's aliases that is there."""
    tried = (name, *source.aliases.get(name, ()))
    return next((found for other in tried if (found := _match(other, names)) is not None), None)


def _place_columns(source: Source, names: list[str]) -> tuple[dict[str, str], tuple[str, ...], list[str]]:
    """({contract name: column of the raw table}, new columns that are kept, warnings)."""
    warnings = []
    expressions = {}
    for name in _used(source):
        found = _find(source, name, names)
        if found is None:
            warnings.append(f'column "{name}" is missing from the file; it is left empty')
        else:
            expressions[name] = f"c{names.index(found)}"
    taken = set(expressions.values())
    ignored = {name.casefold() for name in source.ignored}
    new = [
        name
        for index, name in enumerate(names)
        if f"c{index}" not in taken and name.split("#")[0].casefold() not in ignored
    ]
    kept: list[str] = []
    if new and source.drift.new_column == "block":
        raise refused(f'column "{new[0]}" is new; map it or list it under ignored', 1)
    if new and source.drift.new_column == "warn":
        kept = new
        shown = ", ".join(f'"{name}"' for name in new[:5]) + (", ..." if len(new) > 5 else "")
        warnings.append(f"new column(s) {shown}: kept as custom attributes; map them or list them under ignored")
        expressions.update({name: f"c{names.index(name)}" for name in new})
    return expressions, tuple(kept), warnings


def _chosen(columns: list[int] | None) -> str:
    return ", ".join(f"c{index}" for index in columns) if columns else "c0"


def _relation(path: Path, width: int, skipped: int, dialect: str) -> str:
    declared = "{" + ", ".join(f"'c{index}': 'varchar'" for index in range(width)) + "}"
    return (
        f"read_csv({literal(str(path))}, columns={declared}, auto_detect=false, header=false, skip={skipped}, {dialect}, "
        f"store_rejects=true, rejects_table='rejected', rejects_scan='rejected_scans', "
        f"max_line_size={LONGEST_LINE + 4096}, null_padding=false)"
    )


def _forget_rejected(connection: Connection) -> None:
    for table in ("rejected", "rejected_scans"):
        connection.execute(f"drop table if exists {table}")


def _count(connection: Connection) -> int:
    row = connection.execute(f"select count(*) from {_RAW}").fetchone()
    return int(row[0]) if row else 0


def _rejects(connection: Connection, path: Path, lines_before: int) -> list[Reject]:
    found = connection.execute(
        "select line_byte_position - 1 as starts_at, arg_min(cast(error_type as varchar), column_idx), "
        "arg_min(error_message, column_idx), min(csv_line) from rejected group by line_byte_position order by starts_at"
    ).fetchall()
    if not found:
        return []
    numbers = textfile.lines_at(path, [max(0, int(at)) for at, _, _, _ in found])
    rejects = []
    for (_, kind, message, text), number in zip(found, numbers, strict=True):
        kind = kind or "LINE SIZE OVER MAXIMUM"
        rule = "encoding" if textfile.UNKNOWN in (text or "") else _RULES.get(kind, "format")
        reason = {
            "columns": (message or "")
            .replace("Expected Number of Columns", "columns expected")
            .replace("Found", "found"),
            "quotes": "a quote that is not closed, or text after a closing quote",
            "encoding": "bytes that are not text in the declared encoding",
            "line_length": f"a line longer than {LONGEST_LINE // 2**20} MB",
        }.get(rule, "this is no row of the format")
        whole = (text or "").strip("\r\n")
        # Rows that an open quote swallowed are rows all the same: each line is counted.
        lines = whole.split("\n") if rule == "quotes" else [whole]
        for index, line in enumerate(lines):
            swallowed = "" if index == 0 else f" (swallowed by the quote opened on line {number + lines_before})"
            rejects.append(
                Reject(
                    number + lines_before + index,
                    rule,
                    reason + swallowed,
                    textfile.shown(line[:LONGEST_RAW].rstrip("\r")),
                )
            )
    return rejects


def _number_lines(
    connection: Connection, raw: RawFile, plain: Path, stats: TextStats, layout: Any, skipped: int, before: int
) -> None:
    """Give each row its physical line. Simple arithmetic where no value holds a line end."""
    rejected = sorted({reject.line_number - before for reject in raw.rejects})
    lines = stats.lines - before - skipped
    if lines == raw.rows + len(rejected):
        if len(rejected) <= FEW_REJECTS:
            raw.line_number = _shifted(skipped + before, [line - skipped for line in rejected])
            return
        numbers = np.arange(1, lines + 1, dtype=np.int64) + skipped
        numbers = numbers[~np.isin(numbers, rejected)] + before
    else:
        records = len({reject.line_number for reject in raw.rejects if "swallowed" not in reject.reason})
        firsts = sorted({r.line_number - before for r in raw.rejects if "swallowed" not in r.reason})
        numbers = textfile.record_starts(plain, layout.quote, skipped)
        if len(numbers) != raw.rows + records and len(layout.delimiter) == 1:
            numbers = textfile.csv_record_starts(plain, layout.delimiter, layout.quote, layout.escape, skipped)
        if len(numbers) != raw.rows + records:
            raw.warnings.append("line numbers may be off: quotes stand within values")
            raw.line_number = f"rowid + {skipped + before + 1}"
            return
        raw.record_lines = numbers + before
        numbers = numbers[~np.isin(numbers, firsts)] + before
        if len(numbers) != raw.rows:
            raw.warnings.append("line numbers may be off: quotes stand within values")
            raw.record_lines = None
            raw.line_number = f"rowid + {skipped + before + 1}"
            return
    connection.register("numbered", pa.table({"line_number": pa.array(numbers, pa.int64())}))
    connection.execute("create or replace temp table row_lines as select line_number from numbered")
    connection.unregister("numbered")
    connection.execute(
        f"create or replace temp table numbered_rows as select {_RAW}.*, row_lines.line_number as line_at "
        f"from {_RAW} positional join row_lines"
    )
    connection.execute(f"drop table {_RAW}")
    connection.execute(f"alter table numbered_rows rename to {_RAW}")
    connection.execute("drop table row_lines")
    raw.line_number = "line_at"


def _shifted(offset: int, rejected: list[int], place: str = "rowid") -> str:
    """`place` as line number, where lines at the (relative, ascending) places `rejected` are no rows."""
    base = f"{place} + {offset + 1}"
    if not rejected:
        return base
    # Row i of those that are left stands after all rejected places p_j with p_j - j <= i + 1.
    steps = " ".join(
        f"when {place} >= {at - index - 1} then {base} + {index + 1}"
        for index, at in reversed(list(enumerate(rejected)))
    )
    return f"case {steps} else {base} end"


# --- fixed width and JSON lines ----------------------------------------------------------------

#: Separates nothing: the whole line is one value.
_ONE_VALUE = "delim='\x1e\x1f', quote='', escape=''"


class _Lines:
    """The raw table with one line a row, as `line`; `number` is the SQL of a row's line.

    The table is only written a second time when something has to leave it.
    """

    def __init__(self, connection: Connection, path: Path, skipped: int) -> None:
        self.connection = connection
        _forget_rejected(connection)
        relation = _relation(path, 1, skipped, _ONE_VALUE)
        connection.execute(f"create temp table {_RAW} as select c0 as line from {relation}")
        self.rejects = _rejects(connection, path, 0)
        self.number = _shifted(skipped, [reject.line_number - skipped for reject in self.rejects])
        if self._is_any(_IS_BLANK):
            self._keep(f"not ({_IS_BLANK})")

    def _is_any(self, test: str) -> bool:
        return self.connection.execute(f"select 1 from {_RAW} where {test} limit 1").fetchone() is not None

    def _keep(self, test: str) -> None:
        self.connection.execute(
            f"create or replace temp table good_rows as select line, {self.number} as line_at from {_RAW} where {test}"
        )
        self.connection.execute(f"drop table {_RAW}")
        self.connection.execute(f"alter table good_rows rename to {_RAW}")
        self.number = "line_at"

    def split_off(self, test: str, rule: str, reason: str) -> None:
        """Rows that satisfy a test are rejects."""
        found = self.connection.execute(
            f"select {self.number} as line_at, left(line, {LONGEST_RAW}) from {_RAW} where {test} order by line_at"
        ).fetchall()
        if found:
            self._keep(f"not ({test})")
        self.rejects += [Reject(int(line), rule, reason, textfile.shown(text)) for line, text in found]

    def split_off_no_objects(self, what: str) -> None:
        # Each test parses every line: one that goes for both tells whether there is anything to look for.
        if self._is_any(f"not (starts_with(ltrim(line, {literal(_LAYOUT)}), '{{') and json_valid(line))"):
            self.split_off("not json_valid(line)", "json", f"this {what} is not valid JSON")
            self.split_off("json_type(line) <> 'OBJECT'", "json", f"this {what} is no JSON object")

    @property
    def rows(self) -> int:
        return _count(self.connection)


#: Blanks between what a line holds and its ends.
_LAYOUT = " \t\r"
_IS_BLANK = "line is null or regexp_full_match(line, '[ \\t\\r]*')"


def _lines_of(
    connection: Connection, path: Path, stats: TextStats, source: Source, scratch: Path, skipped: int
) -> tuple[_Lines, TextStats]:
    textfile.check_is_text(stats, source.file.encoding)
    plain, stats = textfile.plain_text(path, stats, source.file.encoding, scratch)
    return _Lines(connection, plain, skipped), stats


def _read_fixed(connection: Connection, path: Path, stats: TextStats, source: Source, scratch: Path) -> RawFile:
    layout = source.file
    fields = layout.fields or {}
    lines, stats = _lines_of(connection, path, stats, source, scratch, layout.skip_lines)
    least = max(first for first, _ in fields.values())
    most = max(first + width - 1 for first, width in fields.values())
    lines.split_off(f"length(line) < {least}", "columns", f"the line is shorter than {least} characters")
    lines.split_off(f"length(rtrim(line)) > {most}", "columns", f"the line is longer than {most} characters")
    expressions = {name: f"substr(line, {first}, {width})" for name, (first, width) in fields.items()}
    return RawFile(
        lines.rows, tuple(fields), lines.rejects, encoding=layout.encoding, has_nul=stats.nuls > 0,
        has_unknown=stats.has_unknown,
        blanks="any" if stats.has_odd_spaces else "spaces",
        line_number=lines.number, raw_sql="line", _expressions=expressions,
    )  # fmt: skip


def _read_json_lines(connection: Connection, path: Path, stats: TextStats, source: Source, scratch: Path) -> RawFile:
    lines, stats = _lines_of(connection, path, stats, source, scratch, 0)
    lines.split_off_no_objects("line")
    raw = _nested(lines, stats, source)
    _check_paths(connection, raw, source)
    return raw


def _nested(lines: _Lines, stats: TextStats, source: Source) -> RawFile:
    return RawFile(
        lines.rows, (), lines.rejects, encoding=source.file.encoding, line_number=lines.number, raw_sql="line",
        has_unknown=stats.has_unknown,
        is_nested=True, is_typed=True, blanks="any" if stats.has_odd_spaces or stats.has_backslash else "spaces",
    )  # fmt: skip


def _read_json(connection: Connection, path: Path, stats: TextStats, source: Source, scratch: Path) -> RawFile:
    if stats.size == 0:
        raise unreadable("the file is empty; ask for it again")
    raw = _elements_as_lines(connection, path, stats, source, scratch)
    if raw is None:
        # A parser can tell what is odd about it.
        raw = _parsed_document(connection, path, stats, source)
    _check_paths(connection, raw, source)
    return raw


def _elements_as_lines(
    connection: Connection, path: Path, stats: TextStats, source: Source, scratch: Path
) -> RawFile | None:
    """The rows of a document whose brackets are as they should be; None: there is something to tell about it."""
    layout, target = source.file, scratch / "elements.txt"
    is_utf8 = layout.encoding in ("utf-8", "utf-8-sig", "ascii")
    if is_utf8 and not stats.is_utf8:
        if stats.size > LARGEST_DOCUMENT:
            raise unreadable(f"it holds bytes that are not {layout.encoding}; declare the encoding of the file")
        return None
    blocks = textfile.as_utf8(path, "utf-8" if is_utf8 else layout.encoding, is_clean=is_utf8)
    elements = jsonfile.write_elements(blocks, layout.rows_at, target)
    if elements is None:
        return None
    lines = _Lines(connection, target, 0)
    if lines.rows + len(lines.rejects) != elements:
        if stats.size > LARGEST_DOCUMENT:
            raise unreadable("this is not valid JSON (a comma without an element); is the file complete?")
        return None
    lines.split_off_no_objects("element")
    if stats.size <= LARGEST_DOCUMENT and any(
        reject.rule != "json" or "valid" in reject.reason for reject in lines.rejects
    ):
        return None
    return _nested(lines, stats, source)


def _parsed_document(connection: Connection, path: Path, stats: TextStats, source: Source) -> RawFile:
    if stats.size > LARGEST_DOCUMENT:
        raise refused(
            f"the rows of this JSON document are not found (rows_at, and brackets that close), and it is larger than "
            f"{LARGEST_DOCUMENT // 2**20} MB; ask for JSON lines (one row per line)"
        )
    try:
        document = json.loads(
            path.read_bytes().decode(source.file.encoding).removeprefix("\ufeff"),
            parse_float=str, parse_constant=str,
        )  # fmt: skip
    except UnicodeDecodeError as error:
        raise unreadable(
            f"byte {error.start} is not {source.file.encoding}; declare the encoding of the file"
        ) from None
    except json.JSONDecodeError as error:
        raise unreadable(f"this is not valid JSON ({error.msg}); is the file complete?", error.lineno) from None
    except RecursionError:
        raise unreadable("the JSON is nested too deeply to be data") from None
    items = _rows_at(document, source.file.rows_at)
    table = pa.table(
        {
            "line": pa.array([json.dumps(item, ensure_ascii=False) for item in items], pa.string()),
            "line_at": pa.array(range(1, len(items) + 1), pa.int64()),
        }
    )
    connection.execute(f"drop table if exists {_RAW}")
    connection.register("items", table)
    connection.execute(f"create temp table {_RAW} as select * from items where json_type(line) = 'OBJECT'")
    connection.unregister("items")
    rejects = [
        Reject(place, "json", "this element is no JSON object", json.dumps(item, ensure_ascii=False)[:LONGEST_RAW])
        for place, item in enumerate(items, start=1)
        if not isinstance(item, dict)
    ]
    return RawFile(
        _count(connection), (), rejects, encoding=source.file.encoding, line_number="line_at", raw_sql="line",
        is_nested=True, is_typed=True,
    )  # fmt: skip


def _rows_at(document: Any, path: str | None) -> list[Any]:
    for step in path.split(".") if path else []:
        if not isinstance(document, dict) or step not in document:
            raise refused(f'there is nothing at rows_at "{path}"; check the path in the contract')
        document = document[step]
    if isinstance(document, dict) and path is None:
        return [document]
    if not isinstance(document, list):
        raise refused(f'what stands at rows_at "{path or ""}" is no array of rows; check the path in the contract')
    return document


def _check_paths(connection: Connection, raw: RawFile, source: Source) -> None:
    """Drift of JSON rows: top-level names that the contract does not know, keys that never come.

    Optional names may be absent from a whole file, so only keys and required columns are missed.
    """
    found = connection.execute(
        f"select distinct unnest(json_keys(line)) as name from (select line from {_RAW} limit 20000) order by name"
    ).fetchall()
    names = [str(name) for (name,) in found]
    raw.columns = tuple(names)
    paths = {name.removeprefix("$.") for name in _used(source)} | set(source.ignored)
    paths |= {delivery.each for _, delivery in source.entities() if delivery.each}
    paths |= {other for others in source.aliases.values() for other in others}
    known = {_first_step(path) for path in paths if not path.startswith("@")}
    if any(delivery.each for _, delivery in source.entities()):
        known |= {path for path in paths if "." not in path}
    new = [name for name in names if name not in known]
    if new and source.drift.new_column == "block":
        raise refused(f'"{new[0]}" is new in the rows; map it or list it under ignored')
    if new and source.drift.new_column == "warn":
        raw.kept = tuple(new)
        shown = ", ".join(f'"{name}"' for name in new[:5]) + (", ..." if len(new) > 5 else "")
        raw.warnings.append(f"new name(s) {shown}: kept as custom attributes; map them or list them under ignored")
    if not raw.rows or source.drift.missing_column == "warn":
        return
    for _, delivery in source.entities():
        if delivery.each or delivery.when:
            continue
        needed = [*(delivery.key or ()), *(n for r in delivery.columns.values() if r.required for n in r.columns or ())]
        for name in needed:
            given = " or ".join(
                f"json_extract(line, {literal(json_path(other))}) is not null"
                for other in (name, *source.aliases.get(name, ()))
            )
            row = connection.execute(
                f"select count(*) from (select line from {_RAW} limit 20000) where {given}"
            ).fetchone()
            if row and row[0] == 0:
                near = did_you_mean(name, new)
                hint = near if near.startswith("; did you mean") else "; ask for it, or mend the contract"
                raise refused(f'"{name}" is in none of the rows{hint}')


def _first_step(path: str) -> str:
    return path.split(".")[0].split("[")[0]


# --- xlsx and Parquet --------------------------------------------------------------------------


def _read_xlsx(connection: Connection, path: Path, stats: TextStats, source: Source, scratch: Path) -> RawFile:
    _, rows, _ = sheet_of(path, source.file.sheet)
    position, header = next(
        ((index, row) for index, row in enumerate(rows) if index >= source.file.skip_lines and _has_value(row)),
        (0, None),
    )
    if header is None:
        raise unreadable("the sheet is empty; ask for it again")
    titles = [" ".join(cell_text(cell).split()) if cell != "" else "" for cell in header]
    while titles and not titles[-1]:
        titles.pop()
    names, repeated = _tell_apart(tuple(titles))
    _check_header(source, names, repeated)
    expressions, kept, warnings = _place_columns(source, names)
    width = len(names)
    lines: list[int] = []
    cells: list[list[str | None]] = [[] for _ in range(width)]
    rejects: list[Reject] = []
    for index in range(position + 1, len(rows)):
        row = rows[index]
        if not _has_value(row):
            continue
        if any(cell not in ("", None) for cell in row[width:]):
            text = json.dumps([cell_text(cell) for cell in row], ensure_ascii=False)[:LONGEST_RAW]
            rejects.append(Reject(index + 1, "columns", f"more cells than the {width} of the header", text))
            continue
        lines.append(index + 1)
        for column in range(width):
            cell = row[column] if column < len(row) else ""
            cells[column].append(None if cell in ("", None) else cell_text(cell))
    table = pa.table(
        {
            **{f"c{index}": pa.array(values, pa.string()) for index, values in enumerate(cells)},
            "line_at": pa.array(lines, pa.int64()),
        }
    )
    connection.register("cells", table)
    connection.execute(f"create temp table {_RAW} as select * from cells")
    connection.unregister("cells")
    return RawFile(
        len(lines), tuple(names), rejects, warnings, kept, line_number="line_at",
        raw_sql=_row_as_json(names), is_typed=True, _expressions=expressions,
    )  # fmt: skip


def sheet_of(opened: Path | bytes, wanted: str | None = None) -> tuple[str, list[list[Any]], list[str]]:
    """(name, rows, names of the other sheets) of one sheet of a workbook, the first where none is wanted."""
    size = opened.stat().st_size if isinstance(opened, Path) else len(opened)
    if size == 0:
        raise unreadable("the file is empty; ask for it again")
    try:
        with zipfile.ZipFile(opened if isinstance(opened, Path) else io.BytesIO(opened)) as archive:
            total = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, OSError, NotImplementedError):
        raise unreadable("this is no xlsx workbook, or a truncated one; ask for it again, saved as .xlsx") from None
    if total > LARGEST_WORKBOOK or (total > 64 * 2**20 and total > 200 * size):
        raise refused(f"the workbook unpacks to {total // 2**20} MB from {size // 1024} kB; ask for csv or Parquet")
    try:
        if isinstance(opened, Path):
            workbook = python_calamine.CalamineWorkbook.from_path(str(opened))
        else:
            workbook = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(opened))
        names = workbook.sheet_names
        chosen = wanted or (names[0] if names else "")
        if chosen not in names:
            raise refused(f'the workbook has no sheet "{chosen}"{did_you_mean(chosen, names)}')
        rows: list[list[Any]] = workbook.get_sheet_by_name(chosen).to_python(skip_empty_area=False)
    except (python_calamine.CalamineError, python_calamine.PasswordError) as error:
        kind = "protected by a password" if isinstance(error, python_calamine.PasswordError) else "damaged"
        raise unreadable(f"the workbook is {kind}; ask for it again, saved as a plain .xlsx") from None
    return chosen, rows, [name for name in names if name != chosen]


def _has_value(row: list[Any]) -> bool:
    return any(cell not in ("", None) for cell in row)


def cell_text(cell: Any) -> str:
    """What a cell holds, as text: whole numbers without a point, dates as ISO."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    if hasattr(cell, "isoformat"):
        return str(cell.isoformat(" ") if hasattr(cell, "hour") and hasattr(cell, "year") else cell.isoformat())
    return "" if cell is None else str(cell)


def _row_as_json(names: list[str]) -> str:
    pairs = ", ".join(f"{literal(name)}, c{index}" for index, name in enumerate(names))
    return f"cast(json_merge_patch('{{}}', json_object({pairs})) as varchar)"


def _read_parquet(connection: Connection, path: Path, stats: TextStats, source: Source, scratch: Path) -> RawFile:
    if stats.size == 0:
        raise unreadable("the file is empty; ask for it again")
    if not stats.head.startswith(b"PAR1"):
        raise unreadable("this is no Parquet file; declare its format or ask for Parquet")
    described = connection.execute(f"describe select * from read_parquet({literal(str(path))})").fetchall()
    types = {str(name): str(kind) for name, kind, *_ in described}
    if len(types) > MOST_COLUMNS:
        raise unreadable(f"the file has {len(types)} columns, more than {MOST_COLUMNS}")
    top = list(types)
    _check_header(_top_level(source, top), top, set())
    flat = _top_level(source, top)
    expressions, kept, warnings = _place_columns(flat, top)
    chosen = sorted({int(expression[1:]) for expression in expressions.values()})
    selected = ", ".join(f"{_as_text(top[index], types[top[index]])} as c{index}" for index in chosen)
    connection.execute(
        f"create temp table {_RAW} as select {selected or 'null as c0'} from read_parquet({literal(str(path))})"
    )
    for name in _used(source):
        if name not in expressions and _first_step(name) in expressions:
            rest = name[len(_first_step(name)) :].removeprefix(".")
            expressions[name] = f"json_extract_string({expressions[_first_step(name)]}, {literal(json_path(rest))})"
    return RawFile(
        _count(connection), tuple(top), [], warnings, kept, line_number="rowid + 1",
        raw_sql="cast(json_merge_patch('{}', json_object("
        + ", ".join(f"{literal(top[index])}, c{index}" for index in chosen) + ")) as varchar)",
        is_typed=True, _expressions=expressions,
    )  # fmt: skip


class _TopLevel:
    """A source whose column names are cut to their first step: structs are read whole."""

    def __init__(self, source: Source, names: list[str]) -> None:
        self._source, self._names = source, names

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def columns_read(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        for location, name in self._source.columns_read():
            yield location, name if _match(name, self._names) else _first_step(name)


def _top_level(source: Source, names: list[str]) -> Any:
    return _TopLevel(source, names)


def _as_text(name: str, kind: str) -> str:
    column = quote(name)
    if kind in ("DOUBLE", "FLOAT"):
        # pandas writes whole numbers with gaps as floating point: 12346.0 is the key 12346.
        return (
            f"case when {column} = trunc({column}) and abs({column}) < 1e15 "
            f"then cast(cast({column} as bigint) as varchar) else cast({column} as varchar) end"
        )
    if kind.endswith("[]") or kind.startswith(("STRUCT", "MAP", "UNION")):
        return f"cast(to_json({column}) as varchar)"
    if kind == "BLOB":
        return f"try(decode({column}))"
    return f"cast({column} as varchar)"

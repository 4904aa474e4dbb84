"""Text files as bytes: what they are made of, made plain for the csv reader, and where lines start.

What belongs here: everything about a text file that needs no contract beyond its encoding and its
quoting. What does not: rows and values. All of it streams; memory does not grow with the file.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from orchestration.ingest.problems import unreadable

BLOCK = 8 * 1024 * 1024
#: A line longer than this is a broken file, not a row.
LONGEST_LINE = 8 * 1024 * 1024
#: Raw text kept in quarantine for one row.
LONGEST_RAW = 16 * 1024

#: Stands for bytes that the declared encoding does not know: a code point that no text may hold. The csv reader of
#: DuckDB can break on such bytes, and takes all that is open with it.
UNKNOWN = "\ufdd0"
_UNKNOWN = UNKNOWN.encode()

_MAGIC = {
    b"PK\x03\x04": "a zip archive or an xlsx workbook",
    b"PAR1": "a Parquet file",
    b"%PDF": "a PDF document",
    b"\x1f\x8b": "a gzip file",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook (xls)",
    b"\x7fELF": "a program",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"BZh": "a bzip2 file",
    b"7z\xbc\xaf": "a 7z archive",
}
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


#: Tab, no-break space, and the first bytes of narrow and zero-width spaces.
_ODD_SPACES = (b"\t", b"\xc2\xa0", b"\xe2\x80", b"\xef\xbb\xbf")


@dataclass
class TextStats:
    """What a stream of bytes holds. `feed` it block by block, then `end`."""

    size: int = 0
    line_feeds: int = 0
    returns: int = 0
    pairs: int = 0
    nuls: int = 0
    has_odd_spaces: bool = False  # tabs, no-break spaces: what a plain trim leaves
    has_backslash: bool = False
    edges: tuple[bytes, ...] = ()  # pairs of bytes that mean: a space at the edge of a value
    has_edge_spaces: bool = False
    head: bytes = b""
    has_unknown: bool = False  # holds `UNKNOWN`
    longest_open: int = 0
    long_line: int | None = None  # number of the first line that is too long
    _last: bytes = field(default=b"", repr=False)
    _decoder: codecs.IncrementalDecoder | None = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")(), repr=False
    )

    def feed(self, block: bytes) -> None:
        if len(self.head) < 65536:
            self.head += block[: 65536 - len(self.head)]
        self.size += len(block)
        # One byte is found ten times quicker than counted, and most files hold none of most of these.
        feeds = block.count(b"\n")
        returns = block.count(b"\r") if b"\r" in block else 0
        if returns:
            self.pairs += block.count(b"\r\n")
        if self._last == b"\r" and block[:1] == b"\n":
            self.pairs += 1
        if b"\0" in block:
            self.nuls += block.count(b"\0")
        self._check_utf8(block)
        self.has_unknown = self.has_unknown or (_UNKNOWN[:1] in block and _UNKNOWN in block)
        # Only UTF-8 is looked at: another encoding is made UTF-8 before it is read.
        self.has_odd_spaces = self.has_odd_spaces or any(space[:1] in block and space in block for space in _ODD_SPACES)
        self.has_backslash = self.has_backslash or b"\\" in block
        if self.edges and not self.has_edge_spaces:
            self.has_edge_spaces = self._edge_space_in(block)
        if self.long_line is None:
            if feeds or returns:
                self.longest_open = len(block) - 1 - max(block.rfind(b"\n"), block.rfind(b"\r") if returns else -1)
            else:
                self.longest_open += len(block)
            if self.longest_open > LONGEST_LINE:
                self.long_line = max(self.line_feeds + feeds, self.returns + returns - self.pairs) + 1
        self.line_feeds += feeds
        self.returns += returns
        self._last = block[-1:]

    def _check_utf8(self, block: bytes) -> None:
        if self._decoder is None or (block.isascii() and not self._decoder.getstate()[0]):
            return
        try:
            self._decoder.decode(block)
        except UnicodeDecodeError:
            self._decoder = None

    @property
    def is_utf8(self) -> bool:
        """Whether all bytes were UTF-8, none cut at the end."""
        return self._decoder is not None and not self._decoder.getstate()[0]

    def _edge_space_in(self, block: bytes) -> bool:
        """Whether a space stands beside a delimiter, a quote or a line end."""
        if self._last + block[:1] in self.edges:
            return True
        data = np.frombuffer(block, dtype=np.uint8)
        spaces = np.flatnonzero(data == 32)
        if len(spaces) == 0:
            return False
        marks = np.zeros(256, dtype=bool)
        marks[[byte for edge in self.edges for byte in edge if byte != 32]] = True
        # The neighbours of the first and the last space may lie in other blocks: those were looked at above.
        beside = marks[data[spaces[spaces > 0] - 1]].any() or marks[data[spaces[spaces < len(data) - 1] + 1]].any()
        return bool(beside)

    @property
    def has_plain_line_ends(self) -> bool:
        """Only \\n, or only \\r\\n: what the csv reader takes as it is."""
        return self.returns == 0 or self.returns == self.line_feeds == self.pairs

    @property
    def lines(self) -> int:
        """Number of physical lines, a last one without line end included."""
        ends = self.line_feeds + self.returns - self.pairs
        return ends + (self.size > 0 and self._last not in (b"\n", b"\r"))

    @property
    def blanks(self) -> Literal["none", "spaces", "any"]:
        """What stands around the values of a csv file."""
        if self.has_odd_spaces:
            return "any"
        return "spaces" if not self.edges or self.has_edge_spaces or self._last == b" " else "none"

    @property
    def has_mark(self) -> bool:
        return self.head.startswith(codecs.BOM_UTF8)


def blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as handle:
        while block := handle.read(BLOCK):
            yield block


def sha256_of(path: Path, edges: tuple[bytes, ...] = ()) -> tuple[str, TextStats]:
    """(SHA-256 in hex, statistics) of a file, in one pass."""
    digest, stats = hashlib.sha256(), TextStats(edges=edges)
    with ThreadPoolExecutor(1) as beside:
        for block in blocks(path):
            # Hashing lets go of the interpreter: one core hashes while the other looks.
            hashed = beside.submit(digest.update, block)
            stats.feed(block)
            hashed.result()
    return digest.hexdigest(), stats


def check_is_text(stats: TextStats, encoding: str) -> None:
    """Raise FileProblem for what is plainly no text of the declared encoding."""
    if stats.size == 0:
        raise unreadable("the file is empty; ask for it again, or send the header alone when there is nothing to tell")
    for magic, kind in _MAGIC.items():
        if stats.head.startswith(magic):
            raise unreadable(f"this is {kind}, not a text file; declare its format or ask for a text export")
    for mark, found in _MARKS:
        if stats.head.startswith(mark):
            plain = encoding.replace("_", "-").removesuffix("-sig")
            if not plain.startswith(found):
                raise unreadable(f"the file is {found} (byte order mark), not {encoding}; declare encoding: {found}")
            return
    if encoding.startswith(("utf-16", "utf-32")):
        return
    control = sum(stats.head.count(bytes([code])) for code in (*range(9), 11, *range(14, 26)))
    if control > max(8, len(stats.head) // 50):
        raise unreadable("this is binary, not a text file; check what the source exports")
    if stats.long_line is not None:
        raise unreadable(
            f"a line is longer than {LONGEST_LINE // 2**20} MB: a line end or a closing quote is missing",
            stats.long_line,
        )
    if not encoding.startswith("utf") and encoding != "ascii" and _looks_utf8(stats.head):
        raise unreadable(f"the file is UTF-8, not {encoding}; declare encoding: utf-8")


def _looks_utf8(head: bytes) -> bool:
    if head.isascii():
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def plain_text(
    path: Path, stats: TextStats, encoding: str, scratch: Path, edges: tuple[bytes, ...] = ()
) -> tuple[Path, TextStats]:
    """A file that the csv reader takes: UTF-8, one kind of line end, no byte order mark.

    The file itself when it is so already, else a copy in `scratch`. Bytes that the encoding does not know
    become `UNKNOWN`: they make their own line unreadable, and no other.
    """
    is_utf8 = encoding in ("utf-8", "utf-8-sig", "ascii")
    if is_utf8 and stats.has_plain_line_ends and not stats.has_mark and stats.is_utf8:
        return path, stats
    target, told = scratch / "plain.txt", TextStats(edges=edges)
    with target.open("wb") as out:
        for block in _single_line_ends(as_utf8(path, "utf-8" if is_utf8 else encoding, is_clean=stats.is_utf8)):
            told.feed(block)
            out.write(block)
    if told.size and told.long_line is not None:
        raise unreadable(f"a line is longer than {LONGEST_LINE // 2**20} MB: a line end is missing", told.long_line)
    return target, told


def as_utf8(path: Path, encoding: str, *, is_clean: bool = False) -> Iterator[bytes]:
    """The bytes of a text file as UTF-8, without byte order mark; what the encoding does not know as `UNKNOWN`.

    `is_clean`: the bytes are UTF-8 for sure. Raises FileProblem where an encoding of wide characters is broken, as all
    that follows may be.
    """
    if encoding == "utf-8" and is_clean:
        is_first = True
        for block in blocks(path):
            yield block.removeprefix(codecs.BOM_UTF8) if is_first else block
            is_first = False
        return
    is_wide = encoding.startswith(("utf-16", "utf-32"))
    codecs.register_error("mark_unknown", _mark_unknown)
    decoder = codecs.getincrementaldecoder(encoding)(errors="strict" if is_wide else "mark_unknown")
    done, is_first = 0, True
    try:
        for block in blocks(path):
            text = decoder.decode(block)
            yield (text.removeprefix("\ufeff") if is_first else text).encode("utf-8", "surrogatepass")
            done, is_first = done + len(block), False
        yield decoder.decode(b"", final=True).encode("utf-8", "surrogatepass")
    except UnicodeError as error:
        at = done + getattr(error, "start", 0)
        raise unreadable(
            f"byte {at} cannot be read as {encoding}; the file is truncated, or its encoding is another one"
        ) from None


def _mark_unknown(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return UNKNOWN, error.end


def _single_line_ends(stream: Iterator[bytes]) -> Iterator[bytes]:
    """Every line end as \\n. A lone \\r ends a line too: what it breaks shows in quarantine."""
    held = b""
    for block in stream:
        text = held + block
        held = b""
        if text.endswith(b"\r"):
            text, held = text[:-1], b"\r"
        if b"\r" in text:
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        yield text
    if held:
        yield b"\n"


@dataclass(frozen=True)
class Header:
    """The header of a csv: its names, and how many physical lines it and what stands above it take."""

    names: tuple[str, ...]
    lines: int
    is_one_line: bool


def read_header(path: Path, delimiter: str, quote: str | None, skip_lines: int) -> Header | None:
    """The first line that is not blank, after `skip_lines`; None: there is none. `path` is plain UTF-8."""
    with path.open("r", encoding="utf-8", errors="replace", newline="") as handle:
        for _ in range(skip_lines):
            handle.readline()
        counted = skip_lines
        while line := handle.readline():
            counted += 1
            if line.strip("\r\n\ufeff \t") == "":
                continue
            if quote and line.count(quote) % 2:
                line, more = _to_closing_quote(line, handle, quote)
                counted += more
                return Header(split_line(line, delimiter, quote), counted, False)
            return Header(split_line(line, delimiter, quote), counted, counted == skip_lines + 1)
    return None


def _to_closing_quote(line: str, handle: io.TextIOBase, quote: str) -> tuple[str, int]:
    more = 0
    while line.count(quote) % 2 and more < 100:
        following = handle.readline()
        if not following:
            raise unreadable(f"a quote ({quote}) opened in the header never closes; check the quoting of the export", 1)
        line += following
        more += 1
    return line, more


def split_line(line: str, delimiter: str, quote: str | None) -> tuple[str, ...]:
    """The trimmed values of one csv line."""
    line = line.strip("\r\n\ufeff")
    if len(delimiter) > 1:
        return tuple(value.strip().strip(quote or "") for value in line.split(delimiter))
    reader = csv.reader(
        io.StringIO(line, newline=""),
        delimiter=delimiter,
        quotechar=quote or None,
        quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
    )
    try:
        return tuple(" ".join(value.split("\n")).strip() for value in next(reader, []))
    except csv.Error as error:
        raise unreadable(f"the header cannot be read ({error}); check delimiter and quote", 1) from None


def lines_at(path: Path, offsets: list[int]) -> list[int]:
    """The physical line (from 1) of each byte offset (from 0, ascending).

    An offset on a line end means the line after it: so the csv reader tells where a row starts.
    """
    wanted = []
    with path.open("rb") as handle:
        for offset in offsets:
            handle.seek(offset)
            ahead = handle.read(64)
            wanted.append(offset + len(ahead) - len(ahead.lstrip(b"\r\n")))
    found: list[int] = []
    before, start, index = 0, 0, 0
    for block in blocks(path):
        counted, position = 0, 0
        while index < len(wanted) and wanted[index] < start + len(block):
            counted += block.count(b"\n", position, wanted[index] - start)
            position = wanted[index] - start
            found.append(before + counted + 1)
            index += 1
        if index == len(wanted):
            return found
        before += counted + block.count(b"\n", position)
        start += len(block)
    return found + [before + 1] * (len(wanted) - index)


def record_starts(path: Path, quote: str | None, skip_lines: int) -> np.ndarray:
    """The physical line (from 1) where each record after `skip_lines` starts; blank lines are left out.

    A line end within quotes is part of a value: quotes are counted, as values double those they hold.
    """
    starts: list[np.ndarray] = []
    lines_before, is_open, is_start, pending = 0, 0, True, False
    for block in blocks(path):
        data = np.frombuffer(block, dtype=np.uint8)
        ends = np.flatnonzero(data == 10)
        if quote:
            marks = np.flatnonzero(data == ord(quote))
            opened = (np.searchsorted(marks, ends) + is_open) % 2
            is_open = (is_open + len(marks)) % 2
        else:
            opened = np.zeros(len(ends), dtype=np.int64)
        # A line starts after each line end; it starts a record when that end closed one.
        begins = np.concatenate(([0], ends[:-1] + 1)) if len(ends) else np.empty(0, dtype=np.int64)
        closes_before = np.concatenate(([is_start], opened[:-1] == 0)) if len(ends) else np.empty(0, dtype=bool)
        lengths = ends - begins
        returns = (lengths == 1) & (data[np.maximum(ends - 1, 0)] == 13)
        is_blank = (lengths == 0) | returns
        if len(ends) and pending:
            is_blank[0] = False
        numbers = lines_before + 1 + np.arange(len(ends))
        starts.append(numbers[closes_before & ~is_blank])
        if len(ends):
            is_start = bool(opened[-1] == 0)
            pending = int(ends[-1]) + 1 < len(data)
        else:
            pending = pending or len(data) > 0
        lines_before += len(ends)
    if pending and is_start:
        starts.append(np.array([lines_before + 1]))
    joined = np.concatenate(starts) if starts else np.empty(0, dtype=np.int64)
    return joined[joined > skip_lines]


def csv_record_starts(path: Path, delimiter: str, quote: str | None, escape: str | None, skip_lines: int) -> np.ndarray:
    """As `record_starts`, by the csv module: slower, right where quotes stand within unquoted values."""
    csv.field_size_limit(2**31 - 1)
    starts = []
    with path.open("r", encoding="utf-8", errors="replace", newline="") as handle:
        for _ in range(skip_lines):
            handle.readline()
        reader = csv.reader(
            handle, delimiter=delimiter, quotechar=quote or None, escapechar=escape if escape != quote else None,
            quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
        )  # fmt: skip
        line = skip_lines
        for record in reader:
            if record:
                starts.append(line + 1)
            line = skip_lines + reader.line_num
    return np.array(starts, dtype=np.int64)


def copy_lines(path: Path, wanted: list[int], target: Path) -> None:
    """Copy some lines (numbers from 1, ascending) to another file, whole, each ended by its own line end."""
    following = iter(wanted)
    number = next(following, None)
    with path.open("rb") as source, target.open("wb") as out:
        for index, line in enumerate(source, start=1):
            if index == number:
                out.write(line if line.endswith(b"\n") else line + b"\n")
                number = next(following, None)
            if number is None:
                return


def raw_lines(path: Path, wanted: dict[int, int]) -> dict[int, str]:
    """The text of records: {first line: last line} -> {first line: text}, cut at `LONGEST_RAW`."""
    found: dict[int, str] = {}
    if not wanted:
        return found
    firsts = sorted(wanted)
    number, position = 0, 0
    with path.open("r", encoding="utf-8", errors="replace", newline="\n") as handle:
        for line in handle:
            number += 1
            if number < firsts[position]:
                continue
            first = firsts[position]
            found[first] = (found.get(first, "") + line)[:LONGEST_RAW]
            if number >= wanted[first]:
                position += 1
                if position == len(firsts):
                    break
    return {first: shown(text.rstrip("\r\n")) for first, text in found.items()}


def shown(text: str) -> str:
    """A text as people see it: what no encoding knows as a replacement character."""
    return text.replace(UNKNOWN, "\ufffd")

"""A JSON document as lines: each element of its array of rows on a line of its own, found without building objects.

What belongs here: quotes, brackets and commas as bytes, block by block, so that memory does not grow with the document.
What does not: what the elements hold, and saying what is wrong with a document (`readers`): whatever is odd here is
left to a parser that can tell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

#: The rows of a document begin within its first bytes; what stands before them is looked at token by token.
FARTHEST_START = 32 * 1024 * 1024
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+|"', re.DOTALL)
_DEPTH = np.zeros(256, dtype=np.int8)
_DEPTH[[ord("{"), ord("[")]] = 1
_DEPTH[[ord("}"), ord("]")]] = -1
_IS_MARK = _DEPTH != 0
_IS_MARK[ord(",")] = True
_IS_LINE_END = np.zeros(256, dtype=bool)
_IS_LINE_END[[10, 13]] = True

Places = npt.NDArray[np.int64]


@dataclass
class _Marks:
    """Follows a document through its blocks: what stands within texts is no mark."""

    depth: int = 0
    is_in_text: bool = False
    backslashes: int = 0  # at the end of the block before
    _toggles: Places = field(default_factory=lambda: np.empty(0, dtype=np.int64), repr=False)

    def follow(self, data: npt.NDArray[np.uint8]) -> tuple[Places, npt.NDArray[np.int64], Places, bool]:
        """(places of brackets and commas, depth after each, places of line ends, whether a text holds a line end)."""
        quotes = np.flatnonzero(data == ord('"'))
        escaped = self._escaped(data, quotes)
        toggles = quotes[~escaped]
        marks = self._outside(np.flatnonzero(_IS_MARK[data]), toggles)
        depths = self.depth + np.cumsum(_DEPTH[data[marks]], dtype=np.int64)
        ends = np.flatnonzero(_IS_LINE_END[data])
        outside = self._outside(ends, toggles)
        if len(depths):
            self.depth = int(depths[-1])
        self.is_in_text = bool((len(toggles) + self.is_in_text) % 2)
        return marks, depths, outside, len(outside) < len(ends)

    def _outside(self, places: Places, toggles: Places) -> Places:
        kept: Places = places[(np.searchsorted(toggles, places) + self.is_in_text) % 2 == 0]
        return kept

    def _escaped(self, data: npt.NDArray[np.uint8], quotes: Places) -> npt.NDArray[np.bool_]:
        """Which quotes stand behind an odd number of backslashes."""
        places = np.flatnonzero(data == ord("\\"))
        before, self.backslashes = self.backslashes, 0
        escaped = np.zeros(len(quotes), dtype=bool)
        if before % 2 and len(quotes) and quotes[0] == 0:
            escaped[0] = True
        if not len(places):
            return escaped
        is_first = np.concatenate(([True], np.diff(places) != 1))
        firsts = np.maximum.accumulate(np.where(is_first, places, 0))
        lengths = places - firsts + 1 + np.where(firsts == 0, before, 0)
        at = np.searchsorted(places, quotes) - 1
        touches = (at >= 0) & (places[at] == quotes - 1)
        escaped |= touches & (lengths[at] % 2 == 1)
        if places[-1] == len(data) - 1:
            self.backslashes = int(lengths[-1])
        return escaped


def write_elements(blocks: Iterator[bytes], rows_at: str | None, target: Path) -> int | None:
    """Write the elements of the array at `rows_at` (None: the document) as lines; returns how many there are.

    `blocks`: UTF-8 without byte order mark. None: the array is not found, or the document is not well formed at its
    brackets. That each element is valid JSON is for the reader of the lines.
    """
    head = b""
    found = None
    for block in blocks:
        head += block
        found = _start_of(head, rows_at)
        if found is not None or len(head) > FARTHEST_START:
            break
    if found is None:
        return None
    start, depth = found
    marks = _Marks(depth)
    separators, is_blank, is_ended, has_rest = 0, True, False, False
    with target.open("wb") as out:
        for block in _chain(head[start:], blocks):
            data = np.frombuffer(block, dtype=np.uint8)
            places, depths, line_ends, is_broken = marks.follow(data)
            if is_broken:
                return None
            stop = 0 if is_ended else len(data)
            if not is_ended:
                closed = np.flatnonzero(depths < depth)
                if len(closed):
                    is_ended, stop = True, int(places[closed[0]])
                    if data[stop] != ord("]"):
                        return None
                written = data[:stop].copy()
                written[line_ends[line_ends < stop]] = ord(" ")
                commas = places[(depths == depth) & (data[places] == ord(",")) & (places < stop)]
                written[commas] = ord("\n")
                separators += len(commas)
                text = written.tobytes()
                is_blank = is_blank and not text.strip()
                out.write(text)
            if is_ended:
                # What follows the document itself is none of it.
                over = np.flatnonzero(depths == 0)
                if has_rest or len(over):
                    rest = block[int(places[over[0]]) + 1 :] if not has_rest else block
                    has_rest = True
                    if rest.strip():
                        return None
        out.write(b"\n")
    if not is_ended or marks.depth != 0 or marks.is_in_text:
        return None
    return 0 if is_blank and not separators else separators + 1


def _chain(first: bytes, others: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from others


def _start_of(head: bytes, rows_at: str | None) -> tuple[int, int] | None:
    """(the byte after the `[` of the array of rows, the depth within it); None: not within these bytes."""
    wanted = rows_at.split(".") if rows_at else []
    path: list[bytes | None] = []  # the key that each open object is at; None in an array
    key: bytes | None = None
    for found in _TOKEN.finditer(head):
        token = found.group()
        if token == b"[":
            if len(path) == len(wanted) and [_plain(step) for step in path] == wanted:
                return found.end(), len(path) + 1
            path.append(None)
        elif token == b"{":
            path.append(b"")
        elif token in (b"}", b"]"):
            if not path:
                return None
            path.pop()
        elif token == b'"':
            return None  # a text that goes on after these bytes
        elif token == b":" and path:
            path[-1] = key
        elif token.startswith(b'"'):
            key = token[1:-1]
    return None


def _plain(step: bytes | None) -> str | None:
    return None if step is None else step.decode("utf-8", "replace")

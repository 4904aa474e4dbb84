"""Write extracts into an inbox, byte for byte the same each time, and keep the list of what was sent when."""

from __future__ import annotations

import gzip
import io
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from orchestration.samples.text import to_date


@dataclass(frozen=True)
class Delivery:
    """One file: what it is about (`business_on`) and the day it reached the inbox (`received_on`)."""

    source: str
    file_name: str
    business_on: date
    received_on: date
    rows: int


class Outbox:
    """The inbox seen from the sender's side.

    A file's modification time is 04:00 UTC of the day it was received, but never less than a minute ago:
    who watches the inbox for files that still grow must not wait for these.
    """

    def __init__(self, inbox: Path) -> None:
        self.inbox = inbox
        self.deliveries: list[Delivery] = []
        inbox.mkdir(parents=True, exist_ok=True)

    def send(self, source: str, name: str, content: bytes, *, day: int, rows: int, received: int | None = None) -> None:
        path = self.inbox / name
        path.write_bytes(content)
        received_on = to_date(day if received is None else received)
        moment = datetime(received_on.year, received_on.month, received_on.day, 4, tzinfo=UTC).timestamp()
        moment = min(moment, time.time() - 60)
        os.utime(path, (moment, moment))
        self.deliveries.append(Delivery(source, name, to_date(day), received_on, rows))


def delimited(columns: Sequence[Any], delimiter: str) -> np.ndarray:
    """One line of text per row; values that hold the delimiter or a quote are quoted."""
    parts = []
    for values in columns:
        column = values if isinstance(values, pa.Array) else pa.array(values, type=pa.string())
        if len(column):
            special = pc.match_substring_regex(column, '["\n]|' + ("\\" + delimiter))
            if pc.any(special).as_py():
                quoted = pc.binary_join_element_wise('"', pc.replace_substring(column, '"', '""'), '"', "")
                column = pc.if_else(special, quoted, column)
        parts.append(column)
    lines = pc.binary_join_element_wise(*parts, delimiter)
    return lines.to_numpy(zero_copy_only=False)


def as_file(header: str | None, lines: np.ndarray | list[str], encoding: str = "utf-8", bom: bool = False) -> bytes:
    text = "\n".join([*([header] if header else []), *lines, ""])
    return (b"\xef\xbb\xbf" if bom else b"") + text.encode(encoding, errors="replace")


def zipped(content: bytes) -> bytes:
    """gzip without a time or a name in it."""
    return gzip.compress(content, compresslevel=6, mtime=0)


def workbook(sheet: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> bytes:
    """An Excel file: numbers as numbers, texts as texts."""
    import xlsxwriter

    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(buffer, {"in_memory": True, "strings_to_numbers": False, "strings_to_formulas": False})
    book.set_properties({"created": datetime(2020, 1, 1, tzinfo=UTC).replace(tzinfo=None)})
    page = book.add_worksheet(sheet)
    for number, row in enumerate([header, *rows]):
        for place, cell in enumerate(row):
            if isinstance(cell, int):
                page.write_number(number, place, cell)
            elif cell:
                page.write_string(number, place, cell)
    book.close()
    return buffer.getvalue()


def parquet_file(table: pa.Table) -> bytes:
    from pyarrow import parquet

    buffer = io.BytesIO()
    parquet.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def spoiled(lines: np.ndarray, delimiter: str, date_column: int | None, seed: int) -> np.ndarray:
    """`lines` with a few bad ones among them: too few columns, no key, a date that is none.

    About one in 2,500, at least three (one of each kind); none in files of less than 200 lines, so that no share
    tolerated by a contract is passed. Bad lines are copies of good ones, so that nothing is lost.
    """
    if len(lines) < 200:
        return lines
    many = max(3, len(lines) // 2500)
    places = (np.arange(many) * 7919 + 101 + seed % 97) % len(lines)
    result = lines.tolist()
    for turn, place in enumerate(sorted(set(places.tolist()), reverse=True)):
        if '"' in result[place]:
            continue
        cells = result[place].split(delimiter)
        kind = turn % 3
        if kind == 0:
            cells = cells[:-2]
        elif kind == 1 or date_column is None:
            cells[0] = ""
        else:
            cells[date_column] = "32/13/2025"
        result.insert(place + 1, delimiter.join(cells))
    return np.array(result, dtype=object)

"""The compiled rules carried out: every customer, and for each segment a bit map of who is in it.

What belongs here: running what `compiler` wrote, and bit maps. What does not: what is kept of it (`stays`,
`materialise`).

A bit map of a million customers is 125 kB: sizes, overlaps and reach are an `and` and a count of bits, and no
segment is scanned for by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from orchestration.segments.compiler import Compiled
from orchestration.warehouse import Connection

#: Named selects that are laid down first: inlined into one statement, DuckDB works some out more than once.
_LAID = ("event_facts", "purchase_facts", "list_facts", "consent_facts", "candidates")

#: Words of a bit map that are compared at once: all maps of two hundred segments fit in a processor's cache.
_BLOCK_WORDS = 2048


@dataclass(frozen=True)
class Evaluated:
    """Every customer, evaluated. `table`: the columns of `Compiled`, a row per customer, in one piece each."""

    table: pa.Table

    @property
    def count(self) -> int:
        return int(self.table.num_rows)

    def bits(self, column: str) -> np.ndarray:
        """The bit map of a boolean column, in whole 64-bit words; missing is 0."""
        length = -(-self.count // 64) * 8
        told = np.zeros(length, np.uint8)
        if self.count:
            chunk = self.table.column(column).chunk(0)
            used = -(-self.count // 8)
            validity, values = (buffer and np.frombuffer(buffer, np.uint8)[:used] for buffer in chunk.buffers())
            told[:used] = values if validity is None else values & validity
            if self.count % 8:
                told[used - 1] &= (1 << self.count % 8) - 1
        return told.view(np.uint64)

    def holds(self, column: str) -> np.ndarray:
        """A boolean column, a byte per row; missing is false."""
        bytes_of = np.unpackbits(self.bits(column).view(np.uint8), count=self.count, bitorder="little")
        return bytes_of.view(np.bool_)

    def crossed(self, columns: list[str]) -> np.ndarray:
        """How many rows have both of each pair of boolean columns: a square matrix; its diagonal holds sizes."""
        total = np.zeros((len(columns), len(columns)), dtype=np.int64)
        if not columns:
            return total
        words = np.stack([self.bits(column) for column in columns])
        for start in range(0, words.shape[1], _BLOCK_WORDS):
            block = np.ascontiguousarray(words[:, start : start + _BLOCK_WORDS])
            for index in range(len(columns)):
                total[index, index:] += np.bitwise_count(block[index:] & block[index]).sum(axis=1, dtype=np.int64)
        return np.maximum(total, total.T)


def evaluate(connection: Connection, compiled: Compiled) -> None:
    """temp.evaluated: every customer with one boolean per segment (`Compiled` has the columns)."""
    connection.execute(f"create or replace temp table evaluated as {_lay_down(connection, compiled)}")
    _sweep(connection)


def evaluated_of(connection: Connection, compiled: Compiled) -> Evaluated:
    """The same in memory, for what looks at every membership."""
    table = connection.execute(_lay_down(connection, compiled)).to_arrow_table()
    _sweep(connection)
    return Evaluated(table.combine_chunks())


def _lay_down(connection: Connection, compiled: Compiled) -> str:
    """Make the temp tables of facts and candidates; returns the query over them."""
    pending: list[tuple[str, str]] = []
    for name, body in compiled.ctes:
        pending.append((name, body))
        if name in _LAID:
            connection.execute(f"create or replace temp table {name} as {_with(pending[:-1])}{body}")
            pending = []
    return f"{_with(pending[:-1])}{pending[-1][1]}"


def _with(named: list[tuple[str, str]]) -> str:
    return f"with {', '.join(f'{name} as ({body})' for name, body in named)} " if named else ""


def _sweep(connection: Connection) -> None:
    for name in _LAID:
        connection.execute(f"drop table if exists temp.{name}")

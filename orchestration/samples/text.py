"""Plain text conversions used by every part: accents, dates, money, telephone numbers.

Arrays in, arrays of Python strings (or pyarrow strings for the large tables) out. Days are whole
days since 1970-01-01, seconds are seconds of the day, money is in cents.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

EPOCH = date(1970, 1, 1)


def to_day(day: date) -> int:
    return (day - EPOCH).days


def to_date(day: int) -> date:
    return EPOCH + timedelta(days=int(day))


@lru_cache(maxsize=200_000)
def without_accents(text: str) -> str:
    text = text.replace("œ", "oe").replace("Œ", "OE").replace("æ", "ae")
    return "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")


@lru_cache(maxsize=200_000)
def for_mail(text: str) -> str:
    """A name as it is written in an e-mail address."""
    return without_accents(text).lower().replace(" ", "").replace("'", "")


def by_value(keys: np.ndarray, render: Callable[[Any], str]) -> pa.Array:
    """`render(key)` for each key, worked out once per distinct key."""
    distinct, positions = np.unique(keys, return_inverse=True)
    words = pa.array([render(key) for key in distinct.tolist()], type=pa.string())
    return words.take(pa.array(positions.ravel()))


def dates(days: np.ndarray, pattern: str) -> pa.Array:
    """Days in the pattern of strftime; a negative infinity (`NO_DAY`) gives an empty text."""
    return by_value(days, lambda day: "" if day == NO_DAY else to_date(day).strftime(pattern))


#: "No date" among days: 1900-01-01 and other days before 1970 are real (negative) values.
NO_DAY = -(10**6)


def times(seconds: np.ndarray) -> pa.Array:
    """Seconds of the day as HH:MM:SS."""
    return by_value(seconds, lambda s: f"{s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}")


def money(cents: np.ndarray, decimal: str = ".") -> pa.Array:
    def render(amount: int) -> str:
        sign, amount = ("-", -amount) if amount < 0 else ("", amount)
        return f"{sign}{amount // 100}{decimal}{amount % 100:02d}"

    return by_value(cents, render)


def numbered(prefix: str, numbers: np.ndarray, width: int) -> pa.Array:
    """`numbered("T", [7], 4)` -> `T0007`."""
    digits = pc.utf8_lpad(pc.cast(pa.array(numbers), pa.string()), width, "0")
    return pc.binary_join_element_wise(prefix, digits, "")


def join(*parts: Any, separator: str = "") -> pa.Array:
    """Texts put together row by row; a plain text stands for itself in every row."""
    columns = [pa.array(part, type=pa.string()) if isinstance(part, np.ndarray) else part for part in parts]
    return pc.binary_join_element_wise(*columns, separator)


def objects(values: Iterable[Any]) -> np.ndarray:
    """A one-dimensional object array, whatever the values are."""
    values = list(values)
    result = np.empty(len(values), dtype=object)
    result[:] = values
    return result

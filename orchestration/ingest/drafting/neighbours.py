"""What columns without a telling name are, told from the columns beside them.

What belongs here: a quantity times a price is an amount, a town follows its postal code, names stand in an e-mail
address. What does not: one column on its own (`content`, `vocabulary`). All of it is a guess, and says so.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from orchestration.ingest.drafting import words
from orchestration.ingest.drafting.content import Content, plain
from orchestration.ingest.drafting.sampling import ColumnSample

GUESS = "told from the columns beside it, its name does not say so"
#: Rows that are compared, and columns of numbers that are tried with each other.
_ROWS, _NUMBERS = 500, 12
_CODE = re.compile(r"(?=.*\d)[\w./-]{3,}")
_GOODS_NUMBER = re.compile(r"\d{8}|\d{12,14}")
_WORDS = re.compile(r"[^\W\d_][^\d_@]*")


class Column(Protocol):
    """A column with what was found of it so far."""

    column: ColumnSample
    content: Content
    concept: str | None
    senses: frozenset[str]
    doubt: str | None


def tell_by_neighbours(seen: Sequence[Column]) -> None:
    """Give concepts to columns whose names say nothing."""
    nameless = [
        one
        for one in seen
        if one.concept is None and not one.senses and one.column.inside is None and one.content.filled
    ]
    if not nameless:
        return
    if _tell_sales(nameless):
        _tell_goods(seen, nameless)
    else:
        _tell_persons(seen, nameless)


def _name(one: Column | None, concept: str) -> None:
    if one is not None:
        one.concept, one.doubt = concept, GUESS


def _left(nameless: list[Column]) -> list[Column]:
    return [one for one in nameless if one.concept is None]


# --- sales -------------------------------------------------------------------------------------


def _numbers(one: Column) -> npt.NDArray[np.float64]:
    decimal = one.content.decimal or "."
    found = []
    for value in one.column.values[:_ROWS]:
        text = re.sub(r"[^\d+-]" if decimal not in (value or "") else rf"[^\d{decimal}+-]", "", value or "")
        try:
            found.append(float(text.replace(",", ".")))
        except ValueError:
            found.append(np.nan)
    return np.array(found)


def _tell_sales(nameless: list[Column]) -> bool:
    """Find a quantity, a price and an amount among columns of numbers."""
    numbers = [one for one in nameless if one.content.mostly("number", 0.95)][:_NUMBERS]
    values = [_numbers(one) for one in numbers]
    for q, quantity in enumerate(values):
        if not numbers[q].content.mostly("integer", 0.95) or np.nanmedian(np.abs(quantity)) > 20:
            continue
        for p, price in enumerate(values):
            for a, amount in enumerate(values):
                if len({q, p, a}) < 3:
                    continue
                known = ~np.isnan(quantity) & ~np.isnan(price) & ~np.isnan(amount)
                if known.sum() < 5:
                    continue
                fits = np.abs(quantity * price - amount)[known] <= 0.011 * np.maximum(1, np.abs(quantity[known]))
                is_told = (np.abs(amount - price)[known] > 0.01).mean() >= 0.1
                if fits.mean() >= 0.95 and is_told:
                    _name(numbers[q], "quantity")
                    _name(numbers[p], "unit_price")
                    _name(numbers[a], "amount")
                    return True
    return False


def _tell_goods(seen: Sequence[Column], nameless: list[Column]) -> None:
    """The other columns of lines of sales."""
    line = next((one for one in _left(nameless) if _counts_up(one)), None)
    _name(line, "line_id")
    for one in _left(nameless):
        few = one.content.words
        if few and words.share_known(few, words.PAYMENT) >= 0.5:
            _name(one, "payment")
            break
    filled = [one for one in _left(nameless) if one.content.share_filled > 0.98]
    # A till changes with its tickets too: the number of the ticket has the most values.
    orders = [one for one in filled if _groups(one, line)]
    _name(max(orders, key=lambda one: one.content.distinct, default=None), "order_id")
    for one in _left(nameless):
        if one.content.share_filled < 0.98 and one.content.mostly("card"):
            _name(one, "card_number")
            break
    coded = [one for one in _left(nameless) if one.content.share_filled > 0.98 and _mostly(one, _CODE)]
    goods = [one for one in coded if _mostly(one, _GOODS_NUMBER)] or [one for one in coded if one.content.distinct > 24]
    _name(goods[0] if goods else None, "product_id")
    if not any(one.concept == "label" for one in seen):
        wordy = [one for one in _left(nameless) if _mostly(one, re.compile(r".*[^\W\d_]{3}.*")) and (
            one.content.most_words >= 1.3)]  # fmt: skip
        _name(wordy[0] if wordy else None, "label")
    for one in _left(nameless):
        if 1 < one.content.distinct <= 24 and one.content.share_filled > 0.98 and one.content.words:
            _name(one, "store")
            break


def _mostly(one: Column, expression: re.Pattern[str]) -> bool:
    values = [value for value in one.column.values[:_ROWS] if value]
    return sum(bool(expression.fullmatch(value)) for value in values) >= 0.9 * len(values)


def _counts_up(one: Column) -> bool:
    """1, 2, 1, 1, 2, 3: the place of a line within its order."""
    found = [value for value in one.column.values[:_ROWS] if value]
    if len(found) < 5 or not all(value.isdigit() and len(value) < 5 for value in found):
        return False
    numbers = [int(value) for value in found]
    steps = sum(now in (1, before + 1) for before, now in itertools.pairwise(numbers))
    return numbers[0] == 1 and max(numbers) > 1 and numbers.count(1) > 1 and steps >= 0.95 * (len(numbers) - 1)


def _groups(one: Column, line: Column | None) -> bool:
    """Whether the values come in blocks that begin where the lines begin again."""
    values = one.column.values[:_ROWS]
    changes = [before != now for before, now in itertools.pairwise(values)]
    if line is not None:
        begins = [value == "1" for value in line.column.values[1:_ROWS]]
        return sum(a == b for a, b in zip(changes, begins, strict=False)) >= 0.95 * len(begins)
    blocks = sum(changes) + 1
    return blocks < len(values) and blocks == len(set(values)) and blocks * 10 > len(values)


# --- persons -----------------------------------------------------------------------------------


def _tell_persons(seen: Sequence[Column], nameless: list[Column]) -> None:
    mail = next((one for one in seen if one.concept == "email"), None)
    _tell_places(seen, nameless)
    texts = [one for one in _left(nameless) if _mostly(one, _WORDS) and one.content.distinct > 8]
    if not any(one.concept == "first_name" for one in seen):
        firsts = [one for one in texts if one.content.most_words < 1.6]
        shares = {id(one): one.content.shares.get("first_name", 0.0) for one in firsts}
        told = max(firsts, key=lambda one: shares[id(one)], default=None)
        if told is not None and (shares[id(told)] >= 0.2 or (mail is not None and _stands_in(told, mail) >= 0.6)):
            _name(told, "first_name")
    first = next((one for one in seen if one.concept == "first_name"), None)
    if first is None or any(one.concept in ("last_name", "full_name") for one in seen):
        return
    order = list(seen)
    beside = [one for one in texts if one.concept is None and abs(order.index(one) - order.index(first)) == 1]
    if mail is not None:
        beside.sort(key=lambda one: -_stands_in(one, mail))
    _name(beside[0] if beside else None, "last_name")


def _stands_in(one: Column, mail: Column) -> float:
    """How often the value is part of the e-mail address of the same row."""
    pairs = [(a, b) for a, b in zip(one.column.values[:_ROWS], mail.column.values[:_ROWS], strict=False) if a and b]
    return sum(plain(a).split()[0] in plain(b).split("@")[0] for a, b in pairs) / len(pairs) if pairs else 0.0


def _tell_places(seen: Sequence[Column], nameless: list[Column]) -> None:
    """A postal code, and the town that is always the same beside it."""
    order = list(seen)
    for one in _left(nameless):
        if not one.content.mostly("postal") or one.content.is_unique or one.content.longest > 7:
            continue
        for other in (order[i] for i in (order.index(one) + 1, order.index(one) - 1) if 0 <= i < len(order)):
            if other in nameless and other.concept is None and _mostly(other, _WORDS) and _follows(other, one):
                _name(one, "postal_code")
                _name(other, "city")
                return


def _follows(town: Column, code: Column) -> bool:
    pairs = [(a, b) for a, b in zip(code.column.values[:_ROWS], town.column.values[:_ROWS], strict=False) if a and b]
    by_code: dict[str, Counter[str]] = {}
    for a, b in pairs:
        by_code.setdefault(a, Counter())[plain(b)] += 1
    return bool(pairs) and sum(max(told.values()) for told in by_code.values()) >= 0.9 * len(pairs)

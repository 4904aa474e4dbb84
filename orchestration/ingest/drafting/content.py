"""What the values of a column look like: addresses, numbers, dates, words from a short list.

What belongs here: values, whatever the column is called. What does not: names (`vocabulary`). Shares are of
the values that are there; a trait holds when nine in ten have it, as extracts are seldom clean.
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

from orchestration.ingest.drafting.sampling import CIVILITIES, ColumnSample

_EMAIL = re.compile(r"[^@\s,;]+@[^@\s,;]+\.[a-z]{2,}$", re.IGNORECASE)
_PHONE = re.compile(r"(?:\+|00)?[\d().\s/-]{8,22}$")
_NUMBER = re.compile(r"[-+]?(?:\d+|\d{1,3}(?:[ .,'\u00a0\u202f]\d{3})+)(?:([.,])\d+)?$")
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?:([ .,'\u00a0\u202f])\d{3})+(?:[.,]\d{1,2})?$")
_UNITS = r"€|\$|£|EUR|USD|GBP|CHF|[Ee]uros?|%"
_WITH_UNIT = re.compile(rf"(?:({_UNITS})\s*)?([-+]?\s*\d[\d .,'\u00a0\u202f]*?)\s*({_UNITS})?$")
_ISO = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d.*)?$")
_NULLS = frozenset({"null", "n/a", "na", "nan", "none", "\\n", "-", "--", "#n/a", "nd", "n.c.", "nc", "?", "(null)"})
_MOST_DISTINCT = 24
#: Distinct values that are looked at one by one.
_PROBE = 800

#: What a date may look like: a shape without its digits, and the formats that have it.
_DAYS = ("%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%d.%m.%Y", "%Y/%m/%d", "%Y.%m.%d", "%d/%m/%y", "%m/%d/%y", "%d-%m-%y",
         "%d.%m.%y", "%Y%m%d", "%d%m%Y", "%d%m%y", "%y%m%d", "%d %B %Y", "%d-%b-%Y", "%d %b %Y")  # fmt: skip
_TIMES = ("", " %H:%M", " %H:%M:%S", "T%H:%M:%S", " %Hh%M", " %I:%M %p", "%H%M%S", " %H:%M:%S.%f")


@dataclass(frozen=True)
class DateReading:
    """How the dates of a column are written. `formats`: empty for ISO. `doubt`: what is not sure."""

    formats: tuple[str, ...]
    has_time: bool
    share: float
    doubt: str | None = None
    ties: tuple[str, ...] = ()  # formats that fit as well


@dataclass
class Content:
    """What is known of a column's values. `words`: the distinct values where they are few, most frequent first."""

    filled: int
    rows: int
    distinct: int
    shares: dict[str, float] = field(default_factory=dict)
    date: DateReading | None = None
    decimal: str | None = None
    thousands: str | None = None
    unit: str | None = None  # what stands beside the numbers
    nulls: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    most_words: float = 0.0  # mean number of words of a value
    longest: int = 0
    upper_first: float = 0.0  # share of values whose first word is in capitals and the last is not

    @property
    def share_filled(self) -> float:
        return self.filled / self.rows if self.rows else 0.0

    @property
    def is_unique(self) -> bool:
        return self.filled == self.rows > 0 and self.distinct == self.filled

    @property
    def is_nearly_unique(self) -> bool:
        """As a key is in an extract with a few rows delivered twice."""
        return self.share_filled > 0.98 and self.distinct > 0.95 * self.filled

    def mostly(self, trait: str, share: float = 0.9) -> bool:
        return self.filled > 0 and self.shares.get(trait, 0.0) >= share


def plain(text: str) -> str:
    """A word for comparing: lower case, without accents, one space."""
    folded = unicodedata.normalize("NFKD", text)
    return " ".join("".join(c for c in folded if not unicodedata.combining(c)).lower().replace("_", " ").split())


def look_at(column: ColumnSample) -> Content:
    """Read the values of a column."""
    nulls = tuple(sorted({v for v in column.values if v is not None and v.lower() in _NULLS}))
    values = [value for value in column.values if value is not None and value not in nulls]
    counts = Counter(values)
    told = Content(len(values), len(column.values), len(counts), nulls=nulls)
    if not values:
        return told
    told.longest = max(map(len, values))
    told.most_words = sum(len(value.split()) for value in values) / len(values)
    told.upper_first = sum(_upper_then_lower(value) for value in values[:_PROBE]) / len(values[:_PROBE])
    few = [word for word, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    if len(few) <= _MOST_DISTINCT and (len(few) * 2 <= len(values) or len(values) < 12) and told.longest <= 40:
        told.words = tuple(few)
    probe = few if len(few) <= _PROBE else sorted(counts)[:: len(few) // _PROBE][:_PROBE]
    told.unit, bare = _without_unit(probe)
    tests: dict[str, Callable[[str], object]] = {
        "email": _EMAIL.match, "phone": _is_phone, "number": lambda value: _NUMBER.match(bare[value]), "iso": _ISO.match,
        "postal": re.compile(r"(?:[A-Z]-?)?\d{4,5}$").match,
        "postal_city": re.compile(r"\d{4,5}\s+\D+").match,
        "integer": re.compile(r"[-+]?\d+$").match, "url": re.compile(r"https?://").match,
        "card": re.compile(r"\d{10,19}$").match,
        "dialled": re.compile(r"(?:0|\+|00)[1-9][\d .()/-]{7,16}$").match,
        "street": re.compile(r"\d{1,4}\s*(?:bis|ter)?,?\s+\D{2,}", re.IGNORECASE).match,
    }  # fmt: skip
    folded = {value: plain(value) for value in probe}
    tests |= {
        "civility": lambda value: folded[value].rstrip(".") in CIVILITIES,
        "country": lambda value: folded[value] in COUNTRIES,
        "first_name": lambda value: folded[value].split(" ")[0] in FIRST_NAMES,
        "boolean": lambda value: folded[value] in _BOOLEANS,
    }
    weight = sum(counts[value] for value in probe)
    told.shares = {name: sum(counts[v] for v in probe if test(v)) / weight for name, test in tests.items()}
    told.date = _read_dates(values)
    _read_separators(told, list(bare.values()))
    return told


def _without_unit(values: list[str]) -> tuple[str | None, dict[str, str]]:
    """(the unit that most numbers bear, each value without it)."""
    found = {value: _WITH_UNIT.match(value) for value in values}
    units = Counter(match.group(1) or match.group(3) for match in found.values() if match)
    units.pop(None, None)
    if not units or sum(units.values()) * 2 < len(values):
        return None, {value: value for value in values}
    unit = max(sorted(units), key=lambda one: units[one])
    return unit, {value: match.group(2) if match else value for value, match in found.items()}


def _upper_then_lower(value: str) -> bool:
    words = value.split()
    return len(words) > 1 and len(words[0]) > 1 and words[0].isupper() and not words[-1].isupper()


def _is_phone(value: str) -> bool:
    digits = sum(letter.isdigit() for letter in value)
    return 8 <= digits <= 15 and bool(_PHONE.match(value)) and not _ISO.match(value) and value.count("-") != 2


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


COUNTRIES = _words(
    "fr france fra be belgique belgium bel ch suisse switzerland lu luxembourg de allemagne germany deu es espagne spain "
    "esp it italie italy ita gb uk nl pays-bas netherlands pt portugal us usa"
) | {"united kingdom", "royaume-uni", "united states", "etats-unis"}
#: Given names that are frequent in France, Belgium, Britain and America: enough to know a column of them.
FIRST_NAMES = _words(
    "marie jean pierre michel andre philippe nathalie isabelle catherine sylvie anne francoise monique martine jacques "
    "alain bernard patrick daniel nicolas christophe laurent stephane sandrine valerie julien thomas julie camille lea "
    "manon emma chloe sarah laura pauline marine lucas hugo louis paul antoine alexandre maxime romain kevin guillaume "
    "sebastien david eric frederic olivier pascal thierry bruno celine aurelie emilie virginie sophie helene claire "
    "caroline charlotte mathilde lucie alice louise jules gabriel arthur adam raphael ines jade lina john james robert "
    "william richard joseph charles mary patricia jennifer linda elizabeth barbara susan jessica karen emily george "
    "harry jack oliver amelia olivia isla peter andrew simon christine brigitte corinne veronique dominique claude gerard "
    "theo jeanne bastien noemie yann perrine loic maelle rachid zoe agathe gael solene tristan enzo nathan ethan clement "
    "quentin florian benjamin antonin baptiste anais oceane margaux elise juliette clara eva rose anna jeremy fabien cedric "
    "ludovic damien arnaud vincent francois denis gilles serge didier joel herve christian xavier yannick myriam samira "
    "leila aicha youssef mehdi amine ahmed elodie melanie stephanie delphine karine severine laetitia audrey jessica "
    "yves rene odile marc tom sam lilian fatima mohamed karim nadia"
)
TRUE_WORDS = _words("1 true t yes y oui o vrai x on")
FALSE_WORDS = _words("0 false f no n non faux off")
_BOOLEANS = TRUE_WORDS | FALSE_WORDS


def _read_dates(values: list[str]) -> DateReading | None:
    distinct = sorted(set(values))
    distinct = distinct[:: max(1, len(distinct) // 300)][:300]
    if sum(bool(_ISO.match(value)) for value in distinct) >= 0.9 * len(distinct):
        iso = [value for value in distinct if _ISO.match(value)]
        return DateReading((), sum(len(value) > 10 for value in iso) * 2 > len(iso), len(iso) / len(distinct))
    unix = _unix(distinct)
    if unix:
        return unix
    if sum(sum(c.isdigit() for c in value) < 4 for value in distinct) * 2 > len(distinct):
        return None
    shapes = Counter(re.sub(r"[A-Za-zÀ-ÿ]+", "a", re.sub(r"\d+", lambda m: str(len(m.group())), v)) for v in distinct)
    if len(shapes) > 60 and shapes.most_common(1)[0][1] * 3 < len(distinct):
        return None
    scores: list[tuple[float, str]] = []
    first = distinct[:: max(1, len(distinct) // 20)]
    for day in _DAYS:
        for time in _TIMES:
            if not any(_parses(value, day + time) for value in first):
                continue
            fits = sum(_parses(value, day + time) for value in distinct)
            if fits:
                scores.append((fits / len(distinct), day + time))
    if not scores:
        return None
    scores.sort(key=lambda item: (-item[0], _order(item[1])))
    share, best = scores[0]
    if share < 0.6:
        return None
    others = [found for score, found in scores[1:] if score >= share - 0.001 and found != best]
    doubt = None
    if others and all(value.isdigit() for value in distinct[:50]):
        doubt = f"the digits fit {best} and {others[0]}; which is it?"
    elif others:
        doubt = f"no day after the 12th tells {best} from {others[0]}; which is it?"
    formats = [best]
    left = [value for value in distinct if not _parses(value, best)]
    for _, other in scores[1:]:
        more = sum(_parses(value, other) for value in left)
        if more >= 3 and more * 3 >= len(left) and not _clash(best, other):
            formats.append(other)
            share += more / len(distinct)
            break
    return DateReading(tuple(formats), "%H" in best or "%I" in best, min(share, 1.0), doubt, tuple(others))


def _order(date_format: str) -> int:
    return _DAYS.index(next(d for d in sorted(_DAYS, key=len, reverse=True) if date_format.startswith(d)))


def _unix(values: list[str]) -> DateReading | None:
    for digits, name in ((10, "unix"), (13, "unix_ms")):
        fits = [value for value in values if value.isdigit() and len(value) == digits]
        if len(fits) >= 0.9 * len(values) and all(value[0] == "1" for value in fits):
            return DateReading(
                (name,), True, len(fits) / len(values), "the numbers may be seconds since 1970; are they?"
            )
    return None


@cache
def _shape_of(date_format: str) -> re.Pattern[str]:
    """What texts of a format look like: strptime itself is too slow, and too lenient, to be asked of each."""
    has_separators = bool(re.sub(r"%[A-Za-z]", "", date_format))
    digits = r"\d{1,2}" if has_separators else r"\d{2}"
    shapes = {"%Y": r"\d{4}", "%y": r"\d{2}", "%B": r"[^\W\d]{3,}", "%b": r"[^\W\d]{3,5}\.?", "%p": "[APap][Mm]",
              "%M": r"\d{2}", "%S": r"\d{2}", "%f": r"\d{1,6}"}  # fmt: skip
    parts = re.split(r"(%[A-Za-z])", date_format)
    return re.compile("".join(shapes.get(part, digits) if part.startswith("%") else re.escape(part) for part in parts))


def _parses(value: str, date_format: str) -> bool:
    if not _shape_of(date_format).fullmatch(value):
        return False
    try:
        found = dt.datetime.strptime(value, date_format)
    except ValueError:
        return False
    return 1880 <= found.year <= 2100


def _clash(first: str, second: str) -> bool:
    probe = dt.datetime(2003, 2, 1, 4, 5, 6)
    text = probe.strftime(first)
    try:
        return dt.datetime.strptime(text, second).date() != probe.date()
    except ValueError:
        return False


def _read_separators(told: Content, values: list[str]) -> None:
    if not told.mostly("number", 0.8):
        return
    marks = Counter(found.group(1) for value in values if (found := _NUMBER.match(value)) and found.group(1))
    groups = Counter(found.group(1) for value in values if (found := _THOUSANDS.match(value)))
    # "1,234" alone may be either: it is a decimal sign unless both signs are seen, or cents have two digits.
    grouped = {mark for mark in groups if mark not in ".," or _is_grouping(values, mark)}
    decimals = {mark: count for mark, count in marks.items() if mark not in grouped}
    if decimals:
        told.decimal = max(decimals, key=lambda mark: (decimals[mark], mark))
    if grouped:
        chosen = max(sorted(grouped), key=lambda mark: groups[mark])
        told.thousands = " " if chosen in "\u00a0\u202f" else chosen


def _is_grouping(values: list[str], mark: str) -> bool:
    other = "," if mark == "." else "."
    return any(mark in value and other in value and value.index(mark) < value.index(other) for value in values)

"""The contract of a source: one YAML file says how its extracts look and what each column means.

What belongs here: the typed model of `declarations/sources/<source>.yml` and every check that needs
no data (unknown canonical columns, contradictory keys, ambiguous date formats). What does not:
reading a file. Where two readings of a file name or of a value are possible, the rule stands in the
docstring of the class that declares it.
"""

from __future__ import annotations

import codecs
import datetime as dt
import re
import unicodedata
import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema, field_validator, model_validator

from orchestration.contracts.connection import Connection
from orchestration.contracts.entities import ENTITIES, Column, Entity
from orchestration.contracts.loader import (
    Declaration,
    Document,
    Location,
    Problem,
    did_you_mean,
    raise_problems,
    read_document,
    validate,
)

NAME = re.compile(r"^[a-z][a-z0-9_]*$")
EntityName = Literal[
    "customer", "order", "order_line", "product", "event", "consent", "privacy_request", "steward_decision"
]


def _as_text(value: Any) -> Any:
    """YAML reads `1`, `true` and `2024-01-31` as what they look like; here they are texts."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dt.date):
        return value.isoformat()
    return str(value) if isinstance(value, int | float) else value


def _as_texts(value: Any) -> Any:
    """One text stands for a list of one."""
    if isinstance(value, list | tuple):
        return tuple(_as_text(item) for item in value)
    return value if value is None else (_as_text(value),)


def _as_text_table(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {_as_text(key): None if item is None else _as_text(item) for key, item in value.items()}


_SCALAR = {"type": ["string", "number", "boolean"]}
Text = Annotated[str, BeforeValidator(_as_text), WithJsonSchema(_SCALAR)]
Texts = Annotated[
    tuple[str, ...],
    BeforeValidator(_as_texts),
    WithJsonSchema({"anyOf": [_SCALAR, {"type": "array", "items": _SCALAR}]}),
]
TextTable = Annotated[
    dict[str, str | None],
    BeforeValidator(_as_text_table),
    WithJsonSchema({"type": "object", "additionalProperties": {"type": ["string", "number", "boolean", "null"]}}),
]

#: strptime directives that a contract may use, with what they look like in a file name.
_DIRECTIVES = {
    "%Y": r"\d{4}", "%y": r"\d{2}", "%m": r"\d{2}", "%d": r"\d{2}", "%j": r"\d{3}",
    "%H": r"\d{2}", "%I": r"\d{2}", "%M": r"\d{2}", "%S": r"\d{2}", "%f": r"\d{1,6}",
    "%p": r"[AaPp][Mm]", "%b": r"[^\W\d_]+", "%B": r"[^\W\d_]+", "%z": r"[+-]\d{2}:?\d{2}",
    "%-d": r"\d{1,2}", "%-m": r"\d{1,2}",
}  # fmt: skip
_DIRECTIVE = re.compile(r"%-?[A-Za-z%]")
_TIME_OF_DAY = {"%H", "%I", "%M", "%S", "%f"}
_NAMED_FORMATS = ("iso", "unix", "unix_ms")


class FileLayout(Declaration):
    """How the files of a source are named and written.

    In `pattern`, `{date}` stands for the business date, written as `date_format`; without it the
    business date is the day of reception. `{part}` stands for what tells apart several files that make
    up one delivery (a shop, a slice). `*` stands for anything that means nothing (a version, a random
    suffix). Files of one source with the same business date and the same part are deliveries of the
    same thing: the later one supersedes the earlier. `.gz` and `.zip` are read too.
    """

    pattern: str = Field(description="File name; {date}, {part} and * stand for what changes")
    date_format: str = Field(default="%Y-%m-%d", description="How {date} is written, strptime style")
    format: Literal["csv", "fixed", "jsonl", "json", "xlsx", "parquet"] = "csv"
    delimiter: str = Field(default=",", min_length=1, max_length=4, description='csv; "\\t" for a tab')
    encoding: str = "utf-8"
    quote: str | None = Field(default='"', max_length=1, description="csv; null when values are never quoted")
    escape: str | None = Field(default=None, max_length=1, description="csv; default: the quote, doubled")
    names: tuple[str, ...] | None = Field(default=None, description="Column names, for a csv without header line")
    skip_lines: int = Field(default=0, ge=0, le=1000, description="Lines before the header")
    fields: dict[str, tuple[int, int]] | None = Field(
        default=None, description="fixed: name of each column with its first character (from 1) and its width"
    )
    decimal: Literal[".", ","] = "."
    thousands: Literal[" ", ".", ",", "'"] | None = None
    unit: Texts | None = Field(default=None, description="What may stand before or after a number, such as € or EUR")
    nulls: Texts = Field(default=("",), description="Texts that mean: no value")
    sheet: str | None = Field(default=None, description="xlsx; default: the first sheet")
    rows_at: str | None = Field(default=None, description="json: path of the array of rows")
    time_zone: str | None = Field(default=None, description="Of timestamps without zone; default: the company's")

    @field_validator("encoding")
    @classmethod
    def _encoding_exists(cls, value: str) -> str:
        try:
            found = codecs.lookup(value)
        except LookupError:
            raise ValueError(f'"{value}" is no encoding; try "utf-8", "cp1252", "iso8859-15"') from None
        if not getattr(found, "_is_text_encoding", True):
            raise ValueError(f'"{value}" is not an encoding of text; try "utf-8" or "cp1252"')
        return found.name

    @field_validator("time_zone")
    @classmethod
    def _zone_exists(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                zoneinfo.ZoneInfo(value)
            except (zoneinfo.ZoneInfoNotFoundError, ValueError):
                raise ValueError(f'"{value}" is no IANA time zone; try "Europe/Paris"') from None
        return value

    @field_validator("pattern")
    @classmethod
    def _pattern_is_a_name(cls, value: str) -> str:
        if "/" in value or "\\" in value:
            raise ValueError("the pattern is a file name, without folder: the inbox is searched with its sub-folders")
        for placeholder in re.findall(r"\{[^}]*\}?", value):
            if placeholder not in ("{date}", "{part}"):
                raise ValueError(f"{placeholder} means nothing in a pattern; known: {{date}}, {{part}}, *")
        if value.count("{date}") > 1 or value.count("{part}") > 1:
            raise ValueError("{date} and {part} stand at most once in a pattern")
        if not re.sub(r"\{date\}|\{part\}|[*.]", "", value):
            raise ValueError("the pattern would match any file; give it at least a word")
        return value

    @field_validator("unit")
    @classmethod
    def _unit_is_no_number(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return _check_unit(value)

    @field_validator("date_format")
    @classmethod
    def _date_format_is_known(cls, value: str) -> str:
        _check_directives(value)
        if not {"%Y", "%y"} & set(_DIRECTIVE.findall(value)):
            raise ValueError("a date in a file name needs a year (%Y)")
        return value


def _check_directives(value: str) -> None:
    for directive in _DIRECTIVE.findall(value):
        if directive != "%%" and directive not in _DIRECTIVES:
            known = " ".join(_DIRECTIVES)
            raise ValueError(f'"{directive}" is not a part of a date that can be read; known: {known}')


def _check_unit(value: tuple[str, ...] | None) -> tuple[str, ...] | None:
    for word in value or ():
        if not word.strip() or re.search(r"[\d.,+-]", word):
            raise ValueError(f'"{word}" is no unit: a word or a sign, without digits and separators')
    return value


class Condition(Declaration):
    """A test on one column of the file. Texts are compared after trimming, as they stand in the file."""

    column: str
    equals: Text | None = None
    not_equals: Text | None = None
    one_of: Texts | None = None
    matches: str | None = Field(default=None, description="Regular expression, found anywhere in the value")
    exists: bool | None = Field(default=None, description="true: has a value; false: has none")

    @model_validator(mode="after")
    def _one_test(self) -> Condition:
        tests = [self.equals, self.not_equals, self.one_of, self.matches, self.exists]
        if sum(test is not None for test in tests) != 1:
            raise ValueError("give exactly one of equals, not_equals, one_of, matches, exists")
        return self

    @field_validator("matches")
    @classmethod
    def _is_an_expression(cls, value: str | None) -> str | None:
        return _check_expression(value)


class Filter(Condition):
    """Rows ignored on purpose; they are counted."""

    reason: str = Field(min_length=3)


def _check_expression(value: str | None) -> str | None:
    if value is not None:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"this is no regular expression: {error}") from None
        if re.search(r"\(\?(?:=|!|<=|<!)|\\[1-9]", value):
            raise ValueError("look-around and back-references are not supported; write a plainer expression")
    return value


class ColumnRule(Declaration):
    """Where a canonical column comes from and how its text is read.

    In this order: join (several columns), trim and nulls, `extract`, `split` and `part`, `values`,
    `read`, `default`, `required`. A text that cannot be read sends the row to quarantine, or with
    `on_error: blank` leaves the column empty.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False)

    columns: Texts | None = Field(default=None, alias="from", description="Column of the file, or several to join")
    constant: Text | None = None
    join: str | None = Field(default=None, description="Text between joined columns; empty ones are left out")
    extract: str | None = Field(default=None, description="Regular expression; its first group is kept")
    split: str | None = Field(default=None, min_length=1, description="Separator: see `part`")
    part: int | None = Field(default=None, description="Which part after `split`, from 1; -1 is the last")
    values: TextTable | None = Field(default=None, description="Table of values: as in the file -> as it should be")
    otherwise: Text | None = Field(default=None, description="For what `values` does not hold; else an error")
    read: Literal["text", "date", "timestamp", "number", "boolean", "unsubscribe_token"] | None = None
    format: Texts | None = Field(default=None, description="Date formats, strptime style; the first that fits")
    decimal: Literal[".", ","] | None = None
    thousands: Literal[" ", ".", ",", "'"] | None = None
    unit: Texts | None = Field(default=None, description="Where this column differs from the file")
    true_values: Texts | None = None
    false_values: Texts | None = None
    default: Text | None = Field(default=None, description="Where the file has no value")
    required: bool = False
    on_error: Literal["quarantine", "blank"] = "quarantine"
    todo: str | None = Field(
        default=None, description="What is to be decided here; `rcu check` names it until it is gone"
    )

    @field_validator("extract")
    @classmethod
    def _is_an_expression(cls, value: str | None) -> str | None:
        return _check_expression(value)

    @field_validator("unit")
    @classmethod
    def _unit_is_no_number(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return _check_unit(value)

    @field_validator("format")
    @classmethod
    def _formats_are_clear(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        dated = [item for item in value or () if item not in _NAMED_FORMATS]
        for item in dated:
            _check_directives(item)
        ambiguous = _first_ambiguity(dated)
        if ambiguous:
            first, second, example = ambiguous
            raise ValueError(f"{first} and {second} read {example} as different dates; keep the one that is meant")
        return value

    @property
    def answers_otherwise(self) -> bool:
        """Whether `otherwise` was given, be it null."""
        return "otherwise" in self.model_fields_set


def _first_ambiguity(formats: list[str]) -> tuple[str, str, str] | None:
    probes = [dt.datetime(2003, 2, 1, 4, 5, 6), dt.datetime(2011, 10, 12, 1, 2, 3), dt.datetime(1985, 7, 9)]
    for index, first in enumerate(formats):
        for second in formats[index + 1 :]:
            for probe in probes:
                if "%-" in first + second:
                    continue
                text = probe.strftime(first)
                try:
                    one, other = dt.datetime.strptime(text, first), dt.datetime.strptime(text, second)
                except ValueError:
                    continue
                if one.date() != other.date():
                    return first, second, text
    return None


class Delivery(Declaration):
    """One entity that the rows of a source deliver.

    `key` gives the source columns of the entity's keys. For an entity with one key, several columns are
    joined by `|`. An order line whose key is the order alone is numbered within its order, in file order.
    Without a key, and where `columns` does not give it either, the key is a hash of the row.

    With `each`, a row yields one entity row per element of that array; a column name is looked up in the
    element first, then in the row; `@.name` is only looked up in the element, `$.name` only in the row,
    and `@` is the element itself. `orders[*].lines` are the elements of `lines` in each of `orders`: a name is
    looked up in the line, then in its order, then in the row.
    """

    each: str | None = Field(
        default=None, description="json, jsonl: path of an array; one row per element (a[*].b: of each b in each a)"
    )
    when: Condition | None = Field(default=None, description="This entity only for the rows that satisfy it")
    key: Texts | None = None
    columns: dict[str, ColumnRule] = Field(default_factory=dict)
    custom: dict[str, str] = Field(default_factory=dict, description="Kept as custom attributes: name -> column")
    tags: Texts = Field(default=(), description="Columns whose value becomes a tag")

    @property
    def array_steps(self) -> tuple[str, ...]:
        """The arrays of `each`, one within the other; none without `each`."""
        return tuple(self.each.removesuffix("[*]").split("[*].")) if self.each else ()

    def columns_read(self) -> Iterator[tuple[Location, str]]:
        """Every column of the file that this entity reads, with where the contract says so."""
        for index, name in enumerate(self.key or ()):
            yield ("key", index), name
        if self.when:
            yield ("when", "column"), self.when.column
        for canonical, rule in self.columns.items():
            for name in rule.columns or ():
                yield ("columns", canonical, "from"), name
        for attribute, name in self.custom.items():
            yield ("custom", attribute), name
        for index, name in enumerate(self.tags):
            yield ("tags", index), name


class Drift(Declaration):
    """What a change of the file's columns does. `warn` keeps a new column as a custom attribute."""

    new_column: Literal["ignore", "warn", "block"] = "warn"
    missing_column: Literal["warn", "block"] = "block"


class Source(Declaration):
    """A system that sends extracts."""

    source: str
    describes: str
    owner: str | None = Field(default=None, pattern=r"^(team:[\w.-]+|[^@\s]+@[^@\s]+)$", description="team:x or e-mail")
    trust_rank: int = Field(ge=1, le=1000, description="1 is the most trusted")
    required: bool = Field(default=False, description="A run without any delivery of it is blocked")
    delivery: Literal["full", "delta"] = "full"
    cadence_days: int | None = Field(default=None, ge=1, description="Alert when the last delivery is older")
    expected_rows: tuple[int, int] | None = Field(default=None, description="Rows of a file; outside it warns")
    tolerated_bad_rows: float = Field(default=0.02, ge=0, le=1, description="Share; above it the file is refused")
    tolerated_deletes: float = Field(default=0.3, ge=0, le=1, description="Share of a full delivery's records")
    drift: Drift = Field(default_factory=Drift)
    connect: Connection | None = Field(
        default=None, description="Where to fetch from; else files are dropped in the inbox"
    )
    file: FileLayout
    filter: tuple[Filter, ...] = ()
    delivers: dict[EntityName, Delivery] = Field(min_length=1)
    ignored: Texts = Field(default=(), description="Columns of the file that are left out on purpose")
    aliases: dict[str, Texts] = Field(
        default_factory=dict,
        description="Other names under which a column may come: name in this contract -> names it had or will have",
    )
    todo: dict[str, str] = Field(
        default_factory=dict,
        description="What is to be decided, by column or key; `rcu check` names each until it is gone",
    )

    @model_validator(mode="before")
    @classmethod
    def _a_table_becomes_a_dated_file(cls, data: Any) -> Any:
        """What is fetched from a database is a Parquet file of the day; no contract has to say so."""
        if not isinstance(data, dict) or not isinstance(data.get("connect"), dict):
            return data
        if not {"postgres", "mysql"} & set(data["connect"]) or not isinstance(data.get("file", {}), dict):
            return data
        named = {"pattern": f"{data.get('source', 'table')}_{{date}}.parquet", "format": "parquet"}
        return {**data, "file": {**named, **data.get("file", {})}}

    @field_validator("source")
    @classmethod
    def _name_is_plain(cls, value: str) -> str:
        if not NAME.match(value):
            raise ValueError(f'"{value}": the name of a source has lowercase letters, digits and _ only')
        return value

    @field_validator("expected_rows")
    @classmethod
    def _range_is_ordered(cls, value: tuple[int, int] | None) -> tuple[int, int] | None:
        if value and not 0 <= value[0] <= value[1]:
            raise ValueError("expected_rows is [least, most]")
        return value

    @property
    def questions(self) -> int:
        """How many things are still to decide. While there is one, this is a draft and nothing is read by it."""
        return len(self.todo) + sum(
            rule.todo is not None for delivery in self.delivers.values() for rule in delivery.columns.values()
        )

    @property
    def is_draft(self) -> bool:
        return self.questions > 0

    @property
    def is_nested(self) -> bool:
        """Rows are JSON objects: column names are paths."""
        return self.file.format in ("json", "jsonl")

    @property
    def most_bad_rows(self) -> float:
        """The share of bad rows that does not refuse a file. Where nothing is declared, a file of refusals and
        requests is never refused for its bad rows: those beside them bind."""
        is_given = "tolerated_bad_rows" in self.model_fields_set
        binds = not is_given and set(self.delivers) <= {"consent", "privacy_request"}
        return 1.0 if binds else self.tolerated_bad_rows

    def entities(self) -> list[tuple[Entity, Delivery]]:
        """The entities delivered, in the order of the contract."""
        return [(ENTITIES[name], delivery) for name, delivery in self.delivers.items()]

    def columns_read(self) -> Iterator[tuple[Location, str]]:
        """Every column of the file that the contract uses, with where it says so."""
        for index, test in enumerate(self.filter):
            yield ("filter", index, "column"), test.column
        for entity, delivery in self.delivers.items():
            for location, name in delivery.columns_read():
                yield ("delivers", entity, *location), name


@dataclass(frozen=True)
class NameMatch:
    """What a file name says: the business date (None: it has none) and the part of the delivery."""

    business_on: dt.date | None
    part: str


def match_name(layout: FileLayout, file_name: str) -> NameMatch | None:
    """Whether a file name (without `.gz`) is one of this source, and what it says. Case is ignored.

    A `{date}` that is no date of the calendar does not match.
    """
    expression = ""
    for token in re.split(r"(\{date\}|\{part\}|\*)", layout.pattern):
        if token == "{date}":
            expression += f"(?P<date>{_date_expression(layout.date_format)})"
        elif token == "{part}":
            expression += "(?P<part>.+?)"
        elif token == "*":
            expression += ".*"
        else:
            expression += re.escape(unicodedata.normalize("NFC", token))
    found = re.fullmatch(expression, unicodedata.normalize("NFC", file_name), re.IGNORECASE | re.DOTALL)
    if not found:
        return None
    groups = found.groupdict()
    part = groups.get("part") or ""
    if "date" not in groups:
        return NameMatch(None, part)
    try:
        moment = dt.datetime.strptime(groups["date"], layout.date_format.replace("%-", "%"))
    except ValueError:
        return None
    if _TIME_OF_DAY & set(_DIRECTIVE.findall(layout.date_format)):
        # Several deliveries a day: each is its own part, or an hourly delta would hide the one before.
        part = f"{moment:%H%M%S%f}{part}"
    return NameMatch(moment.date(), part)


def _date_expression(date_format: str) -> str:
    pieces = re.split(r"(%-?[A-Za-z%])", date_format)
    return "".join("%" if piece == "%%" else _DIRECTIVES.get(piece) or re.escape(piece) for piece in pieces)


def load_source(path: Path, root: Path | None = None, *, drafts_pass: bool = False) -> Source:
    """Read one contract. Raises DeclarationError with every problem found.

    `drafts_pass`: what is wrong in a draft stops nobody, as nothing is read by it; but a required source that is a
    draft would be missed.
    """
    document = read_document(path, root)
    source = validate(document, Source)
    problems = check_source(source, document)
    if drafts_pass and source.is_draft and not source.required:
        problems = []
    if source.source != path.stem:
        problems.append(
            document.problem(("source",), f'the file is called "{path.name}": source should be "{path.stem}"')
        )
    raise_problems(problems)
    return source


def check_source(source: Source, document: Document) -> list[Problem]:
    """The problems of a contract that its types do not show, each with its line."""
    problems: list[Problem] = []

    def say(location: Location, message: str) -> None:
        problems.append(document.problem(location, message))

    _check_layout(source, say)
    if source.connect is not None and source.connect.database is not None:
        if source.file.format != "parquet":
            say(("file", "format"), "what is fetched from a database is Parquet; leave format out")
        if "{date}" not in source.file.pattern or "{part}" in source.file.pattern:
            say(("file", "pattern"), "a fetched table needs {date} and no {part} in its pattern; leave the pattern out")
    for name, delivery in source.delivers.items():
        _check_delivery(source, ENTITIES[name], delivery, say)
    read = {column for _, column in source.columns_read()}
    for column, others in source.aliases.items():
        if column not in read:
            say(
                ("aliases", column),
                f'"{column}" is not mapped; aliases are of mapped columns{did_you_mean(column, read)}',
            )
        for other in others:
            if other in read or other in source.ignored:
                say(
                    ("aliases", column),
                    f'"{other}" is a column of its own in this contract; it cannot stand for "{column}"',
                )
    for key, question in source.todo.items():
        say(("todo", key), f'to decide: "{key}": {question}; then take this line out')
    used = {column for _, column in source.columns_read()}
    # A column that is only tested (filter, when) may well be ignored otherwise.
    mapped = {column for place, column in source.columns_read() if "filter" not in place and "when" not in place}
    for index, column in enumerate(source.ignored):
        if column in mapped:
            say(("ignored", index), f'column "{column}" is both mapped and ignored; keep one')
    known = set(source.file.names or source.file.fields or ())
    if known:
        for location, column in source.columns_read():
            if column not in known:
                say(location, f'column "{column}" is not among the columns of the file{did_you_mean(column, known)}')
        for column in sorted(known - used - set(source.ignored)):
            say(("file",), f'column "{column}" is neither mapped nor ignored; map it or list it under ignored')
    return problems


_ONLY_FOR: dict[str, tuple[str, ...]] = {
    "delimiter": ("csv",),
    "quote": ("csv",),
    "escape": ("csv",),
    "names": ("csv",),
    "skip_lines": ("csv", "fixed", "xlsx"),
    "encoding": ("csv", "fixed", "jsonl", "json"),
    "fields": ("fixed",),
    "sheet": ("xlsx",),
    "rows_at": ("json",),
}


def _check_layout(source: Source, say: Any) -> None:
    layout = source.file
    for key, formats in _ONLY_FOR.items():
        if key in layout.model_fields_set and layout.format not in formats:
            say(("file", key), f'"{key}" has no meaning for format {layout.format}, only for {", ".join(formats)}')
    if "date_format" in layout.model_fields_set and "{date}" not in layout.pattern:
        say(("file", "date_format"), "date_format without {date} in the pattern; add {date} or drop date_format")
    if layout.format == "fixed" and not layout.fields:
        say(("file",), "format fixed needs fields: {NAME: [first, width]}")
    if layout.thousands is not None and layout.thousands == layout.decimal:
        say(("file", "thousands"), f'"{layout.thousands}" is both the decimal and the thousands separator')
    for name, (first, width) in (layout.fields or {}).items():
        if first < 1 or width < 1:
            say(("file", "fields", name), f'"{name}": the first character is at least 1, the width at least 1')
    for name in {name for name in layout.names or () if (layout.names or ()).count(name) > 1}:
        say(("file", "names"), f'column "{name}" is named twice')
    if layout.format == "csv" and layout.quote and layout.quote in layout.delimiter:
        say(("file", "quote"), "the quote and the delimiter are the same character")


def _check_delivery(source: Source, entity: Entity, delivery: Delivery, say: Any) -> None:
    here: Location = ("delivers", entity.name)
    if not (delivery.columns or delivery.key):
        say(here, f'"{entity.name}" maps no column; give it a key and columns')
    if delivery.each and not source.is_nested:
        say((*here, "each"), f'"each" needs json or jsonl, not {source.file.format}')
    for name, rule in delivery.columns.items():
        column = entity.column(name)
        where = (*here, "columns", name)
        if rule.todo is not None:
            say((*where, "todo"), f'to decide: "{name}": {rule.todo}; then take `todo` out')
        if column is None:
            known = [column.name for column in entity.columns]
            say(where, f'"{name}" is no column of {entity.name}{did_you_mean(name, known)}')
        elif name == extra_column(entity) and (delivery.custom or delivery.tags):
            say(where, f'"{name}" is filled by `custom`; give its attributes there, or map it here, not both')
        elif name == "tags" and delivery.tags:
            say(where, '"tags" is given twice; keep `tags: [...]` of the entity or this column')
        else:
            for key, message in rule_problems(rule, column):
                say((*where, key) if key else where, f'"{name}": {message}')
            decimal, thousands = rule.decimal or source.file.decimal, rule.thousands or source.file.thousands
            if decimal == thousands and {"decimal", "thousands"} & rule.model_fields_set:
                say(where, f'"{name}": "{decimal}" is both the decimal and the thousands separator')
    _check_key(entity, delivery, here, say)
    if delivery.custom and extra_column(entity) is None:
        say((*here, "custom"), f"{entity.name} keeps no custom attributes; map these columns or ignore them")
    if delivery.tags and entity.column("tags") is None:
        say((*here, "tags"), f"{entity.name} has no tags; only a customer has")


def _check_key(entity: Entity, delivery: Delivery, here: Location, say: Any) -> None:
    where = (*here, "key")
    if delivery.key:
        both = [name for name in entity.keys if name in delivery.columns]
        if both:
            say(where, f'"{both[0]}" is given by key and by columns; keep one')
        if len(entity.keys) > 1 and len(delivery.key) > len(entity.keys):
            say(where, f"{entity.name} has {len(entity.keys)} key columns: {', '.join(entity.keys)}")
        if len(set(delivery.key)) < len(delivery.key):
            say(where, "a column stands twice in the key")
    elif entity.name == "order_line" and "order_id" not in delivery.columns:
        say(here, "an order line needs the key of its order; give key: [ORDER] or [ORDER, LINE]")


def extra_column(entity: Entity) -> str | None:
    """The column that keeps attributes which have no canonical column."""
    return next((name for name in ("custom", "properties") if entity.column(name)), None)


_READS = {
    "date": "date", "timestamp": "timestamp", "decimal": "number", "integer": "number",
    "boolean": "boolean", "string": "text", "json": "text",
}  # fmt: skip


#: What an unsubscribe token of ours tells, by the column it fills. The day of expiry is held against the
#: business date of the delivery.
TOKEN_PARTS = {
    "channel": "channel",
    "purpose": "purpose",
    "ref_account": "customer",
    "ref_email": "email",
    "ref_phone": "phone",
}

#: In `ref_account_source`: the customer ids of this warehouse itself, as unsubscribe tokens hold them.
OWN_IDS = "rcu"


def reading(rule: ColumnRule, column: Column) -> str:
    """How the text of a column is read: as declared, else as its kind asks."""
    return rule.read or _READS[column.kind]


def rule_problems(rule: ColumnRule, column: Column) -> Iterator[tuple[str, str]]:
    """(key, message) of each contradiction in a column rule."""
    read = reading(rule, column)
    if (rule.columns is None) == (rule.constant is None):
        yield "", "give either `from` (a column of the file) or `constant`"
        return
    if rule.constant is not None:
        allowed = {"constant", "todo"}
        for key in sorted(rule.model_fields_set - allowed):
            yield key, f'"{key}" has no meaning beside a constant'
        problem = _constant_problem(rule.constant, column)
        if problem:
            yield "constant", problem
        return
    if rule.columns == ():
        yield "from", "an empty list of columns"
    if rule.read == "unsubscribe_token":
        if column.name not in TOKEN_PARTS:
            yield "read", f"an unsubscribe token fills {', '.join(TOKEN_PARTS)}, not {column.name}"
    elif rule.read and rule.read != _READS[column.kind] and not (rule.read == "date" and column.kind == "timestamp"):
        yield "read", f"this column is a {column.kind}: it is read as {_READS[column.kind]}, not as {rule.read}"
    if rule.join is not None and len(rule.columns or ()) < 2:
        yield "join", "join needs several columns: from: [A, B]"
    if (rule.part is not None) and rule.split is None:
        yield "part", "part needs split"
    if rule.split is not None and rule.part is None and column.kind != "json":
        yield "split", "split needs part: which one is kept (1 is the first, -1 the last)"
    if rule.part == 0:
        yield "part", "parts count from 1, or from -1 at the end"
    if rule.answers_otherwise and rule.values is None:
        yield "otherwise", "otherwise needs values"
    for key, wanted in (
        ("format", ("date", "timestamp")), ("decimal", ("number",)), ("thousands", ("number",)),
        ("unit", ("number",)), ("true_values", ("boolean",)), ("false_values", ("boolean",)),
    ):  # fmt: skip
        if getattr(rule, key) is not None and read not in wanted:
            yield key, f'"{key}" has no meaning when the column is read as {read}'
    if set(rule.true_values or ()) & set(rule.false_values or ()):
        yield "true_values", "the same text is both true and false"
    if rule.required and rule.on_error == "blank":
        yield "on_error", "a required column cannot be left blank on error; drop one of the two"
    if rule.required and rule.default is not None:
        yield "default", "a column with a default is never empty: required has no meaning"
    if rule.default is not None:
        problem = _constant_problem(rule.default, column)
        if problem:
            yield "default", problem


def _constant_problem(text: str, column: Column) -> str | None:
    try:
        if column.kind == "date":
            dt.date.fromisoformat(text)
        elif column.kind == "timestamp":
            dt.datetime.fromisoformat(text)
        elif column.kind in ("decimal", "integer"):
            float(text)
        elif column.kind == "boolean" and text not in ("true", "false"):
            raise ValueError
    except ValueError:
        return f'"{text}" is not a {column.kind}'
    return None


def tables(sources: dict[str, Source]) -> dict[str, pa.Table]:
    """`sources`: one row per declared source, for the control schema."""
    rows = [
        {
            "source": source.source,
            "trust_rank": source.trust_rank,
            "is_required": source.required,
            "delivery": source.delivery,
            "cadence_days": source.cadence_days,
            "owner": source.owner,
            "describes": source.describes,
        }
        for _, source in sorted(sources.items())
    ]
    schema = pa.schema(
        [
            ("source", pa.string()), ("trust_rank", pa.int32()), ("is_required", pa.bool_()),
            ("delivery", pa.string()), ("cadence_days", pa.int32()), ("owner", pa.string()),
            ("describes", pa.string()),
        ]
    )  # fmt: skip
    return {"sources": pa.Table.from_pylist(rows, schema=schema)}

"""`segments/*.yml`: the language in which marketers say who belongs to a segment.

What belongs here: the shape of a rule, the fields it may name and their types, every check that needs
no data (unknown fields, wrong types, cycles, impossible ranges). What does not: the SQL a rule becomes
(`orchestration.segments.compiler`) and the words that explain it (`orchestration.segments.words`).

Meaning of a rule, in one place:

* A condition is true or false, never unknown: a missing value satisfies no condition, whatever the
  operator (`not_equals` and `not_in` included). `not` turns the answer round, so `not: {field: x,
  equals: 1}` holds for a missing x while `{field: x, not_equals: 1}` does not. `exists: false` is the one
  test that a missing value satisfies. Counts of events and purchases are never missing: they are 0.
* `within_last_days: n` and `within_days: n` mean from n days before the as-of date to that date, both
  included (so they agree with `days_since_...  at_most n`). What lies after the as-of date never counts.
* Texts compare exactly, case included. `matches` is an RE2 regular expression found anywhere in the
  text; anchor it with ^ and $.
"""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import yaml
from pydantic import Field, ValidationInfo, field_validator, model_validator

from orchestration.contracts.loader import (
    Declaration,
    Location,
    Problem,
    did_you_mean,
    raise_problems,
    read_document,
    validate,
)
from orchestration.errors import DeclarationError

FieldType = Literal["text", "integer", "number", "date", "timestamp", "boolean", "texts", "object"]
Scalar = bool | int | float | dt.date | str

CHANNELS = ("email", "sms", "phone", "post")
Channel = Literal["email", "sms", "phone", "post"]

#: What customers can have done. Types of one's own start with `custom_`.
EVENT_TYPES = (
    "page_view", "session", "cart", "email_sent", "email_open", "email_click", "email_bounce",
    "email_unsubscribe", "email_complaint", "mail_returned", "call", "wrong_number", "survey_answer", "store_visit",
    "social",
)  # fmt: skip

#: Columns of `marts.events` that `with` can name; any other name is a key of `properties`.
EVENT_COLUMNS: dict[str, FieldType] = {
    "channel": "text", "campaign": "text", "product_id": "text", "reason": "text", "value": "number",
}  # fmt: skip

_OPERATORS = {
    "equals": "equals", "not_equals": "not_equals", "in_": "in", "not_in": "not_in", "between": "between",
    "at_least": "at_least", "at_most": "at_most", "more_than": "more_than", "less_than": "less_than",
    "exists": "exists", "matches": "matches", "contains": "contains", "starts_with": "starts_with",
    "within_last_days": "within_last_days", "within_next_days": "within_next_days",
    "anniversary_within_days": "anniversary_within_days", "before": "before", "after": "after",
}  # fmt: skip
_NUMERIC = (
    "equals",
    "not_equals",
    "in",
    "not_in",
    "between",
    "at_least",
    "at_most",
    "more_than",
    "less_than",
    "exists",
)
_INSTANT = ("equals", "not_equals", "between", "before", "after", "within_last_days", "within_next_days", "exists")
_COUNTED = ("equals", "between", "at_least", "at_most", "more_than", "less_than")

#: Operators that make sense on each type of field.
OPERATORS_OF: dict[FieldType, tuple[str, ...]] = {
    "text": ("equals", "not_equals", "in", "not_in", "exists", "matches", "contains", "starts_with"),
    "integer": _NUMERIC,
    "number": _NUMERIC,
    "date": (*_INSTANT, "anniversary_within_days"),
    "timestamp": _INSTANT,
    "boolean": ("equals", "not_equals", "exists"),
    "texts": ("contains", "exists"),
    "object": ("exists",),
}

_SUBJECTS = {
    "all": "all", "any": "any", "not_": "not", "field": "field", "custom": "custom", "performed": "performed",
    "bought": "bought", "member_of": "member_of", "random_bucket": "random_bucket", "reachable": "reachable",
    "has_tag": "has_tag", "interest": "interest", "in_list": "in_list", "consent": "consent",
}  # fmt: skip

#: What a consent can be about, on which channel, and what has become of it: the words of rcu.consents.
PURPOSES = ("marketing", "profiling", "open_tracking", "partners")
CONSENT_CHANNELS = (*CHANNELS, "push")
CONSENT_STATUSES = ("granted", "pending", "refused", "withdrawn", "expired")

LARGEST_LIST = 1000
_NAME = r"^[a-z][a-z0-9_]{0,62}$"


def _refuse_too_many(value: Any) -> None:
    if isinstance(value, list | tuple) and len(value) > LARGEST_LIST:
        raise ValueError(
            f"{len(value)} values are too many here (at most {LARGEST_LIST}); put the customers in a file "
            "segments/lists/<name>.csv and use in_list"
        )


def _refuse_no_number(value: Any) -> None:
    if isinstance(value, int | float) and not abs(value) < 1e30:
        raise ValueError("no number is as large; write one below 1e30")


class FieldReference(Declaration):
    """Another field to compare with, times a factor: `more_than: {field: average_interval_days, times: 1.5}`."""

    field: str
    times: float = Field(default=1.0, gt=0, allow_inf_nan=False)


class Bought(Declaration):
    """What was bought; nothing said means anything. Several keys must hold for the same line."""

    product: str | tuple[str, ...] | None = None
    category: str | tuple[str, ...] | None = None
    subcategory: str | tuple[str, ...] | None = None
    brand: str | tuple[str, ...] | None = None
    audience: str | tuple[str, ...] | None = None
    channel: str | tuple[str, ...] | None = None
    store: str | tuple[str, ...] | None = None

    @field_validator("*", mode="before")
    @classmethod
    def _not_too_many(cls, value: Any) -> Any:
        _refuse_too_many(value)
        if isinstance(value, list) and not value:
            raise ValueError("an empty list holds for nobody")
        return value

    def wanted(self) -> dict[str, tuple[str, ...]]:
        """The attributes asked for, each with the values that do."""
        given = {name: getattr(self, name) for name in type(self).model_fields}
        return {
            name: (value,) if isinstance(value, str) else value for name, value in given.items() if value is not None
        }


class Consent(Declaration):
    """A consent by purpose: `{purpose: profiling, channel: email}`. Nothing said of channels means any of them.

    It is what was said and still holds, apart from whether the customer can be reached so (`reachable` is both).
    """

    purpose: str
    channel: str | tuple[str, ...] | None = None
    status: str | tuple[str, ...] = "granted"
    expires_within_days: int | None = Field(
        default=None, ge=0, le=36500, description="It runs out within n days from the as-of date"
    )

    @field_validator("purpose", "channel", "status")
    @classmethod
    def _is_known(cls, value: Any, info: ValidationInfo) -> Any:
        known = {"purpose": PURPOSES, "channel": CONSENT_CHANNELS, "status": CONSENT_STATUSES}[str(info.field_name)]
        for one in (value,) if isinstance(value, str) else value or ():
            if one not in known:
                raise ValueError(f'no {info.field_name} "{one}"{did_you_mean(one, known)}')
        if value == ():
            raise ValueError("an empty list holds for nobody")
        return value

    def channels(self) -> tuple[str, ...]:
        """The channels asked for; none: any."""
        return (self.channel,) if isinstance(self.channel, str) else self.channel or ()

    def statuses(self) -> tuple[str, ...]:
        return (self.status,) if isinstance(self.status, str) else self.status


class RandomBucket(Declaration):
    """A stable random part of all customers: those whose draw lies in `from` (in) to `to` (out), of 1.

    Two buckets with one `seed` and parts that don't overlap share nobody; with two seeds they are
    independent draws.
    """

    seed: str = "rcu"
    start: float = Field(default=0.0, ge=0, le=1, alias="from")
    to: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _in_order(self) -> RandomBucket:
        if self.start >= self.to:
            raise ValueError(f'"to" ({self.to}) should be above "from" ({self.start})')
        return self


class Condition(Declaration):
    """One condition: a group of conditions, or one subject with what is asked of it."""

    all: tuple[Condition, ...] | None = Field(default=None, description="Every one of these holds")
    any: tuple[Condition, ...] | None = Field(default=None, description="At least one of these holds")
    not_: Condition | None = Field(default=None, alias="not", description="This does not hold")
    field: str | None = Field(default=None, description="A column of marts.customer_360")
    custom: str | None = Field(default=None, description="A custom attribute that a source delivers")
    performed: str | tuple[str, ...] | None = Field(
        default=None, description="Event type(s); once at least unless counted"
    )
    bought: Bought | None = Field(default=None, description="A purchase; once at least unless counted")
    member_of: str | None = Field(default=None, description="Another segment")
    random_bucket: RandomBucket | None = None
    reachable: Channel | tuple[Channel, ...] | None = Field(
        default=None, description="Contactable for marketing on this channel, or on any of these"
    )
    has_tag: str | tuple[str, ...] | None = Field(default=None, description="Carries this tag, or any of these")
    interest: str | tuple[str, ...] | None = Field(default=None, description="Declared this interest, or any of these")
    in_list: str | None = Field(default=None, description="In the static list segments/lists/<name>.csv")
    consent: Consent | None = Field(default=None, description="A consent by purpose and channel")

    equals: Scalar | None = None
    not_equals: Scalar | None = None
    in_: tuple[Scalar, ...] | None = Field(default=None, alias="in", max_length=LARGEST_LIST)
    not_in: tuple[Scalar, ...] | None = Field(default=None, max_length=LARGEST_LIST)
    between: tuple[Scalar, Scalar] | None = Field(default=None, description="Both ends included")
    at_least: FieldReference | int | float | None = None
    at_most: FieldReference | int | float | None = None
    more_than: FieldReference | int | float | None = None
    less_than: FieldReference | int | float | None = None
    exists: bool | None = None
    matches: str | None = Field(default=None, description="RE2 regular expression, found anywhere")
    contains: str | None = None
    starts_with: str | None = None
    within_last_days: int | None = Field(default=None, ge=0, le=36500)
    within_next_days: int | None = Field(default=None, ge=0, le=36500)
    anniversary_within_days: int | None = Field(
        default=None, ge=0, le=365, description="The day and month come round within n days, today included"
    )
    before: dt.date | None = None
    after: dt.date | None = None

    within_days: int | None = Field(
        default=None, ge=0, le=36500, description="Of events, purchases and consents: how far back"
    )
    with_: dict[str, Scalar | tuple[Scalar, ...] | None] | None = Field(
        default=None, alias="with", description="Of events: columns or properties and the value(s) they have"
    )
    measure: Literal["orders", "units", "days", "amount_net"] | None = Field(
        default=None, description="Of purchases: what is counted (orders by default)"
    )

    @field_validator("in_", "not_in", mode="before")
    @classmethod
    def _not_too_many(cls, value: Any) -> Any:
        _refuse_too_many(value)
        if value is not None and not isinstance(value, list | tuple):
            raise ValueError("expects a list of values, such as [a, b]")
        if value is not None and not all(isinstance(one, Scalar) for one in value):
            raise ValueError("expects a list of plain values: texts, numbers or dates")
        return value

    @field_validator("equals", "not_equals", mode="before")
    @classmethod
    def _is_scalar(cls, value: Any) -> Any:
        if value is not None and not isinstance(value, Scalar):
            raise ValueError("expects one value; for several, use in: [a, b]")
        return value

    @field_validator("at_least", "at_most", "more_than", "less_than", mode="before")
    @classmethod
    def _is_number(cls, value: Any) -> Any:
        if isinstance(value, int | float):
            _refuse_no_number(value)
        if isinstance(value, bool) or not isinstance(value, int | float | dict | FieldReference | None):
            raise ValueError(
                f"expects a number or {{field: name, times: factor}}, not {value!r}; "
                "dates take before, after or between"
            )
        return value

    @field_validator("reachable", "performed", "has_tag", "interest", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any, info: ValidationInfo) -> Any:
        values = value if isinstance(value, list | tuple) else [value]
        _refuse_too_many(values)
        if value is not None and (not values or not all(isinstance(one, str) and one for one in values)):
            raise ValueError("expects a text, or a list of texts")
        if info.field_name == "reachable":
            unknown = [one for one in values if one is not None and one not in CHANNELS]
            if unknown:
                raise ValueError(f'no channel "{unknown[0]}"{did_you_mean(unknown[0], CHANNELS)}')
        return value

    @field_validator("between", mode="before")
    @classmethod
    def _is_a_pair(cls, value: Any) -> Any:
        if value is not None and (not isinstance(value, list | tuple) or len(value) != 2):
            raise ValueError("expects two values, [lowest, highest]")
        return value

    @field_validator("matches", "contains", "starts_with", mode="before")
    @classmethod
    def _is_a_text(cls, value: Any) -> Any:
        if value is not None and not isinstance(value, str):
            raise ValueError(
                f'expects a text; write "{str(value).lower() if isinstance(value, bool) else value}" in quotes'
            )
        return value

    @field_validator("equals", "not_equals", "in_", "not_in", "between")
    @classmethod
    def _are_numbers(cls, value: Any) -> Any:
        for one in value if isinstance(value, tuple) else (value,):
            _refuse_no_number(one)
        return value

    @field_validator("with_", mode="before")
    @classmethod
    def _with_not_too_many(cls, value: Any) -> Any:
        for one in value.values() if isinstance(value, dict) else ():
            _refuse_too_many(one)
        return value

    @field_validator("matches")
    @classmethod
    def _is_re2(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                pc.match_substring_regex(pa.array([""]), value)  # Arrow uses RE2, as DuckDB does
            except pa.ArrowInvalid as error:
                reason = str(error).split("\n")[0].removeprefix("Invalid regular expression: ")
                raise ValueError(f"{value!r} is no RE2 regular expression: {reason}") from None
        return value

    @model_validator(mode="after")
    def _is_one_thing(self) -> Condition:
        given = [name for key, name in _SUBJECTS.items() if getattr(self, key) is not None]
        if not given:
            raise ValueError(f"a condition needs one of: {', '.join(_SUBJECTS.values())}")
        if len(given) > 1:
            raise ValueError(
                f"a condition is about one thing, not {len(given)} ({', '.join(given)}); join them with all or any"
            )
        subject, operators = given[0], self.operators()
        for key in ("equals", "not_equals"):
            if key in self.model_fields_set and getattr(self, key) is None:
                raise ValueError(f'"{key}: null" has no meaning; use exists: false (or true)')
        if subject in ("all", "any") and not getattr(self, subject):
            raise ValueError(f'"{subject}" is empty, so it would say nothing; give it at least one condition')
        if subject in ("field", "custom"):
            if not operators:
                raise ValueError(
                    f'"{self.field or self.custom}" is asked nothing; add an operator such as equals or exists'
                )
            if len(operators) > 1:
                raise ValueError(
                    f"one operator a condition, not {len(operators)} ({', '.join(operators)}); join them with all"
                )
        elif subject in ("performed", "bought"):
            wrong = [name for name in operators if name not in _COUNTED]
            if wrong:
                raise ValueError(f'"{subject}" is counted with {", ".join(_COUNTED)}, not with "{wrong[0]}"')
            if len(operators) > 1:
                raise ValueError(
                    f"one operator a condition, not {len(operators)} ({', '.join(operators)}); join them with all"
                )
        elif operators:
            raise ValueError(f'"{subject}" takes no "{next(iter(operators))}"')
        if self.within_days is not None and subject not in ("performed", "bought", "consent"):
            raise ValueError(
                f'"within_days" goes with performed, bought and consent, not with "{subject}"; dates take within_last_days'
            )
        if self.with_ is not None and subject != "performed":
            raise ValueError(f'"with" goes with performed, not with "{subject}"')
        if self.measure is not None and subject != "bought":
            raise ValueError(f'"measure" goes with bought, not with "{subject}"')
        return self

    @property
    def subject(self) -> str:
        """Which of all, any, not, field, performed, ... this condition is."""
        return next(name for key, name in _SUBJECTS.items() if getattr(self, key) is not None)

    def operators(self) -> dict[str, Any]:
        """The operators given, each with its value."""
        return {name: getattr(self, key) for key, name in _OPERATORS.items() if getattr(self, key) is not None}

    def operator(self) -> tuple[str, Any]:
        """The one operator; of events and purchases, once at least unless said otherwise."""
        return next(iter(self.operators().items()), ("at_least", 1))

    def children(self) -> tuple[Condition, ...]:
        """The conditions directly inside this one."""
        return self.all or self.any or ((self.not_,) if self.not_ else ())

    def walk(self) -> Iterator[Condition]:
        """This condition and all those inside it."""
        yield self
        for child in self.children():
            yield from child.walk()


Condition.model_rebuild()


class Label(Declaration):
    """What marketers read, in both languages."""

    en: str
    fr: str


class Segment(Declaration):
    """One segment: who is in it, why it exists, and what size it should have."""

    segment: str = Field(pattern=_NAME, description="Name; that of the file")
    label: Label
    objective: str = Field(min_length=1, description="What the segment is used for")
    where: Condition
    owner: str | None = Field(default=None, description="team:x or an e-mail address")
    version: int = Field(default=1, ge=1, description="Raised by hand when the meaning changes")
    tags: tuple[str, ...] = ()
    priority: int = Field(default=100, ge=1, description="1 comes first; decides within an exclusive group")
    exclusive_group: str | None = Field(
        default=None, pattern=_NAME, description="A customer is in one segment of the group only: the first by priority"
    )
    control_group: float | None = Field(
        default=None, gt=0, le=0.5, description="Share of members, drawn once for ever, who are left out of activation"
    )
    expected_rate: tuple[float, float] | None = Field(
        default=None, description="Lowest and highest expected share of customers; outside it, a warning"
    )
    include_suppressed: bool = Field(default=False, description="Also customers who objected or are suppressed")

    @field_validator("expected_rate")
    @classmethod
    def _is_a_range(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and not 0 <= value[0] <= value[1] <= 1:
            raise ValueError("expected_rate should be [lowest, highest], shares between 0 and 1")
        return value

    def own_hash(self) -> str:
        """Changes when what this file says of who is in the segment changes; see `SegmentSet.rule_hash`."""
        rule = self.model_dump(
            mode="json", by_alias=True, exclude_none=True,
            include={"where", "priority", "exclusive_group", "control_group", "include_suppressed", "segment"},
        )  # fmt: skip
        return hashlib.sha256(json.dumps(rule, sort_keys=True).encode()).hexdigest()


# ---------------------------------------------------------------------------------------------------
# The fields a rule can name


@dataclass(frozen=True)
class FieldCatalogue:
    """The columns of `marts.customer_360` and their types; of some, all the values that there are."""

    fields: Mapping[str, FieldType]
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def type_of(self, name: str) -> FieldType | None:
        return self.fields.get(name)


_TEXTS = ("tags", "interests")
_OBJECTS = ("custom",)


def field_type(name: str, data_type: str) -> FieldType:
    """The type of a column in rules, from its SQL type. JSON columns are told by name."""
    if name in _TEXTS:
        return "texts"
    if name in _OBJECTS:
        return "object"
    kind = data_type.strip().lower().split("(")[0]
    if kind in ("tinyint", "smallint", "integer", "int", "bigint", "hugeint"):
        return "integer"
    if kind in ("decimal", "numeric", "double", "float", "real"):
        return "number"
    if kind == "date":
        return "date"
    if kind.startswith("timestamp"):
        return "timestamp"
    if kind in ("boolean", "bool"):
        return "boolean"
    return "text"


def read_catalogue(contract: Path, model: str = "customer_360") -> FieldCatalogue:
    """The catalogue from the dbt contract of the marts (a YAML file: no database is opened)."""
    try:
        told = yaml.safe_load(contract.read_text(encoding="utf-8"))
    except OSError as error:
        raise DeclarationError(
            f"{contract}:1: the columns of marts.{model} cannot be read ({error.strerror})"
        ) from None
    for candidate in told.get("models", ()):
        if candidate.get("name") == model:
            columns = {
                column["name"]: field_type(column["name"], str(column["data_type"])) for column in candidate["columns"]
            }
            return FieldCatalogue(columns)
    raise DeclarationError(f'{contract}:1: no model "{model}" in this file')


# ---------------------------------------------------------------------------------------------------
# All segments of a workspace, checked together


@dataclass(frozen=True)
class SegmentSet:
    """Every segment of a workspace, and where its static lists are."""

    segments: tuple[Segment, ...]
    lists: Mapping[str, Path] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Segment]:
        return iter(self.segments)

    def __len__(self) -> int:
        return len(self.segments)

    @property
    def by_name(self) -> dict[str, Segment]:
        return {segment.segment: segment for segment in self.segments}

    def dependencies(self, segment: Segment) -> tuple[str, ...]:
        """The segments to know before this one: those it names, and those before it in its exclusive group."""
        named = {condition.member_of for condition in segment.where.walk() if condition.member_of}
        if segment.exclusive_group:
            named |= {
                other.segment
                for other in self.segments
                if other.exclusive_group == segment.exclusive_group and other.priority < segment.priority
            }
        return tuple(sorted(named))

    def ordered(self, only: set[str] | None = None) -> tuple[Segment, ...]:
        """`only` (all by default) and what they depend on, each after its dependencies."""
        known, done, result = self.by_name, set[str](), list[Segment]()

        def visit(name: str, path: tuple[str, ...]) -> None:
            if name in path:
                raise DeclarationError(
                    f"segments depend on each other: {' -> '.join((*path[path.index(name) :], name))}"
                )
            if name in done:
                return
            for dependency in self.dependencies(known[name]):
                visit(dependency, (*path, name))
            done.add(name)
            result.append(known[name])

        for name in sorted(known if only is None else only):
            visit(name, ())
        return tuple(result)

    def rule_hash(self, name: str) -> str:
        """16 hex digits that change when who is in the segment could change, by its own rule or another's."""
        parts = [segment.own_hash() for segment in self.ordered({name})]
        return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()[:16]

    def replacing(self, segment: Segment) -> SegmentSet:
        """The same set with one segment added or changed."""
        others = tuple(other for other in self.segments if other.segment != segment.segment)
        return SegmentSet((*others, segment), self.lists)


#: Columns by which a static list can name customers.
LIST_KEYS = ("customer_id", "email", "phone", "card", "account")


def load_segments(folder: Path, catalogue: FieldCatalogue, root: Path | None = None) -> SegmentSet:
    """Read and check all `folder`/*.yml. Raises one DeclarationError with every problem of every file."""
    problems: list[str] = []
    read: list[tuple[Segment, Any]] = []
    lists = {path.stem: path for path in sorted((folder / "lists").glob("*.csv"))}
    for path in sorted(folder.glob("*.yml")):
        try:
            document = read_document(path, root)
            segment = validate(document, Segment)
        except DeclarationError as error:
            problems += str(error).split("\n")
            continue
        read.append((segment, document))
        if segment.segment != path.stem:
            problems.append(
                str(document.problem(("segment",), f'"{segment.segment}" should be named as its file, "{path.stem}"'))
            )
    names = {segment.segment for segment, _ in read}
    for segment, document in read:
        for location, message in check_condition(segment.where, catalogue, names, lists, ("where",)):
            problems.append(str(document.problem(location, message)))
        for other, _ in read:
            if (
                other is not segment
                and segment.exclusive_group
                and ((other.exclusive_group, other.priority) == (segment.exclusive_group, segment.priority))
            ):
                message = (
                    f'priority {segment.priority} is also that of "{other.segment}" in group '
                    f'"{segment.exclusive_group}"; make them differ'
                )
                problems.append(str(document.problem(("priority",), message)))
    problems += [str(problem) for path in lists.values() for problem in _check_list(path, root)]
    found = SegmentSet(tuple(segment for segment, _ in read), lists)
    if not problems:
        for segment, document in read:
            cycle = _cycle_through(found, segment.segment)
            if cycle:
                problems.append(
                    str(document.problem(("where",), f"segments depend on each other: {' -> '.join(cycle)}"))
                )
    if problems:
        raise DeclarationError("\n".join(sorted(set(problems))))
    return found


def read_segment(path: Path, catalogue: FieldCatalogue, others: SegmentSet, root: Path | None = None) -> Segment:
    """Read and check one segment against a set that may hold an older form of it."""
    document = read_document(path, root)
    segment = validate(document, Segment)
    together = others.replacing(segment)
    found = [
        document.problem(location, message)
        for location, message in check_condition(
            segment.where, catalogue, set(together.by_name), together.lists, ("where",)
        )
    ]
    cycle = _cycle_through(together, segment.segment) if not found else None
    if cycle:
        found.append(document.problem(("where",), f"segments depend on each other: {' -> '.join(cycle)}"))
    raise_problems(found)
    return segment


def _cycle_through(segments: SegmentSet, name: str) -> list[str] | None:
    known = segments.by_name
    stack: list[tuple[str, list[str]]] = [(name, [name])]
    seen: set[str] = set()
    while stack:
        here, path = stack.pop()
        for following in segments.dependencies(known[here]):
            if following == name:
                return [*path, name]
            if following not in seen:
                seen.add(following)
                stack.append((following, [*path, following]))
    return None


def _check_list(path: Path, root: Path | None) -> Iterator[Problem]:
    name = str(path.relative_to(root)) if root and path.is_relative_to(root) else str(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            header = next(csv.reader(handle), [])
    except (OSError, UnicodeDecodeError) as error:
        yield Problem(name, 1, f"this list cannot be read as UTF-8 CSV ({type(error).__name__})")
        return
    if not set(header) & set(LIST_KEYS):
        yield Problem(name, 1, f"a list needs a column named one of: {', '.join(LIST_KEYS)}")


# ---------------------------------------------------------------------------------------------------
# Checks of one condition


def check_condition(
    condition: Condition,
    catalogue: FieldCatalogue,
    segments: set[str],
    lists: Mapping[str, Path],
    location: Location,
) -> Iterator[tuple[Location, str]]:
    """Every problem of a condition that needs no data: where it is, and what is wrong."""
    for key in ("all", "any"):
        for index, child in enumerate(getattr(condition, key) or ()):
            yield from check_condition(child, catalogue, segments, lists, (*location, key, index))
    if condition.not_ is not None:
        yield from check_condition(condition.not_, catalogue, segments, lists, (*location, "not"))
    if condition.field is not None:
        kind = catalogue.type_of(condition.field)
        if kind is None:
            yield (
                (*location, "field"),
                f'no field "{condition.field}" in customer_360{did_you_mean(condition.field, catalogue.fields)}',
            )
        else:
            yield from _check_operators(condition, condition.field, kind, catalogue, location)
    if condition.custom is not None:
        yield from _check_custom(condition, location)
    for event in _several(condition.performed):
        if event not in EVENT_TYPES and not event.startswith("custom_"):
            yield (*location, "performed"), f'no event "{event}"{did_you_mean(event, EVENT_TYPES)}'
    if condition.performed is not None or condition.bought is not None:
        yield from _check_operators(condition, "the count", "number", catalogue, location)
    if condition.member_of is not None and condition.member_of not in segments:
        yield (
            (*location, "member_of"),
            f'no segment "{condition.member_of}"{did_you_mean(condition.member_of, segments)}',
        )
    if condition.in_list is not None and condition.in_list not in lists:
        yield (
            (*location, "in_list"),
            f'no list "{condition.in_list}" (segments/lists/{condition.in_list}.csv)'
            f"{did_you_mean(condition.in_list, lists)}",
        )


def _several(value: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return () if value is None else (value,) if isinstance(value, str) else value


def _check_operators(
    condition: Condition, name: str, kind: FieldType, catalogue: FieldCatalogue, location: Location
) -> Iterator[tuple[Location, str]]:
    for operator, value in condition.operators().items():
        here = (*location, operator)
        if operator not in OPERATORS_OF[kind]:
            yield here, f'"{operator}" does not apply to {name} ({kind}); known: {", ".join(OPERATORS_OF[kind])}'
            continue
        if isinstance(value, FieldReference):
            other = catalogue.type_of(value.field)
            if other is None:
                yield here, f'no field "{value.field}" in customer_360{did_you_mean(value.field, catalogue.fields)}'
            elif other not in ("integer", "number"):
                yield here, f'"{value.field}" is a {other}, not a number to compare with'
            continue
        if operator in ("exists", "matches", "contains", "starts_with", "before", "after") or operator.endswith(
            "_days"
        ):
            if value == "":
                yield here, "an empty text holds for everyone; remove this condition"
            continue
        for one in value if isinstance(value, tuple) else (value,):
            problem = _wrong_type(name, kind, one) or unknown_value(name, one, catalogue)
            if problem:
                yield here, problem
                break
        else:
            if operator == "between" and value[0] > value[1]:
                yield here, f"no value lies between {value[0]} and {value[1]}; turn them round"
            if isinstance(value, tuple) and not value:
                yield here, "an empty list holds for nobody"


def unknown_value(name: str, value: Scalar, catalogue: FieldCatalogue) -> str | None:
    """What is wrong with `value` where all values of the field are known: a misspelt stage would hold for nobody."""
    known = catalogue.values.get(name)
    if known is None or value in known:
        return None
    return f'no {name} "{value}"{did_you_mean(str(value), known)}'


def _wrong_type(name: str, kind: FieldType, value: Scalar) -> str | None:
    if kind in ("integer", "number"):
        right = isinstance(value, int | float) and not isinstance(value, bool)
        return None if right else f"{name} is a number, {value!r} is not"
    if kind in ("date", "timestamp"):
        return None if isinstance(value, dt.date) else f"{name} is a date; write it as 2026-01-31"
    if kind == "boolean":
        return None if isinstance(value, bool) else f"{name} is true or false, not {value!r}"
    if isinstance(value, str):
        return None
    shown = str(value).lower() if isinstance(value, bool) else value
    return f'{name} is a text; write "{shown}" in quotes'


def _check_custom(condition: Condition, location: Location) -> Iterator[tuple[Location, str]]:
    if (condition.custom and not condition.custom.isprintable()) or set(condition.custom or "") & set("\"\\'"):
        yield (*location, "custom"), "the name of a custom attribute holds no quote and no backslash"
    for operator, value in condition.operators().items():
        if operator in ("within_next_days", "anniversary_within_days") or isinstance(value, FieldReference):
            yield (*location, operator), f'"{operator}" as written does not apply to a custom attribute'
        if isinstance(value, tuple) and (not value or len({_family(one) for one in value}) > 1):
            yield (*location, operator), "values should all be texts, all numbers or all dates"
        if operator == "between" and _family(value[0]) == _family(value[1]) and value[0] > value[1]:
            yield (*location, operator), f"no value lies between {value[0]} and {value[1]}; turn them round"


def _family(value: Scalar) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "date" if isinstance(value, dt.date) else "text"

"""`triggers/*.yml`: what happens to one customer that calls for one message, once.

What belongs here: what starts a trigger, for whom, how soon, and what holds it back; `triggers/_limits.yml`,
which holds for all triggers together. What does not: how occurrences are found and counted
(`orchestration.segments.triggers`), and the message itself.
"""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from orchestration.contracts.loader import Declaration, Location, did_you_mean, read_document, validate
from orchestration.contracts.segment import (
    EVENT_TYPES,
    Bought,
    Channel,
    Condition,
    FieldCatalogue,
    Label,
    Scalar,
    SegmentSet,
    check_condition,
    unknown_value,
)
from orchestration.errors import DeclarationError

_NAME = r"^[a-z][a-z0-9_]{0,62}$"
_CLOCK = re.compile(r"^([01]\d|2[0-3]):[0-5]\d$")
WEEK_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
WeekDay = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]

LIMITS_FILE = "_limits.yml"


class Cap(Declaration):
    """At most `times` messages a customer in any `within_days` days."""

    times: int = Field(ge=1)
    within_days: int = Field(ge=1, le=3650)


class Event(Declaration):
    """Something the customer did: an event type, with the properties it must have."""

    type: str
    with_: dict[str, Scalar | tuple[Scalar, ...]] | None = Field(default=None, alias="with")


class Order(Declaration):
    """A purchase: every one, or only the first, the second, ..."""

    number: int | None = Field(default=None, ge=1, description="1: the first purchase; absent: every purchase")


class Anniversary(Declaration):
    """A day and month that come round every year, from the first year on."""

    of: str = Field(description="A date of customer_360: birth_on, first_order_on, ...")


class StageChange(Declaration):
    """A change of lifecycle stage."""

    to: tuple[str, ...] = Field(min_length=1)
    from_: tuple[str, ...] | None = Field(default=None, alias="from")


class Replenishment(Declaration):
    """The usual time after which what was bought is bought again.

    Without `every_days` the interval is the median between two purchases of the same `by`, over all
    customers, where at least `minimum_repeats` such pairs are known.
    """

    of: Bought = Field(default_factory=Bought)
    by: Literal["product", "subcategory", "category", "brand"] = "product"
    every_days: int | None = Field(default=None, ge=1)
    minimum_repeats: int = Field(default=20, ge=2)


class ProductChange(Declaration):
    """A product the customer looked at got cheaper or is back: for those who did one of `seen_in` with it."""

    price_drop: float | None = Field(default=None, gt=0, lt=1, description="Smallest share by which the price fell")
    back_in_stock: str | None = Field(default=None, description="Custom attribute of products that holds the stock")
    seen_in: tuple[str, ...] = Field(default=("page_view", "cart"), min_length=1)
    within_days: int = Field(default=60, ge=1)

    @model_validator(mode="after")
    def _is_one_change(self) -> ProductChange:
        if (self.price_drop is None) == (self.back_in_stock is None):
            raise ValueError("say one of price_drop and back_in_stock")
        return self


class ConsentAge(Declaration):
    """A consent that is as many days old: time to ask again before it runs out."""

    channel: Channel
    days: int = Field(ge=1)
    status: Literal["granted", "pending"] = "granted"


class Start(Declaration):
    """What starts a trigger: exactly one of these."""

    event: Event | None = None
    order: Order | None = None
    anniversary: Anniversary | None = None
    entered_segment: str | None = None
    left_segment: str | None = None
    stage: StageChange | None = None
    replenishment: Replenishment | None = None
    product: ProductChange | None = None
    consent: ConsentAge | None = None

    @field_validator("event", mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"type": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _is_one_thing(self) -> Start:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            said = f", not {len(given)} ({', '.join(given)})" if given else ""
            raise ValueError(f"a trigger starts from one of {', '.join(type(self).model_fields)}{said}")
        return self

    @property
    def kind(self) -> str:
        return next(name for name in type(self).model_fields if getattr(self, name) is not None)


class Trigger(Declaration):
    """One trigger."""

    trigger: str = Field(pattern=_NAME, description="Name; that of the file")
    label: Label
    objective: str = Field(min_length=1)
    start: Start = Field(alias="on")
    after_days: int = Field(default=0, ge=0, le=3650, description="Days to wait after the start")
    before_days: int = Field(default=0, ge=0, le=365, description="Of anniversaries: days ahead of the day")
    where: Condition | None = Field(default=None, description="What the customer must be, when the message is due")
    unless_since: tuple[str, ...] = Field(
        default=(), description="Not if the customer did one of these after the start: order, or event types"
    )
    channels: tuple[Channel, ...] = Field(min_length=1, description="The first on which the customer may be contacted")
    priority: int = Field(default=100, ge=1, description="1 comes first where limits allow one message only")
    caps: tuple[Cap, ...] = Field(default=(), description="For this trigger alone, beside the common limits")
    ignores_limits: bool = Field(default=False, description="Service messages: common limits and holdout do not apply")
    holdout: float = Field(default=0.0, ge=0, le=0.5, description="Share of customers who never get it, drawn once")
    expires_after_days: int = Field(default=3, ge=0, le=365, description="Later than this after the due day, never")
    starts_on: dt.date | None = Field(default=None, description="What began before this day is left alone")
    owner: str | None = None
    tags: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _days_fit(self) -> Trigger:
        if self.before_days and self.start.kind != "anniversary":
            raise ValueError("before_days goes with an anniversary; other triggers wait with after_days")
        return self


class QuietHours(Declaration):
    """No message between these times of day, in the company's time zone."""

    start: str = Field(default="20:00", alias="from")
    to: str = "09:00"

    @field_validator("start", "to")
    @classmethod
    def _is_a_time(cls, value: str) -> str:
        if not _CLOCK.match(value):
            raise ValueError(f'"{value}" is no time of day; write it as "20:00"')
        return value

    @model_validator(mode="after")
    def _leaves_some_day(self) -> QuietHours:
        if self.start == self.to:
            raise ValueError("these quiet hours are the whole day")
        return self


@dataclass(frozen=True)
class SendingWindow:
    """The day on which messages may leave, and its first and last instant (UTC)."""

    day: dt.date
    begin: dt.datetime
    end: dt.datetime


class Limits(Declaration):
    """What holds for all triggers together."""

    caps: tuple[Cap, ...] = (Cap(times=1, within_days=1),)
    quiet_hours: QuietHours | None = None
    quiet_week_days: tuple[WeekDay, ...] = ()
    quiet_dates: tuple[dt.date, ...] = ()
    holdout: float = Field(default=0.0, ge=0, le=0.5, description="Share of customers who get no trigger at all")

    @model_validator(mode="after")
    def _leaves_some_day(self) -> Limits:
        if len(set(self.quiet_week_days)) == len(WEEK_DAYS):
            raise ValueError("every day of the week is quiet: nothing could ever be sent")
        return self

    def window(self, day: dt.date, time_zone: str) -> SendingWindow:
        """When messages may leave: on the first day from `day` on that is not quiet, outside quiet hours.

        With hours that cross midnight (20:00 to 09:00) from 09:00 to 20:00 of that day; with hours inside a day
        (12:00 to 14:00) from when they end, so that there is one window a day.
        """
        zone = zoneinfo.ZoneInfo(time_zone)
        while WEEK_DAYS[day.weekday()] in self.quiet_week_days or day in self.quiet_dates:
            day += dt.timedelta(days=1)
        begin = dt.datetime.combine(day, dt.time(), zone)
        end = dt.datetime.combine(day + dt.timedelta(days=1), dt.time(), zone)
        if self.quiet_hours:
            begin = dt.datetime.combine(day, dt.time.fromisoformat(self.quiet_hours.to), zone)
            if self.quiet_hours.start > self.quiet_hours.to:
                end = dt.datetime.combine(day, dt.time.fromisoformat(self.quiet_hours.start), zone)
        return SendingWindow(day, begin.astimezone(dt.UTC), end.astimezone(dt.UTC))

    def open_window(self, now: dt.datetime, time_zone: str) -> SendingWindow:
        """The first window that is not over by `now`."""
        today = now.astimezone(zoneinfo.ZoneInfo(time_zone)).date()
        window = self.window(today, time_zone)
        return window if window.end > now else self.window(today + dt.timedelta(days=1), time_zone)


@dataclass(frozen=True)
class TriggerSet:
    """Every trigger of a workspace and the limits they share."""

    triggers: tuple[Trigger, ...]
    limits: Limits = field(default_factory=Limits)

    def __iter__(self) -> Iterator[Trigger]:
        return iter(self.triggers)

    def __len__(self) -> int:
        return len(self.triggers)

    @property
    def by_name(self) -> Mapping[str, Trigger]:
        return {trigger.trigger: trigger for trigger in self.triggers}


def load_triggers(
    folder: Path, catalogue: FieldCatalogue, segments: SegmentSet, root: Path | None = None
) -> TriggerSet:
    """Read and check all `folder`/*.yml. Raises one DeclarationError with every problem of every file."""
    problems: list[str] = []
    found: list[Trigger] = []
    limits = Limits()
    for path in sorted(folder.glob("*.yml")):
        try:
            document = read_document(path, root)
            if path.name == LIMITS_FILE:
                limits = validate(document, Limits)
                continue
            trigger = validate(document, Trigger)
        except DeclarationError as error:
            problems += str(error).split("\n")
            continue
        found.append(trigger)
        if trigger.trigger != path.stem:
            message = f'"{trigger.trigger}" should be named as its file, "{path.stem}"'
            problems.append(str(document.problem(("trigger",), message)))
        for location, message in _check(trigger, catalogue, segments):
            problems.append(str(document.problem(location, message)))
    if problems:
        raise DeclarationError("\n".join(sorted(set(problems))))
    return TriggerSet(tuple(found), limits)


def _check(trigger: Trigger, catalogue: FieldCatalogue, segments: SegmentSet) -> Iterator[tuple[Location, str]]:
    names = set(segments.by_name)
    start = trigger.start
    if start.event is not None:
        yield from _unknown_events((start.event.type,), ("on", "event"))
    if start.product is not None:
        yield from _unknown_events(start.product.seen_in, ("on", "product", "seen_in"))
    yield from _unknown_events(tuple(one for one in trigger.unless_since if one != "order"), ("unless_since",))
    for key in ("entered_segment", "left_segment"):
        segment = getattr(start, key)
        if segment is not None and segment not in names:
            yield ("on", key), f'no segment "{segment}"{did_you_mean(segment, names)}'
    if start.anniversary is not None:
        name = start.anniversary.of
        dates = [one for one, kind in catalogue.fields.items() if kind == "date"]
        if catalogue.type_of(name) != "date":
            yield ("on", "anniversary"), f'"{name}" is no date of customer_360{did_you_mean(name, dates)}'
    if start.stage is not None:
        for key, stages in (("to", start.stage.to), ("from", start.stage.from_ or ())):
            for index, stage in enumerate(stages):
                problem = unknown_value("lifecycle_stage", stage, catalogue)
                if problem:
                    yield ("on", "stage", key, index), problem
    if trigger.where is not None:
        yield from check_condition(trigger.where, catalogue, names, segments.lists, ("where",))


def _unknown_events(types: tuple[str, ...], location: Location) -> Iterator[tuple[Location, str]]:
    for kind in types:
        if kind not in EVENT_TYPES and not kind.startswith("custom_"):
            yield location, f'no event "{kind}"{did_you_mean(kind, EVENT_TYPES)}'

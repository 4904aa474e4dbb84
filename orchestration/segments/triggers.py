"""Triggers: find what happened, decide who gets a message, and never decide it twice.

What belongs here: occurrences of each kind of start, the controls (reach, holdout, caps, priority, quiet
hours, expiry), `segments.trigger_events` and the registry table `trigger_firings`. What does not: what a
trigger may say (`orchestration.contracts.trigger`), and sending. Reach is marketing reach, for service
messages too: `customer_360` knows no other.

Once for ever. An occurrence has a subject: the event, the order, the day of an entry, the year of a
birthday. A subject that fired, or was held out, is in the registry and never fires again: not in a second
run of the date, not in a backfill (which fires nothing at all), not when its customer merges with another
or an event moves to another customer. What a cap or a missing consent held back is tried again by later
runs until it expires. Rows are staged, so a firing counts when, and only when, the run's publication does.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass

from orchestration import registry
from orchestration.contracts.segment import Condition, FieldCatalogue, Label, Segment, SegmentSet
from orchestration.contracts.trigger import Limits, Trigger, TriggerSet
from orchestration.registry import RegistryTable
from orchestration.segments.compiler import compile_segments, in_share, member_column
from orchestration.segments.dialect import DUCKDB
from orchestration.segments.evaluation import evaluate
from orchestration.segments.materialise import (
    SEGMENT_CHANGES,
    catalogue_of,
    company_time_zone,
    has_table,
    load_lists,
)
from orchestration.settings import Workspace
from orchestration.warehouse import Connection, literal

TRIGGER_FIRINGS = RegistryTable(
    "trigger_firings",
    {
        "event_key": "varchar",  # idempotency key of the message
        "trigger": "varchar",
        "customer_id": "varchar",
        "subject": "varchar",
        "outcome": "varchar",  # fired or held_out
        "happened_on": "date",
        "due_on": "date",
        "expires_on": "date",
        "channel": "varchar",
        "send_from_at": "timestamp",
        "send_until_at": "timestamp",
        "priority": "integer",
        "ignores_limits": "boolean",
        "why": "varchar",
    },
)

#: Kinds whose subject names one thing in the world, whoever it is attached to.
_GLOBAL_SUBJECTS = frozenset({"event", "order"})

OUTCOMES = ("fired", "held_out", "capped", "unreachable", "expired")

#: Outcomes that the registry keeps; the others are decided anew by each run.
_STAGED = "(outcome in ('fired', 'held_out'))"

_LISTS = "temp.trigger_lists__"


@dataclass(frozen=True)
class TriggerCount:
    """What a run decided for one trigger: counts of occurrences."""

    trigger: str
    fired: int
    held_out: int
    capped: int
    unreachable: int
    expired: int


@dataclass(frozen=True)
class TriggersReport:
    """What a run's triggers came to: counts only."""

    as_of_on: dt.date
    triggers: tuple[TriggerCount, ...]
    staged_firings: int

    @property
    def fired(self) -> int:
        return sum(one.fired for one in self.triggers)

    def of_trigger(self, trigger: str) -> TriggerCount:
        return next(one for one in self.triggers if one.trigger == trigger)


def fire(
    connection: Connection,
    workspace: Workspace,
    triggers: TriggerSet,
    definitions: SegmentSet,
    *,
    as_of_on: dt.date,
    version: str,
    run_id: str,
    is_forward: bool,
) -> TriggersReport:
    """Write `segments.trigger_events`: firings up to this date, and what this run decided.

    Runs after `materialise` of the same run. A backfill fires nothing and stages nothing: its table shows the
    firings that the registry knows, and, worked out again, what was held back on its date.
    """
    known_until_on = as_of_on if is_forward else as_of_on - dt.timedelta(days=1)
    columns = ", ".join(TRIGGER_FIRINGS.columns)
    connection.execute("create schema if not exists segments")
    connection.execute(
        "create or replace table segments.trigger_events as "
        f"select {columns}, as_of_on as decided_on, version "
        f"from ({registry.rows(workspace, TRIGGER_FIRINGS, as_of_on=as_of_on)})"
    )
    past = registry.rows(workspace, TRIGGER_FIRINGS, as_of_on=known_until_on)
    _decide(connection, workspace, triggers, definitions, as_of_on, version, past)
    connection.execute(
        f"insert into segments.trigger_events ({columns}, decided_on, version) "
        f"select {columns}, date '{as_of_on}', {literal(version)} from temp.decided__ "
        f"where {'true' if is_forward else 'not ' + _STAGED} "
        "order by trigger, customer_id, subject"
    )
    staged = 0
    if is_forward:
        staged = registry.stage(
            workspace,
            TRIGGER_FIRINGS,
            connection,
            f"select {columns} from temp.decided__ where {_STAGED}",
            as_of_on=as_of_on,
            version=version,
            run_id=run_id,
        )
    counts = {
        (name, outcome): count
        for name, outcome, count in connection.execute(
            "select trigger, outcome, count(*) from segments.trigger_events where version = ? "
            "group by trigger, outcome",
            [version],
        ).fetchall()
    }
    connection.execute("drop table if exists temp.decided__")
    told = tuple(
        TriggerCount(name, *(counts.get((name, outcome), 0) for outcome in OUTCOMES))
        for name in sorted(triggers.by_name)
    )
    return TriggersReport(as_of_on, told, staged)


# ---------------------------------------------------------------------------------------------------
# Decisions


def _decide(
    connection: Connection, workspace: Workspace, triggers: TriggerSet, definitions: SegmentSet,
    as_of_on: dt.date, version: str, past: str,
) -> None:  # fmt: skip
    """temp.decided__: one row per new occurrence that is due, with its outcome."""
    time_zone = company_time_zone(connection)
    _evaluate_customers(connection, triggers, definitions, as_of_on, time_zone)
    finder = Finder(connection, workspace, as_of_on, time_zone)
    selects = [_occurrences(finder, trigger, triggers.limits) for trigger in triggers]
    found = " union all ".join(selects) or _NOTHING
    window = triggers.limits.window(as_of_on, time_zone)
    merged = _current_ids(connection)
    # Known already: by the subject alone where it names one thing in the world, by customer and subject, and,
    # for events, by customer and day, so that a second cart of the same day is the same occasion.
    connection.execute(
        f"""
        create or replace temp table due__ as
        with past as (
            select distinct
                firings.trigger,
                firings.subject,
                firings.happened_on,
                coalesce(ids.current_customer_id, firings.customer_id) as customer_id
            from ({past}) as firings
            left join ({merged}) as ids on ids.customer_id = firings.customer_id
        ),
        found as ({found})
        select found.*
        from found
        where not exists (
                select 1 from past
                where found.is_global and past.trigger = found.trigger and past.subject = found.subject
            )
            and not exists (
                select 1 from past
                where past.trigger = found.trigger and past.subject = found.subject
                    and past.customer_id = found.customer_id
            )
            and not exists (
                select 1 from past
                where found.is_daily and past.trigger = found.trigger and past.customer_id = found.customer_id
                    and past.happened_on = found.happened_on
            )
        qualify row_number() over (
            partition by found.trigger, found.customer_id, found.subject order by found.happened_on desc, found.why
        ) = 1
        """
    )
    caps = _caps_left(triggers, past, merged, as_of_on)
    connection.execute(
        f"""
        create or replace temp table decided__ as
        with judged as (
            select
                *,
                case
                    when expires_on < date '{window.day}' then 'expired'
                    when is_held_out then 'held_out'
                    when channel is null then 'unreachable'
                    else 'open'
                end as state
            from temp.due__
        ),
        own as (
            select
                *,
                row_number() over (
                    partition by trigger, customer_id, state order by happened_on desc, subject
                ) as own_rank
            from judged
        ),
        own_left as ({caps.own}),
        allowed as (
            select
                own.*,
                state = 'open'
                and own_rank <= least(coalesce(own_left.times_left, own.own_times), own.own_times) as is_within_own
            from own
            left join own_left on own_left.trigger = own.trigger and own_left.customer_id = own.customer_id
        ),
        ranked as (
            select
                *,
                row_number() over (
                    partition by customer_id, is_within_own and not ignores_limits
                    order by priority, trigger, happened_on desc, subject
                ) as common_rank
            from allowed
        ),
        common_left as ({caps.common})
        select
            ranked.trigger || ':' || substr(md5(
                ranked.subject || case when ranked.is_global then '' else '|' || ranked.customer_id end
            ), 1, 24) as event_key,
            ranked.trigger,
            ranked.customer_id,
            ranked.subject,
            case
                when state <> 'open' then state
                when not is_within_own then 'capped'
                when ignores_limits or common_rank <= least(
                    coalesce(common_left.times_left, {caps.common_times}), {caps.common_times}
                ) then 'fired'
                else 'capped'
            end as outcome,
            ranked.happened_on,
            ranked.due_on,
            ranked.expires_on,
            ranked.channel,
            {_instant(window.begin)} as send_from_at,
            {_instant(window.end)} as send_until_at,
            ranked.priority,
            ranked.ignores_limits,
            ranked.why
        from ranked
        left join common_left on common_left.customer_id = ranked.customer_id
        """
    )
    for table in ("due__", "evaluated", "trigger_lists__"):
        connection.execute(f"drop table if exists temp.{table}")


_NOTHING = (
    "select '' as trigger, '' as customer_id, '' as subject, true as is_global, true as is_daily, "
    "date '2000-01-01' as happened_on, "
    "date '2000-01-01' as due_on, date '2000-01-01' as expires_on, '' as channel, false as is_held_out, 1 as priority, "
    "false as ignores_limits, 0 as own_times, '' as why where false"
)


def _evaluate_customers(
    connection: Connection, triggers: TriggerSet, definitions: SegmentSet, as_of_on: dt.date, time_zone: str
) -> None:
    """temp.evaluated: for each customer who is not suppressed, whether each trigger's `where` holds."""
    anyone = Condition.model_validate({"random_bucket": {"to": 1}})
    asked = [
        Segment(
            segment=_where_name(trigger),
            label=Label(en="-", fr="-"),
            objective="-",
            where=trigger.where or anyone,
        )
        for trigger in triggers
    ]
    together = definitions
    for one in asked:
        together = together.replacing(one)
    load_lists(connection, together, into=_LISTS)
    fields = {f"is_contactable_{channel}" for trigger in triggers for channel in trigger.channels}
    fields |= {trigger.start.anniversary.of for trigger in triggers if trigger.start.anniversary}
    fields |= {"lifecycle_stage", "previous_lifecycle_stage", "lifecycle_since_on"} if any(
        trigger.start.stage for trigger in triggers
    ) else set()  # fmt: skip
    catalogue: FieldCatalogue = catalogue_of(connection)
    compiled = compile_segments(
        together,
        catalogue,
        as_of_on=as_of_on,
        time_zone=time_zone,
        only={one.segment for one in asked},
        keep=tuple(sorted(fields)),
        lists=_LISTS,
        with_draw=True,
    )
    evaluate(connection, compiled)


def _where_name(trigger: Trigger) -> str:
    # A segment's name holds 63 characters at most; a long trigger's name keeps a part and a hash.
    name = f"for__{trigger.trigger}"
    return name if len(name) <= 60 else f"{name[:48]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _occurrences(finder: Finder, trigger: Trigger, limits: Limits) -> str:
    """Due occurrences of one trigger among customers who satisfy it, with all that decides."""
    due = f"happened_on + {trigger.after_days - trigger.before_days}"
    first_due = finder.as_of_on - dt.timedelta(days=trigger.expires_after_days)
    channel = " ".join(
        f"when customers.is_contactable_{channel} then {literal(channel)}" for channel in trigger.channels
    )
    held = [in_share("customers.draw__", f"holdout:{trigger.trigger}", 0, trigger.holdout)] if trigger.holdout else []
    if limits.holdout and not trigger.ignores_limits:
        held.append(in_share("customers.draw__", "holdout", 0, limits.holdout))
    held_out = " or ".join(f"({one})" for one in held) or "false"
    own_times = min((cap.times for cap in trigger.caps), default=2_000_000_000)
    filters = [
        f"customers.{member_column(_where_name(trigger))}",
        f"{due} between date '{first_due}' and date '{finder.as_of_on}'",
    ]
    if trigger.starts_on:
        filters.append(f"happened_on >= date '{trigger.starts_on}'")
    filters += [finder.not_since(what) for what in trigger.unless_since]
    return f"""
        select
            {literal(trigger.trigger)} as trigger,
            occurrences.customer_id,
            occurrences.subject,
            {"true" if trigger.start.kind in _GLOBAL_SUBJECTS else "false"} as is_global,
            {"true" if trigger.start.kind == "event" else "false"} as is_daily,
            occurrences.happened_on,
            {due} as due_on,
            {due} + {trigger.expires_after_days} as expires_on,
            case {channel} end as channel,
            {held_out} as is_held_out,
            {trigger.priority} as priority,
            {"true" if trigger.ignores_limits else "false"} as ignores_limits,
            {own_times} as own_times,
            occurrences.why
        from ({finder.find(trigger)}) as occurrences
        inner join temp.evaluated as customers on customers.customer_id = occurrences.customer_id
        where {" and ".join(filters)}
    """


@dataclass(frozen=True)
class _Caps:
    own: str
    common: str
    common_times: int


def _caps_left(triggers: TriggerSet, past: str, merged: str, as_of_on: dt.date) -> _Caps:
    """How many more messages each customer may get: by trigger, and of all triggers together."""
    fired = (
        "select firings.trigger, coalesce(ids.current_customer_id, firings.customer_id) as customer_id, "
        f"firings.as_of_on, firings.ignores_limits from ({past}) as firings "
        f"left join ({merged}) as ids on ids.customer_id = firings.customer_id "
        "where firings.outcome = 'fired'"
    )

    def left(times: int, within_days: int, where: str, keys: str) -> str:
        since = as_of_on - dt.timedelta(days=within_days)
        return (
            f"select {keys}, {times} - count(*) as times_left from ({fired}) as fired "
            f"where as_of_on > date '{since}' and {where} group by {keys}"
        )

    own = [
        left(cap.times, cap.within_days, f"trigger = {literal(trigger.trigger)}", "trigger, customer_id")
        for trigger in triggers
        for cap in trigger.caps
    ]
    common = [left(cap.times, cap.within_days, "not ignores_limits", "customer_id") for cap in triggers.limits.caps]
    own_union = " union all ".join(own) or "select '' as trigger, '' as customer_id, 0 as times_left where false"
    common_union = " union all ".join(common) or "select '' as customer_id, 0 as times_left where false"
    return _Caps(
        f"select trigger, customer_id, min(times_left) as times_left from ({own_union}) group by trigger, customer_id",
        f"select customer_id, min(times_left) as times_left from ({common_union}) group by customer_id",
        min((cap.times for cap in triggers.limits.caps), default=2_000_000_000),
    )


def _current_ids(connection: Connection) -> str:
    if has_table(connection, "identity", "current_ids"):
        return "select customer_id, current_customer_id from identity.current_ids where current_customer_id is not null"
    return "select cast(null as varchar) as customer_id, cast(null as varchar) as current_customer_id where false"


def _instant(moment: dt.datetime) -> str:
    return f"timestamp '{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S}'"


# ---------------------------------------------------------------------------------------------------
# Occurrences: customer_id, subject, happened_on, happened_at, why


class Finder:
    """A query of the occurrences of each kind of start."""

    def __init__(self, connection: Connection, workspace: Workspace, as_of_on: dt.date, time_zone: str) -> None:
        self.connection = connection
        self.workspace = workspace
        self.as_of_on = as_of_on
        self.time_zone = time_zone

    def find(self, trigger: Trigger) -> str:
        query: str = getattr(self, f"_{trigger.start.kind}")(trigger)
        return query

    def not_since(self, what: str) -> str:
        """Condition: the customer did no such thing after the start."""
        if what == "order":
            return (
                "not exists (select 1 from marts.orders as later where later.customer_id = occurrences.customer_id "
                f"and later.is_purchase and later.ordered_on <= date '{self.as_of_on}' "
                "and coalesce(later.ordered_at, later.ordered_on) > occurrences.happened_at)"
            )
        return (
            "not exists (select 1 from marts.events as later where later.customer_id = occurrences.customer_id "
            f"and later.event_type = {literal(what)} and later.occurred_on <= date '{self.as_of_on}' "
            "and later.occurred_at > occurrences.happened_at)"
        )

    def _days(self, trigger: Trigger) -> tuple[dt.date, dt.date]:
        """First and last day on which a start is due by now and not yet expired."""
        last = self.as_of_on - dt.timedelta(days=trigger.after_days - trigger.before_days)
        return last - dt.timedelta(days=trigger.expires_after_days), last

    def _event(self, trigger: Trigger) -> str:
        event = trigger.start.event
        assert event is not None
        first, last = self._days(trigger)
        tests = [f"event_type = {literal(event.type)}", f"occurred_on between date '{first}' and date '{last}'"]
        for name, wanted in sorted((event.with_ or {}).items()):
            values = wanted if isinstance(wanted, tuple) else (wanted,)
            column = name if name in ("channel", "campaign", "product_id", "reason") else None
            if column is None:
                column = "cast(value as double)" if name == "value" else DUCKDB.json_text("properties", name)
            shown = ", ".join(
                repr(float(one)) if name == "value" and isinstance(one, int | float) else literal(str(one))
                for one in values
            )
            tests.append(f"{column} in ({shown})")
        # Of several carts of a day the last one counts: one occasion a customer, day and type.
        return f"""
            select customer_id, event_id as subject, occurred_on as happened_on, occurred_at as happened_at,
                {
            _json(
                ("event", "event_type"),
                ("on", "occurred_on"),
                ("product", "product_id"),
                ("campaign", "campaign"),
                ("reason", "reason"),
                ("value", "value"),
            )
        } as why
            from marts.events
            where {" and ".join(tests)}
            qualify row_number() over (
                partition by customer_id, occurred_on order by occurred_at desc, event_id
            ) = 1
        """

    def _order(self, trigger: Trigger) -> str:
        order = trigger.start.order
        assert order is not None
        first, last = self._days(trigger)
        number = f" and purchase_number = {order.number}" if order.number else ""
        return f"""
            select customer_id, order_id as subject, ordered_on as happened_on,
                coalesce(ordered_at, ordered_on) as happened_at,
                {
            _json(
                ("order", "order_id"),
                ("on", "ordered_on"),
                ("purchase_number", "purchase_number"),
                ("channel", "channel"),
            )
        } as why
            from marts.orders
            where is_purchase and ordered_on between date '{first}' and date '{last}'{number}
        """

    def _anniversary(self, trigger: Trigger) -> str:
        anniversary = trigger.start.anniversary
        assert anniversary is not None
        first, last = self._days(trigger)
        days = []
        for step in range((last - first).days + 1):
            day = first + dt.timedelta(days=step)
            days.append(f"({day.month * 100 + day.day}, date '{day}')")
            if (day.month, day.day) == (2, 28) and (day + dt.timedelta(days=1)).month == 3:
                days.append(f"(229, date '{day}')")
        field = anniversary.of
        return f"""
            select customers.customer_id, '{field} ' || cast(extract(year from days.day) as varchar) as subject,
                days.day as happened_on, cast(days.day as timestamp) as happened_at,
                {
            _json(
                ("anniversary of", f"'{field}'"),
                ("on", "days.day"),
                ("years", f"extract(year from days.day) - extract(year from customers.{field})"),
            )
        } as why
            from temp.evaluated as customers
            inner join (values {", ".join(days)}) as days(month_day, day)
                on days.month_day = extract(month from customers.{field}) * 100 + extract(day from customers.{field})
            where extract(year from days.day) > extract(year from customers.{field})
        """

    def _entered_segment(self, trigger: Trigger) -> str:
        assert trigger.start.entered_segment is not None
        return self._moved(trigger, trigger.start.entered_segment, "entered")

    def _left_segment(self, trigger: Trigger) -> str:
        assert trigger.start.left_segment is not None
        return self._moved(trigger, trigger.start.left_segment, "left")

    def _moved(self, trigger: Trigger, segment: str, change: str) -> str:
        """Moves that come from the customer: not a segment's first evaluation, nor a changed rule, nor a merge."""
        first, last = self._days(trigger)
        past = registry.rows(self.workspace, SEGMENT_CHANGES, as_of_on=self.as_of_on)
        still = "" if change == "left" else (
            "inner join segments.members as members on members.segment = moves.segment "
            "and members.customer_id = moves.customer_id"
        )  # fmt: skip
        return f"""
            select moves.customer_id, moves.segment || ' ' || cast(moves.moved_on as varchar) as subject,
                moves.moved_on as happened_on, cast(moves.moved_on as timestamp) as happened_at,
                {_json(("segment", "moves.segment"), ("change", "moves.change"), ("on", "moves.moved_on"))} as why
            from (
                select segment, customer_id, change, as_of_on as moved_on from ({past}) where cause = 'data'
                union
                select segment, customer_id, change, date '{self.as_of_on}' from segments.changes where cause = 'data'
            ) as moves
            {still}
            where moves.segment = {literal(segment)} and moves.change = '{change}'
                and moves.moved_on between date '{first}' and date '{last}'
        """

    def _stage(self, trigger: Trigger) -> str:
        stage = trigger.start.stage
        assert stage is not None
        first, last = self._days(trigger)
        origin = ""
        if stage.from_:
            origin = f" and previous_lifecycle_stage in ({', '.join(literal(one) for one in stage.from_)})"
        return f"""
            select customer_id, lifecycle_stage || ' ' || cast(lifecycle_since_on as varchar) as subject,
                lifecycle_since_on as happened_on, cast(lifecycle_since_on as timestamp) as happened_at,
                {
            _json(("stage", "lifecycle_stage"), ("from", "previous_lifecycle_stage"), ("on", "lifecycle_since_on"))
        } as why
            from temp.evaluated
            where lifecycle_stage in ({", ".join(literal(one) for one in stage.to)})
                and lifecycle_since_on between date '{first}' and date '{last}'{origin}
        """

    def _replenishment(self, trigger: Trigger) -> str:
        supply = trigger.start.replenishment
        assert supply is not None
        by = "product_id" if supply.by == "product" else supply.by
        first, last = self._days(trigger)
        tests = [
            "lines.is_product",
            "lines.line_kind = 'sale'",
            f"lines.{by} is not null",
            f"lines.ordered_on <= date '{self.as_of_on}'",
        ]
        join = ""
        for name, values in sorted(supply.of.wanted().items()):
            column = {"product": "lines.product_id", "channel": "orders.channel", "store": "orders.store"}.get(
                name, f"lines.{name}"
            )
            tests.append(f"{column} in ({', '.join(literal(value) for value in values)})")
            if column.startswith("orders."):
                join = "inner join marts.orders as orders on orders.order_id = lines.order_id"
        interval = f"{supply.every_days}" if supply.every_days else "rhythms.days"
        return f"""
            with bought as (
                select distinct lines.customer_id, lines.{by} as thing, lines.ordered_on
                from marts.order_lines as lines {join}
                where {" and ".join(tests)}
            ),
            dated as (
                select *, lead(ordered_on) over (partition by customer_id, thing order by ordered_on) as again_on
                from bought
            ),
            rhythms as (
                select thing, cast(round(median(again_on - ordered_on)) as integer) as days, count(again_on) as repeats
                from dated
                group by thing
            )
            select dated.customer_id, dated.thing || ' ' || cast(dated.ordered_on as varchar) as subject,
                dated.ordered_on + {interval} as happened_on,
                cast(dated.ordered_on + 1 as timestamp) as happened_at,
                {_json((supply.by, "dated.thing"), ("bought_on", "dated.ordered_on"), ("usual_days", interval))} as why
            from dated
            inner join rhythms on rhythms.thing = dated.thing
            where dated.again_on is null
                and {"true" if supply.every_days else f"rhythms.repeats >= {supply.minimum_repeats}"}
                and dated.ordered_on + {interval} between date '{first}' and date '{last}'
        """

    def _product(self, trigger: Trigger) -> str:
        change = trigger.start.product
        assert change is not None
        first, last = self._days(trigger)
        if change.price_drop is not None:
            value, test = "unit_price", f"now_value <= before_value * {1 - change.price_drop!r}"
        else:
            value = f"try_cast({DUCKDB.json_text('custom', str(change.back_in_stock))} as double)"
            test = "before_value <= 0 and now_value > 0"
        name = "price" if change.price_drop is not None else "stock"
        seen = ", ".join(literal(kind) for kind in change.seen_in)
        return f"""
            with versions as (
                select product_id, valid_from_on, {value} as now_value,
                    lag({value}) over (partition by source, product_id order by valid_from_on, available_on, row_hash)
                        as before_value
                from landing.products
            ),
            changed as (
                select product_id, valid_from_on, max(before_value) as before_value, min(now_value) as now_value
                from versions
                where {test} and valid_from_on between date '{first}' and date '{last}'
                group by product_id, valid_from_on
            )
            select events.customer_id, changed.product_id || ' ' || cast(changed.valid_from_on as varchar) as subject,
                changed.valid_from_on as happened_on, cast(changed.valid_from_on as timestamp) as happened_at,
                {
            _json(
                ("product", "changed.product_id"),
                (f"{name}_before", "changed.before_value"),
                (f"{name}_now", "changed.now_value"),
                ("seen_on", "max(events.occurred_on)"),
            )
        } as why
            from changed
            inner join marts.events as events on events.product_id = changed.product_id
            where events.event_type in ({seen})
                and events.occurred_on between changed.valid_from_on - {change.within_days} and changed.valid_from_on
            group by events.customer_id, changed.product_id, changed.valid_from_on, changed.before_value,
                changed.now_value
        """

    def _consent(self, trigger: Trigger) -> str:
        consent = trigger.start.consent
        assert consent is not None
        first, last = self._days(trigger)
        return f"""
            select customer_id, channel || ' ' || cast(since_on as varchar) as subject,
                since_on + {consent.days} as happened_on,
                cast(since_on + {consent.days} as timestamp) as happened_at,
                {_json(("consent", "channel"), ("status", "status"), ("since", "since_on"))} as why
            from (
                select customer_id, channel, status, cast(max(since_at) as date) as since_on
                from rcu.consents
                where purpose = 'marketing' and channel = {literal(consent.channel)} and status = '{consent.status}'
                group by customer_id, channel, status
            )
            where since_on + {consent.days} between date '{first}' and date '{last}'
        """


def _json(*pairs: tuple[str, str]) -> str:
    """SQL of a JSON object of what is known among `pairs` of name and expression."""
    parts = " || ".join(
        f"coalesce(',\"{name}\":' || cast(to_json({expression}) as varchar), '')" for name, expression in pairs
    )
    return f"'{{' || substr({parts}, 2) || '}}'"

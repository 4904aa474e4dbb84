"""Rules into SQL: all segments of a set in one wide pass over the customers.

What belongs here: the statement that says, for every customer, which segments hold. What does not: what
is stored of it (`materialise`), and what a rule may say (`orchestration.contracts.segment`).

The passes: one over `marts.events` for all event conditions, one over `marts.order_lines` for all
purchase conditions, one over `marts.customer_360` joined with both, which gives one row per customer and
one boolean per segment. Two hundred segments read the tables as often as one does. The SQL keeps to what
DuckDB and Spark share; the rest goes through `dialect`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import math
import re
import zoneinfo
from dataclasses import dataclass

from orchestration.contracts.segment import (
    EVENT_COLUMNS,
    Condition,
    FieldCatalogue,
    FieldReference,
    FieldType,
    Scalar,
    Segment,
    SegmentSet,
)
from orchestration.segments.dialect import DRAW_MODULUS, DUCKDB, Dialect
from orchestration.warehouse import quote

STATIC_LISTS = "segments.static_lists"

_PLAIN = re.compile(r"^[a-z_][a-z0-9_]*$")

#: Attribute of a purchase condition -> column of the order lines or of their order.
_PURCHASE_COLUMNS = {
    "product": "lines.product_id", "category": "lines.category", "subcategory": "lines.subcategory",
    "brand": "lines.brand", "audience": "lines.audience", "channel": "orders.channel", "store": "orders.store",
}  # fmt: skip


#: Bits of a word that never meet its sign.
_WORD_BITS = 62


@dataclass(frozen=True)
class Compiled:
    """The SQL of a set of segments at one date.

    `ctes`: named selects, in order; the last one, `evaluated`, has one row per customer: `customer_id`,
    `draw__`, the fields used, and `member__<segment>` (booleans; of a set worked out at once, null means no).
    `reasons`, `controls`: per segment, expressions over `evaluated` for its members: the JSON of the values
    that satisfied the rule; who is in the control group (only segments that have one).
    """

    segments: tuple[Segment, ...]
    ctes: tuple[tuple[str, str], ...]
    reasons: dict[str, str]
    controls: dict[str, str]

    def statement(self, final: str) -> str:
        """A whole query: the CTEs, then `final`."""
        parts = ",\n\n".join(f"{name} as (\n\n{_indented(body)}\n\n)" for name, body in self.ctes)
        return f"with\n\n{parts}\n\n{final}"


def member_column(segment: str) -> str:
    return f"member__{segment}"


def compile_segments(
    segments: SegmentSet,
    catalogue: FieldCatalogue,
    *,
    as_of_on: dt.date,
    time_zone: str,
    only: set[str] | None = None,
    dialect: Dialect = DUCKDB,
    keep: tuple[str, ...] = (),
    lists: str = STATIC_LISTS,
    with_draw: bool = False,
    is_set: bool = False,
) -> Compiled:
    """Compile `only` (all by default) with what they depend on.

    `keep`: more fields to carry along; `lists`: the table of static lists (list_name, customer_id);
    `with_draw`: carry `draw__` even where no rule needs it; `is_set`: many are worked out at once, by what is quick
    rather than what reads well.
    """
    compiler = _Compiler(segments, catalogue, as_of_on, time_zone, dialect, lists)
    compiler.is_set = is_set
    compiler.needs_draw = with_draw
    return compiler.compile(only, keep)


def segment_sql(
    segments: SegmentSet, catalogue: FieldCatalogue, name: str, *, as_of_on: dt.date, time_zone: str,
    dialect: Dialect = DUCKDB,
) -> str:  # fmt: skip
    """One query that lists the members of one segment, to be read or run by itself."""
    compiled = compile_segments(
        segments, catalogue, as_of_on=as_of_on, time_zone=time_zone, only={name}, dialect=dialect
    )
    return compiled.statement(f"select customer_id\nfrom evaluated\nwhere {member_column(name)}\norder by customer_id")


def day_start(day: dt.date, time_zone: str) -> str:
    """SQL literal of the UTC instant at which `day` begins in `time_zone`."""
    local = dt.datetime.combine(day, dt.time(), zoneinfo.ZoneInfo(time_zone))
    return f"timestamp '{local.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S}'"


def draw_parameters(seed: str) -> tuple[int, int]:
    """The multiplier and the offset that turn a customer's draw into the draw of `seed`."""
    digest = hashlib.sha256(seed.encode()).digest()
    multiplier = int.from_bytes(digest[:8], "big") % (DRAW_MODULUS - 1) + 1
    return multiplier, int.from_bytes(digest[8:16], "big") % DRAW_MODULUS


def in_share(draw: str, seed: str, start: float, to: float) -> str:
    """Condition: the draw of `seed` lies in [start, to) of 1."""
    multiplier, offset = draw_parameters(seed)
    drawn = f"({draw} * {multiplier} + {offset}) % {DRAW_MODULUS}"
    low, high = math.ceil(start * DRAW_MODULUS), math.ceil(to * DRAW_MODULUS)
    return f"{drawn} < {high}" if low == 0 else f"{drawn} >= {low} and {drawn} < {high}"


@dataclass(frozen=True)
class _Part:
    """A value that goes into a reason: its name, its JSON, and when it counts (None: always)."""

    name: str
    json: str
    guard: str | None


class _Compiler:
    def __init__(
        self, segments: SegmentSet, catalogue: FieldCatalogue, as_of_on: dt.date, time_zone: str, dialect: Dialect,
        lists_table: str,
    ) -> None:  # fmt: skip
        self.segments = segments
        self.catalogue = catalogue
        self.as_of_on = as_of_on
        self.time_zone = time_zone
        self.dialect = dialect
        self.lists_table = lists_table
        self.fields: set[str] = {"is_suppressed"}
        self.events: dict[str, str] = {}  # condition on an event row -> column that counts it
        self.event_types: set[str] = set()
        self.event_days: list[int | None] = []
        self.purchases: dict[tuple[str, str], str] = {}  # (condition on a line, measure) -> column
        self.purchase_days: list[int | None] = []
        self.lists: dict[str, str] = {}
        self.consents: dict[str, str] = {}  # condition on a consent -> column that tells the consent that holds
        self.lookups: dict[str, list[frozenset[str]]] = {}  # text field -> the lists it is held against
        self.needs_draw = False
        self.is_set = False

    # -- the whole set

    def compile(self, only: set[str] | None, keep: tuple[str, ...]) -> Compiled:
        ordered = self.segments.ordered(only)
        depth: dict[str, int] = {}
        by_depth: dict[int, list[str]] = {}
        reasons: dict[str, str] = {}
        for segment in ordered:
            before = self.segments.dependencies(segment)
            depth[segment.segment] = 1 + max((depth[name] for name in before), default=-1)
            columns = by_depth.setdefault(depth[segment.segment], [])
            columns.append(f"{self.membership(segment)} as {member_column(segment.segment)}")
            reasons[segment.segment] = self.reason(segment.where)
            if segment.control_group:
                self.needs_draw = True
        self.fields |= set(keep)
        ctes = [*self.fact_ctes(), ("candidates", self.candidates())]
        before_name = "candidates"
        for level in sorted(by_depth):
            name = f"level_{level}"
            ctes.append((name, "select\n    *,\n    " + ",\n    ".join(by_depth[level]) + f"\nfrom {before_name}"))
            before_name = name
        ctes.append(("evaluated", f"select *\nfrom {before_name}"))
        controls = {
            segment.segment: in_share("draw__", f"control:{segment.segment}", 0, segment.control_group)
            for segment in ordered
            if segment.control_group
        }
        return Compiled(ordered, tuple(ctes), reasons, controls)

    def membership(self, segment: Segment) -> str:
        # Worked out two hundred at once, a missing answer stays missing: every reader takes it for no.
        holds = self.condition(segment.where)
        parts = [holds if self.is_set else f"coalesce({holds}, false)"]
        if not segment.include_suppressed:
            parts.append("not coalesce(is_suppressed, false)")
        if segment.exclusive_group:
            parts += [
                f"not coalesce({member_column(other.segment)}, false)"
                for other in sorted(self.segments, key=lambda one: (one.priority, one.segment))
                if other.exclusive_group == segment.exclusive_group and other.priority < segment.priority
            ]
        return " and ".join(parts)

    def candidates(self) -> str:
        columns = ["customers.customer_id", *(f"customers.{_name(field)}" for field in sorted(self.fields))]
        joins = []
        if self.needs_draw:
            columns.append(f"{self.dialect.draw('customers.customer_id')} as draw__")
        if self.events:
            columns += [
                f"coalesce(event_facts.{column}, 0) as {column}" for column in sorted(set(self.events.values()))
            ]
            joins.append("left join event_facts on event_facts.customer_id = customers.customer_id")
        if self.purchases:
            columns += [
                f"coalesce(purchase_facts.{column}, 0) as {column}" for column in sorted(set(self.purchases.values()))
            ]
            joins.append("left join purchase_facts on purchase_facts.customer_id = customers.customer_id")
        if self.lists:
            columns += [f"coalesce(list_facts.{column}, 0) = 1 as {column}" for column in sorted(self.lists.values())]
            joins.append("left join list_facts on list_facts.customer_id = customers.customer_id")
        if self.consents:
            columns += [f"consent_facts.{column}" for column in sorted(self.consents.values())]
            joins.append("left join consent_facts on consent_facts.customer_id = customers.customer_id")
        for field, lists in self.lookups.items():
            table = f"among__{field}"
            rows = []
            for value in sorted(set().union(*lists)):
                words = [0] * (1 + (len(lists) - 1) // _WORD_BITS)
                for place, values in enumerate(lists):
                    words[place // _WORD_BITS] += (value in values) << place % _WORD_BITS
                rows.append(f"({', '.join((self.dialect.text(value), *(f'cast({w} as bigint)' for w in words)))})")
            named = [f"{table}__{number}" for number in range(1 + (len(lists) - 1) // _WORD_BITS)]
            columns += [f"coalesce({table}.{name}, 0) as {name}" for name in named]
            joins.append(
                f"left join (values {', '.join(rows)}) as {table}(value, {', '.join(named)}) "
                f"on {table}.value = customers.{_name(field)}"
            )
        chosen = ",\n    ".join(columns)
        return "\n".join((f"select\n    {chosen}", "from marts.customer_360 as customers", *joins))

    # -- facts: one pass each

    def fact_ctes(self) -> list[tuple[str, str]]:
        ctes = []
        if self.events:
            where = [f"event_type in ({', '.join(self.dialect.text(kind) for kind in sorted(self.event_types))})"]
            where.append(f"occurred_at < {day_start(self.as_of_on + dt.timedelta(days=1), self.time_zone)}")
            if None not in self.event_days:
                furthest = max(days for days in self.event_days if days is not None)
                where.append(f"occurred_at >= {self.days_ago(furthest)}")
            columns = "".join(
                f",\n    count(case when {condition} then 1 end) as {column}"
                for condition, column in self.events.items()
            )
            joined = "\n    and ".join(where)
            body = f"select\n    customer_id{columns}\nfrom marts.events\nwhere {joined}\ngroup by customer_id"
            ctes.append(("event_facts", body))
        if self.purchases:
            ctes += self.purchase_ctes()
        if self.lists:
            columns = "".join(
                f",\n    max(case when list_name = {self.dialect.text(name)} then 1 else 0 end) as {column}"
                for name, column in self.lists.items()
            )
            ctes.append(
                ("list_facts", f"select\n    customer_id{columns}\nfrom {self.lists_table}\ngroup by customer_id")
            )
        if self.consents:
            told = "concat(channel, ' ', status)"
            columns = "".join(
                f",\n    min(case when {condition} then {told} end) as {column}"
                for condition, column in self.consents.items()
            )
            ctes.append(("consent_facts", f"select\n    customer_id{columns}\nfrom rcu.consents\ngroup by customer_id"))
        return ctes

    def purchase_ctes(self) -> list[tuple[str, str]]:
        where = [
            "lines.is_product",
            "lines.line_kind in ('sale', 'return', 'cancellation')",
            f"lines.ordered_on <= date '{self.as_of_on}'",
        ]
        if None not in self.purchase_days:
            furthest = max(days for days in self.purchase_days if days is not None)
            where.append(f"lines.ordered_on >= date '{self.as_of_on - dt.timedelta(days=furthest)}'")
        per_order, per_customer = [], []
        for (condition, measure), column in self.purchases.items():
            if measure in ("orders", "days"):
                per_order.append(
                    f"max(case when lines.line_kind = 'sale' and {condition} then 1 else 0 end) as {column}"
                )
                counted = (
                    f"count(case when {column} = 1 then 1 end)"
                    if measure == "orders"
                    else f"count(distinct case when {column} = 1 then ordered_on end)"
                )
            else:
                amount = "lines.amount_net"
                if measure == "units":  # a cancelled order keeps its positive quantities; a credit has negative ones
                    amount = "lines.quantity"
                    condition = f"(lines.line_kind = 'sale' or lines.quantity < 0) and {condition}"
                per_order.append(f"sum(case when {condition} then coalesce({amount}, 0) else 0 end) as {column}")
                counted = f"sum({column})"
            per_customer.append(f"{counted} as {column}")
        orders = ",\n    ".join(("lines.customer_id", "lines.order_id", "lines.ordered_on", *per_order))
        customers = ",\n    ".join(("customer_id", *per_customer))
        join = ""
        if any("orders." in condition for condition, _ in self.purchases):
            join = "\nleft join marts.orders as orders on orders.order_id = lines.order_id"
        return [
            (
                "purchase_orders",
                f"select\n    {orders}\nfrom marts.order_lines as lines{join}\nwhere "
                + "\n    and ".join(where)
                + "\ngroup by lines.customer_id, lines.order_id, lines.ordered_on",
            ),
            ("purchase_facts", f"select\n    {customers}\nfrom purchase_orders\ngroup by customer_id"),
        ]

    def days_ago(self, days: int) -> str:
        return day_start(self.as_of_on - dt.timedelta(days=days), self.time_zone)

    # -- one condition: an expression that may be null, which counts as false

    def condition(self, condition: Condition) -> str:
        subject = condition.subject
        if subject in ("all", "any"):
            joined = f" {'and' if subject == 'all' else 'or'} ".join(
                self.condition(child) for child in condition.children()
            )
            return f"({joined})"
        if condition.not_ is not None:
            return f"not coalesce({self.condition(condition.not_)}, false)"
        if condition.field is not None:
            operator, value = condition.operator()
            kind = self.type_of(condition.field)
            if self.is_set and operator in ("in", "not_in") and kind == "text" and _PLAIN.match(condition.field):
                return self.among(condition.field, operator, value)
            return self.test(self.field(condition.field), kind, operator, value)
        if condition.custom is not None:
            return self.custom_test(condition)
        if condition.performed is not None:
            return self.test(self.event(condition), "number", *condition.operator())
        if condition.bought is not None:
            return self.test(self.purchase(condition), "number", *condition.operator())
        if condition.member_of is not None:
            return member_column(condition.member_of)
        if condition.random_bucket is not None:
            self.needs_draw = True
            bucket = condition.random_bucket
            return f"({in_share('draw__', f'bucket:{bucket.seed}', bucket.start, bucket.to)})"
        if condition.in_list is not None:
            return self.lists.setdefault(condition.in_list, f"list__{len(self.lists)}")
        if condition.consent is not None:
            return f"{self.consent(condition)} is not null"
        if condition.reachable is not None:
            return self.either(self.field(f"is_contactable_{channel}") for channel in _several(condition.reachable))
        texts = _several(condition.has_tag or condition.interest)
        column = self.field("tags" if condition.has_tag else "interests")
        return self.either(self.dialect.json_has(column, text) for text in texts)

    def among(self, field: str, operator: str, values: tuple[Scalar, ...]) -> str:
        """Whether a text is one of several. One small table a field tells it for all its lists, a bit for each: DuckDB
        joins once, where it would join anew for each longer list."""
        lists = self.lookups.setdefault(field, [])
        wanted = frozenset(str(value) for value in values)
        if wanted not in lists:
            lists.append(wanted)
        word, bit = divmod(lists.index(wanted), _WORD_BITS)
        test = f"(among__{field}__{word} & {1 << bit}) <> 0"
        return test if operator == "in" else f"({self.field(field)} is not null and not {test})"

    @staticmethod
    def either(tests: object) -> str:
        found = list(tests)  # type: ignore[call-overload]
        return found[0] if len(found) == 1 else f"({' or '.join(found)})"

    def field(self, name: str) -> str:
        self.fields.add(name)
        return _name(name)

    def type_of(self, name: str) -> FieldType:
        return self.catalogue.type_of(name) or "text"

    def event(self, condition: Condition) -> str:
        types = _several(condition.performed)
        self.event_types |= set(types)
        self.event_days.append(condition.within_days)
        tests = [
            f"event_type = {self.dialect.text(types[0])}" if len(types) == 1
            else f"event_type in ({', '.join(self.dialect.text(kind) for kind in sorted(types))})"
        ]  # fmt: skip
        if condition.within_days is not None:
            tests.append(f"occurred_at >= {self.days_ago(condition.within_days)}")
        for name, wanted in sorted((condition.with_ or {}).items()):
            kind = EVENT_COLUMNS.get(name)
            column = name if kind else self.dialect.json_text("properties", name)
            tests.append(
                self.one_of(
                    column, kind or "text", wanted if isinstance(wanted, tuple) else (wanted,), is_text=kind != "number"
                )
            )
        return self.events.setdefault(" and ".join(tests), f"event__{len(self.events)}")

    def one_of(self, column: str, kind: FieldType, values: tuple[Scalar | None, ...], *, is_text: bool) -> str:
        """`column` is one of `values`; numbers against a text column compare as numbers."""
        if values == (None,):
            return f"{column} is null"
        numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
        if is_text and numbers and len(numbers) == len(values):
            column, is_text = f"try_cast({column} as double)", False
        shown = [
            self.dialect.text(_as_text(value)) if is_text else self.value(value, kind)
            for value in values
            if value is not None
        ]
        return f"{column} = {shown[0]}" if len(shown) == 1 else f"{column} in ({', '.join(shown)})"

    def purchase(self, condition: Condition) -> str:
        assert condition.bought is not None
        self.purchase_days.append(condition.within_days)
        tests = []
        for name, values in sorted(condition.bought.wanted().items()):
            shown = ", ".join(self.dialect.text(value) for value in values)
            tests.append(f"{_PURCHASE_COLUMNS[name]} in ({shown})")
        if condition.within_days is not None:
            tests.append(f"lines.ordered_on >= date '{self.as_of_on - dt.timedelta(days=condition.within_days)}'")
        key = (" and ".join(tests) or "true", condition.measure or "orders")
        return self.purchases.setdefault(key, f"bought__{len(self.purchases)}")

    def consent(self, condition: Condition) -> str:
        """The column that holds the consent asked for, or nothing."""
        asked = condition.consent
        assert asked is not None
        tests = [f"purpose = {self.dialect.text(asked.purpose)}"]
        for column, values in (("channel", asked.channels()), ("status", asked.statuses())):
            if values:
                tests.append(f"{column} in ({', '.join(self.dialect.text(one) for one in sorted(set(values)))})")
        if condition.within_days is not None:
            tests.append(f"since_at >= {self.days_ago(condition.within_days)}")
            tests.append(f"since_at < {day_start(self.as_of_on + dt.timedelta(days=1), self.time_zone)}")
        if asked.expires_within_days is not None:
            last = self.as_of_on + dt.timedelta(days=asked.expires_within_days)
            tests.append(f"expires_on between date '{self.as_of_on}' and date '{last}'")
        return self.consents.setdefault(" and ".join(tests), f"consent__{len(self.consents)}")

    def custom_test(self, condition: Condition) -> str:
        assert condition.custom is not None
        text = self.dialect.json_text(self.field("custom"), condition.custom)
        operator, value = condition.operator()
        sample = value[0] if isinstance(value, tuple) else value
        if operator in ("within_last_days", "before", "after") or isinstance(sample, dt.date):
            return self.test(f"try_cast({text} as date)", "date", operator, value)
        if isinstance(sample, bool) and operator != "exists":
            return self.test(text, "text", operator, _as_text(sample))
        if isinstance(sample, int | float) and operator != "exists":
            return self.test(f"try_cast({text} as double)", "number", operator, value)
        return self.test(text, "text", operator, value)

    def test(self, column: str, kind: FieldType, operator: str, value: object) -> str:
        """`column operator value`, for a column of type `kind`."""
        if operator == "exists":
            filled = f"{column} is not null"
            if kind == "texts":
                filled = f"({self.dialect.json_length(column)} > 0 and {filled})"
            return filled if value else f"not coalesce({filled}, false)"
        if kind == "timestamp":
            return self.instant_test(column, operator, value)
        if kind == "texts":
            return self.dialect.json_has(column, str(value))
        symbols = {"equals": "=", "not_equals": "<>", "at_least": ">=", "at_most": "<=", "more_than": ">",
                   "less_than": "<",
                   "before": "<", "after": ">"}  # fmt: skip
        if operator in symbols:
            return f"{column} {symbols[operator]} {self.value(value, kind)}"
        if operator in ("in", "not_in"):
            assert isinstance(value, tuple)
            shown = ", ".join(self.value(one, kind) for one in value)
            return f"{column} {'in' if operator == 'in' else 'not in'} ({shown})"
        if operator == "between":
            assert isinstance(value, tuple)
            return f"{column} between {self.value(value[0], kind)} and {self.value(value[1], kind)}"
        if operator == "matches":
            return self.dialect.matches(column, str(value))
        if operator == "contains":
            return self.dialect.contains(column, str(value))
        if operator == "starts_with":
            return f"substr({column}, 1, {len(str(value))}) = {self.dialect.text(str(value))}"
        assert isinstance(value, int)
        if operator == "within_last_days":
            return f"{column} between date '{self.as_of_on - dt.timedelta(days=value)}' and date '{self.as_of_on}'"
        if operator == "within_next_days":
            return f"{column} between date '{self.as_of_on}' and date '{self.as_of_on + dt.timedelta(days=value)}'"
        days = ", ".join(str(day) for day in anniversary_days(self.as_of_on, value))
        return f"cast(extract(month from {column}) * 100 + extract(day from {column}) as int) in ({days})"

    def instant_test(self, column: str, operator: str, value: object) -> str:
        """Tests of a UTC timestamp by days of the company's time zone."""
        one_day = dt.timedelta(days=1)
        if operator == "before":
            return f"{column} < {self.start_of(value)}"
        if operator == "after":
            return f"{column} >= {self.start_of(value, one_day)}"
        if operator in ("equals", "not_equals"):
            inside = f"({column} >= {self.start_of(value)} and {column} < {self.start_of(value, one_day)})"
            return inside if operator == "equals" else f"not {inside}"
        if operator == "between":
            assert isinstance(value, tuple)
            first, last = value
        else:
            assert isinstance(value, int)
            span = dt.timedelta(days=value)
            first, last = (
                (self.as_of_on - span, self.as_of_on)
                if operator == "within_last_days"
                else (self.as_of_on, self.as_of_on + span)
            )
        return f"({column} >= {self.start_of(first)} and {column} < {self.start_of(last, one_day)})"

    def start_of(self, day: object, later: dt.timedelta = dt.timedelta()) -> str:
        assert isinstance(day, dt.date)
        return day_start(day + later, self.time_zone)

    def value(self, value: object, kind: FieldType) -> str:
        if isinstance(value, FieldReference):
            return f"cast({self.field(value.field)} as double) * cast({value.times!r} as double)"
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, dt.date):
            return f"date '{value}'"
        if isinstance(value, int | float):
            return repr(value)
        return self.dialect.text(str(value))

    # -- why a member is in

    def reason(self, where: Condition) -> str:
        merged: dict[str, _Part] = {}
        for part in self.reason_parts(where, None):
            known = merged.get(part.name)
            if known is None:
                merged[part.name] = part
            elif known.guard is not None:
                guard = None if part.guard is None else f"{known.guard} or {part.guard}"
                merged[part.name] = _Part(part.name, part.json, guard)
        # One call of concat: a chain of || writes the text anew for each of its parts.
        always = [part for part in merged.values() if part.guard is None]
        sometimes = [
            f"case when {part.guard} then concat({self.dialect.text(_json_key(part.name))}, {part.json}) else '' end"
            for part in merged.values()
            if part.guard is not None
        ]
        if not always:
            # Every piece starts with a comma; the first comma goes.
            return f"concat('{{', substr(concat({', '.join(sometimes)}), 2), '}}')" if sometimes else "'{}'"
        pieces = []
        for index, part in enumerate(always):
            key = _json_key(part.name)
            pieces += [self.dialect.text(key if index else "{" + key[1:]), part.json]
        return f"concat({', '.join((*pieces, *sometimes))}, '}}')"

    def reason_parts(self, condition: Condition, guard: str | None) -> list[_Part]:
        if condition.all is not None:
            return [part for child in condition.all for part in self.reason_parts(child, guard)]
        if condition.any is not None:
            return [
                part
                for child in condition.any
                for part in self.reason_parts(child, _both(guard, f"coalesce({self.condition(child)}, false)"))
            ]
        if condition.not_ is not None:
            return [part for child in condition.not_.walk() for part in self.leaf_parts(child, guard, is_negated=True)]
        return self.leaf_parts(condition, guard)

    def leaf_parts(self, condition: Condition, guard: str | None, *, is_negated: bool = False) -> list[_Part]:
        if condition.field is not None:
            named = [condition.field]
            if isinstance(condition.operator()[1], FieldReference):
                named.append(condition.operator()[1].field)
            return [_Part(name, self.json_of(self.field(name), self.type_of(name)), guard) for name in named]
        if condition.custom is not None:
            text = self.dialect.json_text(self.field("custom"), condition.custom)
            return [_Part(f"custom {condition.custom}", self.json_of(text, "text"), guard)]
        if condition.performed is not None:
            name = " or ".join(_several(condition.performed)) + _in_days(condition) + _with(condition)
            return [_Part(name, self.json_of(self.event(condition), "number"), guard)]
        if condition.bought is not None:
            what = ", ".join(f"{name} {' or '.join(values)}" for name, values in condition.bought.wanted().items())
            name = f"bought {what or 'anything'}{_in_days(condition)} ({condition.measure or 'orders'})"
            return [_Part(name, self.json_of(self.purchase(condition), "number"), guard)]
        if condition.consent is not None:
            by = " or ".join(condition.consent.channels()) or "any channel"
            name = f"consent to {condition.consent.purpose} by {by}{_in_days(condition)}"
            return [_Part(name, self.json_of(self.consent(condition), "text"), guard)]
        if condition.reachable is not None:
            names = [f"is_contactable_{channel}" for channel in _several(condition.reachable)]
            return [_Part(name, self.json_of(self.field(name), "boolean"), guard) for name in names]
        if condition.has_tag is not None or condition.interest is not None:
            name = "tags" if condition.has_tag is not None else "interests"
            return [_Part(name, f"coalesce({self.field(name)}, 'null')", guard)]
        if condition.member_of is not None and not is_negated:
            return [_Part(f"member of {condition.member_of}", "'true'", guard)]
        if condition.in_list is not None and not is_negated:
            return [_Part(f"in list {condition.in_list}", "'true'", guard)]
        return []

    def json_of(self, expression: str, kind: FieldType) -> str:
        text = f"cast({expression} as {self.dialect.string_type()})"
        if kind in ("text", "texts", "object"):
            text = self.dialect.json_quoted(expression)
        elif kind in ("date", "timestamp"):
            text = f"'\"' || {text} || '\"'"
        return f"coalesce({text}, 'null')"


def anniversary_days(as_of_on: dt.date, days: int) -> list[int]:
    """Month * 100 + day of every date from `as_of_on` to `days` later; 29 February is kept on the 28th
    in years without one."""
    found = set()
    for step in range(days + 1):
        day = as_of_on + dt.timedelta(days=step)
        found.add(day.month * 100 + day.day)
        if (day.month, day.day) == (2, 28) and (day + dt.timedelta(days=1)).month == 3:
            found.add(229)
    return sorted(found)


def _both(left: str | None, right: str) -> str:
    return right if left is None else f"({left} and {right})"


def _several(value: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return () if value is None else (value,) if isinstance(value, str) else tuple(value)


def _name(column: str) -> str:
    return column if _PLAIN.match(column) else quote(column)


def _as_text(value: Scalar | None) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _json_key(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f',"{escaped}":'


def _in_days(condition: Condition) -> str:
    return "" if condition.within_days is None else f" in {condition.within_days} days"


def _with(condition: Condition) -> str:
    if not condition.with_:
        return ""
    told = (
        f"{name} {' or '.join(_as_text(one) for one in (value if isinstance(value, tuple) else (value,)))}"
        for name, value in sorted(condition.with_.items())
    )
    return f" with {', '.join(told)}"


def _indented(body: str) -> str:
    return "\n".join(f"    {line}" if line else line for line in body.split("\n"))

"""Random rules over random customers: the SQL says what a plain Python reading of the rule says.

The oracle interprets the YAML data directly; it shares no code with the models, the compiler or the SQL.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
import zoneinfo
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestration.contracts.segment import Condition, Label, Segment, SegmentSet
from orchestration.segments.compiler import compile_segments
from orchestration.segments.evaluation import evaluate
from orchestration.segments.materialise import catalogue_of
from orchestration.warehouse import Connection, connect

AS_OF = dt.date(2026, 3, 29)  # the day French clocks go forward
ZONE = "Europe/Paris"
PRIME = 2_147_483_647

TEXTS = ["Lyon", "lyon", "Saint-Malo", "L'Haÿ", 'a"b', "", "100%"]
TYPES = ["cart", "email_click", "email_open"]
CATEGORIES = ["shoes", "bags"]

Row = dict[str, Any]


# -- the oracle: what a rule says, read plainly


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def holds(rule: Any, customer: Row, world: dict[str, Any]) -> bool:
    if "all" in rule:
        return all(holds(child, customer, world) for child in rule["all"])
    if "any" in rule:
        return any(holds(child, customer, world) for child in rule["any"])
    if "not" in rule:
        return not holds(rule["not"], customer, world)
    operators = {k: v for k, v in rule.items() if k not in ("performed", "bought", "within_days", "with", "measure")}
    if "performed" in rule:
        wanted = rule["performed"] if isinstance(rule["performed"], list) else [rule["performed"]]
        found = 0
        for event in world["events"]:
            day = local_day(event["occurred_at"])
            if event["customer_id"] != customer["customer_id"] or event["event_type"] not in wanted or day > AS_OF:
                continue
            if "within_days" in rule and (AS_OF - day).days > rule["within_days"]:
                continue
            properties = json.loads(event["properties"])
            matching = True
            for key, value in rule.get("with", {}).items():
                had = event[key] if key in ("campaign", "channel", "value") else properties.get(key)
                values = value if isinstance(value, list) else [value]
                matching = (
                    matching and had is not None and any(number_or_text(had) == number_or_text(v) for v in values)
                )
            found += matching
        return compare(found, *(next(iter(operators.items()), ("at_least", 1))))
    if "bought" in rule:
        orders: dict[str, Decimal] = {}
        seen, total, days = set(), Decimal(0), set()
        for line in world["lines"]:
            if line["customer_id"] != customer["customer_id"] or not line["is_product"] or line["ordered_on"] > AS_OF:
                continue
            if line["line_kind"] not in ("sale", "return", "cancellation"):
                continue
            if "within_days" in rule and (AS_OF - line["ordered_on"]).days > rule["within_days"]:
                continue
            channel = next(o["channel"] for o in world["orders"] if o["order_id"] == line["order_id"])
            facts = {"category": line["category"], "channel": channel}
            if not all(facts[k] in (v if isinstance(v, list) else [v]) for k, v in rule["bought"].items()):
                continue
            total += line["amount_net"]
            if line["line_kind"] == "sale":
                seen.add(line["order_id"])
                days.add(line["ordered_on"])
        del orders
        measured = {"orders": len(seen), "amount_net": total, "days": len(days)}[rule.get("measure", "orders")]
        return compare(measured, *(next(iter(operators.items()), ("at_least", 1))))
    if "consent" in rule:
        asked = rule["consent"]
        for said in world["consents"]:
            day = local_day(said["since_at"])
            if (
                said["customer_id"] == customer["customer_id"]
                and said["purpose"] == asked["purpose"]
                and said["channel"] in as_list(asked.get("channel", ["email", "sms", "phone", "post", "push"]))
                and said["status"] in as_list(asked.get("status", "granted"))
                and ("within_days" not in rule or 0 <= (AS_OF - day).days <= rule["within_days"])
            ):
                return True
        return False
    if "reachable" in rule:
        channels = rule["reachable"] if isinstance(rule["reachable"], list) else [rule["reachable"]]
        return any(customer[f"is_contactable_{channel}"] is True for channel in channels)
    for key, column in (("has_tag", "tags"), ("interest", "interests")):
        if key in rule:
            wanted = rule[key] if isinstance(rule[key], list) else [rule[key]]
            return any(one in json.loads(customer[column] or "[]") for one in wanted)
    if "member_of" in rule:
        return member(world["rules"][rule["member_of"]], customer, world)
    if "random_bucket" in rule:
        bucket = rule["random_bucket"]
        digest = hashlib.sha256(f"bucket:{bucket['seed']}".encode()).digest()
        a, b = int.from_bytes(digest[:8], "big") % (PRIME - 1) + 1, int.from_bytes(digest[8:16], "big") % PRIME
        draw = int(hashlib.md5(customer["customer_id"].encode()).hexdigest()[:8], 16) % PRIME
        return bucket["from"] <= (draw * a + b) % PRIME / PRIME < bucket["to"]
    operator, value = next((k, v) for k, v in rule.items() if k not in ("field", "custom"))
    if "custom" in rule:
        had = json.loads(customer["custom"] or "{}").get(rule["custom"])
        sample = value[0] if isinstance(value, list) else value
        if operator != "exists" and isinstance(sample, int | float):
            had = to_number(had)
        return compare(had, operator, value)
    return compare(customer[rule["field"]], operator, value, customer)


def compare(had: Any, operator: str, value: Any, customer: Row | None = None) -> bool:
    if operator == "exists":
        return (had is not None) == value
    if had is None:
        return False
    if isinstance(value, dict):
        other = (customer or {})[value["field"]]
        if other is None:
            return False
        had, value = float(had), float(other) * float(value.get("times", 1))
    if isinstance(had, dt.datetime):
        had = local_day(had)
    if isinstance(had, Decimal):
        value = [Decimal(repr(v)) for v in value] if isinstance(value, list) else Decimal(repr(value))
    if operator == "equals":
        return bool(had == value)
    if operator == "not_equals":
        return bool(had != value)
    if operator == "in":
        return had in value
    if operator == "not_in":
        return had not in value
    if operator == "between":
        return bool(value[0] <= had <= value[1])
    if operator in ("at_least", "at_most", "more_than", "less_than", "before", "after"):
        return bool({
            "at_least": had >= value, "at_most": had <= value, "more_than": had > value,
            "less_than": had < value, "before": had < value, "after": had > value,
        }[operator])  # fmt: skip
    if operator == "matches":
        return re.search(value, had) is not None
    if operator == "contains":
        return value in had
    if operator == "starts_with":
        return bool(had.startswith(value))
    if operator == "within_last_days":
        return 0 <= (AS_OF - had).days <= value
    if operator == "within_next_days":
        return 0 <= (had - AS_OF).days <= value
    assert operator == "anniversary_within_days"
    for step in range(value + 1):
        day = AS_OF + dt.timedelta(days=step)
        is_leap = day.year % 4 == 0 and (day.year % 100 != 0 or day.year % 400 == 0)
        month, number = (2, 28) if (had.month, had.day) == (2, 29) and not is_leap else (had.month, had.day)
        if (day.month, day.day) == (month, number):
            return True
    return False


def member(segment: Row, customer: Row, world: dict[str, Any]) -> bool:
    if customer["is_suppressed"] and not segment.get("include_suppressed"):
        return False
    if segment.get("exclusive_group"):
        for other in world["rules"].values():
            same = other.get("exclusive_group") == segment["exclusive_group"]
            if same and other["priority"] < segment["priority"] and member(other, customer, world):
                return False
    return holds(segment["where"], customer, world)


def local_day(instant: dt.datetime) -> dt.date:
    return instant.replace(tzinfo=dt.UTC).astimezone(zoneinfo.ZoneInfo(ZONE)).date()


def number_or_text(value: Any) -> Any:
    number = to_number(value)
    return value if number is None else number


def to_number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


# -- random worlds


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), strategy)


DAYS = st.dates(dt.date(2026, 1, 1), dt.date(2026, 5, 1)) | st.sampled_from(
    [AS_OF, AS_OF + dt.timedelta(days=1), dt.date(2024, 2, 29), dt.date(1990, 4, 3), dt.date(2025, 12, 31)]
)
INSTANTS = st.datetimes(dt.datetime(2026, 3, 1), dt.datetime(2026, 4, 5)) | st.sampled_from(
    [
        dt.datetime(2026, 3, 28, 23),
        dt.datetime(2026, 3, 28, 22, 59, 59),
        dt.datetime(2026, 3, 29, 22),
        dt.datetime(2026, 3, 29, 21, 59),
    ]
)
AMOUNTS = st.sampled_from([Decimal("0"), Decimal("0.1"), Decimal("19.9900"), Decimal("50"), Decimal("-5.25")])
CUSTOMER = st.fixed_dictionaries({
    "city": maybe(st.sampled_from(TEXTS)),
    "order_count": maybe(st.integers(0, 4)),
    "amount_net": maybe(AMOUNTS),
    "return_rate": maybe(st.sampled_from([0.0, 0.1, 0.5, 1.0])),
    "birth_on": maybe(DAYS),
    "last_contact_at": maybe(INSTANTS),
    "is_minor": maybe(st.booleans()),
    "is_suppressed": st.sampled_from([False, False, False, True, None]),
    "tags": st.sampled_from([None, "[]", '["vip"]', '["vip","à suivre"]', '["not vip"]']),
    "interests": st.sampled_from([None, "[]", '["sport"]', '["a\\"b","sport"]']),
    "custom": st.sampled_from([None, "{}", '{"size":"41"}', '{"size":"41.5","shop":"x"}', '{"size":"n/a"}', '{"size":null}']),
    "is_contactable_email": maybe(st.booleans()),
    "is_contactable_sms": maybe(st.booleans()),
    "is_contactable_phone": st.just(False),
    "is_contactable_post": st.just(True),
})  # fmt: skip
CUSTOMER_SCHEMA = pa.schema([
    ("customer_id", pa.string()), ("city", pa.string()), ("order_count", pa.int32()), ("amount_net", pa.decimal128(18, 4)),
    ("return_rate", pa.float64()), ("birth_on", pa.date32()), ("last_contact_at", pa.timestamp("us")), ("is_minor", pa.bool_()),
    ("is_suppressed", pa.bool_()), ("tags", pa.string()), ("interests", pa.string()), ("custom", pa.string()),
    ("is_contactable_email", pa.bool_()), ("is_contactable_sms", pa.bool_()), ("is_contactable_phone", pa.bool_()),
    ("is_contactable_post", pa.bool_()),
])  # fmt: skip
EVENT = st.fixed_dictionaries({
    "customer_id": st.sampled_from(["c0", "c1", "c2", "unknown"]),
    "event_type": st.sampled_from(TYPES),
    "occurred_at": INSTANTS,
    "channel": maybe(st.just("web")),
    "campaign": maybe(st.sampled_from(["spring", "sales"])),
    "value": maybe(st.sampled_from([Decimal("3"), Decimal("4.5")])),
    "properties": st.sampled_from(["{}", '{"device":"phone"}', '{"device":"tablet","depth":"3"}']),
})  # fmt: skip
EVENT_SCHEMA = pa.schema([
    ("customer_id", pa.string()), ("event_type", pa.string()), ("occurred_at", pa.timestamp("us")), ("channel", pa.string()),
    ("campaign", pa.string()), ("value", pa.decimal128(18, 4)), ("properties", pa.string()),
])  # fmt: skip
ORDER = st.fixed_dictionaries({
    "customer_id": st.sampled_from(["c0", "c1", "c2", "unknown"]),
    "ordered_on": DAYS,
    "channel": st.sampled_from(["web", "store"]),
    "lines": st.lists(st.fixed_dictionaries({
        "category": maybe(st.sampled_from(CATEGORIES)),
        "is_product": st.sampled_from([True, True, False]),
        "line_kind": st.sampled_from(["sale", "sale", "return", "cancellation", "fee"]),
        "amount_net": AMOUNTS,
    }), min_size=1, max_size=3),
})  # fmt: skip
LINE_SCHEMA = pa.schema([
    ("order_id", pa.string()), ("customer_id", pa.string()), ("ordered_on", pa.date32()), ("category", pa.string()),
    ("is_product", pa.bool_()), ("line_kind", pa.string()), ("amount_net", pa.decimal128(18, 4)), ("quantity", pa.decimal128(18, 4)),
])  # fmt: skip
CONSENT = st.fixed_dictionaries({
    "channel": st.sampled_from(["email", "sms", "push"]),
    "purpose": st.sampled_from(["marketing", "profiling"]),
    "status": st.sampled_from(["granted", "granted", "pending", "refused"]),
    "since_at": INSTANTS,
})  # fmt: skip
CONSENT_SCHEMA = pa.schema([
    ("customer_id", pa.string()), ("channel", pa.string()), ("purpose", pa.string()), ("status", pa.string()),
    ("since_at", pa.timestamp("us")), ("expires_on", pa.date32()),
])  # fmt: skip
ORDER_SCHEMA = pa.schema([("order_id", pa.string()), ("channel", pa.string()), ("store", pa.string())])


# -- random rules


def ordered(pair: tuple[Any, Any]) -> list[Any]:
    return sorted(pair)


NUMBERS = st.sampled_from([0, 1, 2, 3, 0.1, 19.99, -5.25, 50])
OP_TEXT = st.one_of(
    st.tuples(st.sampled_from(["equals", "not_equals"]), st.sampled_from(TEXTS)),
    st.tuples(st.sampled_from(["in", "not_in"]), st.lists(st.sampled_from(TEXTS), min_size=1, max_size=3)),
    st.tuples(st.just("matches"), st.sampled_from(["^L", "o.$", "[aä]", "l'", "^$", r"\d+%", "(?i)LYON"])),
    st.tuples(st.sampled_from(["contains", "starts_with"]), st.sampled_from(["L", "Saint-", "L'H", '"', "%"])),
    st.tuples(st.just("exists"), st.booleans()),
)
OP_NUMBER = st.one_of(
    st.tuples(st.sampled_from(["equals", "not_equals", "at_least", "at_most", "more_than", "less_than"]), NUMBERS),
    st.tuples(st.sampled_from(["in", "not_in"]), st.lists(NUMBERS, min_size=1, max_size=3)),
    st.tuples(st.just("between"), st.tuples(NUMBERS, NUMBERS).map(ordered)),
    st.tuples(st.just("exists"), st.booleans()),
)
OP_COUNT = st.one_of(
    st.tuples(st.sampled_from(["equals", "at_least", "at_most", "more_than", "less_than"]), st.integers(0, 3)),
    st.tuples(st.just("between"), st.tuples(st.integers(0, 3), st.integers(0, 3)).map(ordered)),
)
OP_INSTANT = st.one_of(
    st.tuples(st.sampled_from(["equals", "not_equals", "before", "after"]), DAYS),
    st.tuples(st.just("between"), st.tuples(DAYS, DAYS).map(ordered)),
    st.tuples(st.sampled_from(["within_last_days", "within_next_days"]), st.integers(0, 30)),
    st.tuples(st.just("exists"), st.booleans()),
)
OP_DATE = OP_INSTANT | st.tuples(st.just("anniversary_within_days"), st.integers(0, 20) | st.just(365))
OP_BOOLEAN = st.tuples(st.sampled_from(["equals", "not_equals", "exists"]), st.booleans())


def test_of(field: str, operators: st.SearchStrategy[tuple[str, Any]], key: str = "field") -> st.SearchStrategy[Any]:
    return operators.map(lambda operator: {key: field, operator[0]: operator[1]})


test_of.__test__ = False  # type: ignore[attr-defined]


@st.composite
def performed(draw: st.DrawFn) -> Any:
    rule: Row = {
        "performed": draw(
            st.sampled_from(TYPES) | st.lists(st.sampled_from(TYPES), min_size=1, max_size=2, unique=True)
        )
    }
    if draw(st.booleans()):
        operator, value = draw(OP_COUNT)
        rule[operator] = value
    if draw(st.booleans()):
        rule["within_days"] = draw(st.integers(0, 20))
    if draw(st.booleans()):
        rule["with"] = draw(st.sampled_from([
            {"campaign": "sales"}, {"campaign": ["sales", "spring"], "channel": "web"}, {"device": "phone"}, {"depth": 3}, {"value": 4.5},
        ]))  # fmt: skip
    return rule


@st.composite
def bought(draw: st.DrawFn) -> Any:
    what = draw(
        st.sampled_from(
            [{}, {"category": "shoes"}, {"category": ["shoes", "bags"], "channel": "web"}, {"channel": "store"}]
        )
    )
    rule: Row = {"bought": what}
    if draw(st.booleans()):
        operator, value = draw(OP_COUNT)
        rule[operator] = value
    if draw(st.booleans()):
        rule["within_days"] = draw(st.integers(0, 100))
    measure = draw(st.sampled_from([None, "orders", "amount_net", "days"]))
    return rule if measure is None else {**rule, "measure": measure}


@st.composite
def consent(draw: st.DrawFn) -> Any:
    asked: Row = {"purpose": draw(st.sampled_from(["marketing", "profiling"]))}
    channel = draw(st.sampled_from([None, "email", ["sms", "push"], ["email", "sms"]]))
    status = draw(st.sampled_from([None, "pending", ["granted", "pending"], ["refused", "expired"]]))
    asked |= ({"channel": channel} if channel else {}) | ({"status": status} if status else {})
    return {"consent": asked} | ({"within_days": draw(st.integers(0, 20))} if draw(st.booleans()) else {})


CHANNELS = st.sampled_from(["email", "sms", "phone", "post"])
LEAF = st.one_of(
    test_of("city", OP_TEXT), test_of("order_count", OP_NUMBER), test_of("amount_net", OP_NUMBER), test_of("return_rate", OP_NUMBER),
    test_of("birth_on", OP_DATE), test_of("last_contact_at", OP_INSTANT), test_of("is_minor", OP_BOOLEAN),
    test_of("size", OP_NUMBER, "custom"), test_of("shop", OP_TEXT, "custom"),
    st.builds(lambda op, times: {"field": "order_count", op: {"field": "amount_net", "times": times}},
              st.sampled_from(["at_least", "at_most", "more_than", "less_than"]), st.sampled_from([0.5, 1.0, 10.0])),
    performed(), bought(), consent(),
    st.builds(lambda c: {"reachable": c}, CHANNELS | st.lists(CHANNELS, min_size=1, max_size=3)),
    st.builds(lambda t: {"has_tag": t}, st.sampled_from(["vip", "à suivre", ["x", "vip"]])),
    st.builds(lambda t: {"interest": t}, st.sampled_from(["sport", 'a"b', ["sport", "x"]])),
    st.builds(lambda seed, a, b: {"random_bucket": {"seed": seed, "from": min(a, b) / 100, "to": (max(a, b) + 1) / 100}},
              st.sampled_from(["x", "y"]), st.integers(0, 99), st.integers(0, 99)),
)  # fmt: skip
RULE = st.recursive(
    LEAF,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda found: {"all": found}),
        st.lists(inner, min_size=1, max_size=3).map(lambda found: {"any": found}),
        inner.map(lambda found: {"not": found}),
    ),
    max_leaves=6,
)


@st.composite
def segment_rules(draw: st.DrawFn) -> dict[str, Row]:
    """A few segments; later ones may name earlier ones, some share an exclusive group."""
    rules: dict[str, Row] = {}
    for index in range(draw(st.integers(4, 10))):
        where = draw(RULE)
        if rules and draw(st.booleans()):
            other: Any = {"member_of": draw(st.sampled_from(sorted(rules)))}
            other = {"not": other} if draw(st.booleans()) else other
            where = {draw(st.sampled_from(["all", "any"])): [where, other]}
        rule: Row = {"where": where, "priority": index + 1, "include_suppressed": draw(st.booleans())}
        if draw(st.booleans()):
            rule["exclusive_group"] = "band"
        rules[f"s{index}"] = rule
    return rules


@pytest.fixture(scope="module")
def connection() -> Connection:
    opened = connect()
    opened.execute("set threads = 1")
    opened.execute("create schema marts")
    opened.execute("create schema rcu")
    return opened


def put(connection: Connection, name: str, rows: list[Row], columns: pa.Schema, schema: str = "marts") -> None:
    connection.register("rows__", pa.Table.from_pylist(rows, schema=columns))
    connection.execute(f"create or replace table {schema}.{name} as select * from rows__")
    connection.unregister("rows__")


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    customers=st.lists(CUSTOMER, min_size=4, max_size=8),
    events=st.lists(EVENT, min_size=4, max_size=12),
    orders=st.lists(ORDER, min_size=3, max_size=8),
    said=st.lists(st.tuples(st.integers(0, 7), CONSENT), max_size=8),
    rules=segment_rules(),
    is_set=st.booleans(),
)
def test_sql_says_what_the_rule_says(
    connection: Connection, customers: list[Row], events: list[Row], orders: list[Row], said: list[tuple[int, Row]],
    rules: dict[str, Row], is_set: bool,
) -> None:  # fmt: skip
    customers = [{"customer_id": f"c{index}", **customer} for index, customer in enumerate(customers)]
    lines, heads = [], []
    for index, order in enumerate(orders):
        heads.append({"order_id": f"o{index}", "channel": order["channel"], "store": None})
        for line in order["lines"]:
            own = {"order_id": f"o{index}", "customer_id": order["customer_id"], "ordered_on": order["ordered_on"]}
            lines.append({**own, **line, "quantity": Decimal(1)})
    put(connection, "customer_360", customers, CUSTOMER_SCHEMA)
    put(connection, "events", events, EVENT_SCHEMA)
    put(connection, "order_lines", lines, LINE_SCHEMA)
    put(connection, "orders", heads, ORDER_SCHEMA)
    consents = [{"customer_id": f"c{number}", "expires_on": None, **one} for number, one in said]
    put(connection, "consents", consents, CONSENT_SCHEMA, schema="rcu")
    definitions = SegmentSet(tuple(
        Segment(
            segment=name, label=Label(en=name, fr=name), objective="property", where=Condition.model_validate(rule["where"]),
            priority=rule["priority"], include_suppressed=rule["include_suppressed"], exclusive_group=rule.get("exclusive_group"),
        )
        for name, rule in rules.items()
    ))  # fmt: skip
    compiled = compile_segments(definitions, catalogue_of(connection), as_of_on=AS_OF, time_zone=ZONE, is_set=is_set)
    evaluate(connection, compiled)
    world = {"consents": consents, "events": events, "lines": lines, "orders": heads, "rules": rules}
    for name, rule in rules.items():
        got = connection.execute(
            f"select customer_id, {compiled.reasons[name]} from temp.evaluated where member__{name} order by customer_id"
        ).fetchall()
        expected = [customer["customer_id"] for customer in customers if member(rule, customer, world)]
        assert [row[0] for row in got] == expected, (name, rule)
        for _, reason in got:
            assert isinstance(json.loads(reason), dict)

"""`value.yml`: what counts as a purchase, and how customers are valued and placed in their lifecycle.

Here: the rules that tell a sale from a return, a fee, a voucher, a write-off or a test; which orders
of two systems are one; the dated rate table; the settings of RFM, lifecycle and affinity. Everything
is handed to SQL as small `control` tables. Not here: plans (`plans.yml`), segments, and the scores'
own settings.
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import AfterValidator, Field, field_validator, model_validator

from orchestration.contracts.loader import Declaration

LineKind = Literal["sale", "return", "cancellation", "write_off", "fee", "voucher", "test", "pending"]
Sign = Literal["negative", "zero", "positive"]
Stage = Literal[
    "prospect", "new", "regular", "loyal", "ambassador", "at_risk", "abandoner", "reactivated", "suppressed"
]
STAGES: tuple[Stage, ...] = (
    "prospect", "new", "regular", "loyal", "ambassador", "at_risk", "abandoner", "reactivated", "suppressed",
)  # fmt: skip


def _a_pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f'"{value}" is no regular expression: {error}') from None
    if re.search(r"\(\?[=!<]|\\[1-9]", value):
        raise ValueError(f'"{value}" looks around or back, which SQL engines do not do; write it without')
    return value


Pattern = Annotated[str, AfterValidator(_a_pattern)]


class Label(Declaration):
    """A name that marketers see, in both languages."""

    en: str = Field(min_length=1)
    fr: str = Field(min_length=1)


class LineCondition(Declaration):
    """What a line must be for a rule to hold: every given condition, any value of a list."""

    products: tuple[str, ...] = Field(default=(), description="Product references, whatever their case")
    product_matches: Pattern | None = Field(
        default=None, description="Found in the product reference, whatever its case"
    )
    label_matches: Pattern | None = Field(default=None, description="Found in the product's label, whatever its case")
    is_product: bool | None = Field(default=None, description="What the catalogue says of the product")
    order_matches: Pattern | None = Field(default=None, description="Found in the order number, whatever its case")
    sources: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    statuses: tuple[str, ...] = Field(default=(), description="Order status: completed, cancelled, refunded, pending")
    quantity: Sign | None = None
    unit_price: Sign | None = None
    amount: Sign | None = None

    @model_validator(mode="after")
    def _says_something(self) -> LineCondition:
        if not self.model_fields_set:
            raise ValueError('"when" is empty: such a rule would hold for every line; give a condition')
        return self


class LineRule(Declaration):
    """A kind of line and how it is recognised. The first rule that holds decides; none: a sale."""

    kind: LineKind
    when: LineCondition
    why: str = Field(default="", description="What the rule is about, for people")


class SameOrders(Declaration):
    """Orders that two systems both send: which they are, and whose copy is kept (the first source's)."""

    sources: tuple[str, ...] = Field(min_length=2)
    match: Literal["order_number", "customer_day_amount"] = "order_number"
    ignore: Pattern | None = Field(default=None, description="Part of the order number that is left out, such as ^WEB-")


class OrderSystem(Declaration):
    """Sources that share order numbers: headers in one file, lines in another."""

    system: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    sources: tuple[str, ...] = Field(min_length=1)


class Orders(Declaration):
    """How lines become orders."""

    drop_exact_repeats: Literal["none", "all"] | tuple[str, ...] = Field(
        default="none",
        description="Sources whose lines carry no number of their own, so that an equal line is a repeat",
    )
    systems: tuple[OrderSystem, ...] = ()
    same_orders: tuple[SameOrders, ...] = ()
    line_kinds: tuple[LineRule, ...] = (
        LineRule(kind="fee", when=LineCondition(is_product=False)),
        LineRule(kind="pending", when=LineCondition(statuses=("pending",))),
        LineRule(kind="cancellation", when=LineCondition(statuses=("cancelled",))),
        LineRule(kind="write_off", when=LineCondition(quantity="negative", unit_price="zero")),
        LineRule(kind="voucher", when=LineCondition(unit_price="negative")),
        LineRule(kind="return", when=LineCondition(quantity="negative")),
        LineRule(kind="return", when=LineCondition(amount="negative")),
    )

    @model_validator(mode="after")
    def _a_source_has_one_system(self) -> Orders:
        seen: dict[str, str] = {}
        for system in self.systems:
            for source in system.sources:
                if source in seen:
                    raise ValueError(
                        f'source "{source}" is in the systems "{seen[source]}" and "{system.system}"; keep one'
                    )
                seen[source] = system.system
        return self


class CurrencyRate(Declaration):
    """What one unit of a currency is worth in the company's, from a date on."""

    currency: str = Field(pattern=r"^[A-Z]{3}$")
    since: dt.date
    rate: Decimal = Field(gt=0, lt=Decimal("10000000"))

    @field_validator("rate", mode="before")
    @classmethod
    def _exact(cls, value: object) -> object:
        # A YAML number arrives as a float: its text is what was written.
        return Decimal(str(value)) if isinstance(value, float | int) and not isinstance(value, bool) else value


class Thresholds(Declaration):
    """Four ascending edges: a value above n of them scores n + 1 (recency: 5 - n)."""

    recency_days: tuple[int, int, int, int]
    frequency: tuple[int, int, int, int]
    monetary: tuple[Decimal, Decimal, Decimal, Decimal]

    @field_validator("monetary", mode="before")
    @classmethod
    def _exact(cls, value: object) -> object:
        return [Decimal(str(v)) for v in value] if isinstance(value, list | tuple) else value

    @model_validator(mode="after")
    def _ascending(self) -> Thresholds:
        for name in ("recency_days", "frequency", "monetary"):
            edges = list(getattr(self, name))
            if edges != sorted(edges):
                raise ValueError(f'"{name}" should rise: {", ".join(map(str, edges))}')
        return self


class RfmMethod(Declaration):
    """One way to score recency, frequency and monetary value."""

    method: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    describes: str = ""
    unit: Literal["customer", "household"] = "customer"
    counts: Literal["products", "everything"] = Field(
        default="products",
        description="products: orders with a product sold; everything: fees, vouchers and free lines too",
    )
    returns: Literal["net", "drop"] = Field(default="net", description="Deduct returns, or leave them out")
    window_days: int | None = Field(default=None, ge=1, description="Only orders this recent; none: all")
    monetary_above: Decimal | None = Field(
        default=Decimal(0), description="Customers whose monetary value is not above this are not scored"
    )
    scores: Literal["quintiles", "thresholds"] = "quintiles"
    thresholds: Thresholds | None = None
    frequency_ties: Literal["together", "first_record"] = Field(
        default="together",
        description=(
            "Equal frequencies score the same; or are ranked by the key of the customer's first record, "
            "as published methods do (rank by first occurrence)"
        ),
    )
    grid: str = "ten_segments"

    @field_validator("monetary_above", mode="before")
    @classmethod
    def _exact(cls, value: object) -> object:
        return Decimal(str(value)) if isinstance(value, float | int) and not isinstance(value, bool) else value

    @model_validator(mode="after")
    def _thresholds_are_given(self) -> RfmMethod:
        if (self.scores == "thresholds") != (self.thresholds is not None):
            raise ValueError(f'method "{self.method}": "thresholds" goes with "scores: thresholds", and only with it')
        return self


Score = Annotated[int, Field(ge=1, le=5)]


class RfmCell(Declaration):
    """A segment of a grid: the recency and frequency scores that belong to it."""

    segment: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    label: Label
    recency: tuple[Score, ...] = Field(min_length=1)
    frequency: tuple[Score, ...] = Field(min_length=1)


class RfmGrid(Declaration):
    """A grid that gives each of the 25 pairs of recency and frequency scores one segment."""

    grid: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    cells: tuple[RfmCell, ...]

    @model_validator(mode="after")
    def _covers_all_once(self) -> RfmGrid:
        owner: dict[tuple[int, int], str] = {}
        for cell in self.cells:
            for recency in cell.recency:
                for frequency in cell.frequency:
                    taken = owner.setdefault((recency, frequency), cell.segment)
                    if taken != cell.segment:
                        raise ValueError(
                            f'grid "{self.grid}": recency {recency}, frequency {frequency} is in '
                            f'"{taken}" and "{cell.segment}"; keep one'
                        )
        free = [f"{r}{f}" for r in range(1, 6) for f in range(1, 6) if (r, f) not in owner]
        if free:
            raise ValueError(f'grid "{self.grid}": no segment has the scores {", ".join(free)}')
        return self


def _cell(segment: str, en: str, fr: str, recency: tuple[int, ...], frequency: tuple[int, ...]) -> RfmCell:
    return RfmCell(segment=segment, label=Label(en=en, fr=fr), recency=recency, frequency=frequency)


TEN_SEGMENTS = RfmGrid(
    grid="ten_segments",
    cells=(
        _cell("hibernating", "Hibernating", "En sommeil", (1, 2), (1, 2)),
        _cell("at_risk", "At risk", "À risque", (1, 2), (3, 4)),
        _cell("cant_lose", "Can't lose them", "À ne pas perdre", (1, 2), (5,)),
        _cell("about_to_sleep", "About to sleep", "En voie d'endormissement", (3,), (1, 2)),
        _cell("need_attention", "Need attention", "À surveiller", (3,), (3,)),
        _cell("loyal", "Loyal", "Fidèles", (3, 4), (4, 5)),
        _cell("promising", "Promising", "Prometteurs", (4,), (1,)),
        _cell("new", "New", "Nouveaux", (5,), (1,)),
        _cell("potential_loyalist", "Potential loyalists", "Fidèles en devenir", (4, 5), (2, 3)),
        _cell("champion", "Champions", "Champions", (5,), (4, 5)),
    ),
)


class Rfm(Declaration):
    """The RFM methods; the first one of customers is the default that `customer_360` shows."""

    methods: tuple[RfmMethod, ...] = (RfmMethod(method="net_of_returns"),)
    grids: tuple[RfmGrid, ...] = ()

    @model_validator(mode="after")
    def _names_fit(self) -> Rfm:
        names = [method.method for method in self.methods]
        if not names:
            raise ValueError('"methods" is empty: give one, or leave it out for the default')
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f'method "{twice[0]}" is given twice')
        if self.methods[0].unit != "customer":
            raise ValueError(f'the first method is the default and must be of customers, not "{names[0]}"')
        grids = [grid.grid for grid in self.all_grids]
        if len(set(grids)) < len(grids):
            raise ValueError("a grid is given twice (ten_segments is there without being declared)")
        for method in self.methods:
            if method.grid not in grids:
                raise ValueError(
                    f'method "{method.method}": there is no grid "{method.grid}"; known: {", ".join(grids)}'
                )
        return self

    @property
    def all_grids(self) -> tuple[RfmGrid, ...]:
        return (TEN_SEGMENTS, *self.grids)


class Deadline(Declaration):
    """A silence: a quantile of the shop's own intervals between purchases, or days given."""

    quantile: float = Field(gt=0, lt=1)
    days: int | None = Field(default=None, ge=1, description="Fixed days instead of the quantile")


class GroupDays(Declaration):
    """Days given for one channel or category; what is left out comes from the general settings."""

    late: int | None = Field(default=None, ge=1)
    at_risk: int | None = Field(default=None, ge=1)
    lost: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _rise(self) -> GroupDays:
        days = [given for given in (self.late, self.at_risk, self.lost) if given]
        if not days:
            raise ValueError("no days are given: say late, at_risk or lost")
        if days != sorted(set(days)):
            raise ValueError("the days should rise: late, at_risk, lost")
        return self


class Lifecycle(Declaration):
    """When a customer is late, at risk, lost; loyal, ambassador; and what keeps them from flapping.

    Quantiles are worked out each month from the intervals closed before it, so that a past day's
    stage never depends on what happened later.
    """

    rhythm_by: Literal["shop", "channel", "category"] = "shop"
    minimum_intervals: int = Field(default=200, ge=1, description="Fewer closed intervals: the starting days are used")
    minimum_history_days: int = Field(
        default=180, ge=1, description="A shorter history holds no long intervals: the starting days are used"
    )
    starting_days: tuple[int, int, int] = Field(
        default=(90, 180, 365), description="Late, at risk, lost, until there are enough intervals and history"
    )
    late: Deadline = Deadline(quantile=0.80)
    at_risk: Deadline = Deadline(quantile=0.90)
    lost: Deadline = Deadline(quantile=0.95)
    overrides: dict[str, GroupDays] = Field(
        default_factory=dict, description="Days of one channel or category, by its name; they win over all else"
    )
    minimum_stay_days: int = Field(default=14, ge=1, description="No stage is left sooner for a lower one")
    loyal_orders: int | None = Field(
        default=None, ge=2, description="Orders in 365 days; none: as many as buying at the late interval makes"
    )
    ambassador_orders: int | None = Field(
        default=None, ge=2, description="Orders in 365 days; none: as many as buying at the median interval makes"
    )
    keep_share: float = Field(
        default=0.75, gt=0, le=1, description="Hysteresis: a tier is kept while orders reach this share of its entry"
    )
    labels: dict[Stage, Label] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _in_order(self) -> Lifecycle:
        if list(self.starting_days) != sorted(set(self.starting_days)):
            raise ValueError('"starting_days" should rise: late, at risk, lost')
        if not self.late.quantile < self.at_risk.quantile < self.lost.quantile:
            raise ValueError("the quantiles should rise: late, at_risk, lost")
        days = [deadline.days for deadline in (self.late, self.at_risk, self.lost) if deadline.days]
        if days != sorted(days):
            raise ValueError("the days should rise: late, at_risk, lost")
        if self.loyal_orders and self.ambassador_orders and self.loyal_orders >= self.ambassador_orders:
            raise ValueError('"ambassador_orders" should be above "loyal_orders"')
        if self.overrides and self.rhythm_by == "shop":
            raise ValueError('"overrides" are of channels or categories: set "rhythm_by" to channel or category')
        return self


class Cohorts(Declaration):
    """Which orders make a cohort and its retention."""

    counts: Literal["products", "everything"] = "products"


class Affinity(Declaration):
    """Which products are bought together."""

    window_days: int = Field(default=365, ge=1)
    minimum_orders: int = Field(default=5, ge=1, description="Orders a pair of products must share")
    largest_basket: int = Field(default=60, ge=2, description="Orders with more products say nothing of affinity")
    kept_per_product: int = Field(default=20, ge=1)
    recommended_per_customer: int = Field(default=5, ge=1)


_STAGE_LABELS: dict[Stage, Label] = {
    "prospect": Label(en="Prospect", fr="Prospect"),
    "new": Label(en="New", fr="Nouveau"),
    "regular": Label(en="Regular", fr="Régulier"),
    "loyal": Label(en="Loyal", fr="Fidèle"),
    "ambassador": Label(en="Ambassador", fr="Ambassadeur"),
    "at_risk": Label(en="At risk", fr="À risque"),
    "abandoner": Label(en="Abandoner", fr="Abandonniste"),
    "reactivated": Label(en="Reactivated", fr="Réactivé"),
    "suppressed": Label(en="Suppressed", fr="Exclu"),
}


class Value(Declaration):
    """`value.yml`. Every part has defaults: an empty file is `orders: {}`."""

    orders: Orders = Orders()
    currency_rates: tuple[CurrencyRate, ...] = ()
    rfm: Rfm = Rfm()
    lifecycle: Lifecycle = Lifecycle()
    cohorts: Cohorts = Cohorts()
    affinity: Affinity = Affinity()

    @model_validator(mode="after")
    def _rates_are_once(self) -> Value:
        seen: set[tuple[str, dt.date]] = set()
        for rate in self.currency_rates:
            if (rate.currency, rate.since) in seen:
                raise ValueError(f"currency {rate.currency} has two rates since {rate.since}; keep one")
            seen.add((rate.currency, rate.since))
        return self

    def tables(self) -> dict[str, pa.Table]:
        """The `control` tables of this file: line rules, systems, rates, RFM, lifecycle, affinity."""
        return {
            **_order_tables(self.orders),
            "currency_rates": _rate_table(self.currency_rates),
            **_rfm_tables(self.rfm),
            **_lifecycle_tables(self.lifecycle),
            "cohort_settings": _table([{"counts": self.cohorts.counts}], {"counts": _TEXT}),
            "affinity_settings": _table(
                [self.affinity.model_dump()],
                {name: pa.int32() for name in type(self.affinity).model_fields},
            ),
        }


_TEXT, _INT, _BOOL, _DATE = pa.string(), pa.int32(), pa.bool_(), pa.date32()
_MONEY, _RATE = pa.decimal128(18, 4), pa.decimal128(18, 8)


def _table(rows: list[dict[str, Any]], columns: dict[str, pa.DataType]) -> pa.Table:
    schema = pa.schema(list(columns.items()))
    return pa.Table.from_pylist([{name: row.get(name) for name in columns} for row in rows], schema=schema)


def _order_tables(orders: Orders) -> dict[str, pa.Table]:
    rules, values = [], []
    for position, rule in enumerate(orders.line_kinds, start=1):
        when = rule.when
        lists = {"product": when.products, "source": when.sources, "channel": when.channels, "status": when.statuses}
        rules.append(
            {
                "position": position,
                "kind": rule.kind,
                "why": rule.why,
                "product_matches": when.product_matches,
                "label_matches": when.label_matches,
                "is_product": when.is_product,
                "order_matches": when.order_matches,
                "quantity_sign": when.quantity,
                "unit_price_sign": when.unit_price,
                "amount_sign": when.amount,
                **{f"has_{name}_list": bool(listed) for name, listed in lists.items()},
            }
        )
        for name, listed in lists.items():
            values += [
                {"position": position, "field": name, "value": value.lower()}
                for value in sorted({value.lower() for value in listed})
            ]
    dropped = orders.drop_exact_repeats
    repeats: list[str] = [dropped] if isinstance(dropped, str) else sorted({*dropped})
    return {
        "line_kind_rules": _table(
            rules,
            {
                "position": _INT, "kind": _TEXT, "why": _TEXT, "product_matches": _TEXT, "label_matches": _TEXT,
                "is_product": _BOOL, "order_matches": _TEXT, "quantity_sign": _TEXT, "unit_price_sign": _TEXT,
                "amount_sign": _TEXT, "has_product_list": _BOOL, "has_source_list": _BOOL, "has_channel_list": _BOOL,
                "has_status_list": _BOOL,
            },
        ),
        "line_kind_rule_values": _table(values, {"position": _INT, "field": _TEXT, "value": _TEXT}),
        "repeat_sources": _table(
            [{"source": source} for source in repeats if source != "none"], {"source": _TEXT}
        ),
        "order_systems": _table(
            [
                {"source": source, "order_system": system.system}
                for system in orders.systems
                for source in system.sources
            ],
            {"source": _TEXT, "order_system": _TEXT},
        ),
        "same_order_rules": _table(
            [
                {
                    "position": position,
                    "source": source,
                    "preference": preference,
                    "match_by": rule.match,
                    "ignored_pattern": rule.ignore,
                }
                for position, rule in enumerate(orders.same_orders, start=1)
                for preference, source in enumerate(rule.sources, start=1)
            ],
            {"position": _INT, "source": _TEXT, "preference": _INT, "match_by": _TEXT, "ignored_pattern": _TEXT},
        ),
    }  # fmt: skip


def _rate_table(rates: tuple[CurrencyRate, ...]) -> pa.Table:
    rows = []
    for rate in rates:
        later = [other.since for other in rates if other.currency == rate.currency and other.since > rate.since]
        rows.append(
            {
                "currency": rate.currency,
                "since_on": rate.since,
                "until_on": min(later, default=dt.date(9999, 12, 31)),
                "rate": rate.rate.quantize(Decimal("0.00000001")),
            }
        )
    rows.sort(key=lambda row: (row["currency"], row["since_on"]))
    return _table(rows, {"currency": _TEXT, "since_on": _DATE, "until_on": _DATE, "rate": _RATE})


def _rfm_tables(rfm: Rfm) -> dict[str, pa.Table]:
    settings = [
        {
            "method": method.method,
            "position": position,
            "is_default": position == 1,
            "describes": method.describes,
            "unit": method.unit,
            "counts": method.counts,
            "returns": method.returns,
            "window_days": method.window_days,
            "monetary_above": method.monetary_above,
            "scores": method.scores,
            "frequency_ties": method.frequency_ties,
            "grid": method.grid,
        }
        for position, method in enumerate(rfm.methods, start=1)
    ]
    edges = []
    for method in rfm.methods:
        if method.thresholds:
            measures: dict[str, tuple[int | Decimal, ...]] = {
                "recency": method.thresholds.recency_days,
                "frequency": method.thresholds.frequency,
                "monetary": method.thresholds.monetary,
            }
            for measure, values in measures.items():
                row: dict[str, Any] = {"method": method.method, "measure": measure}
                row |= {f"edge_{n}": Decimal(value) for n, value in enumerate(values, start=1)}
                edges.append(row)
    grid = [
        {
            "grid": grid.grid,
            "recency_score": recency,
            "frequency_score": frequency,
            "segment": cell.segment,
            "label_en": cell.label.en,
            "label_fr": cell.label.fr,
            "position": position,
        }
        for grid in rfm.all_grids
        for position, cell in enumerate(grid.cells, start=1)
        for recency in sorted(set(cell.recency))
        for frequency in sorted(set(cell.frequency))
    ]
    return {
        "rfm_settings": _table(
            settings,
            {
                "method": _TEXT, "position": _INT, "is_default": _BOOL, "describes": _TEXT, "unit": _TEXT,
                "counts": _TEXT, "returns": _TEXT, "window_days": _INT, "monetary_above": _MONEY, "scores": _TEXT,
                "frequency_ties": _TEXT, "grid": _TEXT,
            },
        ),
        "rfm_thresholds": _table(
            edges,
            {"method": _TEXT, "measure": _TEXT, "edge_1": _MONEY, "edge_2": _MONEY, "edge_3": _MONEY, "edge_4": _MONEY},
        ),
        "rfm_grid": _table(
            grid,
            {
                "grid": _TEXT, "recency_score": _INT, "frequency_score": _INT, "segment": _TEXT, "label_en": _TEXT,
                "label_fr": _TEXT, "position": _INT,
            },
        ),
    }  # fmt: skip


def _lifecycle_tables(lifecycle: Lifecycle) -> dict[str, pa.Table]:
    late, at_risk, lost = lifecycle.starting_days
    settings = {
        "rhythm_by": lifecycle.rhythm_by,
        "minimum_intervals": lifecycle.minimum_intervals,
        "minimum_history_days": lifecycle.minimum_history_days,
        "starting_late_days": late,
        "starting_at_risk_days": at_risk,
        "starting_lost_days": lost,
        "late_quantile": lifecycle.late.quantile,
        "at_risk_quantile": lifecycle.at_risk.quantile,
        "lost_quantile": lifecycle.lost.quantile,
        "late_days": lifecycle.late.days,
        "at_risk_days": lifecycle.at_risk.days,
        "lost_days": lifecycle.lost.days,
        "minimum_stay_days": lifecycle.minimum_stay_days,
        "loyal_orders": lifecycle.loyal_orders,
        "ambassador_orders": lifecycle.ambassador_orders,
        "keep_share": lifecycle.keep_share,
    }
    labels = {**_STAGE_LABELS, **lifecycle.labels}
    stages = [
        {"stage": stage, "position": position, "label_en": labels[stage].en, "label_fr": labels[stage].fr}
        for position, stage in enumerate(STAGES, start=1)
    ]
    kinds = {
        name: _TEXT if name == "rhythm_by" else pa.float64() if name.endswith(("quantile", "share")) else _INT
        for name in settings
    }
    overrides = [
        {
            "rhythm_group": group,
            "late_days": days.late,
            "at_risk_days": days.at_risk,
            "lost_days": days.lost,
        }
        for group, days in sorted(lifecycle.overrides.items())
    ]
    return {
        "lifecycle_settings": _table([settings], kinds),
        "lifecycle_overrides": _table(
            overrides, {"rhythm_group": _TEXT, "late_days": _INT, "at_risk_days": _INT, "lost_days": _INT}
        ),
        "lifecycle_stages": _table(stages, {"stage": _TEXT, "position": _INT, "label_en": _TEXT, "label_fr": _TEXT}),
    }

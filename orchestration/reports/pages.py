"""What each page shows, read from a build or a published database.

What belongs here: questions asked of the published tables, and their answers in the order a page tells them.
What does not: markup (`templates`), how a chart is drawn (`charts`).

Only `review` reads names, addresses and numbers; the others read counts, and ids of nobody.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import duckdb

from orchestration.contracts.catalogue import Catalogue
from orchestration.contracts.matching import review_priority
from orchestration.reports import charts
from orchestration.reports.charts import Series
from orchestration.warehouse import Connection, literal

Row = dict[str, Any]

CHANNELS = ("email", "sms", "phone", "post")
_CHANNEL_WORDS = {"email": "e-mail", "sms": "SMS", "phone": "phone", "post": "post"}

#: Segments that fit on an overlap map; the largest come first.
MAPPED_SEGMENTS = 60
#: Pairs on the review page.
SHOWN_PAIRS = 200


class Reader:
    """Answers of one database, as dictionaries."""

    def __init__(self, connection: Connection, catalogue: Catalogue, version: str) -> None:
        self.connection = connection
        self.catalogue = catalogue
        self.version = version
        declared = {**catalogue.parts["value"].tables(), **catalogue.parts["plans"].tables()}
        self.stages = {
            row["stage"]: (row["label_en"], row["label_fr"]) for row in declared["lifecycle_stages"].to_pylist()
        }
        self.rfm = {
            row["segment"]: (row["label_en"], row["label_fr"], row["position"])
            for row in declared["rfm_grid"].to_pylist()
        }
        self.plans = {row["plan"]: (row["label_en"], row["label_fr"]) for row in declared["plans"].to_pylist()}

    def rows(self, query: str) -> list[Row]:
        found = self.connection.execute(query)
        names = [column[0] for column in found.description or []]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def row(self, query: str) -> Row:
        return self.rows(query)[0]

    def has(self, table: str, *columns: str) -> bool:
        """Whether the database holds `table` with these columns: older publications hold less."""
        try:
            self.connection.execute(f"select {', '.join(columns) or '1'} from {table} limit 0")
        except (duckdb.CatalogException, duckdb.BinderException):
            return False
        return True


@dataclass(frozen=True)
class Grid:
    """Counts by two names: the columns, and for each row its name and its counts by column."""

    columns: list[str]
    rows: list[tuple[str, dict[str, int]]]


def grid_of(rows: list[Row], down: str, across: str) -> Grid:
    """`rows` with a count `n` by the columns `down` and `across`; the heaviest row first, columns by name."""
    found: dict[str, dict[str, int]] = {}
    for one in rows:
        found.setdefault(one[down], {})[one[across]] = one["n"]
    ordered = sorted(found.items(), key=lambda item: (-sum(item[1].values()), item[0]))
    return Grid(sorted({one[across] for one in rows}), ordered)


@dataclass(frozen=True)
class Page:
    """A page: its name, its titles, what it shows."""

    name: str
    title: str
    title_fr: str
    tell: Callable[[Reader], Row]
    is_personal: bool = False

    @property
    def file(self) -> str:
        return f"{self.name}.html"


def page_of(page: Page, reader: Reader) -> Row:
    """Everything a template gets."""
    as_of_on: dt.date = (
        reader.row("select max(as_of_on) as day from rcu.customers")["day"]
        or reader.row("select max(as_of_on) as day from segments.evaluation")["day"]
    )
    return {
        "page": page,
        "pages": PAGES,
        "company": reader.catalogue.company.name,
        "currency": reader.catalogue.company.currency,
        "version": reader.version,
        "as_of_on": as_of_on,
        "charts": charts,
        **page.tell(reader),
    }


# ---------------------------------------------------------------------------------------------------
# Overview


def overview(reader: Reader) -> Row:
    files = reader.row(
        "select coalesce(sum(rows_read), 0) as rows_read, coalesce(sum(rows_quarantined), 0) as quarantined, "
        "coalesce(sum(rows_filtered), 0) as filtered, count(*) as files from audit.files"
    )
    customers = reader.row("select count(*) as customers, coalesce(sum(record_count), 0) as records from rcu.customers")
    orders = reader.row(
        "select count(*) as orders, count_if(customer_id = 'unknown') as unknown_orders, "
        "coalesce(sum(amount_net) filter (where is_purchase), 0) as amount_net from marts.orders"
    )
    sources = reader.rows(
        """
        with delivered as (
            select source, count_if(status = 'landed') as files, sum(rows_read) as rows_read,
                sum(rows_quarantined) as quarantined, count_if(status not in ('landed', 'duplicate', 'header_only')) as refused
            from audit.files group by source
        )
        select freshness.*, coalesce(files, 0) as files, coalesce(rows_read, 0) as rows_read,
            coalesce(quarantined, 0) as quarantined, coalesce(refused, 0) as refused
        from audit.freshness as freshness left join delivered on delivered.source = freshness.source
        order by freshness.is_missing desc, freshness.is_late desc, freshness.source
        """
    )
    for source in sources:
        contract = reader.catalogue.sources.get(source["source"])
        source["describes"] = contract.describes if contract else ""
        source["owner"] = contract.owner if contract and contract.owner and contract.owner.startswith("team:") else ""
    gates = reader.rows(
        "select gate, count(*) as total, count_if(passed) as passed, "
        "count_if(not passed and severity = 'error') as failed, count_if(not passed and severity <> 'error') as warned "
        "from audit.checks group by gate order by case gate when 'landing' then 1 when 'golden' then 2 else 3 end, gate"
    )
    runs = reader.rows(
        "select as_of_on, version, status, mode, is_forward, reason, counts, "
        "date_diff('second', started_at, ended_at) as seconds, started_at "
        "from audit.runs order by started_at desc, run_id desc limit 12"
    )
    past = [json.loads(run["counts"] or "{}").get("rcu.customers") for run in reversed(runs) if run["is_forward"]]
    return {
        "files": files,
        "customers": customers,
        "orders": orders,
        "sources": sources,
        "gates": gates,
        "runs": runs,
        "customers_over_runs": [*(count for count in past if count), customers["customers"]],
        "segments": reader.row("select count(*) as n, count(distinct customer_id) as members from segments.members"),
        "segment_count": reader.row("select count(*) as n from segments.definitions")["n"],
        "attention": _attention(reader, sources),
    }


def _attention(reader: Reader, sources: list[Row]) -> list[tuple[str, str, str]]:
    """What a person should look at: (kind, words, page). Kinds: bad, warn."""
    found = []
    for source in sources:
        if source["is_missing"]:
            found.append(("bad", f"{source['source']} is required and was never delivered", "quality.html"))
        elif source["is_late"]:
            found.append(
                ("warn", f"{source['source']} is late: last about {source['last_business_on']}", "index.html#sources")
            )
        if source["refused"]:
            found.append(
                ("warn", f"{source['refused']} file(s) of {source['source']} were refused", "quality.html#files")
            )
    for check in _checks_not_passed(reader):
        kind = "bad" if check["severity"] == "error" else "warn"
        found.append((kind, f"check {charts.words(check['name'])} did not pass", "quality.html#checks"))
    odd = [one for one in _sizes(reader) if one["status"] not in ("ok", "unchecked")]
    for one in odd[:6]:
        found.append(
            (
                "warn",
                f"segment {one['label_en']} is {one['status']} ({one['size']:,})",
                f"segments.html#{one['segment']}",
            )
        )
    if len(odd) > 6:
        found.append(("warn", f"{len(odd) - 6} more segments are not of their expected size", "segments.html"))
    waiting = reader.row("select count(*) as n from rcu.match_review")["n"]
    if waiting:
        found.append(("todo", f"{waiting:,} pairs of records wait for an answer", "review.html"))
    return found


def _checks_not_passed(reader: Reader) -> list[Row]:
    return reader.rows(
        "select gate, name, severity, schema_name || '.' || table_name as judged, message, describes, unexpected_count, "
        "element_count from audit.checks where not passed order by severity, gate, name"
    )


# ---------------------------------------------------------------------------------------------------
# Data quality


def quality(reader: Reader) -> Row:
    refused = reader.rows(
        "select source, rule, reason, column_name, count(*) as n from audit.quarantine "
        "group by source, rule, reason, column_name order by n desc, source, rule, reason, column_name"
    )
    per_source = reader.rows(
        "select source, coalesce(sum(rows_read), 0) as rows_read, coalesce(sum(rows_landed), 0) as landed, "
        "coalesce(sum(rows_quarantined), 0) as quarantined, coalesce(sum(rows_filtered), 0) as filtered "
        "from audit.files where source <> '' group by source order by source"
    )
    profile = reader.rows(
        "select source, entity, column_name, rows, filled_rate, distinct_count from audit.source_profile "
        "order by source, entity, column_name"
    )
    grouped: dict[tuple[str, str], list[Row]] = {}
    for one in profile:
        grouped.setdefault((one["source"], one["entity"]), []).append(one)
    return {
        "refused": refused,
        "refused_total": sum(one["n"] for one in refused),
        "per_source": per_source,
        "profile": grouped,
        "files": reader.rows(
            "select source, file_name, status, message, rows_read, received_on from audit.files "
            "where status <> 'landed' order by received_on desc, source, file_name, status limit 100"
        ),
        "not_passed": _checks_not_passed(reader),
        "checks": reader.rows(
            "select gate, name, severity, passed, schema_name || '.' || table_name as judged, describes, duration_seconds "
            "from audit.checks order by case gate when 'landing' then 1 when 'golden' then 2 else 3 end, judged, name"
        ),
    }


# ---------------------------------------------------------------------------------------------------
# Identity


def identity(reader: Reader) -> Row:
    links = reader.rows(
        "select coalesce(rule, 'probabilistic model') as rule, count(*) as n, "
        "count_if(is_within_customer) as joined, count_if(band = 'review') as review, "
        "count_if(band = 'rejected') as rejected from rcu.match_links group by 1 order by n desc, rule"
    )
    clusters = reader.rows(
        "select least(record_count, 12) as records, count(*) as customers from rcu.customers group by 1 order by 1"
    )
    waiting = reader.rows(
        "select coalesce(reason, '') as reason, coalesce(guard, '') as guard, count(*) as n "
        "from rcu.match_review group by 1, 2 order by n desc, reason, guard"
    )
    events = reader.rows(
        "select event_on, event, count(*) as n from rcu.customer_id_history "
        "group by event_on, event order by event_on desc, event limit 60"
    )
    days: dict[dt.date, dict[str, int]] = {}
    for one in events:
        days.setdefault(one["event_on"], {})[one["event"]] = one["n"]
    return {
        "links": links,
        "clusters": clusters,
        "customers": reader.row(
            "select count(*) as n, sum(record_count) as records, max(record_count) as largest, "
            "count_if(source_count > 1) as several_sources from rcu.customers"
        ),
        "waiting": waiting,
        "waiting_total": sum(one["n"] for one in waiting),
        "days": list(days.items())[:10],
        "event_names": sorted({one["event"] for one in events}),
        "shared": reader.rows(
            "select type, count(distinct value) as n, count(distinct customer_id) as customers "
            "from rcu.identifiers where is_shared group by type order by type"
        ),
        "identifiers": reader.rows(
            "select type, count(distinct value) as n, count(distinct customer_id) as customers "
            "from rcu.identifiers group by type order by type"
        ),
        "suspicious": reader.rows(
            "select reason, count(*) as n, max(record_count) as largest from identity.suspicious_clusters "
            "group by reason order by n desc, reason"
        )
        if reader.has("identity.suspicious_clusters")
        else None,
        "metrics": reader.rows("select name, value from identity.metrics order by name")
        if reader.has("identity.metrics")
        else None,
        "households": reader.row("select count(*) as n, coalesce(sum(member_count), 0) as members from rcu.households"),
    }


#: Columns of the two records, side by side: (name, what it is called).
_SIDES = (
    ("civility", "Civility"), ("first_name", "First name"), ("last_name", "Last name"), ("birth_name", "Birth name"),
    ("birth_on", "Born on"), ("email", "E-mail"), ("phone", "Phone"), ("address_line", "Address"),
    ("postal_code", "Postal code"), ("city", "Town"), ("card_number", "Card"),
)  # fmt: skip


def review(reader: Reader) -> Row:
    """The pairs that wait, the most valuable first: what both are worth, times how unsure we are."""
    from_records = reader.has("intermediate.int_identity_records")
    pairs = reader.rows(
        f"""
        with valued as (
            select review.*,
                cast(coalesce(mine.amount_net, 0) + coalesce(theirs.amount_net, 0) as double) as amount,
                coalesce(mine.order_count, 0) + coalesce(theirs.order_count, 0) as orders
            from rcu.match_review as review
            left join marts.customer_360 as mine on mine.customer_id = review.left_customer_id
            left join marts.customer_360 as theirs on theirs.customer_id = review.right_customer_id
        )
        select valued.*, {review_priority("amount", "match_probability")} as worth,
            links.field_weights, links.match_weight
        from valued
        left join (
            select left_source, left_record_id, right_source, right_record_id,
                any_value(field_weights order by match_weight desc) as field_weights, max(match_weight) as match_weight
            from rcu.match_links group by all
        ) as links using (left_source, left_record_id, right_source, right_record_id)
        order by worth desc, pair_id
        limit {SHOWN_PAIRS}
        """
    )
    keys = sorted(
        {(p["left_source"], p["left_record_id"]) for p in pairs}
        | {(p["right_source"], p["right_record_id"]) for p in pairs}
    )
    found = _records(reader, keys) if from_records else {}
    golden = (
        {}
        if from_records
        else _golden(reader, sorted({p[side] for p in pairs for side in ("left_customer_id", "right_customer_id")}))
    )
    for pair in pairs:
        sides = []
        for side in ("left", "right"):
            key = (pair[f"{side}_source"], pair[f"{side}_record_id"])
            sides.append(found.get(key) or golden.get(pair[f"{side}_customer_id"]) or {})
        weights = json.loads(pair["field_weights"]) if pair["field_weights"] else {}
        pair["weights"] = sorted(weights.items(), key=lambda one: (-abs(one[1]), one[0]))
        pair["fields"] = [
            (label, sides[0].get(name), sides[1].get(name), _alike(sides[0].get(name), sides[1].get(name)))
            for name, label in _SIDES
            if sides[0].get(name) or sides[1].get(name)
        ]
    return {
        "pairs": pairs,
        "waiting_total": reader.row("select count(*) as n from rcu.match_review")["n"],
        "from_records": from_records,
    }


def _alike(left: Any, right: Any) -> str:
    if left in (None, "") or right in (None, ""):
        return "one"
    return "same" if str(left).casefold() == str(right).casefold() else "differs"


def _records(reader: Reader, keys: list[tuple[str, str]]) -> dict[tuple[str, str], Row]:
    if not keys:
        return {}
    listing = ", ".join(f"({literal(source)}, {literal(record)})" for source, record in keys)
    rows = reader.rows(
        "select source, record_id, civility, first_name, last_name, birth_name, birth_on, email, "
        "coalesce(phone_mobile, phone_landline, phone_other) as phone, address_line, postal_code, city, card_number "
        f"from intermediate.int_identity_records where (source, record_id) in ({listing}) order by source, record_id"
    )
    return {(row["source"], row["record_id"]): row for row in rows}


def _golden(reader: Reader, ids: list[str]) -> dict[str, Row]:
    if not ids:
        return {}
    rows = reader.rows(
        "select customer_id, civility, first_name, last_name, birth_name, birth_on, email, phone, address_line, "
        f"postal_code, city from rcu.customers where customer_id in ({', '.join(map(literal, ids))}) order by customer_id"
    )
    return {row["customer_id"]: row for row in rows}


# ---------------------------------------------------------------------------------------------------
# Segments


def _sizes(reader: Reader) -> list[Row]:
    return reader.rows(
        """
        select sizes.*, definitions.label_en, definitions.label_fr, definitions.objective, definitions.rule_en,
            definitions.rule_fr, definitions.expected_low_rate, definitions.expected_high_rate, definitions.control_group,
            definitions.exclusive_group, definitions.priority
        from segments.sizes as sizes
        inner join segments.definitions as definitions on definitions.segment = sizes.segment
        where sizes.as_of_on = (select as_of_on from segments.evaluation)
        order by sizes.size desc, sizes.segment
        """
    )


def segments(reader: Reader) -> Row:
    sizes = _sizes(reader)
    past: dict[str, list[int]] = {}
    for one in reader.rows("select segment, size from segments.sizes order by segment, as_of_on"):
        past.setdefault(one["segment"], []).append(one["size"])
    labels = {one["segment"]: (one["label_en"], one["label_fr"]) for one in sizes}
    shown = [one["segment"] for one in sizes if one["size"]][:MAPPED_SEGMENTS]
    place = {name: index for index, name in enumerate(shown)}
    cells: dict[tuple[int, int], tuple[float, str]] = {}
    overlaps = reader.rows(
        "select left_segment, right_segment, both_count, jaccard from segments.overlap where both_count > 0 "
        "order by jaccard desc, left_segment, right_segment"
    )
    for one in overlaps:
        if one["left_segment"] in place and one["right_segment"] in place:
            row, column = sorted((place[one["left_segment"]], place[one["right_segment"]]), reverse=True)
            told = f"{one['left_segment']} and {one['right_segment']}: {one['both_count']:,} ({one['jaccard']:.0%})"
            cells[row, column] = (one["jaccard"], told)
    size_of = {one["segment"]: one["size"] for one in sizes}
    together: dict[str, list[tuple[str, int, float]]] = {}
    for one in overlaps:
        for mine, other in ((one["left_segment"], one["right_segment"]), (one["right_segment"], one["left_segment"])):
            if size_of.get(mine):
                together.setdefault(mine, []).append((other, one["both_count"], one["both_count"] / size_of[mine]))
    plans: dict[str, list[tuple[str, int]]] = {}
    for one in reader.rows(
        "select members.segment, customers.plan, count(*) as n from segments.members as members "
        "inner join marts.customer_360 as customers on customers.customer_id = members.customer_id "
        "group by members.segment, customers.plan order by members.segment, n desc, customers.plan"
    ):
        plan = reader.plans.get(one["plan"] or "", (one["plan"] or "no plan",))[0]
        plans.setdefault(one["segment"], []).append((plan, one["n"]))
    moves = []
    if reader.has("segments.movements"):
        moves = reader.rows(
            "select from_segment, to_segment, customer_count from segments.movements "
            "order by customer_count desc, from_segment, to_segment limit 20"
        )
    return {
        "sizes": sizes,
        "past": past,
        "labels": labels,
        "map": charts.triangle([str(charts.words(name)) for name in shown], cells, title="Overlap of segments"),
        "overlaps": overlaps[:15],
        "together": {name: sorted(found, key=lambda one: (-one[1], one[0]))[:3] for name, found in together.items()},
        "plans": plans,
        "moves": moves,
        "causes": reader.rows(
            "select change, cause, count(*) as n from segments.changes group by change, cause order by change, cause"
        ),
        "channels": [(name, _CHANNEL_WORDS[name]) for name in CHANNELS],
        "triggers": grid_of(
            reader.rows(
                'select "trigger", outcome, count(*) as n from segments.trigger_events '
                "where decided_on = (select as_of_on from segments.evaluation) group by all order by all"
            )
            if reader.has("segments.trigger_events")
            else [],
            "trigger",
            "outcome",
        ),
        "customer_count": sizes[0]["customer_count"] if sizes else 0,
    }


# ---------------------------------------------------------------------------------------------------
# Lifecycle


def lifecycle(reader: Reader) -> Row:
    order = list(reader.stages)
    stages = {
        row["stage"]: row
        for row in reader.rows(
            "select lifecycle_stage as stage, count(*) as n, cast(median(days_in_stage) as integer) as days, "
            "count_if(is_contactable_email or is_contactable_sms or is_contactable_phone or is_contactable_post) as reachable, "
            "coalesce(sum(amount_net_365d), 0) as amount from marts.customer_360 group by 1 order by 1"
        )
    }
    listed = [stages[name] for name in order if name in stages]
    months = reader.rows(
        """
        with months as (
            select distinct cast(date_trunc('month', as_of_on) as date) as last_day from segments.evaluation
        ),
        days as (
            select cast(last_day - to_months(back) as date) as day from months cross join range(12) as past(back)
            union
            select as_of_on from segments.evaluation
        )
        select days.day, history.stage, count(*) as n
        from days
        inner join marts.lifecycle_history as history
            on history.since_on <= days.day and (history.until_on is null or history.until_on > days.day)
        group by days.day, history.stage
        order by days.day, history.stage
        """
    )
    by_stage: dict[str, list[tuple[float, float]]] = {}
    for one in months:
        by_stage.setdefault(one["stage"], []).append((one["day"].toordinal(), one["n"]))
    periods = reader.rows(
        "select period, from_on, to_on, sum(customer_count) as n from marts.lifecycle_transitions "
        "where period like 'last%' group by period, from_on, to_on order by from_on desc"
    )
    chosen = next((one for one in periods if one["period"] == "last_90_days"), periods[0] if periods else None)
    flows = []
    if chosen:
        flows = reader.rows(
            "select from_stage, to_stage, customer_count from marts.lifecycle_transitions "
            f"where period = {literal(chosen['period'])} order by from_stage, to_stage"
        )
    # A customer who came after the first date has no stage there.
    name = {"unknown": "Not known yet", **{stage: label for stage, (label, _) in reader.stages.items()}}
    order_all = list(name)
    cells = {
        (order_all.index(flow["from_stage"]), order_all.index(flow["to_stage"])): float(flow["customer_count"])
        for flow in flows
    }
    rows = sorted({row for row, _ in cells})
    columns = sorted({column for _, column in cells})
    totals = {row: sum(value for (r, _), value in cells.items() if r == row) for row in rows}
    matrix = charts.heat(
        [name[order_all[row]] for row in rows],
        [name[order_all[column]] for column in columns],
        {(rows.index(row), columns.index(column)): value for (row, column), value in cells.items()},
        caption="Customers by stage at the first date (rows) and at the second (columns), shaded by share of the row",
        share=lambda row, _column, value: value / (totals[rows[row]] or 1),
    )
    plans = reader.rows(
        "select lifecycle_stage as stage, plan, count(*) as n from marts.customer_360 group by 1, 2 order by 1, 3 desc, 2"
    )
    per_stage: dict[str, list[Row]] = {}
    for one in plans:
        per_stage.setdefault(one["stage"], []).append(one)
    return {
        "stages": listed,
        "labels": reader.stages,
        "plan_labels": reader.plans,
        "plans": per_stage,
        "unplanned": reader.rows(
            "select lifecycle_stage as stage, coalesce(reason, '') as reason, sum(customer_count) as n "
            "from marts.plan_coverage where plan is null group by 1, 2 order by n desc, 1, 2"
        )
        if reader.has("marts.plan_coverage", "lifecycle_stage", "plan", "reason", "customer_count")
        else [],
        "total": sum(one["n"] for one in listed),
        "stack": charts.stack([(reader.stages[one["stage"]][0], one["n"]) for one in listed], title="Customers per stage"),
        "history": charts.lines(
            [Series(reader.stages[stage][0], tuple(by_stage[stage])) for stage in order if stage in by_stage],
            title="Customers per stage over twelve months", x_label="", y_label="Customers per stage, first of each month",
            x_format=lambda day: dt.date.fromordinal(int(day)).strftime("%b %Y"),
            x_ticks=sorted({x for points in by_stage.values() for x, _ in points})[::2],
        ),
        "period": chosen,
        "flow": charts.sankey(
            [(name[flow["from_stage"]], name[flow["to_stage"]], float(flow["customer_count"])) for flow in flows],
            [*(name[one] for one in order_all[1:]), name["unknown"]], title="From stage to stage",
            left=str(chosen["from_on"]) if chosen else "", right=str(chosen["to_on"]) if chosen else "",
        ),
        "matrix": matrix,
        "thresholds": reader.rows(
            "select rhythm_group, interval_count, median_days, late_days, at_risk_days, lost_days, loyal_orders, "
            "ambassador_orders from marts.lifecycle_thresholds "
            "where month_on = (select max(month_on) from marts.lifecycle_thresholds) order by rhythm_group limit 12"
        ),
        "reasons": reader.rows(
            "select coalesce(lifecycle_reason, '') as reason, count(*) as n from marts.customer_360 "
            "where lifecycle_reason is not null group by 1 having count(*) >= 5 order by n desc, reason limit 12"
        ),
    }  # fmt: skip


# ---------------------------------------------------------------------------------------------------
# Value


def value(reader: Reader) -> Row:
    grid = reader.rows(
        "select rfm_recency_score as r, rfm_frequency_score as f, count(*) as n, avg(monetary) as amount "
        "from marts.customer_rfm group by 1, 2 order by 1, 2"
    )
    groups = reader.rows(
        "select rfm_segment as segment, count(*) as n, coalesce(sum(monetary), 0) as amount, "
        "cast(median(recency_days) as integer) as recency_days, avg(frequency) as frequency from marts.customer_rfm group by 1"
    )
    groups.sort(key=lambda one: (reader.rfm.get(one["segment"], ("", "", 99))[2], one["segment"]))
    deciles = reader.rows(
        "select cast(least(floor(value_percentile * 10), 9) as integer) as decile, count(*) as n, "
        "coalesce(sum(amount_net), 0) as amount from marts.customer_360 "
        "where value_percentile is not null and order_count > 0 group by 1 order by 1 desc"
    )
    cohorts = reader.rows(
        "select cohort_on, months_since, cohort_size, retention_rate from marts.cohort_retention "
        "where months_since between 0 and 12 and cohort_on >= (select max(cohort_on) from marts.cohort_retention) "
        "- interval 14 month order by cohort_on, months_since"
    )
    starts = sorted({one["cohort_on"] for one in cohorts})
    sizes = {one["cohort_on"]: one["cohort_size"] for one in cohorts}
    revenue = reader.rows(
        "select month_on, channel, sum(amount_net) as amount from marts.revenue_by_month "
        "where month_on >= (select max(month_on) from marts.revenue_by_month) - interval 24 month "
        "group by month_on, channel order by channel, month_on"
    )
    channels: dict[str, list[tuple[float, float]]] = {}
    for one in revenue:
        channels.setdefault(one["channel"] or "unknown", []).append((one["month_on"].toordinal(), float(one["amount"])))
    calibration = None
    # Published since models are; before that, in the build alone.
    judged, models = ("marts.score_calibration", "marts.score_models")
    if not reader.has(judged):
        judged, models = ("scores.calibration", "scores.models")
    if reader.has(judged, "predicted", "actual", "horizon_days", "model") and reader.has(models, "is_kept"):
        calibration = reader.rows(
            f"""
            select horizon_days, band, sum(customers) as customers,
                sum(predicted * customers) / sum(customers) as predicted, sum(actual * customers) / sum(customers) as actual
            from {judged}
            where model = (select min(model) from {models} where is_kept)
            group by horizon_days, band having sum(customers) > 0 order by horizon_days, band
            """
        )
    curves: dict[int, list[tuple[float, float]]] = {}
    for one in calibration or []:
        curves.setdefault(one["horizon_days"], []).append((float(one["predicted"]), float(one["actual"])))
    highest = max((max(point) for points in curves.values() for point in points), default=1.0)
    return {
        "grid": charts.heat(
            [f"R {score}" for score in range(5, 0, -1)], [f"F {score}" for score in range(1, 6)],
            {(5 - one["r"], one["f"] - 1): float(one["n"]) for one in grid},
            caption="Customers",
        ),
        "grid_amount": charts.heat(
            [f"R {score}" for score in range(5, 0, -1)], [f"F {score}" for score in range(1, 6)],
            {(5 - one["r"], one["f"] - 1): float(one["amount"]) for one in grid},
            caption=f"Mean amount, {reader.catalogue.company.currency}",
        ),
        "groups": groups,
        "labels": reader.rfm,
        "group_total": sum(one["n"] for one in groups) or 1,
        "group_amount": sum(one["amount"] for one in groups) or 1,
        "deciles": deciles,
        "decile_amount": sum(one["amount"] for one in deciles) or 1,
        "cohorts": charts.heat(
            [f"{start:%b %Y} ({sizes[start]:,})" for start in starts], [str(month) for month in range(13)],
            {(starts.index(one["cohort_on"]), one["months_since"]): float(one["retention_rate"]) for one in cohorts},
            caption="Share of a month's first buyers who bought again, by months since", corner="First purchase",
            shown=lambda rate: f"{rate:.0%}", share=lambda _r, c, rate: rate * (0.6 if c == 0 else 3.5),
        ) if cohorts else None,
        "revenue": charts.lines(
            [Series(name, tuple(points)) for name, points in sorted(channels.items())],
            title="Net revenue per month and channel", x_label="",
            y_label=f"Net revenue per month, {reader.catalogue.company.currency}",
            x_format=lambda day: dt.date.fromordinal(int(day)).strftime("%b %y"),
            x_ticks=sorted({x for points in channels.values() for x, _ in points})[::3],
        ),
        "calibration": charts.lines(
            [*(Series(f"within {days} days", tuple(sorted(points))) for days, points in sorted(curves.items())),
             Series("perfect", ((0.0, 0.0), (highest, highest)), is_dashed=True)],
            title="Predicted against actual purchase rates", x_label="predicted probability",
            y_label="Share who bought, per band of predicted probability (past cut-offs)",
            x_format=lambda share: f"{share:.0%}", y_format=lambda share: f"{share:.0%}", has_points=True, height=320,
        ) if curves else None,
        "models": reader.rows(f"select model, is_kept, fitted_on from {models} order by model") if curves else [],
        "scored": reader.rows(
            "select coalesce(churn_risk_band, withheld_reason, 'not scored') as band, count(*) as n, "
            "avg(purchase_probability_90d) as probability, coalesce(sum(expected_value_365d), 0) as expected "
            "from marts.customer_scores group by 1 order by case band when 'low' then 1 when 'medium' then 2 "
            "when 'high' then 3 when 'lost' then 4 else 5 end, band"
        ),
    }  # fmt: skip


# ---------------------------------------------------------------------------------------------------
# Contact points


def contacts(reader: Reader) -> Row:
    points = reader.rows(
        "select channel, count(*) as n, count_if(is_valid) as valid, count_if(is_doubtful) as doubtful, "
        "avg(freshness) filter (where is_valid) as freshness, cast(median(age_days) as integer) as age_days "
        "from rcu.contact_points group by channel order by channel"
    )
    ages = reader.rows(
        "select channel, least(cast(floor(age_days / 182.625) as integer), 10) as half_year, count(*) as n, "
        "avg(freshness) as freshness from rcu.contact_points where is_valid and age_days >= 0 "
        "group by 1, 2 order by 1, 2"
    )
    by_channel: dict[str, list[tuple[float, float]]] = {}
    for one in ages:
        by_channel.setdefault(one["channel"], []).append((one["half_year"] / 2, float(one["freshness"])))
    consent = reader.rows(
        "select channel, purpose, count(*) as n, count_if(is_contactable) as contactable "
        "from rcu.contactability group by channel, purpose order by purpose, channel"
    )
    return {
        "points": points,
        "curves": charts.lines(
            [Series(_CHANNEL_WORDS.get(name, name), tuple(found)) for name, found in sorted(by_channel.items())],
            title="Freshness by age", x_label="years since last confirmation",
            y_label="Mean probability that a contact point is still good",
            y_format=lambda share: f"{share:.0%}", has_points=True,
        ),
        "confirmed": grid_of(
            reader.rows(
                "select channel, coalesce(last_confirmed_by, 'nothing yet') as by_what, count(*) as n "
                "from rcu.contact_points group by all order by all"
            ),
            "by_what",
            "channel",
        ),
        "reasons": grid_of(
            reader.rows(
                "select channel, coalesce(reason, 'not said') as reason, count(*) as n from rcu.contact_points "
                "where not is_valid group by all order by all"
            ),
            "reason",
            "channel",
        ),
        "consent": consent,
        "consent_reasons": grid_of(
            reader.rows(
                "select channel, coalesce(reason, 'not said') as reason, count(*) as n from rcu.contactability "
                "where purpose = 'marketing' and not is_contactable group by all order by all"
            ),
            "reason",
            "channel",
        ),
        "channel_words": {**_CHANNEL_WORDS},
        **_decay(reader),
    }  # fmt: skip


def _decay(reader: Reader) -> Row:
    """What the freshness model learnt; all None where the publication holds none of it."""
    told: Row = {"decay": None, "losses": None, "forecast": None, "verify": None}
    if reader.has("marts.contact_decay", "kind", "source", "age_days", "still_good_rate", "yearly_loss_rate"):
        curves: dict[str, list[tuple[float, float]]] = {}
        for one in reader.rows(
            "select kind, age_days, still_good_rate from marts.contact_decay where source = '' order by kind, age_days"
        ):
            curves.setdefault(one["kind"], []).append((one["age_days"] / 365.25, float(one["still_good_rate"])))
        told["decay"] = charts.lines(
            [Series(str(charts.words(kind)), tuple(points)) for kind, points in sorted(curves.items())],
            title="Probability of being still good, by years of silence",
            x_label="years since last confirmation",
            y_label="Probability that a contact point is still good, as estimated from the data's own changes",
            y_format=lambda share: f"{share:.0%}",
        )
        told["losses"] = reader.rows(
            "select distinct kind, source, yearly_loss_rate, yearly_loss_low_rate, yearly_loss_high_rate, "
            "declared_loss_rate, loss_count from marts.contact_decay order by kind, source"
        )
    if reader.has("marts.freshness_forecast", "kind", "source", "horizon_months", "point_count", "obsolete_rate"):
        rows = reader.rows(
            "select kind, horizon_months, point_count, obsolete_rate from marts.freshness_forecast "
            "where source = '' order by kind, horizon_months"
        )
        kinds: dict[str, dict[int, float]] = {}
        for one in rows:
            kinds.setdefault(one["kind"], {})[one["horizon_months"]] = one["obsolete_rate"]
        told["forecast"] = {"months": sorted({one["horizon_months"] for one in rows}), "kinds": kinds}
    if reader.has("marts.reverification", "channel", "kind", "stake", "reason"):
        told["verify"] = reader.rows(
            "select kind, coalesce(reason, 'long silence') as reason, count(*) as n, sum(stake) as stake "
            "from marts.reverification group by 1, 2 order by stake desc nulls last, kind, reason limit 20"
        )
    return told


PAGES = (
    Page("index", "Overview", "Vue d'ensemble", overview),
    Page("quality", "Data quality", "Qualité des données", quality),
    Page("identity", "Identity", "Identité", identity),
    Page("segments", "Segments", "Segments", segments),
    Page("lifecycle", "Lifecycle", "Cycle de vie", lifecycle),
    Page("value", "Value", "Valeur", value),
    Page("contacts", "Contact freshness", "Fraîcheur des contacts", contacts),
    Page("review", "To review", "À trancher", review, is_personal=True),
)

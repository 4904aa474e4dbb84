"""How long 200 segments over a million customers take.

    python benchmarks/segments.py [--customers 1000000] [--segments 200] [--runs 2] [--threads 2]

Makes a synthetic warehouse (seeded, in a temporary folder), then evaluates random but plausible segments:
four in five by fields, the rest by events, purchases and other segments. Prints the seconds of each step;
`prepare` + `evaluate` is the evaluation of the rules, `members` writes each member with the reason, entries, exits
and history, `stage` what the registry keeps of them, `sizes` counts sizes, reach and all overlaps.
"""

from __future__ import annotations

import argparse
import datetime as dt
import random
import resource
import tempfile
from pathlib import Path

from orchestration.contracts.segment import Condition, Label, Segment, SegmentSet
from orchestration.segments.materialise import materialise
from orchestration.settings import Workspace
from orchestration.warehouse import Connection, connect

AS_OF = dt.date(2026, 6, 30)


def make_warehouse(connection: Connection, customers: int) -> None:
    """Tables of schema marts with `customers` customers, 5 events and 4 order lines each."""
    connection.execute("select setseed(0.42)")
    connection.execute("create schema marts")
    connection.execute(
        f"""
        create table marts.customer_360 as
        select
            'c' || substr(md5(i::varchar), 1, 15) as customer_id,
            (i * 7919 % 75 + 15)::integer as age_years,
            case when i % 11 = 0 then null when i % 2 = 0 then 'F' else 'M' end as sex,
            lpad((i * 31 % 95 + 1)::varchar, 2, '0') as department,
            'Region ' || (i * 31 % 13)::varchar as region,
            case when i % 5 = 0 then '["loisirs","sport"]' when i % 7 = 0 then '["maison"]' else '[]' end as interests,
            case when i % 17 = 0 then '["vip"]' else '[]' end as tags,
            i % 53 = 0 as is_suppressed,
            i % 3 <> 0 as is_contactable_email,
            i % 4 = 0 as is_contactable_sms,
            i % 6 = 0 as is_contactable_phone,
            i % 2 = 0 as is_contactable_post,
            (hash(i) % 1000)::integer as days_since_last_order,
            (hash(i + 1) % 30)::integer as order_count,
            ((hash(i + 2) % 100000) / 100.0)::decimal(18, 4) as amount_net,
            ((hash(i + 3) % 20000) / 100.0)::decimal(18, 4) as average_order_amount,
            (hash(i + 4) % 1000) / 1000.0::double as return_rate,
            (hash(i + 5) % 1000) / 1000.0::double as email_freshness,
            (hash(i + 6) % 5 + 1)::integer as rfm_recency_score,
            (hash(i + 7) % 5 + 1)::integer as rfm_frequency_score,
            (hash(i + 8) % 5 + 1)::integer as rfm_monetary_score,
            ['prospect', 'new', 'regular', 'loyal', 'at_risk', 'abandoner'][(hash(i + 9) % 6 + 1)::integer]
                as lifecycle_stage,
            ['web', 'store', 'app'][(hash(i + 10) % 3 + 1)::integer] as preferred_channel,
            (hash(i + 11) % 1000) / 1000.0::double as purchase_probability_90d,
            date '2026-06-30' - (hash(i + 12) % 1500)::integer as first_order_on,
            timestamp '2026-06-30 12:00:00' - interval (hash(i + 13) % 900) day as last_contact_at,
            (hash(i + 14) % 8)::integer as category_count
        from range({customers}) as numbers(i)
        """
    )
    connection.execute(
        f"""
        create table marts.events as
        select
            'c' || substr(md5((hash(i) % {customers})::varchar), 1, 15) as customer_id,
            ['page_view', 'session', 'cart', 'email_open', 'email_click', 'call'][(hash(i + 1) % 6 + 1)::integer]
                as event_type,
            timestamp '2026-06-30 12:00:00' - interval (hash(i + 2) % 400) day as occurred_at,
            'web' as channel, 'campaign ' || (hash(i + 3) % 20)::varchar as campaign,
            null::varchar as product_id, null::varchar as reason, 1.0::decimal(18, 4) as value, '{{}}' as properties
        from range({customers} * 5) as numbers(i)
        """
    )
    connection.execute(
        f"""
        create table marts.order_lines as
        select
            'c' || substr(md5((hash(i // 2) % {customers})::varchar), 1, 15) as customer_id,
            'o' || (i // 2)::varchar as order_id,
            date '2026-06-30' - (hash(i // 2 + 2) % 1000)::integer as ordered_on,
            'p' || (hash(i + 3) % 2000)::varchar as product_id, 'category ' || (hash(i + 3) % 20)::varchar as category,
            true as is_product, 'sale' as line_kind, 1.0::decimal(18, 4) as quantity,
            ((hash(i) % 9000) / 100.0)::decimal(18, 4) as amount_net
        from range({customers} * 4) as numbers(i)
        """
    )


def make_segments(count: int, seed: int = 7) -> SegmentSet:
    """`count` random segments, most of them of a few per cent of the customers."""
    draw = random.Random(seed)
    made: list[Segment] = []
    for index in range(count):
        conditions = [_field_condition(draw) for _ in range(draw.randint(2, 4))]
        kind = draw.random()
        if kind < 0.10:
            event = draw.choice(["cart", "email_open", "email_click", "session"])
            conditions.append(
                {"performed": event, "at_least": draw.randint(1, 3), "within_days": draw.choice([7, 30, 90])}
            )
        elif kind < 0.16:
            conditions.append(
                {"bought": {"category": f"category {draw.randint(0, 19)}"}, "within_days": draw.choice([90, 365])}
            )
        elif kind < 0.20 and made:
            conditions.append({"member_of": draw.choice(made).segment})
        elif kind < 0.30:
            conditions.append({"any": [_field_condition(draw), {"not": _field_condition(draw)}]})
        made.append(
            Segment(
                segment=f"segment_{index:03d}",
                label=Label(en=f"Segment {index}", fr=f"Segment {index}"),
                objective="benchmark",
                where=Condition.model_validate({"all": conditions}),
                control_group=0.1 if index % 5 == 0 else None,
                expected_rate=(0.0, 0.5),
            )
        )
    return SegmentSet(tuple(made))


def _field_condition(draw: random.Random) -> dict[str, object]:
    low = draw.randint(0, 600)
    return draw.choice([
        {"field": "days_since_last_order", "between": [low, low + draw.randint(50, 300)]},
        {"field": "age_years", "between": [20, 20 + draw.randint(5, 30)]},
        {"field": "order_count", "at_least": draw.randint(5, 25)},
        {"field": "amount_net", "at_least": draw.randint(300, 900)},
        {"field": "rfm_recency_score", "at_least": draw.randint(3, 5)},
        {"field": "rfm_monetary_score", "in": [4, 5]},
        {"field": "lifecycle_stage", "in": draw.sample(["prospect", "new", "regular", "loyal", "at_risk"], 2)},
        {"field": "department", "in": [f"{draw.randint(1, 95):02d}" for _ in range(12)]},
        {"field": "preferred_channel", "equals": draw.choice(["web", "store", "app"])},
        {"field": "purchase_probability_90d", "at_least": draw.choice([0.5, 0.7, 0.9])},
        {"field": "first_order_on", "within_last_days": draw.choice([90, 180, 365])},
        {"field": "last_contact_at", "within_last_days": draw.choice([30, 90, 180])},
        {"field": "email_freshness", "less_than": 0.5},
        {"reachable": "email"},
        {"interest": "sport"},
        {"has_tag": "vip"},
    ])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--segments", type=int, default=200)
    parser.add_argument("--runs", type=int, default=2, help="runs in a row, a day apart: the second has a history")
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        connection = connect(Path(folder) / "rcu.duckdb")
        connection.execute(f"set threads = {chosen.threads}")
        make_warehouse(connection, chosen.customers)
        connection.execute("checkpoint")
        workspace = Workspace(Path(folder))
        workspace.prepare()
        definitions = make_segments(chosen.segments)
        from orchestration.registry import Commit, commit_version

        for run in range(chosen.runs):
            day = AS_OF + dt.timedelta(days=run)
            version = f"{day:%Y%m%d}-0001"
            report = materialise(
                connection, workspace, definitions, as_of_on=day, version=version, run_id=f"run-{run}", is_forward=True
            )
            commit_version(workspace, Commit(version, day, f"run-{run}", "", ""))
            rates = sorted(size.rate for size in report.sizes)
            print(f"\nrun {run + 1}: {report.customer_count:,} customers, {len(report.sizes)} segments, "
                  f"{report.member_count:,} memberships (median rate {rates[len(rates) // 2]:.1%}), "
                  f"{report.staged_changes:,} entries and exits")  # fmt: skip
            laps = {step: (seconds, report.processor_seconds[step]) for step, seconds in report.seconds.items()}
            laps["all"] = (sum(report.seconds.values()), sum(report.processor_seconds.values()))
            for step, (seconds, processor) in laps.items():
                print(f"  {step:14} {seconds:7.2f} s   (processors {processor:7.2f} s)")
        print(f"\npeak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2:.2f} GB")


if __name__ == "__main__":
    main()

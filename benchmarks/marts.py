"""The marts against a bare script: `python -m benchmarks.marts [lines] [customers]` (default 10,000,000 and 1,000,000).

Draws three years of purchases (seeded by hashing row numbers), then makes every mart that purchases give twice,
each time in a process of its own: once as a run does, by dbt with contracts, and once by `marts_bare.sql`, straight
SQL that has this shop's rules written into it. The tables are compared row by row before any time is believed.
Prints seconds of wall clock and CPU, peak memory, the ratio, and what each model and statement cost.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa

from orchestration.contracts.company import Company
from orchestration.contracts.entities import ENTITIES, LANDING_COLUMNS, SQL_TYPES, VERSION_COLUMNS
from orchestration.contracts.plans import Plans
from orchestration.contracts.value import Value
from orchestration.settings import DBT_PROJECT_DIR
from orchestration.warehouse import Connection, connect

AS_OF_ON = dt.date(2026, 3, 31)
DAYS = 1095
PRODUCTS = 5000
MEMORY_LIMIT = "8GB"
BARE = Path(__file__).with_name("marts_bare.sql")
STAGED = ("stg_orders", "stg_order_lines", "stg_products", "stg_events")

#: Tables that both make and that are compared: all that purchases give. The shop has no events.
COMPARED = (
    "order_lines", "orders", "products", "order_reconciliation", "rfm_scores", "customer_rfm", "rfm_history",
    "lifecycle_thresholds", "lifecycle_history", "customer_lifecycle", "lifecycle_transitions", "cohort_retention",
    "customer_preferences", "product_affinity", "recommendations", "purchases_by_month", "revenue_by_month",
    "customer_scores", "customer_plans", "customer_360", "plan_coverage",
)  # fmt: skip
#: What dbt has to make for them.
MODELS = (
    "int_order_systems", "int_repeated_lines", "int_order_headers", "int_references", "int_reference_customers",
    "int_order_customers", "int_customer_births", "int_same_orders", "int_products", "int_order_lines", "events",
    "int_customer_orders", "int_purchase_days", "int_lifecycle_deadlines", "int_customer_events",
    "int_customer_contact", *COMPARED,
)  # fmt: skip

SETTINGS: dict[str, Any] = {
    "orders": {
        "line_kinds": [
            {"kind": "fee", "when": {"product_matches": "^(PORT|FRAIS)"}},
            {"kind": "cancellation", "when": {"statuses": ["cancelled"]}},
            {"kind": "write_off", "when": {"quantity": "negative", "unit_price": "zero"}},
            {"kind": "return", "when": {"quantity": "negative"}},
        ]
    },
    "currency_rates": [{"currency": "GBP", "since": dt.date(2020, 1, 1), "rate": 1.15}],
    "rfm": {"methods": [{"method": "net_of_returns"}, {"method": "household", "unit": "household"}]},
}
_PLAN = {"offer": {"en": "-", "fr": "-"}, "objective": {"en": "-", "fr": "-"}, "every_days": 14}
PLANS: dict[str, Any] = {
    "plans": [
        {"plan": plan, "label": {"en": plan, "fr": plan}, "channels": channels, **_PLAN,
         "for": [{"stages": stages, "weight": 100, "why": "their stage"}]}
        for plan, stages, channels in (
            ("welcome", ["prospect"], ["email", "sms"]),
            ("conversion", ["new", "reactivated"], ["email", "post"]),
            ("loyalty", ["regular", "loyal", "ambassador"], ["email", "sms"]),
            ("reactivation", ["at_risk", "abandoner"], ["email", "post"]),
        )
    ]
}  # fmt: skip


def draw(connection: Connection, lines: int, customers: int) -> None:
    """Write control, staging, identity, rcu and scores: what the marts read.

    Each order has 1 to 4 lines, 2.5 on average. Customers' numbers of orders are skewed; one order in
    thirty is of nobody, one in forty is a return of an earlier one, one in fifty is in pounds.
    """
    for schema in ("control", "landing", "staging", "intermediate", "identity", "rcu", "marts", "scores"):
        connection.execute(f"create schema if not exists {schema}")
    tables: dict[str, pa.Table] = {
        **Company(name="Benchmark", time_zone="UTC").tables(),
        **Value.model_validate(SETTINGS).tables(),
        **Plans.model_validate(PLANS).tables(),
        "as_of": pa.table({"as_of_on": pa.array([AS_OF_ON], pa.date32())}),
        "sources": pa.table({"source": ["shop"], "trust_rank": pa.array([1], pa.int32())}),
    }
    for name, table in tables.items():
        connection.register("declared", table)
        connection.execute(f"create or replace table control.{name} as select * from declared")
        connection.unregister("declared")
    orders = int(lines / 2.5)
    for entity in ("order", "order_line", "product", "event"):
        kind = ENTITIES[entity]
        columns = (*kind.columns, *LANDING_COLUMNS, *(VERSION_COLUMNS if kind.is_state else ()))
        listed = ", ".join(f'"{column.name}" {SQL_TYPES[column.kind]}' for column in columns)
        connection.execute(f"create table {kind.table} ({listed})")

    connection.execute(
        f"""
        insert into landing.products by name
        select
            'P' || lpad(cast(n as varchar), 5, '0') as product_id,
            'Article ' || n as label,
            'category ' || n % 24 as category,
            'brand ' || n % 60 as brand,
            case n % 7 when 0 then 'children' when 1 then 'women' when 2 then 'women' when 3 then 'men' end as audience,
            5 + hash(n, 'price') % 20000 / 100.0 as unit_price,
            'shop' as source, 'P' || lpad(cast(n as varchar), 5, '0') as row_key, date '{AS_OF_ON}' as first_seen_on,
            date '{AS_OF_ON}' as valid_from_on, date '{AS_OF_ON}' as last_seen_on, true as is_current,
            false as is_deleted
        from range({PRODUCTS}) as numbers(n)
        """
    )
    connection.execute(
        f"""
        create temp table drawn_orders as
        with draws as (
            select
                n,
                hash(n, 'who') % 1000000 / 1000000.0 as who,
                hash(n, 'when') % 1000000 / 1000000.0 as moment,
                hash(n, 'kind') % 1000 as kind,
                1 + hash(n, 'size') % 4 as line_count
            from range({orders}) as numbers(n)
        )
        select
            n,
            line_count,
            cast({customers} * pow(who, 1.7) as bigint) as customer,
            timestamp '{AS_OF_ON} 08:00:00' - to_days(cast({DAYS} * moment as integer))
                + to_seconds(cast(hash(n, 'second') % 40000 as bigint)) as ordered_at,
            kind < 25 as is_return,
            kind between 25 and 44 as is_in_pounds,
            kind between 45 and 54 as is_cancelled,
            kind between 55 and 87 as is_of_nobody,
            case when hash(n, 'channel') % 5 < 2 then 'web' else 'store' end as channel
        from draws
        """
    )
    connection.execute(
        f"""
        insert into landing.order_lines by name
        with lines as (
            select orders.*, unnest(range(1, cast(line_count + 1 as bigint))) as line from drawn_orders as orders
        ),
        drawn as (
            select
                *,
                case when hash(n, line, 'fee') % 25 = 0 then -1
                    else cast({PRODUCTS} * pow(hash(n, line, 'what') % 1000000 / 1000000.0, 2) as integer) % {PRODUCTS}
                end as product
            from lines
        )
        select
            'N' || n as order_id,
            cast(line as varchar) as line_id,
            ordered_at,
            channel,
            case when channel = 'store' then 'S' || n % 40 end as store,
            case when is_cancelled then 'cancelled' else 'completed' end as status,
            case when is_in_pounds then 'GBP' else 'EUR' end as currency,
            case when not is_of_nobody then 'crm' end as ref_account_source,
            case when not is_of_nobody then 'r' || customer end as ref_account,
            case when product = -1 then 'PORT' else 'P' || lpad(cast(product as varchar), 5, '0') end as product_id,
            case when product = -1 then 'Postage' else 'Article ' || product end as product_label,
            case when is_return then -1 else 1 + hash(n, line, 'units') % 3 end as quantity,
            case when product = -1 then 4.9 else 5 + hash(product, 'price') % 20000 / 100.0 end as unit_price,
            case when hash(n, line, 'discount') % 4 = 0 and not is_return then 1.5 else 0 end as amount_discount,
            0.2 as tax_rate,
            'shop' as source,
            'N' || n || '|' || line as row_key,
            date '{AS_OF_ON}' as business_on,
            date '{AS_OF_ON}' as available_on
        from drawn
        """
    )
    _write_customers(connection, customers)


def _write_customers(connection: Connection, customers: int) -> None:
    for node in manifest()["nodes"].values():
        if node["resource_type"] == "model" and node["schema"] == "rcu":
            columns = ", ".join(f'"{name}" {about["data_type"]}' for name, about in node["columns"].items())
            connection.execute(f"create table rcu.{node['alias']} ({columns})")
    connection.execute(
        f"""
        insert into rcu.customers by name
        select
            'C' || lpad(cast(n as varchar), 8, '0') as customer_id,
            case when n % 5 = 0 then 'H' || n // 10 end as household_id,
            'region ' || n % 13 as region,
            date '{AS_OF_ON}' - {DAYS} - cast(n % 300 as integer) as first_seen_on,
            date '1950-01-01' + cast(n % 20000 as integer) as birth_on,
            'a' || n || '@example.org' as email,
            1 as record_count, 1 as source_count, 'crm' as sources, false as is_suppressed,
            date '{AS_OF_ON}' as as_of_on
        from range({customers}) as numbers(n);
        insert into rcu.customer_records by name
        select 'crm' as source, 'r' || n as record_id, 'C' || lpad(cast(n as varchar), 8, '0') as customer_id
        from range({customers}) as numbers(n);
        insert into rcu.contactability by name
        select
            customer_id,
            channel,
            'marketing' as purpose,
            hash(customer_id, channel) % 10 < share as is_contactable,
            case when hash(customer_id, channel) % 10 >= share then 'no_consent' end as reason
        from rcu.customers
        cross join (values ('email', 7), ('sms', 4), ('phone', 2), ('post', 8)) as channels(channel, share);
        create table identity.record_customers as select source, record_id, customer_id from rcu.customer_records;
        create table intermediate.int_identity_records as
        select source, record_id, 'martin' as last_name, cast(null as varchar) as birth_name,
            'paul' as first_name_token
        from rcu.customer_records;
        create table scores.customer_scores as
        select
            customer_id, 0.1 as purchase_probability_30d, 0.25 as purchase_probability_90d,
            0.6 as purchase_probability_365d, 1.1 as expected_orders_365d,
            cast(55 as decimal(18, 4)) as expected_value_365d, 'medium' as churn_risk_band, 'bg_nbd' as model,
            cast(null as varchar) as withheld_reason
        from rcu.customers
        """
    )


_manifests: list[dict[str, Any]] = []


def manifest() -> dict[str, Any]:
    """dbt's account of the project; parsed once."""
    if not _manifests:
        with tempfile.TemporaryDirectory() as folder:
            _dbt(Path(folder, "warehouse.duckdb"), Path(folder), "parse")
            _manifests.append(json.loads(Path(folder, "manifest.json").read_text(encoding="utf-8")))
    return _manifests[0]


def _dbt(build_file: Path, target: Path, *arguments: str) -> None:
    os.environ["RCU_BUILD_FILE"] = str(build_file)
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    outcome = dbtRunner().invoke(
        ["--quiet", "--no-use-colors", *arguments, "--project-dir", str(DBT_PROJECT_DIR),
         "--profiles-dir", str(DBT_PROJECT_DIR), "--target-path", str(target), "--log-path", str(target)]
    )  # fmt: skip
    DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
    if not outcome.success:
        raise SystemExit(f"dbt {arguments[0]} failed: {outcome.exception or outcome.result}")


def _as_run(build_file: Path, target: Path) -> None:
    connection = connect(build_file)  # dbt's connections share its database, and so its limit
    connection.execute(f"set memory_limit = '{MEMORY_LIMIT}'")
    _dbt(build_file, target, "run", "--select", *MODELS)
    connection.close()


def _as_script(build_file: Path, target: Path) -> None:
    connection = connect(build_file)
    connection.execute(f"set threads = 2; set memory_limit = '{MEMORY_LIMIT}'")
    statements = connection.extract_statements(
        BARE.read_text(encoding="utf-8").replace(":as_of_on", f"date '{AS_OF_ON}'")
    )
    seconds = []
    for statement in statements:
        began = time.perf_counter()
        connection.execute(statement)
        name = statement.query.partition(" as")[0].split()[-1]
        seconds.append((name, time.perf_counter() - began))
    connection.close()
    (target / "statements.json").write_text(json.dumps(seconds), encoding="utf-8")


def _timed(step: str, build_file: Path, target: Path) -> dict[str, float]:
    """Run one step in a process of its own; its wall clock, CPU time and peak memory."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "benchmarks.marts", "--step", step, "--build", str(build_file), "--target", str(target)],
        check=True,
    )
    wall = time.perf_counter() - began
    told: dict[str, float] = json.loads((target / f"{step}.json").read_text(encoding="utf-8"))
    return {**told, "process": wall}


def _run_step(step: str, build_file: Path, target: Path) -> None:
    """One step, timed from where its imports are done, as in a run that goes on from step to step."""
    target.mkdir(parents=True, exist_ok=True)
    if step == "dbt":
        _dbt(build_file, target, "parse")  # a run finds the project parsed
    began, used = time.perf_counter(), _cpu()
    {"dbt": _as_run, "bare": _as_script}[step](build_file, target)
    told = {
        "wall": time.perf_counter() - began,
        "cpu": _cpu() - used,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2,
    }
    (target / f"{step}.json").write_text(json.dumps(told), encoding="utf-8")


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def differences(dbt_file: Path, bare_file: Path) -> dict[str, int]:
    """Rows that one side has and the other has not, table by table."""
    connection = connect(dbt_file, read_only=True)
    connection.execute(f"attach '{bare_file}' as bare (read_only)")
    found = {}
    for table in COMPARED:
        columns = [name for (name, *_) in connection.execute(f"describe bare.marts.{table}").fetchall()]
        mine = [name for (name, *_) in connection.execute(f"describe marts.{table}").fetchall()]
        if set(columns) != set(mine):
            raise SystemExit(f"marts.{table}: columns differ: {sorted(set(columns) ^ set(mine))}")
        # sums of doubles depend on the order of rows in their last bits
        kinds = dict(row[:2] for row in connection.execute(f"describe marts.{table}").fetchall())
        listed = ", ".join(
            f"round(cast({name} as double), 9)" if kinds[name] == "DOUBLE" else f"cast({name} as {kinds[name]})"
            for name in mine
        )
        digests = {
            connection.execute(
                f"select count(*), bit_xor(hash({listed})), sum(hash({listed})) from {place}.{table}"
            ).fetchone()
            for place in ("marts", "bare.marts")
        }
        if len(digests) == 1:
            found[table] = 0
            continue
        [row] = connection.execute(
            f"""
            select count(*) from (
                (select {listed} from marts.{table} except all select {listed} from bare.marts.{table})
                union all
                (select {listed} from bare.marts.{table} except all select {listed} from marts.{table})
            )
            """
        ).fetchall()
        found[table] = row[0]
    connection.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lines", type=int, nargs="?", default=10_000_000)
    parser.add_argument("customers", type=int, nargs="?", default=1_000_000)
    parser.add_argument("--keep", type=Path, help="folder for the two databases, kept; default: a temporary one")
    parser.add_argument("--step", choices=["dbt", "bare"], help=argparse.SUPPRESS)
    parser.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--target", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--no-bare", action="store_true", help="only what dbt makes")
    given = parser.parse_args()
    if given.step:
        _run_step(given.step, given.build, given.target)
        return
    folder = given.keep or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    drawn = folder / "warehouse.duckdb"
    if not drawn.exists():
        connection = connect(drawn)
        draw(connection, given.lines, given.customers)
        connection.close()
        _dbt(drawn, folder / "target", "run", "--select", *STAGED)
    [counts] = (
        connect(drawn, read_only=True)
        .execute("select (select count(*) from staging.stg_order_lines), (select count(*) from rcu.customers)")
        .fetchall()
    )
    print(f"{counts[0]:,} order lines, {counts[1]:,} customers")
    steps = ["dbt"] if given.no_bare else ["dbt", "bare"]
    told = {}
    for step in steps:
        copy = folder / step / "warehouse.duckdb"
        copy.parent.mkdir(exist_ok=True)
        shutil.copyfile(drawn, copy)
        told[step] = _timed(step, copy, folder / f"{step}_target")
        print(f"{step:5}", "  ".join(f"{name} {value:.1f}" for name, value in told[step].items()))
    results = json.loads((folder / "dbt_target" / "run_results.json").read_text(encoding="utf-8"))["results"]
    costs = {"dbt": [(result["unique_id"].split(".")[-1], result["execution_time"]) for result in results]}
    if not given.no_bare:
        costs["bare"] = json.loads((folder / "bare_target" / "statements.json").read_text(encoding="utf-8"))
    for step, seconds in costs.items():
        print(f"{step}: what cost most, in seconds of wall clock")
        for name, cost in sorted(seconds, key=lambda entry: -entry[1])[:16]:
            print(f"  {name:28} {cost:6.2f}")
    if not given.no_bare:
        apart = {
            name: count
            for name, count in differences(
                folder / "dbt" / "warehouse.duckdb", folder / "bare" / "warehouse.duckdb"
            ).items()
            if count
        }
        print("rows that differ:", apart or f"none, in {len(COMPARED)} tables")
        for measure in ("wall", "cpu"):
            print(f"ratio of {measure}: {told['dbt'][measure] / told['bare'][measure]:.2f}")
    if given.keep is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()

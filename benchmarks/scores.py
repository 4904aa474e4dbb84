"""How long scoring takes: `python benchmarks/scores.py [customers]` (default 1,000,000).

Purchases are simulated from BG/NBD with a fixed seed over three years, written as `marts.orders` and
`rcu.customers` of an in-memory database, and scored twice: with a fit and its back-tests, then with
the stored model, as on most days. Prints seconds, peak memory and the parameters found.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from orchestration import registry
from orchestration.contracts.scoring import Scoring
from orchestration.scores import score
from orchestration.settings import Workspace
from orchestration.warehouse import Connection, connect

AS_OF_ON = dt.date(2026, 3, 31)
SPAN_DAYS = 1095
TRUTH = {"r": 0.6, "alpha": 12.0, "a": 0.7, "b": 3.0}  # weeks


def simulate(connection: Connection, customers: int) -> int:
    """Create `marts.orders` and `rcu.customers`; one customer in ten never bought. Returns the orders."""
    draw = np.random.default_rng(20260331)
    first = draw.uniform(0, SPAN_DAYS, customers)
    rate = draw.gamma(TRUTH["r"], 1 / TRUTH["alpha"], customers) / 7
    stop = draw.beta(TRUTH["a"], TRUTH["b"], customers)
    who, when = [np.arange(customers)], [first]
    active, at = np.arange(customers), first
    while len(active):
        at = at + draw.exponential(1 / np.maximum(rate[active], 1e-12))
        inside = at < SPAN_DAYS
        active, at = active[inside], at[inside]
        who.append(active)
        when.append(at)
        stays = draw.uniform(size=len(active)) >= stop[active]
        active, at = active[stays], at[stays]
    number, day = np.concatenate(who), np.concatenate(when).astype(np.int64)
    typical = draw.gamma(6, 8, customers)
    amount = np.round(typical[number] * draw.gamma(4, 0.25, len(number)), 2)
    connection.register("drawn", pa.table({"number": number, "day": day, "amount": amount}))
    connection.execute("create schema marts")
    connection.execute("create schema rcu")
    connection.execute(
        f"""
        create table marts.orders as
        select
            'c' || lpad(cast(number as varchar), 9, '0') as customer_id,
            date '{AS_OF_ON}' - {SPAN_DAYS - 1} + cast(day as integer) as ordered_on,
            cast(amount as decimal(18, 4)) as amount_gross,
            cast(amount as decimal(18, 4)) as amount_net,
            true as is_purchase
        from drawn
        """
    )
    connection.unregister("drawn")
    connection.execute(
        f"create table rcu.customers as select 'c' || lpad(cast(range as varchar), 9, '0') as customer_id "
        f"from range({customers + customers // 9})"
    )
    return len(number)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("customers", type=int, nargs="?", default=1_000_000)
    customers = parser.parse_args().customers
    settings = Scoring()
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        connection = connect()
        orders = simulate(connection, customers)
        print(f"{customers:,} buyers, {orders:,} orders")
        version = f"{AS_OF_ON:%Y%m%d}-0001"
        for label in ("fit, back-tests and scores", "scores with the stored model"):
            began, worked = time.perf_counter(), time.process_time()
            report = score(
                connection, workspace, settings,
                as_of_on=AS_OF_ON, version=version, run_id="benchmark", is_forward=True,
            )  # fmt: skip
            print(f"{label}: {time.perf_counter() - began:.2f} s ({time.process_time() - worked:.2f} s of CPU)")
            if report.is_refit:
                registry.commit_version(
                    workspace, registry.Commit(version, AS_OF_ON, "benchmark", "", f"{AS_OF_ON}T00:00:00")
                )
        print(report)
        found = connection.execute("select parameters from scores.models where model = 'bg_nbd'").fetchone()
        parameters = json.loads(found[0]) if found else {}
        print("drawn from", TRUTH, "found", {name: round(parameters[name], 4) for name in TRUTH})
        print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2:.2f} GB")


if __name__ == "__main__":
    main()

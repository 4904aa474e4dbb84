"""A second delivery within the day gives what a rebuild from landing gives."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import os
import shutil
from pathlib import Path

import duckdb
import pytest

from orchestration.warehouse import table_contents
from tests.pipeline.conftest import LAST, History
from tests.pipeline.workspaces import Shop, contents

pytestmark = pytest.mark.slow


def last_of(shop: Shop, source: str) -> tuple[str, list[str]]:
    """The name and the lines of the last file of a source that holds more than a header."""
    for path in sorted((shop.data / "archive" / source).rglob("*.*"), reverse=True):
        data = path.read_bytes()
        lines = (gzip.decompress(data) if path.suffix == ".gz" else data).decode().splitlines()
        if len(lines) > 1:
            return path.name.split("-", 1)[1], lines
    raise AssertionError(f"no file of {source} holds a row")


def send(shop: Shop, name: str, lines: list[str]) -> None:
    """Put a file into the inbox as if it had come on the last day."""
    data = ("\n".join(lines) + "\n").encode()
    target = shop.data / "inbox" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(gzip.compress(data) if target.suffix == ".gz" else data)
    received_at = dt.datetime.combine(LAST, dt.time(12), dt.UTC).timestamp()
    os.utime(target, (received_at, received_at))


def tables(build: Path) -> set[str]:
    """The tables that the dbt models make, the ones that nobody publishes too."""
    with duckdb.connect(str(build), read_only=True) as connection:
        found = connection.execute(
            "select schema_name || '.' || table_name from duckdb_tables() "
            "where schema_name in ('staging', 'intermediate', 'rcu', 'marts')"
        ).fetchall()
    return {name for (name,) in found}


def differing_tables(one: Path, other: Path) -> set[str]:
    """The tables of two builds that do not hold the same rows, as often; how an event came to be noted aside."""
    with duckdb.connect() as connection:
        connection.execute(f"attach '{one}' as one (read_only); attach '{other}' as other (read_only)")
        return {
            name
            for name in tables(one) | tables(other)
            if connection.execute(
                f"select exists ((from one.{name} except all from other.{name}) "
                f"union all (from other.{name} except all from one.{name}))"
            ).fetchall()
            != [(False,)]
        }


def test_more_deliveries_within_the_day_give_what_a_rebuild_gives(history: History, tmp_path: Path) -> None:
    """First an account, an order of a customer known before and an unsubscription; then an account with another address
    whose person is in the CRM, one that is closed, a bounce, a returned item and a ticket: each touches other tables."""
    shop = Shop(tmp_path / "shop")
    shutil.copytree(history.shop.root, shop.root, symlinks=True)
    name, accounts = last_of(shop, "web_accounts")
    account = json.loads(accounts[0])
    account["id"] = "W999999"
    account["identity"] |= {"first_name": "Odile", "last_name": "Exemple", "birth_date": None}
    account["contact"] |= {"email": "odile.exemple@example.org", "phone": None}
    send(shop, name, [*accounts, json.dumps(account)])
    name, (head, *orders) = last_of(shop, "web_orders")
    bought = orders[0].split(";")
    send(shop, name, [head, *orders, ";".join(["W888888", "1", *bought[2:]])])
    name, (head, *events) = last_of(shop, "email_events")
    left = events[0].split(",")
    left[0], left[2] = "E777777", "unsubscribe"
    send(shop, name, [head, *events, ",".join(left)])
    shop.rcu("run", "--as-of", LAST.isoformat())
    assert shop.query("select count(*) from rcu.customers where last_name = 'Exemple'") == [(1,)]
    assert shop.query("select count(*) from marts.orders where source_order_id = 'W888888'") == [(1,)]
    assert shop.query("select count(*) from marts.events where event_id like '%E777777%'") == [(1,)]

    name, accounts = last_of(shop, "web_accounts")
    moved, closed = json.loads(accounts[0]), json.loads(accounts[-2])
    [(first, last, email)] = shop.query(
        "select first_name, last_name, email from rcu.customers as customers where email is not null "
        "and sources not like '%web_accounts%' order by customer_id limit 1"
    )
    moved["identity"] |= {"first_name": first, "last_name": last, "birth_date": None}
    moved["contact"] |= {"email": email}
    closed["status"] = "closed"
    send(shop, name, [*accounts, json.dumps(moved), json.dumps(closed)])
    name, (head, *orders) = last_of(shop, "web_orders")
    names, item = head.split(";"), dict(zip(head.split(";"), orders[0].split(";"), strict=True))
    item |= {"NUM_COMMANDE": "W888889", "COMMANDE_ORIGINE": item["NUM_COMMANDE"], "TYPE_LIGNE": "R", "QTE": "-1"}
    send(shop, name, [head, *orders, ";".join(item[column] for column in names)])
    name, (head, *events) = last_of(shop, "email_events")
    bounced = events[1].split(",")
    bounced[0], bounced[2] = "E777778", "bounce"
    send(shop, name, [head, *events, ",".join(bounced)])
    for source, number in (("till_tickets", "T77777777"), ("till_lines", "T77777777")):
        name, (head, *lines) = last_of(shop, source)
        send(shop, name, [head, *lines, ";".join([number, *lines[0].split(";")[1:]])])
    shop.rcu("run", "--as-of", LAST.isoformat())
    increment = contents(shop.current.resolve())
    build = tmp_path / "increment.duckdb"
    shutil.copyfile(shop.data / "build" / "warehouse.duckdb", build)
    with duckdb.connect(str(build), read_only=True) as connection:
        # What the tables hold is known without looking, and the work was done for the touched alone.
        for place, told in connection.execute(
            "select place, contents from control.table_contents where contents <> 'absent'"
        ).fetchall():
            assert told == table_contents(connection, place), place
        touched, orders_made = connection.execute(
            "select keys, (select count(*) from marts.orders) from control.keys_touched where place = 'marts.orders'"
        ).fetchall()[0]
        assert 0 < touched < orders_made / 10
        # What the tables lost is kept no longer than the run.
        assert connection.execute("select count(*) from duckdb_tables() where schema_name = 'changes'").fetchall() == [
            (0,)
        ]

    company = shop.root / "declarations" / "company.yml"
    company.write_text(company.read_text(encoding="utf-8") + "# begun anew\n", encoding="utf-8")
    shop.rcu("run", "--as-of", LAST.isoformat())
    rebuild = contents(shop.current.resolve())
    assert differing_tables(build, shop.data / "build" / "warehouse.duckdb") == set()
    # Who came and went is told against the run before, which for the rebuild is the increment.
    apart = {"segments.changes", "segments.sizes", "segments.movements"}
    differing = {name for name in increment.keys() | rebuild.keys() if increment.get(name) != rebuild.get(name)}
    assert differing <= apart

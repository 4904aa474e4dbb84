"""A second delivery within the day gives what a rebuild from landing gives."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import os
import shutil
from pathlib import Path

import pytest

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


def test_a_second_delivery_within_the_day_gives_what_a_rebuild_gives(history: History, tmp_path: Path) -> None:
    """An account, an order of a customer known before, and an unsubscription: each touches other tables."""
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
    increment = contents(shop.current.resolve())
    assert shop.query("select count(*) from rcu.customers where last_name = 'Exemple'") == [(1,)]
    assert shop.query("select count(*) from marts.orders where source_order_id = 'W888888'") == [(1,)]
    assert shop.query("select count(*) from marts.events where event_id like '%E777777%'") == [(1,)]

    company = shop.root / "declarations" / "company.yml"
    company.write_text(company.read_text(encoding="utf-8") + "# begun anew\n", encoding="utf-8")
    shop.rcu("run", "--as-of", LAST.isoformat())
    rebuild = contents(shop.current.resolve())
    # Who came and went is told against the run before, which for the rebuild is the increment.
    apart = {"segments.changes", "segments.sizes", "segments.movements"}
    differing = {name for name in increment.keys() | rebuild.keys() if increment.get(name) != rebuild.get(name)}
    assert differing <= apart

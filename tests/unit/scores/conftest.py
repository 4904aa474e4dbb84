"""Invented shops for the tests of scores: purchases drawn customer by customer, in plain Python."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from orchestration.contracts.scoring import Scoring
from orchestration.settings import Workspace
from orchestration.warehouse import Connection, connect

Order = tuple[str, dt.date, str]  # customer, day, amount


@pytest.fixture(scope="session")
def retail(real_data: Path) -> Path:
    """The folder of published retail data."""
    return real_data / "retail"


def draw_shop(customers: int, first_on: dt.date, days: int, *, seed: int, busy_month: int | None = None) -> list[Order]:
    """Orders of a shop: gamma rates, beta stopping chances; four times busier in `busy_month`."""
    draw = random.Random(seed)
    orders: list[Order] = []
    for number in range(customers):
        typical = draw.gammavariate(6, 8)
        rate = draw.gammavariate(0.8, 1 / 80)
        stop = draw.betavariate(0.7, 4)
        day = draw.randrange(days)
        orders.append((f"c{number:05d}", first_on + dt.timedelta(days=day), f"{typical:.2f}"))
        for later in range(day + 1, days):
            on = first_on + dt.timedelta(days=later)
            if draw.random() < min(rate * (4 if on.month == busy_month else 1), 0.9):
                amount = typical * draw.gammavariate(4, 0.25)
                orders.append((f"c{number:05d}", on, f"{amount:.2f}"))
                if draw.random() < stop:
                    break
    return orders


def make_warehouse(orders: list[Order], extra_customers: tuple[str, ...] = ()) -> Connection:
    """An in-memory build database with the two tables that scores read."""
    connection = connect()
    connection.execute("create schema marts")
    connection.execute("create schema rcu")
    connection.execute(
        "create table marts.orders (customer_id varchar, ordered_on date, amount_gross decimal(18, 4), "
        "amount_net decimal(18, 4), is_purchase boolean)"
    )
    columns = zip(*orders, strict=True) if orders else ((), (), ())
    names = ("customer_id", "ordered_on", "amount")
    kinds = (pa.string(), pa.date32(), pa.string())
    drawn = {name: pa.array(column, kind) for name, column, kind in zip(names, columns, kinds, strict=True)}
    connection.register("drawn", pa.table(drawn))
    connection.execute("insert into marts.orders select customer_id, ordered_on, amount, amount, true from drawn")
    connection.unregister("drawn")
    connection.execute(
        "create table rcu.customers as select distinct customer_id from marts.orders where customer_id <> 'unknown'"
    )
    for customer in extra_customers:
        connection.execute("insert into rcu.customers values (?)", [customer])
    return connection


@pytest.fixture(scope="session")
def shop() -> list[Order]:
    """900 buyers over two years to 2025-12-31."""
    return draw_shop(900, dt.date(2024, 1, 1), 731, seed=11)


@pytest.fixture
def warehouse(shop: list[Order]) -> Iterator[Connection]:
    connection = make_warehouse(shop, extra_customers=("prospect",))
    yield connection
    connection.close()


@pytest.fixture
def open_warehouse() -> Iterator[Callable[..., Connection]]:
    opened: list[Connection] = []

    def make(orders: list[Order], extra_customers: tuple[str, ...] = ()) -> Connection:
        opened.append(make_warehouse(orders, extra_customers))
        return opened[-1]

    yield make
    for connection in opened:
        connection.close()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


@pytest.fixture
def settings() -> Scoring:
    return Scoring()


@pytest.fixture
def shop_of() -> Callable[..., list[Order]]:
    return draw_shop

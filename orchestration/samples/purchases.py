"""Three years of purchases: who buys when, where and what, what comes back, and what is no purchase at all."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from orchestration.samples.catalogue import GIFT_CARD, POSTAGE, TEST, WRAPPING, Catalogue, categories, pick_products
from orchestration.samples.people import People
from orchestration.samples.records import CARD, WEB, Skeleton
from orchestration.samples.streams import Streams, weighted_choice
from orchestration.samples.text import to_date
from orchestration.samples.words import SHOPS

YEARS = 3
WINDOW = 365 * YEARS
STORE, ONLINE, APP = range(3)
SALE, RETURN, WRITE_OFF, TEST_TICKET = range(4)
LINE_SALE, LINE_RETURN, LINE_WRITE_OFF, LINE_FEE, LINE_VOUCHER, LINE_TEST = range(6)
COMPLETED, CANCELLED, REFUNDED = range(3)

#: share of persons, usual days between purchases (0: one purchase only, None: never buys)
RHYTHMS: tuple[tuple[float, int | None], ...] = (
    (0.15, None),
    (0.28, 0),
    (0.23, 230),
    (0.20, 85),
    (0.08, 33),
    (0.06, -1),  # only at Christmas and in the sales
)


@dataclass(frozen=True)
class Orders:
    """One row per order or ticket, in order of time. Records are positions in the skeleton, -1 for none."""

    person: np.ndarray
    day: np.ndarray
    second: np.ndarray
    kind: np.ndarray
    channel: np.ndarray
    shop: np.ndarray
    status: np.ndarray
    payment: np.ndarray
    account: np.ndarray
    card: np.ndarray
    guest: np.ndarray
    gives_email: np.ndarray
    origin: np.ndarray  # the order that a return refers to
    is_collected: np.ndarray  # ordered online, collected and booked again in a shop
    is_pending: np.ndarray  # delivered as pending first

    def __len__(self) -> int:
        return len(self.person)


@dataclass(frozen=True)
class Lines:
    """One row per line, in order of order and line. Money in cents."""

    order: np.ndarray
    line: np.ndarray
    product: np.ndarray
    quantity: np.ndarray
    cents: np.ndarray
    discount: np.ndarray
    kind: np.ndarray

    @property
    def amount(self) -> np.ndarray:
        return self.quantity * self.cents - np.sign(self.quantity) * self.discount


_MONTHS = (1.25, 0.8, 0.9, 0.95, 0.95, 1.1, 1.1, 0.7, 1.0, 1.0, 1.15, 1.7)
_WEEKDAYS = (0.8, 0.85, 1.0, 0.9, 1.1, 1.65, 0.7)


def _is_sales(days: np.ndarray) -> np.ndarray:
    """French sales: about 8 January to 4 February and 25 June to 22 July."""
    season = {day: _in_sales(day) for day in np.unique(days).tolist()}
    return np.array([season[day] for day in days.tolist()], dtype=bool)


def _in_sales(day: int) -> bool:
    seen = to_date(day)
    return (1, 8) <= (seen.month, seen.day) <= (2, 4) or (6, 25) <= (seen.month, seen.day) <= (7, 22)


def _season(first: int, last: int, only_seasonal: bool) -> np.ndarray:
    weights = []
    for day in range(first, last + 1):
        seen = to_date(day)
        weight = _MONTHS[seen.month - 1] * _WEEKDAYS[seen.weekday()]
        if seen.month == 12 and seen.day > 24:
            weight *= 0.4
        if only_seasonal:
            weight = weight if _in_sales(day) or (seen.month == 12 and seen.day <= 24) else 0.01 * weight
        weights.append(weight)
    return np.concatenate([[0.0], np.cumsum(weights)])


def _purchase_days(people: People, random: np.random.Generator, last_day: int) -> tuple[np.ndarray, np.ndarray]:
    """(person, day) of every purchase, in order of person and day."""
    count = len(people)
    first_day = last_day - WINDOW
    rhythm = weighted_choice(random, [share for share, _ in RHYTHMS], count)
    interval = np.array([days if days else 0 for _, days in RHYTHMS])[rhythm]
    start = np.maximum(people.joined_on, first_day)
    stays = random.random(count) > 0.34
    end = np.where(stays, last_day, start + (random.random(count) * (last_day - start)).astype(np.int64))
    wanted = random.poisson(np.where(interval > 0, (end - start) / np.maximum(interval, 1), 0)) + (interval > 0)
    wanted = np.where(rhythm == 1, 1, wanted)
    wanted = np.where(rhythm == 5, 1 + random.poisson((end - start) / 365 * 1.6), wanted)
    wanted = np.where(rhythm == 0, 0, wanted)

    person = np.repeat(np.arange(count), wanted)
    rank = np.arange(len(person)) - np.repeat(np.cumsum(wanted) - wanted, wanted)
    share = random.random(len(person))
    regular = np.isin(rhythm[person], (2, 3, 4))
    share = np.where(regular, (rank + share) / np.maximum(wanted[person], 1), share)
    # Many first purchases are what made the person known.
    share = np.where((rank == 0) & (random.random(len(person)) < 0.5), share * 0.05, share)
    day = np.empty(len(person), dtype=np.int64)
    for seasonal in (False, True):
        total = _season(first_day, last_day, seasonal)
        rows = (rhythm[person] == 5) == seasonal
        low, high = total[start[person[rows]] - first_day], total[end[person[rows]] - first_day + 1]
        found = np.searchsorted(total, low + share[rows] * (high - low), side="right") - 1
        day[rows] = np.clip(first_day + found, start[person[rows]], last_day)
    order = np.lexsort((rank, day, person))
    return person[order], day[order]


def _first_record(skeleton: Skeleton, source: int, people: int) -> tuple[np.ndarray, np.ndarray]:
    """Per person: the oldest record of the source (-1: none) and another one (the newest)."""
    rows = np.flatnonzero(skeleton.source == source)  # in order of creation
    first, last = np.full(people, -1), np.full(people, -1)
    first[skeleton.person[rows[::-1]]] = rows[::-1]
    last[skeleton.person[rows]] = rows
    return first, last


def invent_purchases(
    people: People,
    skeleton: Skeleton,
    buys_as_guest: np.ndarray,
    catalogue: Catalogue,
    streams: Streams,
    last_day: int,
) -> tuple[Orders, Lines, np.ndarray, np.ndarray]:
    """Orders, lines, and of each guest checkout the person and the day, in order of `Orders.guest`."""
    random = streams.of("purchases")
    person, day = _purchase_days(people, random, last_day)
    count = len(person)
    account, last_account = _first_record(skeleton, WEB, len(people))
    card, last_card = _first_record(skeleton, CARD, len(people))
    created = np.append(skeleton.created_on, 0)

    loves_web = np.where((account >= 0) | buys_as_guest, np.where(card >= 0, random.random(len(people)), 0.93), 0.0)
    online = random.random(count) < loves_web[person]
    newest = random.random(count) < 0.5
    with_account = np.where(newest & (created[last_account[person]] <= day), last_account[person], account[person])
    with_account = np.where((with_account >= 0) & (created[with_account] <= day) & online, with_account, -1)
    guest = online & (with_account < 0) & buys_as_guest[person]
    before = np.cumsum(guest) - guest
    starts = np.flatnonzero(np.diff(person, prepend=-1))
    earlier = before - np.repeat(before[starts], np.diff(starts, append=count)) if count else before
    guest &= earlier < 2  # the third time they go to a shop
    online &= (with_account >= 0) | guest
    with_card = np.where(newest & (created[last_card[person]] <= day), last_card[person], card[person])
    with_card = np.where(
        (with_card >= 0) & (created[with_card] <= day) & ~online & (random.random(count) < 0.9), with_card, -1
    )

    anonymous = int(0.25 * (~online).sum())
    write_offs, tests = max(1, count // 250), max(2, count // 2000)
    season = _season(last_day - WINDOW, last_day, False)
    drawn = random.random(anonymous) * season[-1]
    more_days = last_day - WINDOW + np.minimum(np.searchsorted(season, drawn, side="right") - 1, WINDOW)
    other_days = last_day - random.integers(0, WINDOW, write_offs + tests)
    extra = anonymous + write_offs + tests
    nobody = np.full(extra, -1)

    all_person = np.concatenate([person, nobody])
    channel = np.where(online, np.where(random.random(count) < 0.27, APP, ONLINE), STORE)
    channel = np.concatenate([channel, np.full(extra, STORE)])
    size = len(all_person)
    status = np.where((channel != STORE) & (random.random(size) < 0.035), CANCELLED, COMPLETED)
    orders = Orders(
        person=all_person,
        day=np.concatenate([day, more_days, other_days]),
        second=_seconds(random, size, channel),
        kind=np.repeat([SALE, SALE, WRITE_OFF, TEST_TICKET], [count, anonymous, write_offs, tests]),
        channel=channel,
        shop=np.where(
            random.random(size) < 0.8, (all_person * 7 + 3) % len(SHOPS), random.integers(0, len(SHOPS), size)
        ),
        status=status,
        payment=random.random(size),
        account=np.concatenate([with_account, nobody]),
        card=np.concatenate([with_card, nobody]),
        guest=np.concatenate([np.where(guest, 0, -1), nobody]),
        gives_email=np.concatenate([~online & (random.random(count) < 0.16), nobody > 0]),
        origin=np.full(size, -1),
        is_collected=(channel != STORE) & (status == COMPLETED) & (random.random(size) < 0.04),
        is_pending=(channel != STORE) & (random.random(size) < 0.3),
    )
    lines = _lines(people, orders, catalogue, streams.of("lines"))
    orders, lines = _with_returns(orders, lines, streams.of("returns"), last_day)
    orders, lines = _in_order_of_time(orders, lines)
    guests = np.flatnonzero(orders.guest >= 0)
    orders.guest[guests] = len(skeleton) + np.arange(len(guests))
    return orders, lines, orders.person[guests], orders.day[guests]


def _seconds(random: np.random.Generator, size: int, channel: np.ndarray) -> np.ndarray:
    opening = 9.5 * 3600 + random.random(size) * 10 * 3600
    anytime = np.clip(random.normal(17.5, 4.5, size), 0.1, 23.9) * 3600
    return np.where(channel == STORE, opening, anytime).astype(np.int64)


def _lines(people: People, orders: Orders, catalogue: Catalogue, random: np.random.Generator) -> Lines:
    count = len(orders)
    items = np.minimum(random.geometric(0.52, count), 9)
    items = np.where(orders.kind == TEST_TICKET, 1, items)
    order = np.repeat(np.arange(count), items)
    size = len(order)
    who = orders.person[order]

    for_women = np.where(who >= 0, np.where(people.is_woman[who], 0.72, 0.12), 0.5)
    parent = random.random(len(people)) < 0.3
    for_children = np.where((who >= 0) & parent[who], 0.35, 0.04)
    draw = random.random(size)
    audience = np.where(draw < 0.2, 3, np.where(random.random(size) < for_children, 2, 0))
    audience = np.where((audience == 0) & (random.random(size) >= for_women), 1, audience)
    liked = random.integers(0, len(categories()), len(people))
    favourite = np.where((who >= 0) & (random.random(size) < 0.55), liked[who], -1)
    product = pick_products(catalogue, random, audience, favourite)
    quantity = np.where(random.random(size) < 0.09, random.integers(2, 5, size), 1)

    in_sales = _is_sales(orders.day)[order]
    reduced = random.random(size) < np.where(in_sales, 0.6, 0.11)
    rate = np.where(reduced, random.choice([10, 20, 30, 40, 50], size, p=[0.3, 0.3, 0.2, 0.1, 0.1]), 0)
    kind = np.full(size, LINE_SALE)
    kind[orders.kind[order] == WRITE_OFF] = LINE_WRITE_OFF
    quantity = np.where(kind == LINE_WRITE_OFF, -quantity, quantity)
    test = orders.kind[order] == TEST_TICKET
    product, kind = np.where(test, catalogue.products + TEST, product), np.where(test, LINE_TEST, kind)
    rate = np.where(kind == LINE_SALE, rate, 0)

    # Lines that are no product, at the end of the bill.
    sale = orders.kind == SALE
    online = orders.channel != STORE
    added = (
        (POSTAGE, np.flatnonzero(sale & online & (random.random(count) < 0.55)), LINE_FEE),
        (WRAPPING, np.flatnonzero(sale & (random.random(count) < 0.02)), LINE_FEE),
        (GIFT_CARD, np.flatnonzero(sale & (random.random(count) < 0.014)), LINE_VOUCHER),
        (TEST, np.flatnonzero(sale & ~online & (random.random(count) < 0.0008)), LINE_TEST),
    )
    columns = [(order, product, quantity, rate, kind)]
    for what, rows, line_kind in added:
        many = len(rows)
        code = np.full(many, catalogue.products + what)
        columns.append((rows, code, np.ones(many, dtype=int), np.zeros(many, dtype=int), np.full(many, line_kind)))
    order, product, quantity, rate, kind = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    sort = np.argsort(order, kind="stable")
    order, product, quantity, rate, kind = order[sort], product[sort], quantity[sort], rate[sort], kind[sort]
    cents = catalogue.cents[product]
    starts = np.flatnonzero(np.diff(order, prepend=-1))
    return Lines(
        order=order,
        line=1 + np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order))),
        product=product,
        quantity=quantity,
        cents=cents,
        discount=np.abs(quantity) * cents * rate // 100,
        kind=kind,
    )


def _with_returns(orders: Orders, lines: Lines, random: np.random.Generator, last_day: int) -> tuple[Orders, Lines]:
    """Some orders come back, whole or in part: a later order of its own, with negative quantities."""
    prone = random.random(int(orders.person.max(initial=0)) + 1) < 0.06
    rate = np.where(orders.channel == STORE, 0.035, 0.10) + np.where(
        (orders.person >= 0) & prone[orders.person], 0.3, 0
    )
    back = (orders.kind == SALE) & (orders.status == COMPLETED) & (random.random(len(orders)) < rate)
    day = orders.day + 2 + random.integers(0, 27, len(orders))
    back &= day <= last_day
    chosen = back[lines.order] & (lines.kind == LINE_SALE) & (random.random(len(lines.order)) < 0.7)
    origins = np.unique(lines.order[chosen])
    status = orders.status.copy()
    whole = ~np.isin(origins, lines.order[(lines.kind == LINE_SALE) & ~chosen])
    status[origins[whole & (orders.channel[origins] != STORE)]] = REFUNDED

    columns = {
        field.name: np.concatenate([getattr(orders, field.name), getattr(orders, field.name)[origins]])
        for field in fields(Orders)
    }
    count, many = len(orders), len(origins)
    columns["day"][count:] = day[origins]
    columns["kind"][count:] = RETURN
    columns["status"] = np.concatenate([status, np.full(many, COMPLETED)])
    columns["origin"][count:] = origins
    columns["guest"][count:] = -1
    columns["is_collected"][count:] = False
    columns["is_pending"][count:] = False
    second = columns["second"]
    second[count:] = 36_000 + (random.random(many) * 30_000).astype(np.int64)

    order = count + np.searchsorted(origins, lines.order[chosen])
    starts = np.flatnonzero(np.diff(order, prepend=-1))
    number = 1 + np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
    return Orders(**columns), Lines(
        order=np.concatenate([lines.order, order]),
        line=np.concatenate([lines.line, number]),
        product=np.concatenate([lines.product, lines.product[chosen]]),
        quantity=np.concatenate([lines.quantity, -lines.quantity[chosen]]),
        cents=np.concatenate([lines.cents, lines.cents[chosen]]),
        discount=np.concatenate([lines.discount, lines.discount[chosen]]),
        kind=np.concatenate([lines.kind, np.full(int(chosen.sum()), LINE_RETURN)]),
    )


def _in_order_of_time(orders: Orders, lines: Lines) -> tuple[Orders, Lines]:
    sort = np.lexsort((np.arange(len(orders)), orders.second, orders.day))
    place = np.empty(len(sort), dtype=np.int64)
    place[sort] = np.arange(len(sort))
    columns = {field.name: getattr(orders, field.name)[sort] for field in fields(Orders)}
    columns["origin"] = np.where(columns["origin"] >= 0, place[columns["origin"]], -1)
    order = place[lines.order]
    line_sort = np.lexsort((lines.line, order))
    moved = {field.name: getattr(lines, field.name)[line_sort] for field in fields(Lines)}
    moved["order"] = order[line_sort]
    return Orders(**columns), Lines(**moved)

"""Everything that is true and everything that the retailer's systems know, before it becomes files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from orchestration.samples.catalogue import Catalogue, invent_catalogue
from orchestration.samples.engagement import (
    Answers,
    Choices,
    MailEvents,
    Requests,
    Visits,
    invent_answers,
    invent_choices,
    invent_mail_events,
    invent_requests,
    invent_visits,
)
from orchestration.samples.people import NEVER, People, invent_people
from orchestration.samples.purchases import Lines, Orders, invent_purchases
from orchestration.samples.records import (
    CALL,
    CARD,
    CRM,
    GUEST,
    NEWSLETTER,
    WEB,
    Sight,
    Skeleton,
    observe,
    seen_again,
    who_is_known,
    with_guests,
)
from orchestration.samples.reference import read_reference
from orchestration.samples.streams import Streams
from orchestration.samples.text import objects


@dataclass(frozen=True)
class World:
    """`before` is what each record held at first, `after` (for `changed` positions) what it holds from
    `updated_on` on. `deleted_on`: the day from which full deliveries leave the record out."""

    people: People
    skeleton: Skeleton
    record_id: np.ndarray
    captured_on: np.ndarray
    updated_on: np.ndarray
    deleted_on: np.ndarray
    before: Sight
    changed: np.ndarray
    after: Sight
    wants_mail: np.ndarray
    catalogue: Catalogue
    orders: Orders
    lines: Lines
    mail: MailEvents
    visits: Visits
    answers: Answers
    choices: Choices
    requests: Requests
    streams: Streams
    first_day: int
    last_day: int


def invent_world(*, customers: int, seed: int, first_day: int, last_day: int, progress: Callable[[str], None]) -> World:
    streams = Streams(seed)
    progress("persons, households, addresses")
    people = invent_people(read_reference(), streams, count=customers, first_day=first_day, last_day=last_day)
    skeleton, buys_as_guest = who_is_known(people, streams, last_day)
    progress("three years of purchases")
    catalogue = invent_catalogue(streams)
    orders, lines, guests, checkouts = invent_purchases(people, skeleton, buys_as_guest, catalogue, streams, last_day)
    skeleton = with_guests(skeleton, guests, checkouts)
    progress("customer records and their mistakes")
    captured_on, updated_on = _moments(people, skeleton, streams, first_day, last_day)
    before = observe(people, skeleton, captured_on, streams.of("records"))
    changed = np.flatnonzero(updated_on > NEVER)
    part = Skeleton(
        skeleton.source[changed], skeleton.person[changed], skeleton.created_on[changed], skeleton.is_duplicate[changed]
    )
    after = seen_again(before.rows(changed), observe(people, part, updated_on[changed], streams.of("updates")))
    wants = np.array([0.55, 0.66, 0.5, 0.97, 0.4, 0.4])[skeleton.source]
    wants_mail = streams.of("optin").random(len(skeleton)) < wants
    progress("e-mails, visits, surveys, requests")
    return World(
        people=people,
        skeleton=skeleton,
        record_id=_record_ids(skeleton),
        captured_on=captured_on,
        updated_on=updated_on,
        deleted_on=_deletions(skeleton, streams, first_day, last_day),
        before=before,
        changed=changed,
        after=after,
        wants_mail=wants_mail,
        catalogue=catalogue,
        orders=orders,
        lines=lines,
        mail=invent_mail_events(people, skeleton, before, wants_mail, catalogue, streams, last_day),
        visits=invent_visits(people, skeleton, catalogue, streams, last_day),
        answers=invent_answers(people, orders, streams, last_day),
        choices=invent_choices(people, streams, last_day),
        requests=invent_requests(people, streams, first_day, last_day),
        streams=streams,
        first_day=first_day,
        last_day=last_day,
    )


def _record_ids(skeleton: Skeleton) -> np.ndarray:
    """Numbers in order of creation within each source, in each source's own fashion."""

    def card_number(rank: int) -> str:
        digits = f"298{rank + 1:09d}"
        total = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(digits))
        return f"{digits}{-total % 10}"

    fashions: dict[int, Callable[[int], str]] = {
        CRM: lambda rank: f"{rank + 1_204:08d}",
        WEB: lambda rank: f"W{100_000 + rank}",
        CARD: card_number,
        NEWSLETTER: lambda rank: f"NL-{rank + 1:07d}",
        CALL: lambda rank: f"F{rank + 1:06d}",
        GUEST: lambda rank: f"INV{rank + 1:07d}",
    }
    ids = []
    for source in range(6):
        ids += [fashions[source](rank) for rank in range(int((skeleton.source == source).sum()))]
    return objects(ids)


def _moments(
    people: People, skeleton: Skeleton, streams: Streams, first_day: int, last_day: int
) -> tuple[np.ndarray, np.ndarray]:
    """(day each record was captured, day it is updated after the initial load or `NEVER`)."""
    random = streams.of("moments")
    count, created = len(skeleton), skeleton.created_on
    touched = random.random(count) < 0.35
    update = created + (random.random(count) * (last_day - created + 1)).astype(np.int64)
    update = np.where(touched & (update > created), update, NEVER)
    wait = random.integers(0, 2, count)
    told = random.random(count)
    for changes in (people.moved_on, people.mobile_changed_on, people.email_changed_on, people.married_on):
        day = changes[skeleton.person]
        update = np.where((day > first_day) & (told < 0.6), np.minimum(day + wait, last_day), update)
    update = np.where((created > first_day) | (skeleton.source == GUEST) | (update <= created), NEVER, update)
    captured = np.where((update > NEVER) & (update <= first_day), update, created)
    return captured, np.where(update > first_day, update, NEVER)


def _deletions(skeleton: Skeleton, streams: Streams, first_day: int, last_day: int) -> np.ndarray:
    """Full deliveries lose a record or a few a day."""
    random = streams.of("deletions")
    deleted = np.full(len(skeleton), last_day + 10_000)
    for source in (CRM, CARD):
        rows = np.flatnonzero((skeleton.source == source) & (skeleton.created_on <= first_day))
        for day in range(first_day + 1, last_day + 1):
            many = min(1 + len(rows) // 8000, len(rows))
            gone = random.choice(len(rows), many, replace=False) if many else np.empty(0, dtype=int)
            deleted[rows[gone]] = np.minimum(deleted[rows[gone]], day)
    return deleted

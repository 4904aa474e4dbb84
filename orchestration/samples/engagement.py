"""What customers do besides buying: e-mails, visits, carts, surveys, choices about contact, privacy requests.

Everything is a fact with a day and a second; who it is about is told as the system in question would
tell it: the mailbox written to, the account logged in, a cookie.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from orchestration.samples.catalogue import Catalogue
from orchestration.samples.people import NEVER, People
from orchestration.samples.purchases import COMPLETED, SALE, Orders
from orchestration.samples.records import NEWSLETTER, WEB, Sight, Skeleton
from orchestration.samples.streams import Streams, weighted_choice
from orchestration.samples.text import objects

#: How far back the marketing systems remember.
MEMORY = 180

SENT, OPEN, CLICK, BOUNCE, UNSUBSCRIBE, COMPLAINT = range(6)
MAIL_EVENTS = ("sent", "open", "click", "bounce", "unsubscribe", "complaint")
SESSION, PAGE_VIEW, CART = range(3)
WEB_EVENTS = ("session", "page_view", "cart")


@dataclass(frozen=True)
class MailEvents:
    """In order of time. `record` is the position of the newsletter or account record written to."""

    day: np.ndarray
    second: np.ndarray
    kind: np.ndarray
    campaign: np.ndarray  # day the campaign started
    record: np.ndarray
    product: np.ndarray  # -1 for none
    is_hard: np.ndarray


@dataclass(frozen=True)
class Visits:
    """Sessions, pages and carts, in order of time. `record` is the account logged in, -1 for none."""

    day: np.ndarray
    second: np.ndarray
    kind: np.ndarray
    visitor: np.ndarray
    record: np.ndarray
    in_app: np.ndarray
    product: np.ndarray
    value: np.ndarray  # seconds of a session, cents of a cart


@dataclass(frozen=True)
class Answers:
    """Survey answers after an order: note 0 to 10."""

    order: np.ndarray
    day: np.ndarray
    note: np.ndarray
    comment: np.ndarray


@dataclass(frozen=True)
class Choices:
    """What persons chose in the preference centre."""

    person: np.ndarray
    day: np.ndarray
    second: np.ndarray
    channel: np.ndarray
    purpose: np.ndarray
    says_yes: np.ndarray


@dataclass(frozen=True)
class Requests:
    """Privacy requests."""

    person: np.ndarray
    day: np.ndarray
    kind: np.ndarray


def invent_mail_events(
    people: People, skeleton: Skeleton, sight: Sight, wants_mail: np.ndarray, catalogue: Catalogue,
    streams: Streams, last_day: int,
) -> MailEvents:  # fmt: skip
    """A campaign every four days, sent in four waves of a day, and what those written to made of it."""
    random = streams.of("mail")
    told = np.flatnonzero(np.isin(skeleton.source, (NEWSLETTER, WEB)) & wants_mail & (sight.email != ""))
    campaigns = np.arange(last_day, last_day - MEMORY, -4)[::-1]
    many, rounds = len(told), len(campaigns)
    person = skeleton.person[told]
    taste = random.beta(0.9, 2.4, len(people))[person]
    # A mailbox no longer used, or never written right, bounces for good.
    true = np.column_stack([people.email, people.other_email, people.household_email])
    written = np.array([mail.strip().lower() for mail in sight.email[told]], dtype=object)
    known = np.zeros(many, dtype=bool)
    for column in range(4):
        known |= true[person, column] == written
    gone = (sight.email_state[told] == 0) & (people.email_changed_on[person] > NEVER)
    bounces = (~known & (random.random(many) < 0.55)) | (gone & (random.random(many) < 0.5))

    sent = random.random((many, rounds)) < 0.22 + 0.25 * taste[:, None]
    sent &= skeleton.created_on[told][:, None] < campaigns[None, :]
    opened = sent & (random.random((many, rounds)) < taste[:, None]) & ~bounces[:, None]
    clicked = opened & (random.random((many, rounds)) < 0.17)
    leaves = sent & ~bounces[:, None] & (random.random((many, rounds)) < 0.0022)
    complains = leaves & (random.random((many, rounds)) < 0.07)
    soft = sent & ~bounces[:, None] & (random.random((many, rounds)) < 0.003)
    stops = leaves | (bounces[:, None] & sent)
    stopped = (np.cumsum(stops, axis=1) - stops) > 0
    delays = {SENT: 0.3, OPEN: 9.0, CLICK: 10.0, BOUNCE: 0.5, UNSUBSCRIBE: 11.0, COMPLAINT: 14.0}
    parts = []
    for kind, happened in (
        (SENT, sent), (OPEN, opened & ~soft), (CLICK, clicked & ~soft), (BOUNCE, soft | (bounces[:, None] & sent)),
        (UNSUBSCRIBE, leaves & ~complains), (COMPLAINT, complains),
    ):  # fmt: skip
        row, turn = np.nonzero(happened & ~stopped)
        wait = delays[kind] * 3600
        seconds = 9 * 3600 + (
            (random.random(len(row)) * wait) if kind == SENT else wait * 0.1 + random.exponential(wait, len(row))
        ).astype(np.int64)
        wave = told[row] % 4
        parts.append(
            (
                campaigns[turn] + wave + seconds // 86_400,
                seconds % 86_400,
                np.full(len(row), kind),
                campaigns[turn],
                row,
            )
        )
    day, second, kinds, campaign, row = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.lexsort((row, kinds, second, day))
    order = order[day[order] <= last_day]  # what comes later is not known yet
    day, second, kinds, campaign, row = day[order], second[order], kinds[order], campaign[order], row[order]
    product = weighted_choice(random, catalogue.popularity, len(day))
    return MailEvents(
        day=day,
        second=second,
        kind=kinds,
        campaign=campaign,
        record=told[row],
        product=np.where(kinds == CLICK, product, -1),
        is_hard=(kinds == BOUNCE) & bounces[row],
    )


def invent_visits(people: People, skeleton: Skeleton, catalogue: Catalogue, streams: Streams, last_day: int) -> Visits:
    """Half a year of sessions: of account holders (logged in or not) and of passers-by."""
    random = streams.of("visits")
    accounts = np.flatnonzero(skeleton.source == WEB)
    wanted = random.poisson(random.gamma(0.7, 6.0, len(accounts)))
    record = np.repeat(accounts, wanted)
    passing = len(record) // 3
    stranger = 10_000_000 + random.integers(0, max(passing, 1), passing)
    device = (random.random(len(record)) < 0.35).astype(int)
    visitor = np.concatenate([skeleton.person[record] * 2 + device, stranger])
    record = np.concatenate([record, np.full(passing, -1)])
    day = last_day - (random.random(len(record)) * MEMORY).astype(np.int64)
    keep = (record < 0) | (np.append(skeleton.created_on, 0)[record] <= day)
    visitor, record, day = visitor[keep], record[keep], day[keep]
    count = len(day)
    second = np.clip(random.normal(18, 4, count) * 3600, 60, 85_000).astype(np.int64)
    logged = np.where(random.random(count) < 0.5, record, -1)
    in_app = (record >= 0) & (visitor % 2 == 1) & (random.random(count) < 0.6)
    pages = np.minimum(random.geometric(0.55, count), 6)
    cart = random.random(count) < 0.13

    views = np.repeat(np.arange(count), pages)
    turn = np.arange(len(views)) - np.repeat(np.cumsum(pages) - pages, pages)
    carts = np.flatnonzero(cart)
    session = np.concatenate([np.arange(count), views, carts])
    kind = np.repeat([SESSION, PAGE_VIEW, CART], [count, len(views), len(carts)])
    later = np.concatenate([np.zeros(count, dtype=np.int64), 20 + 45 * turn, np.full(len(carts), 330)])
    product = np.where(kind == SESSION, -1, weighted_choice(random, catalogue.popularity, len(kind)))
    value = np.where(
        kind == SESSION,
        20 + 60 * np.repeat(1, len(kind)),
        np.where(kind == CART, catalogue.cents[product] * random.integers(1, 4, len(kind)), 0),
    )
    value[:count] = 20 + 60 * pages
    order = np.lexsort((np.arange(len(kind)), (second[session] + later), day[session]))
    session, kind, later, product, value = session[order], kind[order], later[order], product[order], value[order]
    return Visits(
        day=day[session],
        second=np.minimum(second[session] + later, 86_399),
        kind=kind,
        visitor=visitor[session],
        record=logged[session],
        in_app=in_app[session],
        product=product,
        value=value,
    )


_COMMENTS = (
    "", "", "", "Très satisfaite, livraison rapide", "Conseil en magasin au top", "Taille un peu petit",
    "Colis abîmé; remboursé sans problème", "Trop d'attente en caisse", "Je recommande", "Service client injoignable",
    'Article "premium" décevant', "Bon rapport qualité/prix",
)  # fmt: skip


def invent_answers(people: People, orders: Orders, streams: Streams, last_day: int) -> Answers:
    random = streams.of("survey")
    asked = (orders.kind == SALE) & (orders.status == COMPLETED) & (orders.person >= 0)
    asked &= (orders.day > last_day - 540) & (people.email[orders.person, 1] != "")
    answered = np.flatnonzero(asked & (random.random(len(orders)) < 0.05))
    day = orders.day[answered] + 3 + random.integers(0, 12, len(answered))
    note = np.clip(np.round(10 - random.exponential(2.2, len(answered))), 0, 10).astype(np.int64)
    comment = objects(_COMMENTS)[random.integers(0, len(_COMMENTS), len(answered))]
    order = np.lexsort((answered, day))
    order = order[day[order] <= last_day]
    return Answers(answered[order], day[order], note[order], comment[order])


CHANNELS = ("email", "sms", "telephone", "courrier", "push")
PURPOSES = ("marketing", "profilage", "suivi_ouverture", "partenaires")


def invent_choices(people: People, streams: Streams, last_day: int) -> Choices:
    random = streams.of("preferences")
    mailbox = np.flatnonzero(people.email[:, 1] != "")
    active = mailbox[random.random(len(mailbox)) < 0.12]
    person = np.repeat(active, 1 + random.integers(0, 3, len(active)))
    count = len(person)
    known_days = np.minimum(last_day - people.joined_on[person], 730)
    day = last_day - (random.random(count) * (known_days + 1)).astype(np.int64)
    channel = weighted_choice(random, [0.45, 0.22, 0.13, 0.12, 0.08], count)
    purpose = weighted_choice(random, [0.7, 0.1, 0.15, 0.05], count)
    order = np.lexsort((np.arange(count), day))
    return Choices(
        person=person[order],
        day=day[order],
        second=random.integers(0, 86_399, count)[order],
        channel=objects(CHANNELS)[channel][order],
        purpose=objects(PURPOSES)[purpose][order],
        says_yes=(random.random(count) < 0.45)[order],
    )


REQUESTS = ("ACCES", "EFFACEMENT", "OPPOSITION", "PORTABILITE", "RECTIFICATION")


def invent_requests(people: People, streams: Streams, first_day: int, last_day: int) -> Requests:
    """A few: about one customer in a thousand, half of them after the initial load."""
    random = streams.of("privacy")
    count = min(max(6, len(people) // 900), len(people))
    person = random.choice(len(people), count, replace=False)
    # recent enough that an answer is not yet due: the first run shows nothing red that nobody could have helped
    old = first_day - random.integers(0, 90, count) % 25
    new = first_day + 1 + random.integers(0, max(last_day - first_day, 1), count)
    day = np.where((np.arange(count) % 2 == 0) | (last_day == first_day), old, new)
    kind = np.concatenate([np.arange(count)[:6] % 3, weighted_choice(random, [0.3, 0.35, 0.25, 0.05, 0.05], count)[6:]])
    order = np.lexsort((person, day))
    return Requests(person[order], np.maximum(day, people.joined_on[person])[order], kind[order])

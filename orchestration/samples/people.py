"""The invented persons behind every record: who they are, with whom they live, and what changed when.

This is the truth. What the retailer's systems know of it (with mistakes) is in `records.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from orchestration.samples.reference import Reference
from orchestration.samples.streams import Streams, weighted_choice
from orchestration.samples.text import for_mail, objects
from orchestration.samples.words import (
    ABROAD,
    ADDRESS_EXTRAS,
    EMAIL_DOMAINS,
    LANDLINE_ZONES,
    NICKNAMES,
    STREET_NAMES,
    STREET_TYPES,
)

#: A change that never happened: before any day.
NEVER = -(10**8)
SINGLE, COUPLE, FAMILY_OF_3, FAMILY_OF_4 = range(4)


@dataclass(frozen=True)
class Addresses:
    """Places to live; persons point at them by position."""

    number: np.ndarray
    street: np.ndarray
    extra: np.ndarray
    postal_code: np.ndarray
    city: np.ndarray
    country: np.ndarray
    landline: np.ndarray  # "" when there is none


@dataclass(frozen=True)
class People:
    """One row per person. Of what changes there are two values and the day of the change:
    the second holds from that day on (`NEVER`: has always held)."""

    household: np.ndarray
    is_woman: np.ndarray
    birth_day: np.ndarray
    first_name: np.ndarray
    second_name: np.ndarray
    birth_name: np.ndarray
    usage_name: np.ndarray
    married_on: np.ndarray
    address: np.ndarray  # (n, 2) positions in `addresses`
    moved_on: np.ndarray
    mobile: np.ndarray  # (n, 2) ten digits, or +...
    mobile_changed_on: np.ndarray
    email: np.ndarray  # (n, 2)
    email_changed_on: np.ndarray
    other_email: np.ndarray  # a second mailbox, "" when there is none
    household_email: np.ndarray  # shared with another person of the household
    joined_on: np.ndarray
    addresses: Addresses

    def __len__(self) -> int:
        return len(self.household)


def invent_people(reference: Reference, streams: Streams, *, count: int, first_day: int, last_day: int) -> People:
    """`count` persons as of `last_day`; some of their changes fall after `first_day` (the initial load)."""
    random = streams.of("people")
    household, role, kind = _households(random, count)
    is_woman, birth_day = _sex_and_birth(random, household, role, kind, last_day)
    first_name, second_name = _first_names(random, reference, household, role, kind, is_woman, birth_day)
    birth_name, usage_name, married_on = _last_names(
        random, reference, household, role, is_woman, birth_day, first_day, last_day
    )
    addresses, address, moved_on = _addresses(
        streams.of("addresses"), reference, household, role, birth_day, first_day, last_day
    )
    contacts = _contacts(
        streams.of("contacts"), household, role, first_name, birth_name, usage_name, birth_day,
        addresses, address, first_day, last_day,
    )  # fmt: skip
    joined = last_day - np.minimum(2190 * streams.of("joined").random(count) ** 1.15, 2190).astype(np.int64)
    return People(
        household=household,
        is_woman=is_woman,
        birth_day=birth_day,
        first_name=first_name,
        second_name=second_name,
        birth_name=birth_name,
        usage_name=usage_name,
        married_on=married_on,
        address=address,
        moved_on=moved_on,
        joined_on=joined,
        addresses=addresses,
        **contacts,
    )


def _change_days(random: np.random.Generator, count: int, share: float, first_day: int, last_day: int) -> np.ndarray:
    """Day of a change for a `share` of persons in the last four years, and for a few on each delivery day."""
    changed = random.random(count) < share
    day = np.where(changed, last_day - (random.random(count) * 1460).astype(np.int64), NEVER)
    lasting = last_day - first_day
    if lasting > 0:
        recent = random.random(count) < 0.0012 * lasting
        day = np.where(recent, first_day + 1 + (random.random(count) * lasting).astype(np.int64), day)
    return day


def _households(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    kinds = weighted_choice(random, [0.70, 0.19, 0.06, 0.05], count)
    sizes = kinds + 1
    households = int(np.searchsorted(np.cumsum(sizes), count)) + 1
    household = np.repeat(np.arange(households), sizes[:households])[:count]
    starts = np.flatnonzero(np.diff(household, prepend=-1))
    role = np.arange(count) - np.repeat(starts, np.diff(starts, append=count))
    return household, role, kinds[household]


def _head_of(household: np.ndarray) -> np.ndarray:
    """Position of the first person of each person's household."""
    return np.searchsorted(household, household)


def _sex_and_birth(
    random: np.random.Generator, household: np.ndarray, role: np.ndarray, kind: np.ndarray, last_day: int
) -> tuple[np.ndarray, np.ndarray]:
    count = len(household)
    head = _head_of(household)
    is_woman = random.random(count) < 0.57
    opposite = random.random(count) < 0.96
    is_woman = np.where(role == 1, np.where(opposite, ~is_woman[head], is_woman[head]), is_woman)

    age = 18 + 62 * random.beta(1.7, 2.2, count)
    age = np.where((role == 0) & (kind >= FAMILY_OF_3), 40 + 25 * random.random(count), age)
    age = np.where(role == 1, np.clip(age[head] + random.normal(0, 4, count), 18, 88), age)
    child = age[head] - 21 - 16 * random.random(count)
    age = np.where(role >= 2, np.where(child < 13.5, 13.5 + 7 * random.random(count), child), age)
    birth_day = last_day - (age * 365.25).astype(np.int64)

    twin = (role == 3) & (random.random(count) < 0.30)
    elder = np.maximum(np.arange(count) - 1, 0)
    birth_day = np.where(twin, birth_day[elder], birth_day)
    is_woman = np.where(twin & (random.random(count) < 0.65), is_woman[elder], is_woman)
    return is_woman, birth_day


def _first_names(
    random: np.random.Generator,
    reference: Reference,
    household: np.ndarray,
    role: np.ndarray,
    kind: np.ndarray,
    is_woman: np.ndarray,
    birth_day: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    count = len(household)
    decade = np.clip((1970 + birth_day / 365.25).astype(np.int64) // 10 * 10, 1930, 2000)
    first, second = np.empty(count, dtype=object), np.empty(count, dtype=object)
    for (woman, ten), names in reference.first_names_of.items():
        chosen = np.flatnonzero((is_woman == woman) & (decade == ten))
        for target in (first, second):
            drawn = weighted_choice(random, reference.first_name_weights[names], len(chosen))
            target[chosen] = reference.first_names[names][drawn]

    # Fathers and sons, mothers and daughters of the same first name.
    head = _head_of(household)
    for parent in (0, 1):
        elder = np.minimum(head + parent, count - 1)
        same = (role >= 2) & (random.random(count) < 0.08) & (is_woman == is_woman[elder])
        first[same] = first[elder[same]]
    # Two children of one household can't have one first name: the younger takes the second name.
    elder = np.maximum(np.arange(count) - 1, 0)
    clash = (role == 3) & (first == first[elder])
    first[clash] = second[clash]
    return first, second


def _last_names(
    random: np.random.Generator,
    reference: Reference,
    household: np.ndarray,
    role: np.ndarray,
    is_woman: np.ndarray,
    birth_day: np.ndarray,
    first_day: int,
    last_day: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    count = len(household)
    head = _head_of(household)
    own = reference.last_names[weighted_choice(random, reference.last_name_weights, count)]
    other = reference.last_names[weighted_choice(random, reference.last_name_weights, count)]
    has_partner = np.zeros(count, dtype=bool)
    partnered = np.flatnonzero(role == 1)
    has_partner[partnered] = has_partner[head[partnered]] = True
    partner = np.where(role == 1, head, np.minimum(np.arange(count) + 1, count - 1))

    birth_name, usage_name = own.copy(), own.copy()
    takes_name = has_partner & (role <= 1) & is_woman & ~is_woman[partner] & (random.random(count) < 0.74)
    usage_name[takes_name] = own[partner[takes_name]]
    # Women whose husband is no customer.
    alone = (role == 0) & ~has_partner & is_woman & (birth_day < last_day - 27 * 365) & (random.random(count) < 0.33)
    usage_name[alone] = other[alone]
    # Children bear their father's name.
    child = role >= 2
    father = np.where(is_woman[head], np.minimum(head + 1, count - 1), head)
    birth_name[child] = usage_name[child] = own[father[child]]

    recent = (takes_name | alone) & (birth_day > last_day - 48 * 365)
    married_on = _change_days(random, count, 0.26, first_day, last_day)
    return birth_name, usage_name, np.where(recent, married_on, NEVER)


def _addresses(
    random: np.random.Generator,
    reference: Reference,
    household: np.ndarray,
    role: np.ndarray,
    birth_day: np.ndarray,
    first_day: int,
    last_day: int,
) -> tuple[Addresses, np.ndarray, np.ndarray]:
    """Two addresses per household and two per person (only used by those who live apart)."""
    count, households = len(household), int(household[-1]) + 1
    total = 2 * households + 2 * count
    commune = weighted_choice(random, reference.commune_weights, total)
    # Most moves stay near: same commune or one close by in the list (same department).
    for offset, size in ((0, households), (2 * households, count)):
        near = random.random(size) < 0.6
        here = commune[offset : offset + size]
        close = np.clip(here + random.integers(-4, 5, size), 0, len(reference.cities) - 1)
        commune[offset + size : offset + 2 * size] = np.where(near, close, commune[offset + size : offset + 2 * size])
    number = 1 + np.minimum(random.exponential(28, total), 290).astype(np.int64)
    suffix = objects(["", " bis", " ter"])[weighted_choice(random, [0.95, 0.04, 0.01], total)]
    kind = weighted_choice(random, [weight for _, weight in STREET_TYPES], total)
    name = weighted_choice(random, 1 / (8 + np.arange(len(STREET_NAMES))), total)
    extra = objects(["", *ADDRESS_EXTRAS])[weighted_choice(random, [0.86, *[0.14 / 12] * 12], total)]
    streets = objects(
        [
            name if name.startswith("Grande") else f"{street} {name}"
            for street, _ in STREET_TYPES
            for name in STREET_NAMES
        ]
    )
    postal, city = reference.postal_codes[commune].copy(), reference.cities[commune].copy()
    country = np.full(total, "FR", dtype=object)
    line = random.integers(0, 10**8, total)
    landline = objects(
        f"0{LANDLINE_ZONES.get(code[:2], '1')}{rest:08d}" for code, rest in zip(postal, line.tolist(), strict=True)
    )
    head = np.searchsorted(household, np.arange(households))
    older = np.clip((last_day - birth_day[head]) / 365.25 / 110, 0.08, 0.7)
    connected = random.random(households) < older
    has_line = np.zeros(total, dtype=bool)
    has_line[:households] = has_line[households : 2 * households] = connected
    landline[~has_line] = ""
    abroad = np.flatnonzero(random.random(households) < 0.012)
    where = random.integers(0, len(ABROAD), len(abroad))
    for block in (0, households):
        for position, place in zip(abroad + block, where, strict=True):
            postal[position], city[position], country[position] = ABROAD[place][:3]
            landline[position] = ""

    household_move = _change_days(random, households, 0.19, first_day, last_day)
    before = household.copy()
    now = np.where(household_move[household] > NEVER, households + household, household)
    moved_on = household_move[household]
    apart = ((role >= 2) & (random.random(count) < 0.35)) | ((role == 1) & (random.random(count) < 0.04))
    left_on = last_day - (random.random(count) * 1460).astype(np.int64)
    now = np.where(apart, 2 * households + np.arange(count), now)
    moved_on = np.where(apart, left_on, moved_on)
    addresses = Addresses(
        number=objects(f"{n}{s}" for n, s in zip(number.tolist(), suffix, strict=True)),
        street=streets[kind * len(STREET_NAMES) + name],
        extra=extra,
        postal_code=postal,
        city=city,
        country=country,
        landline=landline,
    )
    return addresses, np.column_stack([before, now]), moved_on


def _contacts(
    random: np.random.Generator,
    household: np.ndarray,
    role: np.ndarray,
    first_name: np.ndarray,
    birth_name: np.ndarray,
    usage_name: np.ndarray,
    birth_day: np.ndarray,
    addresses: Addresses,
    address: np.ndarray,
    first_day: int,
    last_day: int,
) -> dict[str, np.ndarray]:
    count = len(household)
    head = _head_of(household)

    seven = random.random(count) < 0.28
    rest = random.integers(0, 10**7, (count, 2))
    second_digit = np.where(seven, random.integers(5, 9, count), random.integers(1, 9, count))
    mobile = np.empty((count, 2), dtype=object)
    for version in (0, 1):
        mobile[:, version] = [
            f"0{7 if s else 6}{d}{r:07d}"
            for s, d, r in zip(seven.tolist(), second_digit.tolist(), rest[:, version].tolist(), strict=True)
        ]
    prefixes = {country: prefix for _, _, country, prefix in ABROAD}
    for person in np.flatnonzero(addresses.country[address[:, 0]] != "FR"):
        prefix = prefixes[addresses.country[address[person, 0]]]
        for version in (0, 1):
            mobile[person, version] = f"{prefix}{rest[person, version]:07d}"
    mobile_changed = _change_days(random, count, 0.13, first_day, last_day)
    without = random.random(count) < 0.06
    mobile[without] = ""

    shapes = random.integers(0, 10, (count, 3))
    years = (1970 + birth_day / 365.25).astype(np.int64)
    old = years < 1960
    domains = objects(domain for domain, _, _ in EMAIL_DOMAINS)
    addresses_drawn = np.empty((count, 3), dtype=object)
    for version in range(3):
        domain = np.where(
            old,
            domains[weighted_choice(random, [old_weight for _, _, old_weight in EMAIL_DOMAINS], count)],
            domains[weighted_choice(random, [weight for _, weight, _ in EMAIL_DOMAINS], count)],
        )
        last = birth_name if version == 0 else usage_name
        digits = random.integers(1, 100, count)
        locals_ = [
            _mailbox(*parts)
            for parts in zip(
                shapes[:, version].tolist(), first_name, last, years.tolist(), digits.tolist(), strict=True
            )
        ]
        if version == 1:
            # A third of those who change keep their local part and change provider (wanadoo, orange).
            keeps = random.random(count) < 0.35
            locals_ = [
                before.split("@")[0] if keep else local
                for keep, before, local in zip(keeps, addresses_drawn[:, 0], locals_, strict=True)
            ]
        addresses_drawn[:, version] = [f"{local}@{d}" for local, d in zip(locals_, domain, strict=True)]
    _make_distinct(addresses_drawn)
    email = addresses_drawn[:, :2].copy()
    email_changed = _change_days(random, count, 0.16, first_day, last_day)
    other = np.where(random.random(count) < 0.10, addresses_drawn[:, 2], "")
    other[other == None] = ""  # noqa: E711 (element by element)
    minor = years > 1970 + last_day / 365.25 - 16
    without = random.random(count) < np.where(old, 0.16, np.where(minor, 0.5, 0.03))
    email[without] = ""
    other[without] = ""

    # One mailbox for a couple, or that of the head of the household for all.
    shared = np.full(count, "", dtype=object)
    sharing = random.random(count) < 0.17
    joint = random.random(count) < 0.5
    has_partner = np.zeros(count, dtype=bool)
    has_partner[head[role == 1]] = True
    for person in np.flatnonzero((role == 0) & has_partner & sharing):
        box = email[person, 1]
        if joint[person] or not box:
            box = f"famille.{for_mail(usage_name[person])}{person % 997}@{domains[person % 5]}"
        shared[person] = shared[person + 1] = box
    borrows = (role >= 1) & (email[:, 1] == "") & (email[head, 1] != "") & (random.random(count) < 0.5)
    shared[borrows] = email[head[borrows], 1]
    return {
        "mobile": mobile,
        "mobile_changed_on": mobile_changed,
        "email": email,
        "email_changed_on": email_changed,
        "other_email": other,
        "household_email": shared,
    }


def _mailbox(shape: int, first: str, last: str, year: int, digits: int) -> str:
    first_, last_ = for_mail(first), for_mail(last)
    match shape:
        case 0 | 1 | 2:
            return f"{first_}.{last_}"
        case 3:
            return f"{first_}.{last_}{year % 100:02d}"
        case 4:
            return f"{first_[0]}.{last_}"
        case 5:
            return f"{first_[0]}{last_}{digits}"
        case 6:
            return f"{last_}.{first_}"
        case 7:
            return f"{first_}{last_}{digits}"
        case 8:
            return f"{for_mail(NICKNAMES.get(first, (first,))[0])}{year}"
        case _:
            return f"{first_.replace('-', '')}{digits}{last_[:3]}"


def _make_distinct(mailboxes: np.ndarray) -> None:
    """In place: no two persons are given one mailbox; those drawn twice get a number."""
    flat = mailboxes.ravel()
    _, first_seen, inverse = np.unique(flat.astype(str), return_index=True, return_inverse=True)
    for position in np.flatnonzero(first_seen[inverse] != np.arange(len(flat))):
        local, domain = flat[position].split("@")
        flat[position] = f"{local}.{position % 9973}@{domain}"
    mailboxes[:] = flat.reshape(mailboxes.shape)

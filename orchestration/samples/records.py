"""What the retailer's systems know of its customers: one row per record, with its gaps and mistakes.

A record sees a person as they were on the day it was captured (old name, old address, old telephone),
through the habits of its source (`SHAPES`). Mistakes stay resolvable: a record that would share no
contact and no birth date with any other record of its person mostly gets one, since in life, too,
someone who is known twice is known by something. How rows become files is in `extracts.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from orchestration.samples import dirt
from orchestration.samples.people import NEVER, People
from orchestration.samples.streams import Streams
from orchestration.samples.text import NO_DAY, objects, without_accents
from orchestration.samples.words import PLACEHOLDER_BIRTHS, PLACEHOLDER_EMAILS, PLACEHOLDER_PHONES, SHOPS

CRM, WEB, CARD, NEWSLETTER, CALL, GUEST = range(6)
SOURCES = ("crm_customers", "web_accounts", "loyalty_cards", "newsletter_subscribers", "call_centre", "web_orders")


@dataclass(frozen=True)
class Shape:
    """Share of persons known to a source, what it asks for, and how often it is wrong."""

    presence: float = 0.0
    duplicates: float = 0.0
    email: float = 0.0
    mobile: float = 0.0
    landline: float = 0.0
    birth: float = 0.0
    address: float = 0.0
    city: float = 0.0  # where there is no address
    first_name: float = 1.0
    last_name: float = 1.0
    first_typo: float = 0.02
    last_typo: float = 0.02
    nickname: float = 0.04
    initial: float = 0.02
    swapped_names: float = 0.015
    birth_swapped: float = 0.0
    birth_off: float = 0.0
    birth_placeholder: float = 0.0
    email_typo: float = 0.0
    email_otherwise: float = 0.03
    email_placeholder: float = 0.0
    phone_off: float = 0.01
    phone_placeholder: float = 0.0
    shop_phone: float = 0.0
    street_typo: float = 0.0
    street_abbreviated: float = 0.0
    city_otherwise: float = 0.0
    postal_off: float = 0.0
    lost_zero: float = 0.0


SHAPES = (
    Shape(
        presence=0.56, duplicates=0.055, email=0.70, mobile=0.70, landline=0.65, birth=0.70, address=0.90,
        first_typo=0.025, last_typo=0.03, nickname=0.02, initial=0.03, swapped_names=0.02,
        birth_swapped=0.025, birth_off=0.015, birth_placeholder=0.05, email_typo=0.02, email_placeholder=0.035,
        phone_off=0.015, phone_placeholder=0.035, street_typo=0.03, street_abbreviated=0.35, city_otherwise=0.25,
        postal_off=0.012, lost_zero=0.02,
    ),
    Shape(
        presence=0.50, duplicates=0.13, email=1.0, mobile=0.62, birth=0.40, address=0.60,
        first_typo=0.015, last_typo=0.015, nickname=0.07, initial=0.03, swapped_names=0.02,
        birth_swapped=0.01, birth_off=0.008, birth_placeholder=0.02, email_typo=0.004,
        phone_off=0.008, phone_placeholder=0.012, street_typo=0.02, street_abbreviated=0.25, city_otherwise=0.10,
        postal_off=0.006,
    ),
    Shape(
        presence=0.50, duplicates=0.06, email=0.36, mobile=0.68, landline=0.25, birth=0.76, city=0.93,
        first_typo=0.05, last_typo=0.07, nickname=0.02, initial=0.04, swapped_names=0.03,
        birth_swapped=0.03, birth_off=0.035, birth_placeholder=0.05, email_typo=0.06, email_placeholder=0.07,
        phone_off=0.035, phone_placeholder=0.03, shop_phone=0.025, city_otherwise=0.25, postal_off=0.02,
    ),
    Shape(
        presence=0.40, email=1.0, city=0.35, first_name=0.72, last_name=0.38, first_typo=0.015, last_typo=0.02,
        nickname=0.10, initial=0.02, email_typo=0.025,
    ),
    Shape(
        presence=0.11, email=0.32, mobile=0.82, landline=0.5, birth=0.25, address=0.45, city=0.7, first_name=0.97,
        first_typo=0.05, last_typo=0.08, nickname=0.05, initial=0.03, birth_swapped=0.04, birth_off=0.03,
        email_typo=0.06, phone_off=0.02, phone_placeholder=0.01, street_typo=0.05, street_abbreviated=0.4,
        city_otherwise=0.3, postal_off=0.02, lost_zero=0.5,
    ),
    Shape(
        presence=0.11, email=1.0, mobile=0.85, address=1.0, first_typo=0.02, last_typo=0.02, nickname=0.06,
        initial=0.03, swapped_names=0.02, email_typo=0.015, phone_off=0.012, phone_placeholder=0.02,
        street_typo=0.03, street_abbreviated=0.3, city_otherwise=0.15, postal_off=0.008,
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Skeleton:
    """Which records there are: parallel arrays, one entry per record, in order of source then creation."""

    source: np.ndarray
    person: np.ndarray
    created_on: np.ndarray
    is_duplicate: np.ndarray

    def __len__(self) -> int:
        return len(self.source)


@dataclass(frozen=True)
class Sight:
    """What records hold: parallel arrays. The `*_state` numbers tell which version of the person was seen."""

    civility: np.ndarray  # "M", "F" or ""
    first_name: np.ndarray
    last_name: np.ndarray
    birth_name: np.ndarray
    birth_day: np.ndarray
    email: np.ndarray
    mobile: np.ndarray
    landline: np.ndarray
    number: np.ndarray
    street: np.ndarray
    extra: np.ndarray
    postal_code: np.ndarray
    city: np.ndarray
    country: np.ndarray
    name_state: np.ndarray
    email_state: np.ndarray
    mobile_state: np.ndarray
    address_state: np.ndarray

    def rows(self, chosen: np.ndarray) -> Sight:
        return replace(self, **{field.name: getattr(self, field.name)[chosen] for field in fields(self)})


def has_mailbox(people: People) -> np.ndarray:
    return (people.email[:, 1] != "") | (people.household_email != "")


def who_is_known(people: People, streams: Streams, last_day: int) -> tuple[Skeleton, np.ndarray]:
    """The records of all sources but guests, and which persons buy as guests."""
    random = streams.of("presence")
    count = len(people)
    mailbox = has_mailbox(people)
    present = np.column_stack([random.random(count) < shape.presence for shape in SHAPES])
    present[:, [WEB, NEWSLETTER, GUEST]] &= mailbox[:, None]
    present[:, GUEST] &= ~present[:, WEB]
    present[:, NEWSLETTER] |= present.sum(axis=1) == present[:, GUEST]  # who may never order is known at least there
    present[~mailbox, NEWSLETTER] = False
    unknown = ~present.any(axis=1)
    present[unknown, np.where(random.random(count) < 0.5, CRM, CARD)[unknown]] = True

    source, person, duplicate = [], [], []
    for code in (CRM, WEB, CARD, NEWSLETTER, CALL):
        known = np.flatnonzero(present[:, code])
        again = known[random.random(len(known)) < SHAPES[code].duplicates]
        if code == WEB:  # the web shop refuses a mailbox that it has: a second account needs a second mailbox
            again = again[(people.other_email[again] != "") | (people.email_changed_on[again] > NEVER)]
        source += [np.full(len(known) + len(again), code)]
        person += [known, again]
        duplicate += [np.zeros(len(known), dtype=bool), np.ones(len(again), dtype=bool)]
    sources, persons, duplicates = np.concatenate(source), np.concatenate(person), np.concatenate(duplicate)

    # One source meets the person first; the others later.
    age = last_day - people.joined_on[persons]
    lag = np.where(random.random(len(persons)) < 0.45, 0, random.exponential(260, len(persons)))
    lag = np.where(duplicates, 60 + random.exponential(400, len(persons)), lag)
    lag = np.where(lag > age, random.random(len(persons)) * (age + 1), lag).astype(np.int64)
    created = people.joined_on[persons] + np.minimum(lag, age)
    order = np.lexsort((persons, duplicates, created, sources))
    return (
        Skeleton(sources[order], persons[order], created[order], duplicates[order]),
        present[:, GUEST],
    )


def with_guests(skeleton: Skeleton, persons: np.ndarray, created_on: np.ndarray) -> Skeleton:
    """Add one record per guest checkout, given in order of creation."""
    return Skeleton(
        source=np.concatenate([skeleton.source, np.full(len(persons), GUEST)]),
        person=np.concatenate([skeleton.person, persons]),
        created_on=np.concatenate([skeleton.created_on, created_on]),
        is_duplicate=np.concatenate([skeleton.is_duplicate, np.zeros(len(persons), dtype=bool)]),
    )


def _is_lent(people: People) -> np.ndarray:
    """Persons whose present mailbox another one of the household uses."""
    lent = set(people.household_email.tolist()) - {""}
    return np.array([box in lent for box in people.email[:, 1].tolist()], dtype=bool)


def _has_namesake(people: People) -> np.ndarray:
    """Persons of whose household another one has the same first name."""
    _, names = np.unique(people.first_name.astype(str), return_inverse=True)
    key = people.household * (int(names.max(initial=0)) + 1) + names.ravel()
    _, inverse, sizes = np.unique(key, return_inverse=True, return_counts=True)
    return sizes[inverse.ravel()] > 1


def _rate(name: str, source: np.ndarray) -> np.ndarray:
    return np.array([getattr(shape, name) for shape in SHAPES])[source]


_BREAKS_A_TIE = {"birth_off", "phone_off"}


class _Chance:
    """Draws for all rows, whatever is done with them, so that each row's luck depends on its place only."""

    def __init__(self, random: np.random.Generator, source: np.ndarray) -> None:
        self.random, self.source = random, source
        #: rows that hang on one contact only: that one is written right
        self.spared = np.zeros(len(source), dtype=bool)

    def happens(self, name: str) -> np.ndarray:
        happens = self.random.random(len(self.source)) < _rate(name, self.source)
        return happens & ~self.spared if name in _BREAKS_A_TIE else happens

    def numbers(self) -> np.ndarray:
        return self.random.random(len(self.source))


def _strands(person: np.ndarray, ties: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Records of one person that hang together by shared values, directly or through others, get one label.

    `ties`: (value, whether the record holds it) of each kind of contact; values are small numbers that
    stand for one mailbox, number or date of that person.
    """
    label = np.arange(len(person))
    groups = []
    for value, holds in ties:
        rows = np.flatnonzero(holds)
        groups.append((rows, np.unique(person[rows] * 16 + value[rows], return_inverse=True)[1].ravel()))
    while True:
        before = label.copy()
        for rows, group in groups:
            lowest = np.full(int(group.max(initial=-1)) + 1, len(person))
            np.minimum.at(lowest, group, label[rows])
            label[rows] = lowest[group]
        if (before == label).all():
            return label


def observe(people: People, skeleton: Skeleton, captured_on: np.ndarray, random: np.random.Generator) -> Sight:
    """What each record holds when captured on the given days."""
    source, person, count = skeleton.source, skeleton.person, len(skeleton)
    chance = _Chance(random, source)
    rows = np.arange(count)

    # Which version of the person is seen, and which fields are filled.
    usage = captured_on >= people.married_on[person]
    moved = (captured_on >= people.moved_on[person]).astype(int)
    place = people.address[person, moved]
    mobile_version = (captured_on >= people.mobile_changed_on[person]).astype(int)
    email_version = (captured_on >= people.email_changed_on[person]).astype(int)
    duplicate_box = skeleton.is_duplicate & (people.other_email[person] != "")
    email_version = np.where(
        (chance.numbers() < 0.13) & (people.other_email[person] != "") | duplicate_box, 2, email_version
    )
    shares = (people.household_email[person] != "") & ((chance.numbers() < 0.72) | (people.email[person, 1] == ""))
    email_version = np.where(shares, 3, email_version)

    lent = _is_lent(people)[person] & (email_version == 1)
    boxes = np.column_stack([people.email, people.other_email, people.household_email])
    holds_email = chance.happens("email") & (boxes[person, email_version] != "")
    no_email = chance.happens("email_placeholder")
    holds_mobile = chance.happens("mobile") & (people.mobile[person, mobile_version] != "")
    no_phone = chance.happens("phone_placeholder")
    shop_phone = chance.happens("shop_phone")
    holds_birth = chance.happens("birth")
    no_birth = chance.happens("birth_placeholder")
    holds_landline = chance.happens("landline") & (people.addresses.landline[place] != "")
    holds_address = chance.happens("address")
    holds_city = holds_address | chance.happens("city")

    true_email = holds_email & ~no_email
    true_mobile = holds_mobile & ~no_phone & ~shop_phone
    # Fathers and sons of one name were mixed up once: since then their birth dates are asked for.
    namesake = _has_namesake(people)[person]
    asked = namesake & (_rate("birth", source) > 0) & (chance.numbers() < 0.93)
    holds_birth |= asked
    no_birth &= ~asked
    true_birth = holds_birth & ~no_birth
    # Known twice, known by something: a record that hangs on nothing gets the mailbox, birth date or number of
    # the record its person is best known by.
    strand = _strands(
        person,
        [(email_version, true_email), (mobile_version, true_mobile), (np.zeros(count, dtype=int), true_birth),
         (moved, holds_landline)],
    )  # fmt: skip
    first_of = np.full(len(people), -1)
    first_of[person[::-1]] = rows[::-1]  # the record of the lowest source
    mate = first_of[person]
    loose = (strand == rows) & (strand != strand[mate]) & (chance.numbers() < 0.97)
    tied = np.zeros(count, dtype=bool)
    asks = {name: _rate(name, source) > 0 for name in ("email", "birth", "mobile")}
    for row in np.flatnonzero(loose):
        both, who = [row, mate[row]], person[row]
        if asks["email"][both].all() and boxes[who, email_version[mate[row]]]:
            email_version[row] = email_version[mate[row]]
            holds_email[both], no_email[both] = True, False
        elif asks["birth"][both].all():
            holds_birth[both], no_birth[both] = True, False
        elif asks["mobile"][both].all() and people.mobile[who, mobile_version[mate[row]]]:
            mobile_version[row] = mobile_version[mate[row]]
            holds_mobile[both], no_phone[both], shop_phone[both] = True, False, False
        else:
            continue
        tied[both] = True
    chance.spared = tied

    sight = Sight(
        **_names(people, source, person, usage, shares | lent, chance),
        birth_day=_birth_days(people, person, holds_birth, no_birth, chance),
        email=_emails(boxes[person, email_version], holds_email, no_email, chance),
        mobile=_mobiles(people, person, mobile_version, holds_mobile, no_phone, shop_phone, chance),
        landline=np.where(holds_landline, people.addresses.landline[place], ""),
        **_places(people, place, holds_address, holds_city, source, chance),
        name_state=usage.astype(int),
        email_state=email_version,
        mobile_state=mobile_version,
        address_state=moved,
    )
    return sight


def _names(
    people: People,
    source: np.ndarray,
    person: np.ndarray,
    usage: np.ndarray,
    shares: np.ndarray,
    chance: _Chance,
) -> dict[str, np.ndarray]:
    count = len(person)
    first = people.first_name[person].copy()
    birth_name = people.birth_name[person]
    last = np.where(usage, people.usage_name[person], birth_name)
    two_names = usage & (people.usage_name[person] != birth_name)

    how = chance.numbers()
    last = np.where(two_names & (how < 0.08), birth_name, last)
    for row in np.flatnonzero(two_names & (how >= 0.08) & (how < 0.16)):
        between = ("-", " ", " EP ", " NEE ")[int(how[row] * 1000) % 4]
        parts = (last[row], birth_name[row]) if between == " NEE " or how[row] < 0.12 else (birth_name[row], last[row])
        last[row] = between.join(parts)
    joined = chance.numbers() < 0.25
    for row in np.flatnonzero(joined):
        if last[row].startswith(("LE ", "LA ", "DE ", "DU ", "DA ", "DOS ")):
            last[row] = last[row].replace(" ", "")

    kind, spot = chance.numbers(), chance.numbers()
    compound = chance.numbers()
    short, only_initial, wrong = chance.happens("nickname"), chance.happens("initial"), chance.happens("first_typo")
    with_second = chance.numbers() < np.where(source == CRM, 0.05, 0.01)
    for row in np.flatnonzero(short | only_initial | wrong | with_second):
        name = first[row]
        if short[row]:
            first[row] = dirt.nickname(name, spot[row])
        elif only_initial[row]:
            first[row] = dirt.initial(name)
        elif wrong[row]:
            first[row] = dirt.typo(name, kind[row], spot[row])
        else:
            first[row] = f"{name} {people.second_name[person[row]]}"
    for row in np.flatnonzero(compound < 0.5):
        name = first[row]
        if "-" in name and "." not in name:
            first[row] = name.split("-")[0] if compound[row] < 0.15 else name.replace("-", " ")
    for row in np.flatnonzero(chance.happens("last_typo")):
        last[row] = dirt.typo(last[row], kind[row], spot[row])
    mangled = (chance.numbers() < 0.006) & (source != CARD)
    for row in np.flatnonzero(mangled):
        first[row] = dirt.mangled_encoding(first[row])

    # Those who share a mailbox say who they are.
    has_first = chance.happens("first_name") | (shares & (chance.numbers() < 0.95))
    has_last = chance.happens("last_name")
    first[~has_first], last[~has_last] = "", ""
    swapped = chance.happens("swapped_names") & has_first & has_last
    first[swapped], last[swapped] = last[swapped], first[swapped]
    knows_birth_name = two_names & (source == CRM) & (chance.numbers() < 0.4)

    told = np.isin(source, (CRM, CARD, CALL, GUEST)) | (chance.numbers() < 0.7)
    told &= source != NEWSLETTER
    woman = people.is_woman[person] ^ (chance.numbers() < 0.012)
    return {
        "civility": np.where(told, np.where(woman, "F", "M"), "").astype(object),
        "first_name": first,
        "last_name": last,
        "birth_name": np.where(knows_birth_name, birth_name, np.full(count, "", dtype=object)),
    }


def _birth_days(
    people: People, person: np.ndarray, holds: np.ndarray, placeholder: np.ndarray, chance: _Chance
) -> np.ndarray:
    from datetime import date

    from orchestration.samples.text import to_day

    days = people.birth_day[person].copy()
    kind, spot = chance.numbers(), chance.numbers()
    for row in np.flatnonzero(chance.happens("birth_swapped") & holds):
        days[row] = dirt.day_and_month_swapped(days[row])
    for row in np.flatnonzero(chance.happens("birth_off") & holds):
        days[row] = dirt.birth_off(days[row], kind[row], spot[row])
    fakes = np.array([to_day(date(*parts)) for parts in PLACEHOLDER_BIRTHS])
    pick = np.minimum((spot**2 * len(fakes)).astype(int), len(fakes) - 1)
    return np.where(placeholder & holds, fakes[pick], np.where(holds, days, NO_DAY))


def _emails(boxes: np.ndarray, holds: np.ndarray, placeholder: np.ndarray, chance: _Chance) -> np.ndarray:
    emails = np.where(holds, boxes, "")
    kind, spot = chance.numbers(), chance.numbers()
    wrong, otherwise = chance.happens("email_typo"), chance.happens("email_otherwise")
    for row in np.flatnonzero((wrong | otherwise) & (emails != "")):
        if wrong[row]:
            # Where only the mailbox ties a record to its person, the slip is in the provider's name.
            slip = kind[row] * 0.7 if chance.spared[row] else kind[row]
            emails[row] = dirt.email_typo(emails[row], slip, spot[row])
        else:
            emails[row] = dirt.email_written_otherwise(emails[row], kind[row])
    pick = np.minimum((spot**2 * len(PLACEHOLDER_EMAILS)).astype(int), len(PLACEHOLDER_EMAILS) - 1)
    return np.where(placeholder, objects(PLACEHOLDER_EMAILS)[pick], emails)


def _mobiles(
    people: People,
    person: np.ndarray,
    version: np.ndarray,
    holds: np.ndarray,
    placeholder: np.ndarray,
    shop: np.ndarray,
    chance: _Chance,
) -> np.ndarray:
    mobiles = np.where(holds, people.mobile[person, version], "")
    kind, spot = chance.numbers(), chance.numbers()
    # Some give the number of the one they live with.
    next_door = np.minimum(person + 1, len(people) - 1)
    mate = np.where(people.household[next_door] == people.household[person], next_door, np.maximum(person - 1, 0))
    lives_with = (people.household[mate] == people.household[person]) & (mate != person)
    lends = lives_with & holds & (chance.numbers() < 0.035) & (people.mobile[mate, 1] != "")
    mobiles = np.where(lends, people.mobile[mate, 1], mobiles)
    for row in np.flatnonzero(chance.happens("phone_off") & (mobiles != "")):
        mobiles[row] = dirt.digit_off(mobiles[row], spot[row], kind[row])
    fake = objects(PLACEHOLDER_PHONES)[
        np.minimum((spot**2 * len(PLACEHOLDER_PHONES)).astype(int), len(PLACEHOLDER_PHONES) - 1)
    ]
    mobiles = np.where(placeholder, fake, mobiles)
    shops = objects(phone for _, _, phone in SHOPS)
    return np.where(shop, shops[(kind * len(SHOPS)).astype(int)], mobiles)


def _places(
    people: People, place: np.ndarray, address: np.ndarray, city: np.ndarray, source: np.ndarray, chance: _Chance
) -> dict[str, np.ndarray]:
    homes = people.addresses
    number, street = np.where(address, homes.number[place], ""), np.where(address, homes.street[place], "")
    postal, town = np.where(city, homes.postal_code[place], ""), np.where(city, homes.city[place], "")
    how, spot = chance.numbers(), chance.numbers()
    number = np.where(chance.numbers() < 0.02, "", number)
    for row in np.flatnonzero(chance.happens("street_typo") & address):
        street[row] = dirt.typo(street[row], 0.5 + how[row] / 2, 0.4 + 0.6 * spot[row])
    for row in np.flatnonzero(chance.happens("street_abbreviated") & address):
        street[row] = dirt.abbreviated(street[row], how[row])
    for row in np.flatnonzero(chance.happens("city_otherwise") & city):
        town[row] = dirt.city_otherwise(town[row], postal[row], how[row])
    for row in np.flatnonzero(chance.happens("postal_off") & city):
        postal[row] = dirt.digit_off(postal[row], spot[row] * 0.5, how[row])
    for row in np.flatnonzero(chance.happens("lost_zero") & city):
        postal[row] = postal[row].lstrip("0")
    return {
        "number": number,
        "street": street,
        "extra": np.where(address, homes.extra[place], ""),
        "postal_code": postal,
        "city": np.where(source == NEWSLETTER, "", town),
        "country": np.where(address, homes.country[place], ""),
    }


_GROUPS = {
    "name_state": ("last_name",),
    "email_state": ("email",),
    "mobile_state": ("mobile",),
    "address_state": ("landline", "number", "street", "extra", "postal_code", "city", "country"),
}


def seen_again(before: Sight, after: Sight) -> Sight:
    """`after`, but with the earlier writing of every field behind which nothing changed."""
    kept = {field.name: getattr(before, field.name) for field in fields(before)}
    for state, names in _GROUPS.items():
        changed = getattr(before, state) != getattr(after, state)
        changed &= getattr(after, names[-1] if state != "address_state" else "postal_code") != ""
        for name in names:
            kept[name] = np.where(changed, getattr(after, name), getattr(before, name))
        kept[state] = getattr(after, state)
    return Sight(**kept)


def in_capitals(text: str) -> str:
    return without_accents(text).upper()

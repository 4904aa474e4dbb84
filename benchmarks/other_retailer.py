"""A second retailer, all persons invented: other systems, columns, countries, households and dirt than the demo's.

A Belgian chain with customers in four countries. Few birth dates, many mailboxes and telephones of a household,
handwriting read by a machine, names cut to a column's width, vowels lost, letters that look alike. It shares no code
and no list of names with the demo retailer, and nothing of matching was tuned on it: it tells whether what was tuned on
the demo holds elsewhere.

What belongs here: its extracts, source contracts and truth. What does not: matching.
"""

from __future__ import annotations

import csv
import datetime as dt
import json
import random
import shutil
from dataclasses import dataclass, field
from pathlib import Path


def _words(text: str) -> list[str]:
    return text.split()


DECLARATIONS = Path(__file__).resolve().parent / "workspaces" / "other_retailer" / "declarations"

_WOMEN = _words(
    "Anke Lotte Femke Griet Sofie Katrien Hilde Ilse Marijke Noor Saskia Truus Veerle Wendy Yasmina Amélie Bérénice "
    "Capucine Delphine Élise Fabiola Géraldine Heloise Inès Joséphine Léonie Maëlle Noémie Ophélie Pauline Rosalie "
    "Séverine Tiphaine Ursula Gisela Heike Ingrid Jutta Karin Liesel Monika Petra Renate Silke Ulrike Waltraud Aylin "
    "Fatima Khadija Samira Zeynep Ewa Agnieszka Beatriz Carmen Giulia Marie-Claire Anne-Sophie Lise-Lotte Els Mia Lea"
)
_MEN = _words(
    "Bart Dirk Filip Geert Hendrik Jan Joris Koen Luc Maarten Niels Pieter Ruben Stijn Tom Wim Wouter Aurélien Baptiste "
    "Corentin Damien Émile Firmin Gauthier Hadrien Isidore Jérémie Lambert Maxence Nestor Octave Quentin Romain Sylvère "
    "Tanguy Ulysse Achim Bernd Dieter Ernst Friedrich Günther Helmut Jürgen Klaus Lothar Manfred Otto Rainer Uwe Volker "
    "Ahmed Bilal Karim Mehmet Yusuf Piotr Krzysztof João Marco Jean-Luc Karl-Heinz Pierre-Yves Jan-Willem Bo Max Leo"
)
_STEMS = _words(
    "Aer Bal Bos Bruy Cal Claes Coor Dael Dam Dries Eek Fon Gael Goos Gra Haes Heyl Hof Jans Kem Kerk Krui Lam Lei Lind "
    "Maes Meu Moor Nij Oos Pauw Pel Pir Quin Raes Rei Roel Ros Scher Smee Ster Stof Tas Thij Til Ver Vlie Vos Wau Wel "
    "Wil Wit Zand Zoe Berg Hart Kohl Lang Neu Ober Rieg Schwar Stein Wald Zim Bor Char Del Gau Lem Mer Noi Per Rou Val"
)
_ENDS = _words(
    "aert bergen beke broeck croft dorp ecker elmans em ens ers feld gem haegen hout huys ing kens ker kx laer linck mann "
    "meers mont nier oot par quet rand rie schot sens ssart sten telle teren ture vael vin voort waert wijns y zeele"
)
_BEFORE = ("Van den ", "Van der ", "De ", "Van ", "D'", "von ", "Le ", "Del ")
_TOWN_ENDS = _words("gem beke dorp huizen kerke heim rode zele laar mont ville brugge voorde hoven wijk court")
_STREET_ENDS = _words("straat laan weg plein dreef baan kaai hof")
_STREETS_TWO = ("rue de", "avenue", "chaussée de", "rue du vieux", "place", "clos")
_PROVIDERS = (
    "telenet.example",
    "skynet.example",
    "gmail.com",
    "hotmail.be",
    "outlook.com",
    "proximus.example",
    "web.example",
)
_CODES = {"BE": "32", "NL": "31", "DE": "49", "FR": "33"}


@dataclass
class _Person:
    key: str
    first: str
    last: str
    birth: dt.date
    is_woman: bool
    email: str
    mobile: str
    country: str
    street: str
    number: str
    zip_code: str
    town: str
    landline: str
    old_street: tuple[str, str, str, str] | None = None
    maiden: str | None = None
    other_email: str | None = None
    records: list[tuple[str, str]] = field(default_factory=list)


#: The columns of the extracts, and the keys of the web shop's, that hold each kind of value.
KINDS = {
    "birth_on": {"GEBDATUM", "NE_LE"},
    "email": {"EMAIL", "MAIL", "email"},
    "phone": {"GSM", "TEL", "PHONE", "mobile"},
    "address": {"STRAAT", "HUISNR", "ADRES", "line1"},
}


def _blanked(header: tuple[str, ...], cells: list[str], without: frozenset[str]) -> list[str]:
    empty = {name for kind in without for name in KINDS[kind]}
    return ["" if name in empty else cell for name, cell in zip(header, cells, strict=True)]


def write(root: Path, *, customers: int, seed: int, on: dt.date, without: frozenset[str] = frozenset()) -> None:
    """Put the retailer's declarations, extracts and `truth.csv` into the workspace folder `root`.

    `without`: kinds of values (of `KINDS`) that this retailer never asks for.
    """
    shutil.copytree(DECLARATIONS, root / "declarations", dirs_exist_ok=True)
    draw = random.Random(f"other retailer {seed}")
    people = _people(draw, customers, on)
    inbox = root / "data" / "inbox"
    truth: list[tuple[str, str, str]] = []
    stamp = f"{on:%Y%m%d}"
    for source, header, rows in (
        ("kassa", _KASSA, _kassa(draw, people)),
        ("tablet", _TABLET, _tablet(draw, people)),
        ("helpdesk", _HELPDESK, _helpdesk(draw, people)),
        ("partner", _PARTNER, _partner(draw, people)),
    ):
        draw.shuffle(rows)
        with (inbox / f"{source}_{stamp}.csv").open("w", encoding="latin-1", errors="replace", newline="") as out:
            lines = csv.writer(out, delimiter=";")
            lines.writerow(["NR", *header])
            for number, (person, cells) in enumerate(rows, start=1):
                lines.writerow([f"{source[0].upper()}{number:07d}", *_blanked(header, cells, without)])
                truth.append((source, f"{source[0].upper()}{number:07d}", person.key))
    accounts = _webshop(draw, people)
    with (inbox / f"webshop_{stamp}.jsonl").open("w", encoding="utf-8") as out:
        for number, (person, told) in enumerate(accounts, start=1):
            for part in told.values():
                part.update(zip(part, _blanked(tuple(part), list(part.values()), without), strict=True))
            out.write(json.dumps({"id": f"{number:08x}", **told}, ensure_ascii=False) + "\n")
            truth.append(("webshop", f"{number:08x}", person.key))
    with (root / "truth.csv").open("w", encoding="utf-8", newline="") as out:
        lines = csv.writer(out)
        lines.writerow(["source", "record_id", "person"])
        lines.writerows(sorted(truth))


def _plain(text: str) -> str:
    table = str.maketrans("àâäéèêëîïôöûüçß", "aaaeeeeiioouucs")
    return "".join(letter for letter in text.lower().translate(table) if letter.isalnum())


def _last_name(draw: random.Random) -> str:
    name = draw.choice(_STEMS) + draw.choice(_ENDS)
    return draw.choice(_BEFORE) + name if draw.random() < 0.3 else name


def _towns(draw: random.Random, country: str, count: int) -> list[tuple[str, str]]:
    """Postal codes of the country's shape, with a town each; a town of several codes is rare."""
    codes = draw.sample(range(1000, 9999) if country in ("BE", "NL") else range(59000, 63000), count)
    letters = "ABCDEFGHJKLMNPRSTVWXZ"
    tails = [f" {draw.choice(letters)}{draw.choice(letters)}" if country == "NL" else "" for _ in codes]
    names = [draw.choice(_STEMS) + draw.choice(_TOWN_ENDS) for _ in codes]
    return [(f"{code}{tail}", name) for code, tail, name in zip(codes, tails, names, strict=True)]


def _birth(draw: random.Random, on: dt.date, young: int, old: int) -> dt.date:
    return on - dt.timedelta(days=draw.randint(young * 365, old * 365))


def _number(draw: random.Random, country: str, *, mobile: bool) -> str:
    """A national number without its trunk zero, of a range that the country has for the kind."""
    digits = "".join(str(draw.randint(0, 9)) for _ in range(7))
    start = {
        ("BE", True): "4" + str(draw.choice((70, 75, 86, 95))), ("NL", True): "6" + str(draw.randint(10, 59)),
        ("DE", True): "15" + str(draw.randint(10, 79)), ("FR", True): "6" + str(draw.randint(10, 89)),
        ("BE", False): str(draw.choice((9, 3, 2, 4))), ("NL", False): str(draw.choice((76, 40))),
        ("DE", False): str(draw.choice((241, 221))), ("FR", False): "3" + str(draw.randint(20, 28)),
    }[(country, mobile)]  # fmt: skip
    return (start + digits)[
        : 9 if country in ("BE", "NL", "FR") and (mobile or country != "BE") else 10 if mobile else 8
    ]


def _people(draw: random.Random, count: int, on: dt.date) -> list[_Person]:
    people: list[_Person] = []
    boxes: set[str] = set()
    towns = {
        country: _towns(draw, country, number) for country, number in (("BE", 300), ("NL", 60), ("DE", 60), ("FR", 60))
    }
    streets = [draw.choice(_STEMS) + draw.choice(_STREET_ENDS) for _ in range(250)]
    streets_two = [f"{draw.choice(_STREETS_TWO)} {draw.choice(_STEMS)}{draw.choice(_TOWN_ENDS)}" for _ in range(150)]
    while len(people) < count:
        country = draw.choices(("BE", "NL", "DE", "FR"), (62, 14, 12, 12))[0]
        zip_code, town = draw.choice(towns[country])
        street = draw.choice(streets_two if country in ("BE", "FR") and draw.random() < 0.4 else streets)
        number = str(draw.randint(1, 180)) + (draw.choice("ABC") if draw.random() < 0.06 else "")
        family = _last_name(draw)
        landline = _number(draw, country, mobile=False)
        size = draw.choices((1, 2, 3, 4, 5), (30, 34, 15, 14, 7))[0]
        older = _birth(draw, on, 24, 80)
        home: list[_Person] = []
        for member in range(size):
            is_woman = draw.random() < 0.5 if member != 1 else not home[0].is_woman
            first = draw.choice(_WOMEN if is_woman else _MEN)
            while any(other.first == first for other in home):
                first = draw.choice(_WOMEN if is_woman else _MEN)
            if member == 0:
                birth = older
            elif member == 1:
                birth = older + dt.timedelta(days=draw.randint(-2500, 2500))
            else:
                birth = min(older + dt.timedelta(days=draw.randint(21 * 365, 38 * 365)), on - dt.timedelta(days=4000))
            if home and member > 2 and draw.random() < 0.06:
                birth = home[-1].birth  # twins
            maiden = _last_name(draw) if is_woman and member < 2 and draw.random() < 0.35 else None
            last = maiden if maiden and member == 1 and draw.random() < 0.3 else family
            if home and draw.random() < 0.28:
                email = home[0].email  # one mailbox for the house
            else:
                email = _mailbox(draw, first, last, birth, boxes)
            mobile = home[0].mobile if home and draw.random() < 0.15 else _number(draw, country, mobile=True)
            person = _Person(
                f"H{len(people) + len(home):07d}", first, last, birth, is_woman, email, mobile, country, street, number, zip_code, town,
                landline, maiden=maiden if maiden != last else None,
            )  # fmt: skip
            if draw.random() < 0.2:
                old_zip, old_town = draw.choice(towns[country])
                person.old_street = (draw.choice(streets), str(draw.randint(1, 180)), old_zip, old_town)
            if draw.random() < 0.18:
                person.other_email = _mailbox(draw, first, last, birth, boxes)
            home.append(person)
        people += home
    return people[:count]


def _mailbox(draw: random.Random, first: str, last: str, birth: dt.date, boxes: set[str]) -> str:
    shapes = (
        f"{_plain(first)}.{_plain(last)}", f"{_plain(last)}{_plain(first)[:1]}", f"{_plain(first)}{birth.year % 100:02d}",
        f"{_plain(first)[:1]}{_plain(last)}", f"{_plain(last)}.{_plain(first)}", f"{_plain(first)}_{_plain(last)[:3]}",
    )  # fmt: skip
    provider = draw.choice(_PROVIDERS)
    found = f"{draw.choice(shapes)}@{provider}"
    while found in boxes:
        found = f"{draw.choice(shapes)}{draw.randint(1, 9999)}@{provider}"
    boxes.add(found)
    return found


# -- dirt: none of it the demo's ------------------------------------------------------------------------

_ALIKE = (
    ("rn", "m"),
    ("m", "rn"),
    ("cl", "d"),
    ("u", "v"),
    ("a", "o"),
    ("e", "c"),
    ("ij", "y"),
    ("h", "b"),
    ("vv", "w"),
)


def _read_by_machine(draw: random.Random, text: str) -> str:
    """Handwriting read by a machine: letters that look alike."""
    pairs = [pair for pair in _ALIKE if pair[0] in text[1:]]
    if not pairs:
        return text
    old, new = draw.choice(pairs)
    return text[0] + text[1:].replace(old, new, 1)


def _vowel_lost(draw: random.Random, text: str) -> str:
    places = [at for at in range(1, len(text)) if text[at] in "aeiouy"]
    return text if not places or len(text) < 5 else (lambda at: text[:at] + text[at + 1 :])(draw.choice(places))


def _said(draw: random.Random, text: str) -> str:
    """As heard on the telephone."""
    for old, new in draw.sample(
        (("c", "k"), ("ae", "a"), ("ij", "ei"), ("th", "t"), ("ck", "k"), ("ss", "s"), ("v", "f")), 7
    ):
        if old in text[1:]:
            return text[0] + text[1:].replace(old, new, 1)
    return text


def _wrong(draw: random.Random, text: str, share: float, how: str) -> str:
    if draw.random() >= share:
        return text
    return {"machine": _read_by_machine, "vowel": _vowel_lost, "heard": _said}[how](draw, text)


def _phone(draw: random.Random, person: _Person, digits: str, *, wrong: float = 0.0) -> str:
    if draw.random() < wrong:
        at = draw.randrange(3, len(digits))
        digits = digits[:at] + str((int(digits[at]) + draw.randint(1, 9)) % 10) + digits[at + 1 :]
    code = _CODES[person.country]
    return draw.choice(
        (f"0{digits}", f"+{code} {digits}", f"00{code}{digits}", f"0{digits[:3]}/{digits[3:]}", f"+{code}(0){digits}")
    )


def _known(draw: random.Random, people: list[_Person], share: float, again: float) -> list[_Person]:
    found = [person for person in people if draw.random() < share]
    return found + [person for person in found if draw.random() < again]


def _place(draw: random.Random, person: _Person) -> tuple[str, str, str, str]:
    if person.old_street and draw.random() < 0.45:
        return person.old_street
    return (person.street, person.number, person.zip_code, person.town)


def _house_or_blank(draw: random.Random, value: str, share: float) -> str:
    return value if draw.random() < share else ""


_KASSA = (
    "NAAM",
    "VOORNAAM",
    "GESL",
    "GEBDATUM",
    "GSM",
    "TEL",
    "STRAAT",
    "HUISNR",
    "POSTCODE",
    "GEMEENTE",
    "LAND",
    "EMAIL",
)


def _kassa(draw: random.Random, people: list[_Person]) -> list[tuple[_Person, list[str]]]:
    rows = []
    for person in _known(draw, people, 0.6, 0.1):
        street, number, zip_code, town = _place(draw, person)
        last = person.maiden if person.maiden and draw.random() < 0.15 else person.last
        birth = f"{person.birth:%d-%m-%Y}" if draw.random() < 0.25 else draw.choice(("", "", "", "01-01-1990"))
        rows.append((person, [
            _wrong(draw, last, 0.06, "vowel").upper()[:14], _wrong(draw, person.first, 0.05, "vowel").upper()[:10],
            draw.choice(("V" if person.is_woman else "M", "")), birth,
            _house_or_blank(draw, _phone(draw, person, person.mobile, wrong=0.02), 0.75),
            _house_or_blank(draw, _phone(draw, person, person.landline), 0.3),
            street.replace("straat", "str.") if draw.random() < 0.4 else street, number, zip_code, town.upper(),
            {"BE": "Belgique", "NL": "Pays-Bas", "DE": "Allemagne", "FR": "France"}[person.country],
            _house_or_blank(draw, person.email, 0.45),
        ]))  # fmt: skip
    return rows


_TABLET = ("NOM_COMPLET", "MAIL", "NE_LE", "CP", "TEL")


def _tablet(draw: random.Random, people: list[_Person]) -> list[tuple[_Person, list[str]]]:
    rows = []
    for person in _known(draw, people, 0.4, 0.06):
        first = _wrong(draw, person.first, 0.1, "machine")
        last = _wrong(draw, person.last, 0.12, "machine")
        email = _wrong(draw, person.email, 0.08, "machine") if draw.random() < 0.8 else ""
        if draw.random() < 0.02:
            email = "nomail@shop.example"
        birth = f"{person.birth:%d/%m/%Y}" if draw.random() < 0.3 else ""
        phone = _phone(draw, person, person.mobile, wrong=0.03) if not email or draw.random() < 0.4 else ""
        rows.append((person, [f"{first} {last}", email, birth, person.zip_code, phone]))
    return rows


_HELPDESK = ("PHONE", "SURNAME", "GIVEN", "TOWN", "COUNTRY", "MAIL")


def _helpdesk(draw: random.Random, people: list[_Person]) -> list[tuple[_Person, list[str]]]:
    rows = []
    for person in _known(draw, people, 0.15, 0.15):
        given = person.first[0] if draw.random() < 0.15 else _wrong(draw, person.first, 0.08, "heard")
        digits = person.landline if draw.random() < 0.12 else person.mobile
        rows.append((person, [
            _phone(draw, person, digits, wrong=0.02), _wrong(draw, person.last, 0.15, "heard"), given, person.town,
            person.country, _house_or_blank(draw, person.email, 0.5),
        ]))  # fmt: skip
    return rows


_PARTNER = ("ACHTERNAAM", "INITIALEN", "VOORNAAM", "ADRES", "PC", "PLAATS", "LAND", "MAIL")


def _partner(draw: random.Random, people: list[_Person]) -> list[tuple[_Person, list[str]]]:
    rows = []
    for person in _known(draw, people, 0.25, 0.02):
        street, number, zip_code, town = _place(draw, person)
        rows.append((person, [
            person.last, person.first[0], person.first if draw.random() < 0.93 else "", f"{street} {number}", zip_code, town,
            person.country, _house_or_blank(draw, person.email, 0.6),
        ]))  # fmt: skip
    return rows


def _webshop(draw: random.Random, people: list[_Person]) -> list[tuple[_Person, dict]]:
    rows = []
    taken: set[str] = set()
    for person in _known(draw, people, 0.55, 0.05):
        email = (
            person.other_email
            if person.other_email and (person.email in taken or draw.random() < 0.3)
            else person.email
        )
        if email in taken:
            continue
        taken.add(email)
        street, number, zip_code, town = _place(draw, person)
        given = person.first if draw.random() < 0.9 else person.first[0] + "."
        family = person.last.lower() if draw.random() < 0.2 else person.last
        if draw.random() < 0.02:
            given, family = family, given
        rows.append((person, {
            "contact": {"email": email.upper() if draw.random() < 0.05 else email, "given": given, "family": family,
                        "mobile": _phone(draw, person, person.mobile, wrong=0.01) if draw.random() < 0.7 else None},
            "ship": {"line1": f"{street} {number}", "zip": zip_code, "town": town, "country": person.country},
        }))  # fmt: skip
    draw.shuffle(rows)
    return rows

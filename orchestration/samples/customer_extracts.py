"""Customer records as each system exports them: its columns, its way of writing names, dates and numbers.

Each `..._rows` function takes positions of records and what they hold (`Sight`), and gives one line of
text (or list of cells) per record, plus the day from which that line holds.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from orchestration.samples import dirt
from orchestration.samples.outbox import delimited
from orchestration.samples.records import CARD, CRM, Sight, in_capitals
from orchestration.samples.text import NO_DAY, dates, objects, to_date, without_accents
from orchestration.samples.words import SHOPS
from orchestration.samples.world import World

CRM_HEADER = (
    "CODE_CLIENT;CIVILITE;NOM;PRENOM;NOM_NAISSANCE;DT_NAISS;EMAIL;TEL_MOBILE;TEL_FIXE;ADRESSE;COMPLEMENT;CP;VILLE;PAYS;"
    "NUM_CARTE;OPTIN_EMAIL;DATE_OPTIN;SEGMENT_CRM;POINTURE;DATE_CREATION;DATE_MAJ;MAGASIN;VENDEUR"
)
CRM_DATE_COLUMN = 19
CARD_HEADER = "CARTE|CIV|NOM PRENOM|DDN|TEL|EMAIL|CP VILLE|SMS|DATE SMS|DATE ADHESION|MAGASIN|CAISSIERE|STATUT"
NEWSLETTER_HEADER = (
    "subscriber_id,email,first_name,last_name,postal_code,status,subscribed_at,confirmed_at,list,text_version,ip_hash"
)
NEWSLETTER_DATE_COLUMN = 6
CALL_HEADER = (
    "N° fiche", "Civilité", "Nom", "Prénom", "Téléphone", "E-mail", "Adresse", "Code postal", "Ville", "Né(e) le",
    "Date appel", "Motif", "Durée (s)", "Conseiller",
)  # fmt: skip


class Habits:
    """Draws that belong to a record and stay the same in all its deliveries (style of writing, shop, ...)."""

    def __init__(self, world: World) -> None:
        count = len(world.skeleton)
        random = world.streams.of("habits")
        self.style = random.random(count)
        self.shape = random.random(count)
        self.luck = random.random(count)
        self.moment = random.integers(0, 86_400, count)
        self.shop = random.integers(0, len(SHOPS), count)
        self.clerk = random.integers(1, 40, count)
        card = np.full(len(world.people), -1)
        rows = np.flatnonzero(world.skeleton.source == CARD)
        card[world.skeleton.person[rows[::-1]]] = rows[::-1]
        knows = (self.luck < 0.22) & (card[world.skeleton.person] >= 0)
        mate = np.where(knows, card[world.skeleton.person], 0)
        knows &= world.skeleton.created_on[mate] <= world.captured_on
        self.card = np.where(knows, world.record_id[mate] if count else "", "")


def _flag(flags: np.ndarray, yes: str, no: str) -> np.ndarray:
    return np.where(flags, yes, no).astype(object)


def _last_change(world: World, rows: np.ndarray, is_update: bool) -> np.ndarray:
    return world.updated_on[rows] if is_update else world.captured_on[rows]


def crm_rows(world: World, habits: Habits, rows: np.ndarray, sight: Sight, is_update: bool) -> np.ndarray:
    civility = np.where(
        sight.civility == "M",
        np.where(habits.shape[rows] < 0.8, "M.", "MR"),
        np.where(sight.civility == "F", np.where(habits.shape[rows] < 0.85, "MME", "MLLE"), ""),
    )
    upper = habits.style[rows] < 0.7
    last = [in_capitals(name) if up else name.title() for name, up in zip(sight.last_name, upper, strict=True)]
    phone = [dirt.phone_written(p, s) for p, s in zip(sight.mobile, habits.style[rows], strict=True)]
    line = [dirt.phone_written(p, s) for p, s in zip(sight.landline, habits.style[rows], strict=True)]
    excel = habits.luck[rows] > 0.985  # edited in a spreadsheet once: the leading zero is gone
    phone = [p.lstrip("0") if eaten and p.isdigit() else p for p, eaten in zip(phone, excel, strict=True)]
    wants = world.wants_mail[rows] ^ (is_update & (habits.luck[rows] < 0.25))
    segments = objects(["", "", "VIP", "FIDELE", "COLLABORATEUR", "PRESSE"])
    sizes = objects(["", "", "", "37", "38", "39", "40", "41", "42"])
    opted = world.updated_on[rows] if is_update else world.skeleton.created_on[rows]
    return delimited(
        [
            world.record_id[rows],
            civility.astype(object),
            objects(last),
            sight.first_name,
            sight.birth_name,
            dates(sight.birth_day, "%d/%m/%Y"),
            sight.email,
            objects(phone),
            objects(line),
            objects(f"{n} {s}".strip() for n, s in zip(sight.number, sight.street, strict=True)),
            sight.extra,
            sight.postal_code,
            sight.city,
            np.where(sight.country == "FR", np.where(habits.shape[rows] < 0.5, "France", "FRANCE"), sight.country),
            habits.card[rows].astype(object),
            _flag(wants, "O", "N"),
            dates(opted, "%d/%m/%Y"),
            segments[np.where(habits.luck[rows] < 0.7, 0, (habits.style[rows] * 6).astype(int))],
            sizes[(habits.shape[rows] * 9).astype(int)],
            dates(world.skeleton.created_on[rows], "%d/%m/%Y"),
            dates(_last_change(world, rows, is_update), "%d/%m/%Y"),
            objects(code for code, _, _ in SHOPS)[habits.shop[rows]],
            objects(f"V{clerk:03d}" for clerk in habits.clerk[rows]),
        ],
        ";",
    )


def crm_test_rows(day: int) -> list[str]:
    """Rows that the vendor's monitoring leaves in the export; the contract ignores them."""
    stamp = to_date(day).strftime("%d/%m/%Y")
    return [
        f"9999999{n};M.;TEST;TEST;;01/01/2000;test@test.com;0600000000;;1 RUE DU TEST;;75001;PARIS;FRANCE;;N;"
        f"{stamp};TEST;;{stamp};{stamp};000;V000"
        for n in (8, 9)
    ]


def card_rows(world: World, habits: Habits, rows: np.ndarray, sight: Sight, is_update: bool) -> np.ndarray:
    civility = np.where(sight.civility == "M", "MR", np.where(sight.civility == "F", "MME", ""))
    names = objects(
        in_capitals(f"{last} {first.replace('-', ' ') if shape < 0.5 else first}").strip()
        for last, first, shape in zip(sight.last_name, sight.first_name, habits.shape[rows], strict=True)
    )
    phone = np.where(sight.mobile != "", sight.mobile, sight.landline)
    phone = objects(
        dirt.phone_written(p, s * 0.75) if s < 0.9 else p for p, s in zip(phone, habits.style[rows], strict=True)
    )
    place = objects(
        in_capitals(f"{postal} {city}").replace("-", " ") if postal else ""
        for postal, city in zip(sight.postal_code, sight.city, strict=True)
    )
    return delimited(
        [
            world.record_id[rows],
            civility.astype(object),
            names,
            dates(sight.birth_day, "%d%m%y"),
            phone,
            objects(mail.upper() for mail in sight.email),
            place,
            _flag(world.wants_mail[rows] ^ (is_update & (habits.luck[rows] < 0.3)), "OUI", "NON"),
            dates(world.updated_on[rows] if is_update else world.skeleton.created_on[rows], "%d%m%y"),
            dates(world.skeleton.created_on[rows], "%d%m%y"),
            objects(code for code, _, _ in SHOPS)[habits.shop[rows]],
            objects(f"C{clerk:02d}" for clerk in habits.clerk[rows]),
            _flag(habits.luck[rows] < 0.97, "ACTIVE", "BLOQUEE"),
        ],
        "|",
    )


_INTERESTS = ("mode", "maison", "beauté", "enfants", "sport", "décoration", "voyage")
_FREQUENCIES = ("daily", "weekly", "monthly")


def web_rows(world: World, habits: Habits, rows: np.ndarray, sight: Sight, is_update: bool) -> np.ndarray:
    lines = []
    changed = _last_change(world, rows, is_update)
    for place, row in enumerate(rows.tolist()):
        style, shape, luck = habits.style[row], habits.shape[row], habits.luck[row]
        first, last = sight.first_name[place], sight.last_name[place]
        if last.isupper():
            last = last.title()
        if style < 0.12:
            first, last = first.lower(), last.lower()
        elif style < 0.20:
            first, last = first.upper(), last.upper()
        elif style < 0.32:
            first = without_accents(first)
        moment = f"{habits.moment[row] // 3600:02d}:{habits.moment[row] // 60 % 60:02d}:{habits.moment[row] % 60:02d}Z"
        account: dict[str, Any] = {
            "id": world.record_id[row],
            "created_at": f"{to_date(world.skeleton.created_on[row])}T{moment}",
            "updated_at": f"{to_date(changed[place])}T{moment}",
            "status": "closed" if luck > 0.985 or (is_update and luck > 0.93) else "active",
            "identity": {
                "first_name": first,
                "last_name": last,
                "gender": {"M": "male", "F": "female"}.get(sight.civility[place]),
                "birth_date": None if sight.birth_day[place] == NO_DAY else to_date(sight.birth_day[place]).isoformat(),
            },
            "contact": {
                "email": sight.email[place],
                "phone": dirt.phone_written(sight.mobile[place], shape) or None,
            },
            "optin": {
                "email": bool(world.wants_mail[row]) ^ bool(is_update and luck < 0.2),
                "at": f"{to_date(changed[place] if is_update else world.skeleton.created_on[row])}T{moment}",
                "version": "web-2024" if shape < 0.6 else "web-2021",
            },
            "app": {"installed": bool(shape < 0.35), "os": "ios" if luck < 0.4 else "android"},
        }
        if sight.postal_code[place]:
            account["address"] = {
                "line1": f"{sight.number[place]} {sight.street[place]}".strip(),
                "line2": sight.extra[place] or None,
                "zip": sight.postal_code[place],
                "city": sight.city[place],
                "country": sight.country[place],
            }
        if luck < 0.6:
            first_interest = int(style * len(_INTERESTS))
            account["preferences"] = {
                "channel": ("email", "sms", "email", "post")[int(shape * 4)],
                "frequency": _FREQUENCIES[int(luck * 5)],
                "language": "fr" if shape < 0.96 else "en",
                "interests": list(_INTERESTS[first_interest : first_interest + 1 + int(shape * 3)]),
            }
        if habits.card[row]:
            account["loyalty"] = {"card": habits.card[row]}
        lines.append(json.dumps(account, ensure_ascii=False, separators=(",", ":")))
    return objects(lines)


def newsletter_rows(world: World, habits: Habits, rows: np.ndarray, sight: Sight, is_update: bool) -> np.ndarray:
    wants = world.wants_mail[rows] ^ (is_update & (habits.luck[rows] < 0.4))
    confirmed = habits.shape[rows] < 0.93
    status = np.where(wants, np.where(confirmed, "subscribed", "pending"), "unsubscribed").astype(object)
    moment = objects(f"T{s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}" for s in habits.moment[rows].tolist())
    day = _last_change(world, rows, is_update)
    stamp = objects(f"{d}{m}" for d, m in zip(dates(day, "%Y-%m-%d").to_pylist(), moment, strict=True))
    style = habits.style[rows]
    first = objects(
        n.lower() if s < 0.15 else n.upper() if s < 0.25 else n for n, s in zip(sight.first_name, style, strict=True)
    )
    last = objects(n.title() if s < 0.6 else n for n, s in zip(sight.last_name, style, strict=True))
    return delimited(
        [
            world.record_id[rows],
            sight.email,
            first,
            last,
            sight.postal_code,
            status,
            stamp,
            np.where(confirmed, stamp, "").astype(object),
            objects(["mode", "maison", "tout"])[(habits.shape[rows] * 3).astype(int)],
            _flag(day < world.last_day - 500, "nl-2", "nl-3"),
            objects(f"{int(luck * 16**12):012x}" for luck in habits.luck[rows]),
        ],
        ",",
    )


_REASONS = ("Suivi de commande", "Retour", "Carte de fidélité", "Réclamation", "Renseignement produit")


def call_rows(world: World, habits: Habits, rows: np.ndarray, sight: Sight, is_update: bool) -> list[list[Any]]:
    """Cells: numbers where the spreadsheet made numbers of telephones and postal codes (and ate the zero)."""
    called = _last_change(world, rows, is_update)
    result = []
    for place, row in enumerate(rows.tolist()):
        style = habits.style[row]
        phone = sight.mobile[place] or sight.landline[place]
        postal = sight.postal_code[place]
        moment = 8 * 3600 + habits.moment[row] % 36_000
        result.append(
            [
                world.record_id[row],
                {"M": "Monsieur", "F": "Madame"}.get(sight.civility[place], ""),
                sight.last_name[place] if style < 0.5 else sight.last_name[place].title(),
                sight.first_name[place],
                int(phone) if phone.isdigit() and style < 0.6 else dirt.phone_written(phone, style),
                sight.email[place],
                f"{sight.number[place]} {sight.street[place]}".strip(),
                int(postal) if postal.isdigit() and style < 0.6 else postal,
                sight.city[place],
                "" if sight.birth_day[place] == NO_DAY else to_date(sight.birth_day[place]).strftime("%d/%m/%Y"),
                f"{to_date(called[place]).strftime('%d/%m/%Y')} {moment // 3600:02d}:{moment // 60 % 60:02d}",
                _REASONS[int(habits.luck[row] * len(_REASONS))],
                30 + int(habits.shape[row] * 900),
                f"A{habits.clerk[row]:02d}",
            ]
        )
    return result


def rows_of(world: World, source: int) -> tuple[np.ndarray, np.ndarray]:
    """(positions of the source's records, positions within `world.changed` of those updated later)."""
    return (
        np.flatnonzero(world.skeleton.source == source),
        np.flatnonzero(world.skeleton.source[world.changed] == source),
    )


def is_delivered_in_full(source: int) -> bool:
    return source in (CRM, CARD)

"""Orders, tickets, events, choices and requests as each system exports them.

Each function gives lines of text and the day of the delivery that carries each of them; lines are in
order of that day.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from orchestration.samples import dirt
from orchestration.samples.customer_extracts import Habits
from orchestration.samples.engagement import BOUNCE, CLICK, MAIL_EVENTS, REQUESTS, WEB_EVENTS
from orchestration.samples.outbox import delimited
from orchestration.samples.purchases import (
    APP,
    CANCELLED,
    LINE_RETURN,
    REFUNDED,
    RETURN,
    SALE,
    STORE,
    TEST_TICKET,
    WRITE_OFF,
)
from orchestration.samples.records import CRM, NEWSLETTER, SOURCES
from orchestration.samples.text import dates, join, money, numbered, objects, times, to_date
from orchestration.samples.words import SHOPS
from orchestration.samples.world import World

#: Lines and the day of the delivery that carries each, in order of that day.
Dated = tuple[np.ndarray, np.ndarray]

WEB_ORDER_HEADER = (
    "NUM_COMMANDE;LIGNE;DATE_COMMANDE;CANAL;STATUT;COMPTE;NUM_INVITE;TYPE_CLIENT;REF_CLIENT;CIVILITE;NOM;PRENOM;EMAIL;"
    "TELEPHONE;ADRESSE;CP;VILLE;PAYS;COOKIE;PAIEMENT;TRANSACTION;REF;LIBELLE;QTE;PU_TTC;REMISE;MONTANT_TTC;MONTANT_TVA;"
    "TYPE_LIGNE;COMMANDE_ORIGINE;ACCEPTE_OFFRES"
)
WEB_ORDER_DATE_COLUMN = 2
TICKET_HEADER = (
    "NUM_TICKET;DATE_HEURE;MAGASIN;CAISSE;TYPE;CARTE;CODE_CLIENT;EMAIL_TICKET;NOM_TICKET;PAIEMENT;TOTAL_TTC;NB_LIGNES"
)
TICKET_DATE_COLUMN = 1
TICKET_LINE_HEADER = (
    "NUM_TICKET;LIGNE;DATE_HEURE;MAGASIN;REF;LIBELLE;QTE;PU_TTC;REMISE;MONTANT;TVA;TYPE_LIGNE;TICKET_ORIGINE;VENDEUR"
)
TICKET_LINE_DATE_COLUMN = 2
MAIL_HEADER = "event_id,campaign,event,email,subscriber_id,occurred_at,product,bounce_type,user_agent"
MAIL_DATE_COLUMN = 5
SURVEY_HEADER = "ID_REPONSE;DATE_REPONSE;EMAIL;NUM_COMMANDE;NOTE;COMMENTAIRE;ENQUETE"
CHOICE_HEADER = "id;date;email;nom;canal;finalite;choix;base;version_texte;preuve"
REQUEST_HEADER = "NUMERO;RECU_LE;TYPE_DEMANDE;NOM;PRENOM;EMAIL;TELEPHONE;COMPTE_WEB;CODE_CLIENT;DEMANDE;TRAITE_PAR"
_PAYMENTS_ONLINE = objects(["CB", "CB", "CB", "PAYPAL", "PAYPAL", "VIREMENT", "CARTE CADEAU"])
_PAYMENTS_STORE = objects(["CB", "CB", "CB", "ESPECES", "ESPECES", "CHEQUE", "CARTE CADEAU"])
_LINE_KINDS = objects(["V", "R", "D", "F", "B", "T"])


def _append(world: World, name: str, default: Any) -> np.ndarray:
    """A column of `records`, with one more entry so that position -1 (no record) gives `default`."""
    return np.append(getattr(world.before, name), default)


def _in_order(day: np.ndarray, *columns: np.ndarray) -> np.ndarray:
    return np.lexsort((*columns[::-1], day))


def order_numbers(world: World) -> np.ndarray:
    """`W...` online, `T...` in shops: no number is used by two systems for two orders."""
    orders = world.orders
    online = orders.channel != STORE
    rank = np.where(online, np.cumsum(online), np.cumsum(~online))
    return np.where(
        online,
        numbered("W", 100_000 + rank, 8).to_numpy(zero_copy_only=False),
        numbered("T", rank, 9).to_numpy(zero_copy_only=False),
    )


def _totals(world: World) -> np.ndarray:
    return np.bincount(world.lines.order, weights=world.lines.amount, minlength=len(world.orders)).astype(np.int64)


def _origins(world: World, numbers: np.ndarray) -> np.ndarray:
    return np.where(world.orders.origin >= 0, np.append(numbers, "")[world.orders.origin], "")


def _tax(amount: np.ndarray) -> np.ndarray:
    """VAT of 20 % within an amount, in cents."""
    return np.sign(amount) * ((np.abs(amount) * 2 + 6) // 12)


def web_order_lines(world: World, habits: Habits, numbers: np.ndarray) -> Dated:
    """Flat: order, customer, payment and item on each line. Late changes of status come as a new delivery
    of the same lines; some lines are there twice."""
    orders, lines, before = world.orders, world.lines, world.before
    row = np.flatnonzero(orders.channel[lines.order] != STORE)
    day = orders.day[lines.order[row]]
    pending = np.zeros(len(row), dtype=bool)
    waits = orders.is_pending[lines.order[row]] & (day > world.first_day)
    first_word = row[waits]
    day = np.where(waits, day + 1, day)
    twice = row[(lines.order[row] * 31 + lines.line[row]) % 331 == 0]
    row = np.concatenate([row, first_word, twice])
    day = np.concatenate([day, orders.day[lines.order[first_word]], np.maximum(orders.day[lines.order[twice]], 0)])
    pending = np.concatenate([pending, np.ones(len(first_word), dtype=bool), np.zeros(len(twice), dtype=bool)])
    keep = (day <= world.last_day) & ~(
        (np.arange(len(row)) >= len(row) - len(twice)) & orders.is_pending[lines.order[row]] & (day > world.first_day)
    )
    row, day, pending = row[keep], day[keep], pending[keep]
    sort = _in_order(day, row, pending)
    row, day, pending = row[sort], day[sort], pending[sort]

    order = lines.order[row]
    record = np.where(orders.guest[order] >= 0, orders.guest[order], orders.account[order])
    # A return is booked on the customer of its order.
    origin = np.where(orders.origin[order] >= 0, orders.origin[order], order)
    record = np.where(record < 0, orders.guest[origin], record)
    is_guest = orders.guest[origin] >= 0
    ids = np.append(world.record_id, "")[record]
    status = np.where(
        pending,
        "EN_COURS",
        np.where(
            orders.status[order] == CANCELLED,
            "ANNULEE",
            np.where(orders.status[order] == REFUNDED, "REMBOURSEE", "VALIDEE"),
        ),
    )
    kind = _LINE_KINDS[lines.kind[row]]
    amount = lines.amount[row]
    phones = objects(dirt.phone_written(p, s) for p, s in zip(before.mobile, habits.style, strict=True))
    street = objects(f"{n} {s}".strip() for n, s in zip(before.number, before.street, strict=True))
    last = objects(n if s < 0.4 else n.title() for n, s in zip(before.last_name, habits.style, strict=True))

    def of_record(values: np.ndarray) -> np.ndarray:
        return np.append(values, "")[record]

    cookie = np.where(
        habits.shape[np.maximum(record, 0)] < 0.7, cookies(orders.person[order] * 2).to_numpy(zero_copy_only=False), ""
    )
    sex = of_record(before.civility)
    civility = np.where(sex == "F", "Mme", np.where(sex == "M", "M.", "")).astype(object)
    offers = (habits.luck[np.maximum(record, 0)] + orders.payment[order]) % 1 < 0.6
    text = delimited(
        [
            numbers[order],
            pa.array(lines.line[row]).cast(pa.string()),
            join(dates(orders.day[order], "%d/%m/%Y"), times(orders.second[order]), separator=" "),
            np.where(orders.channel[order] == APP, "APP", "SITE").astype(object),
            status.astype(object),
            np.where(is_guest, "", ids),
            np.where(is_guest, ids, ""),
            np.where(is_guest, "INVITE", "COMPTE").astype(object),
            ids,
civility,
            of_record(last),
            of_record(before.first_name),
            of_record(before.email),
            of_record(phones),
            of_record(street),
            of_record(before.postal_code),
            of_record(before.city),
            of_record(before.country),
            cookie,
            _PAYMENTS_ONLINE[(orders.payment[order] * 7).astype(int)],
            numbered("TX", order * 13 % 10**9, 9),
            world.catalogue.reference[lines.product[row]],
            world.catalogue.label[lines.product[row]],
            pa.array(lines.quantity[row]).cast(pa.string()),
            money(lines.cents[row], ","),
            money(lines.discount[row], ","),
            money(amount, ","),
            money(_tax(amount), ","),
            kind,
            _origins(world, numbers)[order],
            np.where(offers, "O", "N").astype(object),
        ],
        ";",
    )  # fmt: skip
    return text, day


def cookies(visitor: np.ndarray) -> pa.Array:
    """A visitor number as the web shop's cookie (the same visitor always has the same)."""
    mixed = (visitor.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(8)
    return pa.array([f"ck.{value:014x}" for value in mixed.tolist()], type=pa.string())


def tickets(world: World, numbers: np.ndarray) -> Dated:
    orders = world.orders
    row = np.flatnonzero((orders.channel == STORE) | orders.is_collected)
    collected = orders.is_collected[row]
    person = np.maximum(orders.person[row], 0)
    known = orders.person[row] >= 0
    code = _crm_codes(world, row)
    mailbox = world.people.email[person, 1]
    mailbox = np.where(mailbox == "", world.people.household_email[person], mailbox)
    mailbox = np.where(orders.gives_email[row] & known, mailbox, "")
    card = np.append(world.record_id, "")[orders.card[row]]
    kinds = {SALE: "VENTE", RETURN: "RETOUR", WRITE_OFF: "DEMARQUE", TEST_TICKET: "VENTE"}
    text = delimited(
        [
            numbers[row],
            join(dates(orders.day[row], "%d/%m/%Y"), times(orders.second[row]), separator=" "),
            np.where(orders.kind[row] == TEST_TICKET, "999", objects(c for c, _, _ in SHOPS)[orders.shop[row]]),
            pa.array(1 + orders.second[row] % 4).cast(pa.string()),
            objects(kinds[kind] for kind in orders.kind[row].tolist()),
            np.where(collected, "", card),
            np.where((card != "") | collected, "", code),
            mailbox,
            np.where((mailbox != "") & (orders.payment[row] < 0.6), world.people.usage_name[person], ""),
            _PAYMENTS_STORE[(orders.payment[row] * 7).astype(int)],
            money(_totals(world)[row], ","),
            pa.array(np.bincount(world.lines.order, minlength=len(orders))[row]).cast(pa.string()),
        ],
        ";",
    )
    return text, orders.day[row]


def _crm_codes(world: World, order: np.ndarray) -> np.ndarray:
    """CRM code that the shop finds for a customer without a card: for about half of them."""
    orders = world.orders
    rows = np.flatnonzero(world.skeleton.source == CRM)
    first = np.full(len(world.people) + 1, -1)
    first[world.skeleton.person[rows[::-1]]] = rows[::-1]
    record = first[orders.person[order]]
    found = (record >= 0) & (np.append(world.skeleton.created_on, 0)[record] <= orders.day[order])
    found &= (orders.payment[order] * 10) % 1 < 0.55
    return np.where(found, np.append(world.record_id, "")[record], "")


def ticket_lines(world: World, numbers: np.ndarray) -> Dated:
    orders, lines = world.orders, world.lines
    row = np.flatnonzero((orders.channel[lines.order] == STORE) | orders.is_collected[lines.order])
    twice = row[(lines.order[row] * 17 + lines.line[row]) % 283 == 0]
    row = np.sort(np.concatenate([row, twice]), kind="stable")
    order = lines.order[row]
    amount = lines.amount[row]
    text = delimited(
        [
            numbers[order],
            pa.array(lines.line[row]).cast(pa.string()),
            join(dates(orders.day[order], "%d/%m/%Y"), times(orders.second[order]), separator=" "),
            np.where(orders.kind[order] == TEST_TICKET, "999", objects(c for c, _, _ in SHOPS)[orders.shop[order]]),
            world.catalogue.reference[lines.product[row]],
            world.catalogue.label[lines.product[row]],
            pa.array(lines.quantity[row]).cast(pa.string()),
            money(lines.cents[row], ","),
            money(lines.discount[row], ","),
            money(amount, ","),
            money(_tax(amount), ","),
            _LINE_KINDS[lines.kind[row]],
            np.where(lines.kind[row] == LINE_RETURN, _origins(world, numbers)[order], ""),
            numbered("V", order % 40, 3),
        ],
        ";",
    )
    return text, orders.day[order]


def with_wrong_amounts(text: list[str]) -> list[str]:
    """The first version of a delivery that is sent again: a decimal slip in one amount of seven."""
    result = []
    for number, line in enumerate(text):
        cells = line.split(";")
        if number % 7 == 0 and len(cells) > 9 and '"' not in line:
            cells[9] = cells[9].replace(",", "") + ",00"
        result.append(";".join(cells))
    return result


def mail_events(world: World) -> Dated:
    mail, record = world.mail, world.mail.record
    is_subscriber = world.skeleton.source[record] == NEWSLETTER
    agents = objects(["Outlook", "Gmail", "Apple Mail", "Thunderbird"])
    text = delimited(
        [
            numbered("E", np.arange(len(record)) + 1, 9),
            join("campagne-", dates(mail.campaign, "%Y-%m-%d")),
            objects(MAIL_EVENTS)[mail.kind],
            world.before.email[record],
            np.where(is_subscriber, world.record_id[record], ""),
            join(dates(mail.day, "%Y-%m-%d"), "T", times(mail.second), "Z"),
            np.where(mail.kind == CLICK, np.append(world.catalogue.reference, "")[mail.product], ""),
            np.where(mail.kind == BOUNCE, np.where(mail.is_hard, "hard", "soft"), "").astype(object),
            agents[record % 4],
        ],
        ",",
    )
    return text, mail.day


def web_events(world: World) -> Dated:
    """JSON lines, put together from parts: this is the largest extract."""
    visits = world.visits
    count = len(visits.day)
    account = np.append(world.record_id, "")[visits.record]
    product = np.append(world.catalogue.reference, "")[visits.product]
    quoted = join(',"account":"', account, '"')
    has_product = join(',"product":{"ref":"', product, '"}')
    seconds = join(',"value":', pa.array(visits.value).cast(pa.string()))
    amount = join(',"value":', money(visits.value))
    empty = pa.array([""] * count, type=pa.string())
    kind = pa.array(visits.kind)
    lines = join(
        '{"id":"',
        numbered("S", np.arange(count) + 1, 10),
        '","type":"',
        objects(WEB_EVENTS)[visits.kind],
        '","at":"',
        dates(visits.day, "%Y-%m-%d"),
        "T",
        times(visits.second),
        'Z","visitor":{"cookie":"',
        cookies(visits.visitor),
        '"',
        pc.if_else(pa.array(account != ""), quoted, empty),
        '},"channel":"',
        np.where(visits.in_app, "app", "web").astype(object),
        '"',
        pc.if_else(pa.array(product != ""), has_product, empty),
        pc.case_when(pc.make_struct(pc.equal(kind, 0), pc.equal(kind, 2)), seconds, amount, empty),
        "}",
    )
    return lines.to_numpy(zero_copy_only=False), visits.day


def survey(world: World, numbers: np.ndarray) -> Dated:
    answers = world.answers
    person = world.orders.person[answers.order]
    text = delimited(
        [
            numbered("R", np.arange(len(person)) + 1, 7),
            dates(answers.day, "%d/%m/%Y"),
            world.people.email[person, 1],
            numbers[answers.order],
            pa.array(answers.note).cast(pa.string()),
            answers.comment,
            objects(["Satisfaction"] * len(person)),
        ],
        ";",
    )
    return text, answers.day


def choices(world: World) -> Dated:
    chosen = world.choices
    bases = {
        "email": "double_opt_in",
        "telephone": "opt_in",
        "sms": "opt_in",
        "push": "opt_in",
        "courrier": "interet_legitime",
    }
    text = delimited(
        [
            numbered("P", np.arange(len(chosen.person)) + 1, 7),
            join(dates(chosen.day, "%Y-%m-%d"), times(chosen.second), separator=" "),
            world.people.email[chosen.person, 1],
            world.people.usage_name[chosen.person],
            chosen.channel,
            chosen.purpose,
            np.where(chosen.says_yes, "oui", "non").astype(object),
            objects(bases[channel] for channel in chosen.channel),
            np.where(chosen.day < world.last_day - 400, "pref-1", "pref-2").astype(object),
            numbered("form/", np.arange(len(chosen.person)) * 7 + 3, 8),
        ],
        ";",
    )
    return text, chosen.day


_WORDS = {
    "ACCES": "Merci de m'envoyer une copie de mes données",
    "EFFACEMENT": "Veuillez effacer toutes mes données",
    "OPPOSITION": "Je ne veux plus recevoir de publicité",
    "PORTABILITE": "Je souhaite récupérer mes données dans un format lisible",
    "RECTIFICATION": "Mon nom est mal écrit",
}


def requests(world: World) -> Dated:
    asked = world.requests
    first: dict[int, dict[int, str]] = {CRM: {}, SOURCES.index("web_accounts"): {}}
    for row in np.flatnonzero(np.isin(world.skeleton.person, asked.person)).tolist():
        found = first.get(int(world.skeleton.source[row]))
        if found is not None:
            found.setdefault(int(world.skeleton.person[row]), world.record_id[row])
    kinds = objects(REQUESTS)[asked.kind]
    web, crm = first[SOURCES.index("web_accounts")], first[CRM]
    text = delimited(
        [
            join("DR-", dates(asked.day, "%Y"), "-", numbered("", np.arange(len(asked.person)) + 1, 5)),
            dates(asked.day, "%d/%m/%Y"),
            kinds,
            world.people.usage_name[asked.person],
            world.people.first_name[asked.person],
            world.people.email[asked.person, 1],
            world.people.mobile[asked.person, 1],
            objects(web.get(person, "") for person in asked.person.tolist()),
            objects(crm.get(person, "") for person in asked.person.tolist()),
            objects(_WORDS[kind] for kind in kinds),
            objects(["dpo"] * len(asked.person)),
        ],
        ";",
    )
    return text, asked.day


def catalogue_table(world: World, day: int) -> pa.Table:
    """The whole range, typed; a few prices change every day."""
    catalogue = world.catalogue
    since = np.maximum(day - world.first_day, 0)
    moved = (np.arange(len(catalogue.cents)) % 97 < since) & catalogue.is_product
    cents = np.where(moved, catalogue.cents * 9 // 10, catalogue.cents)
    return pa.table(
        {
            "reference": pa.array(catalogue.reference, pa.string()),
            "libelle": pa.array(catalogue.label, pa.string()),
            "categorie": pa.array(catalogue.category, pa.string()),
            "sous_categorie": pa.array(catalogue.subcategory, pa.string()),
            "marque": pa.array(catalogue.brand, pa.string()),
            "public": pa.array(catalogue.audience, pa.string()),
            "prix_ttc": pa.array([f"{c // 100}.{c % 100:02d}" for c in cents.tolist()]).cast(pa.decimal128(10, 2)),
            "est_produit": pa.array(catalogue.is_product),
            "saison": pa.array([f"AH{to_date(day).year % 100}"] * len(cents)),
        }
    )

"""Drafts of extracts whose columns have no telling names, or a header that is none: all persons are invented."""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestration.contracts.company import Company
from orchestration.contracts.source import check_source
from orchestration.ingest import ingest
from orchestration.ingest.drafting import draft_contract
from orchestration.settings import Workspace

from .test_drafting import parse, read_back, roles, without_todos

LAST = [
    "Perrault",
    "Vasseur",
    "Lemoine",
    "Tanguy",
    "Brisset",
    "Delmas",
    "Quentin",
    "Faivre",
    "Hamon",
    "Jourdan",
    "Lacombe",
    "Noblet",
    "Ozanne",
    "Salmon",
]
FIRST = [
    "Odile",
    "Hugo",
    "Lina",
    "Marc",
    "Chloé",
    "Inès",
    "Théo",
    "Jeanne",
    "Bastien",
    "Noémie",
    "Perrine",
    "Loïc",
    "Zoé",
    "Agathe",
    "Gaël",
    "Solène",
]
TOWNS = (("69003", "Lyon"), ("38000", "Grenoble"), ("75011", "Paris"), ("33000", "Bordeaux"), ("06000", "Nice"))


@dataclass(frozen=True)
class Person:
    number: int
    first: str
    last: str
    code: str
    town: str
    phone: str
    born: dt.date
    street: str
    is_woman: bool

    @property
    def mail(self) -> str:
        return f"{self.last}{self.number}@example.org".lower()


def persons(count: int = 120) -> list[Person]:
    draw = random.Random(11)
    return [
        Person(
            number, draw.choice(FIRST), draw.choice(LAST), *draw.choice(TOWNS), f"06{draw.randrange(10**8):08d}",
            dt.date(1940, 1, 1) + dt.timedelta(draw.randrange(24000)),
            f"{draw.randrange(1, 150)} {draw.choice(['rue des Lilas', 'avenue de la Gare'])}", draw.random() < 0.5,
        )
        for number in range(1, count + 1)
    ]  # fmt: skip


def euros(cents: int) -> str:
    return f"{cents / 100:,.2f}".replace(",", " ").replace(".", ",")


def till() -> str:
    draw, lines = random.Random(5), []
    for ticket in range(60):
        for line in range(1, draw.randrange(2, 5)):
            count, price = draw.randrange(1, 4), draw.randrange(500, 9000)
            lines.append(
                f"M0{ticket % 3 + 1};T{1000 + ticket};{line};18/11/26 {9 + ticket % 10:02d}:{ticket % 60:02d};"
                f"{f'2990{ticket:09d}' if ticket % 3 else ''};{3250000000000 + draw.randrange(10**6)};"
                f"{draw.choice(['Écharpe laine', 'Chemise lin', 'Bonnet côtelé'])};{count};{euros(price)};"
                f"{euros(price * count)};{draw.choice(['CB', 'ESP', 'CHQ'])}\n"
            )
    return "".join(lines)


def members() -> str:
    head = (
        "Export du programme de fidélité;;;;;;;\nÉdité le 18/11/2026 à 06:12;;;;;;;\n;;;;;;;\n"
        "Adhérent;Adhérent;Identité;Identité;Identité;Coordonnées;Coordonnées;Activité\n"
        "N° carte;Date d'adhésion;Civ.;Nom de famille;Prénom;Adresse mail;Commune;CA cumulé TTC\n"
    )
    body = "".join(
        f"299{p.number:010d};{p.born:%d/%m}/24;{'Mme' if p.is_woman else 'M.'};{p.last.upper()};{p.first};{p.mail};"
        f"{p.town};{euros(p.number * 1234)} €\n"
        for p in persons()
    )
    return head + body + "Total : 120 adhérents;;;;;;;\n"


def base() -> str:
    return "".join(
        f"{p.number},{'Mme' if p.is_woman else 'M'},{p.last.upper()},{p.first},{p.born:%d/%m/%Y},{p.street},{p.code},"
        f"{p.town},{p.phone},{p.mail}\n"
        for p in persons()
    )


def mainframe() -> str:
    return "".join(
        f"{p.number:08d}{'MME' if p.is_woman else 'M  '}{p.last.upper():<25}{p.first.upper():<20}{p.born:%Y%m%d}"
        f"{p.street.upper():<38}{p.code}{p.town.upper():<26}{p.phone:<10}{'O' if p.number % 3 else 'N'}\n"
        for p in persons()
    )


def sales() -> str:
    rows = "".join(
        f"FA{1000 + p.number};{p.number % 28 + 1:02d}/11/26;CL{p.number:04d};ART{p.number % 30:03d};Chaise chêne;2;"
        f"{euros(p.number * 1111)} €;{euros(p.number * 2222)} €;{['CB', 'Chèque'][p.number % 2]}\n"
        for p in persons()
    )
    return "Réf. pièce;Date pièce;Code tiers;Code article;Désignation;Qté;P.U. TTC;Total TTC;Mode règlement\n" + rows


EXTRACTS: dict[str, tuple[str, str, dict[str, str]]] = {
    "tickets_caisse_20261118.txt": (till(), "cp1252", {
        "column_1": "order_line.store", "column_2": "order_line.key", "column_3": "order_line.key",
        "column_4": "order_line.ordered_at", "column_5": "order_line.ref_card", "column_6": "order_line.product_id",
        "column_7": "order_line.product_label", "column_8": "order_line.quantity", "column_9": "order_line.unit_price",
        "column_10": "order_line.amount_gross", "column_11": "order_line.payment_method",
    }),
    "adherents_2026-11-18.csv": (members(), "utf-8-sig", {
        "N° carte": "customer.card_number+customer.key", "Date d'adhésion": "customer.created_at",
        "Civ.": "customer.civility+customer.sex", "Nom de famille": "customer.last_name",
        "Prénom": "customer.first_name", "Adresse mail": "customer.email", "Commune": "customer.city",
        "CA cumulé TTC": "customer.custom",
    }),
    "base.csv": (base(), "utf-8", {
        "column_1": "customer.key", "column_2": "customer.civility+customer.sex", "column_3": "customer.last_name",
        "column_4": "customer.first_name", "column_5": "customer.birth_on", "column_6": "customer.address_line",
        "column_7": "customer.postal_code", "column_8": "customer.city", "column_9": "customer.phone",
        "column_10": "customer.email",
    }),
    "FCLI0142_181126.dat": (mainframe(), "iso8859-15", {
        "column_1": "customer.key", "column_2": "customer.civility+customer.sex", "column_3": "customer.last_name",
        "column_4": "customer.first_name", "column_5": "customer.birth_on", "column_6": "customer.address_line",
        "column_7": "customer.postal_code", "column_8": "customer.city", "column_9": "customer.phone",
    }),
    "ventes_2026_11_18.csv": (sales(), "cp1252", {
        "Réf. pièce": "order_line.key", "Date pièce": "order_line.ordered_at", "Code tiers": "order_line.ref_account",
        "Code article": "order_line.product_id", "Désignation": "order_line.product_label", "Qté": "order_line.quantity",
        "P.U. TTC": "order_line.unit_price", "Total TTC": "order_line.amount_gross",
        "Mode règlement": "order_line.payment_method",
    }),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(EXTRACTS))
def test_columns_are_told_by_their_content_and_their_neighbours(name: str, tmp_path: Path) -> None:
    text, encoding, expected = EXTRACTS[name]
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    found = roles(read_back(draft_contract(path).text))
    assert {column: "+".join(sorted(found.get(column, {"nothing"}))) for column in expected} == expected


def test_what_is_only_told_by_neighbours_is_left_to_confirm(tmp_path: Path) -> None:
    path = tmp_path / "base.csv"
    path.write_text(base(), encoding="utf-8")
    columns = read_back(draft_contract(path).text).delivers["customer"].columns
    assert all(columns[name].todo for name in ("last_name", "first_name", "postal_code", "city", "birth_on"))


def test_their_files_land_by_their_drafts(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "ws")
    workspace.prepare()
    sources = {}
    for name, (text, encoding, _) in EXTRACTS.items():
        path = workspace.inbox / name
        path.write_bytes(text.encode(encoding))
        source = without_todos(draft_contract(path).text)
        assert check_source(source, parse("{}", "draft.yml")) == []
        sources[source.source] = source
    report = ingest(
        workspace, sources, Company(name="Test"), received_on=dt.date(2026, 11, 20), is_forward=True, run_id="test",
        settle_seconds=0,
    )  # fmt: skip
    assert (report.errors, report.rows_quarantined) == ((), 0)
    assert {record.source: record.rows_filtered for record in report.files if record.rows_filtered} == {"adherents": 1}

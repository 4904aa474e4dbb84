"""The demo retailer's extracts are what they claim: the same each time, true to their truth, dirty, dated.

Files are read here with the standard library (and calamine, pyarrow), never with the code that wrote them.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from pyarrow import parquet
from python_calamine import CalamineWorkbook

from orchestration.contracts.source import load_source, match_name
from orchestration.samples.generate import SamplesReport, generate

UNTIL = date(2026, 11, 21)
FIRST = UNTIL - timedelta(days=4)
CUSTOMERS = 2500
CUSTOMER_SOURCES = {
    "crm_customers", "web_accounts", "loyalty_cards", "newsletter_subscribers", "call_centre", "web_orders",
}  # fmt: skip


@dataclass(frozen=True)
class Made:
    inbox: Path
    truth: dict[tuple[str, str], str]
    report: SamplesReport

    def lines(self, name: str, encoding: str = "utf-8-sig") -> list[str]:
        content = (self.inbox / name).read_bytes()
        content = gzip.decompress(content) if name.endswith(".gz") else content
        return content.decode(encoding).removesuffix("\n").split("\n") if content else []

    def rows(self, name: str, delimiter: str = ";", encoding: str = "utf-8-sig") -> list[dict[str, str]]:
        """Rows with as many values as the header, a key, and dates that are dates."""
        header, *lines = csv.reader(io.StringIO("\n".join(self.lines(name, encoding))), delimiter=delimiter)
        return [
            dict(zip(header, line, strict=True))
            for line in lines
            if len(line) == len(header) and line[0] and not any(cell.startswith("32/13") for cell in line)
        ]

    def names(self, prefix: str) -> list[str]:
        return sorted(path.name for path in self.inbox.iterdir() if path.name.startswith(prefix))

    def all_rows(self, prefix: str, delimiter: str = ";", encoding: str = "utf-8-sig") -> list[dict[str, str]]:
        return [row for name in self.names(prefix) for row in self.rows(name, delimiter, encoding)]

    def accounts(self) -> list[dict]:
        return [json.loads(line) for name in self.names("web_accounts") for line in self.lines(name)]

    def calls(self) -> list[dict]:
        rows = []
        for name in self.names("centre_appels"):
            header, *lines = CalamineWorkbook.from_path(self.inbox / name).get_sheet_by_name("Appels").to_python()
            rows += [dict(zip(header, line, strict=True)) for line in lines]
        return rows


def make(folder: Path, **wanted: object) -> Made:
    arguments = {"customers": CUSTOMERS, "seed": 3, "days": 4, "until": UNTIL} | wanted
    report = generate(folder / "inbox", truth_file=folder / "truth.csv", **arguments)  # type: ignore[arg-type]
    with open(folder / "truth.csv", encoding="utf-8", newline="") as file:
        truth = {(row["source"], row["record_id"]): row["person"] for row in csv.DictReader(file)}
    return Made(folder / "inbox", truth, report)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(tmp_path_factory.mktemp("samples"))


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# Determinism


def test_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    make(tmp_path / "one", customers=150, days=3)
    make(tmp_path / "two", customers=150, days=3)
    one = digests(tmp_path / "one")
    assert one == digests(tmp_path / "two")
    assert {Path(name).suffix for name in one} == {".csv", ".txt", ".jsonl", ".xlsx", ".gz", ".parquet"}


def test_another_seed_gives_other_persons(tmp_path: Path) -> None:
    one, two = make(tmp_path / "one", customers=60, days=0), make(tmp_path / "two", customers=60, days=0, seed=4)
    assert not {a["contact"]["email"] for a in one.accounts()} & {a["contact"]["email"] for a in two.accounts()}


@pytest.mark.parametrize(("customers", "days"), [(1, 0), (1, 3), (2, 1), (7, 2)])
def test_tiny_sizes_work(tmp_path: Path, customers: int, days: int) -> None:
    made = make(tmp_path, customers=customers, days=days)
    assert set(made.truth.values()) == {f"P{number:07d}" for number in range(customers)}


@pytest.mark.parametrize("wrong", [{"customers": 0}, {"days": -1}])
def test_impossible_sizes_are_refused(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least one customer"):
        make(tmp_path, **wrong)
    assert not (tmp_path / "inbox").exists()


# Truth


def test_the_truth_covers_exactly_the_customer_keys_of_the_files(made: Made) -> None:
    crm = {
        row["CODE_CLIENT"] for row in made.all_rows("crm_clients", encoding="cp1252") if row["SEGMENT_CRM"] != "TEST"
    }
    keys = {
        "crm_customers": crm,
        "web_accounts": {account["id"] for account in made.accounts()},
        "loyalty_cards": {row["CARTE"] for row in made.all_rows("CARTES", "|")},
        "newsletter_subscribers": {row["subscriber_id"] for row in made.all_rows("newsletter", ",")},
        "call_centre": {row["N° fiche"] for row in made.calls()},
        "web_orders": {row["NUM_INVITE"] for row in made.all_rows("commandes_web")} - {""},
    }
    for source in CUSTOMER_SOURCES:
        assert keys[source] == {record for name, record in made.truth if name == source}, source


def test_each_person_has_a_record_and_about_two_on_average(made: Made) -> None:
    records = Counter(made.truth.values())
    assert len(records) == CUSTOMERS
    assert 2.0 < len(made.truth) / CUSTOMERS < 2.5
    assert made.report.records == len(made.truth)


def test_the_truth_stays_out_of_the_inbox(made: Made) -> None:
    assert not [path for path in made.inbox.iterdir() if "truth" in path.name]


# Days


def test_each_day_has_its_files_but_for_the_one_that_never_comes(made: Made) -> None:
    days = [FIRST + timedelta(days=number) for number in range(5)]
    daily = {"crm_clients_{:%Y%m%d}.csv", "web_accounts_{:%Y-%m-%d}.jsonl", "newsletter_{:%Y-%m-%d}.csv",
             "centre_appels_{:%Y%m%d}.xlsx", "commandes_web_{:%Y%m%d}.csv", "tickets_{:%Y%m%d}.csv",
             "lignes_tickets_{:%Y%m%d}.csv", "catalogue_{:%Y%m%d}.parquet", "email_events_{:%Y-%m-%d}.csv.gz",
             "web_sessions_{:%Y-%m-%d}.jsonl.gz", "CARTES_{:%Y%m%d}.txt"}  # fmt: skip
    expected = {name.format(day) for name in daily for day in days}
    absent = expected - set(made.names(""))
    assert absent == {f"CARTES_{days[2]:%Y%m%d}.txt"}


def test_one_file_comes_late_and_one_comes_twice_with_other_content(made: Made) -> None:
    by_source = defaultdict(list)
    for delivery in made.report.deliveries:
        by_source[delivery.source].append(delivery)
    late = [d for d in made.report.deliveries if d.received_on > d.business_on]
    assert {(d.source, d.business_on, d.received_on) for d in late} == {
        ("email_events", FIRST + timedelta(days=1), FIRST + timedelta(days=2)),
        ("till_lines", FIRST + timedelta(days=1), FIRST + timedelta(days=2)),
    }
    first, second = (d for d in by_source["till_lines"] if d.business_on == FIRST + timedelta(days=1))
    before, after = made.rows(first.file_name), made.rows(second.file_name)
    assert [row["NUM_TICKET"] for row in before] == [row["NUM_TICKET"] for row in after]
    assert [row["MONTANT"] for row in before] != [row["MONTANT"] for row in after]


def test_rows_and_files_are_counted_as_they_are(made: Made) -> None:
    assert sorted(d.file_name for d in made.report.deliveries) == made.names("")
    for delivery in made.report.deliveries:
        if delivery.file_name.endswith((".csv", ".txt", ".csv.gz")):
            assert delivery.rows == len(made.lines(delivery.file_name, "latin-1")) - 1, delivery.file_name


def test_full_deliveries_gain_lose_and_change_records(made: Made) -> None:
    first, last = (
        {row["CODE_CLIENT"]: row for row in made.rows(name, encoding="cp1252")}
        for name in (made.names("crm_clients")[0], made.names("crm_clients")[-1])
    )
    assert set(last) - set(first)
    assert set(first) - set(last)
    changed = [code for code in set(first) & set(last) if first[code] != last[code]]
    assert changed
    assert any(first[code]["ADRESSE"] != last[code]["ADRESSE"] for code in changed)
    assert len(changed) < 0.05 * len(first)


def test_deltas_hold_only_what_is_new_or_changed_that_day(made: Made) -> None:
    seen: set[str] = set()
    for number, name in enumerate(made.names("web_accounts")):
        day = FIRST + timedelta(days=number)
        accounts = [json.loads(line) for line in made.lines(name)]
        if number:
            assert 0 < len(accounts) < 0.1 * len(seen)
            assert {account["updated_at"][:10] for account in accounts} == {day.isoformat()}
        seen |= {account["id"] for account in accounts}


def test_days_zero_gives_the_initial_load_only(tmp_path: Path) -> None:
    report = make(tmp_path, customers=40, days=0).report
    assert {delivery.business_on for delivery in report.deliveries} == {UNTIL}
    assert len({delivery.source for delivery in report.deliveries}) == len(report.deliveries) == 14


def test_orders_seen_as_pending_come_again_with_their_final_status(made: Made) -> None:
    seen = defaultdict(list)
    for name in made.names("commandes_web"):
        for order, status in {(row["NUM_COMMANDE"], row["STATUT"]) for row in made.rows(name)}:
            seen[order].append(status)
    settled = [statuses for statuses in seen.values() if len(statuses) > 1]
    assert settled
    assert all(first == "EN_COURS" and last != "EN_COURS" for first, last in settled)


# Forms and dirt


def test_each_file_has_the_form_of_its_system(made: Made) -> None:
    crm = (made.inbox / made.names("crm_clients")[0]).read_bytes()
    with pytest.raises(UnicodeDecodeError):
        crm.decode("utf-8")
    assert "é" in crm.decode("cp1252")
    assert (made.inbox / made.names("newsletter")[0]).read_bytes().startswith(b"\xef\xbb\xbf")
    cards = (made.inbox / made.names("CARTES")[0]).read_bytes().decode("ascii")
    assert cards == cards.upper()
    catalogue = parquet.read_table(made.inbox / made.names("catalogue")[0])
    assert set(catalogue["public"].to_pylist()) == {"F", "H", "E", ""}
    assert all("," in row["MONTANT_TTC"] for row in made.rows(made.names("commandes_web")[0]))


def _crm_by_person(made: Made) -> dict[str, list[dict[str, str]]]:
    persons = defaultdict(list)
    for row in made.rows(made.names("crm_clients")[0], encoding="cp1252"):
        if row["SEGMENT_CRM"] != "TEST":
            persons[made.truth["crm_customers", row["CODE_CLIENT"]]].append(row)
    return persons


def test_placeholders_are_shared_by_many_persons(made: Made) -> None:
    crm = made.rows(made.names("crm_clients")[0], encoding="cp1252")
    cards = made.rows(made.names("CARTES")[0], "|")
    assert Counter(row["EMAIL"].lower() for row in crm + cards)["test@test.com"] > 20
    assert Counter(row["DT_NAISS"] for row in crm)["01/01/1900"] > 10
    assert Counter(row["TEL_MOBILE"].replace(" ", "").replace(".", "") for row in crm)["0600000000"] > 10
    shops = Counter(row["TEL"].replace(" ", "").replace(".", "") for row in cards)
    assert shops["0142330101"] > 1


def test_one_source_knows_some_persons_twice(made: Made) -> None:
    persons = Counter((source, person) for (source, _), person in made.truth.items())
    twice = Counter(source for (source, _), count in persons.items() if count > 1)
    for source in ("crm_customers", "web_accounts", "loyalty_cards"):
        assert twice[source] >= 10, source


def test_two_persons_share_a_mailbox_and_a_landline(made: Made) -> None:
    mailboxes, landlines = defaultdict(set), defaultdict(set)
    for account in made.accounts():
        mailboxes[account["contact"]["email"].strip().lower()].add(made.truth["web_accounts", account["id"]])
    for person, rows in _crm_by_person(made).items():
        for row in rows:
            digits = "".join(filter(str.isdigit, row["TEL_FIXE"]))[-9:]
            landlines[digits].add(person)
            if row["EMAIL"]:
                mailboxes[row["EMAIL"].strip().lower()].add(person)
    shared = [len(persons) for box, persons in mailboxes.items() if "@" in box and len(persons) > 1]
    assert sum(count == 2 for count in shared) > 10
    del landlines[""]
    assert sum(1 < len(persons) < 5 for persons in landlines.values()) > 20


def test_people_move_marry_and_change_telephone(made: Made) -> None:
    postal, phones = defaultdict(set), defaultdict(set)
    married = 0
    for person, rows in _crm_by_person(made).items():
        postal[person] |= {row["CP"].zfill(5) for row in rows if row["CP"]}
        phones[person] |= {"".join(filter(str.isdigit, row["TEL_MOBILE"]))[-9:] for row in rows} - {""}
        married += any(row["NOM_NAISSANCE"] and row["NOM_NAISSANCE"] != row["NOM"].upper() for row in rows)
    for account in made.accounts():
        person = made.truth["web_accounts", account["id"]]
        postal[person] |= {account["address"]["zip"]} if "address" in account else set()
        phones[person] |= {"".join(filter(str.isdigit, account["contact"]["phone"] or ""))[-9:]} - {""}
    assert sum(len(seen) > 1 for seen in postal.values()) > 20
    assert sum(len(seen) > 1 for seen in phones.values()) > 20
    assert married > 50


def test_namesakes_and_twins_live_at_one_address(made: Made) -> None:
    homes = defaultdict(dict)
    for person, rows in _crm_by_person(made).items():
        row = rows[0]
        if row["ADRESSE"] and row["DT_NAISS"] and row["DT_NAISS"] != "01/01/1900":
            homes[row["ADRESSE"], row["CP"], row["NOM"].upper()][person] = row
    namesakes = twins = 0
    for members in homes.values():
        first_names = Counter(row["PRENOM"] for row in members.values())
        births = Counter(row["DT_NAISS"] for row in members.values())
        namesakes += first_names.most_common(1)[0][1] > 1
        twins += births.most_common(1)[0][1] > 1 and len(first_names) > 1
    assert namesakes >= 1
    assert twins >= 1


def test_names_are_swapped_shortened_and_misspelt(made: Made) -> None:
    names = defaultdict(set)
    for account in made.accounts():
        identity = account["identity"]
        person = made.truth["web_accounts", account["id"]]
        names[person].add((identity["first_name"].lower(), identity["last_name"].lower()))
    for person, rows in _crm_by_person(made).items():
        names[person] |= {(row["PRENOM"].lower(), row["NOM"].lower()) for row in rows}
    swapped = sum(any((last, first) in seen for first, last in seen if first != last) for seen in names.values())
    initials = sum(any(first.endswith(".") for first, _ in seen) for seen in names.values())
    several = sum(len(seen) > 1 for seen in names.values())
    assert swapped > 5
    assert initials > 20
    assert several > 0.1 * len(names)


def test_day_and_month_are_swapped(made: Made) -> None:
    births = defaultdict(set)
    for person, rows in _crm_by_person(made).items():
        births[person] |= {datetime.strptime(r["DT_NAISS"], "%d/%m/%Y").date() for r in rows if r["DT_NAISS"]}
    for account in made.accounts():
        if account["identity"]["birth_date"]:
            person = made.truth["web_accounts", account["id"]]
            births[person].add(date.fromisoformat(account["identity"]["birth_date"]))
    swapped = [
        one
        for seen in births.values()
        for one in seen
        if one.day <= 12 and one.day != one.month and date(one.year, one.day, one.month) in seen
    ]
    assert len(swapped) > 3


def test_the_spreadsheet_ate_leading_zeros(made: Made) -> None:
    calls = made.calls()
    numbers = [row["Téléphone"] for row in calls if isinstance(row["Téléphone"], float | int)]
    postal = [row["Code postal"] for row in calls if isinstance(row["Code postal"], float | int)]
    assert sum(100_000_000 <= number < 1_000_000_000 for number in numbers) > 20
    assert sum(number < 10_000 for number in postal) > 2
    crm = [row["CP"] for row in made.all_rows("crm_clients", encoding="cp1252")]
    assert any(len(code) == 4 for code in crm)


def test_mail_providers_are_misspelt(made: Made) -> None:
    domains = Counter(row["email"].strip().lower().split("@")[-1] for row in made.all_rows("newsletter", ","))
    assert domains["gmail.com"] > 100
    assert sum(domains[typo] for typo in ("gmial.com", "gmail.fr", "gmai.com", "gmail.con", "gamil.com")) > 1


def test_bad_rows_are_few(made: Made) -> None:
    for name, delimiter, encoding in (
        (made.names("crm_clients")[0], ";", "cp1252"), (made.names("CARTES")[0], "|", "ascii"),
        (made.names("lignes_tickets")[0], ";", "utf-8"), (made.names("commandes_web")[0], ";", "utf-8"),
    ):  # fmt: skip
        total = len(made.lines(name, encoding)) - 1
        good = len(made.rows(name, delimiter, encoding))
        assert 2 <= total - good <= max(3, 0.002 * total), name


# Purchases


def test_purchases_follow_the_season_over_three_years(made: Made) -> None:
    days = [datetime.strptime(row["DATE_HEURE"], "%d/%m/%Y %H:%M:%S") for row in made.all_rows("tickets_")]
    months = Counter((day.year, day.month) for day in days)
    assert months[2025, 12] > 1.5 * months[2025, 8]
    assert min(day.date() for day in days) < UNTIL - timedelta(days=1000)
    assert max(day.date() for day in days) == UNTIL


def test_customers_buy_at_several_rhythms(made: Made) -> None:
    orders = defaultdict(set)
    for row in made.all_rows("commandes_web"):
        if row["TYPE_LIGNE"] != "R" and row["COMPTE"]:
            orders[row["COMPTE"]].add(row["NUM_COMMANDE"])
    counts = Counter(min(len(seen), 10) for seen in orders.values())
    assert counts[1] > 50
    assert counts[2] + counts[3] > 50
    assert counts[10] > 20


def test_returns_refer_to_an_earlier_sale(made: Made) -> None:
    lines = made.all_rows("lignes_tickets")
    sold = {(row["NUM_TICKET"], row["REF"]) for row in lines if row["TYPE_LIGNE"] == "V"}
    back = [row for row in lines if row["TYPE_LIGNE"] == "R"]
    assert len(back) > 100
    assert all(int(row["QTE"]) < 0 for row in back)
    assert all((row["TICKET_ORIGINE"], row["REF"]) in sold for row in back)


def test_bills_hold_more_than_sales(made: Made) -> None:
    web = made.all_rows("commandes_web")
    shops = made.all_rows("lignes_tickets")
    assert {"ANNULEE", "REMBOURSEE", "EN_COURS", "VALIDEE"} == {row["STATUT"] for row in web}
    assert {"V", "R", "F", "B"} <= {row["TYPE_LIGNE"] for row in web}
    assert {"V", "R", "D", "F", "B", "T"} == {row["TYPE_LIGNE"] for row in shops}
    assert {"PORT", "CARTE-CADEAU", "EMBALLAGE"} <= {row["REF"] for row in web}
    assert "999" in {row["MAGASIN"] for row in shops}
    known = set(parquet.read_table(made.inbox / made.names("catalogue")[-1])["reference"].to_pylist())
    assert {row["REF"] for row in web + shops} <= known


def test_some_lines_are_there_twice(made: Made) -> None:
    for name in (made.names("lignes_tickets")[0], made.names("commandes_web")[0]):
        repeated = [line for line, count in Counter(made.lines(name)).items() if count > 1]
        assert len(repeated) > 5, name


def test_some_web_orders_come_from_the_tills_too(made: Made) -> None:
    web = defaultdict(dict)
    for row in made.all_rows("commandes_web"):
        web[row["NUM_COMMANDE"]][row["LIGNE"]] = row["MONTANT_TTC"]
    shops = defaultdict(dict)
    for row in made.all_rows("lignes_tickets"):
        shops[row["NUM_TICKET"]][row["LIGNE"]] = row["MONTANT"]
    both = set(web) & set(shops)
    assert len(both) > 10
    old = [order for order in both if web[order] == shops[order]]
    assert len(old) >= 0.98 * len(both)  # but for the delivery that was sent with wrong amounts first


def test_ticket_totals_are_the_sums_of_their_lines(made: Made) -> None:
    sums: Counter[str] = Counter()
    seen = set()
    name = made.names("lignes_tickets")[0]
    for row in made.rows(name):
        if (row["NUM_TICKET"], row["LIGNE"]) not in seen:
            seen.add((row["NUM_TICKET"], row["LIGNE"]))
            sums[row["NUM_TICKET"]] += int(row["MONTANT"].replace(",", ""))
    tickets = made.rows(made.names("tickets_")[0])
    assert len(tickets) > 1000
    wrong = [row["NUM_TICKET"] for row in tickets if sums[row["NUM_TICKET"]] != int(row["TOTAL_TTC"].replace(",", ""))]
    assert wrong == []


def test_facts_name_customers_that_exist(made: Made) -> None:
    records = set(made.truth)
    for row in made.all_rows("tickets_"):
        assert not row["CARTE"] or ("loyalty_cards", row["CARTE"]) in records
        assert not row["CODE_CLIENT"] or ("crm_customers", row["CODE_CLIENT"]) in records
    for row in made.all_rows("commandes_web"):
        source = {"COMPTE": "web_accounts", "INVITE": "web_orders"}[row["TYPE_CLIENT"]]
        assert (source, row["REF_CLIENT"]) in records
    tickets = made.all_rows("tickets_")
    nobody = sum(not (row["CARTE"] or row["CODE_CLIENT"] or row["EMAIL_TICKET"]) for row in tickets)
    assert 0.2 < nobody / len(tickets) < 0.7


# Events


def test_mail_visits_and_requests_are_of_all_kinds(made: Made) -> None:
    mails = made.all_rows("email_events", ",")
    assert {row["event"] for row in mails} >= {"sent", "open", "click", "bounce", "unsubscribe"}
    assert {row["bounce_type"] for row in mails if row["event"] == "bounce"} == {"hard", "soft"}
    ids = [row["event_id"] for row in mails]
    assert len(ids) == len(set(ids))
    visits = [json.loads(line) for name in made.names("web_sessions") for line in made.lines(name)]
    assert {visit["type"] for visit in visits} == {"session", "page_view", "cart"}
    assert {visit["channel"] for visit in visits} == {"web", "app"}
    assert 0.1 < sum("account" in visit["visitor"] for visit in visits) / len(visits) < 0.6
    kinds = Counter(row["TYPE_DEMANDE"] for row in made.all_rows("demandes_rgpd"))
    assert kinds["ACCES"] and kinds["EFFACEMENT"] and kinds["OPPOSITION"]
    choices = made.all_rows("preferences")
    assert {row["choix"] for row in choices} == {"oui", "non"}
    assert {row["canal"] for row in choices} == {"email", "sms", "telephone", "courrier", "push"}
    assert all(0 <= int(row["NOTE"]) <= 10 for row in made.all_rows("enquete"))


def test_nobody_is_written_to_after_a_hard_bounce(made: Made) -> None:
    bounced: dict[tuple[str, str], str] = {}
    for row in sorted(made.all_rows("email_events", ","), key=lambda row: (row["occurred_at"], row["event_id"])):
        who = (row["email"], row["subscriber_id"])
        if row["bounce_type"] == "hard" and row["subscriber_id"]:
            bounced.setdefault(who, row["campaign"])
        elif row["event"] == "sent" and who in bounced:
            assert row["campaign"] == bounced[who]
    assert bounced


# Contracts


def test_every_file_belongs_to_one_contract_and_every_column_is_accounted_for(made: Made, project: Path) -> None:
    contracts = [load_source(path) for path in sorted((project / "declarations" / "sources").glob("*.yml"))]
    used = set()
    for delivery in made.report.deliveries:
        plain = delivery.file_name.removesuffix(".gz")
        owners = [contract for contract in contracts if match_name(contract.file, plain)]
        assert [owner.source for owner in owners] == [delivery.source]
        (contract,) = owners
        assert match_name(contract.file, plain).business_on == delivery.business_on
        used.add(contract.source)
        if contract.is_nested:
            continue
        declared = {column for _, column in contract.columns_read()} | set(contract.ignored)
        assert declared == set(_columns(made, delivery.file_name, contract.file.encoding, contract.file.delimiter))
    # unsubscribe links come back from our own exports: no extract of the demo retailer holds any
    assert used | {"stewards", "unsubscribe_clicks"} == {contract.source for contract in contracts}


def _columns(made: Made, name: str, encoding: str, delimiter: str) -> list[str]:
    if name.endswith(".parquet"):
        return parquet.read_schema(made.inbox / name).names
    if name.endswith(".xlsx"):
        return [
            str(cell) for cell in CalamineWorkbook.from_path(made.inbox / name).get_sheet_by_index(0).to_python()[0]
        ]
    return made.lines(name, "utf-8-sig" if encoding == "utf-8" else encoding)[0].split(delimiter)


def test_every_path_of_nested_files_is_accounted_for(made: Made, project: Path) -> None:
    def paths(value: object, at: str = "") -> set[str]:
        if isinstance(value, dict):
            return {path for key, inner in value.items() for path in paths(inner, f"{at}.{key}".lstrip("."))}
        return {at}

    for source, rows in (
        ("web_accounts", made.accounts()),
        ("web_sessions", [json.loads(line) for line in made.lines(made.names("web_sessions")[0])]),
    ):
        contract = load_source(project / "declarations" / "sources" / f"{source}.yml")
        declared = {column for _, column in contract.columns_read()} | set(contract.ignored)
        assert set().union(*(paths(row) for row in rows)) == declared

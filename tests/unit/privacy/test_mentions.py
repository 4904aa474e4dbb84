"""Who is named where no key tells: free texts of others, lists of names and addresses, refused rows."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestration import ingest, privacy, rewriting
from orchestration.settings import Workspace
from tests.unit.ingest.conftest import DAY, Shop

PEOPLE = """
source: shop
describes: customers of the shop
trust_rank: 1
tolerated_bad_rows: 0.5
file: {pattern: "shop_{date}.csv", date_format: "%Y%m%d"}
delivers:
  customer:
    key: ID
    columns:
      first_name: {from: FIRST}
      last_name: {from: NAME, required: true}
      email: {from: MAIL}
      address_line: {from: STREET}
      postal_code: {from: CODE}
      birth_on: {from: BORN, read: date, format: "%d/%m/%Y"}
"""
SURVEY = """
source: survey
describes: answers, with a free text
trust_rank: 2
delivery: delta
file: {pattern: "survey_{date}.csv", date_format: "%Y%m%d"}
delivers:
  event:
    key: ID
    columns:
      event_type: {constant: survey_answer}
      occurred_at: {from: AT, format: "%d/%m/%Y"}
      ref_email: {from: MAIL}
    custom: {comment: TOLD}
"""
ANNE, BOB = "anne.lune@exemple.example", "bob.lune@exemple.example"
ROWS = (
    "ID,FIRST,NAME,MAIL,STREET,CODE,BORN\n"
    f"A1,Anne,Lune,{ANNE},12 rue des Prés,75018,01/02/1980\n"
    f"A2,Bob,Lune,{BOB},12 rue des Prés,75018,\n"
    "A3,Anne,Lune,other.anne@exemple.example,3 quai Neuf,69001,\n"
    "A4,Zoé,Été,zoe.ete@exemple.example,3 quai Neuf,69001,\n"
    "A5,Paul,Rue,paul.rue@exemple.example,9 rue Zoé Été,33000,\n"
    "A6,ANNE,LUNE,,12 RUE DES PRES,75018,not a date\n"
)
ANSWERS = (
    "ID,AT,MAIL,TOLD\n"
    f"S1,19/11/2026,{BOB},write to {ANNE} instead\n"
    f"S2,19/11/2026,{BOB},all was well\n"
    f"S3,19/11/2026,{ANNE},slow\n"
)  # fmt: skip


@dataclass
class Told:
    shop: Shop
    list_of_names: Path

    @property
    def workspace(self) -> Workspace:
        return self.shop.workspace

    def erase(self, record: str) -> None:
        subject = privacy.find_person(self.workspace, ["shop", record]).subject
        privacy.erase(self.workspace, self.shop.sources, subject, request_id=f"R-{record}", on=DAY)

    def comments(self) -> dict[str, str | None]:
        return dict(self.shop.landed("event", "event_id, properties", "event_id"))


@pytest.fixture
def told(tmp_path: Path) -> Told:
    shop = Shop(Workspace(tmp_path / "shop"))
    shop.workspace.prepare()
    shop.declare(PEOPLE, SURVEY)
    shop.drop("shop_20261120.csv", ROWS)
    shop.drop("survey_20261120.csv", ANSWERS)
    report = shop.receive()
    assert [file.status for file in report.files] == ["landed", "landed"]
    names = shop.workspace.exports / "catalogue" / "catalogue.csv"
    names.parent.mkdir(parents=True)
    names.write_text(
        "PRENOM;NOM;ADRESSE;CP\nAnne;Lune;12 RUE DES PRES;75018\nBob;Lune;12 RUE DES PRES;75018\n"
        "Anne;Lune;3 QUAI NEUF;69001\nZoe;Ete;3 QUAI NEUF;69001\nPaul;Rue;9 RUE ZOE ETE;33000\n",
        encoding="utf-8",
    )
    return Told(shop, names)


def test_a_list_of_names_and_addresses_loses_the_person_and_neither_household_nor_namesake(told: Told) -> None:
    told.erase("A1")
    assert told.list_of_names.read_text(encoding="utf-8").splitlines() == [
        "PRENOM;NOM;ADRESSE;CP", "", "Bob;Lune;12 RUE DES PRES;75018", "Anne;Lune;3 QUAI NEUF;69001",
        "Zoe;Ete;3 QUAI NEUF;69001", "Paul;Rue;9 RUE ZOE ETE;33000",
    ]  # fmt: skip


def test_a_row_that_was_refused_is_known_by_name_and_address(told: Told) -> None:
    assert [raw for (raw,) in told.shop.quarantined("raw_text")] == ["A6,ANNE,LUNE,,12 RUE DES PRES,75018,not a date"]
    told.erase("A1")
    assert told.shop.quarantined("raw_text") == [("",)]
    (original,) = (told.workspace.archive / "shop").rglob("*.csv")
    assert "ANNE,LUNE" not in original.read_text(encoding="utf-8")


def test_a_street_that_bears_the_name_is_no_trace_of_the_person(told: Told) -> None:
    told.erase("A4")
    left = told.list_of_names.read_text(encoding="utf-8").splitlines()
    assert "Paul;Rue;9 RUE ZOE ETE;33000" in left and "Zoe;Ete;3 QUAI NEUF;69001" not in left
    (original,) = (told.workspace.archive / "shop").rglob("*.csv")
    assert "A5,Paul,Rue" in original.read_text(encoding="utf-8")


def test_a_free_text_of_somebody_else_that_names_the_person_goes_and_the_row_stays(told: Told) -> None:
    assert set(told.comments()) == {"S1", "S2", "S3"}
    told.erase("A1")
    assert told.comments() == {"S1": None, "S2": '{"comment":"all was well"}'}
    assert told.shop.landed("event", "ref_email", "event_id") == [(BOB,), (BOB,)]
    assert [
        path for path in told.workspace.data.rglob("*") if path.is_file() and ANNE.encode() in path.read_bytes()
    ] == []
    report = told.shop.day(DAY, told.shop.build())
    assert report.unbalanced == ()


def test_a_re_sent_free_text_is_cleaned_by_the_keyed_list_alone(told: Told) -> None:
    told.erase("A1")
    told.shop.drop("survey_20261121.csv", ANSWERS.replace("S1", "S8").replace("S2", "S9").replace("S3", "S7"))
    told.shop.drop("survey_20261122.csv", f"ID,AT,MAIL,TOLD\nS10,22/11/2026,{BOB},{ANNE} is back\n")
    for day in (1, 2):
        told.shop.receive(DAY + dt.timedelta(days=day))
    ingest.sweep(told.workspace, told.shop.sources, since=None)
    comments = told.comments()
    assert (comments["S8"], comments["S9"]) == (None, '{"comment":"all was well"}')
    assert "S7" not in comments
    assert comments["S10"] is not None, "it tells of a time after the erasure"


def test_names_are_found_however_they_are_written_and_only_on_one_line() -> None:
    finder = rewriting.traces_of(frozenset(), frozenset({("eleonore roux",), ("martin", "anne", "75018")}))
    assert finder is not None
    found = [
        "Éléonore;Roux",
        '{"a": "ELEONORE", "b": "x"} Eleonore-Roux',
        "75018 PARIS;Martin;Anne",
        "anne MARTIN, 75018",
    ]
    assert [text for text in found if not finder.search(text)] == []
    others = ["Éléonore\nRoux", "Eleonore Rouxel", "Martin;Anne;75019", "Martin;Anne\n75018", "Martine;Anne;75018"]
    assert [text for text in others if finder.search(text)] == []


def test_an_address_in_the_name_of_a_file_is_told_to_no_log(told: Told) -> None:
    told.shop.drop(f"list of {ANNE}.csv", "a,b\n1,2\n")
    report = told.shop.receive(DAY + dt.timedelta(days=1))
    messages = [*report.errors, *report.warnings, *(f"{file.file_name} {file.message}" for file in report.files)]
    assert [text for text in messages if "no source claims" in text]
    assert [text for text in messages if ANNE in text] == []


class Stopped(RuntimeError):
    """The power went out."""


def test_an_erasure_that_stops_after_each_of_its_steps_completes(told: Told) -> None:
    subject = privacy.find_person(told.workspace, ["shop", "A1"]).subject
    steps: list[str] = []

    def stop_at_a_new_step(step: str) -> None:
        if step not in steps:
            steps.append(step)
            raise Stopped(step)

    with pytest.raises(Stopped):
        privacy.erase(told.workspace, told.shop.sources, subject, request_id="R-1", on=DAY, on_step=stop_at_a_new_step)
    journal = told.workspace.registry / "privacy" / "erasing-R-1.json"
    assert journal.stat().st_mode & 0o077 == 0
    for _ in range(20):
        try:
            done = privacy.resume(told.workspace, told.shop.sources, stop_at_a_new_step)
        except Stopped:
            continue
        break
    assert len(steps) == 13 and steps[0] == "journal" and steps[-1] == "done"
    assert done == [], "its last step was done before the last stop"
    assert told.comments() == {"S1": None, "S2": '{"comment":"all was well"}'}
    assert [request.state for request in privacy.requests(told.workspace)] == ["answered"]
    assert [
        path for path in told.workspace.data.rglob("*") if path.is_file() and ANNE.encode() in path.read_bytes()
    ] == []

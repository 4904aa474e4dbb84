"""What is not ready stops nobody else: drafts of contracts, and places that could not be reached."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from orchestration.contracts.loader import parse, validate
from orchestration.contracts.source import Source, load_source
from orchestration.errors import DeclarationError
from orchestration.ingest import refused_files, source_states

from .conftest import CUSTOMERS, DAY, Shop, contract

DRAFT = """
source: club
describes: members of the club
trust_rank: 2
file: {pattern: "club_{date}.csv", date_format: "%Y%m%d"}
delivers:
  customer:
    key: ID
    columns:
      last_name: {from: NAME}
      postal_code: {from: CODE, todo: "a postal code, or a code of the club?"}
todo: {delivery: "full or delta?"}
"""


def undecided(text: str) -> Source:
    return validate(parse(text, "club.yml"), Source)


def test_a_draft_leaves_its_files_in_the_inbox_and_the_others_land(customers: Shop) -> None:
    customers.sources["club"] = undecided(DRAFT)
    customers.drop("club_20261120.csv", "ID,NAME,CODE\n1,Roche,75001\n")
    customers.drop("shop_20261120.csv", "ID,NAME,BORN\n1,Martin,\n")
    report = customers.receive()
    assert {record.file_name: record.status for record in report.files} == {
        "club_20261120.csv": "draft",
        "shop_20261120.csv": "landed",
    }
    assert report.errors == () and "club: its contract is a draft with 2 to decide" in report.warnings[0]
    assert customers.inbox_names() == ["club_20261120.csv"]
    states = {one.source: one.state for one in source_states(customers.workspace, customers.sources, as_of_on=DAY)}
    assert states["club"].startswith("draft: 2 to decide")
    (waiting,) = refused_files(customers.workspace)
    assert (waiting.source, waiting.status) == ("club", "draft")

    told = customers.day(DAY, connection := customers.build())
    assert told.unbalanced == ()
    rows = connection.execute("select source, status from audit.files order by source").fetchall()
    assert rows == [("club", "draft"), ("shop", "landed")]


def test_a_finished_draft_takes_the_files_that_waited(customers: Shop) -> None:
    customers.sources["club"] = undecided(DRAFT)
    customers.drop("club_20261120.csv", "ID,NAME,CODE\n1,Roche,75001\n")
    customers.receive()
    assert [record.status for record in customers.receive().files] == ["draft"]
    finished = DRAFT.replace(', todo: "a postal code, or a code of the club?"', "").replace(
        'todo: {delivery: "full or delta?"}', ""
    )
    customers.sources["club"] = contract(finished)
    assert [record.status for record in customers.receive(DAY + dt.timedelta(days=1)).files] == ["landed"]
    assert customers.inbox_names() == [] and refused_files(customers.workspace) == []


def test_a_contract_that_becomes_a_draft_keeps_what_it_delivered(customers: Shop) -> None:
    customers.drop("shop_20261120.csv", "ID,NAME,BORN\n1,Martin,\n")
    customers.receive()
    customers.sources["shop"] = undecided(CUSTOMERS + "todo: {owner: who?}\n")
    customers.day(DAY, connection := customers.build())
    assert connection.execute("select last_name from landing.customers").fetchall() == [("Martin",)]


def test_a_finished_contract_takes_a_file_that_a_draft_claims_too(customers: Shop) -> None:
    customers.sources["club"] = undecided(DRAFT.replace("club_{date}", "shop_{date}"))
    customers.drop("shop_20261120.csv", "ID,NAME,BORN\n1,Martin,\n")
    (record,) = customers.receive().files
    assert (record.source, record.status) == ("shop", "landed")


def test_a_draft_passes_for_a_run_but_not_for_a_check_nor_when_it_is_required(tmp_path: Path) -> None:
    path = tmp_path / "club.yml"
    path.write_text(DRAFT)
    assert load_source(path, tmp_path, drafts_pass=True).questions == 2
    with pytest.raises(DeclarationError, match="full or delta"):
        load_source(path, tmp_path)
    path.write_text(DRAFT.replace("trust_rank: 2", "trust_rank: 2\nrequired: true"))
    with pytest.raises(DeclarationError, match="full or delta"):
        load_source(path, tmp_path, drafts_pass=True)


def test_a_fetch_that_fails_is_a_row_of_the_manifest_for_each_day(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLUB_DSN", raising=False)
    place = 'connect: {postgres: {dsn: "env:CLUB_DSN", table: club.members}}\nfile: {}\n'
    shop.declare(
        "source: club\ndescribes: members\ntrust_rank: 1\n" + place
        + "delivers: {customer: {key: ID, columns: {last_name: {from: NAME}}}}\n"
    )  # fmt: skip
    for on in (DAY, DAY, DAY + dt.timedelta(days=1)):
        shop.receive(on)
    shop.day(DAY + dt.timedelta(days=1), connection := shop.build())
    rows = connection.execute(
        "select source, status, received_on, rows_difference, message from audit.files order by received_on"
    ).fetchall()
    assert [row[:4] for row in rows] == [
        ("club", "not_fetched", DAY, 0),
        ("club", "not_fetched", DAY + dt.timedelta(days=1), 0),
    ]
    assert "CLUB_DSN" in rows[0][4] and len({row[4] for row in rows}) == 1
    assert refused_files(shop.workspace) == []

"""Corrections and pins: what a steward writes is taken by the stewards' source as it stands, and nothing else is."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from orchestration.contracts.source import load_source
from orchestration.contracts.survivorship import ATTRIBUTES
from orchestration.errors import UsageError
from orchestration.privacy import Person, Subject, pin, rectification, rectify
from orchestration.settings import Workspace
from tests.unit.ingest.conftest import DAY, Shop

AT = dt.datetime(2026, 11, 20, 9, 30, 1, 5)
ANNE = Person("c01", Subject(customer_ids=frozenset({"c01"}), records=frozenset({("crm", "7"), ("web", "W7")})))


@pytest.fixture
def shop(tmp_path: Path, project: Path) -> Shop:
    shop = Shop(Workspace(tmp_path / "shop"))
    shop.workspace.prepare()
    shop.sources = {"stewards": load_source(project / "declarations" / "sources" / "stewards.yml")}
    return shop


def test_a_correction_lands_as_a_record_that_is_attached_and_pinned(shop: Shop) -> None:
    path = rectify(shop.workspace, shop.sources, ANNE, {"email": " new@exemple.example ", "sex": "F"}, by="dpo", at=AT)
    assert path.stat().st_mode & 0o077 == 0
    assert [file.status for file in shop.receive().files] == ["landed"]
    ((record, email, sex, phone),) = shop.landed("customer", "record_id, email, sex, phone")
    assert (email, sex, phone) == ("new@exemple.example", "F", None)
    decisions = shop.landed(
        "steward_decision", "left_source, left_record_id, decision, right_source, right_record_id, attribute", "row_key"
    )
    mine = ("stewards", record)
    assert decisions == [
        (*mine, "same", "crm", "7", None), (*mine, "same", "web", "W7", None),
        (*mine, "pin", None, None, "email"), (*mine, "pin", None, None, "sex"),
    ]  # fmt: skip
    assert shop.landed("steward_decision", "distinct decided_by, decided_at", "1") == [
        ("dpo", AT.replace(microsecond=0))
    ]


def test_a_pin_lands_as_a_decision_alone_and_so_does_taking_it_back(shop: Shop) -> None:
    pin(shop.workspace, shop.sources, ANNE, "phone", ("web", "W7"), by="dpo", at=AT)
    pin(shop.workspace, shop.sources, ANNE, "phone", None, by="dpo", at=AT + dt.timedelta(seconds=1))
    shop.receive()
    assert shop.landed("customer") == []
    told = shop.landed("steward_decision", "decision, left_source, left_record_id, attribute", "decided_at")
    assert told == [("pin", "web", "W7", "phone"), ("unpin", "crm", "7", "phone")]


def test_two_corrections_of_one_day_both_hold(shop: Shop) -> None:
    for second, sex in ((0, "F"), (1, "M")):
        rectify(shop.workspace, shop.sources, ANNE, {"sex": sex}, by="dpo", at=AT + dt.timedelta(seconds=second))
    shop.receive()
    shop.day(DAY, build := shop.build())
    assert build.execute("select sex from landing.customers order by updated_at").fetchall() == [("F",), ("M",)]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "give what is to be corrected"), ({"emial": "a@b.fr"}, 'did you mean "email"'), ({"email": "a b@c"}, "no e-mail"),
        ({"birth_on": "1.2.80"}, "is a date"), ({"city": "  "}, "has no value"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_correction_is_refused_and_writes_nothing(
    shop: Shop, values: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError, match=message) as told:
        rectify(shop.workspace, shop.sources, ANNE, values, by="dpo", at=AT)
    assert "\n" not in str(told.value)
    assert shop.inbox_names() == []


def test_a_record_of_somebody_else_cannot_be_pinned(shop: Shop) -> None:
    with pytest.raises(UsageError, match="none of this customer"):
        pin(shop.workspace, shop.sources, ANNE, "phone", ("web", "W8"), by="dpo", at=AT)
    with pytest.raises(UsageError, match='did you mean "civility"'):
        pin(shop.workspace, shop.sources, ANNE, "civilty", ("web", "W7"), by="dpo", at=AT)


def test_a_workspace_without_the_source_says_what_is_missing(shop: Shop) -> None:
    with pytest.raises(UsageError, match=r"stewards\.yml is missing"):
        rectify(shop.workspace, {}, ANNE, {"sex": "F"}, by="dpo", at=AT)


def test_every_field_belongs_to_an_attribute_and_has_a_column_in_the_contract(shop: Shop) -> None:
    assert set(rectification.FIELDS.values()) <= set(ATTRIBUTES)
    columns = shop.sources["stewards"].delivers["customer"].columns
    assert set(rectification.FIELDS) == set(columns) - {"created_at", "updated_at"}


def test_a_correction_is_json_on_one_line(shop: Shop) -> None:
    path = rectify(shop.workspace, shop.sources, ANNE, {"language": "fr"}, by='d"p\no', at=AT)
    (line,) = path.read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["decided_by"] == 'd"p\no'


def test_a_new_workspace_has_the_source_too(project: Path) -> None:
    starter = project / "orchestration" / "contracts" / "starter" / "declarations" / "sources" / "stewards.yml"
    assert starter.read_bytes() == (project / "declarations" / "sources" / "stewards.yml").read_bytes()

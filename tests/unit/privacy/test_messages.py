"""What ingest says of files that are wrong goes to Dagster and to logs: it holds no value of any row."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from orchestration.ingest import ingest
from orchestration.settings import Workspace
from tests.unit.ingest.conftest import DAY, Shop

NAMES = ("zelda", "quatrebarbes", "0612345678", "0699887766")
PEOPLE = """
source: club
describes: members
trust_rank: 1
delivery: delta
file: {pattern: "club_{date}*.csv", date_format: "%Y%m%d", encoding: utf-8}
delivers:
  customer:
    key: ID
    columns:
      last_name: {from: NAME, required: true}
      email: {from: MAIL}
      phone: {from: TEL}
      sex: {from: SEX, values: {F: F, M: M}}
      birth_on: {from: BORN, read: date, format: "%d/%m/%Y"}
"""
LINES = """
source: app
describes: accounts
trust_rank: 2
delivery: delta
file: {pattern: "app_{date}*.jsonl", date_format: "%Y%m%d", format: jsonl}
delivers: {customer: {key: id, columns: {last_name: {from: name}, email: {from: mail}, birth_on: {from: born}}}}
"""
HEAD = "ID,NAME,MAIL,TEL,SEX,BORN\n"
WRONG = {
    "club_20261120-no-header.csv": "1,Quatrebarbes,zelda@exemple.example,0612345678,F,\n2,Zelda,,0699887766,F,\n",
    "club_20261120-values.csv": HEAD + "1,Quatrebarbes,zelda@exemple.example,0612345678,Zelda,the 4th of Zelda\n",
    "club_20261120-columns.csv": HEAD + "1,Quatrebarbes,zelda@exemple.example,0612345678,F,,Zelda,0699887766\n",
    "club_20261120-quote.csv": HEAD + '1,"Quatrebarbes,zelda@exemple.example,0612345678,F,\n',
    "club_20261120-twice.csv": HEAD + "1,Quatrebarbes,,,F,\n1,Zelda,,,M,\n",
    "club_20261120-encoding.csv": (HEAD + "1,Quatrebarbès,zelda@exemple.example,0612345678,F,\n").encode("cp1252"),
    "app_20261120-text.jsonl": '{"id": "1", "name": "Quatrebarbes", "mail": zelda@exemple.example}\n',
    "app_20261120-shape.jsonl": '["zelda@exemple.example", "Quatrebarbes"]\n"Zelda"\n',
    "app_20261120-date.jsonl": '{"id": "1", "name": "Quatrebarbes", "born": "Zelda"}\n',
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_said_of_a_wrong_file_repeats_nothing_of_it(tmp_path: Path, name: str) -> None:
    shop = Shop(Workspace(tmp_path / "shop"))
    shop.workspace.prepare()
    shop.declare(PEOPLE, LINES)
    shop.drop(name, WRONG[name])
    said: list[str] = []
    report = ingest(
        shop.workspace, shop.sources, shop.company, received_on=DAY, is_forward=True, run_id="test", settle_seconds=0,
        progress=said.append,
    )  # fmt: skip
    said += [*report.errors, *report.warnings, *(json.dumps(vars(file), default=str) for file in report.files)]
    said += [
        row["reason"] for path in (shop.workspace.quarantine / "rows").rglob("*.parquet") for row in pq.read_table(path).to_pylist()
    ]  # fmt: skip
    assert any(name in text for text in said), "something is said of it"
    assert [text for text in said if any(value in text.lower() for value in NAMES)] == []

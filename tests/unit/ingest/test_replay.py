"""What was refused or put in quarantine comes back after a contract or a row was mended."""

from __future__ import annotations

import datetime as dt
import gzip
import json

import pytest

from orchestration.errors import UsageError
from orchestration.ingest import IngestReport, replay, rows_to_mend, write_rows_to_mend

from .conftest import CUSTOMERS, DAY, Shop

FILE = "ID,NAME,BORN\n1,Martin,01/02/1980\n2,Petit,1980-02-03\n3,Grand,\n"
BOTH_DATES = CUSTOMERS.replace('"%d/%m/%Y"', '["%d/%m/%Y", "%Y-%m-%d"]')


def again(shop: Shop, on: dt.date = DAY) -> IngestReport:
    return replay(shop.workspace, shop.sources, shop.company, received_on=on, run_id="test")


def names(shop: Shop, on: dt.date) -> list[str]:
    connection = shop.build()
    shop.day(on, connection)
    rows = connection.execute("select last_name from landing.customers where is_current order by record_id").fetchall()
    return [name for (name,) in rows]


def test_a_refused_file_lands_once_its_contract_is_mended(shop: Shop) -> None:
    shop.declare(CUSTOMERS.replace("0.5", "0.1"))
    shop.drop("shop_20261119.csv", FILE)
    assert shop.receive().count("refused") == 1
    assert again(shop).count("refused") == 1
    shop.declare(BOTH_DATES)
    report = again(shop)
    assert report.count("landed") == 1
    assert names(shop, DAY) == ["Martin", "Petit", "Grand"]
    assert shop.inbox_names() == []
    assert not list((shop.workspace.quarantine / "files").glob("shop/*"))


def test_rows_in_quarantine_land_once_their_contract_is_mended_and_not_before(customers: Shop) -> None:
    customers.drop("shop_20261119.csv", FILE)
    customers.receive(dt.date(2026, 11, 19))
    report = again(customers, dt.date(2026, 11, 20))
    assert report.files == ()
    assert "still 1 row(s) in quarantine" in report.warnings[-1]
    customers.declare(BOTH_DATES)
    report = again(customers, dt.date(2026, 11, 21))
    assert [(r.rows_read, r.rows_landed, r.rows_quarantined) for r in report.files] == [(3, 3, 0)]
    assert names(customers, dt.date(2026, 11, 20)) == ["Martin", "Grand"]
    assert names(customers, dt.date(2026, 11, 21)) == ["Martin", "Petit", "Grand"]
    assert again(customers, dt.date(2026, 11, 22)).files == ()


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_row_mended_by_hand_makes_a_corrected_delivery(customers: Shop, suffix: str) -> None:
    content = FILE.replace("Grand,\n", '"Gr\nand",bad\n').replace("\n", "\r\n").encode()
    customers.drop(f"shop_20261119.csv{suffix}", gzip.compress(content) if suffix else content)
    customers.declare(CUSTOMERS.replace("0.5", "0.9"))
    customers.receive(dt.date(2026, 11, 19))
    assert write_rows_to_mend(customers.workspace, customers.sources) == 2
    path = rows_to_mend(customers.workspace)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(row["line_number"], row["rule"]) for row in rows] == [(3, "date"), (4, "date")]
    rows[0]["raw_text"] = "2,Petit,03/02/1980"
    rows[1]["raw_text"] = "3,Grand,"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    report = again(customers, dt.date(2026, 11, 20))
    assert [(r.status, r.rows_landed, r.rows_quarantined) for r in report.files] == [("landed", 3, 0)]
    assert names(customers, dt.date(2026, 11, 19)) == ["Martin"]
    assert names(customers, dt.date(2026, 11, 20)) == ["Martin", "Petit", "Grand"]
    archived = sorted(p.name for p in customers.workspace.archive.rglob("*.csv*"))
    assert len(archived) == 2, "what was received and what was made of it are both kept"
    assert not path.exists()


def test_a_list_of_rows_that_is_no_longer_json_is_told_with_its_line(customers: Shop) -> None:
    customers.drop("shop_20261119.csv", FILE)
    customers.receive()
    write_rows_to_mend(customers.workspace, customers.sources)
    path = rows_to_mend(customers.workspace)
    path.write_text(path.read_text() + "{oops\n")
    with pytest.raises(UsageError, match=r"to_mend\.jsonl:2: this line is no longer JSON"):
        again(customers)
    assert path.exists()


def test_replay_keeps_a_file_that_waits_under_the_name_of_a_refused_one(shop: Shop) -> None:
    shop.declare(CUSTOMERS.replace("0.5", "0.1"))
    shop.drop("shop_20261119.csv", FILE)
    shop.receive(dt.date(2026, 11, 19))
    shop.drop("shop_20261119.csv", "ID,NAME,BORN\n1,Martin,01/02/1980\n")
    report = again(shop)
    assert report.count("landed") == 1
    assert any("a file of this name waits" in warning for warning in report.warnings)
    assert names(shop, DAY) == ["Martin"]
    assert len(list((shop.workspace.quarantine / "files").glob("shop/*"))) == 1


def test_replay_does_not_put_a_refused_file_in_the_place_of_what_came_since(shop: Shop) -> None:
    shop.declare(CUSTOMERS.replace("0.5", "0.1"))
    shop.drop("shop_20261119.csv", FILE)
    shop.receive(dt.date(2026, 11, 19))
    shop.drop("shop_20261119.csv", "ID,NAME,BORN\n1,Martin,01/02/1980\n4,Neuf,\n")
    assert shop.receive(dt.date(2026, 11, 20)).count("landed") == 1
    shop.declare(BOTH_DATES)
    assert again(shop, dt.date(2026, 11, 21)).files == ()
    assert names(shop, dt.date(2026, 11, 21)) == ["Martin", "Neuf"]


def test_mended_rows_wait_while_a_newer_file_of_the_name_does(customers: Shop) -> None:
    customers.drop("shop_20261119.csv", FILE)
    customers.receive(dt.date(2026, 11, 19))
    write_rows_to_mend(customers.workspace, customers.sources)
    path = rows_to_mend(customers.workspace)
    path.write_text(path.read_text().replace("1980-02-03", "03/02/1980"))
    newer = customers.drop("shop_20261119.csv", "ID,NAME,BORN\n1,Martin,01/02/1980\n")
    with pytest.raises(UsageError, match="waits in the inbox"):
        again(customers)
    assert newer.read_text().count("\n") == 2
    assert path.exists(), "what the person mended is not lost"

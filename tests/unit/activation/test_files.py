"""Formats: columns, types, and what no spreadsheet may take for a formula."""

from __future__ import annotations

import csv
import datetime as dt
import decimal
import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestration.activation.files import neutral, write
from orchestration.activation.formats import Column, Layout
from tests.unit.activation.conftest import Shop, declare


def sent(shop: Shop, ending: str, **keys: object) -> Path:
    shop.send(shop.publish(members=["c01", "c02", "c09"]), declare(**keys))
    (file,) = [path for path in shop.exports("letter") if path.name.endswith(ending) and "manifest" not in path.name]
    return file


def lines(file: Path, delimiter: str = ",") -> list[list[str]]:
    with file.open(encoding="utf-8", newline="") as handle:
        return list(csv.reader(handle, delimiter=delimiter))


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


# --- platforms -----------------------------------------------------------------------------------


def test_brevo_gets_its_columns_with_semicolons(shop: Shop) -> None:
    header, first, *_ = lines(sent(shop, ".csv", format="brevo", attributes={"STAGE": "lifecycle_stage"}), ";")
    assert header == ["EMAIL", "FIRSTNAME", "LASTNAME", "SMS", "WHATSAPP", "LANDLINE_NUMBER", "EXT_ID", "STAGE"]
    assert first == [
        "eleonore.martin@gmail.com", "Éléonore", "Martin", "+33612345601", "+33612345601", "", "c01", "loyal",
    ]  # fmt: skip


@pytest.mark.parametrize(("channel", "first"), [("email", "Email"), ("sms", "Phone Number")])
def test_klaviyo_s_first_column_is_that_of_the_consent_and_its_time_has_a_zone(
    shop: Shop, channel: str, first: str
) -> None:
    header, row, *_ = lines(sent(shop, ".csv", format="klaviyo", channel=channel))
    assert header[0] == first
    assert row[header.index("Consent Timestamp")] == "2025-05-06T07:08:09+00:00"
    assert row[header.index("Phone Number")] == "+33612345601"


def test_mailchimp_gets_birthdays_as_month_and_day_and_segments_as_tags(shop: Shop) -> None:
    header, row, *_ = lines(sent(shop, ".csv", format="mailchimp"))
    assert header == ["Email Address", "First Name", "Last Name", "Phone", "Birthday", "Tags"]
    assert row[4:] == ["02/29", "readers"]


def test_meta_gets_hashes_and_where_they_come_from(shop: Shop) -> None:
    header, row, *_ = lines(sent(shop, ".csv", format="meta"))
    told = dict(zip(header, row, strict=True))
    assert told == {
        "email": sha("eleonore.martin@gmail.com"), "phone": sha("33612345601"), "fn": sha("éléonore"),
        "ln": sha("martin"), "ct": sha("saintétienne"), "zip": sha("75007"), "country": sha("fr"),
        "dob": sha("19800229"), "gen": sha("f"), "consent": "opt_in", "customer_file_source": "USER_PROVIDED_ONLY",
    }  # fmt: skip


def test_google_gets_hashes_and_what_each_person_agreed_to(shop: Shop) -> None:
    header, first, second = lines(sent(shop, ".csv", format="google"))
    one, other = dict(zip(header, first, strict=True)), dict(zip(header, second, strict=True))
    assert one["Email"] == sha("eleonoremartin@gmail.com")
    assert one["Phone"] == sha("+33612345601")
    assert (one["Country"], one["Zip"]) == ("FR", "75 007")
    assert (one["ad_user_data"], one["ad_personalization"]) == ("GRANTED", "GRANTED")
    assert other["Email"] == sha("jp+shop@orange.fr")
    assert (other["ad_user_data"], other["ad_personalization"]) == ("GRANTED", "DENIED")


def test_a_file_larger_than_the_platform_takes_is_split_and_nobody_is_lost(tmp_path: Path) -> None:
    layout = Layout((Column("Email", ("email",)),), "csv", most_bytes=400)
    people = [f"person{number:03d}@free.fr" for number in range(100)]
    written = write(pa.table({"Email": people}), layout, tmp_path, "list", "full")
    assert len(written) >= 5
    assert all(file.size <= 400 for file in written)
    read = [lines(file.path) for file in written]
    assert all(part[0] == ["Email"] for part in read)
    assert [row[0] for part in read for row in part[1:]] == people
    assert [file.rows for file in written] == [len(part) - 1 for part in read]


# --- plain formats -------------------------------------------------------------------------------

PLAIN = {
    "columns": {
        "id": "customer_id",
        "net": "amount_net",
        "born": "birth_on",
        "orders": "order_count",
        "minor": "is_minor",
    }
}


def test_parquet_keeps_types(shop: Shop) -> None:
    table = pq.read_table(sent(shop, ".parquet", format="parquet", **PLAIN))
    assert table.schema.names == list(PLAIN["columns"])
    assert table.to_pylist()[0] == {
        "id": "c01", "net": decimal.Decimal("12.5000"), "born": dt.date(1980, 2, 29), "orders": 3, "minor": False,
    }  # fmt: skip


def test_json_and_json_lines_hold_the_same_rows(shop: Shop) -> None:
    whole = json.loads(sent(shop, ".json", format="json", **PLAIN).read_text(encoding="utf-8"))
    published = shop.publish("20260331-0002", members=["c01", "c02", "c09"])
    shop.send(published, declare("other", format="jsonl", **PLAIN))
    (file,) = [path for path in shop.exports("other") if path.suffix == ".jsonl"]
    assert [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] == whole
    assert whole[0] == {"id": "c01", "net": 12.5, "born": "1980-02-29", "orders": 3, "minor": False}


def test_an_empty_list_is_still_a_file_of_its_format(shop: Shop) -> None:
    published = shop.publish(members=["c04"])
    shop.send(published, declare("a"), declare("b", format="json"), declare("c", format="parquet"))
    by_name = {path.suffix: path for name in "abc" for path in shop.exports(name) if "manifest" not in path.name}
    assert lines(by_name[".csv"]) == [["customer_id", "email", "phone", "first_name", "last_name", "language"]]
    assert json.loads(by_name[".json"].read_text(encoding="utf-8")) == []
    assert pq.read_table(by_name[".parquet"]).num_rows == 0


# --- formulas ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", " =1", '=HYPERLINK("http://x")', "＝1+1", "+33 6 12", "-"],
)
def test_what_a_spreadsheet_would_run_gets_an_apostrophe(text: str) -> None:
    assert neutral(text) == f"'{text}"


@pytest.mark.parametrize("text", ["+33612345601", "-12.50", "Jean-Pierre", "a=b", "", "12", "jp+shop@orange.fr"])
def test_what_no_spreadsheet_would_run_stays_as_it_is(text: str) -> None:
    assert neutral(text) == text


def test_no_cell_of_a_written_file_begins_a_formula_and_every_value_survives(tmp_path: Path) -> None:
    nasty = ["=cmd|' /C calc'!A0", 'a";=1', "x\n=2", "l;=3", "é\r\n@y"]
    layout = Layout((Column("name", ("name",)), Column("other", ("other",))), "csv", delimiter=";")
    (file,) = write(pa.table({"name": nasty, "other": nasty}), layout, tmp_path, "list", "full")
    read = lines(file.path, ";")[1:]
    assert [[cell.removeprefix("'") for cell in row] for row in read] == [[value, value] for value in nasty]
    assert not [cell for row in read for cell in row if cell[0] in "=+-@\t\r"]

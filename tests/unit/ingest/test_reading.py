"""Every format down to the value and the line: nothing lost, nothing shifted."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import json
import zipfile
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlsxwriter

from orchestration.errors import DeclarationError

from .conftest import CUSTOMERS, Shop, contract

CSV = "ID,NAME,BORN\n"


def lines(shop: Shop) -> list[tuple[object, ...]]:
    return shop.landed(columns="line_number, record_id, last_name")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param("1,a,\n2,b,\n", [(2, "1", "a"), (3, "2", "b")], id="plain"),
        pytest.param("1,a,\n2,b,", [(2, "1", "a"), (3, "2", "b")], id="no last line end"),
        pytest.param('1,"a\nx",\n2,b,\n', [(2, "1", "a\nx"), (4, "2", "b")], id="line end in quotes"),
        pytest.param("1,a,\n\n\n2,b,\n", [(2, "1", "a"), (5, "2", "b")], id="blank lines"),
        pytest.param("1,a,\r\n2,b,\r\n", [(2, "1", "a"), (3, "2", "b")], id="windows lines after a unix header"),
        pytest.param('1,"a\r\nx",\r\n2,b,\r\n', [(2, "1", "a\nx"), (4, "2", "b")], id="windows line end in quotes"),
        pytest.param("1,a,\r2,b,\r", [(2, "1", "a"), (3, "2", "b")], id="old mac lines"),
        pytest.param("1,a\n2,b,\n3,c,,x\n4,d,\n", [(3, "2", "b"), (5, "4", "d")], id="short and long rows"),
        pytest.param('1,a\n2,"b\n\nx",\n3\n4,d,\n', [(3, "2", "b\n\nx"), (7, "4", "d")], id="bad rows around quotes"),
        pytest.param('1,say "hi",\n2,"b\nx",\n3,c,\n', [(2, "1", 'say "hi"'), (3, "2", "b\nx"), (5, "3", "c")],
                     id="quotes within an unquoted value"),
        pytest.param('1,"a ""b"" c",\n2,b,\n', [(2, "1", 'a "b" c'), (3, "2", "b")], id="doubled quotes"),
        pytest.param("  1 ,\ta\u00a0,\n", [(2, "1", "a")], id="blanks around values"),
    ],
)  # fmt: skip
def test_rows_know_their_line(customers: Shop, content: str, expected: list[tuple[object, ...]]) -> None:
    customers.drop("shop_20261119.csv", CSV + content)
    report = customers.receive()
    assert lines(customers) == expected
    assert report.files[0].adds_up


def test_windows_files_know_the_line_of_what_is_refused(customers: Shop) -> None:
    customers.drop("shop_20261119.csv", (CSV + "1,a,\n2\n3,c,\n4,d,bad\n5,e,\n").replace("\n", "\r\n"))
    customers.receive()
    assert lines(customers) == [(2, "1", "a"), (4, "3", "c"), (6, "5", "e")]
    assert customers.quarantined("line_number, rule, raw_text") == [(3, "columns", "2"), (5, "date", "4,d,bad")]


def test_what_an_unclosed_quote_swallows_is_counted_line_by_line(customers: Shop) -> None:
    good = "".join(f"{n},n{n},\n" for n in range(10))
    customers.drop("shop_20261119.csv", CSV + good + '98,"x,\n99,y,\n')
    report = customers.receive()
    assert (report.files[0].rows_landed, report.files[0].rows_quarantined) == (10, 2)
    assert customers.quarantined("line_number, raw_text") == [(12, '98,"x,'), (13, "99,y,")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "iso8859-15", "utf-16", "mac-roman", "cp850"])
def test_encodings(shop: Shop, encoding: str) -> None:
    shop.declare(CUSTOMERS.replace('"%Y%m%d"', f'"%Y%m%d", encoding: {encoding}'))
    shop.drop(
        "shop_20261119.csv", (CSV + "1,Éloïse Ÿ,\n").encode(encoding.replace("mac-roman", "mac_roman"), "replace")
    )
    shop.receive()
    expected = "Éloïse Ÿ" if encoding not in ("cp850",) else "Éloïse ?"
    assert lines(shop) == [(2, "1", expected)]


def test_a_byte_outside_the_encoding_costs_its_own_line_only(shop: Shop) -> None:
    shop.declare(CUSTOMERS.replace('"%Y%m%d"', '"%Y%m%d", encoding: cp1252'))
    shop.drop("shop_20261119.csv", CSV.encode() + b"1,caf\xe9,\n2,b\x81d,\n3,c,\n")
    shop.receive()
    assert lines(shop) == [(2, "1", "café"), (4, "3", "c")]
    assert shop.quarantined("line_number, rule") == [(3, "encoding")]


def test_a_csv_without_header_takes_the_declared_names(shop: Shop) -> None:
    shop.declare(CUSTOMERS.replace('"%Y%m%d"', '"%Y%m%d", names: [ID, NAME, BORN], delimiter: "|", skip_lines: 1'))
    shop.drop("shop_20261119.csv", "export of today\n1|a|\n2|b|\n")
    shop.receive()
    assert lines(shop) == [(2, "1", "a"), (3, "2", "b")]


def test_a_preamble_is_skipped(shop: Shop) -> None:
    shop.declare(CUSTOMERS.replace('"%Y%m%d"', '"%Y%m%d", skip_lines: 2'))
    shop.drop("shop_20261119.csv", 'title "open\n\n' + CSV + "1,a,\nx\n2,b,\n")
    shop.receive()
    assert lines(shop) == [(4, "1", "a"), (6, "2", "b")]
    assert shop.quarantined("line_number, raw_text") == [(5, "x")]


FIXED = """
source: till
describes: fixed width
trust_rank: 1
tolerated_bad_rows: 0.9
file: {pattern: "till.txt", format: fixed, encoding: cp1252, fields: {ID: [1, 4], NAME: [5, 10], CITY: [15, 6]}}
delivers:
  customer: {key: ID, columns: {last_name: {from: NAME}, city: {from: CITY}}}
"""


def test_fixed_width(shop: Shop) -> None:
    shop.declare(FIXED)
    content = "0001Durand é  PARIS \n\n0002Martin    LYON\n0003\n0004Petit     NANTES   too long\n"
    shop.drop("till.txt", content.encode("cp1252"))
    report = shop.receive()
    assert shop.landed(columns="line_number, record_id, last_name, city") == [
        (1, "0001", "Durand é", "PARIS"),
        (3, "0002", "Martin", "LYON"),
    ]
    assert shop.quarantined("line_number, rule") == [(4, "columns"), (5, "columns")]
    assert report.files[0].rows_read == 4


NESTED = """
source: web
describes: nested rows
trust_rank: 1
tolerated_bad_rows: 0.9
file: {pattern: "web.%s", format: %s%s}
delivers:
  customer:
    key: id
    columns:
      email: {from: contact.email}
      phone: {from: "contact.phones[0]"}
      interests: {from: likes}
      custom: {constant: "{}"}
    tags: [tags]
  order_line:
    each: orders
    when: {column: sku, exists: true}
    key: [number, sku]
    columns:
      ref_account: {from: $.id}
      quantity: {from: "@.n"}
"""
ROWS = [
    {"id": 1, "contact": {"email": "a@example.com", "phones": ["0611", "0622"]}, "likes": ["x", "y"], "tags": ["vip"],
     "orders": [{"number": "A", "sku": "s1", "n": 2}, {"number": "A", "sku": None, "n": 9}]},
    {"id": 2, "contact": {"email": None}, "orders": []},
    {"id": 3},
]  # fmt: skip
EXPECTED_CUSTOMERS = [
    ("1", "a@example.com", "0611", '["x","y"]', '["vip"]'),
    ("2", None, None, None, None),
    ("3", None, None, None, None),
]


def check_nested(shop: Shop) -> None:
    found = shop.landed(columns="record_id, email, phone, interests, tags")
    assert found == EXPECTED_CUSTOMERS
    assert shop.landed("order_line", "order_id, line_id, ref_account, quantity") == [
        ("A", "s1", "1", Decimal("2.0000"))
    ]


def nested(kind: str, extra: str = "") -> str:
    return (NESTED % (kind, kind, extra)).replace('      custom: {constant: "{}"}\n', "")


def test_json_lines_with_nested_paths_and_arrays(shop: Shop) -> None:
    shop.declare(nested("jsonl"))
    shop.drop("web.jsonl", "\n".join(json.dumps(row) for row in ROWS[:2]) + "\n\n{broken\n[1]\n" + json.dumps(ROWS[2]))
    report = shop.receive()
    check_nested(shop)
    assert shop.quarantined("line_number, rule") == [(4, "json"), (5, "json")]
    assert report.files[0].rows_read == 5


def test_a_json_document_with_its_rows_at_a_path(shop: Shop) -> None:
    shop.declare(nested("json", ", rows_at: data.items"))
    shop.drop("web.json", json.dumps({"data": {"items": ROWS}}))
    shop.receive()
    check_nested(shop)


def test_gz_and_zip_are_read(customers: Shop) -> None:
    customers.declare(CUSTOMERS + "delivery: delta\n")
    customers.drop("shop_20261118.csv.gz", gzip.compress((CSV + "1,a,\n").encode()))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("folder/shop_20261119.csv", CSV + "2,b,\n")
    customers.drop("anything.zip", buffer.getvalue())
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("EXPORT.CSV", CSV + "3,c,\n")
    customers.drop("shop_20261120.zip", buffer.getvalue())
    report = customers.receive()
    assert [r.status for r in report.files] == ["landed"] * 3
    assert sorted(lines(customers)) == [(2, "1", "a"), (2, "2", "b"), (2, "3", "c")]
    assert customers.inbox_names() == []


def workbook(path: Path, rows: list[list[object]], sheet: str = "Clients") -> bytes:
    book = xlsxwriter.Workbook(str(path))
    book.add_worksheet("First").write(0, 0, "nothing here")
    page = book.add_worksheet(sheet)
    day = book.add_format({"num_format": "dd/mm/yyyy"})
    for line, row in enumerate(rows):
        for column, value in enumerate(row):
            if isinstance(value, dt.date):
                page.write_datetime(line, column, dt.datetime(value.year, value.month, value.day), day)
            elif value is not None:
                page.write(line, column, value)
    book.close()
    return path.read_bytes()


def test_xlsx_takes_numbers_dates_and_texts_as_they_are(shop: Shop, tmp_path: Path) -> None:
    text = CUSTOMERS.replace('"shop_{date}*.csv", date_format: "%Y%m%d"', '"shop.xlsx", format: xlsx, sheet: Clients')
    shop.declare(text)
    rows: list[list[object]] = [
        ["ID", "NAME", "BORN"],
        [1001, "Martin", dt.date(1980, 2, 1)],
        [],
        ["1002", "Durand", "03/04/1985"],
        [1003, "Petit", None],
        [1004, "Grand", None, "beside the table"],
    ]
    shop.drop("shop.xlsx", workbook(tmp_path / "x.xlsx", rows))
    shop.receive()
    assert shop.landed(columns="line_number, record_id, last_name, birth_on") == [
        (2, "1001", "Martin", dt.date(1980, 2, 1)),
        (4, "1002", "Durand", dt.date(1985, 4, 3)),
        (5, "1003", "Petit", None),
    ]
    assert shop.quarantined("line_number, rule") == [(6, "columns")]


def test_parquet_keeps_what_its_types_say(shop: Shop) -> None:
    shop.declare(
        """
source: items
describes: typed columns
trust_rank: 1
file: {pattern: "items.parquet", format: parquet, decimal: ",", time_zone: Europe/Paris}
delivers:
  order_line:
    key: [INVOICE, LINE]
    columns:
      ordered_at: {from: WHEN, format: "%d/%m/%Y"}
      amount_gross: {from: AMOUNT}
      product_label: {from: ABOUT.label}
      ref_account: {from: CUSTOMER}
"""
    )
    table = pa.table(
        {
            "INVOICE": pa.array(["A", "B"]),
            "LINE": pa.array([1, 2], pa.int32()),
            "WHEN": pa.array([dt.datetime(2026, 7, 1, 10), dt.datetime(2026, 1, 1, 10)], pa.timestamp("us")),
            "AMOUNT": pa.array([Decimal("1234.5600"), Decimal("-0.5000")], pa.decimal128(18, 4)),
            "ABOUT": pa.array([{"label": "one"}, {"label": None}]),
            "CUSTOMER": pa.array([12346.0, None]),
        }
    )
    path = shop.workspace.inbox / "items.parquet"
    pq.write_table(table, path)
    shop.receive()
    columns = "row_key, ordered_at, amount_gross, product_label, ref_account, line_number"
    assert shop.landed("order_line", columns) == [
        ("A|1", dt.datetime(2026, 7, 1, 8), Decimal("1234.5600"), "one", "12346", 1),
        ("B|2", dt.datetime(2026, 1, 1, 9), Decimal("-0.5000"), None, None, 2),
    ]


ALIASES = """
source: shop
describes: a system whose columns were renamed
trust_rank: 1
file: {pattern: "shop_{date}FILE}
delivers: {customer: {key: ID, columns: {last_name: {from: NAME, required: true}}}}
aliases: {NAME: [SURNAME, LAST_NAME]}
"""


@pytest.mark.parametrize("name", ["NAME", "SURNAME", "LAST_NAME", "surname"])
def test_a_renamed_column_is_found_by_its_aliases(shop: Shop, name: str) -> None:
    shop.declare(ALIASES.replace("FILE", '.csv"'))
    shop.drop("shop_2026-11-20.csv", f"ID,{name}\n1,Roche\n")
    report = shop.receive()
    assert (report.errors, report.warnings) == ((), ())
    assert shop.landed(columns="record_id, last_name, custom") == [("1", "Roche", None)]


def test_a_renamed_name_of_json_is_found_by_its_aliases(shop: Shop) -> None:
    shop.declare(ALIASES.replace("FILE", '.jsonl", format: jsonl'))
    shop.drop("shop_2026-11-20.jsonl", '{"ID": 1, "NAME": "Roche"}\n{"ID": 2, "SURNAME": "Vidal"}\n')
    report = shop.receive()
    assert (report.errors, report.warnings) == ((), ())
    assert shop.landed(columns="record_id, last_name, custom") == [("1", "Roche", None), ("2", "Vidal", None)]


def test_an_alias_of_nothing_is_an_error() -> None:
    with pytest.raises(DeclarationError, match=r'test.yml:7: "NAMES" is not mapped.*did you mean "NAME"'):
        contract(ALIASES.replace("FILE", '.csv"').replace("aliases: {NAME:", "aliases: {NAMES:"))

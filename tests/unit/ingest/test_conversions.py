"""What a contract makes of a value. One row per case: a mapping, a text, the value or the rule it breaks."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from .conftest import Shop

#: column, mapping (YAML), text in the file, value that lands; or the rule that sends the row to quarantine.
CASES: list[tuple[str, str, str, Any]] = [
    ("birth_on", "{from: X, format: '%d/%m/%Y'}", "01/02/1980", dt.date(1980, 2, 1)),
    ("birth_on", "{from: X, format: '%d/%m/%Y'}", "31/02/1980", "!date"),
    ("birth_on", "{from: X, format: '%d/%m/%Y'}", "01/02/80", "!date"),
    ("birth_on", "{from: X, format: '%d/%m/%Y', on_error: blank}", "31/02/1980", None),
    ("birth_on", "{from: X, format: ['%d/%m/%Y', '%d%m%y']}", "010280", dt.date(1980, 2, 1)),
    ("birth_on", "{from: X, format: '%d%m%y'}", "10280", "!date"),
    ("birth_on", "{from: X, format: '%d%m%y'}", "010245", dt.date(1945, 2, 1)),
    ("birth_on", "{from: X, format: '%d%m%y'}", "010220", dt.date(2020, 2, 1)),
    ("birth_on", "{from: X}", "1980-02-01", dt.date(1980, 2, 1)),
    ("birth_on", "{from: X}", "1980-02-01 whatever", "!date"),
    ("birth_on", "{from: X}", "infinity", "!date"),
    ("birth_on", "{from: X}", "1980-02-01T10:00:00", dt.date(1980, 2, 1)),
    ("created_at", "{from: X}", "2026-07-01T10:00:00", dt.datetime(2026, 7, 1, 8)),
    ("created_at", "{from: X}", "2026-01-01 10:00", dt.datetime(2026, 1, 1, 9)),
    ("created_at", "{from: X}", "2026-07-01T10:00:00Z", dt.datetime(2026, 7, 1, 10)),
    ("created_at", "{from: X}", "2026-07-01T10:00:00+05:30", dt.datetime(2026, 7, 1, 4, 30)),
    ("created_at", "{from: X}", "2026-07-01 10:00:00.250-0200", dt.datetime(2026, 7, 1, 12, 0, 0, 250000)),
    ("created_at", "{from: X}", "2026-07-01", dt.datetime(2026, 6, 30, 22)),
    ("created_at", "{from: X}", "yesterday", "!timestamp"),
    ("created_at", "{from: X}", "epoch", "!timestamp"),
    ("created_at", "{from: X, format: '%d/%m/%Y %H:%M'}", "01/07/2026 10:00", dt.datetime(2026, 7, 1, 8)),
    ("created_at", "{from: X, format: '%d/%m/%Y %H:%M%z'}", "01/07/2026 10:00+0000", dt.datetime(2026, 7, 1, 10)),
    ("created_at", "{from: X, format: unix}", "1782900000", dt.datetime(2026, 7, 1, 10)),
    ("created_at", "{from: X, format: unix_ms}", "1782900000123", dt.datetime(2026, 7, 1, 10, 0, 0, 123000)),
    ("created_at", "{from: X, read: date, format: '%d/%m/%Y'}", "01/07/2026", dt.datetime(2026, 6, 30, 22)),
    ("is_active", "{from: X}", "Oui", True),
    ("is_active", "{from: X}", "0", False),
    ("is_active", "{from: X}", "peut-être", "!boolean"),
    ("is_active", "{from: X, true_values: [A], false_values: [B]}", "A", True),
    ("is_active", "{from: X, true_values: [A], false_values: [B]}", "a", "!boolean"),
    ("is_active", "{from: X, false_values: [CLOSED]}", "anything", True),
    ("sex", "{from: X, values: {H: M, F: F}}", "H", "M"),
    ("sex", "{from: X, values: {H: M, F: F}}", "Z", "!values"),
    ("sex", "{from: X, values: {H: M, F: F}, otherwise: null}", "Z", None),
    ("sex", "{from: X, values: {H: M, F: F}, otherwise: F}", "Z", "F"),
    ("sex", "{from: X, values: {1: M, 2: F}}", "2", "F"),
    ("sex", "{from: X, values: {U: null, F: F}}", "U", None),
    ("postal_code", "{from: X, extract: '^(\\d{4,5})'}", "75011 PARIS", "75011"),
    ("postal_code", "{from: X, extract: '^(\\d{4,5})'}", "PARIS", None),
    ("postal_code", "{from: X, extract: '\\d+'}", "CP 75011", "75011"),
    ("city", "{from: X, split: ' ', part: -1}", "75011 PARIS", "PARIS"),
    ("city", "{from: X, split: ' ', part: 3}", "75011 PARIS", None),
    ("city", "{from: X, default: PARIS}", "", "PARIS"),
    ("city", "{from: X, default: PARIS}", "LYON", "LYON"),
    ("city", "{from: X}", "N/A", None),
    ("city", "{from: X, required: true}", "N/A", "!required"),
    ("city", "{constant: PARIS}", "", "PARIS"),
    ("address_line", "{from: [X, Y], join: ' '}", "12", "12 rue"),
    ("address_line", "{from: [X, Y], join: '-'}", "", "rue"),
    ("interests", "{from: X, split: '/'}", "mode / sport//", '["mode","sport"]'),
    ("interests", "{from: X}", "mode", '["mode"]'),
]


@pytest.mark.parametrize(("column", "mapping", "text", "expected"), CASES)
def test_a_value(shop: Shop, column: str, mapping: str, text: str, expected: Any) -> None:
    shop.declare(
        f"""
source: one
describes: one value
trust_rank: 1
tolerated_bad_rows: 1.0
file: {{pattern: "one_{{date}}.csv", delimiter: ";", nulls: ["", "N/A"]}}
delivers:
  customer:
    key: ID
    columns:
      {column}: {mapping}
ignored: [X, Y]
""".replace("ignored: [X, Y]", "" if "Y" in mapping else ("ignored: [Y]" if "X" in mapping else "ignored: [X, Y]"))
    )
    shop.drop("one_2026-11-19.csv", f"ID;X;Y\n1;{text};rue\n")
    shop.receive()
    if isinstance(expected, str) and expected.startswith("!"):
        assert [rule for (rule,) in shop.quarantined("rule")] == [expected[1:]]
    else:
        assert shop.landed(columns=column) == [(expected,)]


NUMBERS: list[tuple[str, str, Any]] = [
    ("{from: X}", "12.50", Decimal("12.5")),
    ("{from: X}", "-.5", Decimal("-0.5")),
    ("{from: X}", "12,50", "!number"),
    ("{from: X}", "1_000", "!number"),
    ("{from: X}", "twelve", "!number"),
    ("{from: X}", "99999999999999999", "!number"),
    ("{from: X, decimal: ','}", "12,50", Decimal("12.5")),
    ("{from: X, decimal: ','}", "12.50", "!number"),
    ("{from: X, decimal: ',', thousands: ' '}", "1 234\u202f567,5", Decimal("1234567.5")),
    ("{from: X, decimal: ',', thousands: '.'}", "1.234,5", Decimal("1234.5")),
    ("{from: X, thousands: ','}", "1,234.5", Decimal("1234.5")),
    ("{from: X, decimal: ',', thousands: '.'}", "12.5", "!number"),
    ("{from: X, decimal: ',', thousands: '.'}", "1.23.456", "!number"),
    ("{from: X, thousands: ','}", "1,2345", "!number"),
    ("{from: X, decimal: ',', thousands: ' ', unit: €}", "1 234,50 €", Decimal("1234.5")),
    ("{from: X, decimal: ',', unit: [€, EUR]}", "-12,50EUR", Decimal("-12.5")),
    ("{from: X, unit: [$, USD]}", "-$12.50", Decimal("-12.5")),
    ("{from: X, decimal: ',', unit: €}", "12€50", "!number"),
    ("{from: X, unit: €}", "12.50 $", "!number"),
    ("{from: X}", "12.50 €", "!number"),
]


@pytest.mark.parametrize(("mapping", "text", "expected"), NUMBERS)
def test_a_number(shop: Shop, mapping: str, text: str, expected: Any) -> None:
    shop.declare(
        f"""
source: one
describes: one number
trust_rank: 1
tolerated_bad_rows: 1.0
file: {{pattern: "one.csv", delimiter: ";"}}
delivers:
  order_line: {{key: ID, columns: {{amount_gross: {mapping}}}}}
"""
    )
    shop.drop("one.csv", f"ID;X\n1;{text}\n")
    shop.receive()
    if isinstance(expected, str):
        assert shop.quarantined("rule") == [(expected[1:],)]
    else:
        assert shop.landed("order_line", "amount_gross") == [(expected,)]


FLAT = """
source: orders
describes: one line holds order, customer and item
trust_rank: 1
tolerated_bad_rows: 0.5
file: {pattern: "orders.csv", delimiter: ";"}
filter:
  - {column: KIND, equals: TEST, reason: rows of the vendor's tests}
delivers:
  customer:
    when: {column: CLIENT, exists: true}
    key: [SHOP, CLIENT]
    columns: {email: {from: MAIL}}
    custom: {shoe: SHOE}
    tags: [SEGMENT]
  order_line:
    key: ORDER
    columns: {quantity: {from: QTY, required: true}, ref_email: {from: MAIL}}
ignored: [KIND]
"""
HEADER = "ORDER;SHOP;CLIENT;MAIL;QTY;KIND;SHOE;SEGMENT\n"


def test_one_flat_line_makes_several_entities(shop: Shop) -> None:
    shop.declare(FLAT)
    shop.drop(
        "orders.csv",
        HEADER
        + "A;S1;7;a@example.com;1;;42;VIP\n"
        + "A;S1;7;a@example.com;2;;;\n"
        + "B;;;b@example.com;3;;;\n"
        + "C;S1;8;;x;;;\n"  # fails for the order line: no customer either
        + "D;S1;9;;1;TEST;;\n",
    )
    report = shop.receive()
    record = report.files[0]
    assert (record.rows_read, record.rows_landed, record.rows_quarantined, record.rows_filtered) == (5, 3, 1, 1)
    assert record.entity_rows == {"customer": 2, "order_line": 3}
    assert shop.landed(columns="record_id, email, custom, tags") == [
        ("S1|7", "a@example.com", '{"shoe":"42"}', '["VIP"]'),
        ("S1|7", "a@example.com", None, None),
    ]
    assert shop.landed("order_line", "row_key, quantity, ref_email") == [
        ("A|1", Decimal(1), "a@example.com"),
        ("A|2", Decimal(2), "a@example.com"),
        ("B|1", Decimal(3), "b@example.com"),
    ]
    assert shop.quarantined() == [(5, "QTY", "number", "C;S1;8;;x;;;")]


def test_a_row_that_no_entity_applies_to_counts_as_filtered(shop: Shop) -> None:
    shop.declare(FLAT.replace("    key: ORDER\n", "    when: {column: QTY, exists: true}\n    key: ORDER\n"))
    shop.drop("orders.csv", HEADER + "A;S1;7;;1;;;\nB;;;;;;;\n")
    record = shop.receive().files[0]
    assert (record.rows_read, record.rows_landed, record.rows_filtered) == (2, 1, 1)


def test_an_event_without_key_is_known_by_its_content(shop: Shop) -> None:
    shop.declare(
        """
source: clicks
describes: events without key
trust_rank: 1
file: {pattern: "clicks_{date}.csv"}
delivers:
  event:
    columns: {event_type: {constant: email_click}, occurred_at: {from: WHEN}, ref_email: {from: MAIL}}
"""
    )
    shop.drop("clicks_2026-11-18.csv", "WHEN,MAIL\n2026-11-18 10:00,a@example.com\n2026-11-18 11:00,a@example.com\n")
    shop.drop("clicks_2026-11-19.csv", "WHEN,MAIL\n2026-11-18 11:00,a@example.com\n")
    shop.receive()
    keys = [key for (key,) in shop.landed("event", "event_id", "available_on, line_number")]
    assert keys[1] == keys[2] != keys[0]
    assert shop.landed("event", "event_id = row_key and row_key = row_hash", "all") == [(True,)] * 3
    connection = shop.build()
    shop.day(dt.date(2026, 11, 20), connection)
    assert connection.execute("select count(*) from landing.events").fetchone() == (2,)


def test_a_new_column_warns_and_is_kept(shop: Shop) -> None:
    shop.declare(FLAT)
    shop.drop("orders.csv", HEADER.strip() + ";GIFT\nA;S1;7;;1;;42;;yes\n")
    report = shop.receive()
    assert any('new column(s) "GIFT"' in warning for warning in report.warnings)
    assert shop.landed(columns="custom") == [('{"GIFT":"yes","shoe":"42"}',)]


@pytest.mark.parametrize(
    ("drift", "content", "status", "said"),
    [
        ("{new_column: block}", HEADER.strip() + ";GIFT\nA;S1;7;;1;;;;\n", "refused", 'column "GIFT" is new'),
        ("{new_column: ignore}", HEADER.strip() + ";GIFT\nA;S1;7;;1;;;;\n", "landed", ""),
        ("{}", HEADER.replace("QTY", "QTE") + "A;S1;7;;1;;;\n", "refused", 'column "QTY" is missing from the file; did you mean "QTE"?'),
        ("{missing_column: warn}", HEADER.replace("SHOE", "X") + "A;S1;7;;1;;;\n", "landed", 'column "SHOE" is missing'),
        ("{}", HEADER.replace(";", ",") + "A,S1,7,,1,,,\n", "refused", 'declare delimiter: ","'),
        ("{}", HEADER.replace("QTY", "MAIL") + "A;S1;7;;1;;;\n", "refused", 'column "MAIL" stands twice'),
        ("{}", HEADER.lower() + "A;S1;7;;1;;;\n", "landed", ""),
    ],
)  # fmt: skip
def test_drift_of_columns(shop: Shop, drift: str, content: str, status: str, said: str) -> None:
    shop.declare(FLAT + f"drift: {drift}\n")
    shop.drop("orders.csv", content)
    report = shop.receive()
    assert report.files[0].status == status
    told = "\n".join((*report.errors, *report.warnings))
    assert said in told if said else not report.errors

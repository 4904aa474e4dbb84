"""A wrong contract is told with its file, its line and what was probably meant."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from orchestration.contracts.source import FileLayout, NameMatch, load_source, match_name
from orchestration.errors import DeclarationError

GOOD = """\
source: shop
describes: customers of the shop
trust_rank: 1
file:
  pattern: "shop_{date}.csv"
delivers:
  customer:
    key: ID
    columns:
      last_name: {from: NAME}
"""

#: what is replaced, by what, line of the message, part of the message
WRONG: list[tuple[str, str, int, str]] = [
    ("trust_rank: 1", "trust_rank: 0", 3, '"trust_rank": Input should be greater than or equal to 1'),
    ("trust_rank: 1", "trust: 1", 3, 'unknown key "trust"; did you mean "trust_rank"?'),
    ("describes: customers of the shop\n", "", 1, '"describes" is missing'),
    ("source: shop", "source: Shop", 1, "lowercase letters"),
    ("source: shop", "source: store", 1, 'source should be "shop"'),
    ("  customer:", "  customers:", 7, "customer"),
    ("last_name:", "lastname:", 10, '"lastname" is no column of customer; did you mean "last_name"?'),
    ("{from: NAME}", "{fromm: NAME}", 10, 'unknown key "fromm"; did you mean "from"?'),
    ("{from: NAME}", "{}", 10, "give either `from` (a column of the file) or `constant`"),
    ("{from: NAME}", "{from: NAME, constant: x}", 10, "give either"),
    ("{from: NAME}", "{constant: x, required: true}", 10, '"required" has no meaning beside a constant'),
    ("{from: NAME}", "{from: NAME, read: date}", 10, "read as text, not as date"),
    ("{from: NAME}", "{from: NAME, format: '%d'}", 10, '"format" has no meaning when the column is read as text'),
    ("{from: NAME}", "{from: NAME, join: ' '}", 10, "join needs several columns"),
    ("{from: NAME}", "{from: NAME, part: 1}", 10, "part needs split"),
    ("{from: NAME}", "{from: NAME, split: ' '}", 10, "split needs part"),
    ("{from: NAME}", "{from: NAME, split: ' ', part: 0}", 10, "parts count from 1"),
    ("{from: NAME}", "{from: NAME, otherwise: x}", 10, "otherwise needs values"),
    ("{from: NAME}", "{from: NAME, extract: '('}", 10, "no regular expression"),
    ("{from: NAME}", "{from: NAME, extract: '(?=a)'}", 10, "look-around"),
    ("{from: NAME}", "{from: NAME, required: true, on_error: blank}", 10, "cannot be left blank"),
    ("{from: NAME}", "{from: NAME, required: true, default: x}", 10, "required has no meaning"),
    ("{from: NAME}", "{from: NAME}\n      birth_on: {constant: someday}", 11, '"someday" is not a date'),
    ("{from: NAME}", "{from: NAME}\n      birth_on: {from: B, format: '%d/%q'}", 11, '"%q" is not a part of a date'),
    ("{from: NAME}", "{from: NAME}\n      birth_on: {from: B, format: ['%d/%m/%Y', '%m/%d/%Y']}", 11, "01/02/2003"),
    ("{from: NAME}", "{from: NAME}\n      is_active: {from: B, true_values: [x], false_values: [x]}", 11, "both true and"),
    ("{from: NAME}", "{from: NAME}\n      record_id: {from: B}", 8, '"record_id" is given by key and by columns'),
    ("{from: NAME}", "{from: NAME}\n    each: items", 11, '"each" needs json or jsonl, not csv'),
    ("{from: NAME}", "{from: NAME}\n    when: {column: A}", 11, "give exactly one of equals"),
    ("    key: ID\n    columns:\n      last_name: {from: NAME}", "    key: []", 7, "maps no column"),
    ("key: ID", "key: [ID, ID]", 8, "a column stands twice in the key"),
    ("shop_{date}.csv", "in/shop_{date}.csv", 5, "without folder"),
    ("shop_{date}.csv", "shop_{day}.csv", 5, "{day} means nothing in a pattern"),
    ("shop_{date}.csv", "{date}*.*", 5, "would match any file"),
    ('"shop_{date}.csv"', '"shop.csv"\n  date_format: "%Y"', 6, "date_format without {date}"),
    ('"shop_{date}.csv"', '"shop_{date}.csv"\n  date_format: "%d%m"', 6, "needs a year"),
    ('"shop_{date}.csv"', '"shop_{date}.csv"\n  encoding: latin9000', 6, "is no encoding"),
    ('"shop_{date}.csv"', '"shop_{date}.csv"\n  encoding: rot13', 6, "not an encoding of text"),
    ('"shop_{date}.csv"', '"shop_{date}.csv"\n  sheet: One', 6, '"sheet" has no meaning for format csv, only for xlsx'),
    ('"shop_{date}.csv"', '"shop_{date}.csv"\n  format: jsonl\n  delimiter: ";"', 7, '"delimiter" has no meaning'),
    ('"shop_{date}.csv"', '"shop_{date}.csv"\n  format: fixed', 4, "format fixed needs fields"),
    ('"shop_{date}.csv"', '"shop_{date}.csv"\n  thousands: "."', 6, "both the decimal and the thousands"),
    ('"shop_{date}.csv"', '"shop_{date}.csv"\n  time_zone: Paris', 6, "no IANA time zone"),
    ('"shop_{date}.csv"', '"shop_{date}.csv"\n  names: [ID, NAME, MORE]', 4, 'column "MORE" is neither mapped nor ignored'),
    ('"shop_{date}.csv"', '"shop_{date}.csv"\n  names: [ID, NAM]', 11, '"NAME" is not among the columns of the file; did'),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "line", "said"), WRONG)
def test_a_wrong_contract(tmp_path: Path, old: str, new: str, line: int, said: str) -> None:
    assert old in GOOD
    path = tmp_path / "shop.yml"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(DeclarationError) as error:
        load_source(path, tmp_path)
    messages = str(error.value).splitlines()
    assert any(message.startswith(f"shop.yml:{line}: ") and said in message for message in messages), messages


def test_a_good_contract(tmp_path: Path) -> None:
    path = tmp_path / "shop.yml"
    path.write_text(GOOD)
    source = load_source(path, tmp_path)
    assert source.delivers["customer"].columns["last_name"].columns == ("NAME",)
    assert (source.file.encoding, source.file.delimiter, source.delivery) == ("utf-8", ",", "full")


def test_a_column_only_tested_may_be_ignored(tmp_path: Path) -> None:
    path = tmp_path / "shop.yml"
    path.write_text(GOOD + "filter: [{column: KIND, equals: TEST, reason: tests}]\nignored: [KIND]\n")
    assert load_source(path).ignored == ("KIND",)


DAY = dt.date(2026, 11, 20)


@pytest.mark.parametrize(
    ("pattern", "date_format", "name", "expected"),
    [
        ("a_{date}.csv", "%Y%m%d", "a_20261120.csv", NameMatch(DAY, "")),
        ("a_{date}.csv", "%Y%m%d", "A_20261120.CSV", NameMatch(DAY, "")),
        ("a_{date}.csv", "%Y%m%d", "a_20261320.csv", None),
        ("a_{date}.csv", "%Y%m%d", "a_2026112.csv", None),
        ("a_{date}.csv", "%Y%m%d", "a_20261120_v2.csv", None),
        ("a_{date}*.csv", "%Y%m%d", "a_20261120_v2.csv", NameMatch(DAY, "")),
        ("a_{date}.csv", "%d-%m-%y", "a_20-11-26.csv", NameMatch(DAY, "")),
        ("a_{part}_{date}.csv", "%Y%m%d", "a_paris_20261120.csv", NameMatch(DAY, "paris")),
        ("a_{date}.csv", "%Y%m%d%H", "a_2026112009.csv", NameMatch(DAY, "090000000000")),
        ("clients.csv", "%Y%m%d", "clients.csv", NameMatch(None, "")),
        ("clients.csv", "%Y%m%d", "my_clients.csv", None),
        ("a+b({date}).csv", "%Y%m%d", "a+b(20261120).csv", NameMatch(DAY, "")),
        ("é_{date}.csv", "%Y%m%d", "e\u0301_20261120.csv", NameMatch(DAY, "")),
    ],
)
def test_a_file_name_tells_its_source_date_and_part(
    pattern: str, date_format: str, name: str, expected: NameMatch | None
) -> None:
    layout = FileLayout(pattern=pattern, date_format=date_format)
    assert match_name(layout, name) == expected


def test_the_contracts_of_the_repository_are_good(project: Path) -> None:
    found = sorted((project / "declarations" / "sources").glob("*.yml"))
    assert len(found) >= 10
    for path in found:
        assert load_source(path, project).source == path.stem

"""Documents cut into lines, against a parser that builds them whole."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestration.ingest import jsonfile

from .conftest import Shop

TEXTS = ('a"b', "x\\", '\\"', "{[,]}", "é,", "]", "\\\\", "tab\t", "line\nend", "")


def value(draw: random.Random, depth: int = 0) -> Any:
    kind = draw.randrange(7 if depth < 3 else 4)
    if kind < 2:
        return draw.choice(TEXTS)
    if kind < 4:
        return draw.choice([1, -2.5, None, True])
    if kind == 4:
        return [value(draw, depth + 1) for _ in range(draw.randrange(3))]
    return {draw.choice(["k", 'k"', "rows", "data"]): value(draw, depth + 1) for _ in range(draw.randrange(3))}


def in_blocks(text: bytes, size: int) -> Iterator[bytes]:
    return (text[at : at + size] for at in range(0, len(text), size))


def document(draw: random.Random) -> tuple[list[dict[str, Any]], str | None, bytes]:
    items = [{"id": n, "x": value(draw), "y": value(draw)} for n in range(draw.randrange(5))]
    path = draw.choice([None, "data", "data.rows"])
    whole: Any = items
    for step in reversed(path.split(".") if path else []):
        whole = {"before": value(draw), "n": [1, {"rows": [2]}], step: whole, "after": value(draw)}
    text = json.dumps(whole, indent=draw.choice([None, 1]), ensure_ascii=draw.choice([True, False])).encode()
    return items, path, text + draw.choice([b"", b"\n", b" \r\n "])


@pytest.mark.parametrize("seed", range(60))
def test_each_element_is_a_line_whatever_the_blocks(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    items, path, text = document(draw)
    target = tmp_path / "lines"
    found = jsonfile.write_elements(in_blocks(text, draw.choice([1, 2, 3, 7, 50, 10**6])), path, target)
    assert found == len(items)
    assert [json.loads(line) for line in target.read_bytes().split(b"\n") if line.strip()] == items
    cut = text.rstrip()[: draw.randrange(len(text.rstrip()))]
    assert jsonfile.write_elements(in_blocks(cut, 7), path, target) is None


def test_what_stands_behind_the_document_is_not_passed_over(tmp_path: Path) -> None:
    assert jsonfile.write_elements(iter([b'[{"a": 1}] x']), None, tmp_path / "lines") is None
    assert jsonfile.write_elements(iter([b'[{"a": 1}]', b" ", b"]"]), None, tmp_path / "lines") is None


JSON = """
source: web
describes: a document
trust_rank: 1
tolerated_bad_rows: 0.5
file: {pattern: "web.json", format: json, rows_at: rows, encoding: %s}
filter: [{column: kind, equals: test, reason: rows of tests}]
delivers:
  customer: {key: id, columns: {email: {from: mail}}}
  order_line:
    each: lines
    key: id
    columns: {quantity: {from: n, required: true}, product_id: {from: sku}}
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
def test_a_document_of_several_entities_counts_each_element(shop: Shop, encoding: str) -> None:
    rows = [
        {"id": 1, "mail": "a@example.org", "lines": [{"n": 1, "sku": "é1"}, {"n": 2, "sku": "s2"}]},
        {"id": 2, "mail": "b@example.org", "lines": [{"n": "two", "sku": "s1"}]},
        {"id": 3, "mail": "c@example.org", "lines": [], "kind": "test"},
        {"id": 4, "mail": None, "lines": []},
    ]
    shop.declare(JSON % encoding)
    shop.drop("web.json", json.dumps({"v": 1, "rows": rows}, indent=2, ensure_ascii=False).encode(encoding))
    (record,) = shop.receive().files
    assert (record.status, record.message) == ("landed", "")
    assert (record.rows_read, record.rows_landed, record.rows_quarantined, record.rows_filtered) == (4, 2, 1, 1)
    assert shop.landed(columns="record_id, line_number") == [("1", 1), ("4", 4)]
    assert shop.landed("order_line", "product_id, line_id", "line_id") == [("é1", "1"), ("s2", "2")]
    assert shop.quarantined("line_number, rule") == [(2, "number")]


NESTED = """
source: web
describes: customers with their orders, and these with their lines
trust_rank: 1
tolerated_bad_rows: 0.5
file: {pattern: "web.jsonl", format: jsonl}
delivers:
  customer: {key: id, columns: {email: {from: mail}}}
  order_line:
    each: orders[*].lines
    key: number
    columns:
      ordered_at: {from: at, format: "%d/%m/%Y"}
      quantity: {from: n, required: true}
      product_id: {from: "@.id"}
      ref_account: {from: "$.id"}
"""


def test_arrays_within_arrays_know_what_is_around_them(shop: Shop) -> None:
    rows = [
        {"id": 1, "mail": "a@example.org", "orders": [
            {"id": "x", "number": "A", "at": "02/11/2026", "lines": [{"id": "s1", "n": 1}, {"id": "s2", "n": 2}]},
            {"id": "y", "number": "B", "at": "03/11/2026", "lines": [{"id": "s3", "n": 3}]},
            {"id": "z", "number": "C", "at": "03/11/2026", "lines": []},
        ]},
        {"id": 2, "mail": "b@example.org", "orders": []},
        {"id": 3, "mail": "c@example.org"},
    ]  # fmt: skip
    shop.declare(NESTED)
    shop.drop("web.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    (record,) = shop.receive().files
    assert (record.status, record.rows_landed, record.entity_rows) == ("landed", 3, {"customer": 3, "order_line": 3})
    assert shop.landed("order_line", "order_id, line_id, product_id, ref_account, quantity::int", "all") == [
        ("A", "1", "s1", "1", 1), ("A", "2", "s2", "1", 2), ("B", "1", "s3", "1", 3),
    ]  # fmt: skip

"""Ingest against plain Python: rows add up, order does not matter, history is what the deliveries tell."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import json
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.contracts.company import Company
from orchestration.contracts.source import FileLayout, Source
from orchestration.ingest import IngestReport, assemble, ingest
from orchestration.settings import Workspace

COMPANY = Company(name="Test")


def source(delivery: str = "full", bad: float = 1.0, deletes: float = 1.0) -> Source:
    return Source.model_validate(
        {
            "source": "shop", "describes": "generated", "trust_rank": 1, "delivery": delivery,
            "tolerated_bad_rows": bad, "tolerated_deletes": deletes,
            "file": {"pattern": "shop_{date}.csv"},
            "filter": [{"column": "K", "equals": "skip", "reason": "told to"}],
            "delivers": {
                "customer": {"key": "ID", "columns": {"last_name": {"from": "N"}, "birth_on": {"from": "D"}}}
            },
        }
    )  # fmt: skip


@contextmanager
def workspace() -> Iterator[Workspace]:
    with tempfile.TemporaryDirectory() as folder:
        made = Workspace(Path(folder))
        made.prepare()
        yield made


def receive(made: Workspace, contract: Source, on: dt.date) -> IngestReport:
    return ingest(
        made, {"shop": contract}, COMPANY, received_on=on, is_forward=True, run_id="test", settle_seconds=0
    )  # fmt: skip


#: Pieces that csv files are made of, the ones that break them included.
PIECES = st.sampled_from(
    [
        "1",
        "2",
        "a",
        "é",
        ",",
        ",,",
        '"',
        '""',
        "\n",
        "\r\n",
        "\r",
        "\n\n",
        "skip",
        "2020-01-01",
        " ",
        "\t",
        "\0",
        "\u00a0",
    ]
)


@settings(max_examples=50, deadline=None)
@given(pieces=st.lists(PIECES, max_size=40), tail=st.binary(max_size=6))
def test_any_bytes_end_in_rows_that_add_up_or_in_a_clear_refusal(pieces: list[str], tail: bytes) -> None:
    with workspace() as made:
        (made.inbox / "shop_2026-11-01.csv").write_bytes(b"ID,N,D,K\n" + "".join(pieces).encode() + tail)
        report = receive(made, source(), dt.date(2026, 11, 2))
        (record,) = report.files
        assert record.rows_read == record.rows_landed + record.rows_quarantined + record.rows_filtered
        assert record.status in ("landed", "header_only", "unreadable", "refused")
        assert record.status != "refused" or "defect" not in record.message
        found = list(made.landing.glob("customer/source=*/*/*.parquet"))
        landed = sum(duckdb.read_parquet(str(path)).count("*").fetchall()[0][0] for path in found)
        assert landed == record.rows_landed
        assert not list(made.inbox.iterdir())


def _zip(content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("shop_2026-11-01.csv"), content)
    return out.getvalue()


def _parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({name: ["1", "2", "3"] for name in "INDK"}).rename_columns(["ID", "N", "D", "K"]), out)
    return out.getvalue()


def _xlsx() -> bytes:
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out)
    for line, row in enumerate([("ID", "N", "D", "K"), ("1", "a", "", ""), ("2", "b", "", "")]):
        book.worksheets()[0].write_row(line, 0, row) if line else book.add_worksheet().write_row(0, 0, row)
    book.close()
    return out.getvalue()


_PLAIN = b"ID,N,D,K\n" + b"".join(b"%d,name %d,2020-01-01,\n" % (n, n) for n in range(20))
_OBJECTS = [{"ID": str(n), "N": "a", "D": "2020-01-01", "K": None} for n in range(9)]
#: A good file of each format: (ending of its name, keys of `file`, bytes).
WHOLE: dict[str, tuple[str, dict[str, Any], bytes]] = {
    "csv": ("csv", {}, _PLAIN),
    "utf-16": ("csv", {"encoding": "utf-16"}, _PLAIN.decode().encode("utf-16")),
    "gz": ("csv.gz", {}, gzip.compress(_PLAIN)),
    "zip": ("zip", {}, _zip(_PLAIN)),
    "json": ("json", {"format": "json"}, json.dumps(_OBJECTS).encode()),
    "jsonl": ("jsonl", {"format": "jsonl"}, "".join(json.dumps(row) + "\n" for row in _OBJECTS).encode()),
    "parquet": ("parquet", {"format": "parquet"}, _parquet()),
    "xlsx": ("xlsx", {"format": "xlsx"}, _xlsx()),
    "fixed": (
        "txt",
        {"format": "fixed", "fields": {"ID": [1, 3], "N": [4, 6], "D": [10, 10], "K": [20, 4]}},
        b"".join(b"%03dname  2020-01-01    \n" % n for n in range(9)),
    ),
}
DAMAGE = st.tuples(
    st.sampled_from(["cut", "flip", "insert", "drop", "repeat"]), st.floats(0, 1), st.binary(min_size=1, max_size=4)
)


def damaged(content: bytes, wounds: list[tuple[str, float, bytes]]) -> bytes:
    for kind, where, piece in wounds:
        at = int(where * len(content))
        if kind == "cut":
            content = content[:at]
        elif kind == "flip":
            content = (
                content[:at] + bytes(byte ^ 0x5A for byte in content[at : at + len(piece)]) + content[at + len(piece) :]
            )
        elif kind == "insert":
            content = content[:at] + piece + content[at:]
        elif kind == "drop":
            content = content[:at] + content[at + len(piece) :]
        else:
            content = content[:at] + content[at : at + 200] + content[at:]
    return content


@settings(max_examples=40, deadline=None)
@given(kind=st.sampled_from(sorted(WHOLE)), wounds=st.lists(DAMAGE, min_size=1, max_size=4))
def test_a_damaged_file_of_any_format_adds_up_or_is_refused(kind: str, wounds: list[tuple[str, float, bytes]]) -> None:
    ending, layout, content = WHOLE[kind]
    plain = source()
    pattern = f"shop_{{date}}.{'csv' if ending in ('csv.gz', 'zip') else ending}"
    contract = plain.model_copy(update={"file": FileLayout.model_validate({"pattern": pattern, **layout})})
    neighbour = plain.model_copy(
        update={"source": "good", "file": FileLayout.model_validate({"pattern": "good.csv"})}
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        made = Workspace(Path(folder) / "ws")
        made.prepare()
        (made.inbox / f"shop_2026-11-01.{ending}").write_bytes(damaged(content, wounds))
        (made.inbox / "good.csv").write_text("ID,N,D,K\n1,Good,,\n")
        report = ingest(
            made, {"shop": contract, "good": neighbour}, COMPANY, received_on=dt.date(2026, 11, 2), is_forward=True,
            run_id="test", settle_seconds=0,
        )  # fmt: skip
        states = {record.source: record for record in report.files}
        assert states["good"].status == "landed"
        record = next(record for record in report.files if record.source != "good")
        assert record.adds_up
        assert "defect" not in "\n".join((*report.errors, *report.warnings, record.message))
        assert record.status == "landed" or record.message
        found = made.landing.glob("customer/source=shop/*/*.parquet")
        assert sum(pq.read_metadata(path).num_rows for path in found) == record.rows_landed
        assert [path.name for path in Path(folder).iterdir()] == ["ws"]


ROW = st.tuples(
    st.sampled_from(["good", "date", "key", "short", "filtered"]), st.text(st.sampled_from('ab"\n ,é'), max_size=4)
)


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(ROW, max_size=30), end=st.sampled_from(["\n", "\r\n"]))
def test_each_row_goes_where_it_belongs_with_its_line(rows: list[tuple[str, str]], end: str) -> None:
    text, line = "ID,N,D,K" + end, 2
    landed: list[tuple[str, str | None, int]] = []
    bad: list[tuple[int, str]] = []
    filtered = 0
    for number, (kind, name) in enumerate(rows):
        quoted = '"' + name.replace('"', '""').replace("\n", end) + '"'
        if kind == "good":
            text += f"k{number},{quoted},2020-01-01,{end}"
            landed.append((f"k{number}", name.strip() or None, line))
        elif kind == "date":
            text += f"k{number},{quoted},2020-13-01,{end}"
            bad.append((line, "date"))
        elif kind == "key":
            text += f",{quoted},,{end}"
            bad.append((line, "key"))
        elif kind == "short":
            text += f"k{number},{quoted}{end}"
            bad.append((line, "columns"))
        else:
            text += f"k{number},{quoted},x,skip{end}"
            filtered += 1
        line += 1 + name.count("\n")
    with workspace() as made:
        (made.inbox / "shop_2026-11-01.csv").write_bytes(text.encode())
        (record,) = receive(made, source(), dt.date(2026, 11, 2)).files
        assert (record.rows_landed, record.rows_quarantined, record.rows_filtered) == (len(landed), len(bad), filtered)
        paths = list(made.landing.glob("customer/source=*/*/*.parquet"))
        found = [
            row
            for path in paths
            for row in duckdb.sql(f"select record_id, last_name, line_number from '{path}' order by 3").fetchall()
        ]
        assert found == landed
        quarantine = list(made.quarantine.glob("rows/*/*.parquet"))
        refused = [
            row
            for path in quarantine
            for row in duckdb.sql(f"select line_number, rule from '{path}' order by 1").fetchall()
        ]
        assert refused == bad


DELIVERY = st.tuples(
    st.integers(1, 6),  # business day
    st.integers(0, 3),  # days until it is received
    st.dictionaries(st.sampled_from("abcd"), st.sampled_from("xyz"), max_size=4),
)


def expected_history(
    deliveries: list[tuple[int, int, dict[str, str]]], received: list[int], as_of: int
) -> dict[str, tuple[list[str], bool]]:
    """key -> (contents one after the other, deleted), worked out one delivery at a time."""
    by_day: dict[int, tuple[int, int, dict[str, str]]] = {}
    first_day = min(received, default=0)
    for index, (business, _, rows) in enumerate(deliveries):
        if not rows:
            continue  # a header alone tells nothing
        historical = received[index] == first_day_with_rows(deliveries, received, first_day)
        available = business if historical else max(business, received[index])
        if available > as_of:
            continue
        known = by_day.get(business)
        if known is None or (available, received[index]) >= known[:2]:
            by_day[business] = (available, received[index], rows)
    history: dict[str, list[str]] = {}
    last: dict[str, str] = {}
    for business in sorted(by_day):
        last = by_day[business][2]
        for key, value in last.items():
            told = history.setdefault(key, [])
            if not told or told[-1] != value:
                told.append(value)
    return {key: (told, key not in last) for key, told in history.items()}


def first_day_with_rows(deliveries: list[tuple[int, int, dict[str, str]]], received: list[int], fallback: int) -> int:
    return min((day for (_, _, rows), day in zip(deliveries, received, strict=True) if rows), default=fallback)


@settings(max_examples=15, deadline=None)
@given(deliveries=st.lists(DELIVERY, min_size=1, max_size=6, unique_by=lambda d: (d[0], d[0] + d[1])))
def test_history_is_what_the_deliveries_tell_on_any_day(deliveries: list[tuple[int, int, dict[str, str]]]) -> None:
    received = [business + delay for business, delay, _ in deliveries]
    with workspace() as made:
        contract = source()
        for day in sorted(set(received)):
            for (business, _, rows), on in zip(deliveries, received, strict=True):
                if on == day:
                    lines = "".join(f"{key},{value},,\n" for key, value in sorted(rows.items()))
                    path = made.inbox / f"shop_2026-11-{business:02d}.csv"
                    path.write_text("ID,N,D,K\n" + lines)
            receive(made, contract, dt.date(2026, 11, day))
        connection = duckdb.connect()
        for as_of in (3, 9):
            assemble(connection, made, {"shop": contract}, as_of_on=dt.date(2026, 11, as_of))
            found: dict[str, tuple[list[str], bool]] = {}
            for key, names, deleted in connection.execute(
                "select record_id, list(last_name order by valid_from_on), bool_or(is_deleted) "
                "from landing.customers group by record_id"
            ).fetchall():
                found[key] = (names, deleted)
            assert found == expected_history(deliveries, received, as_of), as_of
            currents = connection.execute(
                "select count(*) from landing.customers group by record_id "
                "having count(*) filter (where is_current) <> 1"
            ).fetchall()
            assert currents == []


@settings(max_examples=8, deadline=None)
@given(
    contents=st.lists(
        st.dictionaries(st.sampled_from("abcd"), st.sampled_from("xyz"), min_size=1), min_size=2, max_size=4
    ),
    order=st.randoms(use_true_random=False),
)
def test_the_order_in_which_files_arrive_changes_nothing(contents: list[dict[str, str]], order: object) -> None:
    files = {
        f"shop_2026-11-{number + 1:02d}.csv": "ID,N,D,K\n" + "".join(f"{k},{v},,\n" for k, v in rows.items())
        for number, rows in enumerate(contents)
    }
    results = []
    for turn in range(2):
        names = list(files)
        if turn:
            order.shuffle(names)  # type: ignore[attr-defined]
        with workspace() as made:
            for name in names:
                (made.inbox / name).write_text(files[name])
            receive(made, source(), dt.date(2026, 11, 20))
            connection = duckdb.connect()
            assemble(connection, made, {"shop": source()}, as_of_on=dt.date(2026, 11, 20))
            results.append(connection.execute("select * from landing.customers order by all").fetchall())
    assert results[0] == results[1]

"""A corpus of damaged files. Each ends in a clear error or in quarantine, never in silence.

Beside each damaged file a good one of another source arrives: it always lands. Nothing is written
outside the workspace, and every row is accounted for.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import random
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlsxwriter

from .conftest import CUSTOMERS, DAY, Shop

GOOD = """
source: good
describes: the file that must land whatever its neighbour is
trust_rank: 2
file: {pattern: "good.csv"}
delivers: {customer: {key: ID, columns: {last_name: {from: NAME}}}}
"""
STRICT = CUSTOMERS.replace("tolerated_bad_rows: 0.5", "tolerated_bad_rows: 0.1")
JSON = STRICT.replace(".csv", ".json").replace('"%Y%m%d"', '"%Y%m%d", format: json, rows_at: rows')
LINES = STRICT.replace(".csv", ".jsonl").replace('"%Y%m%d"', '"%Y%m%d", format: jsonl')
XLSX = STRICT.replace(".csv", ".xlsx").replace('"%Y%m%d"', '"%Y%m%d", format: xlsx')
PARQUET = STRICT.replace(".csv", ".parquet").replace('"%Y%m%d"', '"%Y%m%d", format: parquet')
FIXED = STRICT.replace(".csv", ".txt").replace(
    '"%Y%m%d"', '"%Y%m%d", format: fixed, fields: {ID: [1, 3], NAME: [4, 6], BORN: [10, 10]}'
)
HEAD = b"ID,NAME,BORN\n"
BODY = b"".join(b"%d,Name%d,01/02/1980\n" % (n, n) for n in range(40))
NAME = "shop_20261119"


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return buffer.getvalue()


def sheet(write: Callable[[xlsxwriter.worksheet.Worksheet], None]) -> bytes:
    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(buffer)
    write(book.add_worksheet())
    book.close()
    return buffer.getvalue()


def rows(page: xlsxwriter.worksheet.Worksheet) -> None:
    for line, row in enumerate([("ID", "NAME", "BORN"), ("1", "a", ""), ("2", "b", "")]):
        page.write_row(line, 0, row)


def merged(page: xlsxwriter.worksheet.Worksheet) -> None:
    page.write_row(0, 0, ("ID", "NAME", "BORN"))
    page.merge_range("A2:B3", "merged")


def parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


NOISE = random.Random(7).randbytes(4000)
TABLE = pa.table({"ID": ["1"], "NAME": ["a"], "BORN": ["01/02/1980"]})
BOMB = zipped((NAME + ".csv", HEAD + b"0" * (80 * 2**20)))
ENCRYPTED = bytearray(zipped((NAME + ".csv", HEAD + BODY)))
ENCRYPTED[6] |= 1
ENCRYPTED[ENCRYPTED.find(b"PK\x01\x02") + 8] |= 1

#: contract, file name, content, status, part of the message; or for a landed file the rules in quarantine.
CORPUS: dict[str, tuple[str, str, bytes, str, str | list[str]]] = {
    "empty": (STRICT, f"{NAME}.csv", b"", "unreadable", "the file is empty"),
    "one line end": (STRICT, f"{NAME}.csv", b"\n", "unreadable", "no header line"),
    "blank lines only": (STRICT, f"{NAME}.csv", b"\r\n \r\n\t\r\n", "unreadable", "no header line"),
    "header only": (STRICT, f"{NAME}.csv", HEAD, "header_only", "header only"),
    "header without line end": (STRICT, f"{NAME}.csv", HEAD.strip(), "header_only", "header only"),
    "rows without header": (STRICT, f"{NAME}.csv", BODY, "refused", "names: [...] if the file has no header"),
    "cut within the last row": (STRICT, f"{NAME}.csv", HEAD + BODY + b"41,Na", "landed", ["columns"]),
    "cut within a quoted value": (STRICT, f"{NAME}.csv", HEAD + BODY + b'41,"Na', "landed", ["quotes"]),
    "random bytes": (STRICT, f"{NAME}.csv", NOISE, "unreadable", "binary"),
    "header then random bytes": (STRICT, f"{NAME}.csv", HEAD + NOISE, "unreadable", "binary"),
    "a zip called csv": (STRICT, f"{NAME}.csv", zipped(("a", b"b")), "unreadable", "a zip archive"),
    "a Parquet called csv": (STRICT, f"{NAME}.csv", parquet(TABLE), "unreadable", "a Parquet file"),
    "a gzip called csv": (STRICT, f"{NAME}.csv", gzip.compress(HEAD), "unreadable", "a gzip file"),
    "a bzip2 called csv": (STRICT, f"{NAME}.csv", bz2.compress(HEAD), "unreadable", "a bzip2 file"),
    "a PDF called csv": (STRICT, f"{NAME}.csv", b"%PDF-1.7 ...", "unreadable", "a PDF document"),
    "an old Excel called csv": (STRICT, f"{NAME}.csv", b"\xd0\xcf\x11\xe0" + b"x" * 99, "unreadable", "xls"),
    "UTF-16": (STRICT, f"{NAME}.csv", (HEAD + BODY).decode().encode("utf-16"), "unreadable", "declare encoding: utf-16"),
    "UTF-32": (STRICT, f"{NAME}.csv", (HEAD + BODY).decode().encode("utf-32"), "unreadable", "utf-32"),
    "cp1252 in every row": (STRICT, f"{NAME}.csv", HEAD + BODY.replace(b"Name", b"No\xebl"), "refused", "cp1252"),
    "cp1252 in one row": (STRICT, f"{NAME}.csv", HEAD + BODY + b"41,No\xebl,\n", "landed", ["encoding"]),
    "cp1252 in a row that is shifted": (STRICT, f"{NAME}.csv", HEAD + BODY + b"41,No\xebl,,\xe9,\n", "landed", ["encoding"]),
    "cp1252 in an ignored column": (STRICT + "ignored: [MORE]\n", f"{NAME}.csv",
                                    HEAD.strip() + b",MORE\n" + b"1,a,,No\xebl\n", "landed", []),
    "cp1252 within quotes": (STRICT, f"{NAME}.csv", HEAD + BODY + b'41,"No\xeb\nl",\n42,b,\n', "landed", ["encoding"]),
    "cp1252 in JSON lines": (LINES, f"{NAME}.jsonl", b"".join(b'{"ID": %d, "NAME": "a"}\n' % n for n in range(20))
                             + b'{"ID": 21, "NAME": "No\xebl"}\n', "landed", ["encoding"]),
    "UTF-8 declared cp1252": (STRICT.replace('"%Y%m%d"', '"%Y%m%d", encoding: cp1252'), f"{NAME}.csv",
                              HEAD + BODY.replace(b"Name", "Noël".encode()), "unreadable", "declare encoding: utf-8"),
    "truncated UTF-16": (STRICT.replace('"%Y%m%d"', '"%Y%m%d", encoding: utf-16'), f"{NAME}.csv",
                         (HEAD + BODY).decode().encode("utf-16")[:-1], "unreadable", "truncated"),
    "half a character": (STRICT, f"{NAME}.csv", HEAD + BODY + b"41,No\xc3", "landed", ["encoding"]),
    "over-long UTF-8": (STRICT, f"{NAME}.csv", HEAD + BODY + b"41,\xc0\xaf,\n", "landed", ["encoding"]),
    "surrogate in UTF-8": (STRICT, f"{NAME}.csv", HEAD + BODY + b"41,\xed\xa0\x80,\n", "landed", ["encoding"]),
    "other delimiter": (STRICT, f"{NAME}.csv", (HEAD + BODY).replace(b",", b";"), "refused", 'declare delimiter: ";"'),
    "tabs": (STRICT, f"{NAME}.csv", (HEAD + BODY).replace(b",", b"\t"), "refused", 'declare delimiter: "\\t"'),
    "shifted columns": (STRICT, f"{NAME}.csv", HEAD + BODY.replace(b",N", b",extra,N"), "refused", "rule columns"),
    "one row shifted": (STRICT, f"{NAME}.csv", HEAD + BODY + b"41,a,b,01/02/1980\n", "landed", ["columns"]),
    "short rows": (STRICT, f"{NAME}.csv", HEAD + BODY + b"41\n42,a\n", "landed", ["columns", "columns"]),
    "a column lost": (STRICT, f"{NAME}.csv", b"ID,NAME\n1,a\n", "refused", 'column "BORN" is missing'),
    "a column renamed": (STRICT, f"{NAME}.csv", HEAD.replace(b"BORN", b"BORN_"), "refused", 'did you mean "BORN_"?'),
    "a column twice": (STRICT, f"{NAME}.csv", b"ID,NAME,NAME,BORN\n1,a,b,\n", "refused", "stands twice"),
    "an unnamed column": (STRICT, f"{NAME}.csv", HEAD.replace(b"BORN", b"BORN,") + b"1,a,,x\n", "landed", []),
    "columns in another order": (STRICT, f"{NAME}.csv", b"BORN,NAME,ID\n,a,1\n", "landed", []),
    "NUL in a value": (STRICT, f"{NAME}.csv", HEAD + BODY + b"41,a\0b,\n", "landed", ["nul_byte"]),
    "NUL in the header": (STRICT, f"{NAME}.csv", b"ID,NA\0ME,BORN\n1,a,\n", "refused", "NAME"),
    "NULs everywhere": (STRICT, f"{NAME}.csv", HEAD + b"\0" * 5000, "unreadable", "binary"),
    "unclosed quote at the start": (STRICT, f"{NAME}.csv", HEAD + b'0,"x\n' + BODY, "refused", "quote"),
    "unclosed quote in the header": (STRICT, f"{NAME}.csv", b'ID,"NAME,BORN\n1,a,\n', "unreadable", "opened in the header"),
    "text after a closing quote": (STRICT, f"{NAME}.csv", HEAD + BODY + b'41,"a"b,\n', "landed", ["quotes"]),
    "quote within a value": (STRICT, f"{NAME}.csv", HEAD + BODY + b'41,say "a",\n', "landed", []),
    "mixed line ends": (STRICT, f"{NAME}.csv", HEAD + BODY + b"41,a,\r\n42,b,\r43,c,\n", "landed", []),
    "a lone return in a value": (STRICT, f"{NAME}.csv", HEAD + BODY + b"41,a\rb,\n", "landed", ["columns", "columns"]),
    "10,000 columns": (STRICT, f"{NAME}.csv", b",".join(b"C%d" % n for n in range(10_000)) + b"\n", "unreadable", "10000"),
    "a line of 50 MB": (STRICT, f"{NAME}.csv", HEAD + b"1," + b"x" * (50 * 2**20) + b"\n" + BODY, "unreadable", "longer than"),
    "a value of 5 MB": (STRICT, f"{NAME}.csv", HEAD + BODY + b"41," + b"x" * (5 * 2**20) + b",\n", "landed", []),
    "formulas": (STRICT, f"{NAME}.csv", HEAD + b"1,=cmd|' /C calc'!A0,\n2,@SUM(A1),\n", "landed", []),
    "SQL in values": (STRICT, f"{NAME}.csv", HEAD + b"1,'; drop table x; --,\n", "landed", []),
    "impossible dates": (STRICT, f"{NAME}.csv", HEAD + BODY + b"41,a,31/02/1980\n42,b,0/0/0\n", "landed", ["date", "date"]),
    "no key": (STRICT, f"{NAME}.csv", HEAD + BODY + b",a,\n , b,\n", "landed", ["key", "key"]),
    "rows of delimiters": (STRICT, f"{NAME}.csv", HEAD + BODY + b",,\n,,\n", "landed", ["key", "key"]),
    "excel trailing end-of-file": (STRICT, f"{NAME}.csv", HEAD + BODY + b"\x1a", "landed", ["columns"]),
    "html error page": (STRICT, f"{NAME}.csv", b"<html><body>502 Bad Gateway</body></html>\n", "refused", "none of the columns"),
    "truncated gz": (STRICT, f"{NAME}.csv.gz", gzip.compress(HEAD + NOISE)[:900], "unreadable", "damaged or truncated"),
    "gz that is no gz": (STRICT, f"{NAME}.csv.gz", HEAD + BODY, "unreadable", "damaged or truncated"),
    "empty gz": (STRICT, f"{NAME}.csv.gz", b"", "unreadable", "empty"),
    "gz of a zip": (STRICT, f"{NAME}.csv.gz", gzip.compress(zipped(("a", b"b"))), "unreadable", "a zip archive"),
    "zip bomb": (STRICT, f"{NAME}.zip", BOMB, "refused", "zip bomb"),
    "gz bomb": (STRICT, f"{NAME}.csv.gz", gzip.compress(b"0" * (80 * 2**20), 9), "refused", "zip bomb"),
    "path traversal": (STRICT, f"{NAME}.zip", zipped((f"../../{NAME}.csv", HEAD + BODY)), "refused", "outside"),
    "absolute path": (STRICT, f"{NAME}.zip", zipped((f"/tmp/{NAME}.csv", HEAD + BODY)), "refused", "outside"),
    "windows path": (STRICT, f"{NAME}.zip", zipped((f"C:\\x\\{NAME}.csv", HEAD + BODY)), "refused", "outside"),
    "zip in a zip": (STRICT, f"{NAME}.zip", zipped(("inner.zip", zipped(("a", b"b")))), "refused", "another archive"),
    "encrypted zip": (STRICT, f"{NAME}.zip", bytes(ENCRYPTED), "refused", "password"),
    "empty zip": (STRICT, f"{NAME}.zip", zipped(), "unreadable", "empty"),
    "zip without its first byte": (STRICT, f"{NAME}.zip", zipped((f"{NAME}.csv", HEAD + BODY))[1:], "unreadable", "damaged"),
    "truncated zip": (STRICT, f"{NAME}.zip", zipped((f"{NAME}.csv", HEAD + NOISE))[:2000], "unreadable", "truncated"),
    "zip with a wrong checksum": (STRICT, f"{NAME}.zip",
                                  zipped((f"{NAME}.csv", HEAD + BODY), method=0).replace(b"Name7", b"Nome7"),
                                  "unreadable", "damaged"),
    "zip of 2,000 files": (STRICT, f"{NAME}.zip", zipped(*((f"{n}.csv", b"") for n in range(2000))), "refused", "2000"),
    "JSON cut in the middle": (JSON, f"{NAME}.json", b'{"rows": [{"ID": 1, "NA', "unreadable", "not valid JSON"),
    "JSON that is no JSON": (JSON, f"{NAME}.json", b"hello", "unreadable", "not valid JSON"),
    "JSON empty": (JSON, f"{NAME}.json", b"", "unreadable", "empty"),
    "JSON rows elsewhere": (JSON, f"{NAME}.json", b'{"items": []}', "refused", "rows_at"),
    "JSON rows are no array": (JSON, f"{NAME}.json", b'{"rows": 5}', "refused", "no array"),
    "JSON no rows": (JSON, f"{NAME}.json", b'{"rows": []}', "header_only", "header only"),
    "JSON elements are no objects": (JSON, f"{NAME}.json", b'{"rows": [1, 2]}', "refused", "rule json"),
    "JSON too deep": (JSON, f"{NAME}.json", b"[" * 100_000, "unreadable", "JSON"),
    "JSON in another encoding": (JSON, f"{NAME}.json", b'{"rows": [{"ID": "\xe9"}]}', "unreadable", "not utf-8"),
    "JSON lines with one broken": (LINES, f"{NAME}.jsonl",
                                   b"".join(b'{"ID": %d, "NAME": "a"}\n' % n for n in range(20)) + b'{"ID": 2',
                                   "landed", ["json"]),
    "JSON lines all broken": (LINES, f"{NAME}.jsonl", BODY, "refused", "rule json"),
    "JSON lines without the key": (LINES, f"{NAME}.jsonl", b'{"IDS": 1, "NAME": "a"}\n', "refused", 'did you mean "IDS"?'),
    "JSON lines with a line of 20 MB": (LINES, f"{NAME}.jsonl", b'{"ID": "' + b"x" * (20 * 2**20) + b'"}\n',
                                        "unreadable", "longer than"),
    "xlsx that is no xlsx": (XLSX, f"{NAME}.xlsx", HEAD + BODY, "unreadable", "no xlsx workbook"),
    "xlsx truncated": (XLSX, f"{NAME}.xlsx", sheet(rows)[:3000], "unreadable", "truncated"),
    "xlsx that is another zip": (XLSX, f"{NAME}.xlsx", zipped(("a", b"b")), "unreadable", "damaged"),
    "xlsx empty sheet": (XLSX, f"{NAME}.xlsx", sheet(lambda page: None), "unreadable", "the sheet is empty"),
    "xlsx merged cells": (XLSX, f"{NAME}.xlsx", sheet(merged), "refused", "rule required"),
    "xlsx without its sheet": (XLSX.replace("format: xlsx", "format: xlsx, sheet: Data"), f"{NAME}.xlsx", sheet(rows),
                               "refused", 'no sheet "Data"'),
    "xlsx bomb": (XLSX, f"{NAME}.xlsx", zipped(("xl/worksheets/sheet1.xml", b"0" * (80 * 2**20))), "refused", "unpacks"),
    "Parquet that is no Parquet": (PARQUET, f"{NAME}.parquet", HEAD + BODY, "unreadable", "no Parquet file"),
    "Parquet truncated": (PARQUET, f"{NAME}.parquet", parquet(TABLE)[:-20], "unreadable", "cannot be read as parquet"),
    "Parquet lacks a column": (PARQUET, f"{NAME}.parquet", parquet(TABLE.drop_columns(["BORN"])), "refused", '"BORN"'),
    "Parquet of wrong types": (PARQUET, f"{NAME}.parquet",
                               parquet(pa.table({"ID": [1], "NAME": [[1, 2]], "BORN": [12.5]})), "refused", "rule date"),
    "Parquet without rows": (PARQUET, f"{NAME}.parquet", parquet(TABLE.slice(0, 0)), "header_only", "header only"),
    "fixed width, short lines": (FIXED, f"{NAME}.txt", b"001Martin\n002Durand01/02/1980\n", "refused", "rule columns"),
    "fixed width, csv instead": (FIXED, f"{NAME}.txt", HEAD + BODY, "refused", "rule columns"),
    "no date in the name": (STRICT, "shop_20269999.csv", HEAD + BODY, "unmatched", "no source claims this file"),
    "newline in the name": (STRICT, "shop_20261119\n.csv", HEAD + BODY, "landed", []),
    "very long name": (STRICT, f"{NAME}{'x' * 200}.csv", HEAD + BODY, "landed", []),
    "name of a path": (STRICT, f"{NAME}..%2f..%2f.csv", HEAD + BODY, "landed", []),
}  # fmt: skip


@pytest.mark.parametrize("case", sorted(CORPUS))
def test_a_damaged_file(shop: Shop, tmp_path: Path, case: str) -> None:
    contract, name, content, status, expected = CORPUS[case]
    shop.declare(contract, GOOD)
    shop.drop(name, content)
    shop.drop("good.csv", "ID,NAME\n1,Good\n")
    report = shop.receive()

    assert ("Good",) in shop.landed(columns="last_name")
    record = next(record for record in report.files if record.source != "good")
    assert record.status == status, (record.status, record.message)
    assert record.adds_up
    told = "\n".join((*report.errors, *report.warnings))
    assert "defect" not in told
    if isinstance(expected, str):
        assert expected in told
        assert "shop_2026" in told
        assert len(told.splitlines()) <= 2, "one line for each problem"
        if status != "header_only":
            assert not list(shop.workspace.landing.glob("customer/source=shop/*/*.parquet"))
    else:
        assert [rule for (rule,) in shop.quarantined("rule")] == expected
    kept = [p for p in shop.workspace.data.rglob("*") if p.is_file() and p.read_bytes() == content]
    assert kept, "the original is kept somewhere"
    assert [path.name for path in tmp_path.iterdir()] == ["ws"], "nothing is written outside the workspace"
    assert json.dumps(report.counts())
    assert shop.receive(DAY).count("landed") == 0


def test_the_corpus_is_large() -> None:
    assert len({(contract, content) for contract, _, content, _, _ in CORPUS.values()}) >= 60


#: What would take the most memory if it were read as it asks to be.
HUNGRY = ("a line of 50 MB", "a value of 5 MB", "10,000 columns", "zip bomb", "gz bomb", "xlsx bomb", "JSON too deep")
#: Memory of a process that has the libraries loaded is about 250 MB; the largest of these files asks for 80 MB.
MOST_MEGABYTES = 700

# VmHWM is of this program alone; ru_maxrss would be at least what the process that started it held.
_ALONE = """
import re, sys
from pathlib import Path
from tests.unit.ingest.conftest import Shop
from tests.unit.ingest.test_damaged_files import CORPUS
from orchestration.settings import Workspace
contract, name, content, status, _ = CORPUS[sys.argv[1]]
shop = Shop(Workspace(Path(sys.argv[2])))
shop.workspace.prepare()
shop.declare(contract)
shop.drop(name, content)
del content
assert [record.status for record in shop.receive().files] == [status]
print(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize("case", HUNGRY)
def test_a_file_that_asks_for_memory_does_not_get_it(case: str, project: Path, tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", _ALONE, case, str(tmp_path / "ws")],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr[-500:]
    assert int(told.stdout) < MOST_MEGABYTES

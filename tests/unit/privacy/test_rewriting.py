"""Files without some of their rows: every format, the numbers of the others, nothing done twice."""

from __future__ import annotations

import gzip
import json
import random
import sqlite3
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import python_calamine
import xlsxwriter

from orchestration import rewriting
from orchestration.rewriting import Edit, Layout

CSV = Layout("csv", delimiter=";")
LINES = 'id;name;note\n1;Ada Nulle;"first\nsecond"\n2;Bo Rien;x\n3;Cy Neant;y\n'


def edit(path: Path, layout: Layout, what: Edit) -> int:
    return rewriting.edit_file(path, layout, lambda name: what)


def test_a_csv_record_over_two_lines_goes_and_the_others_keep_their_numbers(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text(LINES, encoding="utf-8")
    assert edit(file, CSV, Edit(drop=frozenset({2}))) == 1
    assert file.read_text(encoding="utf-8").split("\n") == ["id;name;note", "", "", "2;Bo Rien;x", "3;Cy Neant;y", ""]


def test_a_second_time_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text(LINES, encoding="utf-8")
    what = Edit(
        drop=frozenset({2}), blank=frozenset({4}), kept=frozenset({"id"}), pattern=rewriting.pattern_of({"Cy Neant"})
    )
    assert edit(file, CSV, what) == 3
    before = file.read_bytes()
    assert edit(file, CSV, what) == 0
    assert file.read_bytes() == before


def test_a_blanked_line_keeps_the_columns_named_and_no_other(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text(LINES, encoding="utf-8")
    edit(file, CSV, Edit(blank=frozenset({4}), kept=frozenset({"ID", "note"})))
    assert file.read_text(encoding="utf-8").splitlines()[3] == "2;;x"


def test_an_unclosed_quote_takes_no_other_row_with_it(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text('id;name\n1;"Ada\n2;Bo\n3;Cy\n', encoding="utf-8")
    edit(file, CSV, Edit(drop=frozenset({2}), known=frozenset({3, 4})))
    assert file.read_text(encoding="utf-8") == "id;name\n\n2;Bo\n3;Cy\n"


def test_bytes_that_are_not_text_survive(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(b"id;name\r\n1;Ada\r\n2;B\xff\xfeo\r\n")
    edit(file, CSV, Edit(drop=frozenset({2})))
    assert file.read_bytes() == b"id;name\r\n\r\n2;B\xff\xfeo\r\n"


def test_fixed_width_blanks_by_place(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("001Ada  \n002Bo   \n", encoding="utf-8")
    layout = Layout("fixed", fields={"id": (1, 3), "name": (4, 5)})
    edit(file, layout, Edit(blank=frozenset({2}), kept=frozenset({"id"})))
    assert file.read_text(encoding="utf-8") == "001Ada  \n002     \n"


def test_json_lines_are_dropped_or_pruned(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    rows = [
        {"id": n, "who": {"email": f"p{n}@exemple.example"}, "items": [{"ref": "X", "gift": "Ada"}]} for n in (1, 2, 3)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    edit(file, Layout("jsonl"), Edit(drop=frozenset({1}), blank=frozenset({2}), kept=frozenset({"id", "items.ref"})))
    lines = file.read_text(encoding="utf-8").splitlines()
    assert lines[0] == ""
    assert json.loads(lines[1]) == {"id": 2, "items": [{"ref": "X"}]}
    assert json.loads(lines[2]) == rows[2]


@pytest.mark.parametrize("place", [None, "data.rows"])
def test_a_json_document_keeps_its_shape(tmp_path: Path, place: str | None) -> None:
    file = tmp_path / "a.json"
    rows = [{"id": 1, "name": "Ada"}, {"id": 2, "name": "Bo"}]
    file.write_text(json.dumps(rows if place is None else {"data": {"rows": rows}}), encoding="utf-8")
    assert edit(file, Layout("json", rows_at=place), Edit(drop=frozenset({1}))) == 1
    told = json.loads(file.read_text(encoding="utf-8"))
    assert (told if place is None else told["data"]["rows"]) == [{}, {"id": 2, "name": "Bo"}]


def test_parquet_rows_become_nulls_in_place(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table({"id": [1, 2, 3], "name": ["Ada", "Bo", "Cy"], "at": [[1], [2], None]}), file)
    what = Edit(drop=frozenset({1}), blank=frozenset({2}), kept=frozenset({"id"}))
    assert edit(file, Layout("parquet"), what) == 2
    assert pq.read_table(file).to_pylist() == [
        {"id": None, "name": None, "at": None}, {"id": 2, "name": None, "at": None}, {"id": 3, "name": "Cy", "at": None},
    ]  # fmt: skip


def test_a_workbook_loses_the_row_and_its_shared_texts(tmp_path: Path) -> None:
    file = tmp_path / "a.xlsx"
    with xlsxwriter.Workbook(str(file)) as book:
        sheet = book.add_worksheet("Clients")
        for at, row in enumerate([["id", "name"], [1, "Ada Nulle"], [2, "Bo Rien"]]):
            sheet.write_row(at, 0, row)
    edit(file, Layout("xlsx"), Edit(drop=frozenset({2})))
    with zipfile.ZipFile(file) as inside:
        assert not any(b"Ada" in inside.read(name) for name in inside.namelist())
    rows = python_calamine.CalamineWorkbook.from_path(str(file)).get_sheet_by_index(0).to_python(skip_empty_area=False)
    assert rows == [["id", "name"], ["", ""], [2.0, "Bo Rien"]]


def test_packed_files_are_opened(tmp_path: Path) -> None:
    packed, archive = tmp_path / "a.csv.gz", tmp_path / "b.zip"
    packed.write_bytes(gzip.compress(LINES.encode()))
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr("in/one.csv", LINES)
        out.writestr("two.csv", "id;name\n9;Di\n")
    what = Edit(drop=frozenset({4}))
    assert edit(packed, CSV, what) == 1
    assert b"Bo" not in gzip.decompress(packed.read_bytes())
    assert rewriting.edit_file(archive, CSV, lambda name: what if name == "one.csv" else None) == 1
    with zipfile.ZipFile(archive) as inside:
        assert inside.namelist() == ["in/one.csv", "two.csv"]
        assert b"Bo" not in inside.read("in/one.csv")
        assert inside.read("two.csv") == b"id;name\n9;Di\n"


def test_a_pattern_finds_whole_words_and_what_json_escapes(tmp_path: Path) -> None:
    pattern = rewriting.pattern_of({"10 rue des Écoles"})
    assert pattern and pattern.search("au 10 RUE DES ÉCOLES, Paris")
    assert pattern.search(json.dumps({"a": "10 rue des Écoles"}))
    assert not pattern.search("110 rue des Écoles")
    assert rewriting.pattern_of(set()) is None


def test_sqlite_keeps_no_byte_of_what_was_taken_out(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    with sqlite3.connect(file) as connection:
        connection.execute("create table events (id integer, told text)")
        connection.executemany(
            "insert into events values (?, ?)", [(n, f"row of ada{n}@exemple.example") for n in range(500)]
        )
    connection.close()
    assert b"ada7@exemple.example" in file.read_bytes()
    pattern = rewriting.pattern_of({"ada7@exemple.example"})
    assert pattern and rewriting.edit_sqlite(file, pattern) == 1
    assert b"ada7@exemple.example" not in file.read_bytes()
    assert b"ada8@exemple.example" in file.read_bytes()


def test_many_texts_are_found_where_each_alone_would_be() -> None:
    """Against a plain search for whole words, one text after the other, the longest first."""
    draw = random.Random(5)
    for _ in range(300):
        forms = {"".join(draw.choice("ab.@ é") for _ in range(draw.randint(1, 5))) for _ in range(draw.randint(1, 9))}
        wanted = sorted({form.lower() for form in forms if form.strip()}, key=len, reverse=True)
        text = "".join(draw.choice("ab.@ éAB") for _ in range(25))
        found, at = [], 0
        while at < len(text):
            here = next(
                (w for w in wanted if text[at : at + len(w)].lower() == w and not is_inside(text, at, len(w))), None
            )
            found += [text[at : at + len(here)]] if here else []
            at += len(here) if here else 1
        pattern = rewriting.pattern_of(set(wanted))
        assert (pattern.findall(text) if pattern else []) == found, (wanted, text)


def is_inside(text: str, at: int, length: int) -> bool:
    """Whether a letter or digit stands right before or after."""
    around = text[at - 1 : at] + text[at + length : at + length + 1]
    return any(letter.isalnum() for letter in around)


@pytest.mark.parametrize("form", ["csv", "jsonl", "json", "parquet"])
def test_a_row_that_is_spared_keeps_what_tells_of_nobody(tmp_path: Path, form: str) -> None:
    rows = [{"id": "1", "note": "for Ada Nulle", "net": "5"}, {"id": "2", "note": "x", "net": "7"}]
    file = tmp_path / f"a.{form}"
    if form == "csv":
        file.write_text("id;note;net\n" + "".join(";".join(row.values()) + "\n" for row in rows), encoding="utf-8")
    elif form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), file)
    else:
        told = json.dumps(rows) if form == "json" else "".join(json.dumps(row) + "\n" for row in rows)
        file.write_text(told, encoding="utf-8")
    what = Edit(kept=frozenset({"id", "net"}), pattern=rewriting.pattern_of({"Ada Nulle"}), spares=True)
    layout = Layout(form, delimiter=";")
    assert edit(file, layout, what) == 1
    raw = file.read_bytes()
    assert b"Ada" not in raw
    if form == "parquet":
        assert pq.read_table(file).to_pylist() == [{"id": "1", "note": None, "net": "5"}, rows[1]]
    elif form == "csv":
        assert raw.decode().splitlines() == ["id;note;net", "1;;5", "2;x;7"]
    else:
        left = json.loads(raw) if form == "json" else [json.loads(line) for line in raw.splitlines()]
        assert left == [{"id": "1", "net": "5"}, rows[1]]
    assert edit(file, layout, what) == 0

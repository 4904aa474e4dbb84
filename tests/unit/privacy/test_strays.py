"""Files that no domain knows: told from ours by where they lie, searched and cleaned whatever they are."""

from __future__ import annotations

import gzip
import re
import sqlite3
import tarfile
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlsxwriter

from orchestration.contracts.subject import Subject
from orchestration.privacy import strays
from orchestration.settings import Workspace

ADA, BO = "ada.lune@exemple.example", "bo.soleil@exemple.example"
SUBJECT = Subject(
    customer_ids=frozenset({"c000000000000001"}),
    records=frozenset({("crm", "C-000777"), ("crm", "7")}),
    texts=frozenset({ADA}),
)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path)
    workspace.prepare()
    return workspace


def test_every_table_of_the_registry_is_known(project: Path) -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in sorted((project / "orchestration").rglob("*.py")))
    found = re.findall(r"RegistryTable\(\s*(?:name=)?\"([a-z_]+)\"", code)
    assert sorted(found) == sorted(strays.REGISTRY_TABLES)


def test_what_lies_in_its_place_is_no_stray_and_a_copy_beside_it_is(workspace: Workspace) -> None:
    ours = [
        "landing/customer/source=crm/batch=2026-01-01/0a1b.parquet", "landing/customer/_empty.parquet",
        "registry/runs/20260101-0001-aa.parquet", "registry/commits/20260101-0001.json", "registry/privacy/keys.json",
        "quarantine/rows/source=crm/0a1b.parquet", "quarantine/files/unmatched/x.csv", "quarantine/to_mend.jsonl",
        "build/warehouse.duckdb", "build/scratch/warehouse.duckdb", "build/warehouse.duckdb.wal", "build/dbt/target/manifest.json",
        "published/roles/aggregate/rcu.duckdb", "reports/20260101-0001/run.html", "exports/letter/letter.csv",
        "inbox/crm_clients_20260101.csv", ".dagster/history/runs.db", ".run.lock", "README.md",
    ]  # fmt: skip
    others = [
        "landing/customer/copy.parquet", "landing/customers/source=crm/batch=2026-01-01/0a1b.parquet", "landing.bak/x.parquet",
        "registry/objections_old/x.parquet", "build/warehouse copy.duckdb", "published/rcu-20260101-0001/rcu.duckdb",
        "archive/crm/2026-01-01/unknown.csv", "reports/mine.html", "notes.txt",
    ]  # fmt: skip
    for place in [*ours, *others]:
        path = workspace.data / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x", encoding="utf-8")
    found = {path.relative_to(workspace.data).as_posix() for path in strays.stray_files(workspace)}
    assert found == set(others)


def kept(path: Path) -> str:
    """All that can be read in a file, by means of its own."""
    raw = path.read_bytes()
    if path.suffix == ".gz":
        return gzip.decompress(raw).decode()
    if path.suffix == ".parquet":
        return repr(pq.read_table(path).to_pylist())
    if path.suffix == ".duckdb":
        with duckdb.connect(str(path), read_only=True) as connection:
            return repr(connection.execute("select * from s.people").fetchall()) + raw.decode("latin-1")
    if path.suffix == ".xlsx":
        import python_calamine

        return repr(python_calamine.CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0).to_python())
    return raw.decode("latin-1")


def test_each_kind_of_file_loses_the_person_and_keeps_the_others(workspace: Workspace) -> None:
    folder = workspace.data / "mine"
    folder.mkdir()
    text = f"email;id\n{ADA};1\n{BO};2\nx;C-000777\ny;c000000000000001\n"
    (folder / "a.csv").write_text(text, encoding="utf-8")
    (folder / "b.txt.gz").write_bytes(gzip.compress(text.encode()))
    pq.write_table(pa.table({"email": [ADA, BO], "note": ["n", None]}), folder / "c.parquet")
    with duckdb.connect(str(folder / "d.duckdb")) as connection:
        connection.execute("set force_compression = 'uncompressed'; create schema s")
        connection.execute("create table s.people as select * from (values (?), (?)) as given(email)", [ADA, BO])
    with sqlite3.connect(folder / "e.db") as connection:
        connection.execute("create table people (email text)")
        connection.executemany("insert into people values (?)", [(ADA,), (BO,)])
    connection.close()
    with xlsxwriter.Workbook(str(folder / "f.xlsx")) as book:
        sheet = book.add_worksheet()
        for row, value in enumerate(["email", ADA, BO]):
            sheet.write(row, 0, value)
    folder.chmod(0o550)  # as a copy of a publication is
    before = {path.name: kept(path) for path in sorted(folder.iterdir())}
    assert [name for name, held in before.items() if ADA not in held or BO not in held] == []
    done = strays.erase(workspace, SUBJECT)
    assert (done.cleaned, done.left) == (6, ())
    assert folder.stat().st_mode & 0o777 == 0o550
    after = {path.name: kept(path) for path in sorted(folder.iterdir())}
    assert [name for name, held in after.items() if ADA in held] == []
    assert [name for name, held in after.items() if BO not in held] == []
    assert "C-000777" not in after["a.csv"] and "c000000000000001" not in after["a.csv"]
    assert strays.erase(workspace, SUBJECT).cleaned == 0


def test_what_cannot_be_cleaned_is_named(workspace: Workspace) -> None:
    (workspace.data / "photo.bin").write_bytes(b"\0\1\2" + ADA.encode())
    (workspace.data / "harmless.bin").write_bytes(b"\0\1\2" + BO.encode())
    (workspace.data / "old.7z").write_bytes(b"7z\xbc\xaf\x27\x1c" + bytes(40))
    with tarfile.open(workspace.data / "old.tar", "w") as archive:
        (workspace.root / "x.txt").write_text(ADA, encoding="utf-8")
        archive.add(workspace.root / "x.txt", "x.txt")
    done = strays.erase(workspace, SUBJECT)
    assert done.left == ("data/old.7z", "data/old.tar", "data/photo.bin")
    assert [path.name for path in strays.holding(workspace, SUBJECT)] == ["old.7z", "old.tar", "photo.bin"]

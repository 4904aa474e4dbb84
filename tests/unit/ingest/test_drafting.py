"""A contract draft against what a person would write: the demo's extracts, and those of another retailer."""

from __future__ import annotations

import datetime as dt
import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration.cli import cli
from orchestration.contracts.company import Company
from orchestration.contracts.loader import parse, validate
from orchestration.contracts.source import Source, check_source, load_source, match_name
from orchestration.contracts.starter import write_starter
from orchestration.errors import DeclarationError, UsageError
from orchestration.ingest import ingest
from orchestration.ingest.drafting import draft_contract
from orchestration.samples.generate import generate
from orchestration.settings import Workspace

from .other_retailer import EXTRACTS

Roles = dict[str, set[str]]


def read_back(text: str) -> Source:
    return validate(parse(text, "draft.yml"), Source)


def without_todos(text: str) -> Source:
    """As a person would leave it who agrees with every guess."""
    source = read_back(text)
    delivers = {
        name: delivery.model_copy(
            update={"columns": {c: r.model_copy(update={"todo": None}) for c, r in delivery.columns.items()}}
        )
        for name, delivery in source.delivers.items()
    }
    return source.model_copy(update={"todo": {}, "delivers": delivers})


def roles(source: Source) -> Roles:
    """What each column of the file is taken for. The key of a consent may be made in several ways: left out."""
    found: Roles = {}
    for entity, delivery in source.delivers.items():
        inside = f"{delivery.each}[]." if delivery.each else ""
        for name in delivery.key or ():
            if entity != "consent":
                found.setdefault(name, set()).add(f"{entity}.key")
        for canonical, rule in delivery.columns.items():
            for name in rule.columns or ():
                found.setdefault(name, set()).add(f"{entity}.{canonical}")
        for name in delivery.custom.values():
            found.setdefault(name, set()).add(f"{entity}.custom")
        for name in delivery.tags:
            found.setdefault(name, set()).add(f"{entity}.tags")
        if inside:
            for name in list(found):
                found[inside + name] = found[name]
    for name in source.ignored:
        found.setdefault(name, set()).add("ignored")
    return found


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    generate(folder, customers=1500, seed=5, days=0, until=dt.date(2026, 11, 20))
    return folder


@pytest.fixture(scope="module")
def declared(project: Path) -> dict[str, Source]:
    return {path.stem: load_source(path) for path in (project / "declarations" / "sources").glob("*.yml")}


def demo_files(demo: Path, declared: dict[str, Source]) -> Iterator[tuple[Path, Source]]:
    for path in sorted(demo.iterdir()):
        name = path.name.removesuffix(".gz")
        yield path, next(source for source in declared.values() if match_name(source.file, name))


def test_nine_columns_in_ten_of_the_demo_are_mapped_as_by_hand(demo: Path, declared: dict[str, Source]) -> None:
    right, wrong = 0, []
    files = 0
    for path, source in demo_files(demo, declared):
        files += 1
        by_hand, drafted = roles(source), roles(read_back(draft_contract(path).text))
        for column, meaning in by_hand.items():
            if drafted.get(column) == meaning:
                right += 1
            else:
                wrong.append((path.name, column, meaning, drafted.get(column)))
    assert files == 14
    assert right + len(wrong) >= 190
    assert right / (right + len(wrong)) >= 0.9, wrong


def test_the_layout_of_every_demo_file_is_seen(demo: Path, declared: dict[str, Source]) -> None:
    for path, source in demo_files(demo, declared):
        drafted = read_back(draft_contract(path).text)
        assert (drafted.file.format, drafted.file.delimiter, drafted.file.decimal) == (
            source.file.format, source.file.delimiter, source.file.decimal,
        ), path.name  # fmt: skip
        # ASCII is UTF-8 too.
        assert drafted.file.encoding in (source.file.encoding, "utf-8" if source.file.encoding == "ascii" else "")
        name = path.name.removesuffix(".gz")
        assert match_name(drafted.file, name) == match_name(source.file, name)


def test_drafts_whose_guesses_are_taken_land_the_demo(demo: Path, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "ws")
    workspace.prepare()
    sources = {}
    for path in sorted(demo.iterdir()):
        (workspace.inbox / path.name).write_bytes(path.read_bytes())
        source = without_todos(draft_contract(path).text)
        assert check_source(source, parse("{}", "draft.yml")) == []
        sources[source.source] = source
    report = ingest(
        workspace, sources, Company(name="Test"), received_on=dt.date(2026, 11, 20), is_forward=True, run_id="test",
        settle_seconds=0,
    )  # fmt: skip
    assert report.errors == ()
    assert report.count("landed") == 14
    assert report.rows_quarantined / report.rows_read < 0.005


def of_other_retailer(tmp_path: Path) -> list[tuple[str, str, str, str]]:
    """(file, column, what it is, what the draft takes it for)."""
    told = []
    for name, (content, expected) in EXTRACTS.items():
        path = tmp_path / name
        path.write_bytes(content)
        found = roles(read_back(draft_contract(path).text))
        for column, meaning in expected.items():
            plain = column.split("[].")[-1]
            taken = sorted(found.get(column, found.get(plain, found.get(f"$.{plain}", set()))))
            aside = not taken or taken == ["ignored"] or all(t.endswith(("custom", "ignored")) for t in taken)
            told.append((name, column, meaning, "aside" if aside else "+".join(taken)))
    return told


def test_the_names_of_another_retailer_are_understood_too(tmp_path: Path) -> None:
    told = of_other_retailer(tmp_path)
    wrong = [row for row in told if row[3] not in ("+".join(sorted(part.split("+"))) for part in row[2].split("|"))]
    assert len(told) > 120
    assert 1 - len(wrong) / len(told) >= 0.9, wrong


def draft_of(tmp_path: Path, name: str, content: bytes) -> str:
    path = tmp_path / name
    path.write_bytes(content)
    return draft_contract(path).text


def test_what_is_not_sure_is_named_with_its_line_until_it_is_decided(tmp_path: Path) -> None:
    text = draft_of(tmp_path, "people.csv", b"id,nom,dt_naiss\n" + b"".join(b"%d,Roche,0%d/02/1980\n" % (n, n % 9 + 1) for n in range(30)))  # fmt: skip
    document = parse(text, "people.yml")
    told = [str(problem) for problem in check_source(validate(document, Source), document)]
    line = next(n for n, row in enumerate(text.splitlines(), start=1) if "no day after the 12th" in row)
    assert f'people.yml:{line}: to decide: "birth_on": no day after the 12th tells %d/%m/%Y from %m/%d/%Y' in "\n".join(
        told
    )
    assert any("trust_rank" in problem for problem in told)
    assert check_source(without_todos(text), document) == []


def test_a_draft_holds_no_value_of_a_person(tmp_path: Path) -> None:
    content, _ = EXTRACTS["customers_2026-11-15.csv"]
    text = draft_of(tmp_path, "customers_2026-11-15.csv", content)
    for row in content.decode().splitlines()[1:]:
        for value in row.split(",")[2:9]:
            assert len(value) < 4 or value not in text


def test_fixed_fields_without_blanks_between_are_told_apart(tmp_path: Path) -> None:
    rows = [
        f"{n:06d}{'MARTIN' if n % 2 else 'DE LA TOUR':<12}{n % 28 + 1:02d}{n % 12 + 1:02d}19{n + 40}{75001 + n}PARIS   \n"
        for n in range(30)
    ]
    layout = read_back(draft_of(tmp_path, "a.txt", "".join(rows).encode())).file
    assert list((layout.fields or {}).values()) == [(1, 6), (7, 12), (19, 8), (27, 5), (32, 8)]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.csv", "N°;Prénom;Ville\n1;Zoé;Orléans\n2;Léa;Nîmes\n".encode("cp850"), {"encoding": "cp850"}),
        ("a.csv", "N°;Prénom;Ville\n1;Zoé;Orléans\n2;Léa;Nîmes\n".encode("mac-roman"), {"encoding": "mac-roman"}),
        ("a.csv", "id,name\n1,Zoé\n".encode("utf-16"), {"encoding": "utf-16"}),
        ("a.csv", b"Export of 3 May\n\nid|mail\n1|a@example.org\n2|b@example.org\n3|c@example.org\n", {"delimiter": "|", "skip_lines": 2}),
        ("a.csv", b"1;a@example.org;12,50\n2;b@example.org;1 200,00\n", {"names": ("column_1", "column_2", "column_3"), "decimal": ","}),
        ("a.csv", b'id,note\n1,"two\nlines"\n2,"a ""b"" c"\n3,x\n', {"delimiter": ",", "quote": '"'}),
        ("a.csv", b"id;size\n1;5\" tall\n2;6\" tall\n3;7\"\n", {"quote": None}),
        ("a.csv", b"id,mail\n1,NULL\n2,a@example.org\n3,b@example.org\n", {"nulls": ("", "NULL")}),
        ("a.json", b'{"data": {"rows": [{"id": 1}, {"id": 2}]}}', {"format": "json", "rows_at": "data.rows"}),
        ("a.jsonl", b'{"id": 1}\n{"id": 2}\n', {"format": "jsonl"}),
        ("a.txt", b"ID   NAME     \n0001 Martin   \n0002 Durand   \n0003 Roche    \n", {"format": "fixed", "skip_lines": 1}),
    ],
)  # fmt: skip
def test_the_layout_is_seen(tmp_path: Path, name: str, content: bytes, expected: dict[str, object]) -> None:
    layout = read_back(draft_of(tmp_path, name, content)).file
    assert {key: getattr(layout, key) for key in expected} == expected


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.csv", b"", "empty"),
        ("a.csv", b"\n\n \n", "blank lines"),
        ("a.bin", bytes(range(256)) * 20, "binary"),
        ("a.json", b'{"rows": [{"id": 1', "not valid JSON"),
        ("a.xlsx", b"PK\x03\x04 no workbook", "no xlsx workbook"),
        ("a.parquet", b"PAR1 no Parquet", "Parquet"),
        ("a.csv.gz", b"no gzip", "damaged"),
    ],
)
def test_what_is_no_extract_is_refused_in_one_line(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    with pytest.raises(UsageError) as refused:
        draft_of(tmp_path, name, content)
    assert told in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_only_the_start_of_a_large_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    row = b"1,a@example.org,Roche\n"
    with path.open("wb") as out:
        out.write(b"id,mail,nom\n" + row * 400_000)
        out.write(b"\0" * 1000)  # what comes far behind changes nothing
    assert read_back(draft_contract(path).text).delivers["customer"].columns["email"].columns == ("mail",)


@pytest.mark.parametrize(
    ("name", "pattern", "date_format"),
    [
        ("clients_20261115.csv", "clients_{date}.csv", "%Y%m%d"),
        ("clients-2026-11-15.csv.gz", "clients-{date}.csv", None),
        ("clients_15112026.csv", "clients_{date}.csv", "%d%m%Y"),
        ("clients_261115.zip.csv", "clients_{date}.zip.csv", "%y%m%d"),
        ("clients.csv", "clients.csv", None),
        ("x_20261115_083000.csv", "x_{date}.csv", "%Y%m%d_%H%M%S"),
    ],
)
def test_the_date_in_a_name_becomes_a_pattern(tmp_path: Path, name: str, pattern: str, date_format: str | None) -> None:
    content = b"id,mail\n1,a@example.org\n2,b@example.org\n"
    layout = read_back(draft_of(tmp_path, name, gzip.compress(content) if name.endswith(".gz") else content)).file
    assert layout.pattern == pattern
    assert layout.date_format == (date_format or "%Y-%m-%d")


def test_the_command_writes_a_draft_once_and_check_names_what_is_left(
    tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("RCU_WORKSPACE", "DAGSTER_HOME"):
        monkeypatch.setenv(name, str(tmp_path))  # the command sets them: put back after the test
    root = tmp_path / "shop"
    write_starter(root)
    extract = tmp_path / "survey_20261120.csv"
    extract.write_text(
        "answer_id,date,email,score\n" + "".join(f"{n},2026-11-{n},a{n}@example.org,9\n" for n in range(10, 20))
    )
    rcu = ["--workspace", str(root)]
    cli.main([*rcu, "source", "new", str(extract)], standalone_mode=False)
    written = root / "declarations" / "sources" / "survey.yml"
    assert "event_type: {constant: survey_answer}" in written.read_text()
    with pytest.raises(DeclarationError) as refused:
        cli.main([*rcu, "check"], standalone_mode=False)
    assert all(line.startswith("declarations/sources/survey.yml:") for line in str(refused.value).splitlines())
    with pytest.raises(UsageError, match="declared already"):
        cli.main([*rcu, "source", "new", str(extract)], standalone_mode=False)
    text = written.read_text()
    written.write_text(text[: text.index("todo:")])
    cli.main([*rcu, "check"], standalone_mode=False)
    capsys.readouterr()
    cli.main([*rcu, "source", "new", str(extract), "--name", "other", "--stdout"], standalone_mode=False)
    assert "source: other" in capsys.readouterr().out
    assert not (root / "declarations" / "sources" / "other.yml").exists()

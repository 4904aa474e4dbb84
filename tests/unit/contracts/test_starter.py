"""The starter that `rcu init` writes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from orchestration.contracts.catalogue import load_catalogue
from orchestration.contracts.source import load_source
from orchestration.contracts.starter import write_starter
from orchestration.errors import DeclarationError, UsageError


def test_the_starter_passes_every_check_of_the_declarations(tmp_path: Path) -> None:
    write_starter(tmp_path / "shop")
    catalogue = load_catalogue(tmp_path / "shop" / "declarations")
    assert set(catalogue.sources) == {"shop_customers", "stewards"}
    assert set(catalogue.gates) == {"landing", "golden", "publish"}
    assert len(catalogue.segments) == 1


def test_the_files_told_are_those_written(tmp_path: Path) -> None:
    written = write_starter(tmp_path / "shop")
    assert written == sorted(path for path in (tmp_path / "shop").rglob("*") if path.is_file())
    assert all(path.is_file() for path in written)


def test_the_inbox_is_there_and_empty(tmp_path: Path) -> None:
    write_starter(tmp_path / "shop")
    assert list((tmp_path / "shop" / "data" / "inbox").iterdir()) == []


def test_every_file_of_the_starter_explains_itself(tmp_path: Path) -> None:
    for path in write_starter(tmp_path / "shop"):
        if path.suffix == ".yml":
            assert "# " in path.read_text(encoding="utf-8"), path.name


def test_data_and_keys_stay_out_of_version_control(tmp_path: Path) -> None:
    write_starter(tmp_path)
    assert {"data/", ".keys/"} <= set((tmp_path / ".gitignore").read_text(encoding="utf-8").split())


def test_declarations_that_are_there_are_never_touched(tmp_path: Path) -> None:
    (tmp_path / "declarations").mkdir()
    (tmp_path / "declarations" / "company.yml").write_text("name: Mine\n", encoding="utf-8")
    with pytest.raises(UsageError, match="there are declarations already"):
        write_starter(tmp_path)
    assert [path.name for path in (tmp_path / "declarations").iterdir()] == ["company.yml"]
    assert not (tmp_path / ".gitignore").exists()


def test_a_gitignore_that_is_there_is_kept(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("mine\n", encoding="utf-8")
    assert tmp_path / ".gitignore" not in write_starter(tmp_path)
    assert (tmp_path / ".gitignore").read_text(encoding="utf-8") == "mine\n"


def test_a_file_is_no_workspace(tmp_path: Path) -> None:
    (tmp_path / "shop").write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match="this is a file"):
        write_starter(tmp_path / "shop")


def test_the_extract_that_the_starter_shows_has_the_columns_of_its_contract(tmp_path: Path) -> None:
    write_starter(tmp_path)
    path = tmp_path / "declarations" / "sources" / "shop_customers.yml"
    header = next(line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#   id;"))
    columns = set(header.removeprefix("#").strip().split(";"))
    source = load_source(path)
    assert columns == {column for _, column in source.columns_read()} | set(source.ignored)


def test_the_starter_matches_as_the_demo_does_but_trains_its_own_model(tmp_path: Path) -> None:
    write_starter(tmp_path / "shop")
    project = Path(__file__).resolve().parents[3]
    starter, demo = (
        yaml.safe_load((root / "declarations" / "matching.yml").read_text(encoding="utf-8"))
        for root in (tmp_path / "shop", project)
    )
    assert demo["model"].pop("file")
    assert starter == demo


@pytest.mark.parametrize("gate", ["landing", "golden", "publish"])
def test_a_gate_that_nobody_declares_is_told_before_a_run(tmp_path: Path, gate: str) -> None:
    write_starter(tmp_path)
    (tmp_path / "declarations" / "quality" / f"{gate}.yml").unlink()
    with pytest.raises(DeclarationError, match=f"declarations/quality/{gate}.yml:1: there is no such file"):
        load_catalogue(tmp_path / "declarations")


def test_a_word_of_a_fixed_list_that_is_misspelt_is_told_with_the_nearest(tmp_path: Path) -> None:
    write_starter(tmp_path)
    source = tmp_path / "declarations" / "sources" / "shop_customers.yml"
    text = source.read_text(encoding="utf-8")
    assert "delivery: full" in text
    source.write_text(text.replace("delivery: full", "delivery: fulll"), encoding="utf-8")
    with pytest.raises(DeclarationError, match=r'shop_customers.yml:\d+: "delivery": .*; did you mean "full"\?'):
        load_source(source)

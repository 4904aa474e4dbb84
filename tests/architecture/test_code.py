"""Rules of the house that no linter holds."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

FORBIDDEN_MODULES = {"utils", "helpers", "common", "manager", "base", "core"}


def tracked(project: Path) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=project, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    return [project / name for name in listed if (project / name).is_file()]


@pytest.fixture(scope="module")
def modules(project: Path) -> dict[Path, ast.Module]:
    files = [f for f in tracked(project) if f.suffix == ".py" and f.relative_to(project).parts[0] == "orchestration"]
    assert len(files) > 20, "the scan found almost no module: it looks in the wrong place"
    return {file: ast.parse(file.read_text(encoding="utf-8")) for file in files}


def test_every_module_says_what_belongs_in_it(modules: dict[Path, ast.Module]) -> None:
    silent = [str(file) for file, tree in modules.items() if not ast.get_docstring(tree) and tree.body]
    assert silent == []


def test_no_module_is_named_after_nothing(modules: dict[Path, ast.Module]) -> None:
    assert [str(file) for file in modules if file.stem in FORBIDDEN_MODULES] == []


def test_only_the_warehouse_opens_a_database(modules: dict[Path, ast.Module]) -> None:
    opening = [
        f"{file.name}:{node.lineno}"
        for file, tree in modules.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr == "connect"
        and isinstance(node.value, ast.Name)
        and node.value.id == "duckdb"
        and file.name != "warehouse.py"
    ]
    assert opening == []


def test_only_settings_reads_the_environment(modules: dict[Path, ast.Module]) -> None:
    reading = [
        f"{file.name}:{node.lineno}"
        for file, tree in modules.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in ("environ", "getenv")
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
        and file.name != "settings.py"
    ]
    assert reading == []


def test_no_file_names_a_path_of_one_machine(project: Path) -> None:
    pattern = re.compile(r"(?<![\w.])/(?:work|root|home/\w+|Users/\w+)/[\w.]")
    found = []
    for file in tracked(project):
        if (
            file.suffix in (".py", ".sql", ".yml", ".yaml", ".md", ".toml", ".sh", "")
            and file.name != Path(__file__).name
        ):
            for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
                if pattern.search(line):
                    found.append(f"{file.relative_to(project)}:{number}")
    assert found == []


def test_the_lock_carries_versions_and_hashes_only(project: Path) -> None:
    lines = (project / "requirements.lock").read_text(encoding="utf-8").splitlines()
    entry = re.compile(r"^[A-Za-z0-9._-]+(\[[a-z0-9, ._-]+\])?==[^\s;]+( ; [^\\]+)?( \\)?$")
    digest = re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$")
    assert [line for line in lines if not (entry.match(line) or digest.match(line))] == []
    assert sum(1 for line in lines if entry.match(line)) > 100


def test_no_declaration_holds_sql_or_a_literal_secret(project: Path) -> None:
    found = []
    for file in (project / "declarations").rglob("*.yml"):
        text = file.read_text(encoding="utf-8")
        if re.search(r"\bselect\b.+\bfrom\b|;\s*drop\b|\bunion\s+all\b", text, re.IGNORECASE):
            found.append(f"{file.name}: SQL")
        if re.search(r"(?im)^\s*(password|secret|token|api_key)\s*:\s*(?!\{|env:)\S", text):
            found.append(f"{file.name}: a literal secret")
    assert found == []

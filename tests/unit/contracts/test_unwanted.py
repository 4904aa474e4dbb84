"""Literal secrets and SQL are refused wherever they stand in the declarations, and never repeated."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orchestration.contracts.catalogue import load_catalogue
from orchestration.contracts.unwanted import unwanted
from orchestration.errors import DeclarationError


def found(folder: Path, text: str) -> list[str]:
    (folder / "declarations").mkdir(exist_ok=True)
    (folder / "declarations" / "x.yml").write_text(text, encoding="utf-8")
    return [str(problem) for problem in unwanted(folder / "declarations", folder)]


@pytest.mark.parametrize(
    "line",
    [
        "password: hunter2",
        "connect: {sftp: {host: h, user: u, password: hunter2}}",
        "api_key: hunter2",
        "smtp_password: 'hunter2'",
        "secret: hunter2",
        "dsn: postgresql://shop:hunter2@db/shop",
        "url: https://shop:hunter2@example.org/hook",
        "options: [a, 'host=db password=hunter2']",
        "note: 'AKIAIOSFODNN7HUNTER2'",
        "key_text: '-----BEGIN RSA PRIVATE KEY----- hunter2'",
    ],
)
def test_a_literal_secret_is_refused_and_not_repeated(tmp_path: Path, line: str) -> None:
    messages = found(tmp_path, f"name: a\n{line}\n")
    assert len(messages) == 1
    assert messages[0].startswith("declarations/x.yml:2: ")
    assert "env:NAME" in messages[0]
    assert "hunter2" not in messages[0].lower()


@pytest.mark.parametrize(
    "line",
    [
        "password: env:SFTP_PASSWORD",
        "secret_key: file:/run/secrets/s3",
        "delivers: {consent: {columns: {token: {from: token, read: text}}}}",
        "ignored: [password, token]",
        "key: CODE_CLIENT",
        "objective: select customers from the newsletter and write to them",
        "describes: what we update and set aside",
        "url: https://example.org/hook",
    ],
)
def test_references_names_and_prose_are_fine(tmp_path: Path, line: str) -> None:
    assert found(tmp_path, f"name: a\n{line}\n") == []


@pytest.mark.parametrize(
    "line",
    [
        "where: select customer_id from rcu.customers",
        'field: "1; drop table rcu.customers"',
        'where: {any: ["email is null union select 1"]}',
        "rule: delete from marts.orders",
        "query: |\n  SELECT *\n  FROM rcu.customers",
    ],
)
def test_sql_is_refused(tmp_path: Path, line: str) -> None:
    messages = found(tmp_path, f"name: a\n{line}\n")
    assert len(messages) == 1
    assert "holds SQL" in messages[0]


def test_the_whole_folder_is_checked_also_files_without_a_model(tmp_path: Path, project: Path) -> None:
    shutil.copytree(project / "declarations", tmp_path / "declarations")
    load_catalogue(tmp_path / "declarations")
    (tmp_path / "declarations" / "activations").mkdir(exist_ok=True)
    target = tmp_path / "declarations" / "segments" / "notes"
    target.mkdir()
    (target / "later.yml").write_text("token: hunter2\n", encoding="utf-8")
    with pytest.raises(DeclarationError, match="holds a secret"):
        load_catalogue(tmp_path / "declarations")

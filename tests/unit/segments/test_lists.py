"""Static lists: taken over whole or not at all; who is erased is taken out."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.contracts.subject import Subject
from orchestration.errors import DeclarationError, UsageError
from orchestration.segments import erase, import_list, listed_in
from orchestration.settings import Workspace


def given(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    file = tmp_path / "given.csv"
    file.write_bytes(text.encode(encoding))
    return file


def test_a_list_is_replaced_and_holds_only_what_names_customers(tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    first = import_list(
        lists,
        "friends",
        given(tmp_path, "\ufeffNom;E-mail;Email;Phone\r\nA;x;a@exemple.test;\r\n\r\nB;;;+33612345678\r\n"),
    )
    assert (first.rows, first.rows_before) == (2, None)
    assert (lists / "friends.csv").read_text(encoding="utf-8") == "email,phone\na@exemple.test,\n,+33612345678\n"
    assert (lists / "friends.csv").stat().st_mode & 0o077 == 0
    second = import_list(lists, "friends", given(tmp_path, "customer_id\nc1\n"))
    assert (second.rows, second.rows_before) == (1, 2)
    assert (lists / "friends.csv").read_text(encoding="utf-8") == "customer_id\nc1\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mail\na@exemple.test\n", 'given.csv:1: a list needs a column .*did you mean "email"'),
        ("email,name\na@exemple.test,A\n,B\n", "given.csv:3: this row names nobody; fill one of email"),
        ("", "given.csv:1: a list needs a column"),
    ],
)
def test_a_list_that_is_wrong_leaves_the_one_before(tmp_path: Path, text: str, message: str) -> None:
    lists = tmp_path / "lists"
    import_list(lists, "friends", given(tmp_path, "customer_id\nc1\n"))
    with pytest.raises(DeclarationError, match=message):
        import_list(lists, "friends", given(tmp_path, text))
    assert [path.name for path in lists.iterdir()] == ["friends.csv"]
    assert (lists / "friends.csv").read_text(encoding="utf-8") == "customer_id\nc1\n"


def test_a_list_in_another_encoding_or_with_an_odd_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match=r"given.csv:1: this file is not UTF-8"):
        import_list(tmp_path, "friends", given(tmp_path, "email\nété@exemple.test\n", "cp1252"))
    with pytest.raises(UsageError, match=r'"\.\./friends" is no name of a list'):
        import_list(tmp_path, "../friends", given(tmp_path, "customer_id\nc1\n"))


def test_an_erasure_takes_the_person_out_of_every_list(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.prepare()
    lists = workspace.declarations / "segments" / "lists"
    rows = "customer_id,email,phone\nc1,,\n,ADA@exemple.test,\n,,+33612345678\n,bo@exemple.test,\n"
    import_list(lists, "friends", given(tmp_path, rows))
    import_list(lists, "others", given(tmp_path, "email\nbo@exemple.test\n"))
    ada = Subject(
        customer_ids=frozenset({"c1"}),
        keys={"email": frozenset({"ada@exemple.test"}), "phone": frozenset({"612345678"})},
    )
    assert [row["list"] for row in listed_in(workspace, ada)] == ["friends"] * 3
    assert erase(workspace, ada).rows == 3
    assert listed_in(workspace, ada) == []
    assert (lists / "friends.csv").read_text(encoding="utf-8") == "customer_id,email,phone\n,bo@exemple.test,\n"
    assert (lists / "others.csv").read_text(encoding="utf-8") == "email\nbo@exemple.test\n"
    assert erase(workspace, ada).rows == 0

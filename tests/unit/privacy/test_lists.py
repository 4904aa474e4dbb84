"""The two keyed lists: what they know again, what they never hold, and a change of key."""

from __future__ import annotations

import datetime as dt
import secrets
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from orchestration import suppression
from orchestration.errors import UsageError
from orchestration.settings import Workspace

DAY = dt.date(2026, 4, 1)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "data").mkdir()
    return Workspace(tmp_path)


def test_an_address_is_known_again_however_it_is_written(workspace: Workspace) -> None:
    suppression.add_objections(
        workspace, {"email": {"ada@exemple.example"}, "phone": {"612345678"}}, since_on=DAY, request_id="R1"
    )
    keys = [suppression.value_key("email", text) for text in (" ADA@Exemple.example ", "bo@exemple.example")]
    assert suppression.objected_among(workspace, "email", keys) == {"ada@exemple.example": DAY}
    numbers = [suppression.value_key("phone", text) for text in ("+33 6 12 34 56 78", "06.12.34.56.78", "0612345679")]
    assert numbers[:2] == ["612345678", "612345678"]
    assert set(suppression.objected_among(workspace, "phone", numbers)) == {"612345678"}


def test_the_lists_hold_no_value(workspace: Workspace) -> None:
    suppression.add_erased(workspace, {"email": {"ada@exemple.example"}, "record": {suppression.record_key("crm", "C-77")}},
                           since_on=DAY, request_id="R1")  # fmt: skip
    for file in workspace.registry.rglob("*.parquet"):
        shown = repr(pq.read_table(file).to_pylist())
        assert "ada" not in shown and "C-77" not in shown


def test_the_kind_of_a_value_is_part_of_its_token(workspace: Workspace) -> None:
    suppression.add_erased(workspace, {"card": {"123456789"}}, since_on=DAY, request_id="R1")
    assert suppression.erased_among(workspace, "phone", ["123456789"]) == {}


def test_a_new_key_loses_nobody(workspace: Workspace) -> None:
    suppression.add_objections(workspace, {"email": {"ada@exemple.example"}}, since_on=DAY, request_id="R1")
    with workspace.key_file.open("a", encoding="ascii") as file:
        file.write(f"k2 {secrets.token_hex(32)}\n")
    suppression.add_objections(workspace, {"email": {"bo@exemple.example"}}, since_on=DAY, request_id="R2")
    found = suppression.objected_among(
        workspace, "email", ["ada@exemple.example", "bo@exemple.example", "cy@exemple.example"]
    )
    assert set(found) == {"ada@exemple.example", "bo@exemple.example"}


def test_a_key_that_is_gone_stops_everything_in_one_line(workspace: Workspace) -> None:
    suppression.add_objections(workspace, {"email": {"ada@exemple.example"}}, since_on=DAY, request_id="R1")
    workspace.key_file.write_text(f"k9 {secrets.token_hex(32)}\n", encoding="ascii")
    with pytest.raises(UsageError, match=r"key k1 is gone.*restore") as told:
        suppression.objected_among(workspace, "email", ["ada@exemple.example"])
    assert "\n" not in str(told.value)


def test_the_same_value_is_listed_once(workspace: Workspace) -> None:
    for _ in range(2):
        suppression.add_objections(workspace, {"email": {"ada@exemple.example"}}, since_on=DAY, request_id="R1")
    rows = sum(pq.read_metadata(file).num_rows for file in workspace.registry.rglob("*.parquet"))
    assert rows == 1

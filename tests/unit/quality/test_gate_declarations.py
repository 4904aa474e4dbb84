"""A gate's YAML: what it may say, and the line and remedy when it says something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.contracts.gate import EXPECTATIONS, KEY_COLUMNS, load_gate, load_gates
from orchestration.errors import DeclarationError
from orchestration.quality import named_checks


def _gate(folder: Path, check: str) -> Path:
    path = folder / "golden.yml"
    path.write_text(f"gate: golden\ndescribes: A test\nchecks:\n  - name: one\n{check}", encoding="utf-8")
    return path


def _refusal(folder: Path, check: str) -> str:
    with pytest.raises(DeclarationError) as caught:
        load_gate(_gate(folder, check), folder)
    return str(caught.value)


REST = "    describes: why\n"


def test_an_unknown_expectation_names_the_near_one_at_its_line(tmp_path: Path) -> None:
    told = _refusal(tmp_path, f"    table: rcu.customers\n    expect: expect_column_values_to_not_be_nul\n{REST}")
    assert told == (
        'golden.yml:6: unknown expectation "expect_column_values_to_not_be_nul"; '
        'did you mean "expect_column_values_to_not_be_null"?'
    )


def test_an_unknown_argument_names_the_near_one_at_its_line(tmp_path: Path) -> None:
    told = _refusal(
        tmp_path,
        "    table: rcu.customers\n    expect: expect_column_values_to_not_be_null\n"
        f"    arguments:\n      column: email\n      mosty: 0.5\n{REST}",
    )
    assert told == ('golden.yml:9: expect_column_values_to_not_be_null has no argument "mosty"; did you mean "mostly"?')


@pytest.mark.parametrize(
    ("check", "told"),
    [
        ("expect: is_subset_of\n    arguments: {columns: [a]}", 'is_subset_of needs the argument "other"'),
        ("expect: is_subset_of\n    arguments: {columns: a, other: x.y}", '"columns" should be a list of column names'),
        ("expect: is_subset_of\n    arguments: {columns: [a], other: xy}", '"other" should be a table: schema.table'),
        (
            "expect: is_subset_of\n    arguments: {columns: [a], other: x.y, other_columns: [b, c]}",
            '"other_columns" names 2 columns and "columns" 1; they go in pairs',
        ),
        (
            "expect: expect_table_row_count_to_be_between",
            "expect_table_row_count_to_be_between needs min_value or max_value, or both",
        ),
        (
            "expect: expect_column_values_to_not_be_null\n    arguments: {column: a, mostly: 90}",
            '"mostly" should be a share above 0 and up to 1',
        ),
        (
            "expect: expect_column_to_exist\n    arguments: {column: a}\n    keys: [email]",
            '"email" may hold personal data',
        ),
        (
            "expect: expect_column_to_exist\n    arguments: {column: a}\n    where: [{column: b}]",
            'the condition on "b" needs exactly one of',
        ),
        ("expect: unexpected_rows_expectation", "unknown expectation"),
        ("expect: expect_column_to_exist\n    sql: select 1", 'unknown key "sql"'),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, check: str, told: str) -> None:
    assert told in _refusal(tmp_path, f"    table: rcu.customers\n    {check}\n{REST}")


def test_a_check_named_twice_is_refused(tmp_path: Path) -> None:
    body = "    table: a.b\n    expect: expect_column_to_exist\n    arguments: {column: c}\n    describes: why\n"
    assert 'golden.yml:9: check "one" is also on line 4' in _refusal(tmp_path, f"{body}  - name: one\n{body}")


def test_the_gate_is_named_like_its_file(tmp_path: Path) -> None:
    path = tmp_path / "landing.yml"
    body = "    table: a.b\n    expect: expect_column_to_exist\n    arguments: {column: c}\n    describes: why\n"
    path.write_text(f"gate: golden\ndescribes: x\nchecks:\n  - name: one\n{body}", encoding="utf-8")
    with pytest.raises(DeclarationError, match="the file is landing"):
        load_gate(path)


def test_the_gates_of_the_project_can_be_read(project: Path) -> None:
    gates = load_gates(project / "declarations")
    assert set(gates) == {"landing", "golden", "publish"}


def test_every_named_check_has_a_query_and_every_query_a_name() -> None:
    named = {name for name, expectation in EXPECTATIONS.items() if expectation.is_ours}
    assert named == set(named_checks._QUERIES)


def test_no_column_that_tells_who_a_person_is_may_be_kept() -> None:
    personal = {"email", "phone", "last_name", "first_name", "full_name", "birth_on", "address_line", "city",
                "ref_email", "ref_phone", "national_number", "row_key", "record_id", "proof", "properties"}  # fmt: skip
    assert not personal & KEY_COLUMNS

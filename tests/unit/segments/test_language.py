"""What a segment file may say, and what it is told when it says something else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orchestration.contracts.catalogue import load_catalogue
from orchestration.contracts.loader import parse, validate
from orchestration.contracts.segment import (
    FieldCatalogue,
    Segment,
    field_type,
    load_segments,
    read_catalogue,
)
from orchestration.errors import DeclarationError
from tests.unit.segments.small_warehouse import segment

CATALOGUE = FieldCatalogue({
    "order_count": "integer", "city": "text", "birth_on": "date", "last_contact_at": "timestamp", "is_minor": "boolean",
    "average_interval_days": "number", "tags": "texts", "custom": "object",
})  # fmt: skip


def write(folder: Path, name: str, where: str, **more: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(f"{key}: {value}\n" for key, value in more.items())
    text = f"segment: {name}\nlabel: {{en: A, fr: A}}\nobjective: test\n{lines}where:\n  {where}\n"
    (folder / f"{name}.yml").write_text(text, encoding="utf-8")


def refused(folder: Path) -> list[str]:
    with pytest.raises(DeclarationError) as caught:
        load_segments(folder, CATALOGUE, folder)
    return str(caught.value).split("\n")


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("field: order_cuont\n  equals: 3", 'one.yml:5: no field "order_cuont" in customer_360; did you mean "order_count"?'),
        ("field: order_count\n  equals: three", "one.yml:6: order_count is a number, 'three' is not"),
        ("field: order_count\n  equals: true", "one.yml:6: order_count is a number, True is not"),
        ("field: city\n  equals: 75", 'one.yml:6: city is a text; write "75" in quotes'),
        ("field: city\n  at_least: 3", '"at_least" does not apply to city (text)'),
        ("field: birth_on\n  between: [2020-01-01, soon]", "one.yml:6: birth_on is a date; write it as 2026-01-31"),
        ("field: order_count\n  between: [5, 2]", "one.yml:6: no value lies between 5 and 2; turn them round"),
        ("field: is_minor\n  equals: 1", "one.yml:6: is_minor is true or false, not 1"),
        ("field: order_count\n  in: []", "one.yml:6: an empty list holds for nobody"),
        ("field: order_count\n  in: 3", "one.yml:6: expects a list of values, such as [a, b]"),
        ("field: city\n  starts_with: \"\"", "one.yml:6: an empty text holds for everyone; remove this condition"),
        ("field: order_count\n  more_than: {field: city}", 'one.yml:6: "city" is a text, not a number to compare with'),
        ("field: order_count\n  more_than: {field: averge_interval_days}", 'did you mean "average_interval_days"?'),
        ("field: order_count\n  equlas: 3", 'one.yml:6: unknown key "equlas"; did you mean "equals"?'),
        ("field: order_count", '"order_count" is asked nothing'),
        ("field: order_count\n  at_least: 1\n  at_most: 3", "one operator a condition, not 2 (at_least, at_most)"),
        ("field: order_count\n  exists: true\n  within_days: 3", '"within_days" goes with performed, bought and consent, not with "field"'),
        ("field: city\n  matches: \"a(?=b)\"", "is no RE2 regular expression: invalid perl operator: (?="),
        ("field: city\n  equals: null", '"equals: null" has no meaning; use exists: false (or true)'),
        ("field: order_count\n  at_least: 1.0e999", "one.yml:6: no number is as large"),
        ("field: birth_on\n  before: 2026-02-30", "one.yml:6: this is not valid YAML: day is out of range for month"),
        ("field: order_count\n  between: [1]", "one.yml:6: expects two values, [lowest, highest]"),
        ("field: city\n  starts_with: 75", 'one.yml:6: expects a text; write "75" in quotes'),
        ("consent: {purpose: profilng}", 'one.yml:5: no purpose "profilng"; did you mean "profiling"?'),
        ("consent: {purpose: marketing, channel: fax}", 'one.yml:5: no channel "fax"'),
        ("consent: {purpose: marketing, status: [granted, refusd]}", 'no status "refusd"; did you mean "refused"?'),
        ("consent: {purpose: marketing}\n  equals: x", '"consent" takes no "equals"'),
        ("performed: cartt", 'one.yml:5: no event "cartt"; did you mean "cart"?'),
        ("performed: cart\n  matches: x", '"performed" is counted with equals, between'),
        ("reachable: fax", 'one.yml:5: no channel "fax"'),
        ("member_of: two", 'one.yml:5: no segment "two"'),
        ("in_list: friends", 'one.yml:5: no list "friends" (segments/lists/friends.csv)'),
        ("all: []", '"all" is empty, so it would say nothing'),
        ("any:\n    - {field: order_count, at_least: 3}\n    - {field: sity, exists: true}", 'one.yml:7: no field "sity"'),
        ("field: city\n  reachable: email\n  equals: x", "a condition is about one thing, not 2 (field, reachable)"),
        ("reachable: email\n  equals: x", '"reachable" takes no "equals"'),
        ("random_bucket: {from: 0.6, to: 0.5}", '"to" (0.5) should be above "from" (0.6)'),
        ("bought: {colour: red}", 'unknown key "colour"'),
        ("custom: it's\n  equals: x", "the name of a custom attribute holds no quote and no backslash"),
        ("custom: size\n  in: [41, x]", "values should all be texts, all numbers or all dates"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_file_line_and_what_was_meant(tmp_path: Path, where: str, message: str) -> None:
    write(tmp_path, "one", where)
    assert any(message in line for line in refused(tmp_path)), refused(tmp_path)


def test_every_problem_of_every_file_is_told_at_once(tmp_path: Path) -> None:
    write(tmp_path, "one", "all:\n    - {field: a, exists: true}\n    - {field: b, exists: true}")
    write(tmp_path, "two", "field: c\n  exists: true")
    assert [line.split(":")[:2] for line in refused(tmp_path)] == [["one.yml", "6"], ["one.yml", "7"], ["two.yml", "5"]]


def test_segments_that_depend_on_each_other_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "one", "member_of: two")
    write(tmp_path, "two", "not: {member_of: three}")
    write(tmp_path, "three", "any: [{member_of: one}, {field: city, exists: true}]")
    assert "one.yml:4: segments depend on each other: one -> two -> three -> one" in refused(tmp_path)


def test_a_group_and_a_reference_can_make_a_cycle_too(tmp_path: Path) -> None:
    write(tmp_path, "first", "member_of: second", priority="1", exclusive_group="band")
    write(tmp_path, "second", "field: city\n  exists: true", priority="2", exclusive_group="band")
    assert any("segments depend on each other: first -> second -> first" in line for line in refused(tmp_path))


def test_two_segments_of_a_group_need_different_priorities(tmp_path: Path) -> None:
    write(tmp_path, "one", "field: city\n  exists: true", exclusive_group="band")
    write(tmp_path, "two", "field: city\n  exists: false", exclusive_group="band")
    assert any(
        'priority 100 is also that of "two" in group "band"; make them differ' in line for line in refused(tmp_path)
    )


def test_a_segment_is_named_as_its_file(tmp_path: Path) -> None:
    write(tmp_path, "one", "field: city\n  exists: true")
    (tmp_path / "one.yml").rename(tmp_path / "other.yml")
    assert refused(tmp_path) == ['other.yml:1: "one" should be named as its file, "other"']


def test_ten_thousand_values_are_sent_to_a_list_file(tmp_path: Path) -> None:
    write(tmp_path, "one", f"field: city\n  in: [{', '.join(f'c{number}' for number in range(10_000))}]")
    assert refused(tmp_path) == [
        "one.yml:6: 10000 values are too many here (at most 1000); put the customers in a file segments/lists/<name>.csv "
        "and use in_list"
    ]


@pytest.mark.parametrize(
    "where", ["bought: {{product: {}}}", "performed: cart\n  with: {{campaign: {}}}", "has_tag: {}"]
)
def test_no_list_of_values_is_longer_than_another(tmp_path: Path, where: str) -> None:
    write(tmp_path, "one", where.format([f"c{number}" for number in range(10_000)]))
    (told,) = refused(tmp_path)
    assert "10000 values are too many here (at most 1000)" in told


def test_a_value_that_a_field_never_has_is_refused_with_the_nearest(tmp_path: Path) -> None:
    write(tmp_path, "one", "field: city\n  in: [Lyon, Grenobel]")
    known = FieldCatalogue({"city": "text"}, values={"city": ("Lyon", "Grenoble")})
    with pytest.raises(DeclarationError, match=r'one.yml:6: no city "Grenobel"; did you mean "Grenoble"\?'):
        load_segments(tmp_path, known, tmp_path)


def test_a_misspelt_stage_is_refused_in_segments_and_triggers(project: Path, tmp_path: Path) -> None:
    shutil.copytree(project / "declarations", tmp_path / "declarations")
    segments, triggers = tmp_path / "declarations" / "segments", tmp_path / "declarations" / "triggers"
    ambassadors = segments / "ambassadors.yml"
    ambassadors.write_text(ambassadors.read_text(encoding="utf-8").replace("equals: ambassador", "equals: ambasador"))
    with pytest.raises(DeclarationError, match=r'ambassadors.yml:7: no lifecycle_stage "ambasador"; did you mean "amb'):
        load_catalogue(tmp_path / "declarations")
    shutil.copy(project / "declarations" / "segments" / "ambassadors.yml", ambassadors)
    at_risk = triggers / "became_at_risk.yml"
    at_risk.write_text(at_risk.read_text(encoding="utf-8").replace("to: [at_risk]", "to: [at_rsk]"))
    with pytest.raises(DeclarationError, match=r'became_at_risk.yml:5: no lifecycle_stage "at_rsk"; did you mean "at_'):
        load_catalogue(tmp_path / "declarations")


def test_a_list_needs_a_column_that_names_customers(tmp_path: Path) -> None:
    write(tmp_path, "one", "in_list: friends")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "friends.csv").write_text("name,age\nx,3\n", encoding="utf-8")
    assert refused(tmp_path) == [
        "lists/friends.csv:1: a list needs a column named one of: customer_id, email, phone, card, account"
    ]


def test_the_hash_of_a_rule_follows_the_rule_and_those_it_names() -> None:
    from tests.unit.segments.small_warehouse import segments

    named = segment("named", "{field: order_count, at_least: 3}")
    naming = segment("naming", "{member_of: named}")
    before = segments(named, naming)
    other_words = segments(named.model_copy(update={"objective": "other"}), naming)
    other_rule = segments(segment("named", "{field: order_count, at_least: 4}"), naming)
    assert other_words.rule_hash("naming") == before.rule_hash("naming")
    assert other_rule.rule_hash("naming") != before.rule_hash("naming")


def test_the_fields_come_from_the_contract_of_the_marts(tmp_path: Path) -> None:
    contract = tmp_path / "_marts.yml"
    contract.write_text(
        "models:\n  - name: other\n    columns: []\n  - name: customer_360\n    columns:\n"
        "      - {name: amount_net, data_type: 'decimal(18,4)'}\n      - {name: tags, data_type: varchar}\n"
        "      - {name: last_cart_at, data_type: timestamp}\n",
        encoding="utf-8",
    )
    assert dict(read_catalogue(contract).fields) == {
        "amount_net": "number",
        "tags": "texts",
        "last_cart_at": "timestamp",
    }


@pytest.mark.parametrize(
    ("data_type", "expected"),
    [
        ("BIGINT", "integer"),
        ("double", "number"),
        ("date", "date"),
        ("TIMESTAMP WITH TIME ZONE", "timestamp"),
        ("varchar(3)", "text"),
    ],
)
def test_sql_types_become_types_of_rules(data_type: str, expected: str) -> None:
    assert field_type("x", data_type) == expected


def test_the_ready_segments_are_right_and_say_what_they_are_for(project: Path) -> None:
    from orchestration.contracts.catalogue import MARTS_CONTRACT

    found = load_segments(project / "declarations" / "segments", read_catalogue(MARTS_CONTRACT), project)
    assert len(found) >= 40
    for one in found:
        assert len(one.objective) > 10 and one.label.fr and one.expected_rate, one.segment


def test_a_number_in_quotes_is_no_number() -> None:
    text = 'segment: a\nlabel: {en: A, fr: A}\nobjective: x\nwhere: {field: order_count, at_least: "4"}\n'
    with pytest.raises(DeclarationError, match="expects a number"):
        validate(parse(text, "a.yml"), Segment)

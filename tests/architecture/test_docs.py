"""What the pages say is there: commands, targets, links, keys of declarations, tables and columns."""

from __future__ import annotations

import ast
import datetime as dt
import re
import subprocess
from pathlib import Path

import click
import pytest
from pydantic import BaseModel

from orchestration import ingest, privacy, publish, quality
from orchestration.cli import cli
from orchestration.contracts import (
    activation,
    company,
    consents,
    freshness,
    gate,
    matching,
    segment,
    source,
    survivorship,
    trigger,
    value,
)
from orchestration.contracts.catalogue import MARTS_CONTRACT
from orchestration.contracts.entities import ENTITIES
from orchestration.contracts.loader import Declaration, parse, validate
from orchestration.contracts.published_tables import PAGES, PYTHON_TABLES, published_tables
from orchestration.contracts.segment import SegmentSet, read_catalogue
from orchestration.contracts.trigger import TriggerSet
from orchestration.segments import fire, materialise
from orchestration.settings import PROJECT_ROOT, Workspace
from orchestration.warehouse import connect

PAGES_READ = sorted([PROJECT_ROOT / "README.md", *(PROJECT_ROOT / "docs").rglob("*.md")])
GUIDE = PROJECT_ROOT / "docs" / "guide"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND_WORD = re.compile(r"^[a-z][a-z0-9-]*$")


def name_of(page: Path) -> str:
    return str(page.relative_to(PROJECT_ROOT))


def code_of(page: Path) -> list[str]:
    """The lines of shell blocks and the texts in backticks: where a page names commands."""
    text = page.read_text(encoding="utf-8")
    blocks = [line for kind, body in FENCE.findall(text) if kind in ("sh", "") for line in body.splitlines()]
    return blocks + re.findall(r"`([^`\n]+)`", FENCE.sub("", text))


def calls_of(page: Path, program: str) -> list[list[str]]:
    """The arguments of each call of `program` in a page."""
    found = []
    for line in code_of(page):
        words = line.split(" #")[0].split()
        while words and re.match(r"^[A-Z_]+=", words[0]):
            words = words[1:]
        if words and words[0].removeprefix(".venv/bin/") == program:
            found.append(words[1:])
    return found


def test_the_scan_finds_pages_and_commands() -> None:
    assert len(PAGES_READ) > 10
    assert sum(len(calls_of(page, "rcu")) for page in PAGES_READ) > 20
    assert sum(len(calls_of(page, "make")) for page in PAGES_READ) > 3


@pytest.mark.parametrize("page", PAGES_READ, ids=name_of)
def test_every_rcu_command_and_option_that_a_page_names_exists(page: Path) -> None:
    wrong = []
    for words in calls_of(page, "rcu"):
        if words[:1] == ["--workspace"]:
            words = words[2:]
        if not words or not COMMAND_WORD.match(words[0]):
            continue
        command = cli.commands.get(words[0])
        if command is None:
            wrong.append(f"rcu {words[0]}")
            continue
        options = {
            name for parameter in command.params if isinstance(parameter, click.Option) for name in parameter.opts
        }
        named = {word.strip("[]") for word in words[1:] if re.match(r"^\[?--[a-z]", word)}
        wrong += [f"rcu {words[0]} {option}" for option in sorted(named - options)]
    assert wrong == []


@pytest.mark.parametrize("page", PAGES_READ, ids=name_of)
def test_every_make_target_that_a_page_names_exists(page: Path) -> None:
    makefile = (PROJECT_ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = {words[0] for words in calls_of(page, "make") if words and COMMAND_WORD.match(words[0])}
    assert named <= targets


def heading_anchors(page: Path) -> set[str]:
    """The anchors that a forge gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES_READ, ids=name_of)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    lost = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"^[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in heading_anchors(file)):
            lost.append(target)
    assert lost == []


@pytest.mark.parametrize("page", PAGES_READ, ids=name_of)
def test_every_path_of_the_project_that_a_page_names_exists(page: Path) -> None:
    """Texts in backticks that begin with a folder of the project. `data/` is made by runs."""
    lost = []
    for text in code_of(page):
        if re.match(r"^(orchestration|dbt_project|declarations|tests|benchmarks|docs)/[\w./-]*$", text):
            path = PROJECT_ROOT / text
            is_ignored = (
                subprocess.run(["git", "check-ignore", "-q", text], cwd=PROJECT_ROOT, check=False).returncode == 0
            )
            if not path.exists() and not is_ignored:
                lost.append(text)
    assert lost == []


# --- the generated pages --------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_generated_page_is_that_of_the_contracts(name: str) -> None:
    written = (GUIDE / name).read_text(encoding="utf-8")
    assert written == PAGES[name](), "write it again: python -m orchestration.contracts.published_tables"


def test_every_published_column_has_a_description_and_a_class() -> None:
    classes = {"identity", "contact", "reference", "trait", "sensitive", "none"}
    poor = [
        f"{table.full_name}.{column.name}"
        for table in published_tables()
        for column in table.columns
        if len(column.description) < 3 or column.personal not in classes
    ]
    assert poor == []


def test_a_key_of_a_published_table_is_made_of_its_columns() -> None:
    for table in published_tables():
        assert set(table.key) <= {column.name for column in table.columns}, table.full_name


def test_the_tables_that_python_writes_are_described_as_the_code_makes_them(tmp_path: Path) -> None:
    """The real steps on an empty workspace make every table of `segments` and `audit`; the page says the same."""
    workspace, day = Workspace(tmp_path), dt.date(2026, 3, 31)
    workspace.prepare()
    connection = connect()
    ingest.assemble(connection, workspace, {}, as_of_on=day)
    quality.write_results(connection, [], as_of_on=day, run_id="r")
    publish.write_runs(connection, workspace, as_of_on=day)
    privacy.write_requests(connection, workspace, today=day)
    reach = ", ".join(f"false as is_contactable_{channel}" for channel in ("email", "sms", "phone", "post"))
    connection.execute("create schema marts")
    connection.execute(f"create table marts.customer_360 as select 'c' as customer_id, false as is_suppressed, {reach}")
    run = {"as_of_on": day, "version": "20260331-0001", "run_id": "r", "is_forward": False}
    materialise(connection, workspace, SegmentSet(()), **run)
    fire(connection, workspace, TriggerSet(()), SegmentSet(()), **run)
    made: dict[str, list[tuple[str, str]]] = {}
    for table, column, kind in connection.execute(
        "select schema_name || '.' || table_name, column_name, lower(data_type) from duckdb_columns() "
        "where schema_name in ('segments', 'audit') order by 1, column_index"
    ).fetchall():
        made.setdefault(table, []).append((column, kind))
    connection.close()
    told = {table.full_name: [(column.name, column.data_type) for column in table.columns] for table in PYTHON_TABLES}
    assert told == made


# --- the guides and the models of the declarations ---------------------------------------------------


def keys_of(*models: type[BaseModel]) -> set[str]:
    return {field.alias or name for model in models for name, field in model.model_fields.items()}


@pytest.mark.parametrize(
    ("page", "keys"),
    [
        ("sources.md", keys_of(source.Source, source.FileLayout, source.Filter, source.ColumnRule, source.Delivery, source.Drift) | set(ENTITIES)),
        ("segments.md", keys_of(segment.Segment, segment.Condition, segment.Bought) - {"from"}),
        ("segments.md", keys_of(trigger.Trigger, trigger.Start, trigger.Limits) | {"price_drop", "back_in_stock", "seen_in", "every_days", "minimum_repeats"}),
        ("matching.md", keys_of(matching.Matching, matching.FieldSpec, matching.SharedSpec, matching.RuleSpec, matching.VetoSpec,
                                matching.ComparisonSpec, matching.TrainingSpec, matching.ModelSpec, matching.BandsSpec,
                                matching.GuardsSpec, matching.DistinctGuard, matching.ReviewSpec)),
        ("matching.md", keys_of(survivorship.Survivorship, survivorship.AttributeRule, survivorship.Lists) | set(survivorship.ATTRIBUTES)),
        ("trust.md", keys_of(freshness.Freshness) | set(freshness.CONTACT_KINDS)),
        ("trust.md", keys_of(consents.Consents)),
        ("security.md", keys_of(company.Access) | {"access"}),
        ("activation.md", keys_of(activation.Activation, activation.Audience, activation.Unsubscribe, activation.Deliver,
                                  activation.Folder, activation.Sftp, activation.S3, activation.Webhook, activation.Postgres)),
        ("operations.md", keys_of(gate.Gate, gate.Check, gate.RowCondition) - {"gate", "column"}),
        ("operations.md", {name for name, expectation in gate.EXPECTATIONS.items() if expectation.is_ours}),
    ],
    ids=["source", "segment", "trigger", "matching", "survivorship", "freshness", "consents", "access", "activation", "gate", "expectations"],
)  # fmt: skip
def test_a_guide_names_every_key(page: str, keys: set[str]) -> None:
    text = (GUIDE / page).read_text(encoding="utf-8")
    code = "\n".join([*re.findall(r"`([^`\n]+)`", FENCE.sub("", text)), *(body for _, body in FENCE.findall(text))])
    assert sorted(key for key in keys if not re.search(rf"\b{key}\b", code)) == []


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("segments.md", set(segment.EVENT_TYPES) | set(segment.CHANNELS) | set(segment.EVENT_COLUMNS)),
        ("matching.md", set(matching.PARTS) | set(matching.Kind.__args__) | set(survivorship.Strategy.__args__)),
    ],
    ids=["segment", "matching"],
)
def test_a_guide_names_every_word_that_a_key_may_hold(page: str, words: set[str]) -> None:
    code = "\n".join(re.findall(r"`([^`\n]+)`", FENCE.sub("", (GUIDE / page).read_text(encoding="utf-8"))))
    assert sorted(word for word in words if not re.search(rf"\b{word}\b", code)) == []


EXAMPLES = [
    (f"{name_of(page)}:{number}", body)
    for page in PAGES_READ
    for number, (kind, body) in enumerate(FENCE.findall(page.read_text(encoding="utf-8")), start=1)
    if kind == "yaml"
]


@pytest.mark.parametrize(("where", "text"), EXAMPLES, ids=[where for where, _ in EXAMPLES])
def test_every_declaration_shown_is_one_that_can_be_read(where: str, text: str, tmp_path: Path) -> None:
    document = parse(text, where)
    if document.data is None:  # a comment for editors
        assert "yaml-language-server" in text
        return
    kind = next(iter(document.data))
    file = tmp_path / (f"{document.data[kind]}.yml" if isinstance(document.data[kind], str) else f"{kind}.yml")
    file.write_text(text, encoding="utf-8")
    if kind == "source":
        source.load_source(file)
    elif kind == "gate":
        gate.load_gate(file)
    elif kind == "activation":
        activation.load_activation(file)
    elif kind == "lifecycle":
        validate(document, value.Value)
    elif kind == "access":
        validate(document, type("Part", (Declaration,), {"__annotations__": {"access": company.Access}}))
    else:
        shown = validate(document, {"segment": segment.Segment, "trigger": trigger.Trigger}[kind])
        if shown.where is not None:
            told = segment.check_condition(shown.where, read_catalogue(MARTS_CONTRACT), set(), {}, ("where",))
            assert list(told) == []


def test_the_operator_grid_of_the_guide_is_that_of_the_language() -> None:
    text = (GUIDE / "segments.md").read_text(encoding="utf-8")
    grid = text.split("## Operators")[1].split("`performed` and `bought` take")[0]
    types = ("text", "number", "date", "timestamp", "boolean", "texts")
    shown: dict[str, set[str]] = {kind: set() for kind in types}
    for line in grid.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) == len(types) + 1 and "`" in cells[0]:
            for kind, cell in zip(types, cells[1:], strict=True):
                if cell == "x":
                    shown[kind] |= set(re.findall(r"`(\w+)`", cells[0]))
    assert shown == {kind: set(segment.OPERATORS_OF[kind]) for kind in types}


def test_the_exit_codes_of_the_guide_are_those_of_the_errors() -> None:
    tree = ast.parse((PROJECT_ROOT / "orchestration" / "errors.py").read_text(encoding="utf-8"))
    codes = {
        node.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        and getattr(node.targets[0], "id", "") == "exit_code"
    }  # fmt: skip
    section = (GUIDE / "operations.md").read_text(encoding="utf-8").split("### Exit codes")[1].split("###")[0]
    shown = {int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)}
    assert shown == codes | {0, 130}

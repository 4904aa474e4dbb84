"""The JSON Schemas that editors use are those of the models, and accept what the loader accepts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from orchestration.contracts.catalogue import PARTS
from orchestration.contracts.entities import ENTITIES
from orchestration.contracts.loader import read_document
from orchestration.contracts.schemas import SCHEMAS, schema_text


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_the_schema_in_the_repository_is_the_one_of_the_model(project: Path, name: str) -> None:
    path = project / "declarations" / "schemas" / name
    assert path.is_file(), "write it: python -m orchestration.contracts.schemas"
    assert path.read_text(encoding="utf-8") == schema_text(name), (
        "write it again: python -m orchestration.contracts.schemas"
    )


def test_no_schema_is_left_over(project: Path) -> None:
    found = {path.name for path in (project / "declarations" / "schemas").glob("*.json")}
    assert found == set(SCHEMAS)


def test_the_schema_of_a_source_knows_every_entity_and_column() -> None:
    schema = json.loads(schema_text("source.schema.json"))
    entities = schema["properties"]["delivers"]["properties"]
    known = {name: set(part["properties"]["columns"]["properties"]) for name, part in entities.items()}
    assert known == {entity.name: {column.name for column in entity.columns} for entity in ENTITIES.values()}
    assert "from" in schema["$defs"]["ColumnRule"]["properties"]


FOLDERS = {
    "sources": "source", "segments": "segment", "triggers": "trigger", "quality": "gate", "activations": "activation",
}  # fmt: skip


def schema_of(path: Path) -> str:
    if path.name == "_limits.yml":
        return "limits"
    return FOLDERS.get(path.parent.name, path.stem)


def as_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_json(item) for item in value]
    return value.isoformat() if hasattr(value, "isoformat") else value


def test_every_kind_of_declaration_has_a_schema() -> None:
    kinds = {FOLDERS.get(part.place, part.place.removesuffix(".yml")) for part in PARTS} | {
        "segment",
        "trigger",
        "limits",
    }
    assert {f"{kind}.schema.json" for kind in kinds} == set(SCHEMAS)


@pytest.mark.parametrize("root", ["declarations", "orchestration/contracts/starter/declarations"])
def test_what_the_loader_accepts_no_editor_underlines(project: Path, root: str) -> None:
    files = sorted((project / root).rglob("*.yml"))
    assert len(files) > 5
    underlined = []
    for path in files:
        schema = json.loads(schema_text(f"{schema_of(path)}.schema.json"))
        data = as_json(read_document(path).data)
        for error in jsonschema.Draft202012Validator(schema).iter_errors(data):
            underlined.append(f"{path.name}: {list(error.absolute_path)}: {error.message[:80]}")
    assert underlined == []


@pytest.mark.parametrize("kind", ["segment", "trigger", "source", "gate", "activation"])
def test_an_editor_underlines_an_unknown_key(kind: str) -> None:
    schema = json.loads(schema_text(f"{kind}.schema.json"))
    errors = list(jsonschema.Draft202012Validator(schema).iter_errors({"no_such_key": 1}))
    assert any("no_such_key" in error.message for error in errors)

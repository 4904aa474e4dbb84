"""The JSON Schemas that editors use are those of the models, and accept what the loader accepts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestration.contracts.entities import ENTITIES
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

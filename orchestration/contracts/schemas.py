"""JSON Schemas of the declarations, so that editors complete keys and underline mistakes.

What belongs here: turning a contract model into the schema that lies in `declarations/schemas/`.
`python -m orchestration.contracts.schemas` writes them; a test keeps them equal to the models. In a
YAML file the first line `# yaml-language-server: $schema=../schemas/source.schema.json` switches an
editor on.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from orchestration.contracts.company import Company
from orchestration.contracts.entities import ENTITIES
from orchestration.contracts.source import Source
from orchestration.settings import PROJECT_ROOT

Schema = dict[str, Any]


def _name_the_columns(schema: Schema) -> Schema:
    """Let each entity accept its own canonical columns only, with their descriptions."""
    definitions = schema["$defs"]
    delivery = definitions.pop("Delivery")
    entities: Schema = {}
    for entity in ENTITIES.values():
        own = json.loads(json.dumps(delivery))
        own["title"] = f"Delivery of {entity.name}"
        columns = own["properties"]["columns"]
        columns.pop("additionalProperties", None)
        columns["additionalProperties"] = False
        columns["properties"] = {
            column.name: {"description": column.description, "allOf": [{"$ref": "#/$defs/ColumnRule"}]}
            for column in entity.columns
        }
        entities[entity.name] = own
    schema["properties"]["delivers"] = {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": False,
        "properties": entities,
    }
    return schema


#: File name -> (model, what is added to the schema that the model gives).
SCHEMAS: dict[str, tuple[type[BaseModel], Callable[[Schema], Schema] | None]] = {
    "company.schema.json": (Company, None),
    "source.schema.json": (Source, _name_the_columns),
}


def schema_text(file_name: str) -> str:
    """The JSON Schema of one declaration, as it lies in the repository."""
    model, amend = SCHEMAS[file_name]
    schema = model.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    if amend:
        schema = amend(schema)
    return json.dumps(schema, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def write_schemas(folder: Path) -> list[Path]:
    """Write every schema into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for file_name in SCHEMAS:
        path = folder / file_name
        path.write_text(schema_text(file_name), encoding="utf-8")
        written.append(path)
    return written


if __name__ == "__main__":
    for _path in write_schemas(PROJECT_ROOT / "declarations" / "schemas"):
        print(_path.relative_to(PROJECT_ROOT))

"""JSON Schemas of every kind of declaration, so that editors complete keys and underline mistakes.

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

from orchestration.contracts.activation import Activation
from orchestration.contracts.company import Company
from orchestration.contracts.consents import Consents
from orchestration.contracts.entities import ENTITIES
from orchestration.contracts.freshness import Freshness
from orchestration.contracts.gate import Gate
from orchestration.contracts.matching import Matching
from orchestration.contracts.plans import Plans
from orchestration.contracts.retention import Retention
from orchestration.contracts.scoring import Scoring
from orchestration.contracts.segment import Segment
from orchestration.contracts.source import Source
from orchestration.contracts.survivorship import Survivorship
from orchestration.contracts.trigger import Limits, Trigger
from orchestration.contracts.value import Value
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
    # A table that is fetched from a database needs no file; `rcu check` knows when.
    schema["required"].remove("file")
    schema["anyOf"] = [{"required": ["file"]}, {"required": ["connect"]}]
    definitions["FileLayout"]["required"].remove("pattern")
    return schema


def _short_event(schema: Schema) -> Schema:
    """`event: cart` stands for `event: {type: cart}`."""
    schema["$defs"]["Start"]["properties"]["event"]["anyOf"].insert(0, {"type": "string"})
    return schema


#: File name -> (model, what is added to the schema that the model gives).
SCHEMAS: dict[str, tuple[type[BaseModel], Callable[[Schema], Schema] | None]] = {
    "activation.schema.json": (Activation, None),
    "company.schema.json": (Company, None),
    "consents.schema.json": (Consents, None),
    "freshness.schema.json": (Freshness, None),
    "gate.schema.json": (Gate, None),
    "limits.schema.json": (Limits, None),
    "matching.schema.json": (Matching, None),
    "plans.schema.json": (Plans, None),
    "retention.schema.json": (Retention, None),
    "scores.schema.json": (Scoring, None),
    "segment.schema.json": (Segment, None),
    "source.schema.json": (Source, _name_the_columns),
    "survivorship.schema.json": (Survivorship, None),
    "trigger.schema.json": (Trigger, _short_event),
    "value.schema.json": (Value, None),
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

"""Landing files as whoever reads them should see them: every column of the entity, whatever a file holds.

What belongs here: the one way to read landing Parquet, and the empty typed file that makes it work. What does not:
which deliveries count (ingest), the landing tables of a build.

A landing file holds the columns that its contract fills, and no others. Where the rows of a file follow each other
as the lines of the original did, it holds no line numbers either but the number of its first line; and no `row_key`
where that is the entity's key. Reading restores all three.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from orchestration.contracts.entities import LANDING_COLUMNS, Entity, Kind
from orchestration.settings import Workspace
from orchestration.warehouse import literal, quote

_ARROW_TYPES: dict[Kind, pa.DataType] = {
    "string": pa.string(), "date": pa.date32(), "timestamp": pa.timestamp("us"), "decimal": pa.decimal128(18, 4),
    "integer": pa.int64(), "boolean": pa.bool_(), "json": pa.string(),
}  # fmt: skip
#: Of a file whose rows stand as their lines did: the line of its first row.
FIRST_LINE = "first_line"
#: The line of a row, over a file read with `file_row_number`.
LINE_NUMBER = f"coalesce(line_number, {FIRST_LINE} + file_row_number)"


def files(workspace: Workspace, entity: Entity, source: str = "*") -> list[Path]:
    """The landing files of an entity, of all deliveries, in a total order."""
    found = sorted((workspace.landing / entity.name).glob(f"source={source}/batch=*/*.parquet"))
    return [path for path in found if not path.name.startswith(".")]


def rows(workspace: Workspace, entity: Entity, chosen: Iterable[Path | str], *, has_place: bool = False) -> str:
    """The rows of landing files as a table expression: the entity's columns, then `LANDING_COLUMNS`.

    `has_place`: also `landing_file` (a path) and `file_row_number`, which tell where a row lies.
    """
    empty = write_empty_file(workspace, entity)
    listing = ", ".join(literal(str(path)) for path in (empty, *chosen))
    restored = {"row_key": row_key(entity), "line_number": f"cast({LINE_NUMBER} as bigint)"}
    columns = [
        f"{restored[column.name]} as {column.name}" if column.name in restored else quote(column.name)
        for column in (*entity.columns, *LANDING_COLUMNS)
    ]
    if has_place:
        columns += ["landing_file", "file_row_number"]
    return (
        f"(select {', '.join(columns)} from read_parquet([{listing}], union_by_name = true, hive_partitioning = false, "
        "filename = 'landing_file', file_row_number = true))"
    )


def row_key(entity: Entity) -> str:
    """The key of a row as SQL, over a landing file read with all columns."""
    return f"coalesce(row_key, {quote(entity.keys[0])})" if len(entity.keys) == 1 else "row_key"


def write_empty_file(workspace: Workspace, entity: Entity) -> Path:
    """Keep an empty typed file beside the deliveries of an entity, so that every column is found; returns its path."""
    path = workspace.landing / entity.name / "_empty.parquet"
    columns = {column.name: _ARROW_TYPES[column.kind] for column in (*entity.columns, *LANDING_COLUMNS)}
    columns[FIRST_LINE] = pa.int64()
    schema = pa.schema(list(columns.items()))
    if path.exists() and pq.read_schema(path).names == schema.names:
        return path
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    partial = path.with_name("._empty.tmp")
    pq.write_table(schema.empty_table(), partial)
    partial.replace(path)
    return path

"""The manifest: one row per delivered file, and from it which deliveries count on a given day.

What belongs here: the registry table `files`, and the rules of time over it. What does not: the files.

The rules:

* `available_on` is the day from which runs may use a delivery. While a source has nothing landed before
  an ingest, that ingest is its historical load: the business date counts (the day of reception where the
  name has none). Afterwards it is the day of reception, or the business date where that is later.
* Files of one source with the same business date and the same `{part}` are deliveries of the same thing.
  On day D the one that counts has, among those with `available_on <= D`, the last `available_on`, then
  the last ingest, then the greatest file name, then the greatest hash. Nothing is deleted.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

import pyarrow as pa

from orchestration import registry
from orchestration.settings import Workspace
from orchestration.warehouse import Connection

FILES = registry.RegistryTable(
    "files",
    {
        "source": "varchar",
        "batch_id": "varchar",
        "sha256": "varchar",
        "file_name": "varchar",
        "part": "varchar",
        "size": "bigint",
        "rows_read": "bigint",
        "rows_landed": "bigint",
        "rows_quarantined": "bigint",
        "rows_filtered": "bigint",
        "entity_rows": "varchar",  # JSON: rows landed per entity
        "columns": "varchar",  # JSON: columns of the file
        "encoding": "varchar",
        "delimiter": "varchar",
        "delivery": "varchar",
        "business_on": "date",
        "received_on": "date",
        "available_on": "date",
        "status": "varchar",  # see problems.Status
        "message": "varchar",
        "warnings": "varchar",  # JSON: list of texts
        "stored_as": "varchar",  # where the original lies, relative to the data folder
        "ingested_at": "timestamp",
    },
    is_versioned=False,
)


@dataclass(frozen=True)
class FileRecord:
    """One row of the manifest. `source` is empty for a file that no source claims."""

    source: str
    batch_id: str
    sha256: str
    file_name: str
    part: str
    size: int
    delivery: str
    business_on: dt.date
    received_on: dt.date
    available_on: dt.date
    status: str
    message: str = ""
    rows_read: int = 0
    rows_landed: int = 0
    rows_quarantined: int = 0
    rows_filtered: int = 0
    entity_rows: dict[str, int] | None = None
    columns: tuple[str, ...] = ()
    encoding: str | None = None
    delimiter: str | None = None
    warnings: tuple[str, ...] = ()
    stored_as: str = ""
    ingested_at: dt.datetime = dt.datetime(1970, 1, 1)

    @property
    def adds_up(self) -> bool:
        return self.rows_read == self.rows_landed + self.rows_quarantined + self.rows_filtered

    @property
    def order(self) -> tuple[dt.date, dt.date, dt.datetime, str, str]:
        """Deliveries of one source in the order in which they tell of the world."""
        return (self.business_on, self.available_on, self.ingested_at, self.file_name, self.sha256)


_NAMES = tuple(FILES.columns)


def read(connection: Connection, workspace: Workspace) -> list[FileRecord]:
    """Every row of the manifest, in a total order."""
    names = ", ".join(f'"{name}"' for name in _NAMES)
    rows = connection.execute(
        f"select {names} from ({registry.rows(workspace, FILES)}) "
        "order by ingested_at, source, business_on, file_name, sha256, status"
    ).fetchall()
    return [_from_row(dict(zip(_NAMES, row, strict=True))) for row in rows]


def _from_row(row: dict[str, object]) -> FileRecord:
    row["entity_rows"] = json.loads(str(row["entity_rows"] or "{}"))
    row["columns"] = tuple(json.loads(str(row["columns"] or "[]")))
    row["warnings"] = tuple(json.loads(str(row["warnings"] or "[]")))
    return FileRecord(**row)  # type: ignore[arg-type]


def append(
    connection: Connection, workspace: Workspace, records: list[FileRecord], *, received_on: dt.date, run_id: str
) -> None:
    """Append rows in one file: all deliveries of an ingest become known at the same instant."""
    if not records:
        return
    told = []
    for record in records:
        row = {item.name: getattr(record, item.name) for item in fields(FileRecord)}
        row["entity_rows"] = json.dumps(record.entity_rows or {}, sort_keys=True)
        row["columns"] = json.dumps(record.columns, ensure_ascii=False)
        row["warnings"] = json.dumps(record.warnings, ensure_ascii=False)
        told.append(row)
    connection.register("manifest_rows", pa.Table.from_pylist(told))
    registry.stage(
        workspace, FILES, connection, "select * from manifest_rows",
        as_of_on=received_on, version=f"{received_on:%Y%m%d}-0000", run_id=run_id,
    )  # fmt: skip
    connection.unregister("manifest_rows")


def effective(records: Iterable[FileRecord], as_of_on: dt.date | None = None) -> list[FileRecord]:
    """The deliveries that count on a day (None: all that is known), in their order per source."""
    chosen: dict[tuple[str, dt.date, str], FileRecord] = {}
    for record in records:
        if record.status != "landed" or (as_of_on is not None and record.available_on > as_of_on):
            continue
        stream = (record.source, record.business_on, record.part)
        present = chosen.get(stream)
        if present is None or record.order > present.order:
            chosen[stream] = record
    return sorted(chosen.values(), key=lambda record: (record.source, *record.order))


def with_status(record: FileRecord, status: str, message: str) -> FileRecord:
    return replace(record, status=status, message=message)

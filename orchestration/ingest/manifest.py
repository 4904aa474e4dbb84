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
    run_id: str = ""  # of the run (or replay) that wrote the row; the registry stamps it

    @property
    def adds_up(self) -> bool:
        return self.rows_read == self.rows_landed + self.rows_quarantined + self.rows_filtered

    @property
    def order(self) -> tuple[dt.date, dt.date, dt.datetime, str, str]:
        """Deliveries of one source in the order in which they tell of the world."""
        return (self.business_on, self.available_on, self.ingested_at, self.file_name, self.sha256)


_NAMES = (*FILES.columns, "run_id")


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
    row["run_id"] = row["run_id"] or ""
    return FileRecord(**row)  # type: ignore[arg-type]


def append(
    connection: Connection, workspace: Workspace, records: list[FileRecord], *, received_on: dt.date, run_id: str
) -> None:
    """Append rows in one file: all deliveries of an ingest become known at the same instant."""
    if not records:
        return
    told = []
    for record in records:
        row = {item.name: getattr(record, item.name) for item in fields(FileRecord) if item.name in FILES.columns}
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


#: What went wrong with a file, so that its rows are missing until somebody mends it.
UNSETTLED = ("refused", "unreadable", "unmatched", "draft", "not_fetched")


def still_open(records: Iterable[FileRecord]) -> set[int]:
    """The places, in the order given (that of `read`), of the rows that tell of something nobody has mended yet.

    A later row of the same file tells of it in its stead. Else it is mended by a later delivery of the same date and
    part; a full delivery also by a later full one, which holds everything; what was not fetched by anything that
    came since.
    """
    told = list(records)
    last_of: dict[tuple[str, str], int] = {}
    landed: dict[str, list[int]] = {}
    for place, record in enumerate(told):
        last_of[record.sha256, record.file_name] = place
        if record.status == "landed" or (record.status in ("duplicate", "header_only") and record.source):
            landed.setdefault(record.source, []).append(place)
    return {
        place
        for place, record in enumerate(told)
        if record.status in UNSETTLED
        and last_of[record.sha256, record.file_name] == place
        and not any(_mends(told[other], record) for other in landed.get(record.source, []))
    }


def came_again(record: FileRecord, records: Iterable[FileRecord]) -> bool:
    """Whether another file of the same source, date and part landed after this one."""
    return any(
        other.status == "landed"
        and (other.source, other.business_on, other.part) == (record.source, record.business_on, record.part)
        and other.ingested_at > record.ingested_at
        for other in records
    )


def _mends(other: FileRecord, record: FileRecord) -> bool:
    """Whether a delivery of the same source makes up for one that went wrong."""
    if record.status == "not_fetched":
        return other.ingested_at > record.ingested_at
    if other.status != "landed" or other.part != record.part:
        return False
    if other.business_on == record.business_on:
        return came_again(record, (other,))
    return record.delivery == "full" and other.delivery == "full" and other.business_on > record.business_on


def with_status(record: FileRecord, status: str, message: str) -> FileRecord:
    return replace(record, status=status, message=message)

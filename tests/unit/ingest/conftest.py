"""A workspace in a temporary folder, filled by the test and ingested with contracts written in the test."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.contracts.company import Company
from orchestration.contracts.loader import parse, raise_problems, validate
from orchestration.contracts.source import Source, check_source
from orchestration.ingest import AssembleReport, IngestReport, assemble, ingest
from orchestration.settings import Workspace

DAY = dt.date(2026, 11, 20)

CUSTOMERS = """
source: shop
describes: customers of the shop
trust_rank: 1
tolerated_bad_rows: 0.5
file: {pattern: "shop_{date}*.csv", date_format: "%Y%m%d"}
delivers:
  customer:
    key: ID
    columns:
      last_name: {from: NAME, required: true}
      birth_on: {from: BORN, read: date, format: "%d/%m/%Y"}
"""


def contract(text: str) -> Source:
    document = parse(text, "test.yml")
    source = validate(document, Source)
    raise_problems(check_source(source, document))
    return source


@dataclass
class Shop:
    """One workspace. `receive` is an ingest, `day` an assembled build."""

    workspace: Workspace
    sources: dict[str, Source] = field(default_factory=dict)
    company: Company = field(default_factory=lambda: Company(name="Test"))

    def declare(self, *texts: str) -> None:
        for text in texts:
            source = contract(text)
            self.sources[source.source] = source

    def drop(self, name: str, content: str | bytes) -> Path:
        path = self.workspace.inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def receive(self, on: dt.date = DAY, *, is_forward: bool = True) -> IngestReport:
        return ingest(
            self.workspace,
            self.sources,
            self.company,
            received_on=on,
            is_forward=is_forward,
            run_id="test",
            settle_seconds=0,
        )

    def landed(self, entity: str = "customer", columns: str = "*", order: str = "line_number") -> list[tuple[Any, ...]]:
        """Rows of the landing files, read without the code under test."""
        folder = self.workspace.landing / entity
        key = {"customer": "record_id", "order": "order_id", "product": "product_id"}.get(entity, "null")
        if not list(folder.glob("source=*/*/*.parquet")):
            return []
        rows = f"""
            select * exclude (first_line, file_row_number) replace (
                coalesce(line_number, first_line + file_row_number) as line_number,
                coalesce(row_key, {key}) as row_key
            )
            from read_parquet(
                ['{folder}/_empty.parquet', '{folder}/source=*/*/*.parquet'],
                union_by_name = true, file_row_number = true, hive_partitioning = false
            )
        """
        return duckdb.sql(f"select {columns} from ({rows}) order by {order}").fetchall()

    def quarantined(self, columns: str = "line_number, column_name, rule, raw_text") -> list[tuple[Any, ...]]:
        if not list((self.workspace.quarantine / "rows").glob("*/*.parquet")):
            return []
        pattern = str(self.workspace.quarantine / "rows" / "*" / "*.parquet")
        return duckdb.sql(f"select {columns} from read_parquet('{pattern}') order by all").fetchall()

    def build(self) -> duckdb.DuckDBPyConnection:
        return duckdb.connect()

    def day(self, on: dt.date, connection: duckdb.DuckDBPyConnection) -> AssembleReport:
        return assemble(connection, self.workspace, self.sources, as_of_on=on)

    def inbox_names(self) -> list[str]:
        return sorted(path.name for path in self.workspace.inbox.rglob("*") if path.is_file())


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    workspace = Workspace(tmp_path / "ws")
    workspace.prepare()
    return Shop(workspace)


@pytest.fixture
def customers(shop: Shop) -> Shop:
    shop.declare(CUSTOMERS)
    return shop

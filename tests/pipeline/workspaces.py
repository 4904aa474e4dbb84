"""Workspaces that the pipeline tests make, and how they run `rcu` on them: as a person would, from a shell."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import duckdb

PROJECT = Path(__file__).resolve().parents[2]

#: Columns that tell when or by which run a row was written, not what is true of a customer.
VOLATILE = {"run_id", "version", "ingested_at", "started_at", "ended_at", "recorded_at", "duration", "seconds"}


@dataclass(frozen=True)
class Shop:
    """A workspace of the demo retailer in a temporary folder."""

    root: Path

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def current(self) -> Path:
        return self.data / "published" / "current"

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "orchestration.cli", "--workspace", str(self.root), *arguments]

    def rcu(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run `rcu` and insist on its exit code; the output is in the message where it differs."""
        done = subprocess.run(
            self.command(*arguments), capture_output=True, text=True, timeout=600, env=environment(), check=False
        )
        assert done.returncode == code, (
            f"exit {done.returncode}, not {code}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        )
        return done

    def query(self, sql: str, publication: Path | None = None) -> list[tuple]:
        """Rows of a query on the current publication, or on the one given."""
        with duckdb.connect(str((publication or self.current) / "rcu.duckdb"), read_only=True) as connection:
            return connection.execute(sql).fetchall()


def environment() -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if name not in ("RCU_WORKSPACE", "DAGSTER_HOME")}
    return {**clean, "COLUMNS": "200", "NO_COLOR": "1"}


def new_shop(root: Path, parsed: Path | None = None) -> Shop:
    """A workspace with the demo declarations; `parsed` lends an already parsed dbt project."""
    shutil.copytree(PROJECT / "declarations", root / "declarations")
    if parsed is not None:
        shutil.copytree(parsed, root / "data" / "build" / "dbt" / "target")
    return Shop(root)


def contents(publication: Path) -> dict[str, str]:
    """A digest of each published table, row order and volatile columns aside."""
    digests = {}
    with duckdb.connect(str(publication / "rcu.duckdb"), read_only=True) as connection:
        tables = connection.execute(
            "select schema_name, table_name from duckdb_tables() where schema_name <> 'audit' order by all"
        ).fetchall()
        for schema, table in tables:
            columns = [
                name
                for (name,) in connection.execute(
                    "select column_name from duckdb_columns() where schema_name = ? and table_name = ? order by all",
                    [schema, table],
                ).fetchall()
                if name not in VOLATILE
            ]
            listed = ", ".join(f'"{column}"' for column in columns)
            rows = connection.execute(f'select {listed} from "{schema}"."{table}"').fetchall()
            lines = sorted(json.dumps(row, default=str) for row in rows)
            digests[f"{schema}.{table}"] = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16] + f" {len(rows)}"
    return digests

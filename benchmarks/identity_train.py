"""Train the demo's stored model again: `python -m benchmarks.identity_train BUILD_DATABASE`.

The build database is that of a run of the demo retailer (`data/build/rcu.duckdb`) after its `prepare` step. Writes the
file that `matching.yml` names; read the difference before committing it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from orchestration.contracts.loader import load
from orchestration.contracts.matching import Matching
from orchestration.identity import records, tables
from orchestration.identity.training import train
from orchestration.settings import PROJECT_ROOT
from orchestration.warehouse import connect, literal


def main(build: Path) -> None:
    declarations = PROJECT_ROOT / "declarations"
    matching = load(declarations / "matching.yml", Matching, PROJECT_ROOT)
    if not matching.model.file:
        raise SystemExit("declarations/matching.yml names no model file to write")
    connection = connect()
    connection.execute(f"attach {literal(str(build))} as build (read_only)")
    connection.execute("create schema intermediate")
    connection.execute(
        "create table intermediate.int_identity_records as select * from build.intermediate.int_identity_records"
    )
    tables.clear(connection)
    records.mark_all(connection)
    records.write_nicknames(connection, matching)
    records.refresh(connection, matching, is_rebuild=True)
    text, notes = train(connection, matching)
    print("\n".join(notes))
    if text is None:
        raise SystemExit(1)
    (declarations / matching.model.file).write_text(text, encoding="utf-8")
    print(f"written: {declarations / matching.model.file}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

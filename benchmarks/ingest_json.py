"""What landing a large JSON document, or JSON lines, costs: processor seconds, and the peak of resident memory.

    python -m benchmarks.ingest_json [--rows 300000] [--kind json jsonl] [--folder DIR]

Writes nested accounts of invented customers (about 680 bytes each), and lands them in a process of their own by the
contract of the demo's web accounts: a customer and a consent of each row. Beside JSON lines, DuckDB's own `read_json`
writes Parquet from the same file, its columns nested as they are.
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.ingest import FIRST, LAST
from orchestration.settings import PROJECT_ROOT

DAY = dt.date(2026, 11, 20)
KINDS = ("jsonl", "json")


def account(number: int) -> dict[str, object]:
    first, last = FIRST[number % 10], LAST[number // 10 % 10]
    at = f"2024-{number % 12 + 1:02d}-{number % 28 + 1:02d}T10:00:00+01:00"
    return {
        "id": f"W{number:09d}",
        "identity": {"first_name": first, "last_name": last, "birth_date": f"{1940 + number % 65}-02-03", "gender": None},
        "contact": {"email": f"{last}{number}@example.org".lower(), "phone": f"06{number % 10**8:08d}"},
        "address": {"line1": f"{number % 200} rue {last}", "line2": None, "zip": f"{number % 95000:05d}", "city": "Lyon",
                    "country": "FR"},
        "preferences": {"language": "fr", "channel": "email", "frequency": "weekly", "interests": ["shoes", "home"]},
        "loyalty": {"card": f"299{number:010d}"}, "status": "active", "created_at": at, "updated_at": at,
        "app": {"installed": True, "os": "ios"}, "optin": {"at": at, "email": True, "version": "v2"},
    }  # fmt: skip


def write(path: Path, rows: int) -> None:
    is_document = path.suffix == ".json"
    with path.open("w", encoding="utf-8") as out:
        out.write('{"rows": [\n' if is_document else "")
        for number in range(rows):
            end = ",\n" if is_document and number + 1 < rows else "\n"
            out.write(json.dumps(account(number), ensure_ascii=False) + end)
        out.write("]}\n" if is_document else "")


def land(path: Path, folder: Path) -> int:
    from orchestration.contracts.company import Company
    from orchestration.contracts.source import FileLayout, load_source
    from orchestration.ingest import ingest
    from orchestration.settings import Workspace

    source = load_source(PROJECT_ROOT / "declarations" / "sources" / "web_accounts.yml")
    layout = {"pattern": f"web_{{date}}{path.suffix}", "format": path.suffix[1:]}
    if path.suffix == ".json":
        layout["rows_at"] = "rows"
    source = source.model_copy(update={"file": FileLayout.model_validate(layout)})
    workspace = Workspace(folder / "ws")
    workspace.prepare()
    (workspace.inbox / f"web_{DAY}{path.suffix}").hardlink_to(path)
    report = ingest(
        workspace, {source.source: source}, Company(name="Bench"), received_on=DAY, is_forward=True, run_id="bench",
        settle_seconds=0,
    )  # fmt: skip
    if report.errors:
        raise SystemExit("\n".join(report.errors))
    return report.rows_landed


def read_json(path: Path, folder: Path) -> int:
    import duckdb

    connection = duckdb.connect()
    connection.execute("set memory_limit = '1500MB'")
    found = connection.execute(
        f"copy (select * from read_json(?)) to '{folder / 'plain.parquet'}' (format parquet, compression zstd)",
        [str(path)],
    ).fetchone()
    return int(found[0]) if found else 0


def measure(what: str, path: Path, folder: Path) -> None:
    importlib.import_module("orchestration.ingest" if what == "land" else "duckdb")
    spent, started = time.process_time(), time.monotonic()
    rows = land(path, folder) if what == "land" else read_json(path, folder)
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(
        f"{what:9} {path.suffix[1:]:5} {path.stat().st_size / 1e6:6.0f} MB {rows:>10,} rows "
        f"{time.process_time() - spent:6.1f} cpu s {time.monotonic() - started:6.1f} s  peak {int(peak.split()[1]) // 1024:,} MB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--kind", choices=KINDS, nargs="*", default=KINDS)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--only", choices=("land", "read_json"))
    parser.add_argument("--file", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as made:
        if given.only:
            measure(given.only, given.file, Path(made))
            return
        for kind in given.kind:
            path = Path(made) / f"accounts.{kind}"
            write(path, given.rows)
            for what in ("read_json", "land") if kind == "jsonl" else ("land",):
                command = [sys.executable, "-m", "benchmarks.ingest_json", "--only", what, "--file", str(path)]
                subprocess.run([*command, "--folder", made], check=what == "land")


if __name__ == "__main__":
    main()

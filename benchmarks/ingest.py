"""How fast ingest lands a large csv, beside DuckDB's own read_csv into Parquet; and how much memory that takes.

    python benchmarks/ingest.py [--rows 3000000] [--folder DIR] [--rounds 3] [--keep]

Writes a csv of invented customers, then in turn, each in a process of its own:

* `mapped`: DuckDB's read_csv into Parquet, the 13 columns of the file, typed;
* `same`: the same, into a file with the columns that a landing file of it has (row hash included);
* `land`: ingest landing it whole (fingerprint, look at the bytes, checks, conversions, quarantine, manifest).

All three write Parquet with the same codec and level. Prints processor seconds, seconds, MB/s, the ratios, and the
peak of resident memory of each. On a machine with other work, the ratio by processor time is the one to read.
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

CONTRACT = {
    "source": "bench", "describes": "generated customers", "trust_rank": 1,
    "file": {"pattern": "bench_{date}.csv", "delimiter": ";", "decimal": ","},
    "delivers": {
        "customer": {
            "key": "ID",
            "columns": {
                "last_name": {"from": "NOM"}, "first_name": {"from": "PRENOM"},
                "birth_on": {"from": "NAISSANCE", "format": "%d/%m/%Y"}, "email": {"from": "EMAIL"},
                "phone": {"from": "TEL"}, "address_line": {"from": "ADRESSE"}, "postal_code": {"from": "CP"},
                "city": {"from": "VILLE"}, "country": {"from": "PAYS"}, "card_number": {"from": "CARTE"},
                "created_at": {"from": "CREE", "format": "%d/%m/%Y %H:%M:%S"}, "is_active": {"from": "ACTIF"},
            },
        }
    },
}  # fmt: skip
HEADER = "ID;NOM;PRENOM;NAISSANCE;EMAIL;TEL;ADRESSE;CP;VILLE;PAYS;CARTE;CREE;ACTIF\n"
FIRST = ["Marie", "Jean", "Zoé", "Paul", "Inès", "Lucas", "Emma", "Léa", "Hugo", "Chloé"]
LAST = ["Martin", "Durand", "Roche", "Lefèvre", "Garnier", "Blanc", "Noël", "Perrin", "Morel", "Faure"]
DAY = dt.date(2026, 11, 20)
WAYS = ("mapped", "same", "land")


def write_csv(path: Path, rows: int) -> None:
    """Rows of about 145 bytes; the same for the same number of rows."""
    draw = np.random.default_rng(7)
    block = 100_000
    with path.open("w", encoding="utf-8") as out:
        out.write(HEADER)
        for start in range(0, rows, block):
            count = min(block, rows - start)
            picks = draw.integers(0, 10**9, size=(count, 4))
            lines = []
            for number, (a, b, c, d) in enumerate(picks.tolist(), start=start):
                first, last = FIRST[a % 10], LAST[b % 10]
                lines.append(
                    f"C{number:09d};{last};{first};{a % 28 + 1:02d}/{b % 12 + 1:02d}/{1940 + c % 65};"
                    f"{first.lower()}.{last.lower()}{number}@example.org;06{d % 10**8:08d};{a % 200} rue {LAST[c % 10]};"
                    f"{b % 95000 + 1000:05d};Ville-{c % 900};FR;29{number:011d};"
                    f"{d % 28 + 1:02d}/{a % 12 + 1:02d}/20{10 + b % 16} {c % 24:02d}:{d % 60:02d}:{a % 60:02d};{'ON'[d % 2]}\n"
                )
            out.write("".join(lines))


PARQUET = "format parquet, compression zstd, compression_level 1"


def plain_duckdb(path: Path, folder: Path, *, has_landing_columns: bool) -> int:
    """What the machine can do: typed columns straight into Parquet. Knows nothing of ingest."""
    import duckdb

    connection = duckdb.connect()
    connection.execute("set memory_limit = '1500MB'")
    columns = ", ".join(f"'{name}': 'varchar'" for name in HEADER.strip().split(";"))
    typed = (
        "ID, NOM, PRENOM, cast(strptime(NAISSANCE, '%d/%m/%Y') as date) as NAISSANCE, EMAIL, TEL, ADRESSE, CP, VILLE, PAYS, "
        "CARTE, strptime(CREE, '%d/%m/%Y %H:%M:%S') as CREE, ACTIF = 'O' as ACTIF"
    )
    if has_landing_columns:
        names = HEADER.strip().split(";")
        typed += f", md5(concat_ws(chr(31), {', '.join(names)})) as row_hash, 2 as first_line, 'bench' as source"
        typed += ", 'batch' as batch_id, date '2026-11-20' as business_on, date '2026-11-20' as available_on"
    row = connection.execute(
        f"copy (select {typed} from read_csv('{path}', delim=';', header=true, auto_detect=false, columns={{{columns}}})) "
        f"to '{folder / 'plain.parquet'}' ({PARQUET})"
    ).fetchone()
    return int(row[0]) if row else 0


def land(path: Path, folder: Path) -> int:
    from orchestration.contracts.company import Company
    from orchestration.contracts.source import Source
    from orchestration.ingest import ingest
    from orchestration.settings import Workspace

    workspace = Workspace(folder / "ws")
    workspace.prepare()
    # A hard link: ingest moves the file out of the inbox, and the benchmark keeps it.
    (workspace.inbox / f"bench_{DAY}.csv").hardlink_to(path)
    report = ingest(
        workspace, {"bench": Source.model_validate(CONTRACT)}, Company(name="Bench"), received_on=DAY, is_forward=True,
        run_id="bench", settle_seconds=0,
    )  # fmt: skip
    if report.errors:
        raise SystemExit("\n".join(report.errors))
    return report.rows_landed


def in_a_process(what: str, path: Path, folder: Path) -> dict[str, float]:
    made = Path(tempfile.mkdtemp(dir=folder))
    try:
        told = subprocess.run(
            [sys.executable, __file__, "--only", what, "--csv", str(path), "--folder", str(made)],
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        return dict(json.loads(told))
    finally:
        shutil.rmtree(made, ignore_errors=True)


def measure(what: str, path: Path, folder: Path) -> None:
    # A night has many files and one start: what is imported is not what is measured.
    importlib.import_module("orchestration.ingest" if what == "land" else "duckdb")
    started, spent = time.monotonic(), time.process_time()
    if what == "land":
        rows = land(path, folder)
    else:
        rows = plain_duckdb(path, folder, has_landing_columns=what == "same")
    told = {
        "rows": rows, "seconds": time.monotonic() - started, "cpu": time.process_time() - spent,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }  # fmt: skip
    print(json.dumps(told))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--only", choices=WAYS)
    given = parser.parse_args()
    if given.only:
        measure(given.only, given.csv, given.folder)
        return
    path = given.csv or given.folder / f"ingest-{given.rows}.csv"
    if not path.exists():
        write_csv(path, given.rows)
    size = path.stat().st_size / 1e6
    print(f"{path.name}: {size:,.0f} MB, {given.rows:,} rows")
    best: dict[str, dict[str, float]] = {}
    for _ in range(given.rounds):
        for what in WAYS:
            told = in_a_process(what, path, given.folder)
            if what not in best or told["cpu"] < best[what]["cpu"]:
                best[what] = told
    for what, told in best.items():
        print(
            f"{what:6} {told['rows']:>12,.0f} rows  {told['cpu']:7.1f} cpu s  {told['seconds']:7.1f} s  "
            f"{size / told['seconds']:6.0f} MB/s  peak {told['peak_mb']:,.0f} MB"
        )
    for what in ("mapped", "same"):
        print(
            f"ingest beside `{what}`: {best[what]['seconds'] / best['land']['seconds']:.0%} by the clock, "
            f"{best[what]['cpu'] / best['land']['cpu']:.0%} by processor time"
        )
    if not given.keep and given.csv is None:
        path.unlink()


if __name__ == "__main__":
    main()

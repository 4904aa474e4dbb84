"""Speed and memory of identity: `python -m benchmarks.identity_build --records 226000 [--splink] [--changed 10000]`.

The input: `--records N` takes the demo retailer's extracts of 20,000 persons through the real ingest and dbt's
`prepare` (a minute), then copies its standardised records, each copy with names, contacts, cards, birth dates and
addresses of its own, until there are N. Or `--build FILE`, a build database after its `prepare` step
(`data/build/warehouse.duckdb`); it is copied, never written. Matches everything anew with the declared model, with `--splink` then with Splink alone (its own settings, blocking and
clustering, trained before the clock starts), then the changed records as an increment, on a database file as in a
run, and prints the seconds of each part, the CPU seconds beside them (what is left when other work shares the machine)
and the highest memory. The changed records get another e-mail each, as after a change of provider.
"""

from __future__ import annotations

import argparse
import datetime as dt
import resource
import shutil
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from benchmarks.identity_competitors import splink_speed
from benchmarks.identity_demo import make
from orchestration.contracts.loader import load
from orchestration.contracts.matching import Matching
from orchestration.identity import IdentityReport, resolve
from orchestration.settings import PROJECT_ROOT, Workspace
from orchestration.warehouse import Connection, connect, literal, quote

DAY = dt.date(2026, 1, 1)

#: The parts that a matching library does; the rest is preparing records before, lasting ids and tables after.
MATCHING = ("blocking", "scoring", "clustering")


def _told(name: str, report: IdentityReport) -> str:
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    parts = "; ".join(
        f"{part} {seconds:.1f} ({report.cpu_seconds[part]:.1f})" for part, seconds in report.seconds.items()
    )
    matching, cpu = (sum(laps[part] for part in MATCHING) for laps in (report.seconds, report.cpu_seconds))
    return (
        f"{name}: blocking, scoring and clustering {matching:.1f} s, {cpu:.1f} s of CPU; the whole step "
        f"{sum(report.seconds.values()):.1f} s, {sum(report.cpu_seconds.values()):.1f} s of CPU [{parts}]; "
        f"{report.records} records, {report.candidate_pairs} pairs compared, {report.customers} customers; {memory} MB"
    )


#: Persons of the demo retailer that the copies are made of.
_PERSONS = 20_000


def _made(root: Path) -> Path:
    """The demo's build, made in a process of its own: its memory is none of matching's."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(make, root, customers=_PERSONS, seed=23, is_other=False).result().build_file


def _copied(column: str) -> str:
    """The value of a column in copy `k` (0: as it is): nobody of one copy is like somebody of another.

    Letters of family names change places by copy, so names stay as long and as frequent as they were; given names,
    towns and the shape of everything stay.
    """
    name = quote(column)
    letters = "array_to_string(list_transform(range(26), lambda i: chr(97 + ((i * (2 * (k % 12) + 1) + k * 7) % 26)::int)), '')"
    if column in ("last_name", "last_name_bare", "last_name_phonetic", "birth_name"):
        return f"translate({name}, 'abcdefghijklmnopqrstuvwxyz', {letters})"
    if column in ("record_id", "card_number", "account", "national_number", "home", "kin", "row_hash"):
        return f"{name} || '-' || k"
    if column == "email":
        return "split_part(email, '@', 1) || k || '@' || split_part(email, '@', 2)"
    if column.startswith("phone_"):
        moved = f"((try_cast(right({name}, 6) as integer) + k * 104729) % 1000000)"
        return f"left({name}, length({name}) - 6) || lpad({moved}::varchar, 6, '0')"
    if column == "address_line":
        return "regexp_replace(address_line, '^([^ ]*)', '\\1' || k)"
    if column == "birth_on":
        return "birth_on + k * 17"
    return name


def _take(connection: Connection, build: Path, records: int | None) -> None:
    """`intermediate.int_identity_records` of a build: as they are, or copied until there are `records`."""
    connection.execute(f"attach {literal(str(build))} as given (read_only)")
    given = "given.intermediate.int_identity_records"
    connection.execute(f"create table intermediate.int_identity_records as select * from {given}")
    if records is not None:
        held = _count(connection)
        columns = [name for (name,) in connection.execute(f"select column_name from (describe {given})").fetchall()]
        for copy in range(1, -(-records // held)):
            told = ", ".join(f"{_copied(name)} as {quote(name)}" for name in columns)
            connection.execute(
                f"insert into intermediate.int_identity_records by name select {told} from "
                f"(select *, {copy} as k from {given} order by source, record_id limit {records - copy * held})"
            )
    connection.execute("detach given")


def _count(connection: Connection) -> int:
    row = connection.execute("select count(*) from intermediate.int_identity_records").fetchone()
    return int(row[0]) if row else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--records", type=int, help="make an input of this many records")
    which.add_argument("--build", type=Path, help="a build database to take the records of")
    parser.add_argument("--memory", default="1600MB", help="DuckDB's memory limit")
    parser.add_argument("--changed", type=int, default=10_000)
    parser.add_argument("--splink", action="store_true", help="Splink alone beside it, in the same minutes")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        shutil.copytree(PROJECT_ROOT / "declarations", workspace.declarations)
        workspace.prepare()
        matching = load(workspace.declarations / "matching.yml", Matching)
        connection = connect(Path(folder) / "build.duckdb")
        connection.execute(f"set memory_limit = {literal(asked.memory)}")
        for schema in ("intermediate", "control"):
            connection.execute(f"create schema {schema}")
        build = asked.build or _made(Path(folder) / "demo")
        _take(connection, build, asked.records)
        report = resolve(
            connection, workspace, matching,
            as_of_on=DAY, version="20260101-0001", run_id="benchmark", is_forward=False, mode="rebuild",
        )  # fmt: skip
        print(_told("everything", report), flush=True)
        if asked.splink:
            seconds, cpu, pairs = splink_speed(connection)
            ours = sum(report.cpu_seconds[part] for part in MATCHING)
            print(
                f"Splink alone: {seconds:.1f} s, {cpu:.1f} s of CPU, {pairs} pairs scored; this project takes "
                f"{ours / cpu:.1f} times its CPU",
                flush=True,
            )
        connection.execute(
            "create table control.touched_records as select source, record_id from intermediate.int_identity_records "
            f"order by md5(concat(source, record_id)), source, record_id limit {asked.changed}"
        )
        connection.execute(
            "update intermediate.int_identity_records set email = concat(split_part(email, '@', 1), '@changed.example') "
            "where email is not null and (source, record_id) in (select (source, record_id) from control.touched_records)"
        )
        connection.execute("checkpoint")
        report = resolve(
            connection, workspace, matching,
            as_of_on=DAY, version="20260101-0002", run_id="benchmark", is_forward=False, mode="increment",
        )  # fmt: skip
        print(_told(f"{asked.changed} changed records", report))


if __name__ == "__main__":
    main()

"""DuckDB: the only place that opens a database, and the lock that keeps runs apart.

What belongs here: connections with the project's settings, extensions loaded from their wheels, the
whole-run lock, the stamp of the build database. What does not: any table of a domain.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import importlib.util
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from orchestration.errors import BuildError, BusyError, UsageError
from orchestration.settings import Workspace
from orchestration.unlocking import holder_of

Connection = duckdb.DuckDBPyConnection

# Both keep DuckDB and Spark in agreement; UTC keeps timestamps free of the machine's zone.
# Set by statement, not by `config=`: two connections of one process to one file must not differ.
_SESSION_SETTINGS = (
    "set timezone = 'UTC'",
    "set default_null_order = 'nulls_first_on_asc_last_on_desc'",
    "set ieee_floating_point_ops = false",
    "set autoinstall_known_extensions = false",
    "set autoload_known_extensions = false",
)


def connect(path: Path | None = None, *, read_only: bool = False) -> Connection:
    """Open `path` (None: in memory) with the project's session settings; an encrypted file with its key.

    The build database is always opened read-write: dbt keeps a handle on it in the same process and
    DuckDB refuses a second handle of another kind. Published files are opened read-only.
    """
    if path is not None and is_encrypted(path):
        return _open_encrypted(path, read_only=read_only)
    connection = duckdb.connect(str(path) if path else ":memory:", read_only=read_only)
    for statement in _SESSION_SETTINGS:
        connection.execute(statement)
    return connection


# --- encrypted databases -------------------------------------------------------------------------
#
# DuckDB takes a key with `attach` only. So a connection on an encrypted file is one in memory with the file
# attached under the name that it would have, and `use`d. For writing it is a named one, which every connection of
# this process shares (dbt's too): two would be two writers of one file.


def is_encrypted(path: Path) -> bool:
    """Whether `path` is an encrypted DuckDB file: a flag of its header says so."""
    try:
        with path.open("rb") as file:
            head = file.read(24)
    except FileNotFoundError:
        return False
    return head[8:12] == b"DUCK" and len(head) == 24 and bool(head[20] & 1)


def create_encrypted(path: Path) -> None:
    """Make an empty encrypted database."""
    connection = duckdb.connect(":memory:")
    try:
        attach(connection, path, "fresh", encrypted=True)
        connection.execute("detach fresh")
    finally:
        connection.close()


def attach(
    connection: Connection, path: Path, name: str, *, read_only: bool = False, encrypted: bool | None = None
) -> None:
    """Attach a database, with its key where it is encrypted. A new one is encrypted where `encrypted` says so."""
    if not (is_encrypted(path) if encrypted is None else encrypted):
        connection.execute(f"attach {literal(str(path))} as {quote(name)}{' (read_only)' if read_only else ''}")
        return
    if not read_only:
        load_extension(connection, "httpfs")  # its cryptography writes, the built-in one only reads
    holder = holder_of(path)
    if holder is None:
        raise UsageError(f"{path}: this database is encrypted; use it through `rcu --workspace DIR`, which has its key")
    options = f"encryption_key $1{', read_only' if read_only else ''}"
    keys = holder.keys()
    for key in keys if path.exists() else keys[:1]:
        try:
            connection.execute(f"attach {literal(str(path))} as {quote(name)} ({options})", [key])
            return
        except duckdb.Error as error:
            if "encryption key" not in str(error):
                raise
    raise UsageError(f"{path}: no key of {holder.key_file} opens this database; restore the key file from its backup")


def opens(path: Path, key: str) -> bool:
    """Whether `key` opens an encrypted database."""
    connection = duckdb.connect(":memory:")
    try:
        connection.execute(f"attach {literal(str(path))} as tried (encryption_key $1, read_only)", [key])
    except duckdb.Error as error:
        if "encryption key" not in str(error):
            raise
        return False
    finally:
        connection.close()
    return True


def dbt_path(path: Path) -> str:
    """What dbt opens to reach a database: its path, or the connection in memory that has it attached."""
    return _shared_name(path) if is_encrypted(path) else str(path)


def cursor_on(connection: Connection) -> Connection:
    """A cursor that looks at the same database as its connection: DuckDB's own begins at the first one."""
    found = connection.cursor()
    name = connection.execute("select current_database()").fetchall()[0][0]
    found.execute(f"use {quote(name)}")
    return found


def _shared_name(path: Path) -> str:
    return f":memory:{path}"


def _open_encrypted(path: Path, *, read_only: bool) -> Connection:
    connection = duckdb.connect(":memory:" if read_only else _shared_name(path))
    try:
        for statement in _SESSION_SETTINGS:
            connection.execute(statement)
        name = path.stem  # as DuckDB calls the catalog of a file that is opened by its path
        known = connection.execute("select 1 from duckdb_databases() where database_name = ?", [name]).fetchone()
        if known is None:
            if not read_only:
                connection.execute(f"set temp_directory = {literal(f'{path}.tmp')}")
            connection.execute("set temp_file_encryption = true")
            attach(connection, path, name, read_only=read_only, encrypted=True)
        connection.execute(f"use {quote(name)}")
    except BaseException:
        connection.close()
        raise
    return connection


def load_extension(connection: Connection, name: str) -> None:
    """Load a DuckDB extension from its wheel (`duckdb-extension-<name>`); nothing is downloaded."""
    package = f"duckdb_extension_{name}"
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise BuildError(
            f'DuckDB extension "{name}" is not installed: add duckdb-extension-{name.replace("_", "-")}'
            f"=={duckdb.__version__} to pyproject.toml and run `make setup`"
        )
    folder = Path(next(iter(found.submodule_search_locations)))
    file = folder / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
    connection.execute(f"load '{file}'")


@contextmanager
def run_lock(workspace: Workspace, holder: str) -> Iterator[None]:
    """Hold the workspace's whole-run lock; every entry point that writes takes it.

    `flock` is released by the kernel when the process dies, so a killed run leaves nothing to clean.
    Raises BusyError, naming who holds it, at once: a second run does not queue behind the first.
    """
    workspace.data.mkdir(parents=True, exist_ok=True)
    handle = os.open(workspace.lock_file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(
                f"{workspace.lock_file}: another run holds the warehouse ({_read_holder(handle)}); "
                "wait for it to end, then run again"
            ) from None
        told = {
            "pid": os.getpid(),
            "holder": holder,
            "since": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        }
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(told).encode(), 0)
        yield
        os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def _read_holder(handle: int) -> str:
    try:
        told = json.loads(os.pread(handle, 4096, 0) or b"{}")
    except ValueError:
        told = {}
    if not told:
        return "it does not say who it is"
    return f"{told.get('holder')}, process {told.get('pid')}, since {told.get('since')}"


@dataclass(frozen=True)
class Stamp:
    """What the build database says of itself: for which date and run it is, and how it was begun."""

    as_of_on: dt.date
    run_id: str
    mode: str  # "increment" or "rebuild"
    code: str  # fingerprint of code and declarations
    is_complete: bool = False


def read_stamp(path: Path) -> Stamp | None:
    """The stamp of a build file; None where there is no file or no stamp in it."""
    if not path.exists():
        return None
    connection = connect(path)
    try:
        row = connection.execute("select as_of_on, run_id, mode, code, is_complete from control.build").fetchone()
    except duckdb.CatalogException:
        return None
    finally:
        connection.close()
    return Stamp(*row) if row else None


def begin_build(path: Path, stamp: Stamp, *, encrypted: bool = False) -> None:
    """Stamp the build file for a run. A rebuild starts from an empty file, encrypted where that is asked for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if stamp.mode == "rebuild":
        path.unlink(missing_ok=True)
        path.with_name(path.name + ".wal").unlink(missing_ok=True)
        if encrypted:
            create_encrypted(path)
    connection = connect(path)
    try:
        connection.execute("begin")
        connection.execute("create schema if not exists control")
        connection.execute(
            "create or replace table control.build "
            "(as_of_on date, run_id varchar, mode varchar, code varchar, is_complete boolean)"
        )
        connection.execute(
            "insert into control.build values (?, ?, ?, ?, ?)",
            [stamp.as_of_on, stamp.run_id, stamp.mode, stamp.code, stamp.is_complete],
        )
        connection.execute("create or replace table control.as_of (as_of_on date)")
        connection.execute("insert into control.as_of values (?)", [stamp.as_of_on])
        connection.execute("commit")
    finally:
        connection.close()


@contextmanager
def open_build(path: Path, *, as_of_on: dt.date, run_id: str) -> Iterator[Connection]:
    """Open the build database for one step, refusing a build that another run or date stamped."""
    stamp = read_stamp(path)
    if stamp is None:
        raise BuildError(f"{path}: there is no build to work on; launch the whole job (`rcu run`), not a single step")
    if (stamp.as_of_on, stamp.run_id) != (as_of_on, run_id):
        raise BuildError(
            f"{path}: this build is of {stamp.as_of_on} by run {stamp.run_id}, not of {as_of_on} by run "
            f"{run_id}; launch the whole job for {as_of_on} (`rcu run --as-of {as_of_on}`)"
        )
    connection = connect(path)
    try:
        yield connection
    finally:
        connection.close()


_kept_open: dict[Path, Connection] = {}


def keep_open(path: Path) -> None:
    """Keep a database open in this process until `let_go`.

    The steps of a run open and close the build some thirty times. Whoever opens it first reads the whole catalogue,
    whoever closes it last makes DuckDB write its log back: a tenth of a second each time. Meanwhile the log is written
    back when asked only, never while dbt's threads write.
    """
    if path not in _kept_open:
        _kept_open[path] = connect(path)
        _kept_open[path].execute("set checkpoint_threshold = '16GB'")


def let_go() -> None:
    """Close what `keep_open` holds."""
    while _kept_open:
        _kept_open.popitem()[1].close()


def complete_build(path: Path) -> None:
    """Mark the build as wholly done: the next run forward in time may start from it.

    What its tables lost in this run, and whom that touched, is kept no longer: nobody asks for it again.
    """
    connection = connect(path)
    try:
        connection.execute("begin")
        connection.execute("drop schema if exists changes cascade")
        for (table,) in connection.execute(
            "select table_name from duckdb_tables() where database_name = current_database() "
            "and schema_name = 'control' and (table_name like 'touched!_!_%' escape '!' or table_name = 'table_changes')"
        ).fetchall():
            connection.execute(f"drop table control.{quote(table)}")
        connection.execute("update control.build set is_complete = true")
        connection.execute("commit")
        connection.execute("checkpoint")
    finally:
        connection.close()


def table_contents(connection: Connection, table: str) -> str:
    """A fingerprint of a table (as SQL names it): its rows, columns and types, whatever the order of the rows."""
    told = connection.execute(
        f"select concat_ws(' ', count(*), bit_xor(hash(counted)), sum(hash(counted))) from {table} as counted"
    ).fetchall()[0][0]
    columns = connection.execute(f"describe {table}").fetchall()
    return f"{told} {','.join(f'{column[0]} {column[1]}' for column in columns)}"


def quote(identifier: str) -> str:
    """An SQL identifier; a name from a declaration never enters a statement unquoted."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """An SQL string literal."""
    return "'" + text.replace("'", "''") + "'"

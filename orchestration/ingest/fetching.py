"""Fetching: what a source keeps in a database, a bucket or an SFTP folder comes into the inbox as a file.

What belongs here: reaching the place, taking what is new, putting it into the inbox whole. What does not: reading
it. A fetched file is landed like any other: manifest, fingerprint, archive. A place that cannot be reached is an
error of its source alone.

What was fetched is remembered in `data/build/fetched`. That is a cache: without it everything is fetched once more,
and ingest finds the contents known.
"""

from __future__ import annotations

import datetime as dt
import importlib
import io
import json
import re
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from orchestration import warehouse
from orchestration.contracts.connection import Bucket, Database, Sftp
from orchestration.contracts.source import Source
from orchestration.errors import UsageError
from orchestration.ingest import inbox
from orchestration.settings import Workspace, resolve_secret
from orchestration.warehouse import literal, quote

Progress = Callable[[str], None]

_EXTENSIONS = {"postgres": "postgres_scanner", "mysql": "mysql_scanner"}
_MEMORY_LIMIT = "1GB"


@dataclass(frozen=True)
class Failure:
    """What could not be fetched: a file's name (or the pattern of those expected), and why."""

    source: str
    name: str
    message: str


@dataclass(frozen=True)
class FetchReport:
    """What was put into the inbox, and which places failed: one line each, never a secret."""

    files: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()

    @property
    def errors(self) -> tuple[str, ...]:
        return tuple(f"{failure.source}: {failure.message}" for failure in self.failures)


@dataclass
class Memory:
    """What is remembered of a source: the mark of each file fetched, and the last failure."""

    marks: dict[str, str] = field(default_factory=dict)
    failed_on: str | None = None
    failure: str | None = None


def fetch(
    workspace: Workspace,
    sources: Mapping[str, Source],
    *,
    received_on: dt.date,
    settle_seconds: float = 2.0,
    progress: Progress | None = None,
) -> FetchReport:
    """Bring what each connected source has into the inbox. Call under the run lock."""
    files: list[str] = []
    failures: list[Failure] = []
    for name, source in sorted(sources.items()):
        if source.connect is None or source.is_draft:
            continue
        if progress:
            progress(f"fetching {name} from {source.connect.kind}")
        memory = recall(workspace, name)
        fetcher = _Fetcher(workspace, source, received_on, settle_seconds, memory)
        try:
            files += fetcher.fetch()
            memory.failed_on = memory.failure = None
        except _Unreachable as problem:
            memory.failed_on, memory.failure = received_on.isoformat(), str(problem)
            failures.append(Failure(name, source.file.pattern, str(problem)))
        failures += [Failure(name, file, message) for file, message in fetcher.errors]
        _remember(workspace, name, memory)
    return FetchReport(tuple(files), tuple(failures))


def recall(workspace: Workspace, source: str) -> Memory:
    """What is remembered of a source's place."""
    path = _memory_file(workspace, source)
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return Memory(dict(told["marks"]), told["failed_on"], told["failure"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return Memory()


def _remember(workspace: Workspace, source: str, memory: Memory) -> None:
    path = _memory_file(workspace, source)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    partial = path.with_name(f".{path.name}.tmp")
    partial.write_text(json.dumps(vars(memory), sort_keys=True), encoding="utf-8")
    partial.replace(path)


def _memory_file(workspace: Workspace, source: str) -> Path:
    return workspace.build / "fetched" / f"{source}.json"


class _Unreachable(Exception):
    """A place that could not be read; the message holds no secret."""


class _Fetcher:
    """One source and its place."""

    def __init__(
        self, workspace: Workspace, source: Source, received_on: dt.date, settle_seconds: float, memory: Memory
    ) -> None:
        self.workspace, self.source, self.received_on = workspace, source, received_on
        self.settle_seconds, self.memory = settle_seconds, memory
        self.secrets: list[str] = []
        self.errors: list[tuple[str, str]] = []
        self.folder = workspace.inbox / source.source

    def fetch(self) -> list[str]:
        place = self.source.connect
        assert place is not None
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o750)
            if place.database is not None:
                return self._from_database(place.kind, place.database)
            if place.s3 is not None:
                return self._from_folder(_bucket(place.s3, self._secret), _under(place.s3.bucket, place.s3.folder))
            assert place.sftp is not None
            return self._from_folder(_sftp(place.sftp, self._secret), place.sftp.folder, is_watched=True)
        except UsageError as error:
            raise _Unreachable(str(error)) from None
        except _failures() as error:
            raise _Unreachable(
                f"{place.kind} could not be read ({self._told(error)}); {_REMEDIES[place.kind]}"
            ) from None

    def _secret(self, reference: str) -> str:
        found = resolve_secret(reference, self.workspace)
        self.secrets.append(found)
        self.secrets += re.findall(r"password=('[^']*'|\S+)", found) + re.findall(r"://[^:/@]*:([^@/]+)@", found)
        return found

    def _told(self, error: BaseException) -> str:
        """The reason in one line, without what it must not hold."""
        text = " ".join(str(error).split()) or type(error).__name__
        for value in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(" ".join(value.split()), "***").replace(value, "***")
        return text[:300]

    # -- databases --

    def _from_database(self, kind: str, database: Database) -> list[str]:
        day = self.received_on.strftime(self.source.file.date_format.replace("%-", "%"))
        name = self.source.file.pattern.replace("{date}", day).replace("*", "")
        target, partial = self.folder / name, self.folder / f".{name}.tmp"
        dsn = self._secret(database.dsn)
        connection = warehouse.connect()
        try:
            warehouse.load_extension(connection, _EXTENSIONS[kind])
            spill = self.workspace.build / "fetched" / "spill"
            connection.execute(f"set memory_limit = '{_MEMORY_LIMIT}'")
            connection.execute(f"set temp_directory = {literal(str(spill))}")
            connection.execute(f"attach {literal(dsn)} as place (type {kind}, read_only)")
            # A total order: the same rows make the same file, which ingest then knows by its hash.
            connection.execute(
                f"copy (select * from place.{'.'.join(map(quote, database.table.split('.')))} order by all) "
                f"to {literal(str(partial))} (format parquet, compression zstd)"
            )
            self._deliver(partial, target)
        except duckdb.OutOfMemoryException:
            raise _Unreachable(
                f"{database.table} needs more memory than fetching may use; give a smaller view"
            ) from None
        finally:
            connection.close()
            shutil.rmtree(self.workspace.build / "fetched" / "spill", ignore_errors=True)
            partial.unlink(missing_ok=True)
        return [name]

    # -- folders --

    def _from_folder(self, place: Any, folder: str, *, is_watched: bool = False) -> list[str]:
        """Take what is new or changed. `is_watched`: files may still be growing, so they are looked at twice."""
        found = {name: entry for name, entry in _files_in(place, folder).items() if self._is_wanted(name)}
        wanted = {name: entry for name, entry in found.items() if self.memory.marks.get(name) != _mark(entry)}
        if wanted and is_watched:
            time.sleep(self.settle_seconds)
            again = _files_in(place, folder)
            growing = [name for name, entry in wanted.items() if _mark(again.get(name, {})) != _mark(entry)]
            wanted = {name: entry for name, entry in wanted.items() if name not in growing}
        taken = []
        for name, entry in sorted(wanted.items()):
            partial = self.folder / f".{name}.tmp"
            try:
                place.get_file(entry["name"], str(partial))
                if partial.stat().st_size != entry["size"]:
                    self.errors.append((name, f"{name}: it changed while it was fetched; the next run takes it"))
                    continue
                self._deliver(partial, self.folder / name)
            finally:
                partial.unlink(missing_ok=True)
            self.memory.marks[name] = _mark(entry)
            taken.append(name)
        return taken

    def _is_wanted(self, name: str) -> bool:
        if name.startswith(".") or Path(name).name != name or name.endswith(inbox.DONE):
            return False
        mine = {self.source.source: self.source}
        return bool(inbox.zip_owners(name, mine) if name.lower().endswith(".zip") else inbox.owners(name, mine))

    def _deliver(self, partial: Path, target: Path) -> None:
        inbox.sync(partial)
        partial.replace(target)
        target.with_name(target.name + inbox.DONE).touch()


def _files_in(place: Any, folder: str) -> dict[str, dict[str, Any]]:
    place.invalidate_cache()
    return {str(e["name"]).rsplit("/", 1)[-1]: e for e in place.ls(folder, detail=True) if e["type"] == "file"}


def _mark(entry: Mapping[str, Any]) -> str:
    """What tells one state of a remote file from another."""
    changed = entry.get("ETag") or entry.get("LastModified") or entry.get("mtime")
    return f"{entry.get('size')}|{changed}"


def _under(bucket: str, folder: str) -> str:
    return "/".join(part for part in (bucket, folder.strip("/")) if part)


def _bucket(declared: Bucket, told: Callable[[str], str]) -> Any:
    s3fs = _package("s3fs")
    options: dict[str, Any] = {"use_listings_cache": False, "skip_instance_cache": True}
    if declared.access_key and declared.secret_key:
        options |= {"key": told(declared.access_key), "secret": told(declared.secret_key)}
    client = {
        key: value for key, value in (("endpoint_url", declared.endpoint), ("region_name", declared.region)) if value
    }
    retries = {"connect_timeout": 10, "read_timeout": 60, "retries": {"max_attempts": 3}}
    return s3fs.S3FileSystem(**options, client_kwargs=client, config_kwargs=retries)


def _sftp(declared: Sftp, told: Callable[[str], str]) -> Any:
    paramiko = _package("paramiko")
    file_system: Any = _package("fsspec.implementations.sftp").SFTPFileSystem

    class KnownServer(file_system):  # type: ignore[misc]
        """fsspec would trust whatever key a server shows; only the declared one is."""

        cachable = False

        def _connect(self) -> None:
            self.client = paramiko.SSHClient()
            kind, key = declared.host_key.split(" ", 1)
            at = declared.host if declared.port == 22 else f"[{declared.host}]:{declared.port}"
            line = paramiko.hostkeys.HostKeyEntry.from_line(f"{at} {kind} {key}")
            if line is None or line.key is None:
                raise UsageError("host_key is no public key; write what ssh-keyscan prints, without the host")
            self.client.get_host_keys().add(at, kind, line.key)
            self.client.set_missing_host_key_policy(paramiko.RejectPolicy())
            self.client.connect(self.host, **self.ssh_kwargs)
            self.ftp = self.client.open_sftp()

        def invalidate_cache(self, path: str | None = None) -> None:
            """Nothing is kept between two looks."""

    options: dict[str, Any] = {
        "port": declared.port, "username": declared.user, "timeout": 20, "allow_agent": False, "look_for_keys": False,
    }  # fmt: skip
    if declared.password:
        options["password"] = told(declared.password)
    if declared.private_key:
        options["pkey"] = _private_key(paramiko, told(declared.private_key))
    return KnownServer(declared.host, **options)


def _private_key(paramiko: Any, text: str) -> Any:
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key(io.StringIO(text + "\n"))
        except (paramiko.SSHException, ValueError):
            continue
    raise UsageError("private_key is no OpenSSH private key without passphrase; make one with ssh-keygen")


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        wanted = name.split(".", maxsplit=1)[0]
        raise UsageError(f"{wanted} is not installed; add it to pyproject.toml and run `make setup`") from None


def _failures() -> tuple[type[BaseException], ...]:
    """What the libraries raise for a place that does not answer, or not as it should."""
    known: list[type[BaseException]] = [OSError, EOFError, duckdb.Error]
    for module, name in (("botocore.exceptions", "BotoCoreError"), ("botocore.exceptions", "ClientError"), (
        "paramiko", "SSHException")):  # fmt: skip
        try:
            known.append(getattr(importlib.import_module(module), name))
        except ImportError:
            continue
    return tuple(known)


_REMEDIES = {
    "postgres": "check the server, the connection string and the rights on the table",
    "mysql": "check the server, the connection string and the rights on the table",
    "s3": "check bucket, folder, endpoint and keys",
    "sftp": "check host, host_key, user and folder",
}

"""From the inbox to landing: each delivery is landed, refused or put in quarantine, and the manifest says so.

What belongs here: the order of effects for the files of one ingest. What does not: formats (`readers`),
conversions (`conversions`), the build database (`assembly`).

The order makes a kill at any point harmless: landing files first (each under a temporary name, then
renamed), then one manifest file for the whole ingest, then the originals leave the inbox. A run that died
before the manifest does everything again, with the same result; one that died after it finds the files
known and only moves them.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb
import duckdb.func
import pyarrow as pa
import pyarrow.parquet as pq

from orchestration import landed, warehouse
from orchestration.contracts.company import Company
from orchestration.contracts.entities import ENTITIES, Entity
from orchestration.contracts.source import Delivery, NameMatch, Source
from orchestration.ingest import inbox, manifest, readers, textfile, unpack
from orchestration.ingest.conversions import Check, EntityQuery, RowSource, entity_query, filter_sql, landing_select
from orchestration.ingest.fetching import Failure, FetchReport, fetch
from orchestration.ingest.manifest import FileRecord
from orchestration.ingest.problems import FileProblem, refused
from orchestration.ingest.readers import RawFile
from orchestration.ingest.textfile import TextStats
from orchestration.protection import unsubscribe_reader
from orchestration.settings import Workspace
from orchestration.warehouse import Connection, literal

Progress = Callable[[str], None]

#: Rows shown in quarantine for a file that is refused whole: the file itself is kept.
SHOWN_OF_REFUSED = 10_000
MEMORY_LIMIT = "1500MB"
#: Columns with many values are not worth a dictionary: looking for one is half the cost of writing.
#: The lowest level: a tenth more bytes for a tenth less time.
_PARQUET = "format parquet, compression zstd, compression_level 1, dictionary_size_limit 10000"
QUARANTINE_SCHEMA = pa.schema(
    [
        ("source", pa.string()), ("batch_id", pa.string()), ("file_name", pa.string()),
        ("line_number", pa.int64()), ("column_name", pa.string()), ("rule", pa.string()),
        ("reason", pa.string()), ("row_key", pa.string()), ("raw_text", pa.string()),
    ]
)  # fmt: skip


@dataclass(frozen=True)
class IngestReport:
    """What one ingest did: counts and messages, never a value of a file."""

    received_on: dt.date
    is_forward: bool
    files: tuple[FileRecord, ...] = ()
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()

    def count(self, status: str) -> int:
        return sum(record.status == status for record in self.files)

    @property
    def rows_read(self) -> int:
        return sum(record.rows_read for record in self.files)

    @property
    def rows_landed(self) -> int:
        return sum(record.rows_landed for record in self.files)

    @property
    def rows_quarantined(self) -> int:
        return sum(record.rows_quarantined for record in self.files)

    @property
    def rows_filtered(self) -> int:
        return sum(record.rows_filtered for record in self.files)

    def counts(self) -> dict[str, int]:
        """Flat counts, for metadata."""
        statuses = sorted({record.status for record in self.files})
        return {
            **{f"files_{status}": self.count(status) for status in statuses},
            "rows_read": self.rows_read, "rows_landed": self.rows_landed,
            "rows_quarantined": self.rows_quarantined, "rows_filtered": self.rows_filtered,
            "errors": len(self.errors), "warnings": len(self.warnings),
        }  # fmt: skip


@dataclass(frozen=True)
class Arrival:
    """One file to read: where it lies in the inbox, and the plain content where it was packed."""

    path: Path  # in the inbox
    name: str  # of the file, or of the member of a zip
    shown: str  # for messages: path within the inbox
    source: Source
    match: NameMatch
    sha256: str
    stats: TextStats
    content: Path  # what to read
    replays: FileRecord | None = None  # the delivery that is read again


@dataclass
class _Outcome:
    record: FileRecord
    inbox_path: Path
    target: Path | None


@dataclass
class Night:
    """The state of one ingest (or replay) while it goes through the files."""

    workspace: Workspace
    connection: Connection
    scratch: Path
    company: Company
    received_on: dt.date
    started_at: dt.datetime
    known: list[FileRecord]
    progress: Progress
    done: list[FileRecord] = field(default_factory=list)
    outcomes: list[_Outcome] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def report(self, waiting: tuple[str, ...] = ()) -> IngestReport:
        return IngestReport(self.received_on, True, tuple(self.done), tuple(self.errors), tuple(self.warnings), waiting)

    def landed(self, source: str) -> list[FileRecord]:
        return [r for r in (*self.known, *self.done) if r.source == source and r.status == "landed"]


def ingest(
    workspace: Workspace,
    sources: Mapping[str, Source],
    company: Company,
    *,
    received_on: dt.date,
    is_forward: bool,
    run_id: str,
    progress: Progress | None = None,
    settle_seconds: float = 2.0,
    is_fetching: bool = True,
) -> IngestReport:
    """Fetch what connected sources have, and take every whole file of the inbox that a source claims.

    `received_on`: the day of reception that new deliveries get. A backfill (`is_forward=False`) leaves
    the inbox alone: what arrived today was not there then. Call under the run lock.
    """
    workspace.prepare()
    write_empty_files(workspace)
    if not is_forward:
        return IngestReport(received_on, is_forward)
    fetched = FetchReport()
    if is_fetching:
        fetched = fetch(
            workspace, sources, received_on=received_on, settle_seconds=settle_seconds, progress=progress
        )  # fmt: skip
    found = inbox.look(workspace.inbox, settle_seconds)
    with open_night(workspace, company, received_on=received_on, run_id=run_id, progress=progress) as night:
        for failure in fetched.failures:
            _note_not_fetched(night, sources[failure.source], failure)
        for name, source in sorted(sources.items()):
            if source.is_draft:
                night.warnings.append(
                    f"{name}: its contract is a draft with {source.questions} to decide, which `rcu check` names; "
                    "nothing is taken for it"
                )
        for path in found.links:
            night.errors.append(f"{_shown(workspace, path)}: a symbolic link is never followed; put the file itself")
        take_all(night, found.whole, sources)
    return night.report(tuple(_shown(workspace, path) for path in found.growing))


@contextmanager
def open_night(
    workspace: Workspace, company: Company, *, received_on: dt.date, run_id: str, progress: Progress | None
) -> Iterator[Night]:
    """Everything that is taken inside counts at once, when the block ends without an error."""
    for partial in workspace.landing.glob("*/source=*/batch=*/.*.tmp*"):
        partial.unlink()  # a killed run left it: nothing points at it
    with _scratch_folder(workspace) as scratch:
        connection = _open_connection(workspace, scratch)
        try:
            night = Night(
                workspace, connection, scratch, company, received_on,
                dt.datetime.now(dt.UTC).replace(tzinfo=None), manifest.read(connection, workspace),
                progress or (lambda message: None),
            )  # fmt: skip
        except BaseException:
            connection.close()
            raise
        try:
            yield night
            _agree_on_places(night)
            manifest.append(night.connection, workspace, _worth_telling(night), received_on=received_on, run_id=run_id)
        finally:
            night.connection.close()
    for outcome in night.outcomes:
        if outcome.target is not None and outcome.inbox_path.exists():
            inbox.move(outcome.inbox_path, outcome.target)


def _open_connection(workspace: Workspace, scratch: Path) -> Connection:
    connection = warehouse.connect()
    connection.execute(f"set temp_directory = {literal(str(scratch / 'spill'))}")
    connection.execute(f"set memory_limit = '{MEMORY_LIMIT}'")
    connection.create_function(
        "unsubscribe_part", unsubscribe_reader(workspace), ["VARCHAR", "VARCHAR", "DATE"], "VARCHAR",
        null_handling=duckdb.func.SPECIAL,
    )  # fmt: skip
    return connection


def _revive(night: Night) -> None:
    """An inner fault of DuckDB takes its whole database along: the next file gets a new one."""
    try:
        night.connection.execute("select 1").fetchone()
    except duckdb.Error:
        night.connection.close()
        night.connection = _open_connection(night.workspace, night.scratch)


def _shown(workspace: Workspace, path: Path) -> str:
    return inbox.safe_name(str(path.relative_to(workspace.inbox)))


@contextmanager
def _scratch_folder(workspace: Workspace) -> Iterator[Path]:
    """A folder of this process alone, inside the workspace; what killed runs left is swept first."""
    parent = workspace.build / "ingest"
    if parent.exists():
        shutil.rmtree(parent)
    parent.mkdir(parents=True, mode=0o750)
    folder = Path(tempfile.mkdtemp(dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(parent, ignore_errors=True)


def _worth_telling(night: Night) -> list[FileRecord]:
    """The rows that the manifest does not hold already: a file that is refused again is one row, not two."""
    last: dict[tuple[str, str, str], FileRecord] = {}
    for record in night.known:
        last[record.source, record.sha256, record.file_name] = record
    told = []
    for record in night.done:
        before = last.get((record.source, record.sha256, record.file_name))
        is_new = record.status in ("landed", "duplicate") or before is None
        if is_new or (before is not None and (before.status, before.message) != (record.status, record.message)):
            told.append(record)
    return told


# --- finding what is to be read ----------------------------------------------------------------


def take_all(night: Night, paths: tuple[Path, ...], sources: Mapping[str, Source]) -> None:
    arrivals: list[Arrival] = []
    for index, path in enumerate(paths):
        shown = _shown(night.workspace, path)
        try:
            arrivals += list(_arrivals(night, path, shown, index, sources))
        except FileProblem as problem:
            _give_up(night, path, shown, problem, owned_by=_claimant(path.name, sources))
        except (OSError, UnicodeEncodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "its name is not text"
            night.errors.append(f"{shown}: it cannot be read ({reason}); check its permissions and name")
    historical = {name for name in sources if not night.landed(name)}
    arrivals.sort(key=lambda a: (a.source.source, _business_on(a, night), a.name, a.sha256, a.shown))
    for number, arrival in enumerate(arrivals, start=1):
        night.progress(f"{number}/{len(arrivals)} {arrival.shown}")
        take(night, arrival, is_historical=arrival.source.source in historical)
    _warn_superseded(night)


def _claimant(name: str, sources: Mapping[str, Source]) -> tuple[Source, NameMatch] | None:
    found = inbox.zip_owners(name, sources) if name.lower().endswith(".zip") else inbox.owners(name, sources)
    found = [claim for claim in found if not claim[0].is_draft] or found
    return found[0] if len(found) == 1 else None


def _arrivals(night: Night, path: Path, shown: str, index: int, sources: Mapping[str, Source]) -> Iterator[Arrival]:
    if not unpack.is_archive(path.name):
        source, match = _owner(night, path.name, shown, inbox.owners(path.name, sources), sources)
        sha256, stats = textfile.sha256_of(path, readers.edges_of(source))
        yield Arrival(path, path.name, shown, source, match, sha256, stats, path)
        return
    is_zip = path.name.lower().endswith(".zip")
    inside = unpack.members(path)
    packed = path.stat().st_size
    for number, member in enumerate(inside):
        claims = inbox.owners(member.name if is_zip else path.name, sources)
        if is_zip and not claims and len(inside) == 1:
            claims = inbox.zip_owners(path.name, sources)
        within = f"{shown}/{inbox.safe_name(member.name)}" if is_zip else shown
        source, match = _owner(night, member.name, within, claims, sources)
        content = night.scratch / f"unpacked-{index}-{number}"
        sha256, stats = unpack.unpack(member, packed, content)
        yield Arrival(path, inbox.safe_name(member.name), within, source, match, sha256, stats, content)


def _owner(
    night: Night, name: str, shown: str, claims: list[tuple[Source, NameMatch]], sources: Mapping[str, Source]
) -> tuple[Source, NameMatch]:
    claims = [claim for claim in claims if not claim[0].is_draft] or claims
    if len(claims) == 1:
        if claims[0][0].is_draft:
            raise FileProblem(
                "draft", f"the contract of {claims[0][0].source} is a draft; `rcu check` names what is to decide"
            )
        return claims[0]
    if claims:
        names = ", ".join(source.source for source, _ in claims)
        raise FileProblem("unmatched", f"several sources claim this file ({names}); make their patterns differ")
    raise FileProblem(
        "unmatched", "no source claims this file; declare one (declarations/sources/) or take the file away"
    )


def _business_on(arrival: Arrival, night: Night) -> dt.date:
    return arrival.match.business_on or night.received_on


def _give_up(
    night: Night, path: Path, shown: str, problem: FileProblem, owned_by: tuple[Source, NameMatch] | None
) -> None:
    """Note a file that could not even be opened. What no source claims stays in the inbox."""
    sha256, stats = textfile.sha256_of(path)
    source, match = owned_by or (None, NameMatch(None, ""))
    business_on = match.business_on or night.received_on
    target = None
    if problem.status not in ("unmatched", "draft"):
        target = inbox.refused_place(night.workspace, source.source if source else "", sha256, path.name)
    record = FileRecord(
        source=source.source if source else "", batch_id=sha256[:16], sha256=sha256,
        file_name=inbox.safe_name(path.name),
        part=match.part, size=stats.size, delivery=source.delivery if source else "", business_on=business_on,
        received_on=night.received_on, available_on=max(business_on, night.received_on), status=problem.status,
        message=problem.message, stored_as=_relative(night.workspace, target or path), ingested_at=night.started_at,
    )  # fmt: skip
    _conclude(night, record, path, target, shown, problem.line)


def _note_not_fetched(night: Night, source: Source, failure: Failure) -> None:
    """A row of the manifest for what never came: one per day and reason, known by a hash of both."""
    told = f"{failure.source}|{failure.name}|{night.received_on}|{failure.message}"
    sha256 = hashlib.sha256(told.encode()).hexdigest()
    record = FileRecord(
        source=source.source, batch_id=sha256[:16], sha256=sha256, file_name=inbox.safe_name(failure.name), part="",
        size=0, delivery=source.delivery, business_on=night.received_on, received_on=night.received_on,
        available_on=night.received_on, status="not_fetched", message=failure.message, ingested_at=night.started_at,
    )  # fmt: skip
    night.done.append(record)
    night.errors.append(f"{failure.source}: {failure.message}")


def _relative(workspace: Workspace, path: Path) -> str:
    return inbox.safe_name(str(path.relative_to(workspace.data)))


def _conclude(
    night: Night, record: FileRecord, path: Path, target: Path | None, shown: str, line: int | None = None
) -> None:
    night.done.append(record)
    night.outcomes.append(_Outcome(record, path, target))
    place = f"{shown}:{line}" if line is not None else shown
    if record.status in ("refused", "unreadable"):
        name = f"{record.source}: " if record.source else ""
        night.errors.append(f"{name}{place}: {record.message}")
    elif record.status in ("unmatched", "draft", "duplicate", "header_only"):
        night.warnings.append(f"{place}: {record.message}")
    night.warnings += [f"{place}: {warning}" for warning in record.warnings]


def _warn_superseded(night: Night) -> None:
    """Two new files of one date under different names may be two halves: say that only one counts."""
    counting = {(r.source, r.batch_id) for r in manifest.effective([*night.known, *night.done])}
    for record in night.done:
        if record.status == "landed" and (record.source, record.batch_id) not in counting:
            night.warnings.append(
                f"{record.file_name}: superseded by another file of {record.source} for {record.business_on}; if both "
                "count, write {part} in the pattern where their names differ"
            )


# --- one file ----------------------------------------------------------------------------------


def take(night: Night, arrival: Arrival, *, is_historical: bool) -> None:
    source = arrival.source
    business_on = _business_on(arrival, night)
    available_on = business_on if is_historical else max(business_on, night.received_on)
    record = FileRecord(
        source=source.source, batch_id=arrival.sha256[:16], sha256=arrival.sha256,
        file_name=inbox.safe_name(arrival.name),
        part=arrival.match.part, size=arrival.stats.size, delivery=source.delivery, business_on=business_on,
        received_on=night.received_on, available_on=available_on, status="landed", ingested_at=night.started_at,
    )  # fmt: skip
    archived = inbox.archive_place(night.workspace, source.source, business_on, arrival.sha256, arrival.path.name)
    record = replace(record, stored_as=_relative(night.workspace, archived))
    if arrival.replays is not None:
        _take_replay(night, arrival, replace(record, stored_as=arrival.replays.stored_as))
        return
    same = [r for r in night.landed(source.source) if r.sha256 == arrival.sha256]
    before = [r for r in same if r.business_on == business_on and r.part == record.part]
    if before:
        _take_again(night, arrival, record, before[0], archived)
        return
    if same:
        # The same content for another date is another delivery: it needs a key of its own.
        record = replace(record, batch_id=_batch_id_for(arrival.sha256, business_on, record.part))
    try:
        record = _land(night, arrival, record)
    except FileProblem as problem:
        _revive(night)
        kept = inbox.refused_place(night.workspace, source.source, arrival.sha256, arrival.path.name)
        if isinstance(problem, _Refusal):
            record = problem.record
        record = replace(
            record, status=problem.status, message=problem.message, stored_as=_relative(night.workspace, kept)
        )
        _conclude(night, record, arrival.path, kept, arrival.shown, problem.line)
        return
    _conclude(night, record, arrival.path, archived, arrival.shown)


def _batch_id_for(sha256: str, business_on: dt.date, apart: str) -> str:
    return hashlib.sha256(f"{sha256}|{business_on}|{apart}".encode()).hexdigest()[:16]


def _take_again(night: Night, arrival: Arrival, record: FileRecord, before: FileRecord, archived: Path) -> None:
    kept = night.workspace.data / before.stored_as
    if before in night.known and not kept.exists():
        # An earlier run was stopped between the manifest and the move: end its work, say nothing new.
        night.outcomes.append(_Outcome(record, arrival.path, kept))
        return
    record = manifest.with_status(
        record, "duplicate", f"the same content was delivered before for {record.business_on}; skipped"
    )
    _conclude(night, record, arrival.path, archived, arrival.shown)


def _take_replay(night: Night, arrival: Arrival, record: FileRecord) -> None:
    """Read a delivery again by the contract of today; it supersedes the first reading when it saves a row."""
    again = sum(r.sha256 == record.sha256 for r in night.landed(record.source))
    record = replace(record, batch_id=_batch_id_for(record.sha256, record.business_on, f"{record.part}|{again}"))
    try:
        record = _land(night, arrival, record)
    except FileProblem as problem:
        _revive(night)
        night.warnings.append(f"{record.source}: {arrival.shown}: {problem.message}")
        return
    _conclude(night, record, arrival.path, None, arrival.shown)


def _agree_on_places(night: Night) -> None:
    """The members of one archive leave the inbox together: for the archive as soon as one of them landed."""
    by_path: dict[Path, list[_Outcome]] = {}
    for outcome in night.outcomes:
        by_path.setdefault(outcome.inbox_path, []).append(outcome)
    moved: dict[int, FileRecord] = {}
    for outcomes in by_path.values():
        taken = [o for o in outcomes if o.record.status not in ("refused", "unreadable")]
        chosen = (taken or outcomes)[0].target
        for outcome in outcomes:
            if outcome.target != chosen and chosen is not None:
                outcome.target = chosen
                told = replace(outcome.record, stored_as=_relative(night.workspace, chosen))
                moved[id(outcome.record)] = told
                outcome.record = told
    night.done = [moved.get(id(record), record) for record in night.done]


class _Refusal(FileProblem):
    """A refusal after the rows were counted: nothing lands, every row that was meant is in quarantine."""

    def __init__(self, message: str, record: FileRecord, line: int | None = None) -> None:
        super().__init__("refused", message, line)
        self.record = replace(
            record,
            rows_landed=0,
            rows_quarantined=record.rows_read - record.rows_filtered,
            entity_rows=None,
            warnings=(),
        )


def _land(night: Night, arrival: Arrival, record: FileRecord) -> FileRecord:
    """Read, convert and land one file. Raises FileProblem."""
    source, connection = arrival.source, night.connection
    raw = readers.read_raw(connection, arrival.content, arrival.stats, source, night.scratch)
    told = replace(record, columns=raw.columns, encoding=raw.encoding, delimiter=raw.delimiter)
    if raw.stream is not None and raw.stream.rows > 0:
        rows = _Rows(night, arrival, told, raw)
        written = rows.write_streaming()
        if written is not None:
            return rows.conclude(written)
    raw.load()
    if raw.rows_read == 0:
        message = "header only: no row in the file; check the export if rows were expected"
        return replace(told, status="header_only", message=message, warnings=tuple(raw.warnings))
    try:
        rows = _Rows(night, arrival, told, raw)
        return rows.conclude(rows.write())
    except duckdb.OutOfMemoryException:
        raise refused("the file needs more memory than ingest may use; ask for csv, JSON lines or Parquet") from None
    except duckdb.Error as error:
        # Its message may hold a value, so only its kind is told; the other files of the night go on.
        kind = type(error).__name__
        raise refused(f"a value breaks a conversion ({kind}); this is a defect of ingest, please report it") from error


@dataclass(frozen=True)
class _Failed:
    """A row that failed: its place in the raw table, its line, the first check it failed, its key if it has one."""

    row: int
    line: int
    check: int
    row_key: str | None


@dataclass(frozen=True)
class _Written:
    """What was written of a file under temporary names, and what was not."""

    temporary: dict[str, Path]
    entity_rows: dict[str, int]
    rows_landed: int
    filtered: int
    failed: list[_Failed]


class _Rows:
    """The rows of one file on their way: filtered, refused or landed, and counted at each boundary."""

    def __init__(self, night: Night, arrival: Arrival, record: FileRecord, raw: RawFile) -> None:
        self.night, self.arrival, self.record, self.raw = night, arrival, record, raw
        self.connection = night.connection
        self.source = arrival.source
        zone = self.source.file.time_zone or night.company.time_zone
        holder = next(
            (
                entity.name
                for entity, _ in self.source.entities()
                if any(c.name in ("custom", "properties") for c in entity.columns)
            ),
            None,
        )

        def query(entity: Entity, delivery: Delivery, rows: RowSource) -> EntityQuery:
            return entity_query(
                self.source, entity, delivery, rows, zone=zone, business_on=record.business_on,
                kept=raw.kept if entity.name == holder else (), has_nul=raw.has_nul,
                unknown=textfile.UNKNOWN if raw.has_unknown else "",
            )  # fmt: skip

        self._query = query
        self.queries: list[EntityQuery] = [
            query(entity, delivery, raw.streamed_source() if raw.stream else raw.row_source(delivery))
            for entity, delivery in self.source.entities()
        ]
        self.is_plain = len(self.queries) == 1 and not any(
            delivery.each or delivery.when for _, delivery in self.source.entities()
        )

    def write(self) -> _Written:
        """Convert and write the loaded rows."""
        temporary = {query.entity.name: self._temporary(query.entity) for query in self.queries}
        if self.is_plain:
            filtered = self._filtered()
            entity_rows, failed = self._write_plain(temporary)
            rows_landed = next(iter(entity_rows.values()))
        else:
            entity_rows, failed, rows_landed = self._write_several(temporary)
            filtered = self._filtered() if self._always() else self._not_applying()
        return _Written(temporary, entity_rows, rows_landed, filtered, failed)

    def conclude(self, written: _Written) -> FileRecord:
        """Count, judge, and let what was written take effect. Raises FileProblem."""
        temporary, failed, filtered = written.temporary, written.failed, written.filtered
        quarantined = len(failed) + len(self.raw.rejects)
        record = replace(
            self.record, rows_read=self.raw.rows_read, rows_landed=written.rows_landed, rows_quarantined=quarantined,
            rows_filtered=filtered, entity_rows=written.entity_rows,
        )  # fmt: skip
        record = replace(record, warnings=self._warnings(record))
        try:
            if not record.adds_up:
                raise refused(
                    f"the rows do not add up: {record.rows_read} read, {record.rows_landed} landed, {quarantined} in "
                    f"quarantine, {filtered} filtered; nothing was landed (this is a defect of ingest, please report it)"
                )
            before = self.arrival.replays
            if before is not None and quarantined >= before.rows_quarantined:
                raise refused(f"still {quarantined} row(s) in quarantine: neither contract nor rows were mended")
            self._check_tolerance(record, failed)
            self._check_deletes(record, temporary, failed)
        except FileProblem:
            for path in temporary.values():
                path.unlink(missing_ok=True)
            raise
        self._write_quarantine(failed, record.batch_id, None)
        self._publish(temporary)
        return record

    # -- counting --

    def _filtered(self) -> int:
        if not self.source.filter:
            return 0
        rows = self.raw.row_source()
        test = filter_sql(self.source, rows)
        parsed = rows.paths.texts("row", "line") if rows.paths else ""
        return self._count(f"select count(*) from (select *{parsed} from {rows.table}) where {test}")

    def _count(self, query: str) -> int:
        row = self.connection.execute(query).fetchone()
        return int(row[0]) if row else 0

    def _not_applying(self) -> int:
        """Rows that make no entity row: filtered ones, and those that no `when` or `each` applies to."""
        return self._count(f"select count(*) from raw_rows where rowid not in ({self._used()})")

    # -- writing --

    def _temporary(self, entity: Entity) -> Path:
        return self._target(entity).with_name(f".{self.record.batch_id}.{os.getpid()}.tmp")

    def _target(self, entity: Entity) -> Path:
        folder = (
            self.night.workspace.landing / entity.name / f"source={self.source.source}"
            / f"batch={self.record.available_on}"
        )  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        return folder / f"{self.record.batch_id}.parquet"

    def _copy(self, query: EntityQuery, rows: str, path: Path, line_number: str = "line_number", mark: str = "") -> int:
        available_on = f"date '{self.record.available_on}'"
        selected = landing_select(
            query, self.source.source, self.record.batch_id, self.record.business_on,
            f"case when {mark} then {available_on} end" if mark else available_on, line_number,
        ) + ("" if line_number else f", {self._first_line()} as {landed.FIRST_LINE}")  # fmt: skip
        row = self.connection.execute(
            f"copy (select {selected} from ({rows})) to {literal(str(path))} ({_PARQUET})"
        ).fetchone()
        return int(row[0]) if row else 0

    def _first_line(self) -> int:
        return self.raw.stream.first_line if self.raw.stream else 0

    def write_streaming(self) -> _Written | None:
        """From the file into landing in one pass, where each line is a row on its own; None: it is not so.

        All rows are written, in the order of the file; those that failed have no `available_on`, so the statistics
        of what was written tell whether there is any. Then it is written again without them.
        """
        stream, query = self.raw.stream, self.queries[0]
        if (
            stream is None
            or not self.is_plain
            or not query.is_row_by_row
            or self.source.filter
            or self.raw.has_nul
            or self.raw.has_unknown
        ):
            return None
        path = self._temporary(query.entity)
        stream.prepare(self.connection)
        try:
            written = self._copy(query, query.rows, path, line_number="", mark="failure is null")
            rejects = stream.rejected(self.connection)
            line_number = stream.line_number(rejects)
            is_line_by_line = written + len({reject.line_number for reject in rejects}) == stream.rows
            if written == 0 or line_number is None or not is_line_by_line:
                path.unlink(missing_ok=True)
                return None
            failed: list[_Failed] = []
            rows_landed = written
            if rejects or _has_marked(path):
                told = self._failed_of(path, line_number)
                if told is None:
                    path.unlink()
                    return None
                failed, rows_landed = told, self._write_again(path, line_number)
        except duckdb.Error:
            # Whatever it was, reading the texts into a table first tells more of it.
            path.unlink(missing_ok=True)
            return None
        self.raw.rows, self.raw.rejects = written, rejects
        return _Written({query.entity.name: path}, {query.entity.name: rows_landed}, rows_landed, 0, failed)

    def _failed_of(self, path: Path, line_number: str) -> list[_Failed] | None:
        """The rows of a streamed file that failed: their lines are read again, alone. None: they read otherwise so."""
        lines = [
            int(line)
            for (line,) in self.connection.execute(
                f"select {line_number} as line from read_parquet({literal(str(path))}, file_row_number = true) "
                "where available_on is null order by line"
            ).fetchall()
        ]
        if not lines:
            return []
        rows = self.raw.extract(self.connection, lines, self.night.scratch)
        entity, delivery = next(iter(self.source.entities()))
        again = self._query(entity, delivery, rows)
        found = self.connection.execute(f"select r, failure, row_key from ({again.rows}) order by r").fetchall()
        if len(found) != len(lines) or any(failure is None for _, failure, _ in found):
            return None
        return [_Failed(int(r), lines[int(r)], int(failure), key) for r, failure, key in found]

    def _write_again(self, path: Path, line_number: str) -> int:
        """Leave the marked rows out, and give each of the others its line number."""
        kept = path.with_name(path.name + ".kept")
        row = self.connection.execute(
            f"copy (select * exclude ({landed.FIRST_LINE}, file_row_number), cast({line_number} as bigint) as line_number "
            f"from read_parquet({literal(str(path))}, file_row_number = true) where available_on is not null) "
            f"to {literal(str(kept))} ({_PARQUET})"
        ).fetchone()
        kept.replace(path)
        return int(row[0]) if row else 0

    def _write_plain(self, temporary: dict[str, Path]) -> tuple[dict[str, int], list[_Failed]]:
        """One entity, one row per row: converted once, and looked at again only if some rows failed."""
        query = self.queries[0]
        path = temporary[query.entity.name]
        # A filter would convert everything twice. So all is written, and again without what failed if there is any.
        rows_landed = self._copy(query, query.rows, path, mark="failure is null")
        failed: list[_Failed] = []
        if _has_marked(path):
            failed = self._failed(f"select * from ({query.rows}) where failure is not null")
            kept = path.with_name(path.name + ".kept")
            row = self.connection.execute(
                f"copy (select * from read_parquet({literal(str(path))}) where available_on is not null) "
                f"to {literal(str(kept))} ({_PARQUET})"
            ).fetchone()
            kept.replace(path)
            rows_landed = int(row[0]) if row else 0
        return {query.entity.name: rows_landed}, failed

    def _write_several(self, temporary: dict[str, Path]) -> tuple[dict[str, int], list[_Failed], int]:
        """Several entities per row: a row that fails for one is kept from all.

        All is written at once, each entity straight from the texts. Only where something failed are the rows looked
        at again, and the files written a second time without them.
        """
        written = {
            query.entity.name: self._copy(query, query.rows, temporary[query.entity.name], mark="failure is null")
            for query in self.queries
        }
        marked = [
            index for index, query in enumerate(self.queries) if _has_marked(temporary[query.entity.name])
        ]  # fmt: skip
        failed = self._failed_of_several(marked) if marked else []
        if failed:
            lines = pa.table({"line": pa.array(sorted({one.line for one in failed}), pa.int64())})
            self.connection.register("failed_lines", lines)
            written = {name: self._without_failed(path) for name, path in temporary.items()}
            self.connection.unregister("failed_lines")
        return written, failed, self._rows_used(written, failed)

    def _failed_of_several(self, marked: list[int]) -> list[_Failed]:
        """The rows that failed for any entity; `marked`: the entities with such rows."""
        bad = " union ".join(f"select r from ({self.queries[i].rows}) where failure is not null" for i in marked)
        self.connection.execute(f"create or replace temp table failed_rows as {bad}")
        offsets, failures = 0, []
        for index, query in enumerate(self.queries):
            if index in marked or query.entity.is_state:
                key = "row_key" if query.entity.is_state else "cast(null as varchar) as row_key"
                failures.append(
                    f"select r, line_number, failure + {offsets} as failure, {key} from ({query.rows}) "
                    "where r in (select r from failed_rows)"
                )
            offsets += len(query.checks)
        return self._failed(
            "select r, min(line_number) as line_number, min(failure) as failure, min(row_key) as row_key "
            f"from ({' union all '.join(failures)}) group by r"
        )

    def _without_failed(self, path: Path) -> int:
        kept = path.with_name(path.name + ".kept")
        row = self.connection.execute(
            f"copy (select * from read_parquet({literal(str(path))}) "
            f"where line_number not in (select line from failed_lines)) to {literal(str(kept))} ({_PARQUET})"
        ).fetchone()
        kept.replace(path)
        return int(row[0]) if row else 0

    def _rows_used(self, written: dict[str, int], failed: list[_Failed]) -> int:
        """Rows that make a row of some entity, failed ones aside."""
        if name := self._always():
            return written[name]
        return self._count(f"select count(*) from ({self._used()})") - len(failed)

    def _always(self) -> str | None:
        """An entity that every row makes one row of, unless it is filtered."""
        return next(
            (entity.name for entity, delivery in self.source.entities() if not (delivery.when or delivery.each)), None
        )

    def _used(self) -> str:
        return " union ".join(f"select r from ({query.rows})" for query in self.queries)

    def _failed(self, query: str) -> list[_Failed]:
        rows = self.connection.execute(
            f"select r, line_number, failure, row_key from ({query}) order by line_number, r"
        ).fetchall()
        return [_Failed(*row) for row in rows]

    def _publish(self, temporary: dict[str, Path]) -> None:
        for query in self.queries:
            path, target = temporary[query.entity.name], self._target(query.entity)
            _clear_stale(target, self.night.workspace.landing / query.entity.name / f"source={self.source.source}")
            inbox.sync(path)
            path.replace(target)
            inbox.sync(target.parent)

    # -- judging --

    def _checks(self) -> list[Check]:
        return [check for query in self.queries for check in query.checks]

    def _check_tolerance(self, record: FileRecord, failed: list[_Failed]) -> None:
        meant = record.rows_read - record.rows_filtered
        share = record.rows_quarantined / meant if meant else 0.0
        if share <= self.source.most_bad_rows:
            return
        self._write_quarantine(failed[:SHOWN_OF_REFUSED], record.batch_id, SHOWN_OF_REFUSED)
        rule, column, count, line = self._most_common(failed)
        where = f' on column "{column}"' if column else ""
        raise _Refusal(
            f"{record.rows_quarantined} of {meant} rows are bad ({share:.1%}, tolerated "
            f"{self.source.most_bad_rows:.1%}), most by rule {rule}{where} ({count}); {_remedy(rule)}",
            record,
            line,
        )

    def _most_common(self, failed: list[_Failed]) -> tuple[str, str, int, int]:
        """(rule, column, rows, first line) of the rule that most rows broke."""
        checks = self._checks()
        seen: dict[tuple[str, str], list[int]] = {}
        for one in failed:
            seen.setdefault((checks[one.check].rule, checks[one.check].column), []).append(one.line)
        for reject in self.raw.rejects:
            seen.setdefault((reject.rule, ""), []).append(reject.line_number)
        (rule, column), lines = max(seen.items(), key=lambda item: (len(item[1]), item[0]))
        return rule, column, len(lines), min(lines)

    def _check_deletes(self, record: FileRecord, temporary: dict[str, Path], failed: list[_Failed]) -> None:
        """A full delivery that lacks too many of the last one's records is more likely cut than true."""
        if self.source.delivery != "full":
            return
        before = [
            r for r in manifest.effective(self.night.landed(self.source.source))
            if r.part == record.part and r.business_on < record.business_on
        ]  # fmt: skip
        if not before:
            return
        last = before[-1]
        # A record whose row is in quarantine came all the same.
        came = [one.row_key for one in failed if one.row_key is not None]
        for query in self.queries:
            if not query.entity.is_state:
                continue
            present = landing_file(self.night.workspace, query.entity, last)
            if not present.exists():
                continue
            keys = [
                f"select distinct row_key from {landed.rows(self.night.workspace, query.entity, [path])}"
                for path in (present, temporary[query.entity.name])
            ]
            row = self.connection.execute(
                f"with before as ({keys[0]}), now as ({keys[1]} union select unnest($1::varchar[])) "
                "select count(*), count(*) filter (where row_key not in (select row_key from now)) from before",
                [came],
            ).fetchone()
            total, gone = row or (0, 0)
            if total and gone / total > self.source.tolerated_deletes:
                raise _Refusal(
                    f"this full delivery would delete {gone} of {total} {query.entity.plural} ({gone / total:.0%}, "
                    f"tolerated {self.source.tolerated_deletes:.0%}); ask whether the file is complete, or raise "
                    "tolerated_deletes",
                    record,
                )

    def _warnings(self, record: FileRecord) -> tuple[str, ...]:
        warnings = list(self.raw.warnings)
        expected = self.source.expected_rows
        if expected and not expected[0] <= record.rows_read <= expected[1]:
            warnings.append(f"{record.rows_read} rows, expected {expected[0]} to {expected[1]}")
        if record.rows_quarantined:
            warnings.append(f"{record.rows_quarantined} row(s) put in quarantine")
        return tuple(warnings)

    # -- quarantine --

    def _write_quarantine(self, failed: list[_Failed], batch_id: str, limit: int | None) -> None:
        path = quarantine_file(self.night.workspace, self.source.source, batch_id)
        rejects = self.raw.rejects[:limit]
        if not failed and not rejects:
            path.unlink(missing_ok=True)
            return
        checks = self._checks()
        texts = self.raw.raw_texts(self.connection, [(one.row, one.line) for one in failed])
        told = {"source": self.source.source, "batch_id": batch_id, "file_name": self.record.file_name}
        rows = [
            {
                **told, "line_number": one.line, "column_name": checks[one.check].column,
                "rule": checks[one.check].rule, "reason": checks[one.check].reason,
                "row_key": one.row_key, "raw_text": texts.get(one.row, ""),
            }
            for one in failed
        ]  # fmt: skip
        rows += [
            {
                **told, "line_number": reject.line_number, "column_name": "", "rule": reject.rule,
                "reason": reject.reason, "row_key": None, "raw_text": reject.raw_text,
            }
            for reject in rejects
        ]  # fmt: skip
        rows.sort(key=lambda row: (row["line_number"], row["rule"], row["raw_text"]))
        table = pa.Table.from_pylist(rows, schema=QUARANTINE_SCHEMA)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        partial = path.with_name(f".{path.name}.tmp")
        pq.write_table(table, partial, compression="zstd")
        inbox.sync(partial)
        partial.replace(path)


def _has_marked(path: Path) -> bool:
    """Whether a landing file holds rows that failed (they have no `available_on`), from its statistics."""
    told = pq.read_metadata(path)
    at = told.schema.names.index("available_on")
    groups = [told.row_group(index).column(at).statistics for index in range(told.num_row_groups)]
    return any(group is None or not group.has_null_count or group.null_count > 0 for group in groups)


def _remedy(rule: str) -> str:
    return {
        "encoding": "declare the encoding the file is written in (cp1252?)",
        "columns": "check delimiter and quoting, or ask for the file again",
        "quotes": "check quote and escape in the contract, or ask for the file again",
        "date": "check the format of the dates in the contract",
        "timestamp": "check the format of the dates in the contract",
        "number": "check decimal and thousands in the contract",
        "values": "add the missing values to the table, or otherwise:",
    }.get(rule, "mend the contract or the file") + "; then `rcu replay`"


def quarantine_file(workspace: Workspace, source: str, batch_id: str) -> Path:
    """Where the refused rows of a delivery lie."""
    return workspace.quarantine / "rows" / f"source={source}" / f"{batch_id}.parquet"


def landing_file(workspace: Workspace, entity: Entity, record: FileRecord) -> Path:
    """Where the rows of one entity of a delivery lie."""
    return (
        workspace.landing / entity.name / f"source={record.source}" / f"batch={record.available_on}"
        / f"{record.batch_id}.parquet"
    )  # fmt: skip


def _clear_stale(target: Path, folder: Path) -> None:
    """Remove what a killed run wrote of the same delivery on another day of reception."""
    for other in folder.glob(f"batch=*/{target.name}"):
        if other != target:
            other.unlink()


def write_empty_files(workspace: Workspace) -> None:
    """Keep one empty typed file per entity, so that whoever reads landing finds every column."""
    for entity in ENTITIES.values():
        landed.write_empty_file(workspace, entity)

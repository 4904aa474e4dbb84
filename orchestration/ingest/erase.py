"""What an erasure does to what was delivered: archived originals, quarantine, landing files.

What belongs here: finding the rows of a person in those three, taking them out, and taking them out again
of what is delivered later (`sweep`). What does not: who is erased, and anything after landing.

Order lines are accounting documents: they stay, in landing and in the archive, without what tells of the
person. All else that is about the person goes. The originals are rewritten before the landing files that
tell where the rows are, so that a second call after a stop finds what the first left.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from orchestration import landed, rewriting, searching, suppression, warehouse
from orchestration.contracts.entities import ENTITIES
from orchestration.contracts.source import OWN_IDS, Source
from orchestration.contracts.subject import FINANCIAL_ENTITIES, Finder, PersonalTable, Subject, landing_tables
from orchestration.ingest import manifest
from orchestration.ingest.manifest import FileRecord
from orchestration.rewriting import Edit, Layout
from orchestration.settings import Workspace
from orchestration.suppression import KEY_SQL, Kind
from orchestration.warehouse import Connection, literal, quote

#: In the metadata of a landing file: how many rows it lost to erasures, so that counts still add up.
ERASED_ROWS = "rcu_erased_rows"
_HAPPENED = {
    "customer": "created_at", "order": "ordered_at", "order_line": "ordered_at", "event": "occurred_at",
    "consent": "occurred_at", "privacy_request": "requested_at", "steward_decision": "decided_at",
}  # fmt: skip
_EMAIL = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")
_BATCH = 50_000
_AT_ONCE = 500
_NUMBER = re.compile(r"\+?\d(?:[ .\-/()]*\d){8,14}")


@dataclass(frozen=True)
class DeliveriesErased:
    """What was done: rows and files, never a value."""

    rows_removed: int = 0
    rows_anonymised: int = 0
    quarantined_rows: int = 0
    landing_files: int = 0
    archived_files: int = 0
    archived_rows: int = 0

    @property
    def is_nothing(self) -> bool:
        return not any(vars(self).values())


@dataclass
class _Found:
    """The rows to change, by landing file, and by delivery for the originals.

    `mentions`: rows of somebody else with a free text that names the person.
    """

    removed: dict[str, int] = field(default_factory=dict)
    anonymised: dict[str, int] = field(default_factory=dict)
    mentions: dict[str, int] = field(default_factory=dict)
    dropped_lines: dict[tuple[str, str], set[int]] = field(default_factory=dict)
    blanked_lines: dict[tuple[str, str], set[int]] = field(default_factory=dict)


def erase(
    workspace: Workspace, sources: Mapping[str, Source], subject: Subject, *, since_on: dt.date, request_id: str
) -> DeliveriesErased:
    """Take a person out of archive, quarantine and landing. Call under the run lock; safe to call again."""
    keys = [(kind, key, None) for kind, values in sorted(subject.keys.items()) for key in sorted(values)]
    pattern = rewriting.pattern_of(subject.texts)
    finder = rewriting.traces_of(subject.texts, subject.names)
    connection = warehouse.connect()
    try:
        _load(connection, subject, keys)
        known = manifest.read(connection, workspace)
        rows, lines = _quarantine(connection, workspace, subject, finder)
        # A row that never could be read has no key: it is known again by its own text.
        suppression.add_erased(workspace, {"line": rows}, since_on=since_on, request_id=request_id)
        found = _find(connection, workspace, None)
        _find_mentions(connection, workspace, None, found, lambda texts: _told_by(texts, finder))
        for batch, numbers in lines.items():
            found.dropped_lines.setdefault(batch, set()).update(numbers)
        files, edited = _originals(connection, workspace, sources, known, found, pattern, None)
        _blank_quarantine(workspace, lines)
        landing_files = _rewrite_landing(connection, workspace, found)
    finally:
        connection.close()
    _refused_files(workspace, sources, finder)
    return DeliveriesErased(
        sum(found.removed.values()), sum(found.anonymised.values()), sum(map(len, lines.values())),
        landing_files, files, edited,
    )  # fmt: skip


def sweep(workspace: Workspace, sources: Mapping[str, Source], *, since: dt.datetime | None) -> DeliveriesErased:
    """Take the erased out of what was taken from the inbox after `since` (UTC; None: of everything).

    They are known by the keyed list alone. A row that matches by contact value only goes when it tells of a
    time up to the erasure: what was newly collected afterwards makes a new customer.
    """
    if not suppression.has_erased(workspace):
        return DeliveriesErased()
    connection = warehouse.connect()
    try:
        every = manifest.read(connection, workspace)
        new = [r for r in every if since is None or r.ingested_at >= since]
        if not new:
            return DeliveriesErased()
        batches = {(r.source, r.batch_id) for r in new if r.status == "landed"}
        earlier = {r.source: r.received_on for r in reversed(every) if r.status == "landed"}
        subject, keys, dormant = _listed(connection, workspace, batches)
        _load(connection, subject, keys, earlier, dormant)
        found = _find(connection, workspace, batches)
        _find_mentions(connection, workspace, batches, found, lambda texts: _listed_mentions(workspace, texts))
        lines = _listed_lines(workspace, new)
        for batch, numbers in lines.items():
            found.dropped_lines.setdefault(batch, set()).update(numbers)
        files, edited = _originals(connection, workspace, sources, every, found, None, {r.sha256 for r in new})
        _blank_quarantine(workspace, lines)
        landing_files = _rewrite_landing(connection, workspace, found)
    finally:
        connection.close()
    return DeliveriesErased(
        sum(found.removed.values()), sum(found.anonymised.values()), sum(map(len, lines.values())),
        landing_files, files, edited,
    )  # fmt: skip


# --- who ---------------------------------------------------------------------------------------


def _load(
    connection: Connection, subject: Subject, keys: Iterable[tuple[str, str, dt.date | None]],
    earlier: Mapping[str, dt.date] | None = None, dormant: Mapping[tuple[str, str], dt.date] | None = None,
) -> None:  # fmt: skip
    """The temporary tables that rows are held against."""
    silent = sorted((dormant or {}).items())
    _write(
        connection, "s_dormant",
        pa.table({
            "source": pa.array([pair[0] for pair, _ in silent], pa.string()),
            "key": pa.array([pair[1] for pair, _ in silent], pa.string()),
            "until": pa.array([on for _, on in silent], pa.date32()),
        }),
    )  # fmt: skip
    records = sorted(subject.records | {(OWN_IDS, customer_id) for customer_id in subject.customer_ids})
    pairs: dict[str, list[tuple[str, str]]] = {
        "s_records": records, "s_orders": sorted(subject.orders), "s_events": sorted(subject.events),
    }  # fmt: skip
    for name, rows in pairs.items():
        table = pa.table(
            {"source": pa.array([a for a, _ in rows], pa.string()), "key": pa.array([b for _, b in rows], pa.string())}
        )
        _write(connection, name, table)
    listed = sorted(keys, key=lambda one: (one[0], one[1]))
    _write(
        connection, "s_keys",
        pa.table({
            "kind": pa.array([k for k, _, _ in listed], pa.string()), "key": pa.array([v for _, v, _ in listed], pa.string()),
            "until": pa.array([u for _, _, u in listed], pa.date32()),
        }),
    )  # fmt: skip
    told = sorted((earlier or {}).items())
    _write(
        connection, "s_sources",
        pa.table({
            "source": pa.array([s for s, _ in told], pa.string()), "first_on": pa.array([d for _, d in told], pa.date32()),
        }),
    )  # fmt: skip


def _write(connection: Connection, name: str, table: pa.Table) -> None:
    connection.register("rows_to_write", table)
    connection.execute(f"create or replace temp table {name} as select * from rows_to_write")
    connection.unregister("rows_to_write")


def _listed(
    connection: Connection, workspace: Workspace, batches: set[tuple[str, str]]
) -> tuple[Subject, list[tuple[str, str, dt.date | None]], dict[tuple[str, str], dt.date]]:
    """The records and contact values of some deliveries that are on the list of the erased."""
    records: set[tuple[str, str]] = set()
    values: dict[Kind, set[str]] = {"email": set(), "phone": set(), "card": set(), "cookie": set()}
    for table in landing_tables():
        files = _files(workspace, table.name, batches)
        if not files:
            continue
        rows = _scan(workspace, table.name, files)
        for source, record in table.records:
            records |= set(
                connection.execute(
                    f"select distinct {quote(source)}, {quote(record)} from {rows} "
                    f"where {quote(source)} is not null and {quote(record)} is not null"
                ).fetchall()
            )
        for column, kind in table.values:
            key = KEY_SQL[kind].format(quote(column))  # type: ignore[index]
            found = connection.execute(f"select distinct {key} from {rows} where {key} is not null").fetchall()
            values[kind] |= {value for (value,) in found}  # type: ignore[index]
    by_key = {suppression.record_key(source, record): (source, record) for source, record in records}
    listed = suppression.erased_among(workspace, "record", sorted(by_key))
    keys: list[tuple[str, str, dt.date | None]] = []
    for kind, found_values in values.items():
        hits = suppression.erased_among(workspace, kind, sorted(found_values))
        keys += [(kind, value, on) for value, on in sorted(hits.items())]
    silent = suppression.erased_among(workspace, "dormant", sorted(by_key))
    dormant = {by_key[key]: on for key, on in silent.items() if key not in listed}
    return Subject(records=frozenset(by_key[key] for key in listed)), keys, dormant


# --- landing -----------------------------------------------------------------------------------


def _files(workspace: Workspace, entity: str, batches: set[tuple[str, str]] | None) -> list[str]:
    found = []
    for path in landed.files(workspace, ENTITIES[entity]):
        source = path.parent.parent.name.removeprefix("source=")
        if batches is None or (source, path.stem) in batches:
            found.append(str(path))
    return found


def _scan(workspace: Workspace, entity: str, files: list[str]) -> str:
    return landed.rows(workspace, ENTITIES[entity], files, has_place=True)


def condition(table: PersonalTable) -> str:
    """The SQL test that tells the rows of the loaded persons in one entity's landing files."""
    tests = [
        f"({quote(source)}, {quote(record)}) in (select (source, key) from s_records)"
        for source, record in table.records
    ]
    happened = f"cast({_HAPPENED[table.name]} as date)"
    latest = happened
    if table.name == "customer":
        latest = "cast(greatest(created_at, updated_at, last_contact_at) as date)"
    tests += [
        f"exists (select 1 from s_dormant where s_dormant.source = {quote(source)} and s_dormant.key = {quote(record)} "
        f"and coalesce({latest} <= until, true))"
        for source, record in table.records
    ]
    if table.name == "customer":
        # A record without a date of its own is as old as its delivery, in a source that we knew already.
        happened = (
            f"coalesce({happened}, case when source in (select source from s_sources) then business_on end, "
            "date '1900-01-01')"
        )
    else:
        happened = f"coalesce({happened}, date '1900-01-01')"
    for column, kind in table.values:
        key = KEY_SQL[kind].format(quote(column))  # type: ignore[index]
        own = "until is not null and" if table.name == "customer" else ""
        tests.append(
            f"exists (select 1 from s_keys where kind = {literal(kind)} and {own} s_keys.key = {key} "
            f"and (until is null or {happened} <= until))"
        )
    if table.name in ("order", "order_line"):
        tests.append("(source, order_id) in (select (source, key) from s_orders)")
    if table.name == "event":
        tests.append("(source, row_key) in (select (source, key) from s_events)")
    return "(" + " or ".join(f"coalesce({test}, false)" for test in tests) + ")"


def _anonymous(table: PersonalTable) -> tuple[str, ...]:
    return tuple(column for column in table.personal if column not in table.kept)


def _find(connection: Connection, workspace: Workspace, batches: set[tuple[str, str]] | None) -> _Found:
    found = _Found()
    connection.execute("create or replace temp table s_rows (landing_file varchar, place bigint, entity varchar)")
    for table in landing_tables():
        files = _files(workspace, table.name, batches)
        if not files:
            continue
        is_removed = table.treatment == "remove"
        test = condition(table)
        if not is_removed:
            test += " and (" + " or ".join(f"{quote(column)} is not null" for column in _anonymous(table)) + ")"
        rows = connection.execute(
            "select landing_file, file_row_number, source, batch_id, line_number "
            f"from {_scan(workspace, table.name, files)} where {test} order by landing_file, file_row_number"
        ).fetchall()
        for file, at, source, batch_id, line in rows:
            counts = found.removed if is_removed else found.anonymised
            counts[file] = counts.get(file, 0) + 1
            lines = found.dropped_lines if is_removed else found.blanked_lines
            lines.setdefault((source, batch_id), set()).add(line)
            connection.execute("insert into s_rows values (?, ?, ?)", [file, at, table.name])
    return found


#: Free texts that name somebody erased, each with the day up to which it does (None: whenever it was written).
Mentions = dict[str, dt.date | None]


def _told_by(texts: list[str], finder: Finder | None) -> Mentions:
    """Many texts are looked through at once: hardly any holds anything."""
    if finder is None:
        return {}
    parts = [texts[start : start + _AT_ONCE] for start in range(0, len(texts), _AT_ONCE)]
    return {text: None for part in parts if finder.search("\n".join(part)) for text in part if finder.search(text)}


def _listed_mentions(workspace: Workspace, texts: list[str]) -> Mentions:
    """Free texts with an address or a number that the list of the erased knows."""
    told: dict[Kind, dict[str, set[str]]] = {"email": {}, "phone": {}}
    for text in texts:
        for address in _EMAIL.findall(text):
            told["email"].setdefault(suppression.email_key(address), set()).add(text)
        for number in _NUMBER.findall(text):
            told["phone"].setdefault(suppression.phone_key(number), set()).add(text)
    return {
        text: on
        for kind, places in told.items()
        for key, on in suppression.erased_among(workspace, kind, sorted(places)).items()
        for text in places[key]
    }


def _find_mentions(
    connection: Connection, workspace: Workspace, batches: set[tuple[str, str]] | None, found: _Found,
    judge: Callable[[list[str]], Mentions],
) -> None:  # fmt: skip
    """Note the free texts in rows about others that name the person: the text goes, the row stays.

    Of an original, which no step reads again, the row goes as any that the person is found in.
    """
    connection.execute(
        "create or replace temp table s_mentions (landing_file varchar, place bigint, column_name varchar)"
    )
    for table in landing_tables():
        files = _files(workspace, table.name, batches) if table.free_texts else []
        if not files:
            continue
        scan = _scan(workspace, table.name, files)
        happened = f"coalesce(cast({_HAPPENED[table.name]} as date), date '1900-01-01')"
        for column in table.free_texts:
            cell = f"cast({quote(column)} as varchar)"
            result = connection.execute(f"select distinct {cell} from {scan} where {cell} is not null")
            found_texts: Mentions = {}
            while rows := result.fetchmany(_BATCH):
                found_texts |= judge([text for (text,) in rows])
            mentions = sorted(found_texts.items())
            if not mentions:
                continue
            told = pa.table(
                {"text": [text for text, _ in mentions], "until": pa.array([on for _, on in mentions], pa.date32())}
            )
            _write(connection, "s_texts", told)
            rows = connection.execute(
                f"select landing_file, file_row_number, source, batch_id, line_number from {scan} as rows "
                f"inner join s_texts on {cell} = s_texts.text where (until is null or {happened} <= until) and "
                "(landing_file, file_row_number) not in (select (landing_file, place) from s_rows) order by all"
            ).fetchall()
            for file, at, source, batch_id, line in rows:
                found.mentions[file] = found.mentions.get(file, 0) + 1
                lines = found.dropped_lines if table.treatment == "remove" else found.blanked_lines
                lines.setdefault((source, batch_id), set()).add(line)
                connection.execute("insert into s_mentions values (?, ?, ?)", [file, at, column])


def _rewrite_landing(connection: Connection, workspace: Workspace, found: _Found) -> int:
    tables = {table.name: table for table in landing_tables()}
    files = sorted({*found.removed, *found.anonymised, *found.mentions})
    for file in files:
        path = Path(file)
        entity = path.parent.parent.parent.name
        table = tables[entity]
        names = [
            row[0]
            for row in connection.execute(
                f"describe select * from read_parquet({literal(file)}, hive_partitioning = false)"
            ).fetchall()
        ]
        erased = erased_rows(path) + found.removed.get(file, 0)
        is_hit = f"file_row_number in (select place from s_rows where landing_file = {literal(file)})"
        own_key = ENTITIES[entity].keys[0]
        named = f"file_row_number in (select place from s_mentions where landing_file = {literal(file)}"
        gone = {
            name: f"{named} and column_name = {literal(name)})" for name in table.free_texts if file in found.mentions
        }
        changed = f"{named})" if file in found.mentions else ""
        where = f"where not ({is_hit})"
        if table.treatment == "anonymise":
            gone |= {name: " or ".join(filter(None, (is_hit, gone.get(name)))) for name in _anonymous(table)}
            changed = " or ".join(filter(None, (is_hit, changed)))
            where = ""
        columns = ", ".join(
            f"case when not ({gone[name]}) then {quote(name)} end as {quote(name)}" if name in gone
            else f"case when {changed} then 'erased' else row_hash end as row_hash" if name == "row_hash" and changed
            else quote(name)
            for name in names
            if where == "" or name != landed.FIRST_LINE
        )  # fmt: skip
        if where and landed.FIRST_LINE in names:  # rows no longer stand as their lines did: each keeps its own number
            columns += f", {landed.FIRST_LINE} + file_row_number as line_number"
        if "row_key" not in names:
            columns += f", {quote(own_key)} as row_key"
        temporary = path.with_name(f".{path.stem}.erasing.tmp")
        connection.execute(
            f"copy (select {columns} from read_parquet({literal(file)}, hive_partitioning = false, "
            f"file_row_number = true) {where} order by file_row_number) to {literal(str(temporary))} "
            f"(format parquet, compression zstd, kv_metadata {{{ERASED_ROWS}: '{erased}'}})"
        )
        rewriting.replace(temporary, path)
    return len(files)


def erased_rows(path: Path) -> int:
    """How many rows a landing file lost to erasures."""
    told = pq.read_metadata(path).metadata or {}
    return int(told.get(ERASED_ROWS.encode(), b"0"))


# --- originals ---------------------------------------------------------------------------------


def layout_of(source: Source) -> Layout:
    """How the files of a source are written, for rewriting them."""
    told = source.file
    return Layout(
        told.format, told.encoding, told.delimiter, told.quote, told.names, told.skip_lines, told.fields or {},
        told.sheet, told.rows_at,
    )  # fmt: skip


def kept_columns(source: Source) -> frozenset[str]:
    """Columns of a source's files that tell nothing of a person: what stays of an order line."""
    spared: set[str] = set()
    personal: set[str] = set()
    keys: set[str] = set()
    for entity, delivery in source.entities():
        is_financial = entity.name in FINANCIAL_ENTITIES
        prefix = f"{delivery.each}." if delivery.each else ""
        for canonical, rule in delivery.columns.items():
            column = entity.column(canonical)
            is_free = column is not None and (column.personal == "none" or canonical in entity.keys)
            names = {form for name in rule.columns or () for form in _places(name, prefix)}
            if not is_free and canonical != "returned_order_id":
                personal |= names
            elif is_financial:
                spared |= names
        personal |= {form for name in (*delivery.custom.values(), *delivery.tags) for form in _places(name, prefix)}
        if is_financial:
            keys |= {form for name in delivery.key or () for form in _places(name, prefix)}
    return frozenset((spared - personal) | keys)


def _places(name: str, prefix: str) -> set[str]:
    """Where a column may stand in a nested row: in the element or in the row itself."""
    plain = name.removeprefix("$.").removeprefix("@.")
    return {plain, prefix + plain}


def _originals(
    connection: Connection, workspace: Workspace, sources: Mapping[str, Source], known: list[FileRecord], found: _Found,
    pattern: re.Pattern[str] | None, only: set[str] | None,
) -> tuple[int, int]:  # fmt: skip
    """Rewrite the archived originals; returns (files, rows). `only`: contents to look at (None: all)."""
    of_batch = {(r.source, r.batch_id): r for r in known}
    dropped: dict[str, set[int]] = {}
    blanked: dict[str, set[int]] = {}
    for lines, by_content in ((found.dropped_lines, dropped), (found.blanked_lines, blanked)):
        for batch, numbers in lines.items():
            if batch in of_batch:
                by_content.setdefault(of_batch[batch].sha256, set()).update(numbers)
    places: dict[Path, list[FileRecord]] = {}
    for record in known:
        place = workspace.data / record.stored_as
        if workspace.archive in place.parents and (only is None or record.sha256 in only):
            places.setdefault(place, []).append(record)
    files = rows = 0
    for place, records in sorted(places.items()):
        source = sources.get(records[0].source)
        concerned = any(r.sha256 in dropped or r.sha256 in blanked for r in records)
        if not place.exists() or not (concerned or pattern):
            continue
        layout = layout_of(source) if source else rewriting.layout_for(place.name)
        kept = kept_columns(source) if source else frozenset()
        # An order of somebody else that names the person stays an order.
        spares = source is not None and not FINANCIAL_ENTITIES.isdisjoint(source.delivers)
        starts = _line_numbers(connection, workspace, records) if concerned and layout.format == "csv" else {}

        def edit(
            name: str, records: list[FileRecord] = records, kept: frozenset[str] = kept,
            starts: dict[str, frozenset[int]] = starts, spares: bool = spares,
        ) -> Edit | None:  # fmt: skip
            mine = [r for r in records if len(records) == 1 or r.file_name == name or r.file_name.endswith(name)]
            contents = {r.sha256 for r in mine or records}
            blank = frozenset(n for c in contents for n in blanked.get(c, ()))
            drop = frozenset(n for c in contents for n in dropped.get(c, ())) - blank
            begun = frozenset(n for c in contents for n in starts.get(c, ()))
            return Edit(drop, blank, kept, pattern, begun, spares) if drop or blank or pattern else None

        changed = rewriting.edit_file(place, layout, edit)
        files += changed > 0
        rows += changed
    return files, rows


def _line_numbers(connection: Connection, workspace: Workspace, records: list[FileRecord]) -> dict[str, frozenset[int]]:
    """Where the rows of some deliveries are known to begin, by content."""
    found: dict[str, set[int]] = {}
    for record in records:
        for entity in ENTITIES:
            folder = workspace.landing / entity / f"source={record.source}"
            for path in folder.glob(f"batch=*/{record.batch_id}.parquet"):
                numbers = connection.execute(
                    f"select line_number from {landed.rows(workspace, ENTITIES[entity], [path])}"
                ).fetchall()
                found.setdefault(record.sha256, set()).update(number for (number,) in numbers)
    return {content: frozenset(numbers) for content, numbers in found.items()}


# --- quarantine --------------------------------------------------------------------------------


def _quarantine_files(workspace: Workspace) -> list[Path]:
    return sorted((workspace.quarantine / "rows").glob("source=*/*.parquet"))


def _quarantine(
    connection: Connection, workspace: Workspace, subject: Subject, finder: Finder | None
) -> tuple[list[str], dict[tuple[str, str], set[int]]]:
    """(raw texts, {(source, batch): lines}) of the refused rows that are the person's."""
    texts: list[str] = []
    lines: dict[tuple[str, str], set[int]] = {}
    for path in _quarantine_files(workspace):
        for row in pq.read_table(path).to_pylist():
            raw = row["raw_text"] or ""
            is_keyed = (row["source"], row["row_key"]) in subject.records
            if is_keyed or (finder is not None and finder.search(raw)):
                texts.append(raw)
                lines.setdefault((row["source"], row["batch_id"]), set()).add(row["line_number"])
    return texts, lines


def _listed_lines(workspace: Workspace, records: list[FileRecord]) -> dict[tuple[str, str], set[int]]:
    """Refused rows of some deliveries that the list of the erased knows, by key, text, address or number."""
    wanted = {(r.source, r.batch_id) for r in records}
    rows = [
        row for path in _quarantine_files(workspace)
        if (path.parent.name.removeprefix("source="), path.stem) in wanted
        for row in pq.read_table(path).to_pylist()
    ]  # fmt: skip
    told: dict[Kind, dict[str, list[int]]] = {"record": {}, "line": {}, "email": {}, "phone": {}}
    for at, row in enumerate(rows):
        raw = row["raw_text"] or ""
        if row["row_key"]:
            told["record"].setdefault(suppression.record_key(row["source"], row["row_key"]), []).append(at)
        if raw:
            told["line"].setdefault(raw, []).append(at)
        for address in _EMAIL.findall(raw):
            told["email"].setdefault(suppression.email_key(address), []).append(at)
        for number in _NUMBER.findall(raw):
            told["phone"].setdefault(suppression.phone_key(number), []).append(at)
    lines: dict[tuple[str, str], set[int]] = {}
    for kind, places in told.items():
        for key in suppression.erased_among(workspace, kind, sorted(places)):
            for at in places[key]:
                batch = (rows[at]["source"], rows[at]["batch_id"])
                lines.setdefault(batch, set()).add(rows[at]["line_number"])
    return lines


def _blank_quarantine(workspace: Workspace, lines: Mapping[tuple[str, str], set[int]]) -> None:
    """Take text and key from refused rows; that a row was refused, where and why, stays."""
    for path in _quarantine_files(workspace):
        numbers = lines.get((path.parent.name.removeprefix("source="), path.stem))
        if not numbers:
            continue
        table = pq.read_table(path)
        told = table.to_pylist()
        for row in told:
            if row["line_number"] in numbers:
                row["raw_text"], row["row_key"] = "", None
        temporary = path.with_name(f".{path.name}.erasing.tmp")
        pq.write_table(pa.Table.from_pylist(told, schema=table.schema), temporary, compression="zstd")
        rewriting.replace(temporary, path)


def _refused_files(workspace: Workspace, sources: Mapping[str, Source], finder: Finder | None) -> None:
    """Files that were refused whole, and rows that a person was about to mend, are searched as texts."""
    if finder is None:
        return
    found = [path for path in sorted((workspace.quarantine / "files").rglob("*")) if path.is_file()]
    found += [path for path in [workspace.quarantine / "to_mend.jsonl"] if path.exists()]
    for path in found:
        source = sources.get(path.parent.name)
        layout = layout_of(source) if source else rewriting.layout_for(path.name)
        try:
            rewriting.edit_file(path, layout, lambda name: Edit(pattern=finder))
        except (OSError, ValueError, EOFError, LookupError, RuntimeError):
            # What cannot be opened cannot be searched either: the restrictive side is to let it go.
            path.unlink()


def waiting_files(workspace: Workspace, subject: Subject) -> list[str]:
    """Files still in the inbox that hold a person's values, or cannot be opened: they are cleaned when taken."""
    finder = rewriting.traces_of(subject.texts, subject.names)
    if finder is None or not workspace.inbox.exists():
        return []
    found = []
    for path in sorted(workspace.inbox.rglob("*")):
        is_delivery = path.is_file() and not path.is_symlink() and not path.name.startswith(".")
        if is_delivery and searching.holds(path, finder) is not False:
            found.append(path.name)
    return found


def archived_files(workspace: Workspace) -> set[Path]:
    """The archived originals that the manifest knows: an erasure cleans these, and searches any other as a stray."""
    connection = warehouse.connect()
    try:
        return {workspace.data / record.stored_as for record in manifest.read(connection, workspace)}
    finally:
        connection.close()


def expire_grants(workspace: Workspace, *, before: dt.date, is_dry: bool) -> int:
    """Take consents given before a day out of landing; returns how many. Refusals stay."""
    connection = warehouse.connect()
    rows = 0
    try:
        test = f"lower(trim(status)) in ('granted', 'pending') and cast(occurred_at as date) < date '{before}'"
        for file in _files(workspace, "consent", None):
            scan = _scan(workspace, "consent", [file])
            found = connection.execute(f"select count(*) from {scan} where {test}").fetchone()
            count = int(found[0]) if found else 0
            rows += count
            if not count or is_dry:
                continue
            path = Path(file)
            temporary = path.with_name(f".{path.stem}.erasing.tmp")
            connection.execute(
                f"copy (select * exclude (landing_file, file_row_number) from {scan} "
                f"where not coalesce({test}, false) order by file_row_number) to {literal(str(temporary))} "
                f"(format parquet, compression zstd, kv_metadata {{{ERASED_ROWS}: '{erased_rows(path) + count}'}})"
            )
            rewriting.replace(temporary, path)
    finally:
        connection.close()
    return rows


def expire_files(workspace: Workspace, *, originals: dt.date, refused: dt.date, is_dry: bool) -> tuple[int, int]:
    """Remove archived originals and refused files received before their day; returns how many of each."""
    counts = []
    for folder, before in ((workspace.archive, originals), (workspace.quarantine / "files", refused)):
        limit = dt.datetime.combine(before, dt.time(), dt.UTC).timestamp()
        old = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.stat().st_mtime < limit]
        counts.append(len(old))
        for path in old if not is_dry else []:
            path.unlink()
    return counts[0], counts[1]


def held(connection: Connection, workspace: Workspace, subject: Subject) -> dict[str, list[dict[str, object]]]:
    """Everything that landing and quarantine hold of a person: the rows that `erase` would take out, by entity."""
    keys = [(kind, key, None) for kind, values in sorted(subject.keys.items()) for key in sorted(values)]
    _load(connection, subject, keys)
    told: dict[str, list[dict[str, object]]] = {}
    for table in landing_tables():
        files = _files(workspace, table.name, None)
        if not files:
            continue
        result = connection.execute(
            f"select * exclude (landing_file, file_row_number) from {_scan(workspace, table.name, files)} "
            f"where {condition(table)} order by source, available_on, batch_id, line_number, row_key"
        )
        names = [item[0] for item in result.description or []]
        rows = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
        if rows:
            told[table.name] = rows
    finder = rewriting.traces_of(subject.texts, subject.names)
    refused = []
    for path in _quarantine_files(workspace):
        for row in pq.read_table(path).to_pylist():
            is_keyed = (row["source"], row["row_key"]) in subject.records
            if is_keyed or (finder is not None and finder.search(row["raw_text"] or "")):
                refused.append(row)
    if refused:
        told["quarantine"] = json.loads(json.dumps(refused, default=str))
    return told

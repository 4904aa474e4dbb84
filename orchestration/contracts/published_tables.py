"""The reference of the published tables and of the canonical entities, made from their contracts.

`python -m orchestration.contracts.published_tables` writes `docs/guide/tables.md` and
`docs/guide/entities.md`; `tests/architecture/test_docs.py` keeps them equal to the contracts.

What belongs here: the description of what is published. Tables that dbt builds are described in their own
YAML, beside the model; those that Python writes (`segments`, `audit`) are described below, and a test holds
this list against what the code creates. What does not: how a table is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from orchestration.contracts.entities import (
    ENTITIES,
    LANDING_COLUMNS,
    REFERENCES,
    SQL_TYPES,
    VERSION_COLUMNS,
    Column,
)
from orchestration.settings import DBT_PROJECT_DIR, PROJECT_ROOT

#: libyaml where the wheel carries it: ten times as fast.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

GUIDE = PROJECT_ROOT / "docs" / "guide"
SCHEMAS = {
    "rcu": "The golden record: customers, where their values come from, how they may be reached.",
    "marts": "Purchases, value, lifecycle, and `customer_360`, where most queries start.",
    "segments": "Who is in which segment, since when and why; what triggers decided.",
    "audit": "What was delivered, refused, checked and run.",
}


@dataclass(frozen=True)
class PublishedColumn:
    """One column of a published table. `unit` and `origin` (a published table) are empty where nothing says them."""

    name: str
    data_type: str
    personal: str
    description: str
    unit: str = ""
    origin: str = ""

    @property
    def told(self) -> str:
        """What it is, in what unit, from which table, and its class of personal data: a line of text."""
        unit = f"; unit: {self.unit}" if self.unit else ""
        origin = f"; from {self.origin}" if self.origin else ""
        return f"{self.description}{unit}{origin}; personal data: {self.personal}"


@dataclass(frozen=True)
class PublishedTable:
    """One published table. `grain` says what a row is; `key` names the columns that identify it."""

    schema: str
    name: str
    grain: str
    key: tuple[str, ...]
    columns: tuple[PublishedColumn, ...]

    @property
    def full_name(self) -> str:
        return f"{self.schema}.{self.name}"


def _table(full_name: str, grain: str, key: str, *columns: tuple[str, str, str, str]) -> PublishedTable:
    schema, name = full_name.split(".")
    return PublishedTable(schema, name, grain, tuple(key.split()), tuple(PublishedColumn(*one) for one in columns))


_SEGMENT = ("segment", "varchar", "none", "Name of the segment")
_CUSTOMER = ("customer_id", "varchar", "reference", "Lasting id of the customer")
_SOURCE = ("source", "varchar", "none", "Source")
_BATCH = ("batch_id", "varchar", "none", "Delivery: 16 hex digits made from the content of the file")

#: The tables that Python writes. Their columns are held against the code by tests/architecture/test_docs.py.
PYTHON_TABLES: tuple[PublishedTable, ...] = (
    _table(
        "segments.definitions", "One row per segment in force: its rule in words and in SQL.", "segment",
        _SEGMENT,
        ("version", "integer", "none", "Version, raised by hand"),
        ("rule_hash", "varchar", "none", "Changes when who is in the segment could change"),
        ("label_en", "varchar", "none", "Label, English"),
        ("label_fr", "varchar", "none", "Label, French"),
        ("objective", "varchar", "none", "What the segment is used for"),
        ("rule_en", "varchar", "none", "The rule in plain English"),
        ("rule_fr", "varchar", "none", "The rule in plain French"),
        ("sql", "varchar", "none", "The rule as one query"),
        ("owner", "varchar", "none", "Team or address"),
        ("tags", "varchar", "none", "Tags, comma-separated, in order"),
        ("priority", "integer", "none", "1 comes first within an exclusive group"),
        ("exclusive_group", "varchar", "none", "A customer is in one segment of the group only"),
        ("control_group", "double", "none", "Share of members left out of activation, 0 to 1"),
        ("expected_low_rate", "double", "none", "Lowest expected share of customers"),
        ("expected_high_rate", "double", "none", "Highest expected share of customers"),
        ("includes_suppressed", "boolean", "none", "Suppressed customers may be members"),
        ("declaration", "varchar", "none", "The declaration as JSON"),
    ),
    _table(
        "segments.members", "One row per segment and customer in it.", "segment customer_id",
        _SEGMENT, _CUSTOMER,
        ("entered_on", "date", "trait", "First day of this stay"),
        ("is_control", "boolean", "trait", "In the control group: not to be contacted for this segment"),
        ("reason", "varchar", "sensitive", "JSON: the values that made the rule hold"),
    ),
    _table(
        "segments.history", "One row per segment, customer and stay.", "segment customer_id entered_on",
        _SEGMENT, _CUSTOMER,
        ("entered_on", "date", "trait", "First day of the stay"),
        ("left_on", "date", "trait", "Day the customer was no longer in; null: still in"),
    ),
    _table(
        "segments.changes", "One row per entry into or exit from a segment that this run saw.",
        "segment customer_id change entered_on",
        _SEGMENT, _CUSTOMER,
        ("change", "varchar", "trait", "entered, left"),
        ("entered_on", "date", "trait", "First day of the stay that begins or ends"),
        ("cause", "varchar", "none", "data; or first (new segment), rule (changed rule), merged, retired"),
    ),
    _table(
        "segments.movements",
        "One row per pair of segments between which customers moved in this run, by what they did.",
        "from_segment to_segment",
        ("from_segment", "varchar", "none", "Segment they left"),
        ("to_segment", "varchar", "none", "Segment they entered"),
        ("customer_count", "bigint", "none", "Customers who did both"),
    ),
    _table(
        "segments.sizes", "One row per segment and as-of date.", "segment as_of_on",
        _SEGMENT,
        ("as_of_on", "date", "none", "Date of the run"),
        ("rule_hash", "varchar", "none", "The rule that gave this size"),
        ("size", "bigint", "none", "Members"),
        ("rate", "double", "none", "Share of all customers, 0 to 1"),
        ("previous_size", "bigint", "none", "Members at the date before"),
        ("customer_count", "bigint", "none", "All customers"),
        ("control_count", "bigint", "none", "Members in the control group"),
        ("reachable_email_count", "bigint", "none", "Members contactable by e-mail"),
        ("reachable_sms_count", "bigint", "none", "Members contactable by text message"),
        ("reachable_phone_count", "bigint", "none", "Members contactable by phone"),
        ("reachable_post_count", "bigint", "none", "Members contactable by post"),
        ("entered_count", "bigint", "none", "Entries seen by this run"),
        ("left_count", "bigint", "none", "Exits seen by this run"),
        ("status", "varchar", "none", "ok, below, above (of the expected rate), empty, universal, unchecked; past: an earlier date"),
    ),
    _table(
        "segments.overlap", "One row per pair of segments, names in order.", "left_segment right_segment",
        ("left_segment", "varchar", "none", "First segment"),
        ("right_segment", "varchar", "none", "Second segment"),
        ("both_count", "bigint", "none", "Customers in both"),
        ("jaccard", "double", "none", "Customers in both over customers in either, 0 to 1"),
    ),
    _table(
        "segments.static_lists", "One row per static list and customer it names.", "list_name customer_id",
        ("list_name", "varchar", "none", "Name of the file in segments/lists"),
        _CUSTOMER,
    ),
    _table(
        "segments.evaluation", "One row: the run that evaluated the segments.", "run_id",
        ("as_of_on", "date", "none", "Date of the run"),
        ("version", "varchar", "none", "Version of the publication"),
        ("run_id", "varchar", "none", "Run"),
    ),
    _table(
        "segments.trigger_events",
        "One row per occurrence of a trigger: all that fired or were held out, and what this run held back.",
        "event_key",
        ("event_key", "varchar", "reference", "Idempotency key of the message"),
        ("trigger", "varchar", "none", "Name of the trigger"),
        _CUSTOMER,
        ("subject", "varchar", "reference", "What happened: the event, the order, the day of an entry, the year of a birthday"),
        ("outcome", "varchar", "trait", "fired, held_out (control), capped or unreachable (tried again until it expires)"),
        ("happened_on", "date", "trait", "Day of the start"),
        ("due_on", "date", "trait", "Day the message is due"),
        ("expires_on", "date", "trait", "Last day on which it still makes sense"),
        ("channel", "varchar", "trait", "First channel on which the customer may be contacted; null: none"),
        ("send_from_at", "timestamp", "none", "Not before, UTC"),
        ("send_until_at", "timestamp", "none", "Not after, UTC"),
        ("priority", "integer", "none", "1 comes first"),
        ("ignores_limits", "boolean", "none", "Service message"),
        ("why", "varchar", "sensitive", "JSON: what happened, for the message and for people"),
        ("decided_on", "date", "none", "Date of the run that decided"),
        ("version", "varchar", "none", "Version of that run"),
    ),
    _table(
        "audit.files", "One row per file and outcome known up to the date.", "source file_name sha256 status",
        ("source", "varchar", "none", "Source; empty where no source claims the file"),
        _BATCH,
        ("file_name", "varchar", "none", "Name as delivered"),
        ("part", "varchar", "none", "Part of the delivery, from {part} or the time of day in the name"),
        ("sha256", "varchar", "none", "Hash of the content"),
        ("size", "bigint", "none", "Bytes"),
        ("rows_read", "bigint", "none", "Rows of the file"),
        ("rows_landed", "bigint", "none", "Rows that landed"),
        ("rows_quarantined", "bigint", "none", "Rows refused"),
        ("rows_filtered", "bigint", "none", "Rows left out on purpose"),
        ("rows_difference", "bigint", "none", "Rows read that none of the three accounts for; 0 when all is well"),
        ("entity_rows", "varchar", "none", "JSON: rows landed per entity"),
        ("columns", "varchar", "none", "JSON: columns of the file"),
        ("encoding", "varchar", "none", "Encoding it was read in"),
        ("delimiter", "varchar", "none", "Delimiter it was read with"),
        ("delivery", "varchar", "none", "full, delta"),
        ("business_on", "date", "none", "Date the delivery is about"),
        ("received_on", "date", "none", "Day it was received"),
        ("available_on", "date", "none", "Date from which runs may use it"),
        ("status", "varchar", "none", "landed, refused, unreadable, unmatched, duplicate, header_only, draft, not_fetched"),
        ("message", "varchar", "none", "Why, and what to do"),
        ("warnings", "varchar", "none", "JSON: warnings"),
        ("stored_as", "varchar", "none", "Where the original lies, below data/"),
        ("ingested_at", "timestamp", "none", "When it was taken, UTC"),
        ("run_id", "varchar", "none", "Run or replay that took it"),
        ("is_effective", "boolean", "none", "Landed, and not superseded by a later delivery of the same date and part"),
        ("is_open", "boolean", "none", "Something went wrong with it, and no later row or delivery has mended it"),
    ),
    _table(
        "audit.quarantine", "One row per refused row; never its text.", "batch_id line_number column_name rule",
        _SOURCE, _BATCH,
        ("file_name", "varchar", "none", "File"),
        ("line_number", "bigint", "none", "Line of the file, from 1, header included"),
        ("column_name", "varchar", "none", "Column of the file; empty: the whole line"),
        ("rule", "varchar", "none", "What it broke: key, required, values, date, timestamp, number, boolean, columns, quotes, ..."),
        ("reason", "varchar", "none", "The same in words, without the value"),
    ),
    _table(
        "audit.landing_counts", "One row per delivery that counts and entity.", "source batch_id entity",
        _SOURCE, _BATCH,
        ("entity", "varchar", "none", "Entity"),
        ("rows_declared", "bigint", "none", "Rows that the manifest declares"),
        ("rows_found", "bigint", "none", "Rows found in the landing file"),
    ),
    _table(
        "audit.source_profile", "One row per source, entity and canonical column.", "source entity column_name",
        _SOURCE,
        ("entity", "varchar", "none", "Entity"),
        ("column_name", "varchar", "none", "Canonical column"),
        ("rows", "bigint", "none", "Rows"),
        ("filled_rate", "double", "none", "Share with a value, 0 to 1"),
        ("distinct_count", "bigint", "none", "Distinct values, approximate"),
    ),
    _table(
        "audit.freshness", "One row per declared source: how old its last delivery is.", "source",
        _SOURCE,
        ("last_business_on", "date", "none", "Latest date that a delivery is about"),
        ("last_received_on", "date", "none", "Latest day of reception"),
        ("age_days", "integer", "none", "Days from last_business_on to the as-of date"),
        ("cadence_days", "integer", "none", "Declared cadence"),
        ("is_late", "boolean", "none", "Older than the cadence, or never delivered"),
        ("is_required", "boolean", "none", "No run without it"),
        ("delivery_count", "bigint", "none", "Files landed"),
        ("is_missing", "boolean", "none", "Required and never delivered"),
    ),
    _table(
        "audit.checks", "One row per check of the run's gates.", "gate name",
        ("gate", "varchar", "none", "landing, golden, publish"),
        ("name", "varchar", "none", "Check"),
        ("schema_name", "varchar", "none", "Schema of the judged table"),
        ("table_name", "varchar", "none", "Judged table"),
        ("expectation", "varchar", "none", "Expectation"),
        ("severity", "varchar", "none", "error (blocks) or warn"),
        ("passed", "boolean", "none", "Whether it held"),
        ("element_count", "bigint", "none", "Rows judged"),
        ("unexpected_count", "bigint", "none", "Rows that failed"),
        ("unexpected_rate", "double", "none", "Their share, 0 to 1"),
        ("observed", "varchar", "none", "JSON: numbers measured"),
        ("failing_keys", "varchar", "reference", "JSON: declared keys of a few failing rows"),
        ("message", "varchar", "none", "What was found"),
        ("describes", "varchar", "none", "Why it matters and what to do"),
        ("duration_seconds", "double", "none", "Time it took"),
        ("as_of_on", "date", "none", "Date of the run"),
        ("run_id", "varchar", "none", "Run"),
    ),
    _table(
        "audit.privacy_requests", "One row per request of a person, whatever the run's date.", "request_id",
        ("request_id", "varchar", "reference", "Number of the request: the source's own, or ours"),
        ("request_type", "varchar", "trait", "access, erasure, rectification, objection, portability"),
        ("received_on", "date", "trait", "Day it was received"),
        ("due_on", "date", "trait", "Last day for an answer: one month, three where extended"),
        ("state", "varchar", "trait", "open, answered, refused"),
        ("closed_on", "date", "trait", "Day it was answered or refused"),
        _CUSTOMER,
        ("origin", "varchar", "none", "Source, or command line"),
        ("reason", "varchar", "none", "Why it waits"),
        ("is_overdue", "boolean", "trait", "Open after the day an answer was due"),
    ),
    _table(
        "audit.runs", "One row per run for a date up to this one.", "run_id",
        ("run_id", "varchar", "none", "Run, as Dagster knows it"),
        ("as_of_on", "date", "none", "Date it was for"),
        ("version", "varchar", "none", "Version published; empty: none"),
        ("status", "varchar", "none", "published, failed"),
        ("started_at", "timestamp", "none", "UTC"),
        ("ended_at", "timestamp", "none", "UTC"),
        ("is_forward", "boolean", "none", "False for a backfill"),
        ("mode", "varchar", "none", "increment, rebuild"),
        ("reason", "varchar", "none", "Why it failed"),
        ("counts", "varchar", "none", "JSON: rows per published table"),
    ),
)  # fmt: skip


def dbt_tables() -> list[PublishedTable]:
    """The published tables that dbt builds, from the YAML beside their models, in the order of the files."""
    found = []
    for schema in ("rcu", "marts"):
        for file in sorted((DBT_PROJECT_DIR / "models" / schema).rglob("_*.yml")):
            for model in yaml.load(file.read_text(encoding="utf-8"), Loader=_LOADER).get("models", ()):
                columns = tuple(_dbt_column(column) for column in model["columns"])
                grain = " ".join(model["description"].split())
                found.append(PublishedTable(schema, model["name"], grain, _dbt_key(model), columns))
    return found


def _dbt_column(column: dict[str, Any]) -> PublishedColumn:
    meta = column.get("config", {}).get("meta") or column.get("meta") or {}
    described = " ".join(str(column.get("description", "")).split())
    return PublishedColumn(
        column["name"],
        str(column["data_type"]).lower(),
        meta.get("personal", "?"),
        described,
        meta.get("unit", ""),
        meta.get("from", ""),
    )


def _dbt_key(model: dict[str, Any]) -> tuple[str, ...]:
    """The columns whose uniqueness dbt tests; empty where it tests none."""
    for test in model.get("data_tests", ()):
        for name in ("one_row_per", "unique_together"):
            if isinstance(test, dict) and name in test:
                return tuple(test[name]["arguments"]["columns"])
    single = [column["name"] for column in model["columns"] if "unique" in column.get("data_tests", ())]
    return tuple(single[:1])


def published_tables() -> list[PublishedTable]:
    """Every published table: by schema in the order of `SCHEMAS`, then by name."""
    order = list(SCHEMAS)
    return sorted([*dbt_tables(), *PYTHON_TABLES], key=lambda table: (order.index(table.schema), table.name))


def tables_page() -> str:
    """The text of docs/guide/tables.md."""
    tables = published_tables()
    lines = [
        "# Published tables",
        "",
        "<!-- Written by `python -m orchestration.contracts.published_tables`; do not edit. -->",
        "",
        "Open `data/published/current/rcu.duckdb` read-only. Tables of schema `rcu` are reached as `rcu.customers`,",
        "those of the others as `marts.orders` ([why](../adr/0006-names-in-the-published-file.md)). The same tables",
        "lie beside it as Parquet, in `parquet/<schema>/<table>.parquet`.",
        "",
        "Names: `_id` is a key, `_at` a UTC timestamp, `_on` a date in the company's time zone, `_rate` lies between",
        "0 and 1. Money is `decimal(18,4)` in the company's currency. `as_of_on` is the date of the run.",
        "",
        "The last column is the class of personal data: `identity` tells who, `contact` reaches the person,",
        "`reference` is a pseudonymous key, `trait` is about the person, `sensitive` needs special care, `none` is",
        "nothing personal.",
        "",
    ]
    for schema, told in SCHEMAS.items():
        lines += [f"- **[{schema}](#{schema})**: {told}"]
    for schema, told in SCHEMAS.items():
        own = [table for table in tables if table.schema == schema]
        lines += ["", f"## {schema}", "", told, "", "| table | a row is |", "|---|---|"]
        lines += [f"| [{t.full_name}](#{schema}{t.name}) | {_cell(t.grain)} |" for t in own]
        for table in own:
            lines += ["", f"### {table.full_name}", "", table.grain]
            if table.key:
                lines += ["", f"Key: {', '.join(f'`{name}`' for name in table.key)}."]
            if any(column.unit for column in table.columns):
                header: tuple[str, ...] = ("column", "type", "what", "unit", "from", "personal")
                rows = [(c.name, c.data_type, c.description, c.unit, c.origin, c.personal) for c in table.columns]
                lines += ["", *_grid(header, rows)]
            else:
                header = ("column", "type", "what", "personal")
                lines += ["", *_grid(header, ((c.name, c.data_type, c.description, c.personal) for c in table.columns))]
    return "\n".join(lines) + "\n"


def entities_page() -> str:
    """The text of docs/guide/entities.md."""
    lines = [
        "# Canonical entities",
        "",
        "<!-- Written by `python -m orchestration.contracts.published_tables`; do not edit. -->",
        "",
        "What a source can deliver, column by column: the names on the left of `columns:` in a",
        "[source contract](sources.md). Texts are kept as given; standardising comes later. A column that no rule",
        "fills is empty.",
        "",
        "*State* lasts and changes: a full delivery that no longer holds a row deletes it, and earlier contents stay",
        "as history. *Facts* happened: they stay, and a fact delivered again replaces its earlier content. Of a",
        "*ledger*, what is delivered again with another content is one more row.",
    ]
    shared = {column.name for column in REFERENCES}
    for entity in ENTITIES.values():
        kind = "State" if entity.is_state else "Ledger" if entity.is_ledger else "Facts"
        keys = ", ".join(f"`{key}`" for key in entity.keys)
        lines += ["", f"## {entity.name}", "", f"{kind}, in `{entity.table}`. Key: {keys}.", ""]
        lines += _column_grid(column for column in entity.columns if column.name not in shared)
        if any(column.name in shared for column in entity.columns):
            lines += ["", "And the [references](#references)."]
    lines += [
        "",
        "## References",
        "",
        "Who an order, an event, a consent or a request is about. Give every reference that the source has; they are",
        "tried in the order account, card, email, phone, cookie.",
        "",
        *_column_grid(REFERENCES),
        "",
        "## Added to every row",
        "",
        "By ingest, in every landing table:",
        "",
        *_column_grid(LANDING_COLUMNS),
        "",
        "And where the entity is a state:",
        "",
        *_column_grid(VERSION_COLUMNS),
    ]
    return "\n".join(lines) + "\n"


def _column_grid(columns: Iterable[Column]) -> Iterator[str]:
    return _grid(
        ("column", "type", "what", "personal"),
        ((column.name, SQL_TYPES[column.kind], column.description, column.personal) for column in columns),
    )


def _grid(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * len(header)}"
    for name, *others in rows:
        yield f"| `{name}` | {' | '.join(_cell(other) for other in others)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


PAGES = {"tables.md": tables_page, "entities.md": entities_page}


def write_pages(folder: Path = GUIDE) -> list[Path]:
    """Write every generated page into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in PAGES.items():
        path = folder / name
        path.write_text(text(), encoding="utf-8")
        written.append(path)
    return written


if __name__ == "__main__":
    for _path in write_pages():
        print(_path.relative_to(PROJECT_ROOT))

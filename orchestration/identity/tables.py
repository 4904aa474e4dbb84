"""The tables that identity writes: their columns, in the build database and in the registry.

What belongs here: names and types. What does not: how they are filled.
"""

from __future__ import annotations

from orchestration import changes
from orchestration.registry import RegistryTable
from orchestration.warehouse import Connection

#: Which customer each record belongs to; changes only. `customer_id` is null when the record is gone.
RECORD_CUSTOMERS = RegistryTable(
    "record_customers",
    {"source": "varchar", "record_id": "varchar", "customer_id": "varchar", "attached_by": "varchar"},
)

#: What happened to ids: created, merged, split, unmerged, retired, returned.
CUSTOMER_ID_EVENTS = RegistryTable(
    "customer_id_events",
    {
        "customer_id": "varchar",
        "event": "varchar",
        "event_on": "date",
        "successor_id": "varchar",
        "record_count": "integer",
        "reason": "varchar",
    },
)

#: Decisions given on the command line (those that come as files are in landing). True at once.
STEWARD_DECISIONS = RegistryTable(
    "steward_decisions",
    {
        "decision_id": "varchar",
        "left_source": "varchar",
        "left_record_id": "varchar",
        "right_source": "varchar",
        "right_record_id": "varchar",
        "decision": "varchar",
        "decided_by": "varchar",
        "decided_at": "timestamp",
    },
    is_versioned=False,
)

#: Models trained by a run, as JSON; the last one is used until a stored file is declared.
IDENTITY_MODELS = RegistryTable("identity_models", {"fingerprint": "varchar", "model": "varchar"})

_DDL = {
    "record_customers": """
        source varchar, record_id varchar, customer_id varchar, attached_on date, attached_by varchar""",
    "customer_id_history": """
        customer_id varchar, event varchar, event_on date, successor_id varchar, record_count integer,
        reason varchar""",
    "current_ids": "customer_id varchar, current_customer_id varchar",
    "match_links": """
        left_source varchar, left_record_id varchar, right_source varchar, right_record_id varchar,
        kind varchar, rule varchar, match_probability double, match_weight double, field_weights varchar,
        band varchar, is_within_customer boolean""",
    "match_review": """
        pair_id varchar, left_source varchar, left_record_id varchar, right_source varchar,
        right_record_id varchar, match_probability double, reason varchar, guard varchar,
        left_customer_id varchar, right_customer_id varchar""",
    "metrics": "name varchar, value double",
    "suspicious_clusters": "customer_id varchar, reason varchar, record_count integer",
    "shared_values": "kind varchar, value varchar, distinct_names integer, record_count integer",
    "set_aside_decisions": """
        left_source varchar, left_record_id varchar, right_source varchar, right_record_id varchar,
        decision varchar, decided_by varchar, decided_at timestamp, told_in varchar, reason varchar""",
    # What follows is the cache that increments start from; nobody else reads it.
    "state": "fingerprint varchar, threshold_offset double",
    "nicknames": "name varchar, root varchar",
    "value_holders": """
        kind varchar, value varchar, source varchar, record_id varchar, name_key varchar, given varchar,
        family varchar, initial varchar""",
    "household_values": "kind varchar, value varchar, initial varchar",
    "name_counts": "field varchar, value varchar, bearers bigint, half_bits integer",
    "block_keys": "block utinyint, value ubigint, rid bigint",
    "capped_blocks": "block utinyint, value ubigint, record_count integer",
    "links": """
        left_rid bigint, right_rid bigint, rules ubigint, weight integer, veto varchar, field_weights varchar,
        is_completed boolean""",
    "clusters": "rid bigint, cluster bigint",
    "decisions": "left_rid bigint, right_rid bigint, decision varchar",
    "pending": """
        left_rid bigint, right_rid bigint, weight integer, average integer, guard varchar""",
}


def create_missing(connection: Connection) -> None:
    """Create the schema and every table that is not there yet, empty."""
    connection.execute("create schema if not exists identity")
    for name, columns in _DDL.items():
        connection.execute(f"create table if not exists identity.{name} ({columns})")


def clear(connection: Connection) -> None:
    """Drop all of identity's tables and create them anew: the start of a rebuild."""
    connection.execute("create schema if not exists identity")
    connection.execute("drop table if exists identity.records")
    for name in _DDL:
        connection.execute(f"drop table if exists identity.{name}")
    create_missing(connection)


#: What dbt reads of it: what changes one of these says which rows (`replace`), or it is noted afterwards (`note`).
READ_BY_DBT = (
    "record_customers", "current_ids", "customer_id_history", "match_links", "match_review", "set_aside_decisions",
    "shared_values",
)  # fmt: skip

_WRITTEN_WHOLE = frozenset({"match_review", "set_aside_decisions", "shared_values"})


def replace(connection: Connection, name: str, fresh: str, where: str) -> None:
    """Put the rows of `fresh` in the place of those of identity.`name` that `where` (SQL over `old`) holds."""
    place = f"identity.{name}"
    changes.prepare(connection)
    if changes.known_contents(connection, place) is None:
        changes.note_whole(connection, place)
    connection.execute("begin")
    try:
        changes.replace_rows(connection, place, fresh, where)
    except BaseException:
        connection.execute("rollback")
        raise
    connection.execute("commit")


def note(connection: Connection, *, is_rebuild: bool) -> None:
    """Note what the tables that dbt reads hold now. An increment noted those that it changed by rows."""
    changes.prepare(connection)
    for name in READ_BY_DBT:
        place = f"identity.{name}"
        if is_rebuild or name in _WRITTEN_WHOLE or changes.known_contents(connection, place) is None:
            changes.note_whole(connection, place)

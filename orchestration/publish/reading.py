"""Reading a publication: the published identity tables under the names that explanations read.

What belongs here: views over a sealed file, in memory. What does not: anything that writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from orchestration import warehouse
from orchestration.publish.publications import Publication
from orchestration.warehouse import Connection

_VIEWS = {
    "record_customers": "select source, record_id, customer_id, attached_on, attached_by from {rcu}.customer_records",
    "match_links": "select * from {rcu}.match_links",
    "match_review": "select * from {rcu}.match_review",
    "set_aside_decisions": "select * from {rcu}.set_aside_decisions",
    "customer_id_history": "select * from {rcu}.customer_id_history",
    "current_ids": "select distinct customer_id, current_customer_id from {rcu}.customer_id_history",
}

_LATER = frozenset({"set_aside_decisions"})


@contextmanager
def identity_as_published(publication: Publication) -> Iterator[Connection]:
    """A connection whose schema `identity` shows what the publication holds of it."""
    connection = warehouse.connect()
    try:
        warehouse.attach(connection, publication.database, "published", read_only=True)
        connection.execute("create schema identity")
        # A publication made before a table was promised does not hold it.
        held = connection.execute(
            "select table_name from duckdb_tables() where database_name = 'published' and schema_name = 'main'"
        ).fetchall()
        for name, query in _VIEWS.items():
            if name in _LATER and (name,) not in held:
                continue
            connection.execute(f"create view identity.{name} as {query.format(rcu='published.main')}")
        yield connection
    finally:
        connection.close()

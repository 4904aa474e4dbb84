"""Reading a publication: the published identity tables under the names that explanations read.

What belongs here: views over a sealed file, in memory. What does not: anything that writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from orchestration import warehouse
from orchestration.publish.publications import Publication
from orchestration.warehouse import Connection, literal

_VIEWS = {
    "record_customers": "select source, record_id, customer_id, attached_on, attached_by from {rcu}.customer_records",
    "match_links": "select * from {rcu}.match_links",
    "match_review": "select * from {rcu}.match_review",
    "customer_id_history": "select * from {rcu}.customer_id_history",
    "current_ids": "select distinct customer_id, current_customer_id from {rcu}.customer_id_history",
}


@contextmanager
def identity_as_published(publication: Publication) -> Iterator[Connection]:
    """A connection whose schema `identity` shows what the publication holds of it."""
    connection = warehouse.connect()
    try:
        connection.execute(f"attach {literal(str(publication.database))} as published (read_only)")
        connection.execute("create schema identity")
        for name, query in _VIEWS.items():
            connection.execute(f"create view identity.{name} as {query.format(rcu='published.main')}")
        yield connection
    finally:
        connection.close()

"""Retention: what has been kept long enough goes, as `retention.yml` says.

What belongs here: who and what is due, the dry run, the report. What does not: how things are removed (each
domain), and Dagster's own runs (`orchestration.defs.privacy`).

A person is due when their last contact with us is older than the rule. They are erased as by a request, but
for two things: they are not put on the list of objections, and a record that tells of something newer than
the erasure comes back as a new customer.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from orchestration import ingest, publish
from orchestration.contracts.retention import Retention
from orchestration.contracts.source import Source
from orchestration.privacy import erasure, ledger, people
from orchestration.privacy.ledger import due
from orchestration.settings import Workspace

#: Persons erased in one pass: one pass rewrites every file once.
BATCH = 5000


@dataclass(frozen=True)
class RetentionReport:
    """What was, or in a dry run would be, removed: counts by kind."""

    on: dt.date
    is_dry: bool
    prospects: int = 0
    customers: int = 0
    grants: int = 0
    originals: int = 0
    refused_files: int = 0
    exports: int = 0
    publications: int = 0
    logs: int = 0
    rows: dict[str, int] = field(default_factory=dict)

    def counts(self) -> dict[str, int]:
        return {
            name: value for name, value in vars(self).items() if isinstance(value, int) and not isinstance(value, bool)
        }


def retain(
    workspace: Workspace, sources: Mapping[str, Source], retention: Retention, *, on: dt.date, is_dry: bool,
    expire_runs: Callable[[dt.date, bool], int] = lambda before, is_dry: 0,
) -> RetentionReport:  # fmt: skip
    """Apply the rules as of the day `on`. Call under the run lock. `expire_runs` removes Dagster runs before a day."""
    if not is_dry:
        erasure.resume(workspace, sources)
    records, persons = retention.records, retention.people
    prospects, customers = _silent(
        workspace, due(on, -persons.prospects_after_months), due(on, -persons.customers_after_months)
    )
    rows: dict[str, int] = {}
    everybody = sorted(prospects | customers)
    if not is_dry:
        for start in range(0, len(everybody), BATCH):
            with people.published(workspace) as connection:
                subject = people.subject_of(connection, workspace, everybody[start : start + BATCH])
            report = erasure.erase(
                workspace, sources, subject, request_id=f"retention-{on:%Y%m%d}-{start // BATCH:04d}", on=on,
                reason="retention",
            )  # fmt: skip
            for name, count in report.counts.items():
                rows[name] = rows.get(name, 0) + count
    originals, refused = ingest.expire_files(
        workspace, originals=due(on, -records.originals_after_months),
        refused=on - dt.timedelta(days=records.refused_files_after_days), is_dry=is_dry,
    )  # fmt: skip
    return RetentionReport(
        on, is_dry, len(prospects), len(customers),
        ingest.expire_grants(workspace, before=due(on, -records.grants_after_months), is_dry=is_dry),
        originals, refused,
        _old_exports(workspace, on - dt.timedelta(days=records.exports_after_days), is_dry),
        len(publish.expire(workspace, before=on - dt.timedelta(days=records.publications_after_days), is_dry=is_dry)),
        expire_runs(on - dt.timedelta(days=records.logs_after_days), is_dry),
        rows,
    )  # fmt: skip


def _silent(workspace: Workspace, prospects_before: dt.date, customers_before: dt.date) -> tuple[set[str], set[str]]:
    """Customers of the current publication whose last contact is older than the rule: (prospects, customers).

    What counts is what came from the person; somebody of whom no contact is known counts from the day they
    were first seen. An open request keeps a person until it is answered.
    """
    if publish.current(workspace) is None:
        return set(), set()
    with people.published(workspace) as connection:
        rows = connection.execute(
            "select c.customer_id, coalesce(o.order_count, 0) > 0, "
            "greatest(cast(c.last_contact_at as date), c.first_seen_on, o.last_on) as last_on "
            "from rcu.customers as c left join (select customer_id, count(*) as order_count, "
            "max(cast(ordered_at as date)) as last_on from rcu.marts.orders group by customer_id) as o "
            "on c.customer_id = o.customer_id order by c.customer_id"
        ).fetchall()
    kept = {request.customer_id for request in ledger.requests(workspace) if request.state == "open"}
    prospects = {c for c, bought, last in rows if not bought and last and last < prospects_before and c not in kept}
    customers = {c for c, bought, last in rows if bought and last and last < customers_before and c not in kept}
    return prospects, customers


def _old_exports(workspace: Workspace, before: dt.date, is_dry: bool) -> int:
    limit = dt.datetime.combine(before, dt.time(), dt.UTC).timestamp()
    old = [p for p in sorted(workspace.exports.rglob("*")) if p.is_file() and p.stat().st_mtime < limit]
    for path in old if not is_dry else []:
        path.unlink()
    return len(old)

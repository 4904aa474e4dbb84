"""What an erasure does to the identity registry: records, ids, steward decisions, trained models.

What belongs here: identity's own registry tables. What does not: who is erased, and the build (a cache).

An id that was given stays known, as created once and then erased: nobody is given it again, and who holds
it learns that it is gone. Everything else about it goes.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import dataclass
from pathlib import Path

from orchestration import rewriting, warehouse
from orchestration.contracts.subject import Subject
from orchestration.identity.tables import CUSTOMER_ID_EVENTS, IDENTITY_MODELS, RECORD_CUSTOMERS, STEWARD_DECISIONS
from orchestration.settings import Workspace
from orchestration.warehouse import Connection, literal


@dataclass(frozen=True)
class IdentityErased:
    """Registry files written anew."""

    files: int = 0


def erase(workspace: Workspace, subject: Subject, *, erased_on: dt.date) -> IdentityErased:
    """Take a person out of identity's registry. Call under the run lock; safe to call again."""
    files = 0
    connection = warehouse.connect()
    try:
        _load(connection, subject)
        known = "(select (source, record_id) from s_records)"
        for path in _files(workspace, RECORD_CUSTOMERS.name):
            test = f"(source, record_id) in {known} or coalesce(customer_id in (select customer_id from s_ids), false)"
            files += _rewrite(connection, path, test, f"select * from {{}} where not ({test})")
        for path in _files(workspace, STEWARD_DECISIONS.name):
            test = f"(left_source, left_record_id) in {known} or (right_source, right_record_id) in {known}"
            files += _rewrite(connection, path, test, f"select * from {{}} where not ({test})")
        for path in _files(workspace, CUSTOMER_ID_EVENTS.name):
            files += _rewrite(connection, path, _CHANGES, _events(erased_on))
    finally:
        connection.close()
    return IdentityErased(files + _clean_models(workspace, subject))


#: Events of the person that are neither the first nor the last word, or a creation without its erasure.
_CHANGES = (
    "customer_id in (select customer_id from s_ids) and (event not in ('created', 'erased') or (event = 'created' "
    "and customer_id not in (select customer_id from {} where event = 'erased')))"
)


def _events(erased_on: dt.date) -> str:
    theirs = "customer_id in (select customer_id from s_ids)"
    return (
        f"select * from {{}} where not {theirs} or event = 'created' or event = 'erased' union all "
        f"select customer_id, 'erased', date '{erased_on}', 'erased', 0, 'an erasure was asked for', "
        f"as_of_on, version, run_id from {{}} where {theirs} and event = 'created' "
        f"and customer_id not in (select customer_id from {{}} where event = 'erased')"
    )


def _load(connection: Connection, subject: Subject) -> None:
    connection.execute("create temp table s_ids (customer_id varchar)")
    connection.execute("insert into s_ids select unnest(?::varchar[])", [sorted(subject.customer_ids)])
    connection.execute("create temp table s_records (source varchar, record_id varchar)")
    pairs = sorted(subject.records)
    connection.execute(
        "insert into s_records select unnest(?::varchar[]), unnest(?::varchar[])",
        [[source for source, _ in pairs], [record for _, record in pairs]],
    )


def _files(workspace: Workspace, table: str) -> list[Path]:
    return sorted(path for path in (workspace.registry / table).glob("*.parquet") if not path.name.startswith("."))


def _rewrite(connection: Connection, path: Path, test: str, query: str) -> int:
    """Write a registry file anew by `query` ({}: the file), where a row answers `test`. Returns 1 if it did."""
    file = f"read_parquet({literal(str(path))})"
    if connection.execute(f"select 1 from {file} where {test.replace('{}', file)} limit 1").fetchone() is None:
        return 0
    # A name of its own that no sweep of the registry takes for a version.
    temporary = path.with_name(f".{path.stem}.erasing.tmp")
    connection.execute(f"copy ({query.replace('{}', file)}) to {literal(str(temporary))} (format parquet)")
    rewriting.replace(temporary, path)
    return 1


def _clean_models(workspace: Workspace, subject: Subject) -> int:
    """Trained models may list frequent values: what the person alone carried is taken out of them."""
    pattern = rewriting.pattern_of(subject.texts)
    if pattern is None:
        return 0
    files = 0
    connection = warehouse.connect()
    try:
        for path in _files(workspace, IDENTITY_MODELS.name):
            file = f"read_parquet({literal(str(path))})"
            models = [row[0] for row in connection.execute(f"select model from {file} order by model").fetchall()]
            if not any(pattern.search(model or "") for model in models):
                continue
            connection.create_function("cleaned", lambda text: _cleaned(text, pattern), ["VARCHAR"], "VARCHAR")
            files += _rewrite(connection, path, "true", "select * replace (cleaned(model) as model) from {}")
            connection.remove_function("cleaned")
    finally:
        connection.close()
    return files


def _cleaned(text: str, pattern: re.Pattern[str]) -> str:
    def walk(value: object) -> object:
        if isinstance(value, dict):
            return {name: walk(inner) for name, inner in value.items() if not pattern.search(str(name))}
        if isinstance(value, list):
            kept = [inner for inner in value if not (isinstance(inner, str) and pattern.search(inner))]
            return [walk(inner) for inner in kept]
        return value

    return json.dumps(walk(json.loads(text)))

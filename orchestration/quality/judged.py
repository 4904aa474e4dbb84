"""What checks found the last time, and on which contents: a check of the very same tables finds the same.

What belongs here: `control.judged_checks` of the build (gate, name, basis, found) and what makes up a basis. What
does not: judging (`gates.py`). The basis of a check is its declaration and the contents of every table that it
reads; where those of one are not known, the check has no basis and is asked anew. The build of other code begins
empty, so nothing that code of another day found is taken over.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping

from orchestration import changes
from orchestration.contracts.gate import Check
from orchestration.quality.named_checks import Catalogue
from orchestration.warehouse import Connection, table_contents

#: Declarations as tables: small, and written by each run, so told by reading them.
_SMALL = "control."


class Contents:
    """The contents of the build's tables, each asked for once."""

    def __init__(self, connection: Connection, catalogue: Catalogue) -> None:
        self._connection = connection
        self._known: dict[str, str | None] = {}
        if changes.CONTENTS in catalogue:
            self._known.update(connection.execute(f"select place, contents from {changes.CONTENTS}").fetchall())

    def of(self, table: str) -> str | None:
        """The fingerprint of a table (schema.table); None where nobody told it."""
        if table not in self._known and table.startswith(_SMALL):
            self._known[table] = table_contents(self._connection, table)
        return self._known.get(table)


def basis_of(check: Check, catalogue: Catalogue, contents: Contents) -> str | None:
    """A digest of all that the result of a check hangs on; None where it cannot be told. Its tables exist."""
    told = {table: contents.of(table) for table in tables_read(check, catalogue)}
    if None in told.values():
        return None
    return hashlib.sha256(json.dumps([check.model_dump(mode="json"), told], sort_keys=True).encode()).hexdigest()


def tables_read(check: Check, catalogue: Catalogue) -> set[str]:
    """Every table that a check reads, as schema.table."""
    found = {check.table}
    if "other" in check.arguments:
        found.add(check.arguments["other"])
    if check.uses_as_of:
        found.add("control.as_of")
    for schema in check.arguments.get("schemas", ()):
        found |= {
            table for table, columns in catalogue.items() if table.split(".")[0] == schema and "as_of_on" in columns
        }
    return found


def recall(connection: Connection, gate: str, catalogue: Catalogue) -> dict[tuple[str, str], str]:
    """What was found, as JSON, by the name of the check and its basis."""
    if "control.judged_checks" not in catalogue:
        return {}
    rows = connection.execute("select name, basis, found from control.judged_checks where gate = ?", [gate]).fetchall()
    return {(name, basis): found for name, basis, found in rows}


def remember(connection: Connection, gate: str, found: Mapping[tuple[str, str], str]) -> None:
    """Keep what the checks of a gate found, in the place of what they found before."""
    rows: Iterable[tuple[str, str, str, str]] = [(gate, *one, told) for one, told in sorted(found.items())]
    connection.execute("begin")
    connection.execute("create schema if not exists control")
    connection.execute(
        "create table if not exists control.judged_checks (gate varchar, name varchar, basis varchar, found varchar)"
    )
    connection.execute("delete from control.judged_checks where gate = ?", [gate])
    if rows:
        connection.executemany("insert into control.judged_checks values (?, ?, ?, ?)", rows)
    connection.execute("commit")

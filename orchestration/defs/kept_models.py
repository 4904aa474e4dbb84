"""Which models of a dbt layer are built anew: those whose inputs differ from the ones they were made from.

What belongs here: comparing a layer's inputs with those of its last build, and what follows from a changed one.
What does not: building (`dbt_build`), and what is kept while a layer is built because the models above it came out
as they were (`dbt_project/macros/kept_tables.sql`, which goes on from the fingerprints that are written here).
A model has no other inputs than the tables it reads: declarations are tables too, and code that changed begins
an empty build, which remembers nothing. So what is kept is what building it again would give.

A file that brings e-mail events leaves orders, their value and the lifecycle as they are; one that is taken
within the day leaves alone all that hangs on the date.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from orchestration import changes
from orchestration.warehouse import Connection, quote, table_contents

_REMEMBERED = "control.layer_inputs"

#: What each table (`place` is schema.table) held when a model or test was made from it.
_INPUTS = "control.table_inputs"

#: For how many keys a model that works key by key was last worked out.
_TOUCHED = "control.keys_touched"

#: Schemas whose tables are written by steps that note what they hold (`orchestration/changes.py`).
_NOTED_BY_WRITERS = frozenset({"landing", "identity", "freshness", "scores"})


@dataclass(frozen=True)
class Choice:
    """What a layer has to build. `inputs`: a fingerprint of each table that the layer reads from outside.

    `kept`: (schema, table) of the models that stay, each after those it reads. None of them reads a stale one, so
    told first they come in the order of the graph, as Dagster wants them.
    """

    models: tuple[str, ...]
    tests: tuple[str, ...]
    kept: tuple[tuple[str, str], ...]
    inputs: dict[str, str]
    is_whole: bool

    @property
    def names(self) -> list[str]:
        """The dbt names of what is to be built and tested."""
        return [*self.models, *self.tests]


def choose(connection: Connection, manifest: Mapping[str, Any], tag: str) -> Choice:
    """What of the layer `tag` is stale: the models below a changed input, and the tests that look at them."""
    nodes: Mapping[str, Any] = manifest["nodes"]
    layer = {name for name, node in nodes.items() if node["resource_type"] in ("model", "seed") and tag in node["tags"]}
    parents = {name: set(node.get("depends_on", {}).get("nodes", ())) for name, node in nodes.items()}
    outside = {parent for name in layer for parent in parents[name]} - layer
    everything = {**manifest["sources"], **nodes}
    places = {name: _place(everything[name]) for name in layer | outside}
    changes.prepare(connection)
    inputs = {
        ".".join(places[name]): _contents(connection, places[name], is_noted=name in nodes) for name in sorted(outside)
    }
    _tell_contents(connection, inputs)
    before = _read(connection, tag)
    if not before:
        stale = set(layer)
    else:
        changed = {name for name in outside if inputs[".".join(places[name])] != before.get(".".join(places[name]))}
        stale = _below(changed, layer, parents) | _missing(connection, layer, places)
        stale = _below(stale, layer, parents) | stale
    return Choice(
        models=tuple(sorted(nodes[name]["name"] for name in stale)),
        tests=tuple(sorted(_tests(nodes, parents, layer, stale))),
        kept=tuple(places[name] for name in _in_order(layer - stale, parents)),
        inputs=inputs,
        is_whole=stale == layer,
    )


def remember(connection: Connection, tag: str, choice: Choice) -> None:
    """Keep the inputs that the layer is now made from. Called when all of it was built and tested."""
    connection.execute(f"create table if not exists {_REMEMBERED} (layer varchar, input varchar, fingerprint varchar)")
    connection.execute(f"delete from {_REMEMBERED} where layer = ?", [tag])
    if choice.inputs:
        connection.executemany(
            f"insert into {_REMEMBERED} values (?, ?, ?)", [[tag, name, told] for name, told in choice.inputs.items()]
        )


def _contents(connection: Connection, place: tuple[str, str], *, is_noted: bool) -> str:
    """The fingerprint of a table: dbt notes those of its own, and some steps those of theirs."""
    known = changes.known_contents(connection, ".".join(place)) if is_noted or place[0] in _NOTED_BY_WRITERS else None
    return known or fingerprint(connection, *place)


def fingerprint(connection: Connection, schema: str, table: str) -> str:
    """Changes when a row or a column changes, not with the order of rows; 'absent' where there is no such table."""
    try:
        return table_contents(connection, f"{quote(schema)}.{quote(table)}")
    except duckdb.CatalogException:
        return "absent"


def _tell_contents(connection: Connection, inputs: Mapping[str, str]) -> None:
    """Write what the tables that the layer reads from outside hold now; dbt writes those it builds itself."""
    connection.execute(f"create table if not exists {_INPUTS} (place varchar, input varchar, contents varchar)")
    connection.execute(f"create table if not exists {_TOUCHED} (place varchar, keys bigint)")
    told = [[name, contents] for name, contents in inputs.items()]
    connection.execute(f"delete from {changes.CONTENTS} where place in (select unnest(?::varchar[]))", [list(inputs)])
    if told:
        connection.executemany(f"insert into {changes.CONTENTS} values (?, ?)", told)


def _read(connection: Connection, tag: str) -> dict[str, str]:
    try:
        found = connection.execute(f"select input, fingerprint from {_REMEMBERED} where layer = ?", [tag]).fetchall()
    except duckdb.CatalogException:
        return {}
    return dict(found)


def _place(node: Mapping[str, Any]) -> tuple[str, str]:
    return str(node["schema"]), str(node.get("alias") or node.get("identifier") or node["name"])


def _below(changed: set[str], layer: set[str], parents: Mapping[str, set[str]]) -> set[str]:
    """The nodes of `layer` that read, at any distance, one of `changed`."""
    found: set[str] = set()
    while True:
        more = {name for name in layer - found if parents[name] & (changed | found)}
        if not more:
            return found
        found |= more


def _in_order(names: set[str], parents: Mapping[str, set[str]]) -> list[str]:
    """`names`, each after those of them that it reads; by name where the graph leaves it open."""
    ordered: list[str] = []
    while len(ordered) < len(names):
        ready = sorted(name for name in names - set(ordered) if not parents[name] & (names - set(ordered)))
        ordered += ready
    return ordered


def _missing(connection: Connection, layer: Iterable[str], places: Mapping[str, tuple[str, str]]) -> set[str]:
    there = set(
        connection.execute(
            "select schema_name, table_name from duckdb_tables() where database_name = current_database()"
        ).fetchall()
    )
    return {name for name in layer if places[name] not in there}


def _tests(
    nodes: Mapping[str, Any], parents: Mapping[str, set[str]], layer: set[str], stale: set[str]
) -> Iterable[str]:
    """Tests that look at a stale model, and at nothing that a later layer builds."""
    known, waiting = set(layer), list(layer)
    while waiting:
        for parent in parents.get(waiting.pop(), ()):
            if parent not in known:
                known.add(parent)
                waiting.append(parent)
    for name, node in nodes.items():
        if node["resource_type"] == "test" and parents[name] & stale and parents[name] <= known:
            yield str(node["name"])

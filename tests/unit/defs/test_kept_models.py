"""A model is kept exactly where nothing that it was made from changed."""

from __future__ import annotations

import random
from typing import Any

import pytest

from orchestration import changes
from orchestration.defs import kept_models
from orchestration.warehouse import Connection, connect


def node(kind: str, schema: str, name: str, tags: tuple[str, ...] = (), reads: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "resource_type": kind,
        "schema": schema,
        "name": name,
        "alias": name,
        "tags": list(tags),
        "depends_on": {"nodes": list(reads)},
    }


#: landing.people -> staging.people -> rcu.people, and landing.orders -> staging.orders; the date is in rcu.people.
MANIFEST: dict[str, Any] = {
    "sources": {
        "s.people": node("source", "landing", "people"),
        "s.orders": node("source", "landing", "orders"),
        "s.as_of": node("source", "control", "as_of"),
    },
    "nodes": {
        "m.stg_people": node("model", "staging", "people", ("prepare",), ("s.people",)),
        "m.stg_orders": node("model", "staging", "orders", ("prepare",), ("s.orders",)),
        "m.places": node("seed", "reference", "places", ("prepare",)),
        "m.golden": node("model", "rcu", "people", ("unify",), ("m.stg_people", "s.as_of")),
        "m.counts": node("model", "rcu", "counts", ("unify",), ("m.golden", "m.stg_orders")),
        "t.key": node("test", "x", "people_are_once", (), ("m.golden",)),
        "t.both": node("test", "x", "orders_are_of_people", (), ("m.golden", "m.stg_orders")),
        "t.orders": node("test", "x", "orders_are_once", (), ("m.stg_orders",)),
        "t.later": node("test", "x", "marts_agree", (), ("m.golden", "m.mart")),
        "m.mart": node("model", "marts", "mart", ("serve",), ("m.counts",)),
    },
}
TABLES = ("landing.people", "landing.orders", "control.as_of", "staging.people", "staging.orders", "reference.places",
          "rcu.people", "rcu.counts")  # fmt: skip


@pytest.fixture
def connection() -> Connection:
    made = connect()
    for schema in ("landing", "control", "staging", "reference", "rcu"):
        made.execute(f"create schema {schema}")
    for table in TABLES:
        made.execute(f"create table {table} as select 1 as id, 'a' as word union all select 2, null")
    return made


def build(connection: Connection, tag: str) -> kept_models.Choice:
    choice = kept_models.choose(connection, MANIFEST, tag)
    kept_models.remember(connection, tag, choice)
    return choice


def test_a_layer_that_was_never_built_is_built_whole(connection: Connection) -> None:
    choice = kept_models.choose(connection, MANIFEST, "prepare")
    assert (set(choice.models), choice.kept, choice.is_whole) == ({"people", "orders", "places"}, (), True)
    # Chosen, and then the run failed: nothing was remembered.
    assert kept_models.choose(connection, MANIFEST, "prepare").is_whole


def test_nothing_is_built_where_nothing_changed(connection: Connection) -> None:
    build(connection, "prepare")
    again = build(connection, "prepare")
    assert (again.models, again.tests) == ((), ())
    assert again.kept == (("reference", "places"), ("staging", "orders"), ("staging", "people"))


def test_what_stands_on_a_change_is_built_and_the_rest_kept(connection: Connection) -> None:
    build(connection, "prepare")
    build(connection, "unify")
    connection.execute("insert into landing.orders values (3, 'b')")
    changes.note_whole(connection, "landing.orders")
    assert build(connection, "prepare").models == ("orders",)
    connection.execute("insert into staging.orders values (3, 'b')")  # what dbt would do, and note
    changes.note_whole(connection, "staging.orders")
    later = build(connection, "unify")
    assert later.models == ("counts",) and later.kept == (("rcu", "people"),)


def test_another_date_touches_only_what_reads_the_date(connection: Connection) -> None:
    build(connection, "prepare")
    build(connection, "unify")
    connection.execute("update control.as_of set id = 7 where id = 1")
    assert build(connection, "prepare").models == ()
    assert set(build(connection, "unify").models) == {"people", "counts"}


def test_tests_follow_the_models_they_look_at(connection: Connection) -> None:
    build(connection, "prepare")
    assert set(build(connection, "unify").tests) == {"people_are_once", "orders_are_of_people"}
    connection.execute("insert into staging.orders values (4, 'c')")
    changes.note_whole(connection, "staging.orders")
    # Counts alone are stale: no test looks at them. What a later layer makes is never tested here.
    assert build(connection, "unify").tests == ()


def test_a_table_that_is_gone_is_built_again(connection: Connection) -> None:
    build(connection, "unify")
    connection.execute("drop table rcu.people")
    assert set(build(connection, "unify").models) == {"people", "counts"}


def test_a_fingerprint_sees_values_columns_and_repeats_but_no_order(connection: Connection) -> None:
    def told(query: str) -> str:
        connection.execute(f"create or replace table landing.people as {query}")
        return kept_models.fingerprint(connection, "landing", "people")

    rows = "select * from (values (1, 'a'), (2, null), (2, null)) as t(id, word)"
    first = told(rows)
    assert told(rows + " order by id desc, word") == first
    others = {
        told("select * from (values (1, 'a'), (2, null)) as t(id, word)"),
        told("select * from (values (1, 'a')) as t(id, word)"),
        told("select * from (values (1, 'a'), (2, 'null'), (2, null)) as t(id, word)"),
        told("select * from (values (1, 'a'), (2, null), (2, null)) as t(id, other)"),
        told("select id, word, 1 as more from (values (1, 'a'), (2, null), (2, null)) as t(id, word)"),
        told("select id::bigint as id, word from (values (1, 'a'), (2, null), (2, null)) as t(id, word)"),
    }
    assert len(others | {first}) == 7
    assert kept_models.fingerprint(connection, "landing", "nobody") == "absent"


@pytest.mark.parametrize("seed", range(20))
def test_random_graphs_agree_with_walking_every_path(connection: Connection, seed: int) -> None:
    """Oracle: a model is stale when some path upwards from it ends in a changed source."""
    draw = random.Random(seed)
    sources = [f"s.{n}" for n in range(4)]
    models: dict[str, list[str]] = {}
    for n in range(12):
        models[f"m.{n}"] = draw.sample([*sources, *models], k=draw.randint(1, 3))
    manifest = {
        "sources": {name: node("source", "landing", f"in_{name[2:]}") for name in sources},
        "nodes": {
            name: node("model", "rcu", f"out_{name[2:]}", ("unify",), tuple(reads)) for name, reads in models.items()
        },
    }
    for place in (*manifest["sources"].values(), *manifest["nodes"].values()):
        connection.execute(f"create table {place['schema']}.{place['name']} as select 1 as id")
    kept_models.remember(connection, "unify", kept_models.choose(connection, manifest, "unify"))
    changed = draw.sample(sources, k=draw.randint(0, 2))
    for name in changed:
        connection.execute(f"insert into landing.in_{name[2:]} values (2)")
        changes.note_whole(connection, f"landing.in_{name[2:]}")

    def is_stale(name: str) -> bool:
        return name in changed or any(is_stale(parent) for parent in models.get(name, ()))

    choice = kept_models.choose(connection, manifest, "unify")
    assert sorted(choice.models) == sorted(f"out_{name[2:]}" for name in models if is_stale(name))
    # Dagster wants each result after those of what it reads.
    told = [f"m.{table[4:]}" for _, table in choice.kept]
    assert sorted(told) == sorted(name for name in models if not is_stale(name))
    for place, name in enumerate(told):
        assert {parent for parent in models[name] if parent in models} <= set(told[:place])

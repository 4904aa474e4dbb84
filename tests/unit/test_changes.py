"""What changed in a table is told exactly: the rows that went and came, and the fingerprint that follows."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from orchestration import changes
from orchestration.warehouse import Connection, connect, table_contents

PLACE = "landing.facts"


@pytest.fixture
def connection() -> Connection:
    made = connect()
    made.execute("create schema landing")
    changes.prepare(made)
    return made


def fill(connection: Connection, table: str, rows: list[tuple[int, str | None, list[int]]]) -> None:
    connection.execute(f"create or replace table {table} (key integer, word varchar, numbers integer[])")
    if rows:
        connection.executemany(f"insert into {table} values (?, ?, ?)", rows)


def held(connection: Connection, table: str, where: str = "true") -> Counter[str]:
    found = connection.execute(f"select key, word, numbers from {table} where {where}").fetchall()
    return Counter(map(repr, found))


def some_rows(chance: random.Random, keys: list[int], count: int) -> list[tuple[int, str | None, list[int]]]:
    words = ["a", "b", None]
    return [(chance.choice(keys), chance.choice(words), [chance.randint(0, 1)]) for _ in range(count)]


@pytest.mark.parametrize("seed", range(30))
def test_rows_replaced_by_key_are_told_as_they_went_and_came(connection: Connection, seed: int) -> None:
    """Rows that are there twice too, and rows of a touched key that stay."""
    chance = random.Random(seed)
    before = some_rows(chance, list(range(6)), chance.randint(1, 40))
    touched = chance.sample(range(6), chance.randint(0, 4))
    kept = [row for row in before if row[0] in touched and chance.random() < 0.5]
    fresh = kept + (some_rows(chance, touched, chance.randint(0, 8)) if touched else [])
    fill(connection, PLACE, before)
    fill(connection, "fresh", fresh)
    changes.note_whole(connection, PLACE)
    count = changes.replace_rows(connection, PLACE, "fresh", f"list_contains({touched}, old.key)")

    after = Counter(map(repr, [row for row in before if row[0] not in touched] + fresh))
    was = Counter(map(repr, before))
    assert held(connection, PLACE) == after
    assert changes.known_contents(connection, PLACE) == table_contents(connection, PLACE)
    if count:
        assert held(connection, changes.log_of(PLACE), "is_gone") == was - after
        assert held(connection, changes.log_of(PLACE), "not is_gone") == after - was
        told = connection.execute(f"select contents_before <> contents_after from {changes.CHANGES}").fetchall()
        assert told == [(True,)]
    else:
        assert was == after
        assert connection.execute(f"select * from {changes.CHANGES}").fetchall() == []


def test_a_table_written_whole_has_no_changes(connection: Connection) -> None:
    fill(connection, PLACE, [(1, "a", [])])
    changes.note_whole(connection, PLACE)
    fill(connection, "fresh", [(1, "b", [])])
    changes.replace_rows(connection, PLACE, "fresh", "old.key = 1")
    fill(connection, PLACE, [(2, "c", [])])
    changes.note_whole(connection, PLACE)
    assert connection.execute(f"select * from {changes.CHANGES}").fetchall() == []
    assert changes.known_contents(connection, PLACE) == table_contents(connection, PLACE)


def test_nothing_is_replaced_in_a_table_nobody_noted(connection: Connection) -> None:
    fill(connection, PLACE, [(1, "a", [])])
    fill(connection, "fresh", [])
    with pytest.raises(LookupError, match="nothing is known"):
        changes.replace_rows(connection, PLACE, "fresh", "true")
    assert held(connection, PLACE) == Counter({"(1, 'a', [])": 1})

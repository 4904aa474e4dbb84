"""Deliveries to a real PostgreSQL server on loopback, from the system's packages."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestration import activation
from orchestration.contracts.subject import Subject
from tests.unit.activation.conftest import NOW, Shop, declare

psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed (dev dependency)")


def programs() -> Path | None:
    """The folder of the server's programs; Debian keeps them out of the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    if found:
        return found[0].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The connection string of a server of one's own."""
    where = programs()
    if where is None:
        pytest.skip("PostgreSQL is not installed here (apt-get install postgresql)")
    folder = tmp_path_factory.mktemp("postgres")
    as_other: dict[str, Any] = {}
    if os.getuid() == 0:  # the server refuses to run as root
        try:
            shutil.chown(folder, "postgres", "postgres")
        except LookupError:
            pytest.skip("tests run as root and there is no user postgres to run the server as")
        for parent in folder.parents:
            if parent.stat().st_mode & 0o001 == 0 and parent != Path("/"):
                parent.chmod(parent.stat().st_mode | 0o011)
        as_other = {"user": "postgres", "group": "postgres", "extra_groups": []}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    data = folder / "data"
    options: dict[str, Any] = {"cwd": "/", "capture_output": True, "text": True, "timeout": 120, **as_other}
    made = subprocess.run([str(where / "initdb"), "-D", str(data), "-U", "rcu", "-A", "trust", "-E", "UTF8", "--no-sync"],
                          check=False, **options)  # fmt: skip
    if made.returncode:
        pytest.skip(f"initdb does not run here: {made.stderr.strip().splitlines()[-1:]}")
    control = [str(where / "pg_ctl"), "-D", str(data), "-w"]
    started = subprocess.run(
        [*control, "-l", str(folder / "log"), "-o", f"-p {port} -h 127.0.0.1 -k {folder} -c fsync=off", "start"],
        check=False, **{**options, "capture_output": False, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL},
    )  # fmt: skip
    if started.returncode:
        pytest.skip("the PostgreSQL server does not start here")
    yield f"host=127.0.0.1 port={port} user=rcu dbname=postgres"
    subprocess.run([*control, "-m", "immediate", "stop"], check=False, **options)


@pytest.fixture
def dsn(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("RCU_TEST_DSN", server)
    yield server
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("drop schema if exists crm cascade")


def declared(name: str = "letter", **keys: Any) -> Any:
    columns = {"id": "customer_id", "mail": "email", "net": "amount_net", "orders": "order_count"}
    place = {"postgres": {"dsn": "env:RCU_TEST_DSN", "table": "crm.audience"}}
    return declare(name, deliver=place, columns=columns, **keys)


def query(dsn: str, sql: str) -> list[tuple]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(sql).fetchall()


def test_a_table_holds_the_list_with_types_and_where_it_comes_from(shop: Shop, dsn: str) -> None:
    (outcome,) = shop.send(shop.publish(members=["c01", "c09"]), declared())
    assert outcome.status == "delivered", outcome.message
    assert query(dsn, "select * from crm.audience order by id") == [
        ("letter", "20260331-0001", "c01", "c01", "eleonore.martin@gmail.com", pytest.approx(12.5), 3),
        ("letter", "20260331-0001", "c09", "c09", "nina@free.fr", pytest.approx(12.5), 3),
    ]
    kinds = dict(
        query(dsn, "select column_name, data_type from information_schema.columns where table_name = 'audience'")
    )
    assert (kinds["net"], kinds["orders"]) == ("numeric", "integer")


def test_a_full_list_replaces_its_own_rows_and_no_others(shop: Shop, dsn: str) -> None:
    first = shop.publish(members=["c01", "c09"])
    shop.send(first, declared("a"), declared("b"))
    shop.send(shop.publish("20260331-0002", members=["c02"]), declared("a"))
    assert query(dsn, "select activation, id from crm.audience order by 1, 2") == [
        ("a", "c02"), ("b", "c01"), ("b", "c09"),
    ]  # fmt: skip


def test_a_delta_adds_and_takes_away_and_twice_is_the_same(shop: Shop, dsn: str) -> None:
    delta = declared(mode="delta")
    shop.send(shop.publish(members=["c01", "c09"]), delta)
    second = shop.publish("20260331-0002", members=["c02", "c09"])
    shop.send(second, delta)
    held = query(dsn, "select id, publication_version from crm.audience order by 1")
    assert held == [("c02", "20260331-0002"), ("c09", "20260331-0001")]
    (outcome,) = shop.send(second, delta, again=True, now=NOW)
    assert outcome.status == "delivered"
    assert query(dsn, "select id, publication_version from crm.audience order by 1") == held


def test_an_update_replaces_the_row_of_the_person(shop: Shop, dsn: str) -> None:
    delta = declared(mode="delta")
    shop.send(shop.publish(members=["c01", "c02"]), delta)
    second = shop.publish("20260331-0002", members=["c01", "c02"], changed={"c02": {"email": "jp@orange.fr"}})
    assert shop.send(second, delta)[0].updated == 1
    assert query(dsn, "select id, mail, publication_version from crm.audience order by 1") == [
        ("c01", "eleonore.martin@gmail.com", "20260331-0001"),
        ("c02", "jp@orange.fr", "20260331-0002"),
    ]


def test_a_table_of_another_shape_is_left_as_it_is(shop: Shop, dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("create schema crm")
        connection.execute("create table crm.audience (activation text, member_key text, precious text)")
        connection.execute("insert into crm.audience values ('letter', 'c01', 'kept')")
    (outcome,) = shop.send(shop.publish(), declared())
    assert outcome.status == "failed"
    assert "nothing was changed" in outcome.message
    assert query(dsn, "select * from crm.audience") == [("letter", "c01", "kept")]


def test_a_connection_that_fails_never_tells_its_password(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("RCU_TEST_DSN", f"host=127.0.0.1 port={port} user=rcu password=very-secret dbname=postgres")
    (outcome,) = shop.send(shop.publish(), declared())
    assert outcome.status == "failed"
    assert "env:RCU_TEST_DSN cannot be reached" in outcome.message
    assert "very-secret" not in outcome.message
    assert "very-secret" not in str(list(shop.workspace.registry.rglob("*")))


def test_the_rows_of_an_erased_person_go_and_no_others(shop: Shop, dsn: str) -> None:
    shop.send(shop.publish(members=["c01", "c09"]), declared("a"), declared("b"))
    anne = Subject(customer_ids=frozenset({"c01"}))
    activation.erase(shop.workspace, anne, request_id="R-1", on=dt.date(2026, 4, 2))
    assert activation.send_removals(shop.workspace, {"a": declared("a")}).sent == 1
    assert query(dsn, "select activation, id from crm.audience order by 1, 2") == [
        ("a", "c09"), ("b", "c01"), ("b", "c09"),
    ]  # fmt: skip
    told = activation.send_removals(shop.workspace, {"a": declared("a"), "b": declared("b")})
    assert told == activation.RemovalsSent(1)
    assert query(dsn, "select activation, id from crm.audience order by 1, 2") == [("a", "c09"), ("b", "c09")]

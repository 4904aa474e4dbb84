"""Who in a build is on the list of objections: the same answer whether it was asked before or not."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from orchestration import changes, privacy, suppression
from orchestration.errors import UsageError
from orchestration.settings import Workspace
from orchestration.warehouse import Connection, connect

MAY = dt.date(2026, 5, 1)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path)
    workspace.prepare()
    return workspace


@pytest.fixture
def build() -> Connection:
    connection = connect()
    for schema in ("identity", "intermediate"):
        connection.execute(f"create schema {schema}")
    connection.execute(
        "create table identity.record_customers (source varchar, record_id varchar, customer_id varchar)"
    )
    connection.execute(
        "create table intermediate.int_customer_records (source varchar, record_id varchar, email varchar, "
        "phone_mobile varchar)"
    )
    return connection


def record(
    build: Connection, record_id: str, customer: str, email: str | None = None, phone: str | None = None
) -> None:
    build.execute("insert into identity.record_customers values ('crm', ?, ?)", [record_id, customer])
    build.execute("insert into intermediate.int_customer_records values ('crm', ?, ?, ?)", [record_id, email, phone])


def objected(workspace: Workspace, number: int, since_on: dt.date = MAY, **values: set[str]) -> None:
    suppression.add_objections(workspace, values, since_on=since_on, request_id=f"R{number}")  # type: ignore[arg-type]


def suppressed(build: Connection, workspace: Workspace) -> dict[str, dt.date]:
    count = privacy.write_suppressed(build, workspace)
    rows = build.execute("select customer_id, since_on from control.suppressed_customers order by all").fetchall()
    assert count == len(rows)
    return dict(rows)


def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys that are looked up from here on: each costs a keyed hash."""
    real, seen = suppression.objected_among, []

    def noting(workspace: Workspace, kind: suppression.Kind, keys: list[str]) -> dict[str, dt.date]:
        seen.extend(keys)
        return real(workspace, kind, keys)

    monkeypatch.setattr(suppression, "objected_among", noting)
    return seen


def test_a_customer_is_found_by_record_address_and_number_and_the_first_day_counts(
    build: Connection, workspace: Workspace
) -> None:
    record(build, "1", "c1", email=" Odile@Example.org")
    record(build, "2", "c2", phone="+33 6 12 34 56 78")
    record(build, "3", "c3")
    record(build, "4", "c3", email="odile@example.org")
    record(build, "5", "c4", email="someone@example.org")
    assert suppressed(build, workspace) == {}
    june = dt.date(2026, 6, 1)
    objected(workspace, 1, email={"odile@example.org"}, phone={"612345678"})
    objected(workspace, 2, june, record={suppression.record_key("crm", "3"), suppression.record_key("crm", "2")})
    assert suppressed(build, workspace) == {"c1": MAY, "c2": MAY, "c3": MAY}


def test_what_was_asked_before_is_not_asked_again_and_the_answer_is_the_same(
    build: Connection, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(build, "1", "c1", email="odile@example.org")
    record(build, "2", "c2", email="paul@example.org")
    objected(workspace, 1, email={"odile@example.org", "new@example.org"})
    assert suppressed(build, workspace) == {"c1": MAY}
    seen = asked(monkeypatch)
    assert suppressed(build, workspace) == {"c1": MAY}
    assert seen == []
    record(build, "3", "c3", email="new@example.org")
    assert suppressed(build, workspace) == {"c1": MAY, "c3": MAY}
    assert sorted(seen) == [suppression.record_key("crm", "3"), "new@example.org"]


def test_a_customer_who_merges_or_loses_the_address_follows_without_asking(
    build: Connection, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(build, "1", "c1", email="odile@example.org")
    record(build, "2", "c2", email="odile@example.org")
    objected(workspace, 1, email={"odile@example.org"})
    assert suppressed(build, workspace) == {"c1": MAY, "c2": MAY}
    seen = asked(monkeypatch)
    build.execute("update identity.record_customers set customer_id = 'c9' where record_id = '1'")
    build.execute("update intermediate.int_customer_records set email = null where record_id = '2'")
    assert suppressed(build, workspace) == {"c9": MAY}
    assert seen == []


def test_where_nothing_changed_the_table_stays_and_where_a_record_did_it_is_made_again(
    build: Connection, workspace: Workspace
) -> None:
    record(build, "1", "c1", email="odile@example.org")
    objected(workspace, 1, email={"odile@example.org"})
    changes.prepare(build)
    for table in ("identity.record_customers", "intermediate.int_customer_records"):
        changes.note_whole(build, table)
    assert suppressed(build, workspace) == {"c1": MAY}
    # a row that no step would add shows that nothing was made again
    build.execute("insert into control.suppressed_customers values ('stays', ?)", [MAY])
    assert "stays" in suppressed(build, workspace)
    build.execute("delete from control.suppressed_customers where customer_id = 'stays'")
    record(build, "2", "c2", email="odile@example.org")
    changes.note_whole(build, "identity.record_customers")
    assert suppressed(build, workspace) == {"c1": MAY, "c2": MAY}
    objected(workspace, 2, record={suppression.record_key("crm", "3")})
    record(build, "3", "c3")
    changes.note_whole(build, "identity.record_customers")
    assert suppressed(build, workspace) == {"c1": MAY, "c2": MAY, "c3": MAY}


def test_a_new_objection_is_found_among_those_asked_before(build: Connection, workspace: Workspace) -> None:
    record(build, "1", "c1", email="odile@example.org")
    record(build, "2", "c2", email="paul@example.org")
    objected(workspace, 1, email={"odile@example.org"})
    suppressed(build, workspace)
    objected(workspace, 2, email={"paul@example.org"})
    assert suppressed(build, workspace) == {"c1": MAY, "c2": MAY}


def test_a_list_whose_key_is_gone_is_refused_although_all_was_asked_before(
    build: Connection, workspace: Workspace
) -> None:
    record(build, "1", "c1", email="odile@example.org")
    objected(workspace, 1, email={"odile@example.org"})
    suppressed(build, workspace)
    workspace.key_file.unlink()
    with pytest.raises(UsageError):
        privacy.write_suppressed(build, workspace)

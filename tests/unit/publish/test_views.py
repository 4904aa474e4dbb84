"""Role databases: what each leaves out, and that nothing withheld can be worked out again."""

from __future__ import annotations

import datetime as dt
import itertools
import re
import shutil
from pathlib import Path

import duckdb
import numpy as np
import pytest
from scipy.optimize import linprog

from orchestration import protection
from orchestration.contracts.company import Access
from orchestration.contracts.loader import parse, validate
from orchestration.errors import DeclarationError
from orchestration.publish.cells import withheld
from orchestration.publish.publications import Publication
from orchestration.publish.views import DIMENSIONS, RoleDatabase, drop_views, role_key, write_views
from orchestration.settings import Workspace
from orchestration.warehouse import connect, load_extension

BOTH = ("pseudonymised", "aggregate")
PEOPLE = 400


def fill(path: Path) -> None:
    """A publication of invented people: ids, names, addresses, and what they are counted by."""
    connection = duckdb.connect(str(path))
    connection.execute("create schema marts")
    connection.execute("create schema segments")
    connection.execute(
        "create table main.customers as select 'c' || i as customer_id, 'Zélie' as first_name, 'Dupuis' || i as last_name, "
        "'zelie' || i || '@free.fr' as email, date '1980-05-17' + i::int as birth_on, 'F' as sex, '75' || i as postal_code, "
        "'{\"note\": \"calls her mother Odile\"}' as custom, '[]' as tags, 'Île-de-France' as region, date '2026-03-31' as as_of_on "
        f"from range({PEOPLE}) as people(i)"
    )
    columns = ", ".join(
        f"case when hash(i * 31 + {n}) % 20 = 0 then 'rare' else 'v' || (hash(i * 7 + {n}) % 4) end as {name}"
        for n, name in enumerate(sorted(set(DIMENSIONS) - {"age_band"}))
    )
    connection.execute(
        f"create table marts.customer_360 as select 'c' || i as customer_id, {columns}, (15 + i % 60)::int as age_years, "
        f"10.5::decimal(18,4) as amount_net_365d from range({PEOPLE}) as people(i)"
    )
    connection.execute("create table marts.orders as select 'shop:' || i as order_id, case when i % 50 = 0 then 'unknown' "
                       f"else 'c' || (i % {PEOPLE}) end as customer_id, 1.0::decimal(18,4) as amount_net "
                       "from range(900) as orders(i)")  # fmt: skip
    connection.execute(
        "create table segments.sizes as select * from (values ('all_but_three', 397, 400), ('two', 2, 400), ('half', 200, 400)) "
        "as sizes (segment, size, customer_count) cross join (select date '2026-03-31' as as_of_on)"
    )
    connection.execute(
        "create table marts.contact_decay as select 'email' as kind, '' as source, 0 as age_months, 1.0 as still_good_rate, "
        "0.1 as yearly_loss_rate, 0.05 as yearly_loss_low_rate, 0.2 as yearly_loss_high_rate, date '2026-03-31' as as_of_on"
    )
    connection.close()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path)
    workspace.prepare()
    return workspace


@pytest.fixture
def publication(workspace: Workspace) -> Publication:
    folder = workspace.published / "rcu-20260331-0001"
    folder.mkdir()
    fill(folder / "rcu.duckdb")
    day = dt.date(2026, 3, 31)
    return Publication("20260331-0001", day, "run", True, "2026-03-31T08:00:00", "f", {}, {}, folder, True)


def written(workspace: Workspace, publication: Publication, access: Access) -> dict[str, RoleDatabase]:
    return {database.role: database for database in write_views(workspace, publication, access)}


def rows(path: Path, sql: str) -> list[tuple]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def test_no_role_no_database(workspace: Workspace, publication: Publication) -> None:
    assert write_views(workspace, publication, Access()) == []
    assert not list(workspace.published.glob("roles/*/*"))


def test_nothing_that_tells_who_is_in_the_pseudonymised_database(
    workspace: Workspace, publication: Publication
) -> None:
    path = written(workspace, publication, Access(roles=BOTH))["pseudonymised"].path
    everything = []
    for schema, table in rows(path, "select schema_name, table_name from duckdb_tables()"):
        everything += rows(path, f"select * from {schema}.{table}")
    text = repr(everything)
    assert len(everything) > PEOPLE
    for told in ("Zélie", "Dupuis", "@free.fr", "Odile", "1980, 5", "shop:"):
        assert told not in text
    assert not re.search(r"'c\d+'", text)
    # and in the file itself, where DuckDB might leave what it only passed through
    with duckdb.connect(str(publication.database), read_only=True) as plain:
        assert plain.execute("select count(*) from main.customers where last_name like 'Dupuis%'").fetchone() == (
            PEOPLE,
        )
    assert b"Dupuis" not in path.read_bytes()


def test_tokens_join_tables_as_the_keys_did(workspace: Workspace, publication: Publication) -> None:
    path = written(workspace, publication, Access(roles=BOTH))["pseudonymised"].path
    joined = rows(
        path, "select count(*), count(distinct customer_id) from main.customers join marts.orders using (customer_id)"
    )
    plain = rows(publication.database,
                 "select count(*), count(distinct customer_id) from main.customers join marts.orders using (customer_id)")  # fmt: skip
    assert joined == plain
    assert rows(path, "select count(*) from marts.orders where customer_id = 'unknown'") == [(18,)]
    assert rows(path, "select min(birth_year), max(birth_year) from main.customers") == [(1980, 1981)]


def test_a_token_is_that_of_the_key_file_and_changes_with_it(workspace: Workspace, publication: Publication) -> None:
    path = written(workspace, publication, Access(roles=BOTH))["pseudonymised"].path
    first = {token for (token,) in rows(path, "select customer_id from main.customers")}
    assert protection.current_key(workspace).token("pseudonym", "c7") in first
    with workspace.key_file.open("a", encoding="ascii") as file:
        file.write("k2 " + "ab" * 32 + "\n")
    path = written(workspace, publication, Access(roles=BOTH))["pseudonymised"].path
    assert not first & {token for (token,) in rows(path, "select customer_id from main.customers")}


def test_a_rotated_key_still_finds_what_the_old_one_suppressed(workspace: Workspace) -> None:
    suppressed = {protection.current_key(workspace).token("suppression", "refused@free.fr")}
    with workspace.key_file.open("a", encoding="ascii") as file:
        file.write("k2 " + "cd" * 32 + "\n")
    assert protection.current_key(workspace).key_id == "k2"
    found = protection.tokens(workspace, "suppression", ["refused@free.fr", "other@free.fr"])
    assert {token for _, token in found["refused@free.fr"]} & suppressed
    assert not {token for _, token in found["other@free.fr"]} & suppressed


def test_a_role_that_is_no_longer_asked_for_loses_its_database(workspace: Workspace, publication: Publication) -> None:
    both = written(workspace, publication, Access(roles=BOTH))
    written(workspace, publication, Access(roles=("aggregate",)))
    assert not both["pseudonymised"].path.exists()
    assert both["aggregate"].path.exists()
    drop_views(workspace)
    assert not both["aggregate"].path.exists()


def test_a_reader_keeps_what_it_opened_while_the_database_is_replaced(
    workspace: Workspace, publication: Publication
) -> None:
    path = written(workspace, publication, Access(roles=BOTH))["aggregate"].path
    with duckdb.connect(str(path), read_only=True) as reader:
        before = reader.execute("select * from marts.customers_by order by all").fetchall()
        written(workspace, publication, Access(roles=BOTH, small_cells_below=60))
        assert reader.execute("select * from marts.customers_by order by all").fetchall() == before


def test_the_files_can_be_read_by_their_group_alone(workspace: Workspace, publication: Publication) -> None:
    for database in written(workspace, publication, Access(roles=BOTH)).values():
        assert database.path.stat().st_mode & 0o777 == 0o440
        assert database.path.parent.stat().st_mode & 0o007 == 0


def test_an_encrypted_database_opens_with_its_own_key_alone(workspace: Workspace, publication: Publication) -> None:
    found = written(workspace, publication, Access(roles=BOTH, encrypted=True))
    path = found["aggregate"].path
    assert b"lifecycle_stage" not in path.read_bytes()
    with pytest.raises(duckdb.Error, match="without a key"):
        duckdb.connect(str(path), read_only=True)
    connection = connect()
    with pytest.raises(duckdb.Error, match="Wrong encryption key"):
        connection.execute(
            f"attach '{path}' as seen (encryption_key $1, read_only)", [role_key(workspace, "pseudonymised")]
        )
    connection.execute(f"attach '{path}' as seen (encryption_key $1, read_only)", [role_key(workspace, "aggregate")])
    assert connection.execute("select role from seen.publication").fetchall() == [("aggregate",)]
    connection.close()
    writer = connect()
    load_extension(writer, "httpfs")
    writer.close()


def test_the_key_of_a_role_is_in_no_file_of_the_workspace(workspace: Workspace, publication: Publication) -> None:
    written(workspace, publication, Access(roles=BOTH, encrypted=True))
    keys = [role_key(workspace, role).encode() for role in BOTH]
    assert all(len(key) == 64 for key in keys)
    for file in workspace.root.rglob("*"):
        if file.is_file():
            assert not any(key in file.read_bytes() for key in keys), file


def test_counts_in_the_aggregate_database_are_never_small(workspace: Workspace, publication: Publication) -> None:
    path = written(workspace, publication, Access(roles=BOTH, small_cells_below=10))["aggregate"].path
    assert rows(path, "select count(*) from marts.customers_by where customer_count < 10") == [(0,)]
    assert rows(path, "select count(*) from marts.customers_by_two where customer_count < 10") == [(0,)]
    assert rows(path, "select count(*) from marts.customers_by_two where is_withheld <> (customer_count is null)") == [
        (0,)
    ]
    assert rows(
        path, "select sum(is_withheld::int) > 0, sum((not is_withheld)::int) > 0 from marts.customers_by_two"
    ) == [(True, True)]
    assert rows(path, "select segment from segments.sizes where size is not null") == [("half",)]


def test_margins_of_two_way_tables_are_the_one_way_counts(workspace: Workspace, publication: Publication) -> None:
    path = written(workspace, publication, Access(roles=BOTH, small_cells_below=2))["aggregate"].path
    wrong = rows(path, "select t.first_dimension, t.first_value from marts.customers_by_two as t join marts.customers_by as o "
                       "on o.dimension = t.first_dimension and o.value = t.first_value "
                       "group by t.first_dimension, t.first_value, t.second_dimension, o.customer_count "
                       "having bool_and(not t.is_withheld) and sum(t.customer_count) <> o.customer_count")  # fmt: skip
    assert wrong == []


def bounds(counts: np.ndarray, hidden: np.ndarray, cell: tuple[int, ...]) -> tuple[float, float]:
    """The least and the most that a withheld count can be, given all that is told: a linear programme."""
    cells = [tuple(position) for position in np.argwhere(hidden)]
    lines = [tuple([slice(None)] * counts.ndim)] if counts.ndim == 1 else [
        *((slice(None), column) for column in range(counts.shape[1])), *((row, slice(None)) for row in range(counts.shape[0]))
    ]  # fmt: skip
    table, sums = [], []
    for line in lines:
        inside = np.zeros(counts.shape, dtype=bool)
        inside[line] = True
        table.append([float(inside[one]) for one in cells])
        sums.append(float(counts[inside & hidden].sum()))
    aim = [1.0 if one == cell else 0.0 for one in cells]
    low = linprog(aim, A_eq=table, b_eq=sums, bounds=(0, None))
    high = linprog([-value for value in aim], A_eq=table, b_eq=sums, bounds=(0, None))
    return low.fun, -high.fun


@pytest.mark.parametrize("shape", [(6,), (3, 4), (5, 5)])
def test_no_withheld_count_can_be_worked_out(shape: tuple[int, ...]) -> None:
    random = np.random.default_rng(4)
    seen = 0
    for _ in range(25):
        counts = random.poisson(random.choice([2, 8, 25], size=shape))
        hidden = withheld(counts, 10)
        assert hidden[(counts > 0) & (counts < 10)].all()
        for cell in itertools.islice((tuple(c) for c in np.argwhere(hidden)), 6):
            low, high = bounds(counts, hidden, cell)
            is_all_there_is = counts.sum() < 10 or hidden.all()
            assert high - low > 0.5 or is_all_there_is, (counts, hidden, cell)
            seen += 1
    assert seen > 30


def test_a_table_without_small_counts_is_told_whole() -> None:
    assert not withheld(np.array([[10, 20], [30, 0]]), 10).any()


def test_one_small_count_takes_a_second_with_it() -> None:
    assert withheld(np.array([3, 40, 50]), 10).tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("access: {roles: [full]}", "access.roles.0"),
        ("access: {small_cells_below: 1}", "access.small_cells_below"),
        ("access: {role: [aggregate]}", 'unknown key "role"; did you mean "roles"?'),
    ],
)
def test_what_is_wrong_in_access_is_said(text: str, message: str) -> None:
    from orchestration.contracts.company import Company

    with pytest.raises(DeclarationError) as caught:
        validate(parse(f"name: Shop\n{text}", "company.yml"), Company)
    assert message in str(caught.value)


def test_the_workspace_can_be_removed_afterwards(
    workspace: Workspace, publication: Publication, tmp_path: Path
) -> None:
    written(workspace, publication, Access(roles=BOTH))
    drop_views(workspace)
    shutil.rmtree(tmp_path / "data")

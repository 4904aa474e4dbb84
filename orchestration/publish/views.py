"""Databases for roles that may not see everybody: the same publication, seen through less.

What belongs here: the pseudonymised and the aggregate database, made from a publication. What does not: the
publication itself, which is the full view (`write.py`), and who may read which file (the system's groups).

*pseudonymised*: one row per person as in the publication; keys become keyed tokens (HMAC, `protection`), so that
tables still join and nobody can go back without the key file; names, contacts, free text and the sources' own
attributes are left out; of a birth date the year stays. *aggregate*: counts only, small cells withheld.

Each is one file, `data/published/roles/<role>/rcu.duckdb`, replaced whole: a connection that is open keeps what
it read. Columns are treated by their class (`contracts.published_tables`): one that has none is left out.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from orchestration import protection, warehouse
from orchestration.contracts.company import Access, Role
from orchestration.contracts.published_tables import PublishedTable, published_tables
from orchestration.publish.cells import withheld
from orchestration.publish.publications import Publication, remove_folder, sync
from orchestration.settings import Workspace
from orchestration.warehouse import Connection, literal, quote

#: What the tokens of the pseudonymised database are made for: they tell nothing of any other use.
TOKEN_USE = "pseudonym"

#: Columns left out whatever their class says: what sources keep of their own, and places too small to hide in.
_LEFT_OUT = frozenset({"custom", "properties", "value_given", "match_value", "commune_code"})

#: Personal classes that stay as they are.
_KEPT = frozenset({"trait", "none"})

#: Values of key columns that are nobody's.
_NOBODY = ("unknown",)

#: What customers are counted by, alone and two by two: a name and its expression over marts.customer_360.
DIMENSIONS: dict[str, str] = {
    "lifecycle_stage": "lifecycle_stage",
    "rfm_segment": "rfm_segment",
    "churn_risk_band": "churn_risk_band",
    "age_band": "case when age_years is null then null when age_years < 18 then '0-17' when age_years < 30 then '18-29' "
    "when age_years < 45 then '30-44' when age_years < 60 then '45-59' else '60+' end",
    "sex": "sex",
    "region": "region",
    "preferred_category": "preferred_category",
    "preferred_channel": "preferred_channel",
}

_BATCH = 100_000


@dataclass(frozen=True)
class RoleDatabase:
    """One role's database as it was written: counts only."""

    role: Role
    path: Path
    tables: int
    rows: int
    withheld_cells: int


def folder_of_role(workspace: Workspace, role: Role) -> Path:
    return workspace.published / "roles" / role


def role_key(workspace: Workspace, role: Role) -> str:
    """The key that opens the encrypted database of `role`: derived, so that it opens nothing else."""
    return protection.current_key(workspace).subkey(f"role/{role}").hex()


def write_views(workspace: Workspace, publication: Publication, access: Access) -> list[RoleDatabase]:
    """Write the database of each role that `access` asks for; remove those of roles it no longer asks for."""
    roles: tuple[Role, ...] = ("pseudonymised", "aggregate")
    written = []
    for role in roles:
        if role in access.roles:
            written.append(_write(workspace, publication, role, access))
        else:
            remove_folder(folder_of_role(workspace, role))
    return written


def drop_views(workspace: Workspace) -> None:
    """Remove every role's database, as an erasure does before they are written anew."""
    remove_folder(workspace.published / "roles")


def _write(workspace: Workspace, publication: Publication, role: Role, access: Access) -> RoleDatabase:
    folder = folder_of_role(workspace, role)
    folder.mkdir(parents=True, exist_ok=True, mode=0o750)
    target, temporary = folder / "rcu.duckdb", folder / ".rcu.tmp"
    temporary.unlink(missing_ok=True)
    connection = warehouse.connect()
    try:
        warehouse.attach(connection, publication.database, "published", read_only=True)
        if access.encrypted:
            warehouse.load_extension(connection, "httpfs")  # its cryptography writes, the built-in one only reads
            connection.execute(
                f"attach {literal(str(temporary))} as copy (encryption_key $1)", [role_key(workspace, role)]
            )
        else:
            connection.execute(f"attach {literal(str(temporary))} as copy")
        hidden = 0
        if role == "pseudonymised":
            _write_pseudonymised(connection, protection.current_key(workspace))
        else:
            hidden = _write_aggregate(connection, access.small_cells_below)
        connection.execute(
            "create table copy.publication as select ? as version, ?::date as as_of_on, ? as role",
            [publication.version, publication.as_of_on, role],
        )
        names = connection.execute(
            "select schema_name, table_name, estimated_size from duckdb_tables() where database_name = 'copy'"
        ).fetchall()
        connection.execute("checkpoint copy")
        connection.execute("detach copy")
    finally:
        connection.close()
    temporary.chmod(0o440)
    sync(temporary)
    temporary.replace(target)
    sync(folder)
    return RoleDatabase(role, target, len(names), sum(int(rows) for _, _, rows in names), hidden)


# --- pseudonymised -----------------------------------------------------------------------------


def _write_pseudonymised(connection: Connection, key: protection.Key) -> None:
    connection.execute("attach ':memory:' as scratch")  # cursors share it; they do not share temporary tables
    there = {
        (schema, name)
        for schema, name in connection.execute(
            "select schema_name, table_name from duckdb_tables() where database_name = 'published'"
        ).fetchall()
    }
    tables = [table for table in published_tables() if (_place(table), table.name) in there]
    _write_tokens(connection, tables, key)
    for schema in sorted({_place(table) for table in tables}):
        connection.execute(f"create schema if not exists copy.{quote(schema)}")
    for table in tables:
        columns = _columns_there(connection, table)
        expressions = [found for name in columns if (found := _seen(table, name, columns[name])) is not None]
        if expressions:
            connection.execute(
                f"create table copy.{quote(_place(table))}.{quote(table.name)} as "
                f"select {', '.join(expressions)} from published.{quote(_place(table))}.{quote(table.name)}"
            )


def _place(table: PublishedTable) -> str:
    return "main" if table.schema == "rcu" else table.schema


def _columns_there(connection: Connection, table: PublishedTable) -> dict[str, str]:
    rows = connection.execute(f"describe published.{quote(_place(table))}.{quote(table.name)}").fetchall()
    return {row[0]: row[1] for row in rows}


def _classes(table: PublishedTable) -> dict[str, str]:
    return {column.name: column.personal for column in table.columns}


def _seen(table: PublishedTable, name: str, kind: str) -> str | None:
    """What the role sees of a column, as an expression; None: nothing."""
    personal = _classes(table).get(name)
    if name == "birth_on":
        return "year(birth_on) as birth_year"
    if name in _LEFT_OUT:
        return None
    if personal == "reference" and kind == "VARCHAR":
        return f"(select token from scratch.tokens where tokens.value = {quote(table.name)}.{quote(name)}) as {quote(name)}"
    return quote(name) if personal in _KEPT else None


def _write_tokens(connection: Connection, tables: Iterable[PublishedTable], key: protection.Key) -> None:
    """`scratch.tokens`: the token of every key that is published, whatever the column: so tables still join."""
    parts = [
        f"select {quote(name)} as value from published.{quote(_place(table))}.{quote(table.name)}"
        for table in tables
        for name, kind in _columns_there(connection, table).items()
        if _classes(table).get(name) == "reference" and kind == "VARCHAR" and name not in _LEFT_OUT
    ]
    connection.execute("create table scratch.tokens (value varchar, token varchar)")
    if not parts:
        return
    connection.execute(f"create table scratch.to_hide as {' union '.join(parts)}")
    reader = connection.cursor()
    reader.execute("select value from scratch.to_hide where value is not null")
    while rows := reader.fetchmany(_BATCH):
        values = [value for (value,) in rows]
        made = key.tokens(TOKEN_USE, values)
        told = [value if value in _NOBODY else token for value, token in zip(values, made, strict=True)]
        connection.register("made", pa.table({"value": values, "token": told}))
        connection.execute("insert into scratch.tokens select value, token from made")
        connection.unregister("made")
    reader.close()
    connection.execute("drop table scratch.to_hide")


# --- aggregate ---------------------------------------------------------------------------------


def _write_aggregate(connection: Connection, k: int) -> int:
    """Counts of customers by one dimension and by two, sizes of segments, decay curves. Returns cells withheld."""
    connection.execute("create schema copy.marts")
    connection.execute("create schema copy.segments")
    listed = ", ".join(f"coalesce({sql}, '(none)') as {quote(name)}" for name, sql in DIMENSIONS.items())
    connection.execute(
        f"create temp table people as select {listed}, amount_net_365d from published.marts.customer_360"
    )
    dimensions, hidden = _pool_small_values(connection, k)
    _count_by_one(connection, dimensions)
    hidden += _count_by_two(connection, dimensions, k)
    # a size and what is left of everybody: neither may be small
    connection.execute(
        "create table copy.segments.sizes as select segment, as_of_on, "
        f"case when size >= {k} and customer_count - size >= {k} then size end as size, "
        f"size < {k} or customer_count - size < {k} as is_withheld from published.segments.sizes "
        "where as_of_on = (select max(as_of_on) from published.segments.sizes)"
    )
    rows = connection.execute("select count(*) from copy.segments.sizes where is_withheld").fetchall()
    hidden += int(rows[0][0])
    connection.execute("create table copy.marts.contact_decay as select kind, age_months, still_good_rate, "
                       "yearly_loss_rate, yearly_loss_low_rate, yearly_loss_high_rate, as_of_on "
                       "from published.marts.contact_decay where source = ''")  # fmt: skip
    return hidden


def _pool_small_values(connection: Connection, k: int) -> tuple[list[str], int]:
    """Values of a dimension that few customers have become `(other)`, in every table that follows.

    Returns the dimensions that are left and how many values were pooled. Together the pooled values have at least
    `k` customers; a dimension of which nothing else would be left is dropped.
    """
    kept, pooled = [], 0
    for name in DIMENSIONS:
        found = connection.execute(
            f"select {quote(name)}, count(*) from temp.people group by all order by all"
        ).fetchall()
        hides = withheld(np.array([count for _, count in found], dtype=np.int64), k) if found else np.zeros(0, bool)
        small = [value for (value, _), hide in zip(found, hides, strict=True) if hide]
        if len(small) == len(found):
            continue
        kept.append(name)
        pooled += len(small)
        connection.execute(
            f"update temp.people set {quote(name)} = '(other)' where list_contains(?, {quote(name)})", [small]
        )
    return kept, pooled


def _count_by_one(connection: Connection, dimensions: list[str]) -> None:
    parts = [
        f"select {literal(name)} as dimension, {quote(name)} as value, count(*) as customer_count, "
        f"sum(amount_net_365d) as amount_net_365d from temp.people group by all"
        for name in dimensions
    ]
    nothing = "select '' as dimension, '' as value, 0 as customer_count, 0.0 as amount_net_365d where false"
    connection.execute(f"create table copy.marts.customers_by as {' union all '.join(parts) or nothing} order by all")


def _count_by_two(connection: Connection, dimensions: list[str], k: int) -> int:
    connection.execute(
        "create table copy.marts.customers_by_two (first_dimension varchar, first_value varchar, "
        "second_dimension varchar, second_value varchar, customer_count bigint, amount_net_365d decimal(18, 4), "
        "is_withheld boolean)"
    )
    hidden = 0
    everything: list[tuple[object, ...]] = []
    for first, second in itertools.combinations(dimensions, 2):
        found = connection.execute(
            f"select {quote(first)}, {quote(second)}, count(*), sum(amount_net_365d) from temp.people "
            "group by all order by all"
        ).fetchall()
        rows = sorted({row[0] for row in found})
        columns = sorted({row[1] for row in found})
        counts = np.zeros((len(rows), len(columns)), dtype=np.int64)
        amounts = {}
        for one, other, count, amount in found:
            counts[rows.index(one), columns.index(other)] = count
            amounts[one, other] = amount
        hides = withheld(counts, k) if found else np.zeros((0, 0), bool)
        told = [
            (first, one, second, other, None if hides[i, j] else int(counts[i, j]),
             None if hides[i, j] else amounts.get((one, other)), bool(hides[i, j]))
            for i, one in enumerate(rows)
            for j, other in enumerate(columns)
            if counts[i, j] or hides[i, j]
        ]  # fmt: skip
        hidden += sum(row[-1] for row in told)
        everything += told
    if everything:
        names = ("a", "b", "c", "d", "e", "f", "g")
        connection.register("told", pa.table(dict(zip(names, map(list, zip(*everything, strict=True)), strict=True))))
        connection.execute("insert into copy.marts.customers_by_two select * from told order by a, c, b, d")
        connection.unregister("told")
    return hidden

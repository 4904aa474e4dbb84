"""Deliveries to a table of a PostgreSQL database, in one transaction.

The table has the columns of the activation, and `activation`, `publication_version` and `member_key` before
them: several activations may share one. A full list replaces the rows of its activation; a delta, and the
events of a trigger, replace the rows of the keys they bring and take away those that are gone. Delivered
twice, the table is the same.
"""

from __future__ import annotations

import duckdb
import pyarrow as pa

from orchestration import warehouse
from orchestration.activation.destinations import DeliveryFailed, Parcel
from orchestration.contracts.activation import Postgres
from orchestration.settings import resolve_secret
from orchestration.warehouse import Connection, literal, quote

_OWN = ("activation", "publication_version", "member_key")


def to_postgres(parcel: Parcel, declared: Postgres) -> str:
    """Write the rows and take away those that are gone."""
    name = parcel.activation.activation
    dsn = resolve_secret(declared.dsn, parcel.workspace)
    schema, _, table = declared.table.rpartition(".")
    target = f"destination.{quote(schema or 'public')}.{quote(table)}"
    connection = warehouse.connect()
    try:
        warehouse.load_extension(connection, "postgres_scanner")
        try:
            connection.execute(f"attach {literal(dsn)} as destination (type postgres)")
        except duckdb.Error:
            # Its message holds the connection string, password and all.
            raise DeliveryFailed(
                f"{name}: the PostgreSQL server behind {declared.dsn} cannot be reached or refuses the login"
            ) from None
        try:
            _write(connection, parcel, target, schema)
        except duckdb.Error as error:
            told = type(error).__name__
            raise DeliveryFailed(
                f"{name}: table {declared.table} behind {declared.dsn} was not written ({told}); check that it has the "
                "columns of the activation, and the rights of the user; nothing was changed"
            ) from None
    finally:
        connection.close()
    return f"{declared.table} behind {declared.dsn}"


def _write(connection: Connection, parcel: Parcel, target: str, schema: str) -> None:
    name = literal(parcel.activation.activation)
    brought = [_with_own_columns(parcel, action) for action in ("full", "add", "update") if action in parcel.tables]
    connection.register("rows_to_send", pa.concat_tables(brought))
    connection.execute("create or replace temp table to_send as select * from rows_to_send")
    connection.unregister("rows_to_send")
    gone = pa.table({"member_key": pa.array([key for keys in parcel.keys.values() for key in keys], pa.string())})
    connection.register("keys_to_replace", gone)
    connection.execute("create or replace temp table touched as select distinct member_key from keys_to_replace")
    connection.unregister("keys_to_replace")
    columns = ", ".join(
        f"{quote(column)} {kind}" for column, kind, *_ in connection.execute("describe to_send").fetchall()
    )
    listed = ", ".join(quote(column) for column, *_ in connection.execute("describe to_send").fetchall())
    connection.execute("begin")
    try:
        if schema and schema != "public":
            connection.execute(f"create schema if not exists destination.{quote(schema)}")
        connection.execute(f"create table if not exists {target} ({columns})")
        where = "" if parcel.is_whole else " and member_key in (select member_key from touched)"
        connection.execute(f"delete from {target} where activation = {name}{where}")
        connection.execute(f"insert into {target} ({listed}) select {listed} from to_send")
        connection.execute("commit")
    except duckdb.Error:
        connection.execute("rollback")
        raise


def _with_own_columns(parcel: Parcel, action: str) -> pa.Table:
    table = parcel.tables[action]
    taken = {column.lower() for column in table.column_names}
    made = pa.table(
        {
            "activation": pa.array([parcel.activation.activation] * table.num_rows, pa.string()),
            "publication_version": pa.array([parcel.version] * table.num_rows, pa.string()),
            "member_key": pa.array(parcel.keys[action], pa.string()),
        }
    )
    if taken & set(_OWN):
        raise DeliveryFailed(
            f"{parcel.activation.activation}: {', '.join(sorted(taken & set(_OWN)))} is a column of every table that is "
            "written; name it otherwise under columns"
        )
    for field in table.schema:
        made = made.append_column(field, table.column(field.name))
    return made

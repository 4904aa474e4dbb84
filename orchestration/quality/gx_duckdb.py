"""Great Expectations on DuckDB: the one place that touches its private names.

Great Expectations 1.24.1 knows no DuckDB. Three things are missing, and are put in place here once
per process, at the first gate (the import takes seconds, so nothing is imported before):

* it closes its connection before it reads the cursor, unless the dialect is in a private list;
* its regex and LIKE look-ups have no DuckDB branch (DuckDB's own `~` matches the whole text, so
  `regexp_matches` is what a regex means here);
* it keeps two engines open after use.

Connections are cursors of the caller's DuckDB connection, so nothing opens the file a second time:
it works beside dbt's handle in the same process, and leaves no handle behind. Uncommitted work of
the caller is not seen: commit before a gate.

The version is pinned; `tests/unit/quality/test_gx_duckdb.py` says at once when a new one differs.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from orchestration.warehouse import Connection, cursor_on

_MARK = "_rcu_duckdb"


class Batches:
    """The tables of one DuckDB connection as Great Expectations batches."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self._number = 0

    def of(self, table: str, query: str | None = None) -> Any:
        """A batch of `schema.table`, or of the rows of `query` where given."""
        self._number += 1
        name = f"{table}-{self._number}"
        if query is not None:
            asset = self._source.add_query_asset(name, query=query)
            return asset.add_batch_definition_whole_table("rows").get_batch()
        schema, table_name = table.split(".")
        asset = self._source.add_table_asset(name, table_name=table_name, schema_name=schema)
        return asset.add_batch_definition_whole_table("rows").get_batch()


@contextmanager
def open_batches(connection: Connection) -> Iterator[Batches]:
    """Great Expectations over `connection`; every handle it took is released on the way out."""
    with _quiet():
        _install()
        import duckdb_sqlalchemy
        import great_expectations
        from great_expectations.data_context.types.base import (
            DataContextConfig,
            InMemoryStoreBackendDefaults,
            ProgressBarsConfig,
        )

        cursors: list[Connection] = []

        def take_cursor() -> Any:
            cursors.append(cursor_on(connection))
            return duckdb_sqlalchemy.ConnectionWrapper(cursors[-1])

        context = great_expectations.get_context(
            mode="ephemeral",
            project_config=DataContextConfig(
                store_backend_defaults=InMemoryStoreBackendDefaults(),
                progress_bars=ProgressBarsConfig(globally=False, metric_calculations=False),
                analytics_enabled=False,
            ),
        )
        sources: Any = context.data_sources
        source = sources.add_sql(
            "build",
            connection_string="duckdb:///:memory:",  # only names the dialect: the creator connects
            kwargs={"creator": take_cursor},
            create_temp_table=False,
        )
        try:
            yield Batches(source)
        finally:
            execution = source.get_execution_engine()
            if execution._connection is not None:
                execution._connection.close()
            execution.engine.dispose()
            source.get_engine().dispose()
            for cursor in cursors:
                cursor.close()


@contextmanager
def _quiet() -> Iterator[None]:
    """Its log lines can quote values of the data, and its deprecations are not the user's concern."""
    logger = logging.getLogger("great_expectations")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


class _Dialect(str):
    """A dialect name with the `.value` that Great Expectations reads from its enum."""

    @property
    def value(self) -> str:
        return str(self)


def _install() -> None:
    import importlib

    import sqlalchemy as sa

    engine: Any = importlib.import_module("great_expectations.execution_engine.sqlalchemy_execution_engine")
    lookups: Any = importlib.import_module("great_expectations.expectations.metrics.util")

    if hasattr(lookups, _MARK):
        return
    engine._PERSISTED_CONNECTION_DIALECTS = (*engine._PERSISTED_CONNECTION_DIALECTS, _Dialect("duckdb"))
    regex_of_others = lookups.get_dialect_regex_expression
    like_of_others = lookups.get_dialect_like_pattern_expression

    def regex(column: Any, regex: str, dialect: Any, positive: bool = True) -> Any:
        if not _is_duckdb(dialect):
            return regex_of_others(column, regex, dialect, positive)
        matches = sa.func.regexp_matches(column, sa.literal(regex))
        return matches if positive else sa.not_(matches)

    def like(column: Any, dialect: Any, like_pattern: str, positive: bool = True, escape: str | None = None) -> Any:
        if not _is_duckdb(dialect):
            return like_of_others(column, dialect, like_pattern, positive, escape)
        matches = column.like(sa.literal(like_pattern), escape=escape)
        return matches if positive else sa.not_(matches)

    for original, replacement in ((regex_of_others, regex), (like_of_others, like)):
        for module in list(sys.modules.values()):
            if not getattr(module, "__name__", "").startswith("great_expectations."):
                continue
            if vars(module).get(original.__name__) is original:
                setattr(module, original.__name__, replacement)
    setattr(lookups, _MARK, True)


def _is_duckdb(dialect: Any) -> bool:
    return getattr(dialect, "name", None) == "duckdb" or getattr(dialect, "__name__", "") == "duckdb_sqlalchemy"

"""Dagster's own event log in SQLite, without a new engine and connection for each event while a run lasts.

What belongs here: how the log's files are opened. What does not: what is written, and where; that is Dagster's.
Dagster makes an engine, opens the file, writes one event, closes the file and forgets the compiled statement:
for the thousand events of a run that takes seconds. The process that executes a run keeps the engines of that
run's file and of the index, and the daemon that creates one does while it writes what is planned (Dagster hands it over
in one piece where `DAGSTER_EVENT_BATCH_SIZE` is set); every other process (the web server among them) opens and closes as Dagster does, so
that a file that was rewritten meanwhile is not read from its old copy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool

#: Seconds to wait for another process that writes the same file.
BUSY_SECONDS = 30


class RunEventLog(SqliteEventLogStorage):
    """The event log below `base_dir`, the folder of the Dagster instance."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._kept: dict[str, Engine] = {}
        self._tables: set[str] = set()
        self._asset_columns: set[str] = set()
        super().__init__(str(Path(base_dir) / "history" / "runs"), inst_data)

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> RunEventLog:
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def kept_open(self, run_id: str) -> Iterator[None]:
        """Keep the files that the events of this run go to open. Within another such call: nothing more to do."""
        shards = [shard for shard in (run_id, INDEX_SHARD_NAME) if shard not in self._kept]
        for shard in shards:
            with super()._connect(shard):
                pass  # makes and migrates the file where there is none
            self._kept[shard] = self._engine(shard)
        try:
            yield
        finally:
            with self._db_lock:
                for shard in shards:
                    self._kept.pop(shard).dispose()

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Write events that come together: the hundreds that say what a run which is being created will do."""
        with ExitStack() as stack:
            for run_id in sorted({event.run_id for event in events}):
                stack.enter_context(self.kept_open(run_id))
            for event in events:
                self.store_event(event)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            engine = self._kept.get(shard)
            if engine is not None:
                with engine.begin() as connection:
                    yield connection
                return
        with super()._connect(shard) as connection:
            yield connection

    def has_table(self, table_name: str) -> bool:
        """Whether the index has a table. Dagster asks for each event; what is there once stays."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        if column_name not in self._asset_columns and super()._has_asset_key_col_on_connection(conn, column_name):
            self._asset_columns.add(column_name)
        return column_name in self._asset_columns

    def _engine(self, shard: str) -> Engine:
        engine = create_engine(
            self.conn_string_for_shard(shard),
            poolclass=QueuePool,
            pool_size=1,
            connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
        )
        event.listen(engine, "connect", sync_less)
        return engine


def sync_less(connection: Any, _record: object) -> None:
    """With SQLite's write-ahead log, NORMAL loses at most the last events in a power cut, never the file."""
    connection.execute("pragma synchronous = normal")

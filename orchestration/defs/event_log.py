"""Dagster's own event log in SQLite, without a new engine and connection for each event while a run lasts.

What belongs here: how the log's files are opened. What does not: what is written, and where; that is Dagster's.
Dagster makes an engine, opens the file, writes one event, closes the file and forgets the compiled statement:
for the thousand events of a run that takes seconds. The process that executes a run keeps the engines of that
run's file and of the index; every other process (the web server among them) opens and closes as Dagster does, so
that a file that was rewritten meanwhile is not read from its old copy.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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

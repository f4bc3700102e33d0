"""How SQLite is used: one process, WAL, transactions that take the write lock at their beginning."""

from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine


def engine(url: str) -> AsyncEngine:
    """WAL, foreign keys, and no upgrade of a read lock (so no deadlock): `writing` transactions begin as such."""
    made = create_async_engine(url)

    @event.listens_for(made.sync_engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=10000"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(made.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("mlplat_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return made


def writing(made: AsyncEngine) -> AsyncEngine:
    """The same engine for transactions that write."""
    return made.execution_options(mlplat_writes=True)

"""How SQLite is used: one process, WAL, transactions that take the write lock at their beginning.

Statements run in the event loop itself: each takes some tens of microseconds, while handing one to a thread and taking
its answer back costs several times that, and a busy loop lets the thread wait for its turn each time. Nothing blocks
the loop: readers wait for nobody in WAL, and a writer whom another process keeps waiting asks again.
"""

import asyncio
import sqlite3
import time
from collections import deque
from typing import Any

from sqlalchemy import AsyncAdaptedQueuePool, event, make_url
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import await_

DRIVER = "inloop"
WAIT_SECONDS, ASK_SECONDS = 10.0, 0.02
"""How long a writer waits for another process, and between two tries."""
PRAGMAS = ("busy_timeout=10000", "journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=10")


class _Cursor(sqlite3.Cursor):
    """Takes all rows at once, so that none is left to be read when the transaction has ended."""

    _rows: deque[Any]

    def execute(self, *statement: Any) -> "_Cursor":
        super().execute(*statement)
        self._rows = deque(super().fetchall() if self.description else ())
        return self

    def fetchone(self) -> Any:
        return self._rows.popleft() if self._rows else None

    def fetchmany(self, size: int | None = 1) -> list[Any]:
        return [self._rows.popleft() for _ in range(min(size or self.arraysize, len(self._rows)))]

    def fetchall(self) -> list[Any]:
        rows = list(self._rows)
        self._rows.clear()
        return rows

    async def _async_soft_close(self) -> None:
        """The engine's word that the rows are read."""


class _Connection(sqlite3.Connection):
    def cursor(self, factory: Any = _Cursor) -> Any:
        return super().cursor(factory)


class InLoopDialect(SQLiteDialect_pysqlite):
    """Python's own driver under an asynchronous engine."""

    driver = DRIVER
    is_async = True
    supports_statement_cache = True

    @classmethod
    def get_pool_class(cls, url: Any) -> Any:
        """Who waits for a connection leaves the loop to others."""
        return AsyncAdaptedQueuePool

    def do_execute(self, cursor: Any, statement: Any, parameters: Any, context: Any = None) -> None:
        cursor.execute(statement, parameters)
        await_(_at_once())  # the engine insists that something is awaited


registry.register(f"sqlite.{DRIVER}", __name__, InLoopDialect.__name__)


def engine(url: str) -> AsyncEngine:
    """WAL, foreign keys, and no upgrade of a read lock (so no deadlock): `writing` transactions begin as such."""
    address = make_url(url).set(drivername=f"sqlite+{DRIVER}")
    made = create_async_engine(address, connect_args={"factory": _Connection})

    @event.listens_for(made.sync_engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(made.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        if connection.get_execution_options().get("mlplat_writes"):
            _begin_writing(connection)
            return
        await_(asyncio.sleep(0))  # else who reads again and again would let nobody else run
        connection.exec_driver_sql("BEGIN")

    return made


def writing(made: AsyncEngine) -> AsyncEngine:
    """The same engine for transactions that write."""
    return made.execution_options(mlplat_writes=True)


def _begin_writing(connection: Connection) -> None:
    """Take the write lock, which another process may have for a moment; OperationalError where it keeps it."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not _has_begun(connection, last=time.monotonic() > deadline):
        await_(asyncio.sleep(ASK_SECONDS))


def _has_begun(connection: Connection, *, last: bool) -> bool:
    try:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    except OperationalError as error:
        if last or getattr(error.orig, "sqlite_errorcode", None) != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True


async def _at_once() -> None:
    """Something to await that is there already."""

"""The database: read sessions, write transactions, and word of each commit.

Write transactions go one after the other, on SQLite and on PostgreSQL alike, whichever replica they come from. So what
a transaction has checked (a name that is free, a quota, a lease) still holds when it commits, and the numbers of events
rise in the order in which they can be seen.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from copy import copy
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_sessionmaker

from jupyter_mlplat.core.clock import now
from jupyter_mlplat.core.ids import new_id
from jupyter_mlplat.db import postgresql, sqlite
from jupyter_mlplat.db.troubles import in_words
from jupyter_mlplat.db.turns import Turns
from jupyter_mlplat.errors import BackendFailure

WAIT_SECONDS = 10.0
"""How long a write transaction waits while no other gets its turn."""

BESIDE_REQUESTS = 4
"""Readers at once of one fenced database."""

LOOK_SECONDS = 5.0
"""Between two looks where other replicas commit too."""
REST_SECONDS = 60.0
"""Between two looks where no commit goes unheard."""

Fence = Callable[[AsyncSession], Awaitable[None]]


class Database:
    """Sessions on one database. `committed` is called after each write transaction that went through.

    Trouble with the database itself is a BackendFailure, a value that it cannot keep InvalidInput, and a unique name
    that is taken AlreadyExists.
    """

    def __init__(self, url: str, committed: Callable[[], None] = lambda: None) -> None:
        self.url = url
        self.replica = new_id("p")
        self.postgresql = url.startswith("postgresql")
        self._committed = committed
        self._fence: Fence | None = None
        self._writing: asyncio.Semaphore | None = None
        self._reading: asyncio.Semaphore | None = None
        self._turns = Turns()  # of this process, so that those who wait for the lock hold no connections
        self._engine = postgresql.engine(url) if self.postgresql else sqlite.engine(url)
        reading = postgresql.reading(self._engine) if self.postgresql else self._engine
        writing = self._engine if self.postgresql else sqlite.writing(self._engine)
        self._reads = async_sessionmaker(reading, expire_on_commit=False)
        self._writes = async_sessionmaker(writing, expire_on_commit=False)

    @property
    def patience(self) -> float:
        """Seconds after which who waits for word of a commit looks all the same: other replicas may not be heard."""
        return LOOK_SECONDS if self.postgresql else REST_SECONDS

    def fenced(self, fence: Fence) -> "Database":
        """The same database, each of whose write transactions calls `fence` first, which may refuse it.

        However much is done with it at once, it takes one place among the writers and a few among the readers, so that
        a thousand things to reconcile leave room for requests, and for the renewal of leases.
        """
        other = copy(self)
        other._fence = fence
        other._writing, other._reading = asyncio.Semaphore(1), asyncio.Semaphore(BESIDE_REQUESTS)
        return other

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """A session that sees one state of the database and changes nothing."""
        with in_words():
            async with self._reading or nullcontext(), self._reads() as session:
                await self._connect(session)
                yield session

    @asynccontextmanager
    async def transaction(self, *, silent: bool = False, patient: bool = False) -> AsyncIterator[AsyncSession]:
        """A write transaction: committed at the end, rolled back by any error. Do not begin one inside another.

        A silent one wakes nobody; a patient one waits for its turn however long that takes.
        """
        with in_words():
            async with (
                self._writing or nullcontext(),
                self._turns.take(WAIT_SECONDS, patient=patient),
                self._writes() as session,
                session.begin(),
            ):
                await self._connect(session)
                if self.postgresql:
                    await postgresql.begin(session, patient=patient, word="" if silent else self.replica)
                if self._fence:
                    await self._fence(session)
                yield session
        if not silent:
            self._committed()

    async def clock(self, session: AsyncSession) -> Any:
        """The moment on the clock of the database, the same for every replica (SQLite has but one machine)."""
        return await session.scalar(text("SELECT clock_timestamp()")) if self.postgresql else now()

    def listening(self, channels: Mapping[str, Callable[[str], None]]) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection that hears the words sent to channels of a PostgreSQL."""
        return postgresql.listening(self._engine, channels)

    async def close(self) -> None:
        await self._engine.dispose()

    async def _connect(self, session: AsyncSession) -> None:
        try:
            await session.connection()
        except (OSError, TimeoutError) as error:
            raise BackendFailure("The database does not answer. Try again soon.") from error

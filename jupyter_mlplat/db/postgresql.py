"""How PostgreSQL is used: one writer at a time, snapshots for readers, NOTIFY with every commit."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine

CHANNEL = "mlplat"
"""Where replicas send word to one another; of a commit the replica's name alone."""

WRITE_LOCK = 0x6D6C_706C_6174
"""Of the advisory lock that every write transaction holds to its end. It is given up after the commit can be seen."""

SESSION = {
    "application_name": "mlplat",
    "timezone": "UTC",
    "jit": "off",
    "lock_timeout": "10s",
    # a replica that is stopped in the middle of a transaction, or cut off, must not keep the lock from the others
    "idle_in_transaction_session_timeout": "10s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}

_BEGIN = text("SELECT pg_advisory_xact_lock(:lock)")
_SEND = text("SELECT pg_notify(:channel, :word)")
_BEGIN_WITH_WORD = text("SELECT pg_advisory_xact_lock(:lock), pg_notify(:channel, :word)")


def engine(url: str) -> AsyncEngine:
    """Connections that notice a database that went away, at the latest when they are used."""
    arguments = {"timeout": 5, "command_timeout": 30, "server_settings": SESSION}
    return create_async_engine(url, pool_size=10, max_overflow=5, pool_pre_ping=True, connect_args=arguments)


def reading(made: AsyncEngine) -> AsyncEngine:
    """The same engine for sessions that see one state and change nothing."""
    return made.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


async def begin(session: AsyncSession, *, patient: bool, word: str) -> None:
    """Wait for the turn to write; at the commit `word` is sent to all replicas, unless it is empty."""
    if patient:
        await session.execute(text("SET LOCAL lock_timeout = 0"))
    if word:
        await session.execute(_BEGIN_WITH_WORD, {"lock": WRITE_LOCK, "channel": CHANNEL, "word": word})
    else:
        await session.execute(_BEGIN, {"lock": WRITE_LOCK})


@asynccontextmanager
async def listening(made: AsyncEngine, channels: Mapping[str, Callable[[str], None]]) -> AsyncIterator[AsyncConnection]:
    """A connection that calls, for each word sent to a channel, what `channels` has for it."""
    async with made.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        for channel, hear in channels.items():
            await driver.add_listener(channel, _heard_by(hear))
        try:
            yield connection
        finally:
            # not one for the pool again, for it goes on listening
            await connection.invalidate()


async def send(connection: AsyncConnection, channel: str, word: str) -> None:
    """Tell all who listen to a channel."""
    await connection.execute(_SEND, {"channel": channel, "word": word})


async def look_alive(connection: AsyncConnection) -> None:
    """Pass if the other end still answers."""
    await connection.execute(text("SELECT 1"))


def _heard_by(hear: Callable[[str], None]) -> Callable[..., None]:
    def heard(_connection: object, _process: int, _channel: str, word: str) -> None:
        hear(word)

    return heard

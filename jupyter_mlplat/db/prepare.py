"""Before the first connection in a cluster: waits until the database server answers, and makes the database.

`python -m jupyter_mlplat.db.prepare VARIABLE` takes the address from that variable of the environment.
"""

import asyncio
import itertools
import os
import sys

from sqlalchemy import URL, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from jupyter_mlplat.errors import BackendFailure

PATIENCE_SECONDS = 120
MISSING, FORBIDDEN = "3D000", "42501"
"""PostgreSQL's codes for a database that does not exist, and for what a role may not do."""


async def prepare(address: str, patience: float = PATIENCE_SECONDS) -> None:
    """Return once the database can be used; it is made where there is none.

    BackendFailure where nothing answers in `patience` seconds, or where the database is missing and may not be made.
    """
    if not address.startswith("postgresql"):
        return
    url = _asynchronous(make_url(address))
    try:
        async with asyncio.timeout(patience):
            await _until_usable(url)
    except TimeoutError as error:
        raise BackendFailure(f"No database answers at {url.host}:{url.port} within {patience:.0f} s.") from error


def _asynchronous(url: URL) -> URL:
    """The same address for asyncpg, whatever driver it names; `sslmode` is called `ssl` there."""
    query = {{"sslmode": "ssl"}.get(key, key): value for key, value in url.query.items()}
    return url.set(drivername="postgresql+asyncpg", query=query)


async def _until_usable(url: URL) -> None:
    for pause in itertools.chain((0.2, 0.5), itertools.repeat(1.0)):
        if await _usable(url):
            return
        await asyncio.sleep(pause)


async def _usable(url: URL) -> bool:
    try:
        await _use(url, "SELECT 1")
    except (DBAPIError, OSError) as error:
        if _code(error) == MISSING:
            await _make(url)
        else:
            print(f"The database does not answer yet: {error}", flush=True)
        return False
    return True


async def _make(url: URL) -> None:
    """Another replica may be quicker: only the lack of the right to do it is an error."""
    quoted = str(url.database).replace('"', '""')
    try:
        await _use(url.set(database="postgres"), f'CREATE DATABASE "{quoted}"')
    except DBAPIError as error:
        if _code(error) == FORBIDDEN:
            raise BackendFailure(f"The database {url.database} is missing and this role may not make it.") from error


async def _use(url: URL, statement: str) -> None:
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            await connection.execute(text(statement))
    finally:
        await engine.dispose()


def _code(error: Exception) -> str | None:
    """PostgreSQL's code of an error, however deep it is wrapped."""
    deepest: BaseException | None = error
    while deepest is not None:
        if code := getattr(deepest, "sqlstate", None):
            return str(code)
        deepest = deepest.__cause__ or getattr(deepest, "orig", None)
    return None


if __name__ == "__main__":
    try:
        asyncio.run(prepare(os.environ[sys.argv[1]]))
    except BackendFailure as failure:
        sys.exit(failure.message)

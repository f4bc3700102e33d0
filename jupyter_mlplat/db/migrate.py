"""Brings a database to the tables that this version needs.

`python -m jupyter_mlplat.db.migrate NAME "what changes"` writes a new migration from the difference to the models.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection

from jupyter_mlplat.db.engine import Database
from jupyter_mlplat.errors import Conflict

SCRIPTS = Path(__file__).parent / "migrations"


def migrate(url: str) -> None:
    """Make the tables or bring older ones up to date, all or nothing; call it in a thread. Again is no harm.

    Of replicas that begin at once, one does it and the others wait until it is done.

    Conflict where a newer version of the platform has written the database.
    """
    asyncio.run(_migrate(url))


async def _migrate(url: str) -> None:
    database = Database(url)
    try:
        async with database.transaction(patient=True) as session:
            await (await session.connection()).run_sync(_upgrade)
    finally:
        await database.close()


def configuration(connection: Connection) -> Config:
    """Alembic's configuration for one connection."""
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _upgrade(connection: Connection) -> None:
    try:
        command.upgrade(configuration(connection), "head")
    except CommandError as error:
        raise Conflict(
            f"The database was written by a newer version of jupyter-mlplat ({error}). "
            "Install that version, or use another data folder."
        ) from error


async def _write(name: str, message: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/empty.db"
        await _migrate(url)
        database = Database(url)
        async with database.transaction() as session:
            await (await session.connection()).run_sync(
                lambda connection: command.revision(configuration(connection), message, autogenerate=True, rev_id=name)
            )
        await database.close()


if __name__ == "__main__":
    asyncio.run(_write(sys.argv[1], sys.argv[2]))

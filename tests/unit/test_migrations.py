"""The migrations give exactly the tables of the models."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, create_engine, inspect, text

from jupyter_mlplat.db.engine import Database
from jupyter_mlplat.db.migrate import configuration, migrate
from jupyter_mlplat.db.tables import Base
from jupyter_mlplat.errors import Conflict
from jupyter_mlplat.testing.postgresql import PostgresServer


def on(path: Path, work: Callable[[Connection], Any]) -> Any:
    engine = create_engine(f"sqlite:///{path}")
    try:
        with engine.begin() as connection:
            return work(connection)
    finally:
        engine.dispose()


def compared(connection: Connection) -> list[Any]:
    return compare_metadata(MigrationContext.configure(connection), Base.metadata)


def indexes(connection: Connection) -> set[tuple[str, ...]]:
    """With their conditions, which alembic does not compare on SQLite."""
    rows = connection.execute(
        text("SELECT tbl_name, name, sql FROM sqlite_master WHERE type = 'index' AND sql NOT NULL")
    )
    return {tuple(" ".join(str(part).split()) for part in row) for row in rows}


def test_migrations_and_models_agree(tmp_path: Path) -> None:
    migrated, made = tmp_path / "migrated.db", tmp_path / "made.db"
    migrate(f"sqlite:///{migrated}")
    on(made, Base.metadata.create_all)
    assert on(migrated, compared) == []
    assert on(migrated, indexes) == on(made, indexes)


def test_a_difference_would_be_seen(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'platform.db'}"
    migrate(url)
    on(tmp_path / "platform.db", lambda connection: connection.execute(text("ALTER TABLE jobs ADD extra TEXT")))
    assert [kind for kind, *_ in on(tmp_path / "platform.db", compared)] == ["remove_column"]


def test_postgresql_gets_the_same_tables(postgresql: PostgresServer) -> None:
    assert asyncio.run(of_postgresql(postgresql.migrated(), compared)) == []


def test_postgresql_keeps_names_unique_where_they_are_in_use(postgresql: PostgresServer) -> None:
    found = asyncio.run(
        of_postgresql(postgresql.migrated(), lambda connection: inspect(connection).get_indexes("images"))
    )
    (unique,) = (index for index in found if index["unique"])
    assert "DELETED" in unique["dialect_options"]["postgresql_where"]


def test_replicas_that_begin_at_once_migrate_once(postgresql: PostgresServer) -> None:
    url = postgresql.empty()
    with ThreadPoolExecutor() as pool:
        list(pool.map(migrate, [url] * 4))
    assert asyncio.run(of_postgresql(url, compared)) == []


def down_and_up(connection: Connection) -> None:
    command.downgrade(configuration(connection), "base")
    assert inspect(connection).get_table_names() == ["alembic_version"]
    command.upgrade(configuration(connection), "head")


def test_migrations_go_down_and_up_again(tmp_path: Path, postgresql: PostgresServer) -> None:
    migrate(f"sqlite:///{tmp_path / 'platform.db'}")
    on(tmp_path / "platform.db", down_and_up)
    assert on(tmp_path / "platform.db", compared) == []
    url = postgresql.migrated()
    asyncio.run(of_postgresql(url, down_and_up))
    assert asyncio.run(of_postgresql(url, compared)) == []


async def of_postgresql(url: str, work: Callable[[Connection], Any]) -> Any:
    database = Database(url)
    try:
        async with database.transaction() as session:
            return await (await session.connection()).run_sync(work)
    finally:
        await database.close()


async def test_migrating_again_and_at_once_does_no_harm(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'platform.db'}"
    await asyncio.gather(*(asyncio.to_thread(migrate, url) for _ in range(3)))
    await asyncio.to_thread(migrate, url)
    tables = on(tmp_path / "platform.db", lambda connection: set(inspect(connection).get_table_names()))
    assert tables == set(Base.metadata.tables) | {"alembic_version"}


def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "platform.db"
    migrate(f"sqlite:///{path}")
    on(path, lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    with pytest.raises(Conflict, match="newer version"):
        migrate(f"sqlite:///{path}")

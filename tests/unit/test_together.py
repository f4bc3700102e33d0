"""Changes that share a transaction: few commits, each change whole, and a failure only its own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from platform_stage import Stage
from sqlalchemy.ext.asyncio import AsyncSession

from jupyter_mlplat.db.engine import Database
from jupyter_mlplat.errors import NotFound
from jupyter_mlplat.events.store import EventRow, emit
from jupyter_mlplat.instances.store import InstanceRow
from jupyter_mlplat.reconciling.together import Together
from jupyter_mlplat.testing.postgresql import FreshDatabase

Work = Callable[[AsyncSession], Awaitable[str]]


def _telling(name: str) -> Work:
    async def work(session: AsyncSession) -> str:
        emit(session, "instance", name, "alice", "Told", name)
        return name

    return work


async def _failing(session: AsyncSession) -> str:
    emit(session, "instance", "bad", "alice", "Told", "bad")
    raise NotFound("gone")


async def _told(database: Database) -> list[str]:
    async with database.read() as session:
        return [row.resource_id for number in range(1, 50) if (row := await session.get(EventRow, number))]


@pytest.fixture
async def database(tmp_path: Path, fresh_database: FreshDatabase) -> AsyncIterator[Database]:
    stage = Stage(tmp_path, fresh_database(tmp_path))
    yield stage.database
    await stage.database.close()


@pytest.fixture
def commits(database: Database, monkeypatch: pytest.MonkeyPatch) -> list[None]:
    seen: list[None] = []
    monkeypatch.setattr(database, "_committed", lambda: seen.append(None))
    return seen


async def test_what_waits_together_is_written_together(database: Database, commits: list[None]) -> None:
    together, names = Together(database, InstanceRow), [f"i-{number}" for number in range(20)]
    assert await asyncio.gather(*(together.change(name, _telling(name)) for name in names)) == names
    assert sorted(await _told(database)) == sorted(names)
    assert len(commits) <= 2


async def test_one_that_fails_takes_nobody_with_it(database: Database) -> None:
    together = Together(database, InstanceRow)
    works = [("i-a", _telling("i-a")), ("bad", _failing), ("i-b", _telling("i-b"))]
    outcomes = await asyncio.gather(*(together.change(*work) for work in works), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [str, NotFound, str]
    assert sorted(await _told(database)) == ["i-a", "i-b"]


async def test_who_writes_for_all_may_be_cut_off(database: Database) -> None:
    together, reached = Together(database, InstanceRow), asyncio.Event()

    async def stuck(session: AsyncSession) -> str:
        emit(session, "instance", "stuck", "alice", "Told", "stuck")
        reached.set()
        await asyncio.Event().wait()
        return ""

    first = asyncio.create_task(together.change("stuck", stuck))
    await reached.wait()
    others = [asyncio.create_task(together.change(name, _telling(name))) for name in ("i-a", "i-b")]
    await asyncio.sleep(0)
    first.cancel()
    assert await asyncio.gather(*others) == ["i-a", "i-b"]
    assert sorted(await _told(database)) == ["i-a", "i-b"]

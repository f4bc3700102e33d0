"""What both databases promise, with two replicas that really run at once."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from platform_stage import ALICE, Stage
from sqlalchemy import text

from jupyter_mlplat.db.engine import Database
from jupyter_mlplat.errors import AlreadyExists, BackendFailure, InvalidInput, QuotaExceeded
from jupyter_mlplat.events import store as events
from jupyter_mlplat.images.store import ImageRow
from jupyter_mlplat.instances.models import InstanceCreate
from jupyter_mlplat.instances.store import InstanceRow
from jupyter_mlplat.testing.postgresql import FreshDatabase, PostgresServer

pytestmark = pytest.mark.both_databases


@pytest.fixture
async def replicas(tmp_path: Path, fresh_database: FreshDatabase) -> AsyncIterator[tuple[Stage, Stage]]:
    """Two platforms on one database."""
    first = Stage(tmp_path, fresh_database(tmp_path))
    second = Stage(tmp_path, first.settings.database)
    await first.preset()
    yield first, second
    for stage in (first, second):
        await stage.database.close()


def kinds(answers: list[object]) -> list[str]:
    return sorted({type(answer).__name__ for answer in answers})


async def test_of_many_who_want_a_name_at_once_one_gets_it(replicas: tuple[Stage, Stage]) -> None:
    wishes = [stage.instances.create(ALICE, InstanceCreate(name="one")) for stage in replicas for _ in range(8)]
    answers = await asyncio.gather(*wishes, return_exceptions=True)
    assert kinds(answers) == ["AlreadyExists", "Instance"]
    assert sum(not isinstance(answer, Exception) for answer in answers) == 1


async def test_a_quota_holds_for_all_replicas_together(replicas: tuple[Stage, Stage]) -> None:
    names = [(stage, f"{number}-{side}") for side, stage in enumerate(replicas) for number in range(5)]
    wishes = [stage.instances.create(ALICE, InstanceCreate(name=name)) for stage, name in names]
    answers = await asyncio.gather(*wishes, return_exceptions=True)
    assert sum(isinstance(answer, QuotaExceeded) for answer in answers) == 10 - 3
    assert kinds(answers) == ["Instance", "QuotaExceeded"]


@pytest.mark.parametrize("row", [
    lambda number: InstanceRow(id=f"i-{number}", owner="a", name="n", image_id="m", image_name="m", flavor="f"),
    lambda number: ImageRow(id=f"m-{number}", owner="a", name="n", tag="1", origin="IMAGE_SAVE"),
])  # fmt: skip
async def test_a_name_that_slips_past_the_check_is_the_same_conflict(replicas: tuple[Stage, Stage], row) -> None:
    for number, stage in enumerate(replicas):
        try:
            async with stage.database.transaction() as session:
                session.add(row(number))
        except AlreadyExists:
            assert number == 1
        else:
            assert number == 0


async def test_events_are_seen_in_the_order_of_their_numbers(replicas: tuple[Stage, Stage]) -> None:
    """Whoever has seen number n never finds a smaller one later on."""
    writers = [asyncio.create_task(write_events(stage.database, 10)) for stage in replicas for _ in range(3)]
    seen: list[int] = []
    while len(seen) < 60:
        async with replicas[0].database.read() as session:
            fresh = await events.of_owner(session, "alice", seen[-1] if seen else 0, 500)
        seen += [event.id for event in fresh]
    await asyncio.gather(*writers)
    async with replicas[1].database.read() as session:
        assert seen == [event.id for event in await events.of_owner(session, "alice", 0, 500)]


async def write_events(database: Database, count: int) -> None:
    for number in range(count):
        async with database.transaction() as session:
            events.emit(session, "instance", "i-1", "alice", "Test", "numbered before its commit")
            await session.flush()
            if number % 3 == 0:
                await session.execute(text("SELECT 1"))


async def test_an_event_of_an_open_transaction_holds_up_later_ones(replicas: tuple[Stage, Stage]) -> None:
    first, second = (stage.database for stage in replicas)
    async with first.transaction() as session:
        events.emit(session, "instance", "i-1", "alice", "Early", "")
        await session.flush()
        later = asyncio.create_task(write_events(second, 1))
        done, _ = await asyncio.wait([later], timeout=0.3)
        assert not done, "its number would be seen before a smaller one"
    await later
    async with first.read() as session:
        assert [event.type for event in await events.of_owner(session, "alice", 0, 9)] == ["Early", "Test"]


async def test_a_read_session_sees_one_state(replicas: tuple[Stage, Stage]) -> None:
    first, second = (stage.database for stage in replicas)
    async with first.read() as session:
        before = await events.latest_id(session)
        await write_events(second, 1)
        assert await events.latest_id(session) == before
    async with first.read() as session:
        assert await events.latest_id(session) == before + 1


async def test_a_failed_transaction_leaves_nothing_and_tells_nobody(replicas: tuple[Stage, Stage]) -> None:
    stage = replicas[0]
    ticks = stage.ticks
    with pytest.raises(ZeroDivisionError):
        async with stage.database.transaction() as session:
            events.emit(session, "instance", "i-1", "alice", "Test", "")
            raise ZeroDivisionError
    assert (stage.ticks, await stage.happened("i-1")) == (ticks, [])


async def test_a_writer_does_not_wait_for_ever(replicas: tuple[Stage, Stage], monkeypatch: pytest.MonkeyPatch) -> None:
    database = replicas[0].database
    monkeypatch.setattr("jupyter_mlplat.db.engine.WAIT_SECONDS", 0.2)
    async with database.transaction():
        with pytest.raises(BackendFailure, match="busy"):
            await write_events(database, 1)


async def test_numbers_of_events_may_be_large(replicas: tuple[Stage, Stage]) -> None:
    async with replicas[0].database.read() as session:
        assert await events.of_owner(session, "alice", 2**53, 10) == []


@pytest.mark.both_databases("postgresql")
class TestPostgresql:
    """What SQLite has no like of."""

    async def test_text_that_it_cannot_keep_is_the_callers_mistake(self, replicas: tuple[Stage, Stage]) -> None:
        with pytest.raises(InvalidInput, match="character"):
            async with replicas[0].database.transaction() as session:
                events.emit(session, "instance", "i-1", "alice", "Test", "\0")

    async def test_a_database_that_went_away_is_said_so_and_used_again(
        self, replicas: tuple[Stage, Stage], postgresql: PostgresServer
    ) -> None:
        database = replicas[0].database
        await write_events(database, 1)
        postgresql.stop()
        try:
            for use in (database.read, database.transaction):
                with pytest.raises(BackendFailure, match="database does not answer"):
                    async with use() as session:
                        await events.latest_id(session)
        finally:
            postgresql.start()
        await write_events(database, 1)

    async def test_a_connection_that_breaks_in_a_transaction_is_said_so(self, replicas: tuple[Stage, Stage]) -> None:
        with pytest.raises(BackendFailure):
            async with replicas[0].database.transaction() as session:
                (process,) = (await session.execute(text("SELECT pg_backend_pid()"))).one()
                async with replicas[1].database.read() as other:
                    await other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": process})
                await session.execute(text("SELECT 1"))

"""One replica reconciles; another takes over when it is gone, and not before it has stopped."""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from platform_stage import Stage

from jupyter_mlplat.db.engine import Database
from jupyter_mlplat.events import store as events
from jupyter_mlplat.events.broker import Broker
from jupyter_mlplat.reconciling import leases, loop
from jupyter_mlplat.reconciling.leases import Lease, LeaseLost, LeaseRow
from jupyter_mlplat.reconciling.loop import Reconciler
from jupyter_mlplat.testing.postgresql import FreshDatabase

pytestmark = pytest.mark.both_databases


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "DURATION", timedelta(seconds=2.4))
    monkeypatch.setattr(leases, "HOLD_SECONDS", 1.6)
    monkeypatch.setattr(loop, "RENEW_SECONDS", 0.2)


@pytest.fixture
async def database(tmp_path: Path, fresh_database: FreshDatabase) -> AsyncIterator[Database]:
    stage = Stage(tmp_path, fresh_database(tmp_path))
    yield stage.database
    await stage.database.close()


def lease(database: Database, lost: asyncio.Event | None = None) -> Lease:
    return Lease(database, "thing", (lost or asyncio.Event()).set)


async def test_one_holds_it_and_the_other_waits_until_it_is_given_back(database: Database) -> None:
    first, second = lease(database), lease(database)
    assert await first.take()
    assert not await second.take()
    assert await first.take(), "the holder renews it"
    await first.release()
    assert await second.take()
    assert not await first.take()
    await second.release()


async def test_of_many_who_want_it_at_once_one_gets_it(database: Database) -> None:
    wanting = [lease(database) for _ in range(10)]
    assert sum(await asyncio.gather(*(one.take() for one in wanting))) == 1


async def test_who_does_not_renew_it_stops_before_another_can_have_it(database: Database) -> None:
    lost = asyncio.Event()
    first, second = lease(database, lost), lease(database)
    began = time.monotonic()
    assert await first.take()
    await lost.wait()
    stopped = time.monotonic() - began
    while not await second.take():
        assert not first.held
    assert stopped < 2.4 <= time.monotonic() - began


async def test_who_lost_it_writes_nothing_more(database: Database) -> None:
    first, second = lease(database), lease(database)
    assert await first.take()
    fenced = database.fenced(first.confirm)
    await write(fenced)
    while not await second.take():
        pass
    with pytest.raises(LeaseLost):
        await write(fenced)
    async with database.read() as session:
        assert len(await events.of_owner(session, "alice", 0, 9)) == 1


async def write(database: Database) -> None:
    async with database.transaction() as session:
        events.emit(session, "thing", "t-1", "alice", "Test", "")


async def test_an_end_that_no_lease_can_have_is_not_waited_for(database: Database) -> None:
    """The clock was set back by a day since it was written."""
    async with database.transaction() as session:
        ends = await database.clock(session) + timedelta(days=1)
        session.add(LeaseRow(name="thing", holder="r-gone", expires_at=ends))
    assert await lease(database).take()


class Things(Reconciler):
    """One thing, which is worked on as long as it may be. `acts` are the moments at which that had an effect."""

    noun = "thing"

    def __init__(self, database: Database, broker: Broker) -> None:
        super().__init__(database, broker)
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)
        self.began, self.ended = threading.Event(), threading.Event()
        self.acts: list[float] = []

    async def pending(self) -> list[str]:
        return ["t-1"]

    async def reconcile(self, resource_id: str) -> None:
        self.began.set()
        try:
            while True:
                await asyncio.get_running_loop().sock_recv(self.ours, 1)
                self.acts.append(time.monotonic())
        finally:
            self.ended.set()


class Replica(threading.Thread):
    """A platform that only reconciles things, with an event loop of its own that can be frozen."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.ready = threading.Event()
        self.start()
        self.ready.wait()

    def run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        database = Database(self.url)
        self.things = Things(database, Broker())
        self.loop, self.task = asyncio.get_running_loop(), asyncio.current_task()
        self.ready.set()
        try:
            await self.things.run()
        except asyncio.CancelledError:
            await database.close()

    def freeze(self, until: threading.Event) -> None:
        """Stop the whole loop, as SIGSTOP or a machine without time for us does."""
        stopped = threading.Event()
        self.loop.call_soon_threadsafe(lambda: (stopped.set(), until.wait()))
        stopped.wait()

    def end(self) -> None:
        assert self.task
        self.loop.call_soon_threadsafe(self.task.cancel)
        self.join()


def test_who_was_frozen_while_another_took_over_does_nothing_more(
    tmp_path: Path, fresh_database: FreshDatabase
) -> None:
    """What it waited for has come meanwhile: it must not go on with it when it thaws."""
    url = Stage(tmp_path, fresh_database(tmp_path)).settings.database
    first = Replica(url)
    assert first.things.began.wait(20)
    first.things.theirs.send(b"1")
    second, thaw = Replica(url), threading.Event()
    try:
        first.freeze(thaw)
        acts = len(first.things.acts)
        assert second.things.began.wait(20), "the other takes over"
        first.things.theirs.send(b"2")
        thaw.set()
        second.things.theirs.send(b"3")
        while not second.things.acts:
            second.join(0.01)
        first.end()
        assert len(first.things.acts) == acts
    finally:
        thaw.set()
        for replica in (first, second):
            if replica.is_alive():
                replica.end()


async def test_work_ends_with_the_lease_and_begins_again_with_it(database: Database) -> None:
    things = Things(database, Broker())
    running = asyncio.create_task(things.run())
    assert await asyncio.to_thread(things.began.wait, 20)
    things.began.clear()
    await steal(database, "r-thief")
    assert await asyncio.to_thread(things.ended.wait, 20)
    assert not things.began.is_set()
    await steal(database, None)
    assert await asyncio.to_thread(things.began.wait, 20)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    async with database.read() as session:
        assert await session.get(LeaseRow, "thing") is None, "it is given back"


async def steal(database: Database, holder: str | None) -> None:
    async with database.transaction() as session:
        row = await session.get_one(LeaseRow, "thing")
        if holder is None:
            await session.delete(row)
        else:
            row.holder, row.expires_at = holder, await database.clock(session) + leases.DURATION

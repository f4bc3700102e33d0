"""One replica reconciles; another takes over when it is gone, and not before it has stopped."""

import asyncio
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from platform_stage import Stage

from jupyter_mlplat.db.engine import Database
from jupyter_mlplat.events import store as events
from jupyter_mlplat.events.broker import Broker
from jupyter_mlplat.reconciling import leader, row_lease
from jupyter_mlplat.reconciling.file_lease import FileLease
from jupyter_mlplat.reconciling.leader import Leader
from jupyter_mlplat.reconciling.leases import Lease, LeaseLost
from jupyter_mlplat.reconciling.loop import Reconciler
from jupyter_mlplat.reconciling.row_lease import LeaseRow, RowLease
from jupyter_mlplat.testing.postgresql import FreshDatabase

pytestmark = pytest.mark.both_databases


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_lease, "DURATION", timedelta(seconds=2.4))
    monkeypatch.setattr(row_lease, "HOLD_SECONDS", 1.6)
    monkeypatch.setattr(row_lease, "RENEW_SECONDS", 0.2)
    monkeypatch.setattr(leader, "TRY_SECONDS", 0.2)


@pytest.fixture
async def database(tmp_path: Path, fresh_database: FreshDatabase) -> AsyncIterator[Database]:
    stage = Stage(tmp_path, fresh_database(tmp_path))
    yield stage.database
    await stage.database.close()


@pytest.fixture
def a_lease(database: Database, tmp_path: Path) -> Callable[[], Lease]:
    """Makes leases of that database, each as for another replica."""
    if database.postgresql:
        return lambda: RowLease(database, lambda: None)
    return lambda: FileLease(tmp_path / "lease")


async def test_one_holds_it_and_the_other_waits_until_it_is_given_back(a_lease: Callable[[], Lease]) -> None:
    first, second = a_lease(), a_lease()
    assert await first.take()
    assert not await second.take()
    assert await first.take(), "the holder still has it"
    await first.release()
    assert await second.take()
    assert not await first.take()
    await second.release()


async def test_of_many_who_want_it_at_once_one_gets_it(a_lease: Callable[[], Lease]) -> None:
    wanting = [a_lease() for _ in range(10)]
    assert sum(await asyncio.gather(*(one.take() for one in wanting))) == 1
    for one in wanting:
        await one.release()


async def test_who_gave_it_back_writes_nothing_more(database: Database, a_lease: Callable[[], Lease]) -> None:
    first = a_lease()
    fenced = database.fenced(first.confirm)
    assert await first.take()
    await write(fenced)
    await first.release()
    await refused(database, fenced)


@pytest.mark.both_databases("postgresql")
async def test_who_does_not_renew_it_stops_before_another_can_have_it(database: Database) -> None:
    lost = asyncio.Event()
    first, second = RowLease(database, lost.set), RowLease(database, lost.set)
    began = time.monotonic()
    assert await first.take()
    await lost.wait()
    stopped = time.monotonic() - began
    while not await second.take():
        assert not first.held
    assert stopped < 2.4 <= time.monotonic() - began


@pytest.mark.both_databases("postgresql")
async def test_who_lost_it_writes_nothing_more(database: Database, a_lease: Callable[[], Lease]) -> None:
    first, second = a_lease(), a_lease()
    assert await first.take()
    fenced = database.fenced(first.confirm)
    await write(fenced)
    while not await second.take():
        pass
    await refused(database, fenced)


async def write(database: Database) -> None:
    async with database.transaction() as session:
        events.emit(session, "thing", "t-1", "alice", "Test", "")


async def refused(database: Database, fenced: Database) -> None:
    """One event was written before; there is no second one."""
    with pytest.raises(LeaseLost):
        await write(fenced)
    async with database.read() as session:
        assert len(await events.of_owner(session, "alice", 0, 9)) == 1


HOLDER = """
import asyncio, subprocess, sys
from pathlib import Path
from jupyter_mlplat.reconciling.file_lease import FileLease

lease = FileLease(Path(sys.argv[1]))
assert asyncio.run(lease.take())
child = subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL)
print(child.pid, flush=True)
child.wait()
"""


@pytest.mark.both_databases("sqlite")
async def test_who_is_killed_leaves_it_at_once_also_where_a_process_of_his_lives_on(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    command = [sys.executable, "-c", HOLDER, str(path)]
    holder = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert holder.stdout
    child = int(await holder.stdout.readline())
    ours = FileLease(path)
    assert not await ours.take()
    holder.kill()
    await holder.wait()
    assert await ours.take()
    os.kill(child, signal.SIGKILL)
    await ours.release()


@pytest.mark.both_databases("postgresql")
async def test_an_end_that_no_lease_can_have_is_not_waited_for(database: Database) -> None:
    """The clock was set back by a day since it was written."""
    async with database.transaction() as session:
        ends = await database.clock(session) + timedelta(days=1)
        session.add(LeaseRow(name=row_lease.NAME, holder="r-gone", expires_at=ends))
    assert await RowLease(database, lambda: None).take()


class Things(Reconciler):
    """One thing, which is worked on as long as it may be. `acts` are the moments at which that had an effect."""

    noun = "thing"

    def __init__(self, database: Database, broker: Broker) -> None:
        super().__init__(database, broker)
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)
        self.began, self.ended = threading.Event(), threading.Event()
        self.began_at = self.ended_at = 0.0
        self.acts: list[float] = []

    async def pending(self) -> list[str]:
        return ["t-1"]

    async def reconcile(self, resource_id: str) -> None:
        self.began_at = time.monotonic()
        self.began.set()
        try:
            while True:
                await asyncio.get_running_loop().sock_recv(self.ours, 1)
                self.acts.append(time.monotonic())
        finally:
            self.ended_at = time.monotonic()
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
        leader = Leader(database, Broker())
        self.things = Things(leader.database(), Broker())
        self.loop, self.task = asyncio.get_running_loop(), asyncio.current_task()
        self.ready.set()
        try:
            await leader.run([self.things])
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


def test_who_comes_second_begins_when_the_first_has_ended(tmp_path: Path, fresh_database: FreshDatabase) -> None:
    url = Stage(tmp_path, fresh_database(tmp_path)).settings.database
    first = Replica(url)
    assert first.things.began.wait(20)
    second = Replica(url)
    assert not second.things.began.wait(0.5)
    first.end()
    assert second.things.began.wait(20)
    second.end()
    assert first.things.ended_at < second.things.began_at


@pytest.mark.both_databases("postgresql")
def test_who_was_frozen_while_another_took_over_does_nothing_more(
    tmp_path: Path, fresh_database: FreshDatabase
) -> None:
    """What it waited for has come meanwhile: it must not go on with it when it thaws."""
    url = Stage(tmp_path, fresh_database(tmp_path)).settings.database
    first = Replica(url)
    assert first.things.began.wait(20)
    second, thaw = Replica(url), threading.Event()
    try:
        first.things.theirs.send(b"1")
        while not first.things.acts:
            first.join(0.01)
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


@pytest.mark.both_databases("postgresql")
async def test_work_ends_with_the_lease_and_begins_again_with_it(database: Database) -> None:
    leader = Leader(database, Broker())
    things = Things(leader.database(), Broker())
    running = asyncio.create_task(leader.run([things]))
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
        assert await session.get(LeaseRow, row_lease.NAME) is None, "it is given back"


async def steal(database: Database, holder: str | None) -> None:
    async with database.transaction() as session:
        row = await session.get_one(LeaseRow, row_lease.NAME)
        if holder is None:
            await session.delete(row)
        else:
            row.holder, row.expires_at = holder, await database.clock(session) + row_lease.DURATION

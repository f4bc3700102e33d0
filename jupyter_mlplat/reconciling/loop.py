"""The loop that all reconcilers share: find what is not as wanted, work on each thing in a task of its own."""

import asyncio
import logging
import time
from abc import ABC, abstractmethod

from sqlalchemy.ext.asyncio import AsyncSession

from jupyter_mlplat.db.engine import Database
from jupyter_mlplat.errors import BackendFailure
from jupyter_mlplat.events.broker import Broker, Subscription
from jupyter_mlplat.reconciling.leases import RENEW_SECONDS, Lease

log = logging.getLogger(__name__)

ROUND_SECONDS = 5.0
PAUSE_SECONDS = 0.1
"""Between two rounds, so that many commits in a row make few of them."""


class Reconciler(ABC):
    """Moves the status of one noun to its target. It wakes at each commit, and every few seconds in any case.

    `database` is fenced while `run` runs: no transaction of a replica that has lost its lease goes through.
    """

    noun: str

    def __init__(self, database: Database, broker: Broker) -> None:
        self.database = database.fenced(self._confirm)
        self.broker = broker
        self._plain = database
        self._lease: Lease | None = None
        self._word: Subscription | None = None
        self._rounds: asyncio.Task[None] | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._not_before: dict[str, float] = {}

    @abstractmethod
    async def pending(self) -> list[str]:
        """The ids of what is not as wanted, or due to be looked at."""

    @abstractmethod
    async def reconcile(self, resource_id: str) -> None:
        """Work on one thing until it is as wanted or its target changed. May be cancelled or killed at any line."""

    async def run(self) -> None:
        """Until cancelled: wait for the lease, and work while it is held. Then it is given back."""
        self._lease = Lease(self._plain, self.noun, self._stop_work)
        try:
            with self.broker.subscribe() as self._word:
                while True:
                    if await self._take(self._lease):
                        await self._work(self._lease, self._word)
                    else:
                        await asyncio.sleep(PAUSE_SECONDS)
                        await self._word.wait(RENEW_SECONDS)
        finally:
            self._stop_work()
            await self._ended()
            await self._give_back(self._lease)

    async def _work(self, lease: Lease, word: Subscription) -> None:
        """Until the lease is lost; nothing of the work goes on afterwards."""
        log.info("this replica reconciles each %s", self.noun)
        self._rounds = asyncio.create_task(self._go_round(word), name=f"rounds of {self.noun}")
        while lease.held and not self._rounds.done():
            await asyncio.wait([self._rounds], timeout=RENEW_SECONDS)
            await self._take(lease)
        self._stop_work()
        await self._ended()
        log.warning("this replica no longer reconciles each %s: it lost the lease", self.noun)

    async def _take(self, lease: Lease) -> bool:
        try:
            return await lease.take()
        except BackendFailure as error:
            log.warning("the lease of each %s: %s", self.noun, error)
            return lease.held

    async def _give_back(self, lease: Lease) -> None:
        try:
            await lease.release()
        except BackendFailure as error:
            log.warning("the lease of each %s ends by itself: %s", self.noun, error)

    async def _confirm(self, session: AsyncSession) -> None:
        if self._lease is not None:
            await self._lease.confirm(session)

    async def _go_round(self, word: Subscription) -> None:
        while True:
            began = time.monotonic()
            await self._round()
            # rounds over very much take a fifth of the time at most; the work itself needs the rest
            await asyncio.sleep(max(PAUSE_SECONDS, 4 * (time.monotonic() - began)))
            await word.wait(ROUND_SECONDS)

    async def _round(self) -> None:
        try:
            for resource_id in await self.pending():
                self._work_on(resource_id)
        except BackendFailure as error:
            log.warning("a round of the %s reconciler: %s", self.noun, error)
        except Exception:
            log.exception("a round of the %s reconciler failed", self.noun)

    def _work_on(self, resource_id: str) -> None:
        if resource_id in self._tasks or time.monotonic() < self._not_before.get(resource_id, 0):
            return
        task = asyncio.create_task(self._guarded(resource_id), name=f"{self.noun} {resource_id}")
        self._tasks[resource_id] = task
        task.add_done_callback(lambda _: self._done(resource_id))

    def _done(self, resource_id: str) -> None:
        """What was asked of it meanwhile is seen in the next round."""
        self._tasks.pop(resource_id, None)
        if self._word is not None:
            self._word.wake()

    async def _guarded(self, resource_id: str) -> None:
        try:
            await self.reconcile(resource_id)
            self._not_before.pop(resource_id, None)
        except BackendFailure as error:
            log.warning("%s %s waits: %s", self.noun, resource_id, error)
            self._not_before[resource_id] = time.monotonic() + 2
        except Exception:
            log.exception("reconciling %s %s failed", self.noun, resource_id)
            self._not_before[resource_id] = time.monotonic() + 5

    def _stop_work(self) -> None:
        for task in self._under_way():
            task.cancel()

    async def _ended(self) -> None:
        await asyncio.gather(*self._under_way(), return_exceptions=True)

    def _under_way(self) -> list[asyncio.Task[None]]:
        return [*self._tasks.values(), *([self._rounds] if self._rounds else [])]

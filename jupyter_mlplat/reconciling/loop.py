"""The loop that all reconcilers share: find what is not as wanted, work on each thing in a task of its own."""

import asyncio
import logging
import time
from abc import ABC, abstractmethod

from jupyter_mlplat.core.ids import new_id
from jupyter_mlplat.db.engine import Database
from jupyter_mlplat.errors import BackendFailure
from jupyter_mlplat.events.broker import Broker
from jupyter_mlplat.reconciling import leases

log = logging.getLogger(__name__)

ROUND_SECONDS = 5.0
RENEW_SECONDS = 5.0


class Reconciler(ABC):
    """Moves the status of one noun to its target. It wakes at each commit, and every few seconds in any case."""

    noun: str

    def __init__(self, database: Database, broker: Broker) -> None:
        self.database = database
        self.broker = broker
        self._holder = new_id("r")
        self._renewed = 0.0
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._not_before: dict[str, float] = {}

    @abstractmethod
    async def pending(self) -> list[str]:
        """The ids of what is not as wanted, or due to be looked at."""

    @abstractmethod
    async def reconcile(self, resource_id: str) -> None:
        """Work on one thing until it is as wanted or its target changed. May be cancelled or killed at any line."""

    async def run(self) -> None:
        """Until cancelled; then the work under way is cancelled too and the lease given back."""
        try:
            with self.broker.subscribe() as subscription:
                while True:
                    await self._round()
                    await subscription.wait(ROUND_SECONDS)
        finally:
            await self._shut_down()

    async def _round(self) -> None:
        try:
            if await self._holds_lease():
                for resource_id in await self.pending():
                    self._work_on(resource_id)
        except Exception:
            log.exception("a round of the %s reconciler failed", self.noun)

    async def _holds_lease(self) -> bool:
        if time.monotonic() - self._renewed < RENEW_SECONDS:
            return True
        held = await leases.hold(self.database, self.noun, self._holder)
        self._renewed = time.monotonic() if held else 0.0
        return held

    def _work_on(self, resource_id: str) -> None:
        if resource_id in self._tasks or time.monotonic() < self._not_before.get(resource_id, 0):
            return
        task = asyncio.create_task(self._guarded(resource_id), name=f"{self.noun} {resource_id}")
        self._tasks[resource_id] = task
        task.add_done_callback(lambda _: self._done(resource_id))

    def _done(self, resource_id: str) -> None:
        self._tasks.pop(resource_id, None)
        self.broker.committed()

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

    async def _shut_down(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._renewed:
            await leases.release(self.database, self.noun, self._holder)

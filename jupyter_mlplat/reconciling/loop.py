"""The loop that all reconcilers share: find what is not as wanted, work on each thing in a task of its own."""

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable

from jupyter_mlplat.db.engine import Database
from jupyter_mlplat.errors import BackendFailure
from jupyter_mlplat.events.broker import Broker, Subscription

log = logging.getLogger(__name__)

ROUND_SECONDS = 5.0
PAUSE_SECONDS = 0.1
"""Between two rounds, so that many commits in a row make few of them."""


class Reconciler(ABC):
    """Moves the status of one noun to its target. It wakes at each commit, and when something else is due."""

    noun: str

    def __init__(self, database: Database, broker: Broker) -> None:
        self.database = database
        self.broker = broker
        self._word: Subscription | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._not_before: dict[str, float] = {}

    @abstractmethod
    async def pending(self) -> list[str]:
        """The ids of what is not as wanted, or due to be looked at."""

    @abstractmethod
    async def reconcile(self, resource_id: str) -> None:
        """Work on one thing until it is as wanted or its target changed. May be cancelled or killed at any line."""

    def rest(self) -> float:
        """Seconds until the next round if no commit calls for it earlier."""
        return ROUND_SECONDS if self._tasks or self._not_before else self.database.patience

    async def run(self) -> None:
        """Until cancelled; nothing of the work goes on afterwards."""
        try:
            with self.broker.subscribe() as self._word:
                await self._go_round(self._word)
        finally:
            self.stop()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def stop(self) -> None:
        """Cut off at once all work that is under way."""
        cut_off(self._tasks.values())

    def cut_off_work_on(self, resource_ids: Iterable[str]) -> None:
        """Cut off the work on some things; the next round, which comes when it has ended, finds them again."""
        cut_off([task for key, task in self._tasks.items() if key in set(resource_ids)])

    async def _go_round(self, word: Subscription) -> None:
        while True:
            began = time.monotonic()
            seconds = await self._round()
            # rounds over very much take a fifth of the time at most; the work itself needs the rest
            await asyncio.sleep(max(PAUSE_SECONDS, 4 * (time.monotonic() - began)))
            await word.wait(seconds)

    async def _round(self) -> float:
        """Begin what is due; the seconds until the next round in any case."""
        self._not_before = {key: end for key, end in self._not_before.items() if time.monotonic() < end}
        try:
            for resource_id in await self.pending():
                self._work_on(resource_id)
            return self.rest()
        except BackendFailure as error:
            log.warning("a round of the %s reconciler: %s", self.noun, error)
        except Exception:
            log.exception("a round of the %s reconciler failed", self.noun)
        return ROUND_SECONDS

    def _work_on(self, resource_id: str) -> None:
        if resource_id in self._tasks or resource_id in self._not_before:
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
        except BackendFailure as error:
            log.warning("%s %s waits: %s", self.noun, resource_id, error)
            self._not_before[resource_id] = time.monotonic() + 2
        except Exception:
            log.exception("reconciling %s %s failed", self.noun, resource_id)
            self._not_before[resource_id] = time.monotonic() + 5


def cut_off(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks, but leave those alone that clean up after themselves already."""
    for task in tasks:
        if not task.cancelling():
            task.cancel()

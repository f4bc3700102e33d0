"""Who reconciles: of all replicas of the platform the one that holds the lease, with all its reconcilers."""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import make_url

from jupyter_mlplat.db.engine import Database
from jupyter_mlplat.errors import BackendFailure
from jupyter_mlplat.events.broker import Broker
from jupyter_mlplat.reconciling.file_lease import FileLease
from jupyter_mlplat.reconciling.leases import Lease
from jupyter_mlplat.reconciling.loop import PAUSE_SECONDS, Reconciler, cut_off
from jupyter_mlplat.reconciling.row_lease import RowLease

log = logging.getLogger(__name__)

TRY_SECONDS = 1.5
"""How often a replica that waits asks for the lease; it asks too when something was committed."""


class Leader:
    """Waits for the lease of a database, and runs reconcilers while it is held."""

    def __init__(self, database: Database, broker: Broker) -> None:
        self._database = database
        self._broker = broker
        self._lease = self._lease_of(database)
        self._reconcilers: Sequence[Reconciler] = ()
        self._work: list[asyncio.Task[None]] = []

    def database(self) -> Database:
        """The database for one reconciler: no transaction of a replica that has lost the lease goes through."""
        return self._database.fenced(self._lease.confirm)

    async def run(self, reconcilers: Sequence[Reconciler]) -> None:
        """Until cancelled: wait for the lease, and work while it is held. Then it is given back."""
        self._reconcilers = reconcilers
        try:
            with self._broker.subscribe() as word:
                while True:
                    if await self._take():
                        await self._reconcile()
                    else:
                        await asyncio.sleep(PAUSE_SECONDS)
                        await word.wait(TRY_SECONDS)
        finally:
            await self._end()
            await self._give_back()

    async def _reconcile(self) -> None:
        """Until the lease is lost; nothing of the work goes on afterwards."""
        log.info("this replica reconciles")
        self._work = [asyncio.create_task(self._lease.keep(), name="lease")]
        self._work += [asyncio.create_task(one.run(), name=f"rounds of {one.noun}") for one in self._reconcilers]
        await asyncio.wait(self._work, return_when=asyncio.FIRST_COMPLETED)
        await self._end()
        log.warning("this replica no longer reconciles: it lost the lease")

    async def _take(self) -> bool:
        try:
            return await self._lease.take()
        except BackendFailure as error:
            log.warning("the lease: %s", error)
            return False

    async def _give_back(self) -> None:
        try:
            await self._lease.release()
        except BackendFailure as error:
            log.warning("the lease ends by itself: %s", error)

    def _stop(self) -> None:
        for reconciler in self._reconcilers:
            reconciler.stop()
        cut_off(self._work)

    async def _end(self) -> None:
        self._stop()
        await asyncio.gather(*self._work, return_exceptions=True)

    def _lease_of(self, database: Database) -> Lease:
        if database.postgresql:
            return RowLease(database, self._stop)
        return FileLease(Path(f"{make_url(database.url).database}-lease"))

"""The lease of a PostgreSQL database: a row that its holder renews.

Who holds it renews it every RENEW_SECONDS. Another replica may take it DURATION after the last renewal, by the clock of
the database; the holder itself stops HOLD_SECONDS after it *began* that renewal, by its own count of seconds. So it
stops first, whatever clocks say. What a stopped holder had on the way all the same is kept from the database: `confirm`
refuses the transactions of who is no longer the holder.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from jupyter_mlplat.core.ids import new_id
from jupyter_mlplat.db.base import Base
from jupyter_mlplat.db.engine import Database
from jupyter_mlplat.errors import BackendFailure
from jupyter_mlplat.reconciling.leases import Lease, LeaseLost

log = logging.getLogger(__name__)

NAME = "reconciler"
DURATION = timedelta(seconds=8)
HOLD_SECONDS = 6.5
RENEW_SECONDS = 1.5


class LeaseRow(Base):
    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[str]
    expires_at: Mapped[datetime]


class RowLease(Lease):
    """`lost` is called when this replica must stop at once what it does as the holder."""

    def __init__(self, database: Database, lost: Callable[[], None]) -> None:
        self.holder = new_id("r")
        self._database = database
        self._lost = lost
        self._end: asyncio.TimerHandle | None = None

    @property
    def held(self) -> bool:
        return self._end is not None

    async def take(self) -> bool:
        loop = asyncio.get_running_loop()
        end = loop.time() + HOLD_SECONDS
        if not self.held and not await self._is_free():
            return False
        if await self._store() and loop.time() < end:
            self._hold_until(end)
        else:
            self._lapse()
        return self.held

    async def keep(self) -> None:
        while self.held:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                await self.take()
            except BackendFailure as error:
                log.warning("the lease is not renewed: %s", error)

    async def release(self) -> None:
        if self._end is None:
            return
        self._end.cancel()
        self._end = None
        async with self._database.transaction() as session:
            row = await session.get(LeaseRow, NAME)
            if row is not None and row.holder == self.holder:
                await session.delete(row)

    async def confirm(self, session: AsyncSession) -> None:
        row = await session.get(LeaseRow, NAME)
        if row is None or row.holder != self.holder:
            raise LeaseLost("another replica has the lease")

    async def _is_free(self) -> bool:
        """Looked at without a place in the writers' queue, for this is how a second replica passes its days."""
        async with self._database.read() as session:
            return await self._may_take(session, await session.get(LeaseRow, NAME))

    async def _store(self) -> bool:
        async with self._database.transaction(silent=True) as session:
            row = await session.get(LeaseRow, NAME)
            if not await self._may_take(session, row):
                return False
            expires_at = await self._database.clock(session) + DURATION
            await session.merge(LeaseRow(name=NAME, holder=self.holder, expires_at=expires_at))
            return True

    async def _may_take(self, session: AsyncSession, row: LeaseRow | None) -> bool:
        """A lease that ends later than any can was written before the clock was set back."""
        if row is None or row.holder == self.holder:
            return True
        moment = await self._database.clock(session)
        return not moment < row.expires_at <= moment + DURATION

    def _hold_until(self, end: float) -> None:
        if self._end is not None:
            self._end.cancel()
        # After a pause of the whole process the loop calls this before it resumes any work that waits for an answer.
        # Work whose answer had come before the pause may still take its one step; `confirm` keeps it from the database.
        self._end = asyncio.get_running_loop().call_at(end, self._lapse)

    def _lapse(self) -> None:
        if self._end is not None:
            self._end.cancel()
            self._end = None
            self._lost()

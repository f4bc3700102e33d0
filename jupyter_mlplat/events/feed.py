"""Tells the event streams of this replica whose things something happened to, whichever replica wrote it down."""

import asyncio
import logging

from jupyter_mlplat.db.engine import Database
from jupyter_mlplat.errors import BackendFailure
from jupyter_mlplat.events import store
from jupyter_mlplat.events.broker import Broker

log = logging.getLogger(__name__)

RETRY_SECONDS = 5.0
PAUSE_SECONDS = 0.05
"""Between two looks, so that many commits in a row make few of them."""


class Feed:
    """Looks for new events at each commit, once for all streams, and from time to time in any case.

    Streams read for themselves, from the number that they have come to.
    """

    def __init__(self, database: Database, broker: Broker) -> None:
        self._database = database
        self._broker = broker
        self._last: int | None = None

    async def run(self) -> None:
        """Until cancelled."""
        with self._broker.subscribe() as word:
            while True:
                seconds = await self._looked()
                await asyncio.sleep(PAUSE_SECONDS)
                await word.wait(seconds)

    async def _looked(self) -> float:
        """Look; the seconds until the next look if nothing is committed."""
        try:
            await self._look()
            return self._database.patience
        except BackendFailure as error:
            log.warning("new events cannot be read: %s", error)
        except Exception:
            log.exception("new events cannot be read")
        return RETRY_SECONDS

    async def _look(self) -> None:
        async with self._database.read() as session:
            if self._last is None:
                self._last = await store.latest_id(session)
                self._broker.missed()
                return
            self._last, owners = await store.owners_after(session, self._last)
        self._broker.happened(owners)

"""One after the other, in the order in which they came."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from jupyter_mlplat.errors import BackendFailure


class Turns:
    """Who takes a turn waits while those before have theirs, however many they are.

    BackendFailure for who is not patient, once nobody has got a turn for `seconds`: the one who has it is stuck.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._given = 0

    @asynccontextmanager
    async def take(self, seconds: float, *, patient: bool) -> AsyncIterator[None]:
        await asyncio.sleep(0)  # else who takes one turn after the other would let nobody else run
        if self._lock.locked() and not patient:
            await self._wait(seconds)
        else:
            await self._lock.acquire()
        self._given += 1
        try:
            yield
        finally:
            self._lock.release()

    async def _wait(self, seconds: float) -> None:
        acquiring = asyncio.ensure_future(self._lock.acquire())
        try:
            while not acquiring.done():
                given = self._given
                await asyncio.wait({acquiring}, timeout=seconds)
                if given == self._given and not acquiring.done():
                    raise BackendFailure("The database is busy. Try again soon.")
        except BaseException:
            if not acquiring.cancel() and not acquiring.cancelled():
                self._lock.release()
            raise

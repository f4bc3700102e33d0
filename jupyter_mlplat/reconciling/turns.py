"""So many at a time, so that the rest goes the faster."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """Lets `count` pieces of work begin at a time. One that takes longer than `seconds` goes on, but others may begin:
    it waits for something else then, and is not what keeps the machine busy."""

    def __init__(self, count: int, seconds: float) -> None:
        self._free = asyncio.Semaphore(count)
        self._seconds = seconds

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        await self._free.acquire()
        over = asyncio.Event()
        timer = asyncio.get_running_loop().call_later(self._seconds, self._end, over)
        try:
            yield
        finally:
            timer.cancel()
            self._end(over)

    def _end(self, over: asyncio.Event) -> None:
        if not over.is_set():
            over.set()
            self._free.release()

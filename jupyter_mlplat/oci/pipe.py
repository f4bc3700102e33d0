"""Bytes from a thread that makes them to a coroutine that sends them."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import CancelledError
from typing import Any

from jupyter_mlplat.oci.layer import Cancelled

_PIECE = 1 << 20
_WAITING = 8


class Pipe:
    """Written to like a file, in one thread; iterated over in the event loop in which it was made.

    A writer that is too quick waits. Once `broken` it raises Cancelled.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(_WAITING)
        self._pending: list[bytes] = []
        self._size = 0
        self._broken = False

    def write(self, data: bytes) -> int:
        self._pending.append(data)
        self._size += len(data)
        if self._size >= _PIECE:
            self.flush()
        return len(data)

    def flush(self) -> None:
        if self._pending:
            self._put(b"".join(self._pending))
            self._pending, self._size = [], 0

    def close(self) -> None:
        """Say that nothing follows."""
        self.flush()
        self._put(None)

    def break_off(self) -> None:
        """Nobody reads any more. Called in the event loop."""
        self._broken = True
        while not self._queue.empty():
            self._queue.get_nowait()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (piece := await self._queue.get()) is not None:
            yield piece

    def _put(self, piece: bytes | None) -> None:
        if self._broken:
            raise Cancelled
        waiting: Any = asyncio.run_coroutine_threadsafe(self._queue.put(piece), self._loop)
        try:
            waiting.result()
        except CancelledError as error:
            raise Cancelled from error

"""Work that is cut off once somebody has changed their mind about it."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def unless(nudge: asyncio.Event, work: Awaitable[T]) -> T | None:
    """What the work gives, or None once somebody nudges first; the work is then cut off."""
    working, nudged = asyncio.ensure_future(work), asyncio.ensure_future(nudge.wait())
    try:
        await asyncio.wait({working, nudged}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        for task in (working, nudged):
            task.cancel()
        await asyncio.gather(working, nudged, return_exceptions=True)

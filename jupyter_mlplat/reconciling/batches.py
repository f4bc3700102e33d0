"""Progress that comes faster than it can be written down."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

T = TypeVar("T")


async def in_batches(source: AsyncGenerator[T, None]) -> AsyncGenerator[list[T], None]:
    """What came since the last time, each time at least one; the source goes on meanwhile.

    Its error is raised after all that came before it. The source is cut off when this generator is closed.
    """
    waiting: list[T] = []
    news = asyncio.Event()

    async def take() -> None:
        async with aclosing(source):
            async for item in source:
                waiting.append(item)
                news.set()

    taking = asyncio.create_task(take())
    taking.add_done_callback(lambda _: news.set())
    try:
        over = False
        while not over:
            await news.wait()
            news.clear()
            over = taking.done()
            batch = waiting.copy()
            waiting.clear()
            if batch:
                yield batch
        await taking
    finally:
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)

"""Progress in batches: nothing is lost or held back, errors come last, who is no longer read is cut off."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from jupyter_mlplat.reconciling.batches import in_batches


async def counting(until: int, error: Exception | None = None) -> AsyncGenerator[int, None]:
    for number in range(until):
        yield number
    if error:
        raise error


async def test_what_comes_while_a_batch_is_written_down_comes_together() -> None:
    batches = []
    async for batch in in_batches(counting(5)):
        batches.append(batch)
        await asyncio.sleep(0)
    assert [number for batch in batches for number in batch] == [0, 1, 2, 3, 4]
    assert len(batches) < 5


async def test_the_first_is_not_held_back_for_the_second() -> None:
    go_on = asyncio.Event()

    async def slow() -> AsyncGenerator[str, None]:
        yield "first"
        await go_on.wait()
        yield "second"

    async with aclosing(in_batches(slow())) as batches:
        assert await anext(batches) == ["first"]
        go_on.set()
        assert [batch async for batch in batches] == [["second"]]


async def test_an_error_comes_after_all_that_was_before_it() -> None:
    seen: list[int] = []
    with pytest.raises(ValueError, match="over"):
        async for batch in in_batches(counting(3, ValueError("over"))):
            seen += batch
    assert seen == [0, 1, 2]


async def test_nothing_at_all_is_no_batch() -> None:
    assert [batch async for batch in in_batches(counting(0))] == []


async def test_who_stops_reading_cuts_the_source_off() -> None:
    ended = asyncio.Event()

    async def endless() -> AsyncGenerator[int, None]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with aclosing(in_batches(endless())) as batches:
        assert await anext(batches) == [1]
    assert ended.is_set()

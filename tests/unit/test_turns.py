"""Turns: who waits goes on waiting as long as others get theirs, and is told when nobody does."""

import asyncio

import pytest

from jupyter_mlplat.db.turns import Turns
from jupyter_mlplat.errors import BackendFailure


async def test_who_waits_longer_than_the_limit_gets_a_turn_where_others_get_theirs():
    turns, limit = Turns(), 0.3
    order = []

    async def work(number: int) -> None:
        async with turns.take(limit, patient=False):
            order.append(number)
            await asyncio.sleep(limit / 3)

    began = asyncio.get_running_loop().time()
    await asyncio.gather(*map(work, range(9)))
    assert order == list(range(9))
    assert asyncio.get_running_loop().time() - began > 2 * limit


async def test_who_waits_for_somebody_stuck_is_told_and_the_others_go_on():
    turns, stuck = Turns(), asyncio.Event()

    async def hold() -> None:
        async with turns.take(0.1, patient=False):
            await stuck.wait()

    async def wait_patiently() -> str:
        async with turns.take(0.1, patient=True):
            return "had a turn"

    holding = asyncio.ensure_future(hold())
    await asyncio.sleep(0.01)
    waiting = asyncio.ensure_future(wait_patiently())
    with pytest.raises(BackendFailure, match="busy"):
        async with turns.take(0.1, patient=False):
            pass
    stuck.set()
    await holding
    assert await waiting == "had a turn"
    async with turns.take(0.1, patient=False):
        pass


async def test_who_gives_up_waiting_leaves_the_turn_to_others():
    turns = Turns()
    async with turns.take(5, patient=False):
        waiting = asyncio.ensure_future(turns.take(5, patient=False).__aenter__())
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    async with asyncio.timeout(1), turns.take(5, patient=False):
        pass

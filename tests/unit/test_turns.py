"""So many pieces of work begin at a time; who takes long lets others begin."""

import asyncio

from jupyter_mlplat.reconciling.turns import Turns


async def test_so_many_begin_at_a_time() -> None:
    turns, begun, go = Turns(2, 60), [], asyncio.Event()

    async def work(number: int) -> None:
        async with turns.one():
            begun.append(number)
            await go.wait()

    tasks = [asyncio.create_task(work(number)) for number in range(5)]
    await settled()
    assert begun == [0, 1]
    tasks[0].cancel()
    await settled()
    assert begun == [0, 1, 2]
    go.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert begun == [0, 1, 2, 3, 4]


async def test_who_takes_long_lets_one_other_begin() -> None:
    turns, begun, go = Turns(1, 0.05), [], asyncio.Event()

    async def work(number: int) -> None:
        async with turns.one():
            begun.append(number)
            await (go.wait() if number == 0 else asyncio.sleep(0))

    tasks = [asyncio.create_task(work(number)) for number in range(3)]
    await settled()
    assert begun == [0]
    await asyncio.wait(tasks[1:])
    assert begun == [0, 1, 2]
    go.set()
    await asyncio.gather(*tasks)
    async with turns.one():
        waiting = asyncio.create_task(work(4))
        await settled()
        assert 4 not in begun
    await waiting


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)

"""Visits: each is named PID-STARTED for the process of the gateway that lets it through."""

import asyncio
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from jupyter_mlplat.core.processes import Process, alive, end, with_relatives

GRACE = 0.5
"""Seconds that the processes of a visit have to end by themselves."""


def process_of(visit_id: str) -> Process:
    """The process that a visit is named for; ValueError where it is none."""
    pid, _, started = visit_id.partition("-")
    return Process(int(pid), int(started))


def goes_on(visit_id: str) -> bool:
    return alive(process_of(visit_id))


@contextmanager
def leaving(visit_ids: Collection[str]) -> Iterator[asyncio.Event]:
    """An event that is set as soon as one of the visits, which go on, has ended."""
    loop, left = asyncio.get_running_loop(), asyncio.Event()
    handles: list[int] = []
    try:
        for visit_id in visit_ids:
            try:
                handles.append(os.pidfd_open(process_of(visit_id).pid))
            except ProcessLookupError:
                left.set()
            else:
                loop.add_reader(handles[-1], left.set)
        yield left
    finally:
        for handle in handles:
            loop.remove_reader(handle)
            os.close(handle)


async def end_visit(visit_id: str) -> None:
    """End the process of a visit with all that it has started."""
    process = process_of(visit_id)
    await end(lambda: with_relatives(lambda pid: pid == process.pid and alive(process)), GRACE)

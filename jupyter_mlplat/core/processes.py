"""Processes of this machine, found by their environment, ended for certain.

What tells one from another is in `proc`, whose names this module has too.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress

from jupyter_mlplat.core.proc import Process, alive, command_of, environment_of, identify, rows

__all__ = [
    "Process",
    "alive",
    "command_of",
    "end",
    "environment_of",
    "gone",
    "identify",
    "of_instance",
    "send",
    "until",
    "with_environment",
    "with_relatives",
]

PAUSE = 0.05
KILL_ROUNDS = 10


def with_relatives(accept: Callable[[int], bool]) -> set[Process]:
    """The processes whose pid is accepted, with all that they started and all that shares a session with these.

    The caller, and whatever shares its session, is never among them.
    """
    found = list(rows())
    chosen = {row.process.pid for row in found if accept(row.process.pid)}
    own = os.getsid(0)
    size = -1
    while size != len(chosen):
        size = len(chosen)
        sessions = {row.session for row in found if row.process.pid in chosen} - {0, own}
        chosen |= {row.process.pid for row in found if row.parent in chosen or row.session in sessions}
    return {row.process for row in found if row.process.pid in chosen and row.session != own}


def with_environment(matches: Callable[[Mapping[str, str]], bool]) -> set[Process]:
    """The processes (and their relatives) whose environment matches."""
    return with_relatives(lambda pid: matches(environment_of(pid)))


def of_instance(instance_id: str, also: Collection[Process] = ()) -> set[Process]:
    """All processes of an instance: its server, kernels, terminals and what these started; and those of `also`."""
    known = {process.pid for process in also if alive(process)}
    return with_relatives(lambda pid: pid in known or environment_of(pid).get("MLPLAT_INSTANCE_ID") == instance_id)


def send(process: Process, number: signal.Signals) -> None:
    """Send a signal to exactly this process; one that is gone is no error."""
    with suppress(ProcessLookupError):
        if alive(process):
            os.kill(process.pid, number)


async def gone(processes: Collection[Process], seconds: float) -> bool:
    """Wait until none of the processes runs, `seconds` at most; whether that is so."""

    async def all_gone() -> bool:
        return not any(alive(process) for process in processes)

    return await until(all_gone, seconds, PAUSE)


async def until(asked: Callable[[], Awaitable[bool]], seconds: float | None, pause: float) -> bool:
    """Ask again and again, `pause` seconds apart, until the answer is yes; False after `seconds` (None: never)."""
    try:
        async with asyncio.timeout(seconds):
            while not await asked():  # noqa: ASYNC110 - other processes send no word
                await asyncio.sleep(pause)
    except TimeoutError:
        return False
    return True


async def end(find: Callable[[], set[Process]], grace: float, first: Collection[Process] = ()) -> None:
    """End every process that `find` finds, and what appears meanwhile.

    Those of `first` (the ones that end the others in good order) are asked with SIGTERM and have `grace` seconds;
    then all that is left is asked and has one second; then all is killed, again while new ones appear. What hangs in
    the kernel and cannot be killed is given up.
    """
    if first:
        found = await asyncio.to_thread(find)
        for process in first:
            send(process, signal.SIGTERM)
        await gone(first, grace)
        await _signal_all(found | await asyncio.to_thread(find), signal.SIGTERM, 1.0)
    else:
        await _signal_all(await asyncio.to_thread(find), signal.SIGTERM, grace)
    for _ in range(KILL_ROUNDS):
        if left := await asyncio.to_thread(find):
            await _signal_all(left, signal.SIGKILL, 1.0)


async def _signal_all(processes: Collection[Process], number: signal.Signals, seconds: float) -> None:
    for process in processes:
        send(process, number)
    await gone(processes, seconds)

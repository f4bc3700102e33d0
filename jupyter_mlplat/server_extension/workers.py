"""Programs that work beside this server and speak in lines."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress

_GOOD_ORDER = 10.0
_LONGEST_LINE = 1 << 20


async def lines_of(call: Sequence[str]) -> AsyncGenerator[bytes, None]:
    """What the program says, line by line. It ends with the iteration, with all that it has started."""
    quiet, pipe = asyncio.subprocess.DEVNULL, asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *call, stdin=quiet, stdout=pipe, limit=_LONGEST_LINE, start_new_session=True
    )
    try:
        assert process.stdout is not None
        async for line in process.stdout:
            yield line
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    """In good order where it takes SIGTERM."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _GOOD_ORDER)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()

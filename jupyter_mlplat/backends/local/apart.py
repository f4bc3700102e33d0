"""Work on images in a process of its own: it leaves the platform's event loop and its memory alone.

What it says is lines of JSON, see `worker`. It ends with the platform, however that ends.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path
from typing import Any

from jupyter_mlplat import errors
from jupyter_mlplat.backends.base import Checkpoint
from jupyter_mlplat.errors import MlplatError

WORKER = "jupyter_mlplat.backends.local.worker"

_LONGEST_LINE = 1 << 26

Result = dict[str, Any]


async def apart(verb: str, **arguments: str | Path) -> AsyncGenerator[Checkpoint | Result, None]:
    """Progress in bytes, then what the work came to. Raises what the work raised.

    Closed or cancelled, it kills the work and returns when that has ended; what was half made is the caller's to clear
    away.
    """
    described = json.dumps(arguments, default=os.fspath)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", WORKER, str(os.getpid()), verb, described),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        limit=_LONGEST_LINE,
        env=_environment(),
    )
    try:
        assert process.stdout is not None
        async for line in process.stdout:
            yield _heard(json.loads(line))
        if await process.wait():
            raise MlplatError(f"The work on the image broke off ({_ending(process.returncode)}). Try again.")
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _heard(said: Result) -> Checkpoint | Result:
    if "error" in said:
        kind = getattr(errors, said["error"], MlplatError)
        raise kind(said["message"])
    if "result" in said:
        return dict(said["result"])
    return Checkpoint(said["message"], done=said["done"], total=said["total"])


def _environment() -> dict[str, str]:
    """Without the platform's settings for an allocator that gives all back at once: here they cost time."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}


def _ending(code: int | None) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}; the platform's log says more"

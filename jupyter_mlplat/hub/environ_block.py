"""What `/proc/PID/environ` shows of a forked process.

The kernel shows the environment block that a process was started with. A process forked from the nursery has changed
its variables since, so it writes the ones that others look for into that block.
"""

import ctypes
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

PADDING = "MLPLAT_PADDING"
ROOM = 4096


def room() -> dict[str, str]:
    """A variable that makes the block of a process to be started large enough."""
    return {PADDING: "." * ROOM}


def show(environment: Mapping[str, str]) -> None:
    """Let `/proc/self/environ` show these variables and no others, as many as fit. Call it after `os.environ.clear`.

    The block is not used by then: the C library has copied what is set since.
    """
    with suppress(OSError, ValueError, IndexError):
        start, end = _block()
        ctypes.memset(start, 0, end - start)
        ctypes.memmove(start, *_fitting(environment, end - start - 1))


def _block() -> tuple[int, int]:
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(fields[47]), int(fields[48])
    if not 0 < start < end:
        raise ValueError("the kernel does not say where the block is")
    return start, end


def _fitting(environment: Mapping[str, str], size: int) -> tuple[bytes, int]:
    block = b""
    for name in sorted(environment):
        entry = f"{name}={environment[name]}".encode() + b"\0"
        if len(block) + len(entry) <= size:
            block += entry
    return block, len(block)

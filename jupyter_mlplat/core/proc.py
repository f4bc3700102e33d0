"""What /proc says: processes told apart by pid and start time, what they were started with, what they have started.

A pid alone is not enough after a restart: it may have been given to somebody else. The start time (in clock ticks
since the machine started, field 22 of /proc/PID/stat) makes the pair unique.
"""

import ctypes
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
LONGEST_STAT = 4096
_PARENT_DEATH_SIGNAL = 1
_CHILD_SUBREAPER = 36

_ARENA_MAX = -8
_HEAPS = 6

_libc = ctypes.CDLL(None)
_prctl = _libc.prctl


@dataclass(frozen=True)
class Process:
    """One process; `started` is its start time in clock ticks since boot."""

    pid: int
    started: int


@dataclass(frozen=True)
class Row:
    """A process, the pid of its parent, and its session."""

    process: Process
    parent: int
    session: int


def _read_row(pid: int) -> Row | None:
    try:
        # of hundreds of processes, again and again: a file object would take three times as long
        handle = os.open(f"{PROC}/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            fields = os.read(handle, LONGEST_STAT).rpartition(b")")[2].split()
        finally:
            os.close(handle)
    except OSError:
        return None
    if fields[0] in (b"Z", b"X"):
        return None
    return Row(Process(pid, int(fields[19])), parent=int(fields[1]), session=int(fields[3]))


def identify(pid: int) -> Process | None:
    """The live process with this pid; None where there is none or only a zombie is left."""
    row = _read_row(pid)
    return row.process if row else None


def alive(process: Process) -> bool:
    """Whether exactly this process still runs."""
    return identify(process.pid) == process


def environment_of(pid: int) -> dict[str, str]:
    """The environment with which a process was started; empty where it may not be read."""
    try:
        block = (PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return {}
    pairs = (entry.decode(errors="replace").partition("=") for entry in block.split(b"\0"))
    return {name: value for name, found, value in pairs if found}


def command_of(pid: int) -> list[str]:
    """The command line of a process; empty where it may not be read."""
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def rows() -> Iterator[Row]:
    """The live processes, but for the caller."""
    for entry in os.listdir(PROC):
        if entry.isdigit() and int(entry) != os.getpid() and (row := _read_row(int(entry))):
            yield row


def descendants(pid: int) -> list[int]:
    """All live processes below one, but for the caller."""
    children: dict[int, list[int]] = {}
    for row in rows():
        children.setdefault(row.parent, []).append(row.process.pid)
    found, parents = list[int](), [pid]
    while parents:
        below = children.get(parents.pop(), [])
        found += below
        parents += below
    return found


def free_memory_soon() -> None:
    """For many threads with large buffers: glibc gives each a heap of its own, and keeps there what is freed."""
    if hasattr(_libc, "mallopt"):
        _libc.mallopt(_ARENA_MAX, _HEAPS)


def end_with(parent: int) -> None:
    """Be killed when the thread that started this process ends, with its process `parent` or before it."""
    _prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before we asked to be told
        os._exit(1)


def adopt_orphans() -> None:
    """From now on processes whose parent ends become our children, so that none of them gets away."""
    _prctl(_CHILD_SUBREAPER, 1, 0, 0, 0)

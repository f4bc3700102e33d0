"""Processes: naming one for good, starting one that ends with us, ending all that came of it."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

_SET_PARENT_DEATH_SIGNAL = 1
_SET_CHILD_SUBREAPER = 36
_PROC = Path("/proc")


def started(pid: int) -> float | None:
    """When a process began, in a unit of its own that no change of the clock moves; None for one that has ended.

    A pid may be given again to another process, a pid with this number not.
    """
    if not _PROC.is_dir():
        return _started_elsewhere(pid)
    fields = _stat(pid)
    return None if fields is None or fields[0] in ("Z", "X") else float(fields[19])


def adopt_orphans() -> None:
    """From now on processes whose parent ends become our children, so that none of them gets away."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def launch(
    command: Sequence[str], cwd: Path, variables: dict[str, str], output: int, cpus: Iterable[int]
) -> "subprocess.Popen[bytes]":
    """Start a process in a session of its own, on the given cores, that is killed when this process dies.

    To be called from the main thread: the kernel counts the death of the calling thread.
    """
    return subprocess.Popen(
        command,
        cwd=cwd,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
        preexec_fn=_in_child(os.getpid(), set(cpus)),
    )


def signal_group(process: "subprocess.Popen[bytes]", number: int) -> None:
    """Send a signal to a launched process and all of its session's group. One that has ended is no error."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def descendants(pid: int) -> list[int]:
    """All processes below one, those that have ended but were not waited for left out."""
    if not _PROC.is_dir():
        return _descendants_elsewhere(pid)
    children: dict[int, list[int]] = {}
    for name in os.listdir(_PROC):
        if name.isdecimal() and (fields := _stat(int(name))) and fields[0] not in ("Z", "X"):
            children.setdefault(int(fields[1]), []).append(int(name))
    found, parents = list[int](), [pid]
    while parents:
        below = children.get(parents.pop(), [])
        found += below
        parents += below
    return found


def end_descendants(grace: float) -> None:
    """End every process below this one: asked first, after `grace` seconds killed. Returns when none is left."""
    deadline = time.monotonic() + grace
    _signal(descendants(os.getpid()), signal.SIGTERM)
    while True:
        _reap()
        left = descendants(os.getpid())
        if not left:
            return
        if time.monotonic() > deadline:
            _signal(left, signal.SIGKILL)
        time.sleep(0.02)


def _in_child(parent: int, cpus: set[int]) -> Callable[[], None]:
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

    def prepare() -> None:
        if prctl is not None:
            prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:  # it died before we asked to be told
                os._exit(1)
            if cpus:
                os.sched_setaffinity(0, cpus)
        signal.pthread_sigmask(signal.SIG_SETMASK, set())

    return prepare


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat after the name, which may hold anything: state, parent, …, [19] start time."""
    try:
        return (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].decode().split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def _signal(pids: list[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _started_elsewhere(pid: int) -> float | None:
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None


def _descendants_elsewhere(pid: int) -> list[int]:
    import psutil

    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        return []

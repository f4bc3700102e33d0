"""Processes of a job: started so that they end with us, and ended with all that came of them."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from jupyter_mlplat.core.proc import descendants, end_with


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
    def prepare() -> None:
        end_with(parent)
        if cpus:
            os.sched_setaffinity(0, cpus)
        signal.pthread_sigmask(signal.SIG_SETMASK, set())

    return prepare


def _signal(pids: list[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass

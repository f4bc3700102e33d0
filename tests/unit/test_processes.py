"""Telling processes apart, finding and ending them. Real processes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from jupyter_mlplat.core.processes import Process, alive, end, identify, of_instance

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(99)"
FAMILY = (
    "import os, subprocess, time; "
    "subprocess.Popen(['sleep', '99'], env={}); "
    "subprocess.Popen(['sleep', '98'], env={}, start_new_session=True); "
    "print('up', flush=True); time.sleep(99)"
)


@contextmanager
def running(program: str, instance: str = "") -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "MLPLAT_INSTANCE_ID": instance} if instance else dict(os.environ)
    with subprocess.Popen(
        [sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, start_new_session=True
    ) as child:
        try:
            assert child.stdout and child.stdout.readline() == b"up\n"
            yield child
        finally:
            child.kill()


def test_a_process_is_itself_until_it_ends() -> None:
    with running("import time; print('up', flush=True); time.sleep(99)") as child:
        known = identify(child.pid)
        assert known and alive(known)
        assert not alive(Process(child.pid, known.started + 1))
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not alive(known), "a zombie does not live"


async def test_a_process_that_ignores_the_request_is_killed() -> None:
    with running(STUBBORN, "i-stubborn") as child:
        await end(lambda: of_instance("i-stubborn"), grace=0.2)
        assert child.wait(5) == -signal.SIGKILL


async def test_children_without_a_mark_and_in_other_sessions_are_ended_too() -> None:
    with running(FAMILY, "i-family") as child:
        found = of_instance("i-family")
        assert len(found) == 3
        await end(lambda: of_instance("i-family"), grace=2)
        assert child.wait(5) == -signal.SIGTERM
        assert not [process for process in found if alive(process)]


async def test_other_instances_and_the_caller_are_left_alone() -> None:
    with running(STUBBORN, "i-other") as other:
        assert of_instance("i-mine") == set()
        await end(lambda: of_instance("i-mine"), grace=0.1)
        assert other.poll() is None

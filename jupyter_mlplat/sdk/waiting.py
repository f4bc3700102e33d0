"""Waiting for something to become true on the platform."""

import time
from collections.abc import Callable
from typing import TypeVar

from jupyter_mlplat.sdk.failures import Unreachable, WaitTimeout

Thing = TypeVar("Thing")

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 2.0
PART = 0.05

PATIENCE = 30.0
"""Seconds for which a wait lives with a platform that does not answer: a restart takes less."""


def wait_until(
    read: Callable[[], Thing],
    done: Callable[[Thing], bool],
    *,
    what: str,
    timeout: float | None,
    seen: Callable[[Thing], None] | None = None,
) -> Thing:
    """What `read` gives once it is `done`; `seen` gets each reading. Raises WaitTimeout after `timeout` seconds.

    `what` completes the sentence "Waited 60 s for …". Readings begin 0.2 s apart and slow down to
    2 s, so that what has been true for a while is seen after at most a twentieth of the wait.
    """
    started = time.monotonic()
    answered = started
    pause = FIRST_PAUSE
    while True:
        try:
            thing = read()
        except Unreachable:
            if time.monotonic() - answered > PATIENCE:
                raise
        else:
            answered = time.monotonic()
            if seen is not None:
                seen(thing)
            if done(thing):
                return thing
        if timeout is not None and time.monotonic() + pause - started > timeout:
            raise WaitTimeout(f"Waited {timeout:g} s for {what}. It may still happen: look again later.")
        time.sleep(pause)
        pause = min(max(FIRST_PAUSE, PART * (time.monotonic() - started)), LONGEST_PAUSE)

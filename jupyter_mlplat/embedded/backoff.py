"""How long to wait before a part that has ended is started again."""

import time
from collections.abc import Callable

FIRST = 0.5
LONGEST = 30.0
STEADY = 60.0


class Backoff:
    """No wait at the first end, then twice as long each time; forgotten after a minute without an end. In seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends = 0
        self._last = clock()

    def delay(self) -> float:
        """The wait at the end that happens now."""
        now = self._clock()
        self._ends = 0 if now - self._last > STEADY else self._ends
        self._last = now
        self._ends += 1
        return 0.0 if self._ends == 1 else min(LONGEST, FIRST * 2 ** (self._ends - 2))

"""Threads that work on one thing, and the memory that they share."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, wait
from contextlib import contextmanager
from threading import Condition, Event


class Together:
    """Threads that end together: what one of them raises, or a Ctrl-C, ends the others when they next look."""

    def __init__(self) -> None:
        self._failed: list[BaseException] = []
        self._over = Event()

    def do(self, work: Sequence[Callable[[], None]]) -> None:
        """Each in a thread of its own. What was raised first is raised here."""
        with ThreadPoolExecutor(len(work)) as pool:
            try:
                wait([pool.submit(self._do, one) for one in work])
            except BaseException as error:
                self._fail(error)
        if self._failed:
            raise self._failed[0]

    def look(self) -> None:
        """CancelledError where it is over."""
        if self._over.is_set():
            raise CancelledError

    def pause(self, seconds: float) -> None:
        """CancelledError as soon as it is over."""
        self._over.wait(seconds)
        self.look()

    def _do(self, one: Callable[[], None]) -> None:
        try:
            one()
        except BaseException as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self._failed.append(error)
        self._over.set()


class Room:
    """Memory for those who hold a part of it each; all of it is enough for any."""

    def __init__(self, size: int) -> None:
        self._size, self._taken, self._changed = size, 0, Condition()

    @contextmanager
    def of(self, size: int) -> Iterator[None]:
        if size < self._size >> 7:  # who comes by the thousand does not queue for it
            yield
            return
        wanted = min(size, self._size)
        with self._changed:
            self._changed.wait_for(lambda: self._taken + wanted <= self._size)
            self._taken += wanted
        try:
            yield
        finally:
            with self._changed:
                self._taken -= wanted
                self._changed.notify_all()

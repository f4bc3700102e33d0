"""Threads that work on one thing, and the memory that they share."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from threading import Condition


def do_all(work: Sequence[Callable[[], None]], failed: list[BaseException]) -> None:
    """Each in a thread of its own. What one of them raises, or a Ctrl-C here, goes to `failed` for the others to see,
    and is raised."""

    def do(one: Callable[[], None]) -> None:
        try:
            one()
        except BaseException as error:
            failed.append(error)

    with ThreadPoolExecutor(len(work)) as pool:
        try:
            wait([pool.submit(do, one) for one in work])
        except BaseException as error:
            failed.append(error)
    if failed:
        raise failed[0]


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

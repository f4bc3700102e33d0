"""The plan of a transfer as a file that grows: its first steps are carried out while the others are still looked for.

A line of JSON for each step, and `null` behind the last one. Whoever comes after a kill goes on behind the last line
that is whole, so that the steps keep their numbers.
"""

import json
import os
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from threading import Condition

from jupyter_mlplat.storage.transfers.planning import Step

_END = b"null\n"
_TOGETHER = 100


class PlanFile:
    """One thread writes while others read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed = Condition()
        self._size = -1
        """What may be read, in bytes; -1 while nobody writes: then all there is."""

    def is_whole(self) -> bool:
        try:
            with self._path.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - len(_END)))
                return file.read() == _END
        except FileNotFoundError:
            return False

    def last(self) -> Step | None:
        """The last step so far."""
        try:
            with self._path.open("rb") as file:
                lines = deque((line for line in file if line.endswith(b"\n") and line != _END), 1)
        except FileNotFoundError:
            return None
        return Step(*json.loads(lines[0])) if lines else None

    def expect(self) -> None:
        """From now on `steps` waits for more, until `expect_no_more`."""
        with self._path.open("a+b") as file:
            self._size = cut_to_last_line(file.fileno())

    def expect_no_more(self) -> None:
        with self._changed:
            self._size = -1
            self._changed.notify_all()

    def write(self, steps: Iterable[Step]) -> None:
        """The steps behind those that are there, to the end of the plan."""
        with self._path.open("a+b") as file:
            cut_to_last_line(file.fileno())
            for number, step in enumerate(steps, 1):
                file.write(json.dumps(step).encode() + b"\n")
                if number % _TOGETHER == 0:
                    file.flush()
                    self._show(file.fileno())
            file.write(_END)
            file.flush()
            os.fsync(file.fileno())
            self._show(file.fileno())

    def steps(self) -> Iterator[tuple[int, Step]]:
        """The steps with their numbers, from 0."""
        at = 0
        with suppress(FileNotFoundError), self._path.open("rb") as file:
            for number in count():
                self._wait_for(at)
                line = file.readline()
                if line == _END or not line.endswith(b"\n"):
                    return
                at += len(line)
                yield number, Step(*json.loads(line))

    def forget(self) -> None:
        self._path.unlink(missing_ok=True)

    def _show(self, descriptor: int) -> None:
        with self._changed:
            if self._size >= 0:
                self._size = os.fstat(descriptor).st_size
                self._changed.notify_all()

    def _wait_for(self, at: int) -> None:
        """Until a line may be read here, or none comes any more."""
        if 0 <= self._size <= at:
            with self._changed:
                self._changed.wait_for(lambda: not 0 <= self._size <= at)


def cut_to_last_line(descriptor: int) -> int:
    """Take away what follows the last line that is whole, such as a kill has left; the size in bytes."""
    end = os.fstat(descriptor).st_size
    while end and os.pread(descriptor, 1, end - 1) != b"\n":
        end -= 1
    os.ftruncate(descriptor, end)
    return end

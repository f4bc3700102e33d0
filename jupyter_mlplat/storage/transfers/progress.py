"""How far a transfer is, and who is told of it."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import Any

_SAID_EVERY = 0.3


@dataclass
class Progress:
    """How far a transfer is: bytes and files, those of earlier runs among them. `name` is what moved last."""

    total: int = 0
    files_total: int = 0
    is_planned: bool = False
    """Until then more comes, and the totals are told as 0."""

    done: int = 0
    files: int = 0
    name: str = ""
    waiting: str = ""
    """Why nothing moves just now."""

    lock: Lock = field(default_factory=Lock, repr=False)

    def add(self, size: int) -> None:
        with self.lock:
            self.done += size

    def expect(self, size: int) -> None:
        with self.lock:
            self.total += size
            self.files_total += 1

    def finish(self, name: str) -> None:
        with self.lock:
            self.files += 1
            self.name = name

    def figures(self) -> dict[str, Any]:
        return {
            "total": self.total if self.is_planned else 0,
            "files_total": self.files_total if self.is_planned else 0,
            "done": self.done,
            "files": self.files,
            "name": self.name,
            "waiting": self.waiting,
        }


class Counted:
    """Adds to the figures what one try has moved, and takes it back where it failed."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._moved = progress, 0

    def __call__(self, size: int) -> None:
        with self._progress.lock:
            self._moved += size
            self._progress.done += size

    def take_back(self) -> None:
        self(-self._moved)


class Telling:
    """Tells again and again while a block runs, and once at its end."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell, self._over = tell, Event()
        self._thread = Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._tell()

    def _run(self) -> None:
        while not self._over.wait(_SAID_EVERY):
            with suppress(Exception):  # the end says it
                self._tell()

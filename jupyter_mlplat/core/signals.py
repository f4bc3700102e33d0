"""Word of changes to those who wait for something by its name."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class Signals:
    """Wakes those who wait for a change of something they name."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    def notify(self, key: str) -> None:
        for event in self._waiting.get(key, ()):
            event.set()

    @contextmanager
    def listen(self, *keys: str) -> Iterator[asyncio.Event]:
        """An event that is set at each change of one of `keys`; whoever waits clears it."""
        event = asyncio.Event()
        for key in keys:
            self._waiting[key].add(event)
        try:
            yield event
        finally:
            for key in keys:
                self._waiting[key].discard(event)
                if not self._waiting[key]:
                    del self._waiting[key]

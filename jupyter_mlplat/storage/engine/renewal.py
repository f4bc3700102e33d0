"""Keys that end: asked for once, kept while they are good, asked for again in time, by however many threads."""

import threading
from datetime import timedelta

from jupyter_mlplat.core.clock import now
from jupyter_mlplat.errors import BackendFailure
from jupyter_mlplat.storage.engine.connection import Keys, Renew

EARLY = timedelta(minutes=15)
"""Before their end new ones are asked for; no longer than a third of their life."""


class Renewal:
    """Calls `ask` for new keys. While the platform does not answer, the old ones go on as long as they are good."""

    def __init__(self, first: Keys, ask: Renew) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._take(first)

    def __call__(self) -> Keys:
        with self._lock:
            if now() >= self._due:
                self._renew()
            return self._keys

    def _renew(self) -> None:
        try:
            self._take(self._ask())
        except BackendFailure:
            if now() >= self._keys.expires_at:
                raise

    def _take(self, keys: Keys) -> None:
        self._keys = keys
        self._due = keys.expires_at - min(EARLY, (keys.expires_at - now()) / 3)

"""Logs that grow: read as they are, or followed to their end over broken connections."""

import codecs
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from jupyter_mlplat.sdk.failures import Disconnected, Unreachable
from jupyter_mlplat.sdk.waiting import PATIENCE
from jupyter_mlplat.sdk.wire import Wire

RECONNECT_PAUSE = 0.5


@dataclass(frozen=True)
class GrowingLog:
    """The log at `path`; `has_ended` asks whether nothing more will come."""

    wire: Wire
    path: str
    has_ended: Callable[[], bool]
    query: Mapping[str, int] = field(default_factory=dict)

    def text(self, offset: int, *, follow: bool) -> Iterator[str]:
        """It from a byte offset, piece by piece; with `follow` until its end."""
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        for piece in self._followed(offset) if follow else self._written(offset):
            yield decoder.decode(piece)
        yield decoder.decode(b"", final=True)

    def _written(self, offset: int) -> Iterator[bytes]:
        """What is there now. An answer may hold less than all, so the end is an empty one."""
        while True:
            before = offset
            with self.wire.stream("GET", self.path, params={**self.query, "offset": offset}) as response:
                for piece in response.iter_bytes():
                    offset += len(piece)
                    yield piece
            if offset == before:
                return

    def _followed(self, offset: int) -> Iterator[bytes]:
        lost_at: float | None = None
        while True:
            asked = {**self.query, "offset": offset, "follow": True}
            try:
                with self.wire.stream("GET", self.path, params=asked) as response:
                    lost_at = None
                    for piece in response.iter_bytes():
                        offset += len(piece)
                        yield piece
                ended = self.has_ended()
            except (Unreachable, Disconnected):
                lost_at = lost_at or time.monotonic()
                if time.monotonic() - lost_at > PATIENCE:
                    raise
                ended = False
            if ended:
                # a platform that was shut down ends its streams early, so look once more
                yield from self._written(offset)
                return
            time.sleep(RECONNECT_PAUSE)

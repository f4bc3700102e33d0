"""Writes changes as layers straight to the registry: read, hashed, compressed and sent at the same time."""

import asyncio
import threading
from contextlib import closing
from dataclasses import dataclass, field

from jupyter_mlplat.agent.journal import Journal, WrittenLayer
from jupyter_mlplat.errors import NotFound
from jupyter_mlplat.oci.beneath import opened_folder
from jupyter_mlplat.oci.compression import Compressed
from jupyter_mlplat.oci.layer import Cancelled, write_layer
from jupyter_mlplat.oci.pipe import Pipe
from jupyter_mlplat.oci.registry import Registry
from jupyter_mlplat.oci.upload import UploadLost
from jupyter_mlplat.oci.upper import Changes, fingerprint, opener, split

_ATTEMPTS = 3
_WORTH_A_LAYER = 128 << 20
"""Bytes of content from which on a second layer pays."""


@dataclass
class Meter:
    """How far the writing is; written to by threads. `cancelled` ends them."""

    message: str = ""
    done: int = 0
    total: int = 0
    cancelled: threading.Event = field(default_factory=threading.Event)

    def add(self, count: int) -> None:
        self.done += count
        if self.cancelled.is_set():
            raise Cancelled


@dataclass
class LayerWriter:
    """Writes layers of one upper directory into `repository`, at most `parallel` at a time."""

    registry: Registry
    journal: Journal
    repository: str
    upper: str
    parallel: int
    meter: Meter
    level: int = 1
    all_read: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once every file has been read: what remains is to be sent."""

    _unread: set[int] = field(default_factory=set)

    async def write(self, changes: Changes) -> list[WrittenLayer]:
        """The layers, lowest first. SourceChanged where a file does not hold still; what is done then is remembered."""
        self.all_read.clear()
        parts = min(self.parallel, max(1, changes.size // _WORTH_A_LAYER)) if changes.members else 0
        self.meter.done, self.meter.total = 0, changes.size
        pieces = await asyncio.to_thread(split, changes, parts) if parts else []
        self._unread = set(range(len(pieces)))
        if not pieces:
            self.all_read.set()
        tasks = [asyncio.create_task(self._layer(number, piece)) for number, piece in enumerate(pieces)]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _has_read(self, number: int) -> None:
        self._unread.discard(number)
        if not self._unread:
            self.all_read.set()

    async def _layer(self, number: int, changes: Changes) -> WrittenLayer:
        key = await asyncio.to_thread(fingerprint, changes)
        known = await self._known(key)
        if known is not None:
            self.meter.add(changes.size)
            self._has_read(number)
            return known
        written = await self._upload_again(number, changes)
        layer = WrittenLayer(written.digest, written.diff_id, written.size, self.repository)
        await asyncio.to_thread(self.journal.note, key, layer)
        return layer

    async def _known(self, key: str) -> WrittenLayer | None:
        """The same layer, where the registry still has it."""
        layer = self.journal.find(key)
        if layer is None:
            return None
        there = await self.registry.has_blob(self.repository, layer.digest)
        if not there and layer.repository != self.repository:
            try:
                there = await self.registry.mount(self.repository, layer.digest, layer.repository)
            except NotFound:
                there = False
        return layer if there else None

    async def _upload_again(self, number: int, changes: Changes) -> Compressed:
        """Upload; from the beginning where the registry has lost the first half, as one does that is restarted."""
        done = self.meter.done
        for _ in range(_ATTEMPTS):
            try:
                return await self._upload(number, changes)
            except UploadLost as lost:
                failure = lost
                self._unread.add(number)
                self.meter.done = done
                await self.registry.check_room(self.repository)
        raise failure

    async def _upload(self, number: int, changes: Changes) -> Compressed:
        async with self.registry.upload(self.repository) as upload:
            pipe = Pipe()
            writing = asyncio.create_task(self._read(number, changes, pipe))
            try:
                await upload.send(aiter(pipe))
                written = await writing
            finally:
                pipe.break_off()
                await asyncio.gather(writing, return_exceptions=True)
            await upload.commit(written.digest)
            return written

    async def _read(self, number: int, changes: Changes, pipe: Pipe) -> Compressed:
        written = await asyncio.to_thread(self._fill, changes, pipe)
        self._has_read(number)
        return written

    def _fill(self, changes: Changes, pipe: Pipe) -> Compressed:
        with opened_folder(self.upper) as upper, closing(pipe):
            return write_layer(changes.members, pipe, written=self.meter.add, opened=opener(upper), level=self.level)

"""Uploads: streamed to a file beside their place while they are counted and hashed, then put there whole."""

import asyncio
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from jupyter_mlplat.core.files import full_disk_in_words
from jupyter_mlplat.errors import TooLarge

_WRITE_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Received:
    """A whole upload in a temporary file; `sha256` in hex, where it was asked for."""

    path: Path
    size: int
    sha256: str | None

    def place(self, target: Path) -> None:
        """Put it at `target`, replacing what is there."""
        self.path.replace(target)


@asynccontextmanager
async def received(
    pieces: AsyncIterator[bytes], folder: Path, *, limit: int | None = None, hashed: bool = False
) -> AsyncIterator[Received]:
    """The upload once all of it is on the disk. What is not placed by the end of the block is removed.

    `folder` holds the temporary file and must be on the file system of the target. TooLarge above `limit` bytes,
    NoSpace where the disk is full.
    """
    file = await asyncio.to_thread(_Incoming, folder, hashed)
    try:
        await _receive(pieces, file, limit)
        yield Received(file.path, file.size, file.hash.hexdigest() if file.hash else None)
    finally:
        await asyncio.to_thread(file.discard)


async def _receive(pieces: AsyncIterator[bytes], file: "_Incoming", limit: int | None) -> None:
    waiting = bytearray()
    async for piece in pieces:
        waiting += piece
        if limit is not None and file.size + len(waiting) > limit:
            raise TooLarge(f"This is larger than the {limit:,} bytes that are allowed. Send less.")
        if len(waiting) >= _WRITE_AT_ONCE:
            await asyncio.to_thread(file.write, bytes(waiting))
            waiting.clear()
    await asyncio.to_thread(file.finish, bytes(waiting))


class _Incoming:
    """The temporary file of one upload."""

    def __init__(self, folder: Path, hashed: bool) -> None:
        with full_disk_in_words():
            folder.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=folder)
        self.path = Path(name)
        self.size = 0
        self.hash = hashlib.sha256() if hashed else None
        self._file = os.fdopen(descriptor, "wb", buffering=0)

    def write(self, block: bytes) -> None:
        with full_disk_in_words():
            left = memoryview(block)
            while left:
                left = left[self._file.write(left) :]
        if self.hash is not None:
            self.hash.update(block)
        self.size += len(block)

    def finish(self, block: bytes) -> None:
        self.write(block)
        with full_disk_in_words():
            os.fsync(self._file.fileno())
            self._file.close()
            self.path.chmod(0o644)

    def discard(self) -> None:
        self._file.close()
        self.path.unlink(missing_ok=True)

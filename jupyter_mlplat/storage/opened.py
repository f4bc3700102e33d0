"""A file held open while it is sent: what replaces or deletes it meanwhile does no harm."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

from jupyter_mlplat.errors import NotFound

PIECE = 1 << 18


class OpenedFile:
    """`size` in bytes; closed by the end of `pieces`, or by `close`."""

    def __init__(self, path: Path, missing: str) -> None:
        """NotFound with the words `missing` where there is no readable file (a link is none)."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise NotFound(missing) from error
        self._file = os.fdopen(descriptor, "rb", buffering=0) if _is_file(descriptor) else None
        if self._file is None:
            os.close(descriptor)
            raise NotFound(missing)
        facts = os.fstat(descriptor)
        self.name = path.name
        self.size = facts.st_size
        self.modified_at = datetime.fromtimestamp(facts.st_mtime, UTC)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    async def pieces(self, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from `start` up to `end`."""
        assert self._file is not None
        try:
            while start < end:
                piece = await asyncio.to_thread(os.pread, self._file.fileno(), min(PIECE, end - start), start)
                if not piece:
                    raise EOFError(f"{self.name} was cut short while it was sent")
                start += len(piece)
                yield piece
        finally:
            self.close()


def _is_file(descriptor: int) -> bool:
    return stat.S_ISREG(os.fstat(descriptor).st_mode)

"""Files that appear whole: filled beside their place, from several threads where they are large, then put there."""

import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from jupyter_mlplat.core.files import full_disk_in_words
from jupyter_mlplat.storage.engine.parallel import in_parallel

STEP = 32 << 20

Reader = Callable[[int, int], Iterable[bytes]]
"""The bytes of a source from an offset up to another, in pieces."""

_RUN = secrets.token_hex(6)
_NUMBERS = count()


@contextmanager
def landing(path: str | Path) -> Iterator[int]:
    """A descriptor to write to with `os.pwrite`; at the end of the block the file is at `path`, or nothing is left.

    NoSpace where the disk is full.
    """
    with full_disk_in_words():
        beside = _beside(path)
        descriptor = _made(beside)
        try:
            try:
                yield descriptor
            finally:
                os.close(descriptor)
            os.replace(beside, path)  # noqa: PTH105
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise


def land(path: str | Path, data: bytes | memoryview, modified: float | None = None) -> None:
    """A file whole, written at a time in seconds since 1970."""
    with landing(path) as descriptor:
        put_all(descriptor, data)
        if modified is not None:
            os.utime(descriptor, (modified, modified))


def put_all(descriptor: int, data: bytes | memoryview, offset: int = 0) -> None:
    left = memoryview(data)
    while left:
        written = os.pwrite(descriptor, left, offset)
        left, offset = left[written:], offset + written


def fill(path: Path, size: int, read: Reader) -> None:
    """A file of `size` bytes, read in ranges, several at a time. EOFError where a range is cut short."""

    def one(start: int) -> None:
        offset, end = start, min(size, start + STEP)
        for piece in read(start, end):
            put_all(descriptor, piece, offset)
            offset += len(piece)
        if offset != end:
            raise EOFError(f"{path.name} was cut short while it was copied. Try again.")

    with landing(path) as descriptor:
        in_parallel(one, range(0, size, STEP))


def _beside(path: str | Path) -> str:
    """In text: for many small files, paths and fresh random names are a good part of the work."""
    folder = os.path.dirname(path)  # noqa: PTH120
    return os.path.join(folder, f".{_RUN}-{os.getpid()}-{next(_NUMBERS)}.part")  # noqa: PTH118


def _made(path: str) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o666)
    except FileNotFoundError:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, flags, 0o666)

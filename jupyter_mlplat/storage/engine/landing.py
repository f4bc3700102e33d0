"""Files that appear whole: filled beside their place, from several threads where they are large, then put there."""

import os
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from jupyter_mlplat.core.incoming import full_disk_in_words

STEP = 8 << 20
AT_ONCE = 6

Reader = Callable[[int, int], bytes | memoryview]
"""The bytes of a source from an offset up to another."""


@contextmanager
def landing(path: Path) -> Iterator[int]:
    """A descriptor to write to with `os.pwrite`; at the end of the block the file is at `path`, or nothing is left.

    NoSpace where the disk is full.
    """
    with full_disk_in_words():
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.parent / f".{secrets.token_hex(8)}.part"
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            try:
                yield descriptor
            finally:
                os.close(descriptor)
            beside.replace(path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise


def put_all(descriptor: int, data: bytes | memoryview, offset: int = 0) -> None:
    left = memoryview(data)
    while left:
        written = os.pwrite(descriptor, left, offset)
        left, offset = left[written:], offset + written


def fill(path: Path, size: int, read: Reader) -> None:
    """A file of `size` bytes, read in ranges, several at a time."""

    def one(start: int) -> None:
        put_all(descriptor, read(start, min(size, start + STEP)), start)

    with landing(path) as descriptor, ThreadPoolExecutor(AT_ONCE) as pool:
        running = [pool.submit(one, start) for start in range(0, size, STEP)]
        try:
            for future in running:
                future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise

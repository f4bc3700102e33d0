"""Locks between processes, durable names, and what a full disk is called."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jupyter_mlplat.core import locks
from jupyter_mlplat.errors import NoSpace

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def no_space_in_words(what: str) -> Iterator[None]:
    """Turns the system's "no space left" into `NoSpace`; `what` completes "The disk is full: …"."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        message = f"The disk is full: {what}. Free some space in the data folder, then try again."
        raise NoSpace(message) from error


@contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock file `path` against other threads and processes; waits for it. The file itself stays."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def try_lock(path: Path) -> int | None:
    """The descriptor of the existing file or folder `path`, locked for this caller alone; None while another holds it.

    Whoever gets the descriptor closes it, which gives the lock back.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    if locks.try_lock(descriptor):
        return descriptor
    os.close(descriptor)
    return None


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

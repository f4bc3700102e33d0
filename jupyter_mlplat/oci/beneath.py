"""Opens names below a folder that a hostile process is changing, without ever being led out of it."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

_OPENAT2 = 437
"""The same number on every architecture; Linux 5.6 and later."""

_NO_XDEV, _NO_MAGICLINKS, _NO_SYMLINKS, _BENEATH = 1, 2, 4, 8
_RESOLVE = _NO_XDEV | _NO_MAGICLINKS | _NO_SYMLINKS | _BENEATH
_ANY = os.O_NOFOLLOW | os.O_CLOEXEC

_syscall = ctypes.CDLL(None, use_errno=True).syscall


class _How(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


def open_beneath(folder: int, path: str, flags: int = 0) -> int:
    """A descriptor of `path` below the open folder: no link on the way, no other file system, nothing above it.

    OSError with ELOOP or EXDEV where somebody put a link or a mount in the way. `flags` are added to those for reading.
    """
    reading = 0 if flags & os.O_PATH else os.O_RDONLY | os.O_NONBLOCK
    how = _How(_ANY | reading | flags, 0, _RESOLVE)
    descriptor = int(_syscall(_OPENAT2, folder, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how)))
    if descriptor < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return descriptor


@contextmanager
def opened_folder(path: str) -> Iterator[int]:
    """The descriptor of a folder that only the administrator can replace."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)

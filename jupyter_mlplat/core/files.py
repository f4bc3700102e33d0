"""Files written whole or not at all."""

import errno
import os
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path

from jupyter_mlplat.errors import NoSpace


def write_atomically(path: Path, data: bytes, mode: int = 0o644, *, lasting: bool = True) -> None:
    """Replace `path` by `data`: a reader, and whoever comes after a crash, sees the old or the new content.

    What is worth nothing after a crash of the machine need not be `lasting`, which waits for the disk. NoSpace where
    the disk is full; the old content then stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            if lasting:
                os.fsync(file.fileno())
        Path(name).chmod(mode)
        Path(name).replace(path)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpace(
                f"The disk is full: {path.name} could not be written. Free some space and try again."
            ) from error
        raise


def full_disk_in_words() -> AbstractContextManager[None]:
    """NoSpace for what the system says of a full disk."""
    return _WORDS


class _Words(AbstractContextManager[None]):
    """A class, and one of it: small files are written by the thousand, and generators take five times as long."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpace("The disk is full: there is no room for this. Free some space and try again.") from error


_WORDS = _Words()

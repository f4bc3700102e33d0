"""Files written whole or not at all."""

import errno
import os
import tempfile
from pathlib import Path

from jupyter_mlplat.errors import NoSpace


def write_atomically(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Replace `path` by `data`: a reader, and whoever comes after a crash, sees the old or the new content.

    NoSpace where the disk is full; the old content then stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
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

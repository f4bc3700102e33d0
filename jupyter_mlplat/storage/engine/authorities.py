"""Certificates of authorities as files, which is how the libraries take them."""

import atexit
import shutil
import tempfile
from functools import cache
from hashlib import sha256
from pathlib import Path


def file_of(pem: str) -> str | None:
    """A file of this process with these certificates; None for none."""
    if not pem:
        return None
    path = _folder() / sha256(pem.encode()).hexdigest()
    if not path.exists():
        path.write_text(pem)
    return str(path)


@cache
def _folder() -> Path:
    folder = tempfile.mkdtemp(prefix="mlplat-authorities-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)

"""Folders on their way to the platform: packed, and sent unless it has them."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from jupyter_mlplat.errors import NotFound
from jupyter_mlplat.jobs.bundle import Limits, Survey, pack
from jupyter_mlplat.jobs.models import Bundle, BundleLimits
from jupyter_mlplat.sdk.wire import Wire

CHUNK = 1 << 20

Sent = Callable[[int, int], None]
"""Called with (bytes sent, bytes in all)."""


def limits(wire: Wire) -> Limits:
    """What the files of a folder may be in all, as the platform's owner has set it."""
    try:
        own = wire.call("GET", "/bundles", BundleLimits)
    except NotFound:  # an older platform
        return Limits()
    return Limits(files=own.files, total_bytes=own.total_bytes)


def send(wire: Wire, survey: Survey, sent: Sent | None = None) -> str:
    """Pack what was surveyed and send it unless the platform has it; its digest."""
    with _packed(survey) as (file, bundle):
        if not _is_there(wire, bundle.digest):
            headers = {"Content-Length": str(bundle.size), "Content-Type": "application/zstd"}
            wire.send("PUT", f"/bundles/{bundle.digest}", content=_pieces(file, bundle.size, sent), headers=headers)
        return bundle.digest


@contextmanager
def _packed(survey: Survey) -> Iterator[tuple[Path, Bundle]]:
    with tempfile.TemporaryDirectory(prefix="mlplat-") as folder:
        target = Path(folder, "bundle.tar.zst")
        yield target, pack(survey, target)


def _is_there(wire: Wire, digest: str) -> bool:
    try:
        wire.call("GET", f"/bundles/{digest}", Bundle)
    except NotFound:
        return False
    return True


def _pieces(file: Path, size: int, sent: Sent | None) -> Iterator[bytes]:
    done = 0
    with file.open("rb") as stream:
        while piece := stream.read(CHUNK):
            yield piece
            done += len(piece)
            if sent is not None:
                sent(done, size)

"""What buildah has left of an image, looked at and sent: whatever the Containerfile runs may have made it up."""

import os
import tarfile
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from jupyter_mlplat.builder.messages import Result, ResultLayer
from jupyter_mlplat.builder.packages import Packages
from jupyter_mlplat.builder.places import RESULT
from jupyter_mlplat.errors import InvalidInput
from jupyter_mlplat.oci.beneath import open_beneath, opened_folder
from jupyter_mlplat.oci.compression import CompressedStream
from jupyter_mlplat.oci.manifest import Manifest, hex_of

_DOCUMENT = 4 << 20
_PIECE = 1 << 20

Send = Callable[[str, Callable[[], tuple[IO[bytes], int]]], None]
"""Sends a layer under its digest: called with what opens it and says how large it is."""


def deliver(out: Path, known: Collection[str], send: Send) -> Result:
    """Send the layers that are not `known`, packed. InvalidInput where this is no image."""
    try:
        with opened_folder(str(out)) as folder:
            return _Folder(folder, known, send).deliver()
    except (OSError, ValueError, LookupError, TypeError, AttributeError, tarfile.TarError) as error:
        raise InvalidInput(f"What was built is no whole image: {type(error).__name__}: {error}.") from error


class _Folder:
    def __init__(self, folder: int, known: Collection[str], send: Send) -> None:
        self._folder, self._known, self._send = folder, known, send
        self._packages = Packages()

    def deliver(self) -> Result:
        manifest = Manifest.parse(self._document(f"{RESULT}/manifest.json"))
        config = self._document(_blob(manifest.config.digest)).decode()
        layers = [self._layer(layer.digest) for layer in manifest.layers]
        return Result(
            code=0,
            config=config,
            layers=layers,
            added=list(self._packages.added.items()),
            removed=sorted(self._packages.removed),
        )

    def _layer(self, diff_id: str) -> ResultLayer:
        """One layer. They are not packed here: their digests are those of the plain content."""
        if diff_id in self._known:
            return ResultLayer(diff_id=diff_id, digest="", size=0)
        with self._opened(_blob(diff_id)) as plain:
            self._packages.look_through(plain)
        with tempfile.TemporaryFile() as packed, self._opened(_blob(diff_id)) as plain:
            with CompressedStream(packed) as stream:
                while piece := plain.read(_PIECE):
                    stream.write(piece)
                done = stream.finish()
            packed.flush()
            if done.diff_id != diff_id:
                raise InvalidInput("What was built is no whole image: a layer has another digest than it should have.")
            self._send(done.digest, lambda: (_again(packed), done.size))
        return ResultLayer(diff_id=diff_id, digest=done.digest, size=done.size)

    def _document(self, path: str) -> bytes:
        with self._opened(path) as file:
            content = file.read(_DOCUMENT + 1)
        if len(content) > _DOCUMENT:
            raise ValueError(f"{path} is too large")
        return content

    @contextmanager
    def _opened(self, path: str) -> Iterator[IO[bytes]]:
        with os.fdopen(open_beneath(self._folder, path), "rb") as file:
            yield file


def _blob(digest: str) -> str:
    return f"{RESULT}/{hex_of(digest)}"


def _again(file: IO[bytes]) -> IO[bytes]:
    """The file from its beginning; it stays open when what is given back is closed."""
    copy = os.fdopen(os.dup(file.fileno()), "rb")
    copy.seek(0)
    return copy

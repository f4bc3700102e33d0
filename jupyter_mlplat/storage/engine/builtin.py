"""The built-in object store of an embedded platform, as the user whose instance this is.

It is reached as `mlplat storage` reaches it: with the rights that `load_profile` finds. Its keys are paths of real
folders, so an empty folder cannot be kept, and no part of a key may be empty, `.` or `..`.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import IO

from jupyter_mlplat.errors import (
    AlreadyExists,
    BackendFailure,
    Conflict,
    MlplatError,
    NotAllowed,
    NotAuthenticated,
    NotFound,
)
from jupyter_mlplat.sdk.wire import Wire, Wires
from jupyter_mlplat.storage.engine import failures
from jupyter_mlplat.storage.engine.base import LISTED, ListedPage, ObjectFacts, ObjectStore, Upload
from jupyter_mlplat.storage.engine.landing import landing, put_all
from jupyter_mlplat.storage.models import Deleted, Endpoint, Listing, ObjectInfo
from jupyter_mlplat.storage.object_urls import ObjectUrl

CHUNK = 1 << 20
_IN_MEMORY = 16 << 20
_KINDS: tuple[tuple[type[MlplatError], type[failures.StoreError]], ...] = (
    (NotFound, failures.NoSuchObject),
    (AlreadyExists, failures.ObjectExists),
    (NotAllowed, failures.Refused),
    (NotAuthenticated, failures.Refused),
    (Conflict, failures.FileAndFolder),
    (BackendFailure, failures.StoreUnreachable),
)


class BuiltinStore(ObjectStore):
    """The objects of one user of one platform."""

    keeps_folders = False

    def __init__(self, wires: Wires) -> None:
        self._wires = wires

    @property
    def _wire(self) -> Wire:
        return self._wires.here

    def buckets(self) -> list[str]:
        with as_store_errors():
            return self._wire.call("GET", "/storage/endpoints", list[Endpoint])[0].buckets

    def make_bucket(self, bucket: str) -> None:
        with as_store_errors():
            self._wire.send("PUT", f"/storage/buckets/{ObjectUrl(bucket).path.rstrip('/')}")

    def remove_bucket(self, bucket: str) -> None:
        with as_store_errors():
            self._wire.send("DELETE", f"/storage/buckets/{ObjectUrl(bucket).path.rstrip('/')}")

    def head(self, url: ObjectUrl) -> ObjectFacts:
        try:
            with as_store_errors():
                headers = self._wire.send("HEAD", _path(url)).headers
        except failures.NoSuchObject as error:
            raise failures.NoSuchObject(f"There is no object {url}.") from error
        modified = headers.get("last-modified")
        when = parsedate_to_datetime(modified) if modified else None
        return ObjectFacts(url.key, int(headers["content-length"]), when)

    def page(self, url: ObjectUrl, *, flat: bool, after: str | None = None, limit: int = LISTED) -> ListedPage:
        asked = {"prefix": url.prefix, "recursive": flat, "limit": limit, "marker": after}
        with as_store_errors():
            listing = self._wire.call("GET", "/storage/objects", Listing, params=asked)
        start = len(url.bucket) + 1
        objects = [_facts(info, start) for info in listing.objects if not info.is_prefix]
        return ListedPage(objects, [info.key[start:] for info in listing.objects if info.is_prefix], listing.next)

    def read(self, url: ObjectUrl, start: int = 0, end: int | None = None) -> bytes:
        if end is not None and end <= start:
            return b""
        last = "" if end is None else end - 1
        headers = {"Range": f"bytes={start}-{last}"} if start or end is not None else {}
        with as_store_errors(), self._wire.stream("GET", _path(url), headers=headers) as answer:
            return answer.read()

    def write(self, url: ObjectUrl, data: bytes, *, create: bool = False) -> None:
        if create and self.is_object(url):
            raise failures.ObjectExists(f"There is an object {url} already.")
        self._put(url, iter([data]), len(data))

    def begin(self, url: ObjectUrl, *, keep: bool = False) -> Upload:
        return _Spooled(self, url, self.pieces(url) if keep and self.is_object(url) else iter(()))

    def upload(self, path: Path, url: ObjectUrl, moved: Callable[[int], None] = lambda _: None) -> None:
        with path.open("rb") as file:
            self.put_file(url, file, path.stat().st_size, moved)

    def put_file(
        self, url: ObjectUrl, file: IO[bytes], size: int, moved: Callable[[int], None] = lambda _: None
    ) -> None:
        self._put(url, _told(file, moved), size)

    def download(self, url: ObjectUrl, path: Path, facts: ObjectFacts | None = None) -> None:
        with as_store_errors(), self._wire.stream("GET", _path(url)) as answer, landing(path) as descriptor:
            offset = 0
            for piece in answer.iter_bytes(CHUNK):
                put_all(descriptor, piece, offset)
                offset += len(piece)

    def copy(self, source: ObjectUrl, target: ObjectUrl, facts: ObjectFacts | None = None) -> None:
        with as_store_errors(), self._wire.stream("GET", _path(source)) as answer:
            self._put(target, answer.iter_bytes(CHUNK), int(answer.headers["content-length"]))

    def delete(self, bucket: str, keys: Sequence[str]) -> None:
        for key in keys:
            with suppress(failures.NoSuchObject):
                self.remove(ObjectUrl(bucket, key))

    def remove(self, url: ObjectUrl) -> None:
        """In one request."""
        with as_store_errors():
            self._wire.send("DELETE", _path(url))

    def delete_below(self, folder: ObjectUrl) -> int:
        """In one request."""
        with as_store_errors():
            return self._wire.call("DELETE", _path(folder.folder), Deleted, params={"recursive": True}).deleted

    def _put(self, url: ObjectUrl, pieces: Iterator[bytes], size: int) -> None:
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        with as_store_errors():
            self._wire.send("PUT", _path(url), content=pieces, headers=headers)


class _Spooled(Upload):
    """Kept in memory, then in a temporary file, and sent at the end: one request must tell its size."""

    def __init__(self, store: BuiltinStore, url: ObjectUrl, before: Iterator[bytes]) -> None:
        self._store, self._url = store, url
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed by finish or abort
        for piece in before:
            self._file.write(piece)

    def write(self, piece: bytes) -> None:
        self._file.write(piece)

    def finish(self) -> None:
        with self._file as file:
            size = file.tell()
            file.seek(0)
            self._store.put_file(self._url, file, size)

    def abort(self) -> None:
        self._file.close()


def _told(file: IO[bytes], moved: Callable[[int], None]) -> Iterator[bytes]:
    while piece := file.read(CHUNK):
        yield piece
        moved(len(piece))


def _path(url: ObjectUrl) -> str:
    return f"/storage/objects/{url.path}"


def _facts(info: ObjectInfo, start: int) -> ObjectFacts:
    tag = f"{info.size}-{info.modified_at.timestamp()}" if info.modified_at else ""
    return ObjectFacts(info.key[start:], info.size, info.modified_at, tag)


@contextmanager
def as_store_errors() -> Iterator[None]:
    """The platform's refusals as errors of stores."""
    try:
        yield
    except failures.StoreError:
        raise
    except MlplatError as error:
        for kind, ours in _KINDS:
            if isinstance(error, kind):
                raise ours(error.message) from error
        raise

"""An S3 endpoint as an object store: obstore where it is fast, botocore where it is exact."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from threading import BoundedSemaphore, Lock

from jupyter_mlplat.core.clock import now
from jupyter_mlplat.storage.engine.base import LISTED, Gone, ListedPage, ObjectFacts, ObjectStore, Upload, Version
from jupyter_mlplat.storage.engine.connection import Connection
from jupyter_mlplat.storage.engine.failures import NoSuchBucket, NoSuchObject, Refused, StoreError
from jupyter_mlplat.storage.engine.landing import fill, land
from jupyter_mlplat.storage.engine.s3_exact import ExactClient
from jupyter_mlplat.storage.engine.s3_fast import FastClient, can_name
from jupyter_mlplat.storage.engine.s3_parts import S3Parts
from jupyter_mlplat.storage.engine.s3_upload import LEAST_PART, S3Upload
from jupyter_mlplat.storage.object_urls import ObjectUrl

LARGE = 16 << 20
"""From here on a file moves in parallel parts."""

HASHED_FROM = 1 << 20
"""From here on most of the time of a write without TLS goes into a hash: botocore takes MD5, obstore SHA-256."""

COPIED_AT_ONCE = 4 << 30
"""What one request may copy within an endpoint."""

_LARGE_AT_ONCE = 2
"""What is in memory is this times the parts of one file that are under way."""


class S3Store(ObjectStore):
    """One endpoint with one pair of keys."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._fast = FastClient(connection)
        self._large = BoundedSemaphore(_LARGE_AT_ONCE)
        self._opened: ExactClient | None = None
        self._opening = Lock()

    @property
    def _exact(self) -> ExactClient:
        """Made once, whichever thread comes first: the first in a process takes 0.2 s."""
        with self._opening:
            if self._opened is None:
                self._opened = ExactClient(self.connection)
            return self._opened

    @property
    def parts(self) -> S3Parts:
        return S3Parts(self._exact)

    def _client(self, url: ObjectUrl) -> FastClient | ExactClient:
        return self._fast if can_name(url.key) else self._exact

    def buckets(self) -> list[str]:
        return self._exact.buckets()

    def make_bucket(self, bucket: str) -> None:
        self._exact.make_bucket(bucket)

    def remove_bucket(self, bucket: str) -> None:
        self._exact.remove_bucket(bucket)

    def head(self, url: ObjectUrl) -> ObjectFacts:
        try:
            return self._client(url).head(url)
        except NoSuchBucket:
            raise
        except (NoSuchObject, Refused):
            self._exact.check_bucket(url)
            raise

    def page(self, url: ObjectUrl, *, flat: bool, after: str | None = None, limit: int = LISTED) -> ListedPage:
        return self._exact.page(url, flat=flat, after=after, limit=limit)

    def read(self, url: ObjectUrl, start: int = 0, end: int | None = None) -> bytes:
        if end is not None and end <= start:
            return b""
        return bytes(self._client(url).read(url, start, end))

    def stream(self, url: ObjectUrl, start: int, end: int, tag: str = "") -> Iterator[bytes]:
        return self._client(url).pieces(url, start, end, tag)

    def write(self, url: ObjectUrl, data: bytes, *, create: bool = False) -> None:
        is_hashed = len(data) >= HASHED_FROM and not self.connection.is_secure
        client = self._exact if is_hashed else self._client(url)
        client.write(url, data, create=create)

    def begin(self, url: ObjectUrl, *, keep: bool = False) -> Upload:
        old = None
        if keep:
            with suppress(NoSuchObject):
                old = self.head(url)
        if old is not None and old.size >= LEAST_PART:
            return S3Upload(self._exact, url, self.write, old=old)
        return S3Upload(self._exact, url, self.write, head=self.read(url) if old is not None else b"")

    def upload(self, path: Path, url: ObjectUrl, moved: Callable[[int], None] = lambda _: None) -> None:
        size = path.stat().st_size
        if size < LARGE:
            self.write(url, path.read_bytes())
        else:
            with self._large:
                self.parts.upload(path, url, size)
        moved(size)

    def download(self, url: ObjectUrl, path: Path, facts: ObjectFacts | None = None) -> None:
        known = facts or self.head(url)
        client = self._client(url)
        if known.size < LARGE:
            land(path, client.read(url, 0, None))
            return
        with self._large:
            fill(path, known.size, lambda start, end: client.pieces(url, start, end, known.tag))

    def copy(self, source: ObjectUrl, target: ObjectUrl, facts: ObjectFacts | None = None) -> None:
        if source == target:
            raise StoreError(f"{source} cannot be copied onto itself. Give another path to copy to.")
        self._copy(source, target, facts or self.head(source))

    def delete(self, bucket: str, keys: Sequence[str]) -> None:
        self._exact.delete(bucket, keys)

    def versions(self, url: ObjectUrl) -> list[Version]:
        return self._exact.versions(url)

    def gone(self, folder: ObjectUrl) -> Iterator[Gone]:
        return self._exact.gone(folder)

    def restore(self, url: ObjectUrl, version: str) -> None:
        known = next((one for one in self.versions(url) if one.id == version and not one.is_deletion), None)
        if known is None:
            raise NoSuchObject(f"There is no such version of {url}.")
        self._copy(url, url, ObjectFacts(url.key, known.size, known.modified_at), version)

    def _copy(self, source: ObjectUrl, target: ObjectUrl, facts: ObjectFacts, version: str = "") -> None:
        if facts.size <= COPIED_AT_ONCE:
            self._exact.copy(source, target, version)
        else:
            self.parts.copy(source, target, facts.size, facts.tag, version)

    def link(self, url: ObjectUrl, seconds: int) -> tuple[str, datetime]:
        self.head(url)
        ends = now() + timedelta(seconds=seconds)
        keys = self.connection.renew() if self.connection.renew else None
        if keys and keys.token:
            ends = min(ends, keys.expires_at)
        return self._exact.link(url, int((ends - now()).total_seconds())), ends

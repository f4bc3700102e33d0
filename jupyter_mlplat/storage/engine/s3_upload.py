"""Objects whose size is not known beforehand: kept back while small, a multipart upload from then on."""

from typing import Protocol

from jupyter_mlplat.storage.engine.base import PART, ObjectFacts, Upload
from jupyter_mlplat.storage.engine.s3_exact import ExactClient
from jupyter_mlplat.storage.engine.s3_parts import S3Parts, copied_ranges, same
from jupyter_mlplat.storage.object_urls import ObjectUrl

LEAST_PART = 5 << 20
"""S3's own limit for all parts but the last."""

_PARTS_BEFORE_GROWTH = 1000


class Whole(Protocol):
    """Writes an object in one request."""

    def __call__(self, url: ObjectUrl, data: bytes) -> None: ...


class S3Upload(Upload):
    """`old` is the object that stays at the beginning, of at least LEAST_PART bytes; `head` bytes that come first."""

    def __init__(
        self, client: ExactClient, url: ObjectUrl, whole: Whole, *, old: ObjectFacts | None = None, head: bytes = b""
    ) -> None:
        self._parts, self._url, self._whole = S3Parts(client), url, whole
        self._waiting = bytearray(head)
        self._id = ""
        self._tags: dict[int, str] = {}
        if old is not None:
            self._id = self._parts.begin(url)
            for start, end in copied_ranges(old.size):
                number = len(self._tags) + 1
                self._tags[number] = self._parts.keep(url, self._id, number, same(url, old.tag), start, end)

    def write(self, piece: bytes) -> None:
        self._waiting += piece
        while len(self._waiting) >= self._part_size:
            size = self._part_size
            self._send(bytes(self._waiting[:size]))
            del self._waiting[:size]

    def finish(self) -> None:
        if not self._id:
            self._whole(self._url, bytes(self._waiting))
            return
        if self._waiting:
            self._send(bytes(self._waiting))
        self._waiting.clear()
        self._parts.finish(self._url, self._id, self._tags)
        self._id = ""

    def abort(self) -> None:
        self._waiting.clear()
        if self._id:
            self._parts.give_up(self._url, self._id)
            self._id = ""

    @property
    def _part_size(self) -> int:
        """Grows with the upload: 10,000 parts are all that S3 allows."""
        return PART << (len(self._tags) // _PARTS_BEFORE_GROWTH)

    def _send(self, data: bytes) -> None:
        if not self._id:
            self._id = self._parts.begin(self._url)
        number = len(self._tags) + 1
        self._tags[number] = self._parts.send(self._url, self._id, number, data)

"""Objects whose size is not known beforehand: kept back while small, a multipart upload from then on."""

from typing import Any, Protocol

from jupyter_mlplat.storage.engine.base import ObjectFacts, Upload
from jupyter_mlplat.storage.engine.s3_errors import in_words
from jupyter_mlplat.storage.engine.s3_exact import ExactClient
from jupyter_mlplat.storage.engine.s3_parts import PART, S3Parts
from jupyter_mlplat.storage.object_urls import ObjectUrl

LEAST_PART = 5 << 20
"""S3's own limit for all parts but the last."""

_PARTS_BEFORE_GROWTH = 1000
_COPY_PART = 1 << 30


class Whole(Protocol):
    """Writes an object in one request."""

    def __call__(self, url: ObjectUrl, data: bytes) -> None: ...


class S3Upload(Upload):
    """`old` is the object that stays at the beginning, of at least LEAST_PART bytes; `head` bytes that come first."""

    def __init__(
        self, client: ExactClient, url: ObjectUrl, whole: Whole, *, old: ObjectFacts | None = None, head: bytes = b""
    ) -> None:
        self._client, self._url, self._whole = client, url, whole
        self._waiting = bytearray(head)
        self._id = ""
        self._parts: list[dict[str, Any]] = []
        if old is not None:
            self._begin()
            self._copy(old)

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
        with in_words(self._client.connection, self._url):
            self._client.s3.complete_multipart_upload(**self._where, MultipartUpload={"Parts": self._parts})
        self._id = ""

    def abort(self) -> None:
        self._waiting.clear()
        if self._id:
            with in_words(self._client.connection, self._url):
                self._client.s3.abort_multipart_upload(**self._where)
            self._id = ""

    @property
    def _part_size(self) -> int:
        """Grows with the upload: 10,000 parts are all that S3 allows."""
        return PART << (len(self._parts) // _PARTS_BEFORE_GROWTH)

    @property
    def _where(self) -> dict[str, str]:
        return {"Bucket": self._url.bucket, "Key": self._url.key, "UploadId": self._id}

    def _begin(self) -> None:
        with in_words(self._client.connection, self._url):
            answer = self._client.s3.create_multipart_upload(Bucket=self._url.bucket, Key=self._url.key)
        self._id = answer["UploadId"]

    def _send(self, data: bytes) -> None:
        if not self._id:
            self._begin()
        number = len(self._parts) + 1
        tag = S3Parts(self._client).send(self._url, self._id, number, data)
        self._parts.append({"PartNumber": number, "ETag": tag})

    def _copy(self, old: ObjectFacts) -> None:
        origin = {"Bucket": self._url.bucket, "Key": self._url.key}
        for start, end in copied_ranges(old.size):
            number = len(self._parts) + 1
            with in_words(self._client.connection, self._url):
                answer = self._client.s3.upload_part_copy(
                    **self._where,
                    PartNumber=number,
                    CopySource=origin,
                    CopySourceRange=f"bytes={start}-{end - 1}",
                    CopySourceIfMatch=old.tag,
                )
            self._parts.append({"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]})


def copied_ranges(size: int) -> list[tuple[int, int]]:
    """Ranges of at most 1 GiB, the last one no smaller than S3 allows."""
    count = max(1, -(-size // _COPY_PART))
    step = -(-size // count)
    return [(start, min(size, start + step)) for start in range(0, size, step)]

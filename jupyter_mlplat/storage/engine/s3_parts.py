"""The parts of multipart uploads at an S3 endpoint: each request is its own, so an upload outlives its process."""

import os
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from hashlib import md5
from pathlib import Path
from typing import Any

from jupyter_mlplat.storage.engine.base import ObjectFacts, PartedUploads, part_of
from jupyter_mlplat.storage.engine.failures import Changed, NoSuchUpload, StoreError
from jupyter_mlplat.storage.engine.landing import in_parallel
from jupyter_mlplat.storage.engine.s3_errors import in_words
from jupyter_mlplat.storage.engine.s3_exact import ExactClient
from jupyter_mlplat.storage.object_urls import ObjectUrl


class S3Parts(PartedUploads):
    """Each part is signed with the MD5 of its content: the endpoint refuses one that arrives damaged."""

    def __init__(self, client: ExactClient) -> None:
        self._client = client

    def begin(self, url: ObjectUrl) -> str:
        with in_words(self._client.connection, url):
            answer = self._client.s3.create_multipart_upload(Bucket=url.bucket, Key=url.key)
        return str(answer["UploadId"])

    def send(self, url: ObjectUrl, upload_id: str, number: int, data: bytes) -> str:
        hashed = b64encode(md5(data, usedforsecurity=False).digest()).decode()
        part = _where(url, upload_id) | {"PartNumber": number, "ContentMD5": hashed}
        with in_words(self._client.connection, url):
            return str(self._client.s3.upload_part(**part, Body=data)["ETag"])

    def keep(self, url: ObjectUrl, upload_id: str, number: int, old: ObjectFacts, start: int, end: int) -> str:
        """A range of the object that is there as a part; its tag. An error where it is another one meanwhile."""
        part = _where(url, upload_id) | {"PartNumber": number}
        origin = {"CopySource": {"Bucket": url.bucket, "Key": url.key}, "CopySourceIfMatch": old.tag}
        with in_words(self._client.connection, url):
            answer = self._client.s3.upload_part_copy(**part, **origin, CopySourceRange=f"bytes={start}-{end - 1}")
        return str(answer["CopyPartResult"]["ETag"])

    def upload(self, path: Path, url: ObjectUrl, size: int) -> None:
        """A file in parallel parts, given up where one of them fails. Changed where the file shrinks meanwhile."""
        upload_id, part, tags = self.begin(url), part_of(size), dict[int, str]()

        def one(start: int) -> None:
            wanted, number = min(part, size - start), start // part + 1
            data = os.pread(file.fileno(), wanted, start)
            if len(data) != wanted:
                raise Changed(f"{path.name} was cut short while it was copied. Try again.")
            tags[number] = self.send(url, upload_id, number, data)

        try:
            with path.open("rb", buffering=0) as file:
                in_parallel(one, ((start,) for start in range(0, size, part)))
            self.finish(url, upload_id, tags)
        except BaseException:
            with suppress(StoreError):
                self.give_up(url, upload_id)
            raise

    def finish(self, url: ObjectUrl, upload_id: str, tags: Mapping[int, str]) -> None:
        parts = [{"PartNumber": number, "ETag": tags[number]} for number in sorted(tags)]
        with in_words(self._client.connection, url):
            self._client.s3.complete_multipart_upload(**_where(url, upload_id), MultipartUpload={"Parts": parts})

    def give_up(self, url: ObjectUrl, upload_id: str) -> None:
        try:
            with in_words(self._client.connection, url):
                self._client.s3.abort_multipart_upload(**_where(url, upload_id))
        except NoSuchUpload:
            return


def _where(url: ObjectUrl, upload_id: str) -> dict[str, Any]:
    return {"Bucket": url.bucket, "Key": url.key, "UploadId": upload_id}

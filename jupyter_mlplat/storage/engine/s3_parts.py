"""The parts of multipart uploads at an S3 endpoint: each request is its own, so an upload outlives its process."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from jupyter_mlplat.storage.engine.base import PartedUploads, part_of, tag_of_parts
from jupyter_mlplat.storage.engine.failures import Changed, NoSuchObject, NoSuchUpload, StoreError
from jupyter_mlplat.storage.engine.parallel import in_parallel
from jupyter_mlplat.storage.engine.s3_errors import in_words
from jupyter_mlplat.storage.engine.s3_exact import ExactClient, content_md5, origin
from jupyter_mlplat.storage.object_urls import ObjectUrl

_COPIED = 1 << 30


class S3Parts(PartedUploads):
    """Each part is signed with the MD5 of its content: the endpoint refuses one that arrives damaged."""

    def __init__(self, client: ExactClient) -> None:
        self._client = client

    def begin(self, url: ObjectUrl) -> str:
        with in_words(self._client.connection, url):
            answer = self._client.s3.create_multipart_upload(Bucket=url.bucket, Key=url.key)
        return str(answer["UploadId"])

    def send(self, url: ObjectUrl, upload_id: str, number: int, data: bytes) -> str:
        part = _where(url, upload_id) | {"PartNumber": number, "ContentMD5": content_md5(data)}
        with in_words(self._client.connection, url):
            return str(self._client.s3.upload_part(**part, Body=data)["ETag"])

    def keep(self, url: ObjectUrl, upload_id: str, number: int, source: dict[str, Any], start: int, end: int) -> str:
        """A range of an object that is there, see `same`, as a part; its tag."""
        part = _where(url, upload_id) | {"PartNumber": number, "CopySourceRange": f"bytes={start}-{end - 1}"}
        there = ObjectUrl(source["CopySource"]["Bucket"], source["CopySource"]["Key"])
        with in_words(self._client.connection, there):
            return str(self._client.s3.upload_part_copy(**part, **source)["CopyPartResult"]["ETag"])

    def upload(self, path: Path, url: ObjectUrl, size: int) -> None:
        """A file in parallel parts, given up where one of them fails. Changed where the file shrinks meanwhile."""
        part = part_of(size)

        def one(start: int) -> None:
            wanted, number = min(part, size - start), start // part + 1
            data = os.pread(file.fileno(), wanted, start)
            if len(data) != wanted:
                raise Changed(f"{path.name} was cut short while it was copied. Try again.")
            tags[number] = self.send(url, upload_id, number, data)

        with path.open("rb", buffering=0) as file, self._upload(url) as (upload_id, tags):
            in_parallel(one, range(0, size, part))

    def copy(self, source: ObjectUrl, target: ObjectUrl, size: int, tag: str, version: str = "") -> None:
        """Within the endpoint, in parallel parts. An error where the source is another one meanwhile."""
        unchanged = same(source, tag, version)

        def one(part: tuple[int, tuple[int, int]]) -> None:
            number, (start, end) = part
            tags[number] = self.keep(target, upload_id, number, unchanged, start, end)

        with self._upload(target) as (upload_id, tags):
            in_parallel(one, enumerate(copied_ranges(size), 1))

    @contextmanager
    def _upload(self, url: ObjectUrl) -> Iterator[tuple[str, dict[int, str]]]:
        """The id of a new upload, and where the tags of its parts belong; given up where the block fails."""
        upload_id, tags = self.begin(url), dict[int, str]()
        try:
            yield upload_id, tags
            self.finish(url, upload_id, tags)
        except BaseException:
            with suppress(StoreError):
                self.give_up(url, upload_id)
            raise

    def finish(self, url: ObjectUrl, upload_id: str, tags: Mapping[int, str]) -> None:
        parts = [{"PartNumber": number, "ETag": tags[number]} for number in sorted(tags)]
        try:
            with in_words(self._client.connection, url):
                self._client.s3.complete_multipart_upload(**_where(url, upload_id), MultipartUpload={"Parts": parts})
        except NoSuchUpload:
            if not self._is_made_of(url, [tags[number] for number in sorted(tags)]):
                raise

    def _is_made_of(self, url: ObjectUrl, tags: Sequence[str]) -> bool:
        """Whether the object consists of these parts: then it was finished earlier, and the answer was lost."""
        with suppress(ValueError, NoSuchObject):
            hashes = [bytes.fromhex(tag.strip('"')) for tag in tags]
            return self._client.head(url).tag.strip('"') == tag_of_parts(hashes)
        return False

    def give_up(self, url: ObjectUrl, upload_id: str) -> None:
        try:
            with in_words(self._client.connection, url):
                self._client.s3.abort_multipart_upload(**_where(url, upload_id))
        except NoSuchUpload:
            return


def same(url: ObjectUrl, tag: str, version: str = "") -> dict[str, Any]:
    """An object as the source of copies, as long as it has this tag."""
    return {"CopySource": origin(url, version)} | ({"CopySourceIfMatch": tag} if tag else {})


def copied_ranges(size: int) -> list[tuple[int, int]]:
    """Ranges of at most 1 GiB, the last one no smaller than S3 allows."""
    count = max(1, -(-size // _COPIED))
    step = -(-size // count)
    return [(start, min(size, start + step)) for start in range(0, size, step)]


def _where(url: ObjectUrl, upload_id: str) -> dict[str, Any]:
    return {"Bucket": url.bucket, "Key": url.key, "UploadId": upload_id}

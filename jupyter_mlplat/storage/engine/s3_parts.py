"""The parts of multipart uploads at an S3 endpoint: each request is its own, so an upload outlives its process."""

from collections.abc import Mapping

from jupyter_mlplat.storage.engine.base import PartedUploads
from jupyter_mlplat.storage.engine.failures import NoSuchUpload
from jupyter_mlplat.storage.engine.s3_errors import in_words
from jupyter_mlplat.storage.engine.s3_exact import ExactClient
from jupyter_mlplat.storage.object_urls import ObjectUrl


class S3Parts(PartedUploads):
    """Each part is signed with the hash of its content: the endpoint refuses one that arrives damaged."""

    def __init__(self, client: ExactClient) -> None:
        self._client = client

    def begin(self, url: ObjectUrl) -> str:
        with in_words(self._client.connection, url):
            answer = self._client.s3.create_multipart_upload(Bucket=url.bucket, Key=url.key)
        return str(answer["UploadId"])

    def send(self, url: ObjectUrl, upload_id: str, number: int, data: bytes) -> str:
        where = _where(url, upload_id)
        with in_words(self._client.connection, url):
            return str(self._client.s3.upload_part(**where, PartNumber=number, Body=data)["ETag"])

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


def _where(url: ObjectUrl, upload_id: str) -> dict[str, str]:
    return {"Bucket": url.bucket, "Key": url.key, "UploadId": upload_id}

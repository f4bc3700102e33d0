"""An S3 endpoint through botocore: listings page by page, larger writes, copies, and every key there can be."""

import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from hashlib import md5
from typing import Any

from botocore.config import Config
from botocore.credentials import RefreshableCredentials
from botocore.parsers import ResponseParserError
from botocore.session import Session
from botocore.utils import parse_timestamp

from jupyter_mlplat.storage.engine.base import VERSIONS, Gone, ListedPage, ObjectFacts, Version
from jupyter_mlplat.storage.engine.connection import REGION, Connection, Renew
from jupyter_mlplat.storage.engine.failures import Refused, StoreError
from jupyter_mlplat.storage.engine.s3_bounds import bounded
from jupyter_mlplat.storage.engine.s3_errors import in_words
from jupyter_mlplat.storage.engine.s3_listing import read_quickly
from jupyter_mlplat.storage.engine.sessions import session
from jupyter_mlplat.storage.object_urls import ObjectUrl

_DELETED_AT_ONCE = 1000
_CONNECTIONS = 64
_PIECE = 1 << 20
_NOT_IN_XML = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ufffe\uffff]")


class ExactClient:
    """Raises what `s3_errors` makes of botocore's errors."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        with in_words(connection, ObjectUrl("")):
            self.s3 = bounded(_client(connection), connection)
        read_quickly(self.s3)
        for operation in ("PutObject", "UploadPart"):
            self.s3.meta.events.register(f"before-sign.s3.{operation}", _leave_to_its_md5)
        self._known: set[str] = set()

    def buckets(self) -> list[str]:
        with in_words(self.connection, ObjectUrl("")):
            return [bucket["Name"] for bucket in self.s3.list_buckets()["Buckets"]]

    def make_bucket(self, bucket: str) -> None:
        region = self.connection.region
        where = {} if region == REGION else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        with in_words(self.connection, ObjectUrl(bucket)):
            self.s3.create_bucket(Bucket=bucket, **where)

    def remove_bucket(self, bucket: str) -> None:
        self._known.discard(bucket)
        with in_words(self.connection, ObjectUrl(bucket)):
            self.s3.delete_bucket(Bucket=bucket)

    def check_bucket(self, url: ObjectUrl) -> None:
        """What is wrong with a bucket or the keys, which the answer to a HEAD has no room for.

        The object's own key is looked for: keys may be limited to what begins so.
        """
        if url.bucket not in self._known:
            self.page(url, flat=True, after=None, limit=1)

    def page(self, url: ObjectUrl, *, flat: bool, after: str | None, limit: int) -> ListedPage:
        asked: dict[str, Any] = {"Bucket": url.bucket, "Prefix": url.key, "MaxKeys": limit}
        if not flat:
            asked["Delimiter"] = "/"
        if after is not None:
            asked["ContinuationToken"] = after
        with in_words(self.connection, url):
            answer = self.s3.list_objects_v2(**asked)
            more = answer["IsTruncated"]
            objects = [_listed(one) for one in answer.get("Contents", [])]
        self._known.add(url.bucket)
        folders = [one["Prefix"] for one in answer.get("CommonPrefixes", [])]
        return ListedPage(objects, folders, answer.get("NextContinuationToken") if more else None)

    def head(self, url: ObjectUrl) -> ObjectFacts:
        with in_words(self.connection, url):
            answer = self.s3.head_object(Bucket=url.bucket, Key=url.key)
        return _facts(url.key, answer["ContentLength"], answer)

    def read(self, url: ObjectUrl, start: int, end: int | None) -> memoryview:
        """The bytes from `start` up to `end`."""
        asked: dict[str, Any] = {}
        if start or end is not None:
            asked["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        with in_words(self.connection, url):
            return memoryview(self.s3.get_object(Bucket=url.bucket, Key=url.key, **asked)["Body"].read())

    def pieces(self, url: ObjectUrl, start: int, end: int, tag: str) -> Iterator[bytes]:
        """The same as they arrive; Changed where the object's tag is another one."""
        only = {"IfMatch": tag} if tag else {}
        asked = {"Bucket": url.bucket, "Key": url.key, "Range": f"bytes={start}-{end - 1}"}
        with in_words(self.connection, url):
            yield from self.s3.get_object(**asked, **only)["Body"].iter_chunks(_PIECE)

    def write(self, url: ObjectUrl, data: bytes, *, create: bool) -> None:
        only = {"IfNoneMatch": "*"} if create else {}
        with in_words(self.connection, url, create=create):
            self.s3.put_object(Bucket=url.bucket, Key=url.key, Body=data, ContentMD5=content_md5(data), **only)

    def versions(self, url: ObjectUrl) -> list[Version]:
        """Of this key, which comes before the longer ones that begin with it; the latest first."""
        with in_words(self.connection, url):
            answer = self.s3.list_object_versions(Bucket=url.bucket, Prefix=url.key, MaxKeys=VERSIONS)
        kinds = [(one, False) for one in answer.get("Versions", [])]
        kinds += [(one, True) for one in answer.get("DeleteMarkers", [])]
        found = [_version(one, is_deletion) for one, is_deletion in kinds if one["Key"] == url.key]
        return sorted(found, key=lambda one: (one.is_latest, one.modified_at), reverse=True)

    def gone(self, folder: ObjectUrl) -> Iterator[Gone]:
        """A page of versions is asked for when the one before has been used up."""
        deleted: dict[str, datetime] = {}
        with in_words(self.connection, folder):
            pages = self.s3.get_paginator("list_object_versions")
            for page in pages.paginate(Bucket=folder.bucket, Prefix=folder.key):
                markers = (one for one in page.get("DeleteMarkers", []) if one["IsLatest"])
                deleted |= {one["Key"]: one["LastModified"] for one in markers}
                for one in page.get("Versions", []):  # those of a key come newest first
                    if one["Key"] in deleted:
                        yield Gone(one["Key"], one["Size"], one["VersionId"], deleted.pop(one["Key"]))

    def copy(self, source: ObjectUrl, target: ObjectUrl, version: str = "") -> None:
        """Inside the endpoint, in one request."""
        with in_words(self.connection, source):
            self.s3.copy_object(CopySource=origin(source, version), Bucket=target.bucket, Key=target.key)

    def delete(self, bucket: str, keys: Sequence[str]) -> None:
        """Many at a time, but for those whose keys XML has no way to write."""
        for key in filter(_NOT_IN_XML.search, keys):
            with in_words(self.connection, ObjectUrl(bucket, key)):
                self.s3.delete_object(Bucket=bucket, Key=key)
        plain = [key for key in keys if not _NOT_IN_XML.search(key)]
        for start in range(0, len(plain), _DELETED_AT_ONCE):
            self._delete_some(bucket, plain[start : start + _DELETED_AT_ONCE])

    def _delete_some(self, bucket: str, keys: Sequence[str]) -> None:
        asked = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
        with in_words(self.connection, ObjectUrl(bucket)):
            failed = self.s3.delete_objects(Bucket=bucket, Delete=asked).get("Errors", [])
        if failed:
            first = failed[0]
            kind = Refused if first.get("Code") == "AccessDenied" else StoreError
            url = ObjectUrl(bucket, first.get("Key", ""))
            raise kind(f"{len(failed)} objects could not be deleted, such as {url}: {first.get('Message', '')}")

    def link(self, url: ObjectUrl, seconds: int) -> str:
        asked = {"Bucket": url.bucket, "Key": url.key}
        return str(self.s3.generate_presigned_url("get_object", Params=asked, ExpiresIn=seconds))


def content_md5(data: bytes) -> str:
    """The header with which an endpoint refuses a body that arrives damaged."""
    return b64encode(md5(data, usedforsecurity=False).digest()).decode()


def origin(url: ObjectUrl, version: str = "") -> dict[str, str]:
    """An object as the source of a copy."""
    return {"Bucket": url.bucket, "Key": url.key} | ({"VersionId": version} if version else {})


def _client(connection: Connection) -> Any:
    style = "path" if connection.path_style else "virtual"
    settings = Config(
        signature_version="s3v4",
        s3={"addressing_style": style},
        max_pool_connections=_CONNECTIONS,
        connect_timeout=5,
        read_timeout=connection.timeout,
        retries={"total_max_attempts": connection.retries + 1, "mode": "standard"},
        # newer checksums are unknown to many servers that speak S3
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return _session(connection).create_client(
        "s3",
        endpoint_url=connection.endpoint,
        region_name=connection.region,
        verify=(connection.authorities or True) if connection.verify else False,
        config=settings,
    )


def _leave_to_its_md5(request: Any, **_: Any) -> None:
    """Where the MD5 of a body is among the headers that are signed, a SHA-256 more costs both sides twice the time."""
    if "Content-MD5" in request.headers:
        settings = request.context["client_config"]
        unsigned = Config(s3={**settings.s3, "payload_signing_enabled": False})
        request.context["client_config"] = settings.merge(unsigned)


def _session(connection: Connection) -> Session:
    made = session()
    made.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_moment)
    if connection.renew is None:
        made.set_credentials(connection.access_key, connection.secret_key, connection.token)
    else:
        made._credentials = _renewing(connection.renew)  # botocore has no other place for those that are renewed
    return made


def _moment(value: Any) -> datetime:
    """As botocore reads it; what listings hold a thousand times in a page is read without its patience."""
    with suppress(TypeError, ValueError):
        found = datetime.fromisoformat(value)
        if found.tzinfo is not None:
            return found
    known: datetime = parse_timestamp(value)
    return known


def _renewing(renew: Renew) -> Any:
    def keys() -> dict[str, Any]:
        good = renew()
        return {
            "access_key": good.access,
            "secret_key": good.secret,
            "token": good.token,
            "expiry_time": good.expires_at.isoformat(),
        }

    return RefreshableCredentials.create_from_metadata(keys(), keys, "mlplat")


def _version(one: dict[str, Any], is_deletion: bool) -> Version:
    return Version(one["VersionId"], one["LastModified"], one.get("Size", 0), one["IsLatest"], is_deletion)


def _listed(one: dict[str, str]) -> ObjectFacts:
    when = one.get("LastModified")
    try:
        return ObjectFacts(one["Key"], int(one["Size"]), _moment(when) if when else None, one.get("ETag", ""))
    except ValueError as error:
        raise ResponseParserError(f"an object is listed with {error}") from error


def _facts(key: str, size: int, answer: dict[str, Any]) -> ObjectFacts:
    return ObjectFacts(key, size, answer.get("LastModified"), answer.get("ETag", ""))

"""Objects of an S3 endpoint through obstore: ranges and small objects. It cannot name every key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import obstore
from obstore.store import S3Store

from jupyter_mlplat.storage.engine.base import ObjectFacts
from jupyter_mlplat.storage.engine.connection import Connection, Renew
from jupyter_mlplat.storage.engine.s3_errors import in_words
from jupyter_mlplat.storage.object_urls import ObjectUrl

if TYPE_CHECKING:
    from obstore import GetOptions
    from obstore.store import ClientConfig, S3Config, S3Credential, S3CredentialProvider

PIECE = 128 << 10
"""Larger ones come in fresh memory each, and cost the kernel twice the time."""

_UNNAMEABLE = re.compile(r"(?:^|/)(?:\.{0,2})(?:/|$)|[\x00-\x1f\x7f]")


def can_name(key: str) -> bool:
    """Whether obstore says this key to the server unchanged: no empty parts, no `.` or `..`, no control characters."""
    return _UNNAMEABLE.search(key) is None


class FastClient:
    """Raises what `s3_errors` makes of obstore's errors."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._bucket = cache(self._opened)

    def head(self, url: ObjectUrl) -> ObjectFacts:
        with in_words(self._connection, url):
            meta = obstore.head(self._bucket(url.bucket), url.key)
        return ObjectFacts(url.key, meta["size"], meta["last_modified"], meta["e_tag"] or "")

    def read(self, url: ObjectUrl, start: int, end: int | None) -> memoryview:
        """The bytes from `start` up to `end`."""
        options: GetOptions = {}
        if end is not None:
            options["range"] = (start, end)
        elif start:
            options["range"] = {"offset": start}
        with in_words(self._connection, url):
            return memoryview(obstore.get(self._bucket(url.bucket), url.key, options=options).bytes())

    def pieces(self, url: ObjectUrl, start: int, end: int, tag: str) -> Iterator[bytes]:
        """The same as they arrive; Changed where the object's tag is another one."""
        options: GetOptions = {"range": (start, end)}
        if tag:
            options["if_match"] = tag
        with in_words(self._connection, url):
            yield from obstore.get(self._bucket(url.bucket), url.key, options=options).stream(min_chunk_size=PIECE)

    def write(self, url: ObjectUrl, data: bytes, *, create: bool) -> None:
        mode: Literal["create", "overwrite"] = "create" if create else "overwrite"
        with in_words(self._connection, url, create=create):
            obstore.put(self._bucket(url.bucket), url.key, data, mode=mode, use_multipart=False)

    def _opened(self, bucket: str) -> S3Store:
        return S3Store(
            bucket,
            config=_config(self._connection, bucket),
            client_options=_client_options(self._connection),
            credential_provider=_renewing(self._connection.renew) if self._connection.renew else None,
            retry_config={
                "max_retries": self._connection.retries,
                "retry_timeout": timedelta(seconds=self._connection.timeout * 2),
            },
        )


def _config(connection: Connection, bucket: str) -> S3Config:
    config: S3Config = {
        "endpoint": _endpoint(connection, bucket),
        "region": connection.region,
        "virtual_hosted_style_request": not connection.path_style,
        "unsigned_payload": connection.is_secure,  # else the SHA-256 of each body is signed
    }
    if connection.renew is None:
        config["access_key_id"], config["secret_access_key"] = connection.access_key, connection.secret_key
        if connection.token:
            config["session_token"] = connection.token
    return config


def _renewing(renew: Renew) -> S3CredentialProvider:
    def keys() -> S3Credential:
        good = renew()
        return {
            "access_key_id": good.access,
            "secret_access_key": good.secret,
            "token": good.token,
            "expires_at": good.expires_at,
        }

    return keys


def _endpoint(connection: Connection, bucket: str) -> str:
    """obstore wants the bucket in the address where it belongs to the host's name."""
    if connection.path_style:
        return connection.endpoint
    scheme, _, host = connection.endpoint.partition("://")
    return f"{scheme}://{bucket}.{host}"


def _client_options(connection: Connection) -> ClientConfig:
    options: ClientConfig = {
        "allow_http": connection.endpoint.startswith("http://"),
        "allow_invalid_certificates": not connection.verify,
        "connect_timeout": "5s",
        "read_timeout": timedelta(seconds=connection.timeout),
        "timeout": timedelta(hours=1),
    }
    if connection.authorities:
        options["root_certificate"] = Path(connection.authorities).read_bytes()
    return options

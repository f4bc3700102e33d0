"""Which S3 endpoint to talk to, and with which keys: from the environment, or as given."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any
from urllib.parse import SplitResult, urlsplit

from jupyter_mlplat.storage.engine.addresses import Addresses, is_host
from jupyter_mlplat.storage.engine.failures import NotConfigured

REGION = "us-east-1"
_BY_HOST_NAME = (".amazonaws.com", ".myhuaweicloud.com", ".myhuaweicloud.eu")
_NO = frozenset({"0", "false", "no", "off"})

ACCESS_KEY = ("AWS_ACCESS_KEY_ID", "ACCESS_KEY_ID")
SECRET_KEY = ("AWS_SECRET_ACCESS_KEY", "SECRET_ACCESS_KEY")
TOKEN = ("AWS_SESSION_TOKEN", "SECURITY_TOKEN")
ENDPOINT = ("S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
REGIONS = ("S3_REGION", "AWS_REGION", "AWS_DEFAULT_REGION")
CERTIFICATES = ("AWS_CA_BUNDLE",)


@dataclass(frozen=True)
class Keys:
    """What requests are signed with, until `expires_at`."""

    access: str
    secret: str = field(repr=False)
    token: str | None = field(repr=False)
    expires_at: datetime


Renew = Callable[[], Keys]
"""The keys that are good now."""


@dataclass(frozen=True)
class Connection:
    """`endpoint` is a URL; `verify` whether certificates are checked, `authorities` a file of one's own ones (PEM).

    `path_style`: the bucket is part of the path (MinIO, versitygw), not of the host's name (OBS, AWS). `timeout` is
    seconds without a byte, `retries` how often a request is sent again. `name` is that of an endpoint of the platform,
    whose keys `renew` tells; without it the keys here are good for ever. `addresses` bound
    what a user chose.
    """

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)
    region: str = REGION
    path_style: bool = True
    verify: bool = True
    authorities: str | None = None
    timeout: float = 60
    retries: int = 4
    name: str = ""
    renew: Renew | None = field(default=None, repr=False, compare=False)
    addresses: Addresses | None = field(default=None, repr=False)

    @property
    def is_secure(self) -> bool:
        """Whether TLS sees to it that bodies arrive as they were sent."""
        return self.verify and self.endpoint.startswith("https://")


def known_connection(given: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> Connection | None:
    """The S3 connection that `given` (arguments of `connection`) and the environment describe together.

    None where neither says an address or a key; NotConfigured, with what to set, where they say a part of it only.
    """
    parts = {**_of_environment(environ), **given}
    if not any(parts.get(name) for name in ("access", "secret", "server")):
        return None
    return connection(**parts)


def _of_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    return {
        "access": _first(environ, ACCESS_KEY),
        "secret": _first(environ, SECRET_KEY),
        "server": _first(environ, ENDPOINT),
        "token": _first(environ, TOKEN),
        "region": _first(environ, REGIONS),
        "secure": environ.get("S3_USE_HTTPS", "1").lower() not in _NO,
        "verify": environ.get("S3_VERIFY_SSL", "1").lower() not in _NO,
        "authorities": _first(environ, CERTIFICATES),
    }


@lru_cache(16)
def connection(
    access: str | None,
    secret: str | None,
    server: str | None,
    *,
    port: int | None = None,
    token: str | None = None,
    region: str | None = None,
    secure: bool = True,
    verify: bool = True,
    authorities: str | None = None,
    path_style: bool | None = None,
    timeout: float | None = None,
    retries: int | None = None,
) -> Connection:
    """A connection from what users give. NotConfigured says which part is missing."""
    if not access:
        raise NotConfigured("No access key is known. Set AWS_ACCESS_KEY_ID, or give ak= to mox.file.set_auth.")
    if not secret:
        raise NotConfigured("No secret key is known. Set AWS_SECRET_ACCESS_KEY, or give sk= to mox.file.set_auth.")
    address = endpoint_url(server or f"s3.{region or REGION}.amazonaws.com", port, secure=secure)
    return Connection(
        endpoint=address,
        access_key=access,
        secret_key=secret,
        token=token or None,
        region=region or region_of(address),
        path_style=by_path(address) if path_style is None else path_style,
        verify=verify,
        authorities=authorities,
        timeout=timeout or Connection.timeout,
        retries=Connection.retries if retries is None else retries,
    )


def endpoint_url(server: str, port: int | None, *, secure: bool) -> str:
    """`obs.cn-north-4.myhuaweicloud.com`, `10.0.0.1:9000` or a URL as a URL without a path."""
    parts = urlsplit(server if "://" in server else f"{'https' if secure else 'http'}://{server}")
    if not _is_endpoint(parts):
        raise NotConfigured(f"{server!r} is no address of an S3 endpoint. It looks like https://s3.example.org:9000.")
    place = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{place}" if port is None or parts.port else f"{parts.scheme}://{place}:{port}"


def _is_endpoint(parts: SplitResult) -> bool:
    try:
        known = is_host(parts.hostname or "") and parts.port != 0
    except ValueError:  # a port that is no number, or too large
        return False
    return known and parts.scheme in ("http", "https") and not (parts.path.strip("/") or parts.query or parts.fragment)


def region_of(endpoint: str) -> str:
    """What an address such as obs.cn-north-4.myhuaweicloud.com or s3.eu-west-1.amazonaws.com says."""
    labels = (urlsplit(endpoint).hostname or "").split(".")
    named = len(labels) >= 4 and labels[0] in ("obs", "s3") and _by_name(endpoint)
    return labels[1] if named else REGION


def _by_name(endpoint: str) -> bool:
    return (urlsplit(endpoint).hostname or "").endswith(_BY_HOST_NAME)


def by_path(endpoint: str) -> bool:
    """Whether the bucket belongs into the path of requests to this endpoint."""
    return not _by_name(endpoint)


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((environ[name] for name in names if environ.get(name)), None)

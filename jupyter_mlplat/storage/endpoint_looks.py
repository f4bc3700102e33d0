"""What an S3 endpoint says when it is spoken to; blocking, for threads."""

from dataclasses import dataclass, replace

from jupyter_mlplat.core.settings import Settings
from jupyter_mlplat.errors import MlplatError
from jupyter_mlplat.storage.endpoint_store import EndpointRow
from jupyter_mlplat.storage.engine.addresses import Addresses
from jupyter_mlplat.storage.engine.authorities import file_of
from jupyter_mlplat.storage.engine.connection import Connection, Keys
from jupyter_mlplat.storage.engine.failures import NotConfigured
from jupyter_mlplat.storage.object_urls import ObjectUrl

PATIENCE = 10.0
"""Seconds without a byte after which an endpoint does not answer."""


@dataclass(frozen=True)
class Look:
    """The buckets that the keys listed, where the endpoint is to serve them all; what was wrong, in words."""

    buckets: list[str]
    problem: str = ""


def addresses_of(settings: Settings) -> Addresses:
    """The bounds of this platform; on a cluster its own pod is out of them."""
    return Addresses.listed(settings.storage_addresses, own_host=settings.backend != "kubernetes")


def connection_of(row: EndpointRow, secret: str, addresses: Addresses) -> Connection:
    """How the platform itself reaches an endpoint, within these bounds."""
    return Connection(
        endpoint=row.address,
        access_key=row.access_key,
        secret_key=secret,
        region=row.region,
        path_style=row.path_style,
        authorities=file_of(row.authorities),
        timeout=PATIENCE,
        retries=1,
        name=row.name,
        addresses=addresses,
    )


def look(row: EndpointRow, secret: str, addresses: Addresses) -> Look:
    """List something of each bucket, or the buckets; by temporary keys too where the endpoint gives such."""
    try:
        connection = connection_of(row, secret, addresses)
        found = _listed(connection, row)
        if row.keys == "temporary":
            keys = temporary(row, secret, addresses)
            _listed(replace(connection, access_key=keys.access, secret_key=keys.secret, token=keys.token), row)
    except MlplatError as error:
        return Look([], error.message)
    return Look(found)


def temporary(row: EndpointRow, secret: str, addresses: Addresses, *, only: str = "", below: str = "") -> Keys:
    """Keys for an hour that may do no more than the endpoint is for.

    For one bucket `only`, and in it what is `below` a prefix of the endpoint's, a quarter of an hour.
    """
    try:
        from jupyter_mlplat.storage.engine.sts import SECONDS, SHORTEST, session_policy, temporary_keys
    except ImportError as error:
        raise _missing(error) from error
    policy = session_policy([only] if only else row.buckets, below or row.prefix)
    store = connection_of(row, secret, addresses)
    seconds = SHORTEST if only else SECONDS
    return temporary_keys(replace(store, endpoint=row.sts_address or row.address), row.sts_role, policy, seconds)


def _listed(connection: Connection, row: EndpointRow) -> list[str]:
    try:
        from jupyter_mlplat.storage.engine.s3 import S3Store
    except ImportError as error:
        raise _missing(error) from error
    store = S3Store(connection)
    for bucket in row.buckets:
        store.page(ObjectUrl(bucket, row.prefix), flat=True, limit=1)
    return [] if row.buckets else store.buckets()


def _missing(error: ImportError) -> NotConfigured:
    words = f'{error.name} is missing. Install it where the platform runs: pip install "jupyter-mlplat[storage]".'
    return NotConfigured(words)

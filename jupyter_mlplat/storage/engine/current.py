"""The object stores that obs:// and s3:// mean in this process.

What `use` was given comes first, then the S3 keys of the environment, then, inside an instance, the storage of its
owner: the built-in store, and the endpoints that the platform knows.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

from jupyter_mlplat.errors import MlplatError
from jupyter_mlplat.storage.engine.base import ObjectStore
from jupyter_mlplat.storage.engine.connection import Connection, known_connection
from jupyter_mlplat.storage.engine.failures import NotConfigured
from jupyter_mlplat.storage.engine.opening import opened

if TYPE_CHECKING:
    from jupyter_mlplat.sdk.profile import Profile
    from jupyter_mlplat.storage.engine.places import Places

_lock = threading.Lock()
_given: dict[str, Any] = {}
_opened: dict[Connection, ObjectStore] = {}
_places: dict[Profile, Places] = {}
NOTHING = (
    "No object store is known here. Set S3_ENDPOINT, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
    "or call mox.file.set_auth(ak=…, sk=…, server=…)."
)


def use(**settings: Any) -> None:
    """From now on these arguments of `connection` come before what the environment says."""
    with _lock:
        _given.update(settings)


def forget() -> None:
    """Go again by the environment alone."""
    with _lock:
        _given.clear()


def store_for(bucket: str) -> ObjectStore:
    """The store that has a bucket. NotConfigured says what to set where no store is known."""
    connection = known_connection(_given)
    return store_of(connection) if connection is not None else places().store_for(bucket)


def buckets() -> list[str]:
    """Of all that `store_for` knows."""
    connection = known_connection(_given)
    return store_of(connection).buckets() if connection is not None else places().buckets()


def store_of(connection: Connection) -> ObjectStore:
    """The store of an S3 connection; the same one for the same connection."""
    with _lock:
        if connection not in _opened:
            _opened[connection] = opened(connection)
        return _opened[connection]


def places() -> Places:
    """The storage of the owner of this instance, whatever keys the environment has."""
    if not (os.environ.get("MLPLAT_API") and os.environ.get("MLPLAT_INSTANCE_ID")):
        raise NotConfigured(NOTHING)
    from jupyter_mlplat.sdk.profile import load_profile
    from jupyter_mlplat.storage.engine.places import Places

    try:
        profile = load_profile()
    except MlplatError as error:
        raise NotConfigured(error.message) from error
    with _lock:
        if profile not in _places:
            _places[profile] = Places(profile)
        return _places[profile]

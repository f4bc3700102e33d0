"""The object store that obs:// and s3:// mean in this process.

What `use` was given comes first, then the S3 keys of the environment, then, inside an instance, the built-in store of
its owner.
"""

import os
import threading
from collections.abc import Mapping
from typing import Any

from jupyter_mlplat.errors import MlplatError
from jupyter_mlplat.storage.engine.base import ObjectStore
from jupyter_mlplat.storage.engine.connection import Connection, known_connection
from jupyter_mlplat.storage.engine.failures import NotConfigured

_lock = threading.Lock()
_given: dict[str, Any] = {}
_opened: dict[object, ObjectStore] = {}
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


def store() -> ObjectStore:
    """The store in force. NotConfigured says what to set where there is none."""
    connection = known_connection(_given)
    if connection is not None:
        return store_of(connection)
    if os.environ.get("MLPLAT_API") and os.environ.get("MLPLAT_INSTANCE_ID"):
        return _builtin(os.environ)
    raise NotConfigured(NOTHING)


def store_of(connection: Connection) -> ObjectStore:
    """The store of an S3 connection; the same one for the same connection."""
    with _lock:
        if connection not in _opened:
            _opened[connection] = _s3(connection)
        return _opened[connection]


def _s3(connection: Connection) -> ObjectStore:
    try:
        from jupyter_mlplat.storage.engine.s3 import S3Store
    except ImportError as error:
        raise NotConfigured(
            f'{error.name} is missing. Install it with pip install "jupyter-mlplat[storage]".'
        ) from error
    return S3Store(connection)


def _builtin(environ: Mapping[str, str]) -> ObjectStore:
    from jupyter_mlplat.sdk.profile import load_profile
    from jupyter_mlplat.storage.engine.builtin import BuiltinStore

    try:
        profile = load_profile(environ)
    except MlplatError as error:
        raise NotConfigured(error.message) from error
    with _lock:
        if profile not in _opened:
            _opened[profile] = BuiltinStore(profile)
        return _opened[profile]

"""All stores of one user of a platform: the built-in one, and the S3 endpoints that the platform knows."""

import threading
import time
from functools import partial

from jupyter_mlplat.errors import NotFound
from jupyter_mlplat.sdk.profile import Profile
from jupyter_mlplat.sdk.wire import Wires
from jupyter_mlplat.storage.endpoint_models import BucketPlace, Credentials
from jupyter_mlplat.storage.engine.base import ObjectStore
from jupyter_mlplat.storage.engine.builtin import BuiltinStore, as_store_errors
from jupyter_mlplat.storage.engine.granted import granted
from jupyter_mlplat.storage.models import LOCAL, Endpoint
from jupyter_mlplat.storage.object_urls import ObjectUrl

REMEMBERED = 60.0
"""Seconds for which the place of a bucket is known."""


class Places:
    """From any thread. Errors are those of the stores: Refused says how to let an endpoint give keys."""

    def __init__(self, profile: Profile) -> None:
        self._wires = Wires(profile)
        self.builtin: ObjectStore = BuiltinStore(self._wires)
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, str]] = {}
        self._stores: dict[str, ObjectStore] = {}

    @property
    def api(self) -> str:
        """The address of the platform."""
        return self._wires.profile.api

    def endpoints(self) -> list[Endpoint]:
        """The built-in one first."""
        with as_store_errors():
            return self._wires.here.call("GET", "/storage/endpoints", list[Endpoint])

    def buckets(self) -> list[str]:
        """Of all endpoints; each name once."""
        return sorted({bucket for endpoint in self.endpoints() for bucket in endpoint.buckets})

    def store_for(self, bucket: str) -> ObjectStore:
        """The store that has a bucket; the built-in one where none has, so that it can be made there."""
        return self.store_at(self._place(bucket))

    def store_at(self, endpoint: str) -> ObjectStore:
        """The store of an endpoint, with keys that are renewed while it is used."""
        if endpoint == LOCAL:
            return self.builtin
        with self._lock:
            if endpoint not in self._stores:
                self._stores[endpoint] = granted(self._credentials(endpoint), partial(self._credentials, endpoint))
            return self._stores[endpoint]

    def forget(self, bucket: str) -> None:
        """Look for this bucket anew."""
        self._known.pop(bucket, None)

    def _place(self, bucket: str) -> str:
        asked, endpoint = self._known.get(bucket, (float("-inf"), LOCAL))
        if time.monotonic() - asked < REMEMBERED:
            return endpoint
        try:
            with as_store_errors():
                path = f"/storage/buckets/{ObjectUrl(bucket).path.rstrip('/')}"
                endpoint = self._wires.here.call("GET", path, BucketPlace).endpoint
        except NotFound:
            return LOCAL
        self._known[bucket] = time.monotonic(), endpoint
        return endpoint

    def _credentials(self, endpoint: str) -> Credentials:
        with as_store_errors():
            return self._wires.here.call("POST", "/storage/credentials", Credentials, json={"endpoint": endpoint})

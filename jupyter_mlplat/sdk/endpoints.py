"""Storage endpoints."""

from typing import Any
from urllib.parse import quote

from jupyter_mlplat.sdk.wire import Wire
from jupyter_mlplat.storage.models import Endpoint

EndpointList = list[Endpoint]


class Endpoints:
    """`client.storage_endpoints`: where buckets are besides the built-in store. Secrets go in and never come back."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def list(self) -> EndpointList:
        """The built-in one first."""
        return self._wire.call("GET", "/storage/endpoints", list[Endpoint])

    def get(self, name: str) -> Endpoint:
        return self._wire.call("GET", _path(name), Endpoint)

    def add(self, name: str, address: str, access_key: str, secret_key: str, **settings: Any) -> Endpoint:
        """Add and test one; `settings` are the other fields of `EndpointAdd`. Its `state` says how the test went."""
        body = {"name": name, "address": address, "access_key": access_key, "secret_key": secret_key, **settings}
        return self._wire.call("POST", "/storage/endpoints", Endpoint, json=body)

    def change(self, name: str, **settings: Any) -> Endpoint:
        """Fields of `EndpointChange`; new keys are tried first, and refused where they do not work."""
        return self._wire.call("PATCH", _path(name), Endpoint, json=settings)

    def test(self, name: str) -> Endpoint:
        """Let the platform ask it for a listing."""
        return self._wire.call("POST", f"{_path(name)}/test", Endpoint)

    def remove(self, name: str) -> None:
        """Forget it and its keys; what is in its buckets stays."""
        self._wire.send("DELETE", _path(name))


def _path(name: str) -> str:
    return f"/storage/endpoints/{quote(name, safe='')}"

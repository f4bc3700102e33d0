"""Keeps a client of botocore's to the addresses that its connection may speak to."""

from typing import Any
from urllib.parse import urlsplit

from jupyter_mlplat.storage.engine.addresses import Addresses
from jupyter_mlplat.storage.engine.connection import Connection


def bounded(client: Any, connection: Connection) -> Any:
    """The client; each of its requests looks at the addresses of the host first, and at the peer that it reached.

    The second look is for a name that means another address from one moment to the next.
    """
    addresses = connection.addresses
    if addresses is not None:
        client.meta.events.register("before-send", lambda request, **_: addresses.check(request.url))
        # botocore has no other place for the kind of connection that it makes
        pools = client._endpoint.http_session._pool_classes_by_scheme
        host = urlsplit(connection.endpoint).hostname or ""
        pools.update({scheme: _pool(kind, addresses, host) for scheme, kind in pools.items()})
    return client


def _pool(kind: Any, addresses: Addresses, host: str) -> Any:
    def reached(self: Any) -> Any:
        made = kind.ConnectionCls._new_conn(self)
        if self.proxy is None and not addresses.admits(host, [made.getpeername()[0]]):
            made.close()
            raise ConnectionRefusedError(f"{host} has become another address")
        return made

    return type("Bounded", (kind,), {"ConnectionCls": type("Bounded", (kind.ConnectionCls,), {"_new_conn": reached})})

"""Quotas."""

from jupyter_mlplat.quotas.models import Quota
from jupyter_mlplat.sdk.wire import Wire

QuotaList = list[Quota]


class Quotas:
    """`client.quotas`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def list(self) -> QuotaList:
        """What the caller uses, and how much of it they may."""
        return self._wire.call("GET", "/quotas", list[Quota])

"""Flavors."""

from jupyter_mlplat.flavors.models import FlavorOffer
from jupyter_mlplat.sdk.wire import Wire

FlavorOfferList = list[FlavorOffer]


class Flavors:
    """`client.flavors`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def list(self) -> FlavorOfferList:
        """The catalogue as it can be had now; sold out ones say why."""
        return self._wire.call("GET", "/flavors", list[FlavorOffer])

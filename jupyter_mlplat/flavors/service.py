"""The catalogue of flavors, as it can be had now."""

import tomllib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Protocol

from jupyter_mlplat.backends.base import InstanceSpec
from jupyter_mlplat.errors import InvalidInput, SoldOut
from jupyter_mlplat.flavors.models import Flavor, FlavorOffer


class Capacity(Protocol):
    """What knows which flavors can be had now (a back end)."""

    async def offers(self, flavors: Sequence[Flavor], switching: InstanceSpec | None = None) -> list[FlavorOffer]: ...


def read_catalog(path: Path | None = None) -> list[Flavor]:
    """The flavors of a catalogue file (TOML, `[[flavor]]` tables), or of the one that comes with the package."""
    source = path.read_text() if path else files("jupyter_mlplat.flavors").joinpath("catalog.toml").read_text()
    flavors = [Flavor.model_validate(line) for line in tomllib.loads(source)["flavor"]]
    if len({flavor.id for flavor in flavors}) != len(flavors):
        raise InvalidInput("The flavor catalogue names one id twice; give each flavor its own id.")
    return flavors


class FlavorService:
    """Looks flavors up and says which can be had."""

    def __init__(self, catalog: Sequence[Flavor], capacity: Capacity) -> None:
        self._catalog = {flavor.id: flavor for flavor in catalog}
        self._capacity = capacity

    async def offers(self, switching: InstanceSpec | None = None) -> list[FlavorOffer]:
        """The whole catalogue in its order, each flavor with whether and why not it can be had (by that instance)."""
        return await self._capacity.offers(list(self._catalog.values()), switching)

    def get(self, flavor_id: str) -> Flavor:
        """The flavor of that id; InvalidInput where the catalogue has none."""
        try:
            return self._catalog[flavor_id]
        except KeyError:
            known = ", ".join(self._catalog)
            raise InvalidInput(f"There is no flavor {flavor_id!r}. Choose one of: {known}.") from None

    async def available(self, flavor_id: str | None, switching: InstanceSpec | None = None) -> Flavor:
        """The flavor of that id, or the first that can be had; SoldOut with the reason where it cannot be had."""
        if flavor_id is None:
            return await self._default()
        (offer,) = await self._capacity.offers([self.get(flavor_id)], switching)
        if offer.sold_out:
            raise SoldOut(f"Flavor {flavor_id} cannot be had now: {offer.reason}. Choose another flavor.")
        return self.get(flavor_id)

    async def _default(self) -> Flavor:
        for offer in await self.offers():
            if not offer.sold_out:
                return self.get(offer.id)
        raise SoldOut("No flavor of the catalogue can be had on this machine now.")

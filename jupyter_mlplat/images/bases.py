"""The images that a Containerfile names, found for who wants it built."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.backends.imaging import BaseImage, RegistersImages
from jupyter_mlplat.errors import Conflict, InvalidInput
from jupyter_mlplat.images import store
from jupyter_mlplat.images.models import ImageStatus
from jupyter_mlplat.images.prepare import PLATFORM
from jupyter_mlplat.images.sharing import usable
from jupyter_mlplat.images.store import ImageRow

MOST = 20
"""Images that one Containerfile may name."""

_HOST = re.compile(r"(localhost|[A-Za-z0-9\-]+(\.[A-Za-z0-9\-]+)+|[A-Za-z0-9.\-]+:[0-9]+)/.+")


@dataclass(frozen=True)
class Bases:
    """Finds them for a caller of those groups; `register` knows which other registries are allowed."""

    session: AsyncSession
    actor: Actor
    groups: Collection[str]
    register: RegistersImages | None

    async def find(self, names: Sequence[str]) -> list[BaseImage]:
        """Each of them. InvalidInput, with what to do, for one that may not be built on."""
        if len(names) > MOST:
            raise InvalidInput(f"The Containerfile names {len(names)} images; {MOST} are the most.")
        return [await self._one(name) for name in names]

    async def listed(self, name: str) -> ImageRow | None:
        """The image of the catalogue that is meant; None for one of another registry, or none."""
        return None if not name or _HOST.fullmatch(name) else await self._listed(name)

    async def _one(self, name: str) -> BaseImage:
        row = await self.listed(name)
        if row is None:
            return self._elsewhere(name)
        image = await usable(self.session, self.actor, self.groups, row.id)
        if not image.digest:
            raise Conflict(f"FROM {name}: the platform has not made this preset yet. Start an instance on it first.")
        return BaseImage(name, digest=image.digest, reference=image.reference)

    def _elsewhere(self, name: str) -> BaseImage:
        if "@" in name:
            raise InvalidInput(f"FROM {name}: name the image by a tag. What it means now is what is built on.")
        if self.register is None:
            raise InvalidInput(f"FROM {name}: images of other registries cannot be had here. {_ADVICE}")
        try:
            self.register.check_source(name)
        except InvalidInput as error:
            raise InvalidInput(f"FROM {name}: {error.message} {_ADVICE}") from error
        return BaseImage(name, source=name)

    async def _listed(self, name: str) -> ImageRow:
        """The image of the catalogue: the caller's own before presets, these before what others share."""
        title, _, tag = name.partition(":")
        if not tag:
            raise InvalidInput(f"FROM {name}: say which tag, as in FROM {name}:TAG. {_ADVICE}")
        for owner in (self.actor.user, PLATFORM):
            row = await store.named(self.session, owner, title, tag)
            if row is not None and row.status == ImageStatus.ACTIVE:
                return row
        others = await store.named_by_others(self.session, self.actor, self.groups, name)
        if not others:
            raise InvalidInput(f"FROM {name}: the catalogue has no such image that you can use. {_ADVICE}")
        if len(others) > 1:
            owners = " and ".join(sorted(row.owner for row in others))
            raise InvalidInput(f"FROM {name}: {owners} share images of that name. Save or build one of your own first.")
        return others[0]


_ADVICE = "`mlplat image list` shows the images to build on."

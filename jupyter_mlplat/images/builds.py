"""What people may ask of builds: images made of a Containerfile."""

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import asdict, dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.access.groups import Groups
from jupyter_mlplat.access.permissions import require
from jupyter_mlplat.audit import store as audit
from jupyter_mlplat.backends.imaging import BuildDoor, BuildsImages, ImageBackend, RegistersImages
from jupyter_mlplat.core.ids import new_id
from jupyter_mlplat.core.settings import Settings
from jupyter_mlplat.db.engine import Database
from jupyter_mlplat.errors import Conflict, NotAuthenticated, NotFound, QuotaExceeded
from jupyter_mlplat.events import store as events
from jupyter_mlplat.images import store
from jupyter_mlplat.images.bases import Bases
from jupyter_mlplat.images.containerfile import read
from jupyter_mlplat.images.models import BuildOffer, Image, ImageBuild, ImageStatus, Origin
from jupyter_mlplat.images.naming import check_name
from jupyter_mlplat.images.sharing import is_shared
from jupyter_mlplat.images.store import ImageRow
from jupyter_mlplat.jobs.results import FOLLOW_SECONDS, PIECE, Log
from jupyter_mlplat.jobs.tokens import JobTokens
from jupyter_mlplat.jobs.uploads import BundleService

MAKING = (ImageStatus.INIT, ImageStatus.CREATING)
ATTEMPT = 1
"""A build is tried once; its token is made as that of a job's attempt."""

_REFUSED = "This is not, or no longer, the token of a build that is under way."
_NO_CONTAINERS = (
    "This platform runs no containers, so it builds no images. Install what you need in an instance and save that "
    "as an image."
)


@dataclass(frozen=True)
class Builds:
    """Takes builds in, shows their logs, and lets their pods in."""

    database: Database
    backend: ImageBackend
    groups: Groups
    settings: Settings

    @property
    def refusal(self) -> str:
        """Why nothing is built here, in words; empty where it is."""
        return self.backend.no_builds if isinstance(self.backend, BuildsImages) else _NO_CONTAINERS

    async def offer(self, actor: Actor) -> BuildOffer:
        """What stands in the way of a build now, if anything does."""
        async with self.database.read() as session:
            running = await store.count_builds(session, actor.user)
        return BuildOffer(absent=self.refusal, running=running, most=self.settings.running_build_quota)

    async def submit(self, actor: Actor, wanted: ImageBuild) -> Image:
        """A new image that the reconciler will build."""
        require(actor, "image:build", owner=actor.user)
        if self.refusal:
            raise Conflict(self.refusal)
        stages = read(wanted.containerfile)
        await BundleService(self.database, self.settings).get(actor, wanted.bundle)
        groups = await self.groups.known(actor.user)
        async with self.database.transaction() as session:
            await check_name(session, actor.user, wanted.name, wanted.tag)
            await self._check_quota(session, actor.user)
            bases = self._bases(session, actor, groups)
            found = await bases.find(list(stages.named))
            image = ImageRow(
                id=new_id("m"),
                owner=actor.user,
                origin=Origin.CUSTOMIZE,
                status=ImageStatus.INIT,
                instance_id=actor.instance_id,
                bases=[asdict(base) for base in found],
                **wanted.model_dump(exclude_none=True),
            )
            await _inherit(image, wanted, bases, stages.last)
            session.add(image)
            detail = f"on {', '.join(stages.named) or 'nothing'}"
            audit.record(session, actor, "image:build", resource_id=image.id, owner=image.owner,
                         resource_name=image.full_name, detail=detail)  # fmt: skip
            events.emit(session, "image", image.id, image.owner, "BuildRequested", f"Building {detail}")
            await session.flush()
            return store.to_model(image)

    async def log(self, actor: Actor, image_id: str, offset: int, follow: bool) -> Log:
        """The log of a build from a byte offset: what is there, or with `follow` until the build has ended."""
        groups = await self.groups.known(actor.user)
        async with self.database.read() as session:
            row = await store.get(session, image_id)
        if row is None:
            raise NotFound(f"There is no image {image_id!r}.")
        require(actor, "image:read", owner=row.owner, resource_id=row.id, shared=is_shared(row, groups))
        if not row.containerfile or not isinstance(self.backend, BuildsImages):
            raise NotFound(f"{row.full_name} was not built from a Containerfile, so it has no log.")
        size = await self.backend.build_log_size(image_id)
        if follow:
            return Log(size, self._followed(self.backend, image_id, offset))
        return Log(size, _written(self.backend, image_id, offset, size))

    async def door(self, image_id: str, token: str) -> BuildDoor:
        """Lets the pod of a build in. NotAuthenticated for any token but that of a build that is under way."""
        attempt = JobTokens(self.settings.hub_secret.get_secret_value()).attempt_of(token, image_id)
        if attempt != ATTEMPT or not await self._is_under_way(image_id) or not isinstance(self.backend, BuildsImages):
            raise NotAuthenticated(_REFUSED)
        return await self.backend.door(image_id)

    def _bases(self, session: AsyncSession, actor: Actor, groups: Collection[str]) -> Bases:
        return Bases(session, actor, groups, self.backend if isinstance(self.backend, RegistersImages) else None)

    async def _check_quota(self, session: AsyncSession, owner: str) -> None:
        limit = self.settings.running_build_quota
        if await store.count_builds(session, owner) >= limit:
            raise QuotaExceeded(
                f"You have as many builds under way as your quota allows: {limit}. Wait, or cancel one."
            )

    async def _is_under_way(self, image_id: str) -> bool:
        async with self.database.read() as session:
            row = await store.get(session, image_id)
        return row is not None and row.status in MAKING and bool(row.containerfile) and not row.cancelled

    async def _followed(self, backend: BuildsImages, image_id: str, offset: int) -> AsyncIterator[bytes]:
        while True:
            ended = not await self._is_under_way(image_id)
            while piece := await backend.read_build_log(image_id, offset, PIECE):
                offset += len(piece)
                yield piece
            if ended:
                return
            await asyncio.sleep(FOLLOW_SECONDS)


async def _inherit(image: ImageRow, wanted: ImageBuild, bases: Bases, name: str) -> None:
    """What the image below can do, the new one can, where nothing else is said."""
    below = await bases.listed(name)
    if below is not None and wanted.resource_categories is None:
        image.resource_categories = list(below.resource_categories)
    if below is not None and wanted.services is None:
        image.services = list(below.services)


async def _written(backend: BuildsImages, image_id: str, offset: int, size: int) -> AsyncIterator[bytes]:
    while offset < size:
        piece = await backend.read_build_log(image_id, offset, min(PIECE, size - offset))
        if not piece:
            return
        offset += len(piece)
        yield piece

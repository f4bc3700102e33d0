"""Makes the images that people asked for, and gives back the space of those they deleted."""

import logging
from contextlib import aclosing

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from jupyter_mlplat.backends.base import Checkpoint, InstanceBackend, ServerState
from jupyter_mlplat.backends.imaging import (
    BaseImage,
    BuildsImages,
    BuildSpec,
    BuiltImage,
    ImageBackend,
    RegisteredImage,
    RegistersImages,
    RegisterSpec,
    SavedImage,
    SaveSpec,
)
from jupyter_mlplat.core.settings import Settings
from jupyter_mlplat.db.engine import Database
from jupyter_mlplat.errors import BackendFailure, Conflict, MlplatError
from jupyter_mlplat.events import store as events
from jupyter_mlplat.events.broker import Broker
from jupyter_mlplat.flavors.service import FlavorService
from jupyter_mlplat.images import editions, store
from jupyter_mlplat.images.models import ImageStatus, Origin
from jupyter_mlplat.images.pace import Pace
from jupyter_mlplat.images.prepare import PresetPreparer
from jupyter_mlplat.images.store import ImageRow
from jupyter_mlplat.instances import store as instances
from jupyter_mlplat.instances.models import Status
from jupyter_mlplat.instances.spec import spec_of
from jupyter_mlplat.instances.store import InstanceRow
from jupyter_mlplat.jobs import store as jobs
from jupyter_mlplat.jobs.uploads import BundleFolder
from jupyter_mlplat.reconciling.loop import Reconciler

log = logging.getLogger(__name__)

COLLECT = "collect"
"""Stands among the pending ids for the collection of what no image needs any more."""

PREPARE = "prepare"
"""Stands among the pending ids for the default preset, made beforehand so that the first instance starts quickly."""


class ImageReconciler(Reconciler):
    """Saves, registers and builds images through the back end."""

    noun = "image"

    def __init__(
        self,
        database: Database,
        broker: Broker,
        backend: ImageBackend,
        instances: InstanceBackend,
        flavors: FlavorService,
        settings: Settings,
    ) -> None:
        super().__init__(database, broker)
        self._bundles = BundleFolder(settings.data_dir / "bundles")
        self._backend = backend
        self._instances = instances
        self._flavors = flavors
        self._pace = Pace()
        self._given_up: frozenset[str] = frozenset()
        self._presets = PresetPreparer(self.database, backend)
        self._collected: frozenset[str] | None = None
        self._refreshed = False
        self._prepared = False

    async def pending(self) -> list[str]:
        if not self._refreshed:
            await self._presets.refresh()
            self._refreshed = True
        async with self.database.read() as session:
            unfinished = await store.unfinished(session)
            cancelled = frozenset(await store.cancelled(session))
            kept = frozenset(await _kept(session))
        # once: what a save has begun is cleared away before the next round drops its image
        self.cut_off_work_on(cancelled - self._given_up)
        self._given_up = cancelled
        shrunk = self._collected is None or bool(self._collected - kept)
        self._collected = self._collected if shrunk else kept
        first = [] if self._prepared else [PREPARE]
        return first + unfinished + ([COLLECT] if shrunk and not unfinished else [])

    async def reconcile(self, resource_id: str) -> None:
        if resource_id in (COLLECT, PREPARE):
            await (self._collect() if resource_id == COLLECT else self._prepare())
            return
        await self._clear_away(resource_id)
        spec = await self._begin(resource_id)
        if spec is None:
            return
        try:
            await self._make(spec)
        except BackendFailure:
            raise
        except MlplatError as error:
            await self._failed(resource_id, error.message)
        except Exception:
            log.exception("making image %s failed", resource_id)
            await self._failed(resource_id, "That failed in the platform. Try again; its log says more.")
        finally:
            self._pace.forget(resource_id)

    async def _make(self, spec: SaveSpec | RegisterSpec | BuildSpec) -> None:
        if isinstance(spec, SaveSpec):
            await self._save(spec)
        elif isinstance(spec, RegisterSpec):
            await self._register(spec)
        else:
            await self._build(spec)

    async def _clear_away(self, image_id: str) -> None:
        """End what still works on a build that was given up."""
        async with self.database.read() as session:
            image = await session.get_one(ImageRow, image_id)
        if image.cancelled and image.containerfile and isinstance(self._backend, BuildsImages):
            await self._backend.discard(image_id)

    async def _begin(self, image_id: str) -> SaveSpec | RegisterSpec | BuildSpec | None:
        """Mark image and instance; None where it has ended meanwhile, or fails as the instance no longer runs."""
        async with self.database.transaction() as session:
            image, source = await self._pair(session, image_id)
            if image.status not in (ImageStatus.INIT, ImageStatus.CREATING):
                return None
            if image.cancelled:
                self._drop(session, image, source)
                return None
            if image.origin == Origin.CUSTOMIZE:
                image.status = ImageStatus.CREATING
                if image.containerfile:
                    return self._build_spec(image)
                return RegisterSpec(image.id, image.owner, image.name, image.tag, image.source)
            running = source is not None and source.status in (Status.RUNNING, Status.SNAPSHOTTING)
            if running and source is not None:
                if image.status == ImageStatus.INIT:
                    events.emit(session, "image", image.id, image.owner, "Saving", f"Saving {image.full_name}")
                    self._say(session, source, "Snapshotting", f"Saving {image.full_name}; kernels keep running")
                image.status, source.status = ImageStatus.CREATING, Status.SNAPSHOTTING
                image.parent_digest = source.image_digest
                spec = spec_of(source, self._flavors.get(source.flavor))
                exclude = tuple(image.exclude)
                return SaveSpec(image.id, spec, image.name, image.tag, image.description, image.owner, exclude)
        await self._failed(image_id, "The instance no longer runs. Start it and save again.")
        return None

    def _build_spec(self, image: ImageRow) -> BuildSpec:
        bases = tuple(BaseImage(**base) for base in image.bases)
        return BuildSpec(
            image.id,
            image.owner,
            image.name,
            image.tag,
            image.description,
            image.containerfile,
            self._bundles.path(image.bundle),
            bases,
        )

    async def _save(self, spec: SaveSpec) -> None:
        seen = await self._instances.observe(spec.instance)
        if seen.state is ServerState.GONE:
            await self._failed(spec.image_id, "The instance's server ended. Start it and save again.")
            return
        async with aclosing(self._backend.save(spec)) as checkpoints:
            async for reached in checkpoints:
                if isinstance(reached, SavedImage):
                    await self._saved(spec, reached)
                else:
                    await self._progressed(spec.image_id, reached)

    async def _register(self, spec: RegisterSpec) -> None:
        if not isinstance(self._backend, RegistersImages):
            raise Conflict("This platform no longer takes images from elsewhere.")
        async with aclosing(self._backend.register(spec)) as checkpoints:
            async for reached in checkpoints:
                if isinstance(reached, RegisteredImage):
                    await self._registered(spec, reached)
                else:
                    await self._progressed(spec.image_id, reached)

    async def _build(self, spec: BuildSpec) -> None:
        if not isinstance(self._backend, BuildsImages):
            raise Conflict("This platform no longer builds images.")
        try:
            async with aclosing(self._backend.build(spec)) as checkpoints:
                async for reached in checkpoints:
                    if isinstance(reached, BuiltImage):
                        await self._built(spec, reached)
                    else:
                        await self._progressed(spec.image_id, reached)
        except BackendFailure:
            raise
        except Exception:
            # before its row says that it is over: nobody would look for what is left of it
            await self._backend.discard(spec.image_id)
            raise

    async def _built(self, spec: BuildSpec, built: BuiltImage) -> None:
        async with self.database.transaction() as session:
            image, source = await self._pair(session, spec.image_id)
            if image.cancelled:
                self._drop(session, image, source)
            else:
                await self._list(session, image, built)
        self._collected = self._collected and self._collected | {built.digest}

    async def _list(self, session: AsyncSession, image: ImageRow, built: BuiltImage) -> None:
        image.status, image.status_message, image.progress = ImageStatus.ACTIVE, "", {}
        image.digest, image.parent_digest = built.digest, built.parent_digest or None
        image.reference, image.size, image.added = built.reference, built.size, built.added
        image.architectures = list(built.architectures)
        await editions.note(session, image, built.packages, built.layers)
        events.emit(session, "image", image.id, image.owner, "Built", f"{image.full_name} is ready")

    async def _registered(self, spec: RegisterSpec, found: RegisteredImage) -> None:
        async with self.database.transaction() as session:
            image, source = await self._pair(session, spec.image_id)
            if image.cancelled:
                self._drop(session, image, source)
                return
            image.status, image.status_message, image.progress = ImageStatus.ACTIVE, "", {}
            image.digest, image.reference, image.size = found.digest, found.reference, found.size
            image.architectures = list(found.architectures)
            await editions.note(session, image, found.packages, found.layers)
            events.emit(session, "image", image.id, image.owner, "Registered", f"{image.full_name} is ready")
        self._collected = self._collected and self._collected | {found.digest}

    async def _progressed(self, image_id: str, reached: Checkpoint) -> None:
        async with self.database.transaction() as session:
            image = await session.get_one(ImageRow, image_id)
            image.progress = self._pace.progress(image.id, reached).model_dump()
            if reached.event:
                events.emit(session, "image", image.id, image.owner, reached.event, reached.message)
        self.broker.touch(image.owner, "image", image.id)

    async def _saved(self, spec: SaveSpec, saved: SavedImage) -> None:
        async with self.database.transaction() as session:
            image, source = await self._pair(session, spec.image_id)
            if image.cancelled:
                self._drop(session, image, source)
            else:
                await self._keep(session, image, saved)
                self._release(session, source, f"Saved as {image.full_name}")
        # an image that is deleted before the next round is missed there only if it was known
        self._collected = self._collected and self._collected | {saved.digest}

    async def _keep(self, session: AsyncSession, image: ImageRow, saved: SavedImage) -> None:
        """List an image that is there."""
        image.status, image.status_message, image.progress = ImageStatus.ACTIVE, "", {}
        image.digest, image.parent_digest = saved.digest, saved.parent_digest
        image.reference, image.size, image.added = saved.reference, saved.size, saved.added
        await editions.note(session, image, saved.packages, saved.layers)
        unchanged = " (nothing had changed: it has no layer of its own)" if saved.added == 0 else ""
        events.emit(session, "image", image.id, image.owner, "Saved", f"{image.full_name} is ready{unchanged}")

    async def _failed(self, image_id: str, why: str) -> None:
        async with self.database.transaction() as session:
            image, source = await self._pair(session, image_id)
            image.status, image.status_message, image.progress = ImageStatus.CREATE_FAILED, why, {}
            events.emit(session, "image", image.id, image.owner, f"{_verb(image)}Failed", why)
            self._release(session, source, f"Saving {image.full_name} failed: {why}")

    def _drop(self, session: AsyncSession, image: ImageRow, source: InstanceRow | None) -> None:
        """End what was given up."""
        image.status, image.status_message, image.progress = ImageStatus.DELETED, "", {}
        words = f"{image.full_name} was given up"
        events.emit(session, "image", image.id, image.owner, f"{_verb(image)}Cancelled", words)
        self._release(session, source, f"Saving {image.full_name} was cancelled")

    def _release(self, session: AsyncSession, source: InstanceRow | None, message: str) -> None:
        if source is None:
            return
        source.saving_image_id = None
        if source.status == Status.SNAPSHOTTING:
            source.status = Status.RUNNING
        self._say(session, source, "SnapshotEnded", message)

    def _say(self, session: AsyncSession, source: InstanceRow, type: str, message: str) -> None:
        events.emit(session, "instance", source.id, source.owner, type, message)

    async def _pair(self, session: AsyncSession, image_id: str) -> tuple[ImageRow, InstanceRow | None]:
        image = await session.get_one(ImageRow, image_id)
        return image, await session.scalar(select(InstanceRow).where(InstanceRow.saving_image_id == image_id))

    async def _prepare(self) -> None:
        """Make the default preset; a failure is told at its first use."""
        self._prepared = True
        async with self.database.read() as session:
            default = await store.preferred(session)
        if default is None:
            return
        try:
            async with aclosing(self._presets.prepare(default.id)) as checkpoints:
                async for checkpoint in checkpoints:
                    log.debug("%s: %s", default.full_name, checkpoint.message)
        except MlplatError as error:
            log.warning("the default image is not made beforehand: %s", error)

    async def _collect(self) -> None:
        async with self.database.read() as session:
            kept = await _kept(session)
            built = await store.built(session)
        freed = await self._backend.collect(kept)
        if isinstance(self._backend, BuildsImages):
            await self._backend.keep_builds(built)
        self._collected = frozenset(kept)
        if freed:
            log.info("gave back %d bytes of images that nobody needs", freed)


def _verb(image: ImageRow) -> str:
    """What the names of its events begin with."""
    if image.containerfile:
        return "Build"
    return "Register" if image.origin == Origin.CUSTOMIZE else "Save"


async def _kept(session: AsyncSession) -> set[str]:
    """The digests that the catalogue lists, and those on which instances and jobs run."""
    return await store.digests(session) | await instances.digests(session) | await jobs.digests(session)

"""What people may ask of images."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.access.groups import Groups, check_own
from jupyter_mlplat.access.permissions import require
from jupyter_mlplat.audit import store as audit
from jupyter_mlplat.backends.imaging import ImageBackend, RegistersImages, SaveSpec
from jupyter_mlplat.core.ids import new_id
from jupyter_mlplat.core.models import Page
from jupyter_mlplat.core.settings import Settings
from jupyter_mlplat.db.engine import Database
from jupyter_mlplat.errors import Conflict, InUse, InvalidInput, NotFound
from jupyter_mlplat.events import store as events
from jupyter_mlplat.flavors.service import FlavorService
from jupyter_mlplat.images import editions, store
from jupyter_mlplat.images.builds import Builds
from jupyter_mlplat.images.compare import compare_packages, shared_layers
from jupyter_mlplat.images.insight import in_words, look_into, only_listed, users_of
from jupyter_mlplat.images.models import (
    Image,
    ImageComparison,
    ImageDetail,
    ImageFilter,
    ImageRegister,
    ImageSave,
    ImageStatus,
    ImageUpdate,
    Origin,
    SavePreview,
    SavePreviewRequest,
    Visibility,
)
from jupyter_mlplat.images.naming import check_name
from jupyter_mlplat.images.sharing import as_seen, is_shared
from jupyter_mlplat.images.store import ImageRow
from jupyter_mlplat.instances import store as instances
from jupyter_mlplat.instances.models import Status, Target
from jupyter_mlplat.instances.spec import spec_of
from jupyter_mlplat.instances.store import InstanceRow


@dataclass(frozen=True)
class ImageService:
    database: Database
    backend: ImageBackend
    flavors: FlavorService
    groups: Groups
    settings: Settings

    @property
    def builds(self) -> Builds:
        """Images that are made of a Containerfile."""
        return Builds(self.database, self.backend, self.groups, self.settings)

    async def find(self, actor: Actor, wanted: ImageFilter) -> Page[Image]:
        groups = await self.groups.known(actor.user)
        async with self.database.read() as session:
            page = await store.find(session, wanted, actor, groups)
        return page.model_copy(update={"data": [as_seen(image, actor, groups) for image in page.data]})

    async def get(self, actor: Actor, image_id: str) -> ImageDetail:
        """One image with what is in it, what it stands on and who uses it."""
        groups = await self.groups.known(actor.user)
        async with self.database.read() as session:
            row = await self._row(session, actor, "image:read", image_id, groups)
            return as_seen(await look_into(session, actor, groups, row), actor, groups)

    async def compare(self, actor: Actor, image_id: str, other_id: str) -> ImageComparison:
        """Two images side by side."""
        one, other = await self.get(actor, image_id), await self.get(actor, other_id)
        shared = shared_layers(one.layers, other.layers)
        return ImageComparison(
            image=only_listed(one),
            other=only_listed(other),
            packages=compare_packages(one.packages, other.packages),
            shared_layers=one.layers[:shared],
            own_layers=one.layers[shared:],
            other_layers=other.layers[shared:],
        )

    async def update(self, actor: Actor, image_id: str, wanted: ImageUpdate) -> Image:
        """Describe an image anew, or change who may see it. Who runs on it goes on running."""
        groups = await self.groups.known(actor.user)
        async with self.database.read() as session:
            row = await self._row(session, actor, "image:update", image_id, groups)
        if row.origin == Origin.PRESET:
            raise Conflict(f"{row.full_name} is a preset: what is said of it stands in the catalogue of presets.")
        if bool(wanted.groups) != (wanted.visibility == Visibility.GROUP):
            raise InvalidInput("Name one group or more to share with, and let the visibility be GROUP.")
        await check_own(self.groups, row.owner, set(wanted.groups) - set(row.groups))
        async with self.database.transaction() as session:
            row = await self._row(session, actor, "image:update", image_id, groups)
            if wanted.visibility is not None:
                row.visibility, row.groups = wanted.visibility, wanted.groups
            if wanted.description is not None:
                row.description = wanted.description
            changed = wanted.model_dump(exclude_unset=True)
            detail = ", ".join(f"{name}: {_said(value)}" for name, value in changed.items())
            audit.record(session, actor, "image:update", resource_id=row.id, owner=row.owner,
                         resource_name=row.full_name, detail=detail)  # fmt: skip
            events.emit(session, "image", row.id, row.owner, "Updated", detail)
            await session.flush()
            return (await store.listed(session, [row.id]))[row.id]

    async def save(self, actor: Actor, instance_id: str, wanted: ImageSave) -> Image:
        """A new image that the reconciler will make of a running instance's environment."""
        async with self.database.transaction() as session:
            source = await self._source(session, actor, instance_id)
            await check_name(session, source.owner, wanted.name, wanted.tag)
            image = ImageRow(
                id=new_id("m"),
                owner=source.owner,
                name=wanted.name,
                tag=wanted.tag,
                description=wanted.description,
                origin=Origin.IMAGE_SAVE,
                status=ImageStatus.INIT,
                instance_id=source.id,
                instance_name=source.name,
                notebook=wanted.notebook,
                exclude=wanted.exclude,
            )
            await self._inherit(session, image, source)
            session.add(image)
            claimed = await session.execute(
                update(InstanceRow)
                .where(InstanceRow.id == source.id, InstanceRow.saving_image_id.is_(None))
                .values(saving_image_id=image.id)
                .execution_options(synchronize_session="fetch")
            )
            if not claimed.rowcount:  # type: ignore[attr-defined]
                raise Conflict(f"An image of {source.name} is being saved already. Wait until that is done.")
            detail = f"from instance {source.name}"
            audit.record(session, actor, "instance:save", resource_id=image.id, owner=image.owner,
                         resource_name=image.full_name, detail=detail)  # fmt: skip
            events.emit(session, "image", image.id, image.owner, "SaveRequested", f"Saving {image.full_name} {detail}")
            await session.flush()
            return store.to_model(image)

    @property
    def sources(self) -> Sequence[str]:
        """The registries from which people may register images."""
        return self.backend.sources if isinstance(self.backend, RegistersImages) else ()

    async def register(self, actor: Actor, wanted: ImageRegister) -> Image:
        """A new image that the reconciler will take over from another registry."""
        require(actor, "image:register", owner=actor.user)
        if not isinstance(self.backend, RegistersImages):
            raise Conflict("This platform runs no containers: its images are presets and what is saved of instances.")
        self.backend.check_source(wanted.source)
        async with self.database.transaction() as session:
            await check_name(session, actor.user, wanted.name, wanted.tag)
            image = ImageRow(
                id=new_id("m"),
                owner=actor.user,
                origin=Origin.CUSTOMIZE,
                status=ImageStatus.INIT,
                **wanted.model_dump(),
            )
            session.add(image)
            audit.record(session, actor, "image:register", resource_id=image.id, owner=image.owner,
                         resource_name=image.full_name, detail=f"from {wanted.source}")  # fmt: skip
            events.emit(session, "image", image.id, image.owner, "RegisterRequested", f"Registering {wanted.source}")
            await session.flush()
            return store.to_model(image)

    async def preview(self, actor: Actor, instance_id: str, wanted: SavePreviewRequest) -> SavePreview:
        """What a save of a running instance would put into the image now."""
        async with self.database.read() as session:
            source = await self._source(session, actor, instance_id)
            before = await editions.packages(session, source.image_digest)
        spec = SaveSpec("", spec_of(source, self.flavors.get(source.flavor)), "preview", "preview", "", source.owner,
                        tuple(wanted.exclude))  # fmt: skip
        seen = await self.backend.preview(spec)
        return SavePreview(
            parent_name=source.image_name,
            files=seen.files,
            size=seen.size,
            removed=seen.removed,
            packages=compare_packages(before, seen.packages),
            total_packages=len(seen.packages),
            folders=list(seen.folders),
            left_out=list(seen.left_out),
            left_out_count=seen.left_out_count,
        )

    async def cancel(self, actor: Actor, image_id: str) -> Image:
        """Give up a save, a copy or a build; nothing of it stays."""
        groups = await self.groups.known(actor.user)
        async with self.database.transaction() as session:
            row = await self._row(session, actor, "image:cancel", image_id, groups)
            if row.status not in (ImageStatus.INIT, ImageStatus.CREATING):
                raise Conflict(f"{row.full_name} is not being made: there is nothing to cancel.")
            if not row.cancelled:
                row.cancelled = True
                audit.record(session, actor, "image:cancel", resource_id=row.id, owner=row.owner,
                             resource_name=row.full_name)  # fmt: skip
            await session.flush()
            return (await store.listed(session, [row.id]))[row.id]

    async def delete(self, actor: Actor, image_id: str) -> Image:
        """Take an image out of the catalogue; refused while an instance or an unfinished job uses it."""
        groups = await self.groups.known(actor.user)
        async with self.database.transaction() as session:
            row = await self._row(session, actor, "image:delete", image_id, groups)
            if row.status in (ImageStatus.INIT, ImageStatus.CREATING):
                doing = "built" if row.containerfile else "copied" if row.origin == Origin.CUSTOMIZE else "saved"
                raise Conflict(f"{row.full_name} is being {doing}. Wait until that is done, then delete it.")
            await self._check_unused(session, actor, row)
            row.status = ImageStatus.DELETED
            audit.record(session, actor, "image:delete", resource_id=row.id, owner=row.owner,
                         resource_name=row.full_name)  # fmt: skip
            events.emit(session, "image", row.id, row.owner, "Deleted", f"{row.full_name} is deleted")
            return store.to_model(row)

    async def _source(self, session: AsyncSession, actor: Actor, instance_id: str) -> InstanceRow:
        row = await instances.get(session, instance_id)
        if row is None:
            raise NotFound(f"There is no instance {instance_id!r}.")
        require(actor, "instance:save", owner=row.owner, resource_id=row.id, instance_id=row.id)
        if row.saving_image_id:
            raise Conflict(f"An image of {row.name} is being saved already. Wait until that is done.")
        if row.status != Status.RUNNING or row.target != Target.RUNNING or row.switching:
            raise Conflict(f"{row.name} is {row.situation}; only a running instance can be saved as an image.")
        return row

    async def _inherit(self, session: AsyncSession, image: ImageRow, source: InstanceRow) -> None:
        """What the image below can do, the new one can."""
        parent = await session.get(ImageRow, source.image_id)
        if parent is not None:
            image.architectures, image.services = list(parent.architectures), list(parent.services)
            image.resource_categories = list(parent.resource_categories)

    async def _check_unused(self, session: AsyncSession, actor: Actor, row: ImageRow) -> None:
        uses = await users_of(session, actor, row)
        if not uses:
            return
        names = in_words([use for use in uses if use.noun == uses[0].noun])
        if uses[0].noun == "instance":
            raise InUse(f"{row.full_name} is used by {names}. Switch or delete those instances first.")
        raise InUse(f"{row.full_name} is used by the job {names}. Wait until it has ended, or stop it.")

    async def _row(
        self, session: AsyncSession, actor: Actor, action: str, image_id: str, groups: Collection[str]
    ) -> ImageRow:
        """The image, where a caller of those groups may do `action` on it."""
        row = await store.get(session, image_id)
        if row is None:
            raise NotFound(f"There is no image {image_id!r}.")
        require(actor, action, owner=row.owner, resource_id=row.id, shared=is_shared(row, groups))
        return row


def _said(value: str | list[str] | None) -> str:
    return ", ".join(value) if isinstance(value, list) else value or "none"

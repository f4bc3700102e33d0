"""What people may ask of instances. Each change: permission, audit record and new target in one transaction."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.access.groups import Groups
from jupyter_mlplat.access.permissions import require
from jupyter_mlplat.audit import store as audit
from jupyter_mlplat.backends.base import GrowingWork, InstanceBackend, LiveResize, ServerLaunch
from jupyter_mlplat.core.clock import now
from jupyter_mlplat.core.ids import new_id
from jupyter_mlplat.core.models import Page
from jupyter_mlplat.core.settings import Settings
from jupyter_mlplat.db.engine import Database
from jupyter_mlplat.errors import AlreadyExists, Conflict, InvalidInput, NotAllowed, NotFound, QuotaExceeded
from jupyter_mlplat.events import store as events
from jupyter_mlplat.events.models import Event
from jupyter_mlplat.flavors.models import Effect, Flavor, FlavorChoice, FlavorOffer
from jupyter_mlplat.flavors.service import FlavorService
from jupyter_mlplat.images import sharing
from jupyter_mlplat.images.store import ImageRow
from jupyter_mlplat.instances import store
from jupyter_mlplat.instances.models import (
    Instance,
    InstanceCreate,
    InstanceFilter,
    InstanceSwitch,
    InstanceUpdate,
    Status,
    Target,
    Wanted,
    WorkFolder,
)
from jupyter_mlplat.instances.spec import spec_of
from jupyter_mlplat.instances.store import InstanceRow, PermitRow

STARTABLE = frozenset({Status.STOPPED, Status.CREATE_FAILED, Status.START_FAILED, Status.ERROR})
STOPPABLE = frozenset({Status.INIT, Status.CREATING, Status.STARTING, Status.RUNNING})
UNWANTED = frozenset({Status.STOPPING, Status.STOPPED, Status.CREATE_FAILED, Status.START_FAILED, Status.ERROR})
SWITCHABLE = STARTABLE | {Status.RUNNING}
ROOM_AGAIN = 0.85
"""The used part of a work folder below which people may be warned again."""
GIB = 2**30


@dataclass(frozen=True)
class InstanceService:
    database: Database
    backend: InstanceBackend
    flavors: FlavorService
    settings: Settings
    groups: Groups

    async def find(self, actor: Actor, wanted: InstanceFilter) -> Page[Instance]:
        """The caller's instances; an administrator's list holds everybody's."""
        everybody = actor.admin and not actor.instance_id
        async with self.database.read() as session:
            return await store.find(session, wanted, None if everybody else actor.user)

    async def get(self, actor: Actor, instance_id: str) -> Instance:
        async with self.database.read() as session:
            return store.to_model(await self._row(session, actor, "instance:read", instance_id))

    async def events(self, actor: Actor, instance_id: str, limit: int, offset: int) -> Page[Event]:
        async with self.database.read() as session:
            await self._row(session, actor, "instance:read", instance_id)
            return await events.of_resource(session, instance_id, limit, offset)

    async def create(self, actor: Actor, wanted: InstanceCreate) -> Instance:
        """A new instance that the reconciler will start."""
        require(actor, "instance:create", owner=actor.user)
        flavor = await self.flavors.available(wanted.flavor)
        groups = await self.groups.known(actor.user) if wanted.image_id else ()
        async with self.database.transaction() as session:
            await self._check_quota(session, actor.user)
            await self._check_name(session, actor.user, wanted.name)
            image = await sharing.usable(session, actor, groups, wanted.image_id)
            row = InstanceRow(
                id=new_id("i"),
                owner=actor.user,
                name=wanted.name,
                description=wanted.description,
                tags=[tag.model_dump() for tag in wanted.tags],
                status=Status.INIT,
                target=Target.RUNNING,
                flavor=flavor.id,
            )
            row.pin(image)
            session.add(row)
            detail = f"image {image.full_name}, flavor {flavor.id}"
            events.emit(session, "instance", row.id, row.owner, "Created", f"Created with {detail}")
            _audit(session, actor, "instance:create", row, detail)
            await session.flush()
            return store.to_model(row)

    async def update(self, actor: Actor, instance_id: str, wanted: InstanceUpdate) -> Instance:
        """Change what is given. A work folder that is to grow is asked for first, so that a refusal changes nothing."""
        if wanted.work_gib is not None:
            await self._grow(actor, instance_id, wanted.work_gib)
        async with self.database.transaction() as session:
            row = await self._row(session, actor, "instance:update", instance_id)
            changes = wanted.model_dump(exclude_none=True)
            if gib := changes.pop("work_gib", None):
                message = f"The work folder grows to {gib} GiB"
                events.emit(session, "instance", row.id, row.owner, "GrowWorkFolder", message)
                _audit(session, actor, "instance:update", row, f"work folder of {gib} GiB")
            if changes.get("name", row.name) != row.name:
                await self._check_name(session, row.owner, changes["name"])
                events.emit(session, "instance", row.id, row.owner, "UpdateName", f"Renamed to {changes['name']}")
            for name, value in changes.items():
                setattr(row, name, value)
            if changes:
                _audit(session, actor, "instance:update", row, ", ".join(changes))
            await session.flush()
            return store.to_model(row)

    async def report_work(self, actor: Actor, instance_id: str, seen: WorkFolder) -> Instance:
        """Take down how full the work folder is; nearly full is told once, and again after there was room."""
        async with self.database.transaction() as session:
            row = await self._row(session, actor, "instance:report", instance_id)
            row.work_used, row.work_size = seen.used_bytes, seen.size_bytes
            if seen.is_nearly_full and not row.work_warned:
                row.work_warned = True
                events.emit(session, "instance", row.id, row.owner, "WorkFolderNearlyFull", nearly_full(seen))
            elif seen.share < ROOM_AGAIN:
                row.work_warned = False
            await session.flush()
            return store.to_model(row)

    async def start(self, actor: Actor, instance_id: str) -> Instance:
        async with self.database.transaction() as session:
            row = await self._row(session, actor, "instance:start", instance_id)
            if row.status not in STARTABLE or row.target == Target.DELETED:
                raise Conflict(f"{row.name} is {row.situation}; only a stopped instance can be started.")
            row.target, row.restarts, row.status_message = Target.RUNNING, 0, ""
            if row.status != Status.STOPPED:
                row.status = Status.STOPPED
            row.steps = []
            _audit(session, actor, "instance:start", row)
            events.emit(session, "instance", row.id, row.owner, "StartRequested", f"{actor.user} asked to start it")
            return store.to_model(row)

    async def stop(self, actor: Actor, instance_id: str) -> Instance:
        async with self.database.transaction() as session:
            row = await self._row(session, actor, "instance:stop", instance_id)
            _refuse_while_saving(row)
            if row.status not in STOPPABLE or row.target != Target.RUNNING:
                raise Conflict(f"{row.name} is {row.situation}; only a running instance can be stopped.")
            row.target = Target.STOPPED
            _audit(session, actor, "instance:stop", row)
            events.emit(session, "instance", row.id, row.owner, "StopRequested", f"{actor.user} asked to stop it")
            return store.to_model(row)

    async def delete(self, actor: Actor, instance_id: str) -> Instance:
        async with self.database.transaction() as session:
            row = await self._row(session, actor, "instance:delete", instance_id)
            _refuse_while_saving(row)
            row.target = Target.DELETED
            if row.status == Status.DELETE_FAILED:
                row.status = Status.STOPPED
            _audit(session, actor, "instance:delete", row)
            events.emit(session, "instance", row.id, row.owner, "DeleteRequested", f"{actor.user} asked to delete it")
            return store.to_model(row)

    async def switch(self, actor: Actor, instance_id: str, wanted: InstanceSwitch) -> Instance:
        """Another flavor or image. What needs a restart of a running instance must be agreed to (`restart`)."""
        if wanted.flavor is None and wanted.image_id is None:
            raise InvalidInput("Say what to switch to: a flavor, an image, or both.")
        async with self.database.read() as session:
            row = await self._row(session, actor, "instance:switch", instance_id)
        flavor = None
        if wanted.flavor is not None and wanted.flavor != row.flavor:
            flavor = await self.flavors.available(wanted.flavor, spec_of(row, self.flavors.get(row.flavor)))
        groups = await self.groups.known(actor.user) if wanted.image_id else ()
        async with self.database.transaction() as session:
            row = await self._row(session, actor, "instance:switch", instance_id)
            _refuse_while_saving(row)
            if row.status not in SWITCHABLE or row.switching or row.target == Target.DELETED:
                raise Conflict(f"{row.name} is {row.situation}; wait until it is running or stopped, then switch.")
            image = await sharing.usable(session, actor, groups, wanted.image_id) if wanted.image_id else None
            if image is not None and (image.id, image.digest) == (row.image_id, row.image_digest):
                image = None
            self._agree_to_restart(row, flavor, image, wanted.restart)
            row.target_flavor = flavor.id if flavor else None
            row.target_image_id = image.id if image else None
            parts = [f"flavor {flavor.id}" if flavor else "", f"image {image.full_name}" if image else ""]
            detail = ", ".join(part for part in parts if part) or "what it has"
            _audit(session, actor, "instance:switch", row, detail)
            events.emit(session, "instance", row.id, row.owner, "SwitchRequested", f"Switch to {detail}")
            return store.to_model(row)

    async def choices(self, actor: Actor, instance_id: str) -> list[FlavorChoice]:
        """Every flavor with what a switch of this instance to it does."""
        async with self.database.read() as session:
            row = await self._row(session, actor, "instance:read", instance_id)
        current = self.flavors.get(row.flavor)
        return [self._choice(row, current, offer) for offer in await self.flavors.offers(spec_of(row, current))]

    async def redeem(self, permit: str) -> ServerLaunch:
        """Trade a permit for how to start its instance's server. Each permit is good once; the Hub alone may ask."""
        async with self.database.transaction() as session:
            ticket = await session.get(PermitRow, permit, with_for_update=True)
            if ticket is None or ticket.used_at is not None:
                raise NotAllowed("This permit to start a server is unknown or used. Start the instance in the console.")
            ticket.used_at = now()
            row = await store.get(session, ticket.instance_id)
            if row is None or row.target != Target.RUNNING:
                raise NotAllowed("This instance is not to be started. Start it in the console.")
            return self.backend.launch(spec_of(row, self.flavors.get(row.flavor)))

    async def wanted(self, instance_id: str) -> Wanted:
        """Whether an instance is to run; one that nobody knows is not."""
        async with self.database.read() as session:
            row = await store.get(session, instance_id)
        return Wanted(wanted=row is not None and row.target == Target.RUNNING and row.status not in UNWANTED)

    async def _grow(self, actor: Actor, instance_id: str, gib: int) -> None:
        async with self.database.read() as session:
            row = await self._row(session, actor, "instance:update", instance_id)
        if not isinstance(self.backend, GrowingWork):
            raise Conflict("Work folders lie on the disk of this machine, with no size of their own to grow.")
        if gib > (limit := self.settings.work_gib_limit):
            raise QuotaExceeded(f"A work folder may grow to {limit} GiB here. Ask an administrator for more.")
        await self.backend.grow_work(spec_of(row, self.flavors.get(row.flavor)), gib)

    def _choice(self, row: InstanceRow, current: Flavor, offer: FlavorOffer) -> FlavorChoice:
        if offer.id == current.id:
            return FlavorChoice(flavor=offer, effect=Effect.CURRENT, note="in use")
        if row.status != Status.RUNNING:
            return FlavorChoice(flavor=offer, effect=Effect.LIVE, note="applies at the next start")
        if self._is_live(current, offer):
            note = "applies now, kernels keep running; libraries loaded already keep their number of threads"
            return FlavorChoice(flavor=offer, effect=Effect.LIVE, note=note)
        return FlavorChoice(flavor=offer, effect=Effect.RESTART, note="restarts the instance, about 15 s")

    def _is_live(self, old: Flavor, new: Flavor) -> bool:
        return isinstance(self.backend, LiveResize) and self.backend.can_resize(old, new)

    def _agree_to_restart(self, row: InstanceRow, flavor: Flavor | None, image: ImageRow | None, agreed: bool) -> None:
        if agreed or row.status != Status.RUNNING:
            return
        live = flavor is None or self._is_live(self.flavors.get(row.flavor), flavor)
        if image is not None or not live:
            raise Conflict(
                "This switch restarts the instance: kernels and terminals end, the files in the work folder stay"
                + (", packages that you installed are replaced by those of the image" if image else "")
                + ". Confirm the restart to go on."
            )

    async def _row(self, session: AsyncSession, actor: Actor, action: str, instance_id: str) -> InstanceRow:
        row = await store.get(session, instance_id)
        if row is None:
            raise NotFound(f"There is no instance {instance_id!r}.")
        require(actor, action, owner=row.owner, resource_id=row.id, instance_id=row.id)
        return row

    async def _check_name(self, session: AsyncSession, owner: str, name: str) -> None:
        if await store.named(session, owner, name):
            raise AlreadyExists(f"You have an instance named {name} already. Choose another name.")

    async def _check_quota(self, session: AsyncSession, owner: str) -> None:
        limit = self.settings.instance_quota
        if await store.count(session, owner) >= limit:
            raise QuotaExceeded(f"You have as many instances as your quota allows: {limit}. Delete one first.")


def nearly_full(seen: WorkFolder) -> str:
    """The warning."""
    free = max(0, seen.size_bytes - seen.used_bytes) / GIB
    advice = "Remove what is no longer needed, or let it grow"
    return f"The work folder is nearly full: {free:.1f} of {seen.size_bytes / GIB:.1f} GiB are free. {advice}"


def _refuse_while_saving(row: InstanceRow) -> None:
    if row.saving_image_id:
        raise Conflict(f"An image of {row.name} is being saved. Wait until that is done.")


def _audit(session: AsyncSession, actor: Actor, action: str, row: InstanceRow, detail: str = "") -> None:
    audit.record(session, actor, action, resource_id=row.id, owner=row.owner, resource_name=row.name, detail=detail)

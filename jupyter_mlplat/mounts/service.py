"""What people may ask of mounts."""

from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.access.permissions import require
from jupyter_mlplat.audit import store as audit
from jupyter_mlplat.backends.mounting import MountBackend
from jupyter_mlplat.core.ids import new_id
from jupyter_mlplat.core.text import shown
from jupyter_mlplat.db.engine import Database
from jupyter_mlplat.errors import AlreadyExists, Conflict, InvalidInput, NotFound, QuotaExceeded
from jupyter_mlplat.events import store as events
from jupyter_mlplat.instances import store as instances
from jupyter_mlplat.instances.models import Status, Target
from jupyter_mlplat.instances.store import InstanceRow
from jupyter_mlplat.mounts import store
from jupyter_mlplat.mounts.models import Mount, MountCreate, MountList, MountName, MountStatus
from jupyter_mlplat.mounts.store import MountRow, to_model
from jupyter_mlplat.storage.access import StorageAccess
from jupyter_mlplat.storage.models import LOCAL
from jupyter_mlplat.storage.object_urls import ObjectUrl

MOST = 10
"""Mounts of one instance."""

_NAME: TypeAdapter[str] = TypeAdapter(MountName)


@dataclass(frozen=True)
class MountService:
    database: Database
    backend: MountBackend
    access: StorageAccess

    async def find(self, actor: Actor, instance_id: str) -> MountList:
        """The mounts of an instance, and why there can be none."""
        async with self.database.read() as session:
            await self._instance(session, actor, "instance:read", instance_id)
            rows = await store.of_instance(session, instance_id)
        return MountList(mounts=[self._model(row) for row in rows], absent=self.backend.absent(), most=MOST)

    async def get(self, actor: Actor, instance_id: str, mount_id: str) -> Mount:
        async with self.database.read() as session:
            await self._instance(session, actor, "instance:read", instance_id)
            return self._model(await self._row(session, instance_id, mount_id))

    async def create(self, actor: Actor, instance_id: str, wanted: MountCreate) -> Mount:
        """Have a folder of a bucket mounted, by the keys of the endpoint that serves it to the caller."""
        async with self.database.read() as session:
            instance = await self._instance(session, actor, "instance:mount", instance_id)
        if absent := self.backend.absent():
            raise Conflict(f"Nothing can be mounted here: {absent}. Files move by transfers, and open by obs:// paths.")
        source = ObjectUrl.parse(wanted.source).folder
        endpoint = await self._endpoint(actor, instance, source)
        row = MountRow(
            id=new_id("m"),
            owner=instance.owner,
            instance_id=instance_id,
            name=wanted.name or _name_of(source),
            bucket=source.bucket,
            prefix=source.key,
            endpoint=endpoint,
            read_only=wanted.read_only,
        )
        async with self.database.transaction() as session:
            instance = await self._instance(session, actor, "instance:mount", instance_id)
            await self._check(session, instance, row)
            session.add(row)
            self._note(session, actor, instance, "MountStorage", f"{row.source} is to be mounted at {self._path(row)}")
            await session.flush()
        return self._model(row)

    async def remove(self, actor: Actor, instance_id: str, mount_id: str) -> Mount:
        """Have it unmounted and forgotten; what was written to it is sent first."""
        async with self.database.transaction() as session:
            instance = await self._instance(session, actor, "instance:mount", instance_id)
            row = await self._row(session, instance_id, mount_id)
            row.removing, row.status, row.message = True, MountStatus.UNMOUNTING, ""
            self._note(session, actor, instance, "UnmountStorage", f"{self._path(row)} is to be unmounted")
        return self._model(row)

    async def _endpoint(self, actor: Actor, instance: InstanceRow, source: ObjectUrl) -> str:
        owner = Actor(instance.owner, source=actor.source)
        endpoint = (await self.access.place(owner, source.bucket)).endpoint
        if endpoint == LOCAL:
            raise Conflict(
                f"The bucket {source.bucket} is in the platform's own store, which cannot be mounted. "
                "Open its objects by obs:// paths, or copy them."
            )
        prefix = await self.access.check_given(owner, endpoint)
        if not source.key.startswith(prefix):
            raise InvalidInput(f"{endpoint} is for what is below obs://{source.bucket}/{prefix} alone. Mount that.")
        return endpoint

    async def _check(self, session: AsyncSession, instance: InstanceRow, row: MountRow) -> None:
        if instance.status not in (Status.RUNNING, Status.SNAPSHOTTING) or instance.target != Target.RUNNING:
            raise Conflict(
                f"{instance.name} is {instance.situation}. Storage is mounted while it runs: start it first."
            )
        known = await store.of_instance(session, instance.id)
        if any(one.name == row.name for one in known):
            raise AlreadyExists(f"There is something at {self._path(row)} already. Give another name.")
        if len(known) >= MOST:
            raise QuotaExceeded(f"{instance.name} has {MOST} mounts, as many as it may. Unmount one first.")

    async def _instance(self, session: AsyncSession, actor: Actor, action: str, instance_id: str) -> InstanceRow:
        row = await instances.get(session, instance_id)
        if row is None:
            raise NotFound(f"There is no instance {instance_id!r}.")
        require(actor, action, owner=row.owner, resource_id=row.id, instance_id=row.id)
        return row

    async def _row(self, session: AsyncSession, instance_id: str, mount_id: str) -> MountRow:
        row = await session.get(MountRow, mount_id)
        if row is None or row.instance_id != instance_id:
            raise NotFound(f"There is no mount {mount_id!r} at this instance.")
        return row

    def _note(self, session: AsyncSession, actor: Actor, instance: InstanceRow, type: str, words: str) -> None:
        audit.record(
            session, actor, "instance:mount", resource_id=instance.id, resource_name=instance.name,
            owner=instance.owner, detail=words,
        )  # fmt: skip
        events.emit(session, "instance", instance.id, instance.owner, type, words)

    def _path(self, row: MountRow) -> str:
        return self.backend.path(row.instance_id, row.name)

    def _model(self, row: MountRow) -> Mount:
        return to_model(row, self._path(row))


def _name_of(source: ObjectUrl) -> str:
    """The last part of the path, as far as it can be a name."""
    name = source.name or source.bucket
    try:
        return _NAME.validate_python(name)
    except ValidationError:
        raise InvalidInput(f"{shown(name)} cannot be the name of a mount. Give it another name.") from None

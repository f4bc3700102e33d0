"""Moves mounts to where they are wanted, and looks after those that are there."""

import logging
import time
from collections import Counter
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy.ext.asyncio import AsyncSession

from jupyter_mlplat.backends.mounting import MountBackend, MountSpec
from jupyter_mlplat.core.clock import now
from jupyter_mlplat.db.engine import Database
from jupyter_mlplat.errors import BackendFailure, MlplatError
from jupyter_mlplat.events import store as events
from jupyter_mlplat.events.broker import Broker
from jupyter_mlplat.instances.models import Status, Target
from jupyter_mlplat.instances.store import InstanceRow
from jupyter_mlplat.mounter.models import MountOrder
from jupyter_mlplat.mounts import store
from jupyter_mlplat.mounts.keys import MountKeys
from jupyter_mlplat.mounts.models import MountStatus
from jupyter_mlplat.mounts.store import MountRow
from jupyter_mlplat.reconciling.loop import Reconciler

log = logging.getLogger(__name__)

LOOK = "look"
"""Stands among the pending ids for a look at all that is mounted."""
LOOK_SECONDS = 10.0
IDLE_SECONDS = 600.0
"""Between two looks while nothing is mounted: a node that comes back may have something of old."""
AGAIN_SECONDS = 30.0
"""Until what has failed is tried again."""
PATIENCE = 10
"""How often something may go wrong, two seconds apart, before it is said to have failed."""
RENEW_BEFORE = timedelta(minutes=5)

Found = tuple[MountRow, InstanceRow]


class Action(StrEnum):
    MOUNT = "mount"
    UNMOUNT = "unmount"


def next_action(mount: MountRow, instance: InstanceRow) -> Action | None:
    """What brings a mount nearer to what is wanted: there while its instance runs, unless it is being removed."""
    runs = instance.status in (Status.RUNNING, Status.SNAPSHOTTING) and instance.target == Target.RUNNING
    if runs and not mount.removing:
        return None if mount.status == MountStatus.MOUNTED else Action.MOUNT
    return Action.UNMOUNT if _is_to_go(mount, instance) or mount.status != MountStatus.UNMOUNTED else None


def _is_to_go(mount: MountRow, instance: InstanceRow) -> bool:
    return mount.removing or instance.status == Status.DELETED


class MountReconciler(Reconciler):
    """Mounts, unmounts, gives new keys before the old ones end, and mounts anew what has stopped working."""

    noun = "mount"

    def __init__(self, database: Database, broker: Broker, backend: MountBackend, keys: MountKeys) -> None:
        super().__init__(database, broker)
        self._backend, self._keys = backend, keys
        self._looked = float("-inf")
        self._busy = False
        self._failures: Counter[str] = Counter()
        self._again: dict[str, float] = {}
        self._ends: dict[str, datetime] = {}
        """Until when the keys of what is mounted are good; of what another process mounted nobody knows."""

    def rest(self) -> float:
        return min(super().rest(), LOOK_SECONDS) if self._busy else super().rest()

    async def pending(self) -> list[str]:
        async with self.database.read() as session:
            found = await store.busy(session)
        if self._backend.absent():
            return [mount.id for mount, instance in found if _is_to_go(mount, instance)]
        self._busy = bool(found)
        self._again = {key: end for key, end in self._again.items() if time.monotonic() < end}
        due = time.monotonic() - self._looked >= (LOOK_SECONDS if self._busy else IDLE_SECONDS)
        todo = [mount.id for mount, instance in found if next_action(mount, instance) and mount.id not in self._again]
        return [LOOK] * due + todo

    async def reconcile(self, resource_id: str) -> None:
        if resource_id == LOOK:
            await self._look()
            return
        async with self.database.read() as session:
            found = await store.with_instance(session, resource_id)
        if found and self._backend.absent():
            await self._unmounted(*found)
        elif found and (action := next_action(*found)):
            await {Action.MOUNT: self._mount, Action.UNMOUNT: self._unmount}[action](*found)

    async def _mount(self, mount: MountRow, instance: InstanceRow) -> None:
        spec, path = _spec(mount, instance), self._path(mount)
        if mount.status != MountStatus.MOUNT_FAILED:
            await self._write(mount, MountStatus.MOUNTING, mount.message)
        try:
            place = await self._keys.of(mount, f"the mount {path} of {instance.name}")
        except MlplatError as error:
            await self._failed(mount, MountStatus.MOUNT_FAILED, f"{mount.source}: {error.message}")
            return
        try:
            await self._backend.mount(spec, place)
        except MlplatError as error:
            await self._in_vain(mount, MountStatus.MOUNTING, MountStatus.MOUNT_FAILED, error)
            return
        self._ends[mount.id] = place.expires_at
        await self._record(mount, MountStatus.MOUNTED, "StorageMounted", f"{mount.source} is mounted at {path}")

    async def _unmount(self, mount: MountRow, instance: InstanceRow) -> None:
        if mount.status != MountStatus.UNMOUNT_FAILED:
            await self._write(mount, MountStatus.UNMOUNTING, mount.message)
        try:
            await self._backend.unmount(_spec(mount, instance), ending=not mount.removing)
        except MlplatError as error:
            await self._keep_keys(mount, instance)
            await self._in_vain(mount, MountStatus.UNMOUNTING, MountStatus.UNMOUNT_FAILED, error)
            return
        await self._unmounted(mount, instance)

    async def _unmounted(self, mount: MountRow, instance: InstanceRow) -> None:
        self._ends.pop(mount.id, None)
        words = f"{self._path(mount)} is unmounted"
        if _is_to_go(mount, instance):
            await self._forget(mount, words)
        else:
            await self._record(mount, MountStatus.UNMOUNTED, "StorageUnmounted", words)

    async def _look(self) -> None:
        self._looked = time.monotonic()
        before = await self._rows()
        seen = await self._backend.seen()
        problems = {order.mount_id: problem for order, problem in seen.mounts}
        known = await self._rows()
        for mount_id, (mount, instance) in known.items():
            was = before.get(mount_id)
            if was and was[0].status == mount.status == MountStatus.MOUNTED and mount_id not in self._tasks:
                missing = "it is gone" if seen.whole else ""
                await self._look_after(mount, instance, problems.get(mount_id, missing))
        for order, _ in seen.mounts:
            if order.mount_id not in known:
                await self._drop(order)

    async def _rows(self) -> dict[str, Found]:
        async with self.database.read() as session:
            return {mount.id: (mount, instance) for mount, instance in await store.everything(session)}

    async def _look_after(self, mount: MountRow, instance: InstanceRow, problem: str) -> None:
        if problem:
            words = f"{self._path(mount)} stopped working ({problem}); it is mounted anew"
            await self._record(mount, MountStatus.MOUNTING, "StorageLost", words, message=words)
            return
        try:
            await self._renew(mount, instance)
        except MlplatError as error:
            await self._write(mount, MountStatus.MOUNTED, f"No new keys: {error.message}")

    async def _drop(self, order: MountOrder) -> None:
        """What nobody knows of; what is wrong with one of them is no matter of the others."""
        try:
            await self._backend.unmount(MountSpec(order, order.instance_id), ending=False)
        except MlplatError as error:
            log.warning("mount %s, of which nobody knows: %s", order.mount_id, error)

    async def _renew(self, mount: MountRow, instance: InstanceRow) -> None:
        """New keys, if the old ones end soon; where it fails the mount stays, and the next look tries again."""
        if self._ends.get(mount.id, now()) - RENEW_BEFORE > now():
            return
        place = await self._keys.of(mount, f"the mount {self._path(mount)} of {instance.name}")
        await self._backend.renew(_spec(mount, instance), place)
        self._ends[mount.id] = place.expires_at
        await self._write(mount, mount.status, "")

    async def _keep_keys(self, mount: MountRow, instance: InstanceRow) -> None:
        """What is still to be sent needs keys that are good."""
        try:
            await self._renew(mount, instance)
        except MlplatError as error:
            log.warning("no new keys for what mount %s has to send: %s", mount.id, error)

    async def _in_vain(self, mount: MountRow, going_on: MountStatus, failed: MountStatus, error: MlplatError) -> None:
        """What may go better later is tried again soon, for a while; all else after half a minute."""
        self._failures[mount.id] += 1
        if isinstance(error, BackendFailure) and self._failures[mount.id] <= PATIENCE:
            if mount.status == going_on:
                await self._write(mount, going_on, error.message)
            raise error
        await self._failed(mount, failed, error.message)

    async def _failed(self, mount: MountRow, status: MountStatus, why: str) -> None:
        self._again[mount.id] = time.monotonic() + AGAIN_SECONDS
        if (mount.status, mount.message) != (status, why):
            await self._record(mount, status, "StorageFailed", f"{self._path(mount)}: {why}", message=why)

    async def _record(self, mount: MountRow, status: MountStatus, event: str, words: str, *, message: str = "") -> None:
        if status in (MountStatus.MOUNTED, MountStatus.UNMOUNTED):
            self._failures.pop(mount.id, None)
        async with self.database.transaction() as session:
            row = await session.get(MountRow, mount.id)
            if row is not None and row.removing == mount.removing:
                row.status, row.message = status, message
                _emit(session, row, event, words)

    async def _forget(self, mount: MountRow, words: str) -> None:
        self._failures.pop(mount.id, None)
        async with self.database.transaction() as session:
            row = await session.get(MountRow, mount.id)
            if row is not None:
                _emit(session, row, "StorageUnmounted", words)
                await session.delete(row)

    async def _write(self, mount: MountRow, status: str, message: str) -> None:
        """Progress, which is no event; not over what somebody else has written meanwhile."""
        if (mount.status, mount.message) == (status, message):
            return
        async with self.database.transaction(silent=True) as session:
            row = await session.get(MountRow, mount.id)
            if row is not None and (row.status, row.removing) == (mount.status, mount.removing):
                row.status, row.message = status, message
        mount.status, mount.message = status, message
        self.broker.touch(mount.owner, "instance", mount.instance_id)

    def _path(self, mount: MountRow) -> str:
        return self._backend.path(mount.instance_id, mount.name)


def _spec(mount: MountRow, instance: InstanceRow) -> MountSpec:
    order = MountOrder(
        mount_id=mount.id,
        instance_id=mount.instance_id,
        name=mount.name,
        bucket=mount.bucket,
        prefix=mount.prefix,
        read_only=mount.read_only,
    )
    return MountSpec(order, instance.name)


def _emit(session: AsyncSession, row: MountRow, type: str, words: str) -> None:
    """Among those of its instance, where people look."""
    events.emit(session, "instance", row.instance_id, row.owner, type, words)

"""The platform's services and reconcilers on a database file and the memory back end, without HTTP."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.access.groups import Groups
from jupyter_mlplat.audit import store as audit
from jupyter_mlplat.audit.models import AuditFilter, AuditRecord
from jupyter_mlplat.backends.memory import MemoryImages, MemoryInstances, MemoryJobs, MemoryMounts, World
from jupyter_mlplat.core.settings import Settings
from jupyter_mlplat.db.engine import Database
from jupyter_mlplat.db.migrate import migrate
from jupyter_mlplat.errors import BackendFailure
from jupyter_mlplat.events import store as events
from jupyter_mlplat.events.broker import Broker
from jupyter_mlplat.flavors.service import FlavorService, read_catalog
from jupyter_mlplat.images.models import Image, ImageFilter, Package
from jupyter_mlplat.images.reconcile import ImageReconciler
from jupyter_mlplat.images.service import ImageService
from jupyter_mlplat.instances.models import (
    Instance,
    InstanceCreate,
)
from jupyter_mlplat.instances.reconcile import InstanceReconciler
from jupyter_mlplat.instances.service import InstanceService
from jupyter_mlplat.jobs.bundle import pack, survey
from jupyter_mlplat.jobs.models import Job, JobCreate
from jupyter_mlplat.jobs.reconcile import JobReconciler
from jupyter_mlplat.jobs.service import JobService
from jupyter_mlplat.mounts.keys import MountKeys
from jupyter_mlplat.mounts.reconcile import MountReconciler
from jupyter_mlplat.mounts.service import MountService
from jupyter_mlplat.reconciling.loop import Reconciler
from jupyter_mlplat.storage.access import StorageAccess
from jupyter_mlplat.storage.endpoint_looks import addresses_of
from jupyter_mlplat.storage.endpoints import EndpointService
from jupyter_mlplat.storage.service import StorageService
from jupyter_mlplat.storage.vault import vault_of

ALICE = Actor("alice", source="10.0.0.1", request_id="q-1")
BOB = Actor("bob")
ADMIN = Actor("root", admin=True)


@cache
def empty_database() -> bytes:
    """A migrated database, made once."""
    with TemporaryDirectory() as folder, ThreadPoolExecutor() as pool:
        path = Path(folder, "platform.db")
        # in a thread, for the caller's own event loop is running
        pool.submit(migrate, f"sqlite:///{path}").result()
        return path.read_bytes()


@dataclass
class KnownGroups(Groups):
    """The groups of each user, as a Hub would tell them, unless it is away."""

    members: dict[str, set[str]] = field(default_factory=dict)
    away: bool = False

    async def of(self, user: str) -> frozenset[str]:
        if self.away:
            raise BackendFailure("The Hub does not answer.")
        return frozenset(self.members.get(user, ()))

    async def close(self) -> None: ...


@dataclass
class Stage:
    """Parts are made anew at each look, as after a restart of the platform; database and world stay."""

    folder: Path
    database_url: str | None = None
    """A database with the platform's tables; else a file in the folder."""
    instances_are: type[MemoryInstances] = MemoryInstances
    images_are: type[MemoryImages] = MemoryImages
    jobs_are: type[MemoryJobs] = MemoryJobs
    mounts_are: type[MemoryMounts] = MemoryMounts
    world: World = field(default_factory=World)
    groups: KnownGroups = field(default_factory=KnownGroups)
    kill_at: int | None = None
    """Cut the work off at that commit or step of the back end, counted from 1."""
    ticks: int = 0

    def __post_init__(self) -> None:
        self.settings = Settings(
            data_dir=self.folder,
            database_url=self.database_url,
            instance_quota=3,
            running_job_quota=3,
            bundle_bytes=100_000,
        )
        if self.database_url is None:
            (self.folder / "platform.db").write_bytes(empty_database())
        self.broker = Broker()
        self.database = Database(self.settings.database, self._committed)
        self.boot()

    def boot(self) -> None:
        """New parts on the same database and world."""
        backend = self.instances_are(self.world)
        images, jobs = self.images_are(self.world), self.jobs_are(self.world)
        mounts = self.mounts_are(self.world)
        self.flavors = FlavorService(read_catalog(), backend)
        self.storage = StorageService(self.database, self.settings)
        self.endpoints = EndpointService(
            self.database, self.storage, vault_of(self.settings), addresses_of(self.settings), self.groups
        )
        self.access = StorageAccess(self.endpoints)
        self.instances = InstanceService(self.database, backend, self.flavors, self.settings, self.groups)
        self.images = ImageService(self.database, images, self.flavors, self.groups, self.settings)
        self.jobs = JobService(self.database, jobs, self.flavors, self.storage, self.access, self.settings, self.groups)
        self.mounts = MountService(self.database, mounts, self.access)
        self.mount_work = MountReconciler(self.database, self.broker, mounts, MountKeys(self.access))
        self.instance_work = InstanceReconciler(self.database, self.broker, backend, images, self.flavors)
        self.image_work = ImageReconciler(self.database, self.broker, images, backend, self.flavors, self.settings)
        self.job_work = JobReconciler(
            self.database, self.broker, jobs, images, self.flavors, self.jobs.channels, self.settings
        )

    @property
    def work(self) -> tuple[Reconciler, ...]:
        return self.image_work, self.instance_work, self.job_work, self.mount_work

    async def settle(self) -> None:
        """Reconcile one thing after the other until nothing is left to do."""
        for _ in range(100):
            due = [(part, one) for part in self.work for one in await part.pending()]
            if not due:
                return
            for part, one in due:
                await part.reconcile(one)
        raise AssertionError(f"it never settles: {due}")

    async def settle_killed_at(self, tick: int) -> bool:
        """Settle, but cut off at a tick, and settle anew with new parts; False where it never came to that tick."""
        self.ticks, self.kill_at = 0, tick
        self.world.looking_on = lambda _name: self._tick()
        working = asyncio.create_task(self.settle())
        await asyncio.wait([working])
        killed = working.cancelled()
        if not killed:
            working.result()
        self.kill_at = None
        self.boot()
        await self.settle()
        return killed

    def _committed(self) -> None:
        self.broker.committed()
        self._tick()

    def _tick(self) -> None:
        self.ticks += 1
        task = asyncio.current_task()
        if self.ticks == self.kill_at and task is not None:
            task.cancel()

    async def preset(self) -> Image:
        """The preset that is taken without a choice."""
        await self.image_work.pending()
        page = await self.images.find(ALICE, ImageFilter(name="python"))
        return page.data[0]

    async def running_instance(self, name: str = "one", actor: Actor = ALICE) -> Instance:
        await self.preset()
        made = await self.instances.create(actor, InstanceCreate(name=name))
        await self.settle()
        return await self.instances.get(actor, made.id)

    async def bundle(self, actor: Actor = ALICE, files: Sequence[str] = ("train.ipynb", "train.py", "run.sh")) -> str:
        """Upload a folder; the digest."""
        with TemporaryDirectory() as folder:
            for name in files:
                place = Path(folder, "code", name)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(name)
            packed = Path(folder, "bundle")
            digest = pack(survey(Path(folder, "code"), files[0]), packed).digest
            await self.jobs.bundles.put(actor, digest, pieces(packed.read_bytes()))
        return digest

    async def submit(self, actor: Actor = ALICE, **fields: object) -> Job:
        await self.preset()
        wanted = {"name": "train", "entry": "train.ipynb", "bundle": await self.bundle(actor)} | fields
        return await self.jobs.submit(actor, JobCreate.model_validate(wanted))

    async def happened(self, resource_id: str) -> list[str]:
        """The types of a resource's events, in order."""
        async with self.database.read() as session:
            return [event.type for event in (await events.of_resource(session, resource_id, 500, 0)).data]

    async def audited(self) -> list[AuditRecord]:
        """All audit records, oldest first."""
        async with self.database.read() as session:
            return (await audit.find(session, AuditFilter(limit=500), None)).data[::-1]


Opened = Callable[..., Stage]
"""Makes stages, each with a database of its own."""


async def pieces(data: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


EINOPS = Package(name="einops", version="0.8.1")


async def preset(stage: Stage, name: str) -> Image:
    return (await stage.images.find(ALICE, ImageFilter(name=name))).data[0]

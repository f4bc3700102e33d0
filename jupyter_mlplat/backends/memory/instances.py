"""Instances that are only told of, and fakes named for what fails in them."""

from collections.abc import AsyncGenerator, Sequence

from jupyter_mlplat.backends.base import (
    Checkpoint,
    GrowingWork,
    InstanceBackend,
    InstanceSpec,
    LiveResize,
    Observation,
    ServerLaunch,
    ServerState,
)
from jupyter_mlplat.backends.memory.world import Server, World
from jupyter_mlplat.errors import BackendFailure, Conflict
from jupyter_mlplat.flavors.models import Category, Flavor, FlavorOffer
from jupyter_mlplat.instances.models import StepName

CORES = 4


class MemoryInstances(InstanceBackend, LiveResize):
    """A machine of 4 cores without accelerators; a switch between CPU flavors is live."""

    def __init__(self, world: World | None = None) -> None:
        self.world = world or World()

    async def start(self, spec: InstanceSpec) -> AsyncGenerator[Checkpoint, None]:
        yield Checkpoint("Preparing the work folder", step=StepName.PREPARE_STORAGE)
        self.world.work.add(spec.instance_id)
        await self.world.reach("start:storage")
        yield Checkpoint(f"Taking {spec.image_name}", event="PullingImage", step=StepName.PREPARE_COMPUTE)
        await self._prepare(spec)
        yield Checkpoint("Connecting", step=StepName.CONFIGURE_NETWORK)
        await self._spawn(spec)
        yield Checkpoint("Starting", step=StepName.INITIALISE)

    async def _prepare(self, spec: InstanceSpec) -> None:
        if self.world.made_from.get(spec.instance_id) != spec.image_digest:
            self.world.made_from[spec.instance_id] = spec.image_digest
            self.world.installed.pop(spec.instance_id, None)
        await self.world.reach("start:compute")

    async def _spawn(self, spec: InstanceSpec) -> None:
        if spec.instance_id not in self.world.servers:
            self.world.servers[spec.instance_id] = Server(spec.image_digest, spec.flavor.id)
        await self.world.reach("start:server")

    async def stop(self, spec: InstanceSpec) -> AsyncGenerator[Checkpoint, None]:
        yield Checkpoint("Stopping")
        self.world.servers.pop(spec.instance_id, None)
        await self.world.reach("stop:server")

    async def delete(self, spec: InstanceSpec) -> AsyncGenerator[Checkpoint, None]:
        yield Checkpoint("Removing the work folder")
        self.world.work.discard(spec.instance_id)
        self.world.made_from.pop(spec.instance_id, None)
        self.world.installed.pop(spec.instance_id, None)
        await self.world.reach("delete:work")

    async def observe(self, spec: InstanceSpec) -> Observation:
        there = spec.instance_id in self.world.servers
        return Observation(ServerState.RUNNING if there else ServerState.GONE)

    def launch(self, spec: InstanceSpec) -> ServerLaunch:
        return ServerLaunch(spec.instance_id, spec.owner)

    async def offers(self, flavors: Sequence[Flavor], switching: InstanceSpec | None = None) -> list[FlavorOffer]:
        return [_offer(flavor) for flavor in flavors]

    def can_resize(self, old: Flavor, new: Flavor) -> bool:
        return old.category is Category.CPU and new.category is Category.CPU

    async def resize(self, spec: InstanceSpec) -> None:
        self.world.servers[spec.instance_id].flavor = spec.flavor.id
        await self.world.reach("resize")


def _offer(flavor: Flavor) -> FlavorOffer:
    reason = None
    if flavor.accelerator is not None:
        reason = "this machine has no accelerator"
    elif flavor.vcpus > CORES:
        reason = f"this machine has {CORES} cores"
    return FlavorOffer(**flavor.model_dump(), sold_out=reason is not None, reason=reason, enforced=["cpu"])


class FailsAtPrepare(MemoryInstances):
    async def _prepare(self, spec: InstanceSpec) -> None:
        raise Conflict(f"The environment of {spec.image_name} cannot be made. Choose another image.")


class HubIsAwayOnce(MemoryInstances):
    away = True

    async def _spawn(self, spec: InstanceSpec) -> None:
        if self.away:
            self.away = False
            raise BackendFailure("The Hub does not answer. Try again soon.")
        await super()._spawn(spec)


class WorkGrows(MemoryInstances, GrowingWork):
    """Work folders of 10 GiB at first."""

    def __init__(self, world: World | None = None) -> None:
        super().__init__(world)
        self.sizes: dict[str, int] = {}

    async def grow_work(self, spec: InstanceSpec, gib: int) -> None:
        if gib < self.sizes.get(spec.instance_id, 10):
            raise Conflict("A work folder can only grow.")
        self.sizes[spec.instance_id] = gib


class ServerDies(MemoryInstances):
    """Each look finds the server ended."""

    async def observe(self, spec: InstanceSpec) -> Observation:
        self.world.servers.pop(spec.instance_id, None)
        return Observation(ServerState.GONE, "exit code 137")


class ServerDiesOnce(ServerDies):
    died = False

    async def observe(self, spec: InstanceSpec) -> Observation:
        if self.died:
            return await MemoryInstances.observe(self, spec)
        self.died = True
        return await super().observe(spec)


class ResizeIsRefused(MemoryInstances):
    async def resize(self, spec: InstanceSpec) -> None:
        raise Conflict(f"The instance uses more memory than {spec.flavor.name} has. Restart kernels first.")


class DeleteLeavesFiles(MemoryInstances):
    async def delete(self, spec: InstanceSpec) -> AsyncGenerator[Checkpoint, None]:
        yield Checkpoint("Removing the work folder")
        raise Conflict(f"Some files of {spec.name} could not be removed. Remove them, then delete it again.")

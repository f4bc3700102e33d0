"""Mounts that are only told of."""

from jupyter_mlplat.backends.memory.world import World
from jupyter_mlplat.backends.mounting import MountBackend, MountSpec, MountsSeen
from jupyter_mlplat.errors import BackendFailure, Conflict
from jupyter_mlplat.mounter.models import Place


class MemoryMounts(MountBackend):
    def __init__(self, world: World | None = None) -> None:
        self.world = world or World()

    def absent(self) -> str:
        return ""

    def path(self, instance_id: str, name: str) -> str:
        return f"/data/{name}"

    async def mount(self, spec: MountSpec, place: Place) -> None:
        await self.world.reach(f"mounting {spec.order.name}")
        self.world.mounts[spec.order] = ""
        await self.renew(spec, place)

    async def renew(self, spec: MountSpec, place: Place) -> None:
        self.world.mount_keys[spec.order.mount_id] = place

    async def unmount(self, spec: MountSpec, *, ending: bool) -> None:
        await self.world.reach(f"unmounting {spec.order.name}")
        self.world.mounts.pop(spec.order, None)

    async def seen(self) -> MountsSeen:
        return MountsSeen(tuple(self.world.mounts.items()))


class NothingCanBeMounted(MemoryMounts):
    def absent(self) -> str:
        return "this machine does not let its programs use FUSE (/dev/fuse)"


class MounterIsAwayOnce(MemoryMounts):
    away = True

    async def mount(self, spec: MountSpec, place: Place) -> None:
        if self.away:
            self.away = False
            raise BackendFailure("No mounter is ready on node1, so nothing can be mounted there now.")
        await super().mount(spec, place)


class MountIsRefused(MemoryMounts):
    async def mount(self, spec: MountSpec, place: Place) -> None:
        raise Conflict(f"{spec.instance} was started before there were mounts. Stop it and start it again.")


class SendingTakesLong(MemoryMounts):
    """What was written has not arrived yet at the first question."""

    asked = 0

    async def unmount(self, spec: MountSpec, *, ending: bool) -> None:
        self.asked += 1
        if self.asked == 1:
            raise BackendFailure("2 files are still to be sent to data.")
        await super().unmount(spec, ending=ending)

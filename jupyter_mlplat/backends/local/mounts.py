"""Mounts on one machine: rclone as the user of the platform, in the instance's folder below `mounts/`."""

import asyncio
import os
from pathlib import Path

from jupyter_mlplat.backends.mounting import MountBackend, MountSpec, MountsSeen
from jupyter_mlplat.core.processes import of_instance, until
from jupyter_mlplat.mounter.models import Place
from jupyter_mlplat.mounter.mounts import Layout, Mounts, missing

ENDING_SECONDS = 20.0
"""The processes of an instance that ends may still write so long."""


def layout(data_dir: Path) -> Layout:
    """Never below an instance's own folder: what removes that must not reach into a bucket."""
    run = data_dir / "run"
    return Layout(data_dir / "mounts", run / "mounts", run / "mounts-cache", os.getuid(), for_others=False)


class LocalMounts(MountBackend):
    """All processes of this machine run as one user, so each of them could look into each mount."""

    def __init__(self, data_dir: Path) -> None:
        self._layout = layout(data_dir.resolve())
        self._mounts = Mounts(self._layout)

    def absent(self) -> str:
        return missing()

    def path(self, instance_id: str, name: str) -> str:
        return str(self._layout.root / instance_id / name)

    async def mount(self, spec: MountSpec, place: Place) -> None:
        await self._mounts.mount(spec.order, place)

    async def renew(self, spec: MountSpec, place: Place) -> None:
        await self._mounts.renew(spec.order, place)

    async def unmount(self, spec: MountSpec, *, ending: bool) -> None:
        if ending:
            await self._ended(spec.order.instance_id)
        await self._mounts.unmount(spec.order)

    async def seen(self) -> MountsSeen:
        return MountsSeen(tuple((each.order, each.problem) for each in await self._mounts.seen()))

    async def _ended(self, instance_id: str) -> None:
        """Wait until the processes of an instance that is to end have done so."""

        async def has_ended() -> bool:
            return not await asyncio.to_thread(of_instance, instance_id)

        await until(has_ended, ENDING_SECONDS, 0.2)

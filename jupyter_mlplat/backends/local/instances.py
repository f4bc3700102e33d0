"""Instances of the local back end: a JupyterLab process of the Hub's, with an environment of its own for kernels."""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from typing import Protocol

from jupyter_mlplat.backends.base import (
    Checkpoint,
    InstanceBackend,
    InstanceSpec,
    LiveResize,
    Observation,
    ServerLaunch,
    ServerState,
)
from jupyter_mlplat.backends.local import machine, visits
from jupyter_mlplat.backends.local.machine import Grant, this_machine
from jupyter_mlplat.core.clock import now
from jupyter_mlplat.core.files import write_atomically
from jupyter_mlplat.core.processes import of_instance
from jupyter_mlplat.errors import Conflict, InvalidInput
from jupyter_mlplat.flavors.models import Category, Flavor, FlavorOffer
from jupyter_mlplat.gateway.visits import end_visit
from jupyter_mlplat.hub.client import HubClient
from jupyter_mlplat.instances.models import StepName

MIB = 1024**2


class Environments(Protocol):
    """What makes environments from images."""

    async def clone(self, digest: str, target: Path) -> None: ...

    async def remove(self, target: Path) -> None: ...


class LocalInstances(InstanceBackend, LiveResize):
    """Instances below `DATA/instances/ID`: work/, env/, lab/, runtime.json. `api` is the platform's own address.

    `granting` is held while the machine is given out; whoever else does so must hold the same one.
    """

    def __init__(
        self,
        data_dir: Path,
        hub: HubClient,
        environments: Environments,
        *,
        api: str,
        console: str,
        granting: asyncio.Lock | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        """`variables` are further ones of every server."""
        self._variables = dict(variables or {})
        self._data = data_dir
        self._hub = hub
        self._environments = environments
        self._api = api
        self._console = console
        self._granting = granting or asyncio.Lock()

    async def start(self, spec: InstanceSpec) -> AsyncGenerator[Checkpoint, None]:
        folder = self._folder(spec.instance_id)
        yield Checkpoint("Preparing the work folder", step=StepName.PREPARE_STORAGE)
        await asyncio.to_thread((folder / "work").mkdir, parents=True, exist_ok=True)
        yield Checkpoint("Preparing the environment", step=StepName.PREPARE_COMPUTE)
        async with aclosing(self._ensure_environment(spec)) as checkpoints:
            async for checkpoint in checkpoints:
                yield checkpoint
        await self._grant(spec)
        yield Checkpoint("Connecting to the Hub", step=StepName.CONFIGURE_NETWORK)
        yield Checkpoint("Starting JupyterLab", step=StepName.INITIALISE)
        await self._hub.start(spec.owner, spec.instance_id, spec.permit)
        await self._enforce(spec)

    async def _ensure_environment(self, spec: InstanceSpec) -> AsyncGenerator[Checkpoint, None]:
        """The environment as the user left it; made from the image where there is none or the image is another."""
        folder = self._folder(spec.instance_id)
        made_from = folder / "env.digest"
        if await asyncio.to_thread(_read, made_from) == spec.image_digest:
            return
        yield Checkpoint(f"Taking {spec.image_name}", event="PullingImage", step=StepName.PREPARE_COMPUTE)
        await self._environments.remove(folder / "env")
        await self._environments.clone(spec.image_digest, folder / "env")
        await asyncio.to_thread(write_atomically, made_from, spec.image_digest.encode())
        yield Checkpoint(f"{spec.image_name} is in place", event="PulledImage", step=StepName.PREPARE_COMPUTE)

    async def _grant(self, spec: InstanceSpec) -> Grant:
        """Choose cores and accelerators, and write them down where server, kernels and other grants read them."""
        async with self._granting:
            own = self._folder(spec.instance_id) / "runtime.json"
            taken = await asyncio.to_thread(self._taken, own)
            grant = this_machine().choose(spec.flavor, taken)
            text = json.dumps(_runtime(spec, self._folder(spec.instance_id), grant), indent=1)
            await asyncio.to_thread(write_atomically, own, text.encode())
            return grant

    async def _enforce(self, spec: InstanceSpec) -> None:
        """Put cores and memory limit into force on every process of the instance, until no new one appears."""
        limit = spec.flavor.memory_mib * MIB
        cpus = json.loads(await asyncio.to_thread((self._folder(spec.instance_id) / "runtime.json").read_text))["cpus"]
        seen: set[int] = set()
        while True:
            processes = await asyncio.to_thread(of_instance, spec.instance_id)
            if {process.pid for process in processes} <= seen:
                return
            seen |= {process.pid for process in processes}
            await asyncio.to_thread(machine.pin, processes, cpus)
            await asyncio.to_thread(machine.limit_memory, spec.instance_id, processes, limit)

    async def stop(self, spec: InstanceSpec) -> AsyncGenerator[Checkpoint, None]:
        yield Checkpoint("Stopping JupyterLab and its kernels")
        await self._hub.stop(spec.owner, spec.instance_id)
        for visit in await asyncio.to_thread(visits.going_on, self._data, spec.instance_id):
            await end_visit(visit.id)
        folder = self._folder(spec.instance_id)
        await asyncio.to_thread((folder / "runtime.json").unlink, missing_ok=True)
        await asyncio.to_thread(machine.release_memory, spec.instance_id)

    async def delete(self, spec: InstanceSpec) -> AsyncGenerator[Checkpoint, None]:
        yield Checkpoint("Removing the work folder and the environment")
        await self._hub.forget(spec.owner, spec.instance_id)
        folder = self._folder(spec.instance_id)
        await self._environments.remove(folder / "env")
        await asyncio.to_thread(shutil.rmtree, folder, True)
        if folder.exists():
            raise Conflict(f"Some files of {spec.name} could not be removed; see {folder}, then delete it again.")

    async def observe(self, spec: InstanceSpec) -> Observation:
        server = await self._hub.server(spec.owner, spec.instance_id)
        if server is None or (server.stopped and not server.pending):
            return Observation(ServerState.GONE, await asyncio.to_thread(self._last_words, spec.instance_id))
        state = ServerState.RUNNING if server.ready else ServerState.STARTING
        visited = await asyncio.to_thread(visits.is_visited, self._data, spec.instance_id)
        return Observation(state, last_activity=_last_activity(server.last_activity, visited=visited))

    def launch(self, spec: InstanceSpec) -> ServerLaunch:
        folder = self._folder(spec.instance_id)
        runtime = folder / "runtime.json"
        return ServerLaunch(
            instance_id=spec.instance_id,
            owner=spec.owner,
            work_dir=str(folder / "work"),
            state_dir=str(folder),
            environment={
                "MLPLAT_INSTANCE_ID": spec.instance_id,
                "MLPLAT_RUNTIME": str(runtime),
                "MLPLAT_API": self._api,
                "MLPLAT_CONSOLE": self._console,
                "MLPLAT_WORK": str(folder / "work"),
                **self._variables,
            },
            cpus=_granted_cpus(runtime),
            memory_bytes=spec.flavor.memory_mib * MIB,
        )

    async def offers(self, flavors: Sequence[Flavor], switching: InstanceSpec | None = None) -> list[FlavorOffer]:
        own = self._folder(switching.instance_id) / "runtime.json" if switching else None
        taken = await asyncio.to_thread(self._taken, own)
        return [this_machine().offer(flavor, taken) for flavor in flavors]

    def can_resize(self, old: Flavor, new: Flavor) -> bool:
        return old.category is Category.CPU and new.category is Category.CPU and old.arch == new.arch

    async def resize(self, spec: InstanceSpec) -> None:
        """Cores, memory limit and variables of a running instance; refused where more memory is in use already."""
        used = await asyncio.to_thread(_memory_in_use, spec.instance_id)
        limit = spec.flavor.memory_mib * MIB
        if used > limit:
            raise Conflict(
                f"The instance uses {used / 1024**3:.1f} GiB, more than the {limit / 1024**3:.0f} GiB of "
                f"{spec.flavor.name}. Restart kernels that you no longer need, then switch again."
            )
        await self._grant(spec)
        await self._enforce(spec)

    def _folder(self, instance_id: str) -> Path:
        if not instance_id.replace("-", "").isalnum():
            raise InvalidInput(f"{instance_id!r} is no instance id.")
        return self._data / "instances" / instance_id

    def _taken(self, but: Path | None = None) -> list[Grant]:
        instances = (path for path in self._data.glob("instances/*/runtime.json") if path != but)
        return machine.grants_of([*instances, *self._data.glob("jobs/*/grant.json")])

    def _last_words(self, instance_id: str) -> str:
        """Why the server ended, as far as its record tells."""
        record = _read(self._folder(instance_id) / "server.json")
        code = json.loads(record).get("exit_code") if record else None
        return f"exit code {code}" if code is not None else ""


def _runtime(spec: InstanceSpec, folder: Path, grant: Grant) -> dict[str, object]:
    """The content of runtime.json."""
    return {
        "instance_id": spec.instance_id,
        "name": spec.name,
        "environment": str(folder / "env"),
        "flavor": spec.flavor.model_dump(mode="json"),
        "image": {"id": spec.image_id, "name": spec.image_name},
        "cpus": list(grant.cpus),
        "accelerators": list(grant.accelerators),
        "memory_bytes": spec.flavor.memory_mib * MIB,
        "enforced": machine.enforced(spec.flavor),
        "variables": machine.variables(spec.flavor, grant),
    }


def _last_activity(seen: datetime | None, *, visited: bool) -> datetime | None:
    """An instance that somebody is on over SSH is in use, to the minute."""
    minute = now().replace(second=0, microsecond=0)
    return max(seen or minute, minute) if visited else seen


def _granted_cpus(runtime: Path) -> list[int]:
    text = _read(runtime)
    return list(json.loads(text)["cpus"]) if text else []


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def _memory_in_use(instance_id: str) -> int:
    """Bytes that the processes of an instance hold for themselves alone (resident, less what is shared)."""
    pages = 0
    for process in of_instance(instance_id):
        try:
            _, resident, shared = Path(f"/proc/{process.pid}/statm").read_text().split()[:3]
        except OSError:
            continue
        pages += int(resident) - int(shared)
    return pages * os.sysconf("SC_PAGE_SIZE")

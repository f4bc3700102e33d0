"""A whole back end in memory, for tests: instances, images and jobs that are only told of, and fakes named for what
fails in them.

The parts of one back end share a `World`. It outlives them, as the machine outlives the platform: new parts on the same
world find what the old ones left.
"""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from jupyter_mlplat.backends.base import (
    Checkpoint,
    ImageBackend,
    InstanceBackend,
    InstanceSpec,
    JobBackend,
    JobObservation,
    JobSpec,
    JobState,
    LiveResize,
    Observation,
    PresetImage,
    SavedImage,
    SaveSpec,
    ServerLaunch,
    ServerState,
)
from jupyter_mlplat.core.clock import now
from jupyter_mlplat.errors import BackendFailure, Conflict, InvalidInput, NoSpace, NotFound
from jupyter_mlplat.flavors.models import Category, Flavor, FlavorOffer
from jupyter_mlplat.images.models import Package
from jupyter_mlplat.instances.models import StepName
from jupyter_mlplat.jobs.models import JobFile, Kind, MetricPoint

CORES = 4
LAYER_BYTES = 1000
CELLS = 3


@dataclass
class Server:
    """An instance's server: the image and the flavor in force, and how often it was started."""

    image_digest: str
    flavor: str
    starts: int = 1


@dataclass
class Run:
    """What one attempt of a job has come to."""

    spec: JobSpec
    state: JobState = JobState.RUNNING
    cells: int = 0


@dataclass
class World:
    """What is there, whoever asks. `looking_on` is told of each step that a verb has reached."""

    looking_on: Callable[[str], None] = field(default=lambda _step: None)
    servers: dict[str, Server] = field(default_factory=dict)
    work: set[str] = field(default_factory=set)
    installed: dict[str, list[Package]] = field(default_factory=dict)
    prepared: set[str] = field(default_factory=set)
    blobs: dict[str, list[Package]] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)

    async def reach(self, name: str) -> None:
        self.looking_on(name)
        await asyncio.sleep(0)


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
        self.world.installed.pop(spec.instance_id, None)
        await self.world.reach("delete:work")

    async def observe(self, spec: InstanceSpec) -> Observation:
        there = spec.instance_id in self.world.servers
        return Observation(ServerState.RUNNING if there else ServerState.GONE)

    def launch(self, spec: InstanceSpec) -> ServerLaunch:
        return ServerLaunch(spec.instance_id, spec.owner, f"/work/{spec.instance_id}", f"/state/{spec.instance_id}")

    async def offers(self, flavors: Sequence[Flavor]) -> list[FlavorOffer]:
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


class MemoryImages(ImageBackend):
    """Two presets that have to be built, and saves of what `world.installed` says."""

    edition: tuple[str, ...] = ()
    """What tells a preset that was made anew from the one before it."""

    def __init__(self, world: World | None = None) -> None:
        self.world = world or World()

    async def presets(self) -> list[PresetImage]:
        return [self._preset("python", "3.11", default=True), self._preset("pytorch", "2.8")]

    def _preset(self, name: str, tag: str, default: bool = False) -> PresetImage:
        full = f"{name}:{tag}"
        known = digest_of(full, *self.edition) if full in self.world.prepared else None
        return PresetImage(name, tag, f"{name} {tag}", known, LAYER_BYTES, "x86_64", ("CPU",), default)

    async def prepare(self, digest_or_name: str) -> AsyncGenerator[Checkpoint, None]:
        yield Checkpoint(f"Building {digest_or_name}", event="BuildingImage", step=StepName.PREPARE_COMPUTE)
        if not digest_or_name.startswith("sha256:"):
            self.world.prepared.add(digest_or_name)
            self.world.blobs[digest_of(digest_or_name, *self.edition)] = [Package(name="pip", version="25.0")]
        await self.world.reach("image:prepared")

    async def save(self, spec: SaveSpec) -> AsyncGenerator[Checkpoint | SavedImage, None]:
        parent = spec.instance.image_digest
        added = self.world.installed.get(spec.instance.instance_id, [])
        total = LAYER_BYTES if added else 0
        yield Checkpoint("Looking for changes")
        await self._write_layer(spec)
        yield Checkpoint("Writing the layer", done=total // 2, total=total)
        digest = digest_of(parent, *(f"{one.name}=={one.version}" for one in added)) if added else parent
        packages = [*self.world.blobs.get(parent, []), *added]
        self.world.blobs[digest] = packages
        self.world.blobs.pop(f"partial:{spec.image_id}", None)
        await self.world.reach("save:done")
        yield SavedImage(digest, parent, LAYER_BYTES + total, total, tuple(packages))

    async def _write_layer(self, spec: SaveSpec) -> None:
        self.world.blobs[f"partial:{spec.image_id}"] = []
        await self.world.reach("save:layer")

    async def packages(self, digest: str) -> list[Package]:
        return self.world.blobs.get(digest, [])

    async def collect(self, keep: set[str]) -> int:
        needless = self.world.blobs.keys() - keep
        for digest in needless:
            del self.world.blobs[digest]
        return LAYER_BYTES * len(needless)


def digest_of(*parts: str) -> str:
    """The digest that this back end gives to an image of these parts."""
    return "sha256:" + sha256("\n".join(parts).encode()).hexdigest()


class PresetCannotBeBuilt(MemoryImages):
    async def prepare(self, digest_or_name: str) -> AsyncGenerator[Checkpoint, None]:
        yield Checkpoint(f"Building {digest_or_name}")
        raise NoSpace(f"The disk is full: {digest_or_name} could not be built. Free some space and try again.")


class SaveRunsOutOfDisk(MemoryImages):
    async def _write_layer(self, spec: SaveSpec) -> None:
        await super()._write_layer(spec)
        raise NoSpace("The disk is full: the image was not saved. Free some space and try again.")


class StoreIsAwayOnce(MemoryImages):
    away = True

    async def _write_layer(self, spec: SaveSpec) -> None:
        await super()._write_layer(spec)
        if self.away:
            self.away = False
            raise BackendFailure("The image store does not answer. Try again soon.")


class SaveHitsABug(MemoryImages):
    async def _write_layer(self, spec: SaveSpec) -> None:
        raise RuntimeError("a mistake of ours")


class MemoryJobs(JobBackend):
    """Jobs of three cells: each look finds one more done, and after the last the job has ended as `ends` says."""

    ends = JobState.COMPLETED

    def __init__(self, world: World | None = None) -> None:
        self.world = world or World()
        self._outputs = tempfile.TemporaryDirectory(prefix="mlplat-memory-")

    async def start(self, spec: JobSpec) -> AsyncGenerator[Checkpoint, None]:
        yield Checkpoint("Unpacking the files", event="PreparingFiles")
        await self._unpack(spec)
        yield Checkpoint("Preparing the environment")
        run = self.world.runs.get(spec.job_id)
        if run is None or run.spec.attempt != spec.attempt:
            self.world.runs[spec.job_id] = Run(spec)
        await self.world.reach("job:started")

    async def _unpack(self, spec: JobSpec) -> None:
        await self.world.reach("job:unpacked")

    async def observe(self, job_id: str, attempt: int) -> JobObservation:
        run = self.world.runs.get(job_id)
        if run is None or run.spec.attempt != attempt:
            return JobObservation(JobState.ABSENT)
        if run.state is JobState.RUNNING:
            self._advance(run)
            await self.world.reach("job:advanced")
        done = run.state is not JobState.RUNNING
        exit_code = {JobState.COMPLETED: 0, JobState.FAILED: 1, JobState.STOPPED: -15}.get(run.state)
        metrics = {"loss": 1 / run.cells} if run.cells else {}
        return JobObservation(
            run.state,
            exit_code=exit_code,
            finished_at=now() if done else None,
            cells_done=run.cells,
            cells_total=CELLS,
            last_metrics=metrics,
        )

    def _advance(self, run: Run) -> None:
        if run.cells < CELLS:
            run.cells += 1
        else:
            run.state = self._end(run)

    def _end(self, run: Run) -> JobState:
        return self.ends

    async def stop(self, job_id: str) -> None:
        run = self.world.runs.get(job_id)
        if run is not None and run.state is JobState.RUNNING:
            run.state = JobState.STOPPED
        await self.world.reach("job:stopped")

    async def delete(self, job_id: str) -> None:
        self.world.runs.pop(job_id, None)
        await self.world.reach("job:deleted")

    async def log_size(self, job_id: str, node: int) -> int:
        return len(self._log(job_id))

    async def read_log(self, job_id: str, node: int, offset: int, limit: int) -> bytes:
        return self._log(job_id)[offset : offset + limit]

    def _log(self, job_id: str) -> bytes:
        return b"".join(b"cell %d\n" % cell for cell in range(1, self._cells(job_id) + 1))

    def _cells(self, job_id: str) -> int:
        run = self.world.runs.get(job_id)
        return run.cells if run else 0

    async def notebook(self, job_id: str) -> dict[str, Any] | None:
        cells = [{"cell_type": "code", "source": f"cell {cell + 1}"} for cell in range(self._cells(job_id))]
        return {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5} if cells else None

    async def metrics(self, job_id: str) -> list[MetricPoint]:
        return [
            MetricPoint(step=cell, at=now(), values={"loss": 1 / cell}) for cell in range(1, self._cells(job_id) + 1)
        ]

    async def files(self, job_id: str) -> list[JobFile]:
        run = self.world.runs.get(job_id)
        if run is None or run.state is not JobState.COMPLETED:
            return []
        names = ["model/weights.bin"] + ["executed.ipynb"] * (run.spec.kind is Kind.NOTEBOOK)
        return [JobFile(path=name, size=len(name.encode()), modified_at=now()) for name in names]

    async def open_file(self, job_id: str, path: str) -> Path:
        """Each file holds its own name."""
        if path not in {file.path for file in await self.files(job_id)}:
            raise NotFound(f"The job has left no file {path!r}.")
        place = Path(self._outputs.name, job_id, path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(path)
        return place


class JobFails(MemoryJobs):
    ends = JobState.FAILED


class JobIsLost(MemoryJobs):
    ends = JobState.LOST


class JobFailsOnce(MemoryJobs):
    def _end(self, run: Run) -> JobState:
        return JobState.FAILED if run.spec.attempt == 1 else JobState.COMPLETED


class JobNeverEnds(MemoryJobs):
    ends = JobState.RUNNING


class BundleIsBroken(MemoryJobs):
    async def _unpack(self, spec: JobSpec) -> None:
        raise InvalidInput("The bundle cannot be read: it is no whole tar+zstd file. Pack it again.")


class StartHitsABug(MemoryJobs):
    async def _unpack(self, spec: JobSpec) -> None:
        raise RuntimeError("a mistake of ours")


class MachineIsAwayOnce(MemoryJobs):
    away = True

    async def _unpack(self, spec: JobSpec) -> None:
        if self.away:
            self.away = False
            raise BackendFailure("The machine does not answer. Try again soon.")
        await super()._unpack(spec)

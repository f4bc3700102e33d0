"""The contract's stage of the memory back end."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from contract_stage import Program, Stage, steps

from jupyter_mlplat.backends.base import InstanceSpec, JobSpec, JobState
from jupyter_mlplat.backends.memory import MemoryImages, MemoryInstances, MemoryJobs, World, digest_of
from jupyter_mlplat.images.models import Package
from jupyter_mlplat.jobs.models import Kind

ENDS = {Program.FAILS: JobState.FAILED, Program.WAITS: JobState.RUNNING}


class MemoryStage(Stage):
    """One world for each test."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.package = "pip"
        self.digest, self.other_digest = digest_of("python:3.11"), digest_of("pytorch:2.8")

    async def open(self) -> None:
        self.instances, self.images = MemoryInstances(self.world), MemoryImages(self.world)
        self.jobs = MemoryJobs(self.world)
        if not self.world.prepared:
            await steps(self.images.prepare("pytorch:2.8"))
            self.world.blobs[self.digest] = [Package(name="pip", version="25.0")]

    async def shut(self) -> None:
        """Nothing is open."""

    async def permit(self, spec: InstanceSpec) -> InstanceSpec:
        return spec

    async def server(self, spec: InstanceSpec) -> object:
        return self.world.servers.get(spec.instance_id)

    async def end_server(self, spec: InstanceSpec) -> None:
        del self.world.servers[spec.instance_id]

    async def has_work(self, spec: InstanceSpec) -> bool:
        return spec.instance_id in self.world.work

    async def flavor_in_force(self, spec: InstanceSpec) -> str:
        return self.world.servers[spec.instance_id].flavor

    async def install(self, spec: InstanceSpec, package: str, version: str) -> None:
        added = self.world.installed.setdefault(spec.instance_id, [])
        added.append(Package(name=package, version=version))

    async def installed(self, spec: InstanceSpec) -> set[str]:
        image = self.world.blobs[self.world.servers[spec.instance_id].image_digest]
        return {package.name for package in [*image, *self.world.installed.get(spec.instance_id, [])]}

    async def stored(self) -> set[str]:
        return set(self.world.blobs)

    async def program(self, program: Program, spec: JobSpec) -> JobSpec:
        self.world.ends[spec.job_id] = ENDS.get(program, JobState.COMPLETED)
        kind, entry = (Kind.NOTEBOOK, "t.ipynb") if program is Program.NOTEBOOK else (Kind.PYTHON, "t.py")
        return replace(spec, kind=kind, entry=entry)


@contextmanager
def memory(_folder: Path) -> Iterator[type[MemoryStage]]:
    yield MemoryStage

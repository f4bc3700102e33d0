"""What the contract's tests need of a back end besides its capabilities. One class a back end, in a file of its own.

Add a back end: a `NAME_stage.py` with a class below `Stage`, and a line in `conftest.py`.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from enum import StrEnum
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from jupyter_mlplat.backends.base import InstanceBackend, InstanceSpec, JobBackend, JobSpec
from jupyter_mlplat.backends.imaging import ImageBackend
from jupyter_mlplat.flavors.models import Accelerator, Category, Flavor
from jupyter_mlplat.jobs.models import Kind

SMALL = Flavor(id="small", name="small", vcpus=1, memory_mib=1024)
LARGE = Flavor(id="large", name="large", vcpus=2, memory_mib=2048)
HUGE = Flavor(id="huge", name="huge", vcpus=100_000, memory_mib=1024)
NPU = Flavor(
    id="npu", name="npu", vcpus=1, memory_mib=1024, category=Category.ASCEND,
    accelerator=Accelerator(type="Ascend-910B", count=1),
)  # fmt: skip

Step = TypeVar("Step")

_numbers = count(1)


class Program(StrEnum):
    """What a job's code does."""

    PRINTS = "prints"
    """A script: prints two or more lines and completes."""
    NOTEBOOK = "notebook"
    """Prints, logs the metric `loss` at two or more steps, leaves at least one file among its outputs, completes."""
    FAILS = "fails"
    """A script that ends with another exit code than 0."""
    WAITS = "waits"
    """A script that prints a line and does not end by itself."""


class Stage(ABC):
    """A back end on which one test plays, and a hand in its world. `close` clears away what the test has made."""

    instances: InstanceBackend
    images: ImageBackend
    jobs: JobBackend
    digest: str
    """An image that is prepared."""
    package: str
    """The name of a package in it."""
    other_digest: str
    """Another one."""
    user = "alice"
    reference = ""
    """Where a container runtime pulls the image of a digest: with {digest} in it, or empty."""

    def __init__(self) -> None:
        self.made: list[InstanceSpec] = []
        self.submitted: list[JobSpec] = []

    @abstractmethod
    async def open(self) -> None:
        """Make the parts, as at a start of the platform."""

    @abstractmethod
    async def shut(self) -> None:
        """What the platform does when it ends: instances and jobs stay."""

    @abstractmethod
    async def permit(self, spec: InstanceSpec) -> InstanceSpec:
        """The spec with a permit for one more start."""

    @abstractmethod
    async def server(self, spec: InstanceSpec) -> object:
        """What tells the running server of an instance from a later one; None where there is none."""

    @abstractmethod
    async def end_server(self, spec: InstanceSpec) -> None:
        """End the server behind the platform's back."""

    @abstractmethod
    async def has_work(self, spec: InstanceSpec) -> bool:
        """Whether the work folder is there."""

    @abstractmethod
    async def flavor_in_force(self, spec: InstanceSpec) -> str:
        """The id of the flavor that the running instance has now."""

    @abstractmethod
    async def install(self, spec: InstanceSpec, package: str, version: str) -> None:
        """Put a package into the environment of a running instance."""

    @abstractmethod
    async def installed(self, spec: InstanceSpec) -> set[str]:
        """The names of the packages in the environment of a running instance."""

    @abstractmethod
    async def stored(self) -> set[str]:
        """All that the store of images holds, complete or not, by whatever names it has there."""

    @abstractmethod
    async def program(self, program: Program, spec: JobSpec) -> JobSpec:
        """The spec with the code of `program`: its bundle, entry and kind."""

    async def instance(self, **changes: Any) -> InstanceSpec:
        """A new instance that is not started yet."""
        name = f"i-contract-{next(_numbers)}"
        spec = InstanceSpec(name, self.user, name, "m-1", self.digest, "base:1", SMALL)
        spec = replace(spec, **changes)
        spec = replace(spec, image_reference=self.reference.format(digest=spec.image_digest))
        self.made.append(spec)
        return await self.permit(spec)

    async def running(self, **changes: Any) -> InstanceSpec:
        spec = await self.instance(**changes)
        await steps(self.instances.start(spec))
        return spec

    async def job(self, program: Program, **changes: Any) -> JobSpec:
        """A new job that is not started yet."""
        number = next(_numbers)
        job = JobSpec(
            job_id=f"j-contract-{number}",
            number=number,
            owner=self.user,
            name="contract",
            kind=Kind.PYTHON,
            entry="",
            bundle=Path(),
            image_digest=self.digest,
            flavor=SMALL,
            nodes=1,
            attempt=1,
            parameters={},
            environment={},
        )
        job = replace(job, **changes)
        job = replace(job, image_reference=self.reference.format(digest=job.image_digest))
        spec = await self.program(program, job)
        self.submitted.append(spec)
        return spec

    async def reopen(self) -> None:
        """Restart the platform."""
        await self.shut()
        await self.open()

    async def close(self) -> None:
        for job in self.submitted:
            await self.jobs.stop(job.job_id)
            await self.jobs.delete(job.job_id)
        for spec in self.made:
            await steps(self.instances.stop(spec))
            await steps(self.instances.delete(spec))
        await self.shut()


async def steps(verb: AsyncGenerator[Step, None]) -> list[Step]:
    """What a verb yields to its end."""
    return [step async for step in verb]


async def cut_off(verb: AsyncGenerator[Step, None], after: int) -> int:
    """Break a verb off after so many steps, as when the platform is killed there; the steps that it came to."""
    reached = 0
    async with aclosing(verb):
        async for _ in verb:
            reached += 1
            if reached == after:
                break
    return reached

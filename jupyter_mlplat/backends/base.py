"""What a back end can do, one small abstract class a capability.

A back end acts and reports. It never touches the database and never decides who may do what. Its long verbs are
async generators of `Checkpoint`: the reconciler stores each one as it comes, and may be killed between any two, so
every verb is idempotent: called again it looks at the world and goes on. A verb that cannot do its work raises a
`jupyter_mlplat.errors.MlplatError` whose message a user can read.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from jupyter_mlplat.core.clock import now
from jupyter_mlplat.flavors.models import Flavor, FlavorOffer
from jupyter_mlplat.instances.models import StepName
from jupyter_mlplat.jobs.models import JobFile, Kind, MetricPoint, Scalar


@dataclass(frozen=True)
class Checkpoint:
    """A step reached: `event` is the name of the event to record (None: only progress), `message` its words."""

    message: str
    event: str | None = None
    step: StepName | None = None
    done: int = 0
    total: int = 0
    at: datetime = field(default_factory=now, compare=False)


@dataclass(frozen=True)
class InstanceSpec:
    """What an instance is made of, resolved by the platform. `image_digest` is that of its OCI manifest.

    `image_reference` is where a container runtime pulls the image, digest included; empty on the local back end.
    """

    instance_id: str
    owner: str
    name: str
    image_id: str
    image_digest: str
    image_name: str
    flavor: Flavor
    image_reference: str = ""
    permit: str = ""
    """The single-use permit with which the Hub may spawn the server."""


class ServerState(StrEnum):
    RUNNING = "running"
    STARTING = "starting"
    GONE = "gone"


@dataclass(frozen=True)
class Observation:
    """What the world says of an instance's server; `message` says why it is gone, if that is known."""

    state: ServerState
    message: str = ""
    last_activity: datetime | None = None


@dataclass(frozen=True)
class ServerLaunch:
    """What the Hub's spawner needs to start a server; the answer to a redeemed permit.

    The local back end fills in folders, cores and memory, the Kubernetes one the manifest of the pod.
    """

    instance_id: str
    owner: str
    work_dir: str = ""
    state_dir: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    cpus: list[int] = field(default_factory=list)
    memory_bytes: int | None = None
    pod: dict[str, Any] = field(default_factory=dict)


class InstanceBackend(ABC):
    """Starts, stops and observes instances."""

    @abstractmethod
    def start(self, spec: InstanceSpec) -> AsyncGenerator[Checkpoint, None]:
        """Bring the instance to a server that answers. Adopts one that is already there."""

    @abstractmethod
    def stop(self, spec: InstanceSpec) -> AsyncGenerator[Checkpoint, None]:
        """End the server and what runs in it; the work folder stays. Nothing to stop is no error."""

    @abstractmethod
    def delete(self, spec: InstanceSpec) -> AsyncGenerator[Checkpoint, None]:
        """Remove everything of a stopped instance, its work folder too."""

    @abstractmethod
    async def observe(self, spec: InstanceSpec) -> Observation:
        """How the server is now."""

    @abstractmethod
    def launch(self, spec: InstanceSpec) -> ServerLaunch:
        """How the Hub starts this instance's server (pure: looks nothing up)."""

    @abstractmethod
    async def offers(self, flavors: Sequence[Flavor], switching: InstanceSpec | None = None) -> list[FlavorOffer]:
        """Which flavors can be had now, in the order given; sold out ones with the reason.

        To an instance that is `switching` what it has itself counts as free.
        """


class LiveResize(ABC):
    """Changes the flavor of a running instance without a restart."""

    @abstractmethod
    def can_resize(self, old: Flavor, new: Flavor) -> bool:
        """Whether a switch from `old` to `new` leaves the processes running."""

    @abstractmethod
    async def resize(self, spec: InstanceSpec) -> None:
        """Put `spec.flavor` in force on the running instance."""


class GrowingWork(ABC):
    """Keeps work folders on volumes of their own, which can be made larger."""

    @abstractmethod
    async def grow_work(self, spec: InstanceSpec, gib: int) -> None:
        """Ask for a work folder of `gib` GiB; it grows in the background, while it is used.

        Conflict, with the reason, where the storage cannot do it or the folder is as large already.
        """


@dataclass(frozen=True)
class JobSpec:
    """A job resolved by the platform. `bundle` is the packed code; channels are (name, folder or URL) pairs."""

    job_id: str
    number: int
    owner: str
    name: str
    kind: Kind
    entry: str
    bundle: Path
    image_digest: str
    flavor: Flavor
    nodes: int
    attempt: int
    parameters: dict[str, Scalar]
    environment: dict[str, str]
    image_reference: str = ""
    time_limit: int | None = None
    """Seconds that the attempt may run."""
    inputs: tuple[tuple[str, str], ...] = ()
    outputs: tuple[tuple[str, str], ...] = ()
    logs: str = ""
    """The folder or URL that the log is sent to; empty for none."""


class JobState(StrEnum):
    ABSENT = "absent"
    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    STOPPED = "stopped"
    LOST = "lost"
    """Its processes are gone and left no result (killed, machine restarted)."""


@dataclass(frozen=True)
class JobObservation:
    state: JobState
    message: str = ""
    exit_code: int | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    cells_done: int = 0
    cells_total: int = 0
    last_metrics: dict[str, float] = field(default_factory=dict)


class JobBackend(ABC):
    """Runs jobs, which go on when the platform stops, and keeps what they leave."""

    @abstractmethod
    def start(self, spec: JobSpec) -> AsyncGenerator[Checkpoint, None]:
        """Bring one attempt of a job to running. Adopts one that is already there."""

    @abstractmethod
    async def observe(self, job_id: str, attempt: int) -> JobObservation: ...

    @abstractmethod
    async def stop(self, job_id: str) -> None:
        """End the job's processes: first asked, then killed. Returns once they are gone."""

    @abstractmethod
    async def delete(self, job_id: str) -> None:
        """Remove everything that the job left."""

    @abstractmethod
    async def log_size(self, job_id: str, node: int) -> int:
        """Bytes in the log of one node; 0 where there is none yet."""

    @abstractmethod
    async def read_log(self, job_id: str, node: int, offset: int, limit: int) -> bytes:
        """Up to `limit` bytes of a node's log from `offset`."""

    @abstractmethod
    async def notebook(self, job_id: str) -> dict[str, Any] | None:
        """The executed notebook as far as it is, None for a script or before the first cell."""

    @abstractmethod
    async def metrics(self, job_id: str) -> list[MetricPoint]: ...

    @abstractmethod
    async def files(self, job_id: str) -> list[JobFile]:
        """What lies in the job's outputs folder (and the executed notebook)."""

    @abstractmethod
    async def open_file(self, job_id: str, path: str) -> Path:
        """A readable local path of one output file. NotFound where there is none or it lies outside the folder."""

"""What a back end can do, one small abstract class a capability.

A back end acts and reports. It never touches the database and never decides who may do what. Its long verbs are
async generators of `Checkpoint`: the reconciler stores each one as it comes, and may be killed between any two, so
every verb is idempotent: called again it looks at the world and goes on. A verb that cannot do its work raises a
`jupyter_mlplat.errors.MlplatError` whose message a user can read.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from jupyter_mlplat.core.clock import now
from jupyter_mlplat.flavors.models import Flavor, FlavorOffer
from jupyter_mlplat.images.models import Folder, ImagePath, Layer, Package, Service
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
class PresetImage:
    """An image that the back end offers out of the box. `digest` is None until it has been prepared.

    From the day `retires_on` it is no longer kept up; `instead` is the name of what to take then.
    """

    name: str
    tag: str
    description: str
    digest: str | None
    size: int
    architectures: tuple[str, ...]
    categories: tuple[str, ...]
    default: bool = False
    reference: str = ""
    services: tuple[str, ...] = (Service.NOTEBOOK, Service.TRAIN)
    retires_on: date | None = None
    instead: str = ""


@dataclass(frozen=True)
class Contents:
    """What an image is made of: its Python packages by name, its layers from the lowest on."""

    packages: tuple[Package, ...]
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class SaveSpec:
    """What to save: the environment of a running instance as a child of its image."""

    image_id: str
    instance: InstanceSpec
    name: str
    tag: str
    description: str
    author: str
    exclude: tuple[str, ...] = ()
    """Paths in the image: what has changed there since the parent stays out."""


@dataclass(frozen=True)
class RegisterSpec:
    """An image of another registry that is to become one of ours: `source` is HOST/REPOSITORY:TAG or …@DIGEST."""

    image_id: str
    owner: str
    name: str
    tag: str
    source: str


@dataclass(frozen=True)
class RegisteredImage:
    """An image that was taken over, whole; `size` counts its layers in compressed bytes."""

    digest: str
    size: int
    architectures: tuple[str, ...]
    packages: tuple[Package, ...]
    layers: tuple[Layer, ...]
    reference: str = ""


@dataclass(frozen=True)
class Preview:
    """What a save would put into the image now: `size` bytes of `files` changed files, before compression.

    `removed` counts what is in the parent and no more in the image, `packages` are all that it will have. `folders`
    are the biggest of what goes in, `left_out` shows some of the `left_out_count` things that do not.
    """

    files: int
    size: int
    removed: int
    packages: tuple[Package, ...]
    folders: tuple[Folder, ...]
    left_out: tuple[ImagePath, ...]
    left_out_count: int


@dataclass(frozen=True)
class SavedImage:
    """A complete image in the store. Without changes since the parent `digest` equals `parent_digest`.

    `size` counts all layers and `added` the new one, in compressed bytes.
    """

    digest: str
    parent_digest: str
    size: int
    added: int
    packages: tuple[Package, ...]
    layers: tuple[Layer, ...] = ()
    reference: str = ""


@dataclass(frozen=True)
class BaseImage:
    """An image that a Containerfile names as `name`: of the catalogue by `reference` and `digest`, else by `source`.

    `source` is HOST/REPOSITORY:TAG in a registry that is allowed.
    """

    name: str
    digest: str = ""
    reference: str = ""
    source: str = ""


@dataclass(frozen=True)
class BuildSpec:
    """An image that is to be built: `bundle` is the packed folder that its Containerfile copies from."""

    image_id: str
    owner: str
    name: str
    tag: str
    description: str
    containerfile: str
    bundle: Path
    bases: tuple[BaseImage, ...]


@dataclass(frozen=True)
class BuiltImage:
    """An image that was built, whole. `parent_digest` is empty where it stands on nothing; sizes as in SavedImage."""

    digest: str
    parent_digest: str
    size: int
    added: int
    architectures: tuple[str, ...]
    packages: tuple[Package, ...]
    layers: tuple[Layer, ...]
    reference: str = ""


class BuildDoor(ABC):
    """What the one pod of a build on a cluster fetches and delivers. `pod` is its uid: only the first one counts."""

    @abstractmethod
    async def begin(self, pod: str) -> dict[str, Any]:
        """All that it needs to know, as `jupyter_mlplat.builder.messages.Beginning`."""

    @abstractmethod
    async def bundle(self) -> Path:
        """The packed folder."""

    @abstractmethod
    def base_blob(self, number: int, digest: str) -> AbstractAsyncContextManager[tuple[int, AsyncIterator[bytes]]]:
        """The size and the bytes of a blob of one of the images below."""

    @abstractmethod
    async def append(self, pod: str, offset: int, content: bytes) -> int:
        """Add to the log; how much of it is here then."""

    @abstractmethod
    async def put_layer(self, pod: str, digest: str, pieces: AsyncIterator[bytes]) -> None:
        """Keep a layer, compressed, under the digest of what comes."""

    @abstractmethod
    async def end(self, pod: str, result: bytes) -> None:
        """Its last word, a `jupyter_mlplat.builder.messages.Result` as JSON."""


class BuildsImages(ABC):
    """Builds images from Containerfiles. `no_builds` says in words why it does not now; empty where it does."""

    no_builds: str

    @abstractmethod
    def build(self, spec: BuildSpec) -> AsyncGenerator[Checkpoint | BuiltImage, None]:
        """Build an image and look at it; yields what it is at, then one BuiltImage. Goes on with one that has begun.

        InvalidInput says at which step the Containerfile failed, or what makes the image unfit for instances. Until the
        last yield nothing is listed anywhere.
        """

    @abstractmethod
    async def discard(self, image_id: str) -> None:
        """End what works on a build, and remove all that it needed; its log stays. Nothing to end is no error."""

    @abstractmethod
    async def keep_builds(self, image_ids: Collection[str]) -> None:
        """Remove the logs of the builds of all other images."""

    @abstractmethod
    async def build_log_size(self, image_id: str) -> int:
        """Bytes in the log of a build; 0 where there is none yet."""

    @abstractmethod
    async def read_build_log(self, image_id: str, offset: int, limit: int) -> bytes:
        """Up to `limit` bytes of it from `offset`."""

    @abstractmethod
    async def door(self, image_id: str) -> BuildDoor:
        """The door for the pod of a build that is under way; NotFound where there is none."""


class RegistersImages(ABC):
    """Takes over images that were built elsewhere. `sources` are the registries that it takes them from."""

    sources: Sequence[str]

    @abstractmethod
    def check_source(self, source: str) -> None:
        """InvalidInput, with what to do, for an image that may not be taken from there."""

    @abstractmethod
    def register(self, spec: RegisterSpec) -> AsyncGenerator[Checkpoint | RegisteredImage, None]:
        """Copy an image and look at it; yields progress in bytes, then one RegisteredImage.

        InvalidInput lists all that makes it unfit for instances. Until the last yield nothing is listed anywhere.
        """


class ImageBackend(ABC):
    """Keeps the images of the back end: presets, saved ones, what they contain."""

    @abstractmethod
    async def presets(self) -> list[PresetImage]:
        """The preset images of this back end, prepared or not."""

    @abstractmethod
    def prepare(self, digest_or_name: str) -> AsyncGenerator[Checkpoint, None]:
        """Make an image ready for use on this back end (build a preset `NAME:TAG`, unpack a digest)."""

    @abstractmethod
    async def preview(self, spec: SaveSpec) -> Preview:
        """What `save` would make of the running instance as it is now."""

    @abstractmethod
    def save(self, spec: SaveSpec) -> AsyncGenerator[Checkpoint | SavedImage, None]:
        """Save a running instance's environment; yields progress in bytes, then one SavedImage.

        Until the last yield nothing is listed anywhere; a save that is killed or fails leaves no blob behind after
        `collect`.
        """

    @abstractmethod
    async def contents(self, digest: str) -> Contents:
        """What is in an image; NotFound where there is none of that digest."""

    @abstractmethod
    async def collect(self, keep: set[str]) -> int:
        """Remove every image and blob that no digest in `keep` needs and no save uses; the bytes given back."""


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

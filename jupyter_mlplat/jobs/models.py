"""Training jobs: a notebook or a script with the files of its folder, run on an image and a flavor."""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from jupyter_mlplat.core.models import Description, Digest, Model, Moment, PageRequest, Reference, ResourceName, Word
from jupyter_mlplat.core.text import Rule, refused, whole

Scalar = bool | int | float | str


def _scalar(value: object) -> object:
    if not isinstance(value, Scalar):
        raise refused("must be text, a number, or true or false")
    return whole(value) if isinstance(value, str) else value


Given = Annotated[Scalar, BeforeValidator(_scalar)]
"""A parameter's value as it is sent: text that a process can take, a number, true or false."""

Variable = Annotated[str, StringConstraints(max_length=4096), AfterValidator(whole)]
ChannelName = Annotated[
    str,
    Rule(r"^[A-Za-z_][A-Za-z0-9_]*$", 64, "use 1 to 64 letters A to Z, digits and _, but no digit at the beginning"),
]


TimeLimit = Annotated[
    Annotated[int, Field(ge=1, le=31_536_000)] | None,
    Field(description="How long one attempt may run, in seconds; null for as long as it takes"),
]


class Phase(StrEnum):
    CREATING = "Creating"
    PENDING = "Pending"
    RUNNING = "Running"
    FAILED = "Failed"
    COMPLETED = "Completed"
    TERMINATING = "Terminating"
    TERMINATED = "Terminated"
    ABNORMAL = "Abnormal"


FINAL = frozenset({Phase.FAILED, Phase.COMPLETED, Phase.TERMINATED, Phase.ABNORMAL})


class Kind(StrEnum):
    NOTEBOOK = "notebook"
    PYTHON = "python"
    SHELL = "shell"


ObjectAddress = Annotated[str, Rule(r"^(obs|s3)://[^/]+(/.*)?$", 1024, "a URL such as obs://bucket/folder is needed")]


class Channel(Model):
    """A named place for data: an `obs://bucket/prefix` URL that a job reads from or writes to.

    Inside the job the local folder is in the environment variable MLPLAT_INPUT_NAME or MLPLAT_OUTPUT_NAME.
    """

    name: ChannelName
    url: ObjectAddress


class BucketAsked(Model):
    bucket: Word


class JobCreate(Model):
    """`bundle` is the digest of the uploaded files, `entry` the path of the notebook or script among them."""

    name: ResourceName
    description: Description = ""
    bundle: Digest
    entry: Annotated[str, StringConstraints(min_length=1, max_length=1024)]
    image_id: Reference | None = None
    flavor: Reference | None = None
    nodes: int = Field(default=1, ge=1, le=64)
    parameters: dict[ChannelName, Given] = Field(default={}, max_length=200)
    environment: dict[ChannelName, Variable] = Field(default={}, max_length=100)
    inputs: list[Channel] = Field(default=[], max_length=20)
    outputs: list[Channel] = Field(default=[], max_length=20)
    logs: ObjectAddress | None = Field(default=None, description="The folder that the job's log is sent to as well")
    retries: int = Field(default=0, ge=0, le=128)
    time_limit: TimeLimit = None


class JobProgress(Model):
    """Cells done of all code cells; 0 of 0 for a script."""

    done: int = 0
    total: int = 0


class Job(Model):
    """A job as its owner sees it. `number` counts the owner's jobs, `duration` is in seconds."""

    id: str
    number: int
    name: str
    description: str
    owner: str
    workspace: str
    phase: Phase
    phase_message: str
    kind: Kind
    entry: str
    bundle: str
    image_id: str
    image_name: str
    flavor: str
    nodes: int
    parameters: dict[str, Scalar]
    environment: dict[str, str]
    inputs: list[Channel]
    outputs: list[Channel]
    logs: str | None = None
    retries: int
    time_limit: int | None = None
    attempt: int
    exit_code: int | None
    progress: JobProgress
    last_metrics: dict[str, float]
    instance_id: str | None
    created_at: Moment
    updated_at: Moment
    started_at: Moment | None
    finished_at: Moment | None
    duration: float | None


class JobFile(Model):
    path: str
    size: int
    modified_at: Moment


class MetricPoint(Model):
    """One `mlplat.log(step=…, loss=…)` of a job; `step` is None where none was given."""

    step: int | None
    at: Moment
    values: dict[str, float]


class JobFilter(PageRequest):
    name: Word | None = None
    phase: Phase | None = None
    instance_id: Word | None = None
    sort_key: Literal["name", "created_at", "number"] = "created_at"
    sort_dir: Literal["asc", "desc"] = "desc"


class Bundle(Model):
    """The packed files of a job: one tar+zstd, named by the sha256 of its bytes."""

    digest: str
    size: int


class BundleLimits(Model):
    """What one bundle may hold, unpacked."""

    files: int
    total_bytes: int


class InputFile(Model):
    path: str
    size: int


class NodeFiles(Model):
    """A folder that a node of a job fetches; `name` is that of an input, or "outputs"."""

    name: str
    files: list[InputFile]


class FarChannels(Model):
    """The channels of a job that are at endpoints, by name and URL, and the URL for its logs where that is at one."""

    inputs: list[tuple[str, str]] = []
    outputs: list[tuple[str, str]] = []
    logs: str = ""


class Beginning(Model):
    """What a node of a job on a cluster is told when it begins.

    `log` and `metrics` say how many bytes of this pod's own are here; `outputs` are those of earlier pods, and
    `earlier_log` is how much they have written. `far` is what the node itself moves.
    """

    spec: dict[str, Any]
    attempt: int
    limits: BundleLimits
    inputs: list[NodeFiles]
    outputs: NodeFiles
    log: int
    metrics: int
    earlier_log: int = 0
    far: FarChannels = FarChannels()


class Stored(Model):
    """How many bytes of a pod's stream the platform has."""

    size: int

"""Instances: a JupyterLab of a user's own, with an image, a flavor and a work folder that survives a stop."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from jupyter_mlplat.core.models import Description, Line, Model, Moment, PageRequest, Reference, ResourceName, Word
from jupyter_mlplat.core.text import one_line, refused


class Status(StrEnum):
    INIT = "INIT"
    CREATING = "CREATING"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"
    SNAPSHOTTING = "SNAPSHOTTING"
    DELETING = "DELETING"
    DELETED = "DELETED"
    CREATE_FAILED = "CREATE_FAILED"
    START_FAILED = "START_FAILED"
    DELETE_FAILED = "DELETE_FAILED"
    ERROR = "ERROR"
    FROZEN = "FROZEN"


class Target(StrEnum):
    """What the owner wants; the reconciler moves the status there."""

    RUNNING = "RUNNING"
    STOPPED = "STOPPED"
    DELETED = "DELETED"


class StepName(StrEnum):
    PREPARE_STORAGE = "PREPARE_STORAGE"
    PREPARE_COMPUTE = "PREPARE_COMPUTE"
    CONFIGURE_NETWORK = "CONFIGURE_NETWORK"
    INITIALISE = "INITIALISE"


class StepStatus(StrEnum):
    WAITING = "WAITING"
    PROCESSING = "PROCESSING"
    FAILED = "FAILED"
    COMPLETED = "COMPLETED"


class Step(Model):
    """One step of a start, with when it began and ended."""

    name: StepName
    status: StepStatus = StepStatus.WAITING
    message: str = ""
    started_at: Moment | None = None
    finished_at: Moment | None = None


class Tag(Model):
    key: Annotated[str, StringConstraints(min_length=1, max_length=128), AfterValidator(one_line)]
    value: Annotated[str, StringConstraints(max_length=255), AfterValidator(one_line)] = ""


def _one_value_a_key(tags: list[Tag]) -> list[Tag]:
    if len({tag.key for tag in tags}) != len(tags):
        raise refused("each tag key may be given once")
    return tags


Tags = Annotated[list[Tag], Field(max_length=20), AfterValidator(_one_value_a_key)]


class InstanceCreate(Model):
    """What a new instance is made of. Without image or flavor the platform's defaults are taken."""

    name: ResourceName
    description: Description = ""
    image_id: Reference | None = None
    flavor: Reference | None = None
    tags: Tags = []


class InstanceUpdate(Model):
    name: ResourceName | None = None
    description: Description | None = None
    tags: Tags | None = None
    work_gib: Annotated[int, Field(ge=1, le=1_048_576)] | None = Field(
        default=None, description="The size that the work folder is to grow to, in GiB"
    )


NEARLY_FULL = 0.9
"""The used part of a work folder from which people are warned."""

Bytes = Annotated[int, Field(ge=0, le=2**62)]


class WorkFolder(Model):
    """How full the disk of a work folder is, as its server sees it."""

    used_bytes: Bytes
    size_bytes: Annotated[Bytes, Field(gt=0)]

    @property
    def share(self) -> float:
        """The used part, 0 to 1."""
        return self.used_bytes / self.size_bytes

    @property
    def is_nearly_full(self) -> bool:
        return self.share >= NEARLY_FULL


class InstanceSwitch(Model):
    """Another flavor, another image, or both. `restart` agrees to a restart where the switch needs one."""

    flavor: Reference | None = None
    image_id: Reference | None = None
    restart: bool = False


class Instance(Model):
    """An instance as its owner sees it. `url` is the path of its Lab below the platform's address."""

    id: str
    name: str
    description: str
    owner: str
    workspace: str
    status: Status
    status_message: str
    target: Target
    image_id: str
    image_name: str
    flavor: str
    target_image_id: str | None = Field(description="The image that a switch under way leads to")
    target_flavor: str | None = Field(description="The flavor that a switch under way leads to")
    steps: list[Step]
    tags: list[Tag]
    url: str
    created_at: Moment
    updated_at: Moment
    started_at: Moment | None
    last_activity: Moment | None
    work: WorkFolder | None = Field(default=None, description="As its server last told; null before it has")


class Wanted(Model):
    """Whether the platform wants an instance to run now: not while it stops or switches by a restart."""

    wanted: bool


class InstanceFilter(PageRequest):
    """Filters of a list of instances; `name` matches anywhere in the name, `tag` is KEY or KEY=VALUE."""

    name: Word | None = None
    owner: Line | None = None
    status: Status | None = None
    flavor: Word | None = None
    image_id: Word | None = None
    tag: Line | None = None
    sort_key: Literal["name", "status", "flavor", "created_at", "updated_at"] = "created_at"
    sort_dir: Literal["asc", "desc"] = "desc"

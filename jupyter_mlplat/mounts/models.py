"""Mounts as they are asked for and shown."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from jupyter_mlplat.core.models import Line, Model, Moment
from jupyter_mlplat.core.text import Rule

MountName = Annotated[
    str,
    Rule(
        r"^[A-Za-z0-9][A-Za-z0-9._\-]{0,63}$",
        64,
        "use 1 to 64 letters A to Z, digits, dots, - and _, with a letter or a digit first",
    ),
]


class MountStatus(StrEnum):
    MOUNTING = "MOUNTING"
    MOUNTED = "MOUNTED"
    MOUNT_FAILED = "MOUNT_FAILED"
    UNMOUNTING = "UNMOUNTING"
    UNMOUNTED = "UNMOUNTED"
    UNMOUNT_FAILED = "UNMOUNT_FAILED"


class MountCreate(Model):
    """`source` is obs://BUCKET or obs://BUCKET/FOLDER; its last part is the name unless another is given."""

    source: Line
    name: MountName | None = None
    read_only: bool = False


class Mount(Model):
    """A mount of an instance. `path` is where its processes see it; `message` says what it waits for or why it failed.

    It stays when the instance stops (UNMOUNTED then) and is there again after the next start.
    """

    id: str
    instance_id: str
    name: str
    path: str
    source: str
    endpoint: str
    read_only: bool
    status: MountStatus
    message: str
    created_at: Moment
    updated_at: Moment


class MountList(Model):
    """The mounts of an instance; `absent` says why nothing can be mounted here, empty where it can."""

    mounts: list[Mount]
    absent: str = ""
    most: int = Field(description="How many an instance may have")

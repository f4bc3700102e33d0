"""Images: preset, saved from an instance, or registered. An image never changes once it is ACTIVE."""

from enum import StrEnum
from typing import Annotated, Literal

from jupyter_mlplat.core.models import Description, Line, Model, Moment, PageRequest
from jupyter_mlplat.core.text import Rule
from jupyter_mlplat.flavors.models import Category

ImageName = Annotated[
    str,
    Rule(
        r"^[a-z0-9]+([._\-][a-z0-9]+)*$",
        128,
        "use 1 to 128 lower case letters and digits, with single - _ or . between them",
    ),
]
ImageTag = Annotated[
    str,
    Rule(
        r"^[A-Za-z0-9_][A-Za-z0-9_.\-]*$",
        64,
        "use 1 to 64 letters, digits, - _ and ., but neither - nor . at the beginning",
    ),
]


class ImageStatus(StrEnum):
    INIT = "INIT"
    CREATING = "CREATING"
    ACTIVE = "ACTIVE"
    CREATE_FAILED = "CREATE_FAILED"
    ERROR = "ERROR"
    DELETED = "DELETED"


class Origin(StrEnum):
    PRESET = "PRESET"
    IMAGE_SAVE = "IMAGE_SAVE"
    CUSTOMIZE = "CUSTOMIZE"


class Visibility(StrEnum):
    PRIVATE = "PRIVATE"
    PUBLIC = "PUBLIC"


class Package(Model):
    name: str
    version: str


class SaveProgress(Model):
    """How far a save is: bytes of changed files written, of those found so far."""

    done: int = 0
    total: int = 0
    message: str = ""


class ImageSave(Model):
    """A name and tag for the environment of a running instance."""

    name: ImageName
    tag: ImageTag
    description: Description = ""


class Image(Model):
    """One entry of the catalogue. `size` is the bytes of all its layers, compressed; `added` those of its own layer.

    `reference` is where a container runtime pulls it (`REGISTRY/REPOSITORY@DIGEST`); empty on the local back end.
    """

    id: str
    name: str
    tag: str
    description: str
    owner: str
    workspace: str
    status: ImageStatus
    status_message: str
    origin: Origin
    type: Literal["BUILD_IN", "DEDICATED"]
    visibility: Visibility
    digest: str | None
    reference: str = ""
    parent_digest: str | None
    size: int
    added: int
    arch: str
    resource_categories: list[Category]
    services: list[Literal["NOTEBOOK", "SSH", "TRAIN"]]
    instance_id: str | None
    instance_name: str | None
    progress: SaveProgress | None
    created_at: Moment
    updated_at: Moment


class ImageDetail(Image):
    packages: list[Package]


class ImageFilter(PageRequest):
    name: Line | None = None
    origin: Origin | None = None
    status: ImageStatus | None = None
    category: Category | None = None

"""Images: preset, saved from an instance, registered, or built. An image never changes once it is ACTIVE."""

from datetime import date
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from jupyter_mlplat.advisories.models import Vulnerability
from jupyter_mlplat.core.clock import now
from jupyter_mlplat.core.models import Description, Digest, Line, Model, Moment, PageRequest
from jupyter_mlplat.core.package_name import package_key
from jupyter_mlplat.core.text import Rule, one_line, whole
from jupyter_mlplat.flavors.models import Category
from jupyter_mlplat.images.containerfile import MOST_BYTES

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


Containerfile = Annotated[str, StringConstraints(min_length=1, max_length=MOST_BYTES), AfterValidator(whole)]


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
    GROUP = "GROUP"
    PUBLIC = "PUBLIC"


class Service(StrEnum):
    """What an image can be used for."""

    NOTEBOOK = "NOTEBOOK"
    SSH = "SSH"
    TRAIN = "TRAIN"


class Package(Model):
    name: str
    version: str

    @property
    def key(self) -> str:
        """The name as package indexes compare it."""
        return package_key(self.name)


class Layer(Model):
    """A layer of an image. `size` is its compressed bytes, `step` what made it, where that is known."""

    digest: str
    size: int
    step: str = ""


class PackageChange(Model):
    name: str
    old: str
    new: str


class PackageChanges(Model):
    """How the packages of one image differ from those of another, by name."""

    added: list[Package]
    removed: list[Package]
    changed: list[PackageChange]
    same: int


def _path_in_image(value: str) -> str:
    path = value.strip("/")
    if {"", ".", ".."} & set(path.split("/")):
        raise ValueError("give a path in the image, such as opt/mlplat/env/share/data, without . and ..")
    return path


PathInImage = Annotated[
    str, StringConstraints(max_length=4096), AfterValidator(one_line), AfterValidator(_path_in_image)
]
"""Relative to the image's root."""


class Folder(Model):
    """A folder of an image with what lies in it; size in bytes."""

    path: str
    size: int
    files: int


class ImagePath(Model):
    """Something that stays out of an image, and why; size in bytes, 0 where nobody has counted."""

    path: str
    reason: str
    size: int = 0


class SavePreviewRequest(Model):
    """What to leave out: the changes at and below these paths."""

    exclude: list[PathInImage] = Field(default=[], max_length=200)


class SavePreview(Model):
    """What a save would put into the image now: `size` bytes of `files` changed files, before compression.

    `packages` is how the packages will differ from those of the instance's image, `total_packages` how many they will
    be. `folders` are the biggest of what goes in; `left_out` shows some of the `left_out_count` things that do not.
    """

    parent_name: str
    files: int
    size: int
    removed: int
    packages: PackageChanges
    total_packages: int
    folders: list[Folder]
    left_out: list[ImagePath]
    left_out_count: int


class SaveProgress(Model):
    """How far a save is: bytes of changed files written, of those found so far; `speed` in bytes a second."""

    done: int = 0
    total: int = 0
    message: str = ""
    speed: int = 0


class ImageSave(Model):
    """A name and tag for the environment of a running instance."""

    name: ImageName
    tag: ImageTag
    description: Description = ""
    notebook: Line | None = None
    """The document that is in front in Lab: remembered with the image."""
    exclude: list[PathInImage] = Field(default=[], max_length=200)
    """The changes at and below these paths stay out."""


class ImageRegister(Model):
    """An image that was built elsewhere, to be taken over under a name and tag.

    `source` is HOST/REPOSITORY:TAG or HOST/REPOSITORY@DIGEST in a registry that administrators allow.
    """

    name: ImageName
    tag: ImageTag
    source: Annotated[Line, Field(min_length=1)]
    description: Description = ""
    resource_categories: list[Category] = Field(default=[Category.CPU], min_length=1, max_length=3)
    services: list[Service] = Field(default=[Service.NOTEBOOK, Service.TRAIN], min_length=1, max_length=3)


class ImageBuild(Model):
    """A Containerfile with the folder that it copies from (`bundle`), to be built under a name and tag.

    `FROM` names images of the catalogue as NAME:TAG, or images of registries that administrators allow.
    """

    name: ImageName
    tag: ImageTag
    bundle: Digest
    containerfile: Containerfile
    description: Description = ""
    resource_categories: list[Category] | None = Field(default=None, min_length=1, max_length=3)
    """Without them those of the image that it stands on; the services too."""
    services: list[Service] | None = Field(default=None, min_length=1, max_length=3)


class BuildOffer(Model):
    """Whether images are built here; `absent` says why they are not, empty where they are."""

    absent: str = ""
    running: int = Field(description="How many builds the caller has under way")
    most: int = Field(description="How many they may have under way")


class Image(Model):
    """One entry of the catalogue. `size` is the bytes of all its layers, compressed; `added` those of its own layer.

    `reference` is where a container runtime pulls it (`REGISTRY/REPOSITORY@DIGEST`); empty on the local back end.
    `base_name` is the preset that it stands on in the end; `outdated` says that this preset has been made anew since,
    or is offered no more. From the day `retires_on` the image, or its base, is no longer kept up; `instead` is what to
    take then. `source` is where a registered image was taken from, `built` says that it was built from a Containerfile.
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
    groups: list[str] = []
    digest: str | None
    reference: str = ""
    parent_digest: str | None
    parent_name: str | None = None
    base_name: str | None = None
    outdated: bool = False
    retires_on: date | None = None
    instead: str = ""
    size: int
    added: int
    architectures: list[str]
    resource_categories: list[Category]
    services: list[Service]
    instance_id: str | None
    instance_name: str | None
    notebook: str | None = None
    source: str = ""
    built: bool = False
    progress: SaveProgress | None
    created_at: Moment
    updated_at: Moment

    @property
    def retired(self) -> bool:
        """Whether the day from which it is no longer kept up has come."""
        return self.retires_on is not None and self.retires_on <= now().date()

    @property
    def full_name(self) -> str:
        return f"{self.name}:{self.tag}"


class ImageParent(Model):
    """An image that another stands on. `image_id` is set where it is in the caller's catalogue as it was then."""

    digest: str
    name: str
    image_id: str | None


class ImageUse(Model):
    """Who needs an image: what is somebody else's is not named."""

    noun: Literal["instance", "job"]
    id: str | None
    name: str | None
    owner: str


class ImageDetail(Image):
    """An image with what is in it: `changes` against its parent, `parents` from the nearest on, its users.

    `vulnerabilities` are those that are known of its packages, the severest first; None where nobody can say.
    `containerfile` is what it was built from, where it was.
    """

    containerfile: str = ""
    packages: list[Package]
    vulnerabilities: list[Vulnerability] | None = None
    changes: PackageChanges | None = None
    parents: list[ImageParent] = []
    layers: list[Layer] = []
    used_by: list[ImageUse] = []


class ImageComparison(Model):
    """Two images side by side: `packages` says what `other` has that `image` has not, and so on."""

    image: Image
    other: Image
    packages: PackageChanges
    shared_layers: list[Layer]
    own_layers: list[Layer]
    other_layers: list[Layer]


class ImageUpdate(Model):
    """What can be changed of an image: not what is in it. `groups` go with the visibility GROUP."""

    description: Description | None = None
    visibility: Visibility | None = None
    groups: Annotated[list[Line], Field(max_length=100)] = []


class ImageFilter(PageRequest):
    """`name` is a part of NAME:TAG, `package` the name of one that is in it, `base` a part of the preset's name."""

    name: Line | None = None
    origin: Origin | None = None
    status: ImageStatus | None = None
    visibility: Visibility | None = None
    owner: Line | None = None
    category: Category | None = None
    service: Service | None = None
    arch: Line | None = None
    package: Line | None = None
    outdated: bool | None = None

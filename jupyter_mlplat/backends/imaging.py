"""What a back end can do for images: keep, save, register and build them. See `base` for how its verbs behave."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from jupyter_mlplat.backends.base import Checkpoint, InstanceSpec
from jupyter_mlplat.images.models import Folder, ImagePath, Layer, Package, Service


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

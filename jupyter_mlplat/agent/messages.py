"""What the platform asks an agent, and what it answers, a JSON object a line."""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from jupyter_mlplat.images.models import Folder, Package

SAVE_PATH = "/v1/save"
PREVIEW_PATH = "/v1/preview"

Repository = Annotated[str, Field(pattern=r"^[a-z0-9]+([._/-][a-z0-9]+|__[a-z0-9]+)*$", max_length=255)]
Reference = Annotated[str, Field(pattern=r"^[^@\s]+@sha256:[0-9a-f]{64}$", max_length=512)]


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SaveRequest(_Message):
    """Save what a container changed as `repository:tag`, a child of the image `parent` that it runs.

    `environment` is the folder of the user's packages, without a slash at its beginning. Changes at and below
    the paths `exclude` stay out.
    """

    namespace: str
    pod: str
    pod_uid: str
    container: str
    container_id: str
    parent: Reference
    repository: Repository
    tag: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")]
    author: str
    step: str
    labels: dict[str, str]
    environment: Annotated[str, Field(pattern=r"^[^/\s]+(/[^/\s]+)*$")] = "opt/mlplat/env"
    exclude: tuple[str, ...] = ()


class Progress(_Message):
    """Bytes of file content written, of those found."""

    kind: Literal["progress"] = "progress"
    message: str
    done: int = 0
    total: int = 0


class Left(_Message):
    path: str
    reason: str


class Saved(_Message):
    """The image is there. `left_out` shows some of what stayed behind, `left_out_count` counts all of it."""

    kind: Literal["saved"] = "saved"
    digest: str
    parent_digest: str
    size: int
    added: int
    packages: tuple[Package, ...]
    left_out: tuple[Left, ...] = ()
    left_out_count: int = 0


class Previewed(_Message):
    """What a save would write now: `size` bytes of `files` files; the rest is as in `Preview` of the back ends."""

    kind: Literal["previewed"] = "previewed"
    files: int
    size: int
    removed: int
    packages: tuple[Package, ...]
    folders: tuple[Folder, ...]
    left_out: tuple[Left, ...] = ()
    left_out_count: int = 0


class Failed(_Message):
    """It went wrong; `code` is that of one of `jupyter_mlplat.errors`."""

    kind: Literal["failed"] = "failed"
    code: str
    message: str


Answer = Annotated[Progress | Saved | Previewed | Failed, Field(discriminator="kind")]


class Line(_Message):
    """One line of an answer. `proof` covers the JSON of the message that ends it."""

    answer: Answer
    proof: str = ""


def split_reference(reference: str) -> tuple[str, str, str]:
    """`REGISTRY/REPOSITORY@DIGEST` in its parts."""
    name, _, digest = reference.partition("@")
    registry, _, repository = name.partition("/")
    return registry, re.sub(r":[^/:]*$", "", repository), digest

"""What is mounted where, and by which keys; what a mounter is asked."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

MOUNT_PATH, RENEW_PATH, UNMOUNT_PATH, SEEN_PATH = "/v1/mount", "/v1/renew", "/v1/unmount", "/v1/seen"
PROOF = "Mlplat-Proof"
"""The header of an answer that shows whose it is."""

_PART = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"

Part = Annotated[str, Field(pattern=_PART)]
"""A piece of a path: nothing that leads elsewhere."""


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Place(_Message):
    """An S3 endpoint and keys for it, good until `expires_at`; `authorities` are certificates of its own, in PEM."""

    provider: str
    address: str
    region: str
    path_style: bool
    authorities: str = ""
    access_key: str
    secret_key: str = Field(repr=False)
    token: str | None = Field(default=None, repr=False)
    expires_at: datetime


class MountOrder(_Message):
    """A folder of a bucket (`prefix` is empty or ends with /) that an instance is to see as `name`."""

    mount_id: Part
    instance_id: Part
    name: Part
    bucket: str
    prefix: str
    read_only: bool = False


class Asked(_Message):
    """A mount that is to be there, by these keys."""

    order: MountOrder
    place: Place


class Seen(_Message):
    """A mount as it is: `problem` is empty where it works, else what is wrong, in words."""

    order: MountOrder
    problem: str = ""


class AllSeen(_Message):
    """The mounts of one machine."""

    mounts: tuple[Seen, ...]

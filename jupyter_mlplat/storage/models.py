"""Object storage: endpoints, buckets and objects. The built-in endpoint `local` is a folder of the user's own."""

from typing import Literal

from pydantic import Field

from jupyter_mlplat.core.models import Model, Moment

LOCAL = "local"
"""The name of the built-in endpoint."""

Provider = Literal["local", "s3", "obs"]
EndpointState = Literal["ready", "failed", "untested"]


class Endpoint(Model):
    """Where buckets are. `buckets` are those that it is to serve, else (`all_buckets`) those that its keys listed last.

    One of somebody else's is called NAME.OWNER. `groups` are those that it is shared with by its owner.

    `keys` says how processes of instances get keys: temporary ones by STS, the endpoint's own, or none at all.
    """

    name: str
    owner: str = ""
    groups: list[str] = []
    provider: Provider
    buckets: list[str]
    all_buckets: bool = True
    address: str = ""
    region: str = ""
    path_style: bool = True
    own_authority: bool = False
    prefix: str = ""
    access_key: str = ""
    keys: Literal["none", "own", "temporary"] = "none"
    sts_address: str = ""
    sts_role: str = ""
    state: EndpointState = "ready"
    message: str = ""
    tested_at: Moment | None = None


class ObjectInfo(Model):
    """One object, or one common prefix (`is_prefix`, ends with /). `key` is BUCKET/KEY without the scheme."""

    key: str
    size: int
    modified_at: Moment | None
    is_prefix: bool = False


class Listing(Model):
    """One page of a listing; `next` is the marker of the following page."""

    objects: list[ObjectInfo]
    next: str | None = None


class Deleted(Model):
    deleted: int = Field(description="How many objects were deleted")


class Link(Model):
    """An address from which anybody can get an object until `expires_at`."""

    url: str
    expires_at: Moment

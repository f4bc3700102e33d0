"""Object storage: endpoints, buckets and objects. The built-in endpoint `local` is a folder of the user's own."""

from typing import Literal

from pydantic import Field

from jupyter_mlplat.core.models import Model, Moment


class Endpoint(Model):
    name: str
    provider: Literal["local"]
    buckets: list[str]


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

"""What the platform answers that has no model of its own there."""

from pydantic import BaseModel


class Me(BaseModel):
    """Who is asking. `instance_id` is set where an instance asks with its own token."""

    user: str
    admin: bool
    instance_id: str | None
    permissions: list[str]


class Quota(BaseModel):
    """How much of a noun the caller has and may have; no `limit` means as much as there is."""

    noun: str
    used: float
    limit: float | None

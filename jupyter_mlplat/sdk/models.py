"""What the platform answers that has no model below its routes."""

from pydantic import BaseModel


class Me(BaseModel):
    """Who is asking. `instance_id` is set where an instance asks with its own token."""

    user: str
    admin: bool
    instance_id: str | None
    groups: list[str] = []
    permissions: list[str]

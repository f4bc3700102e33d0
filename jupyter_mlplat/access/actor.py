"""Who is asking."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Actor:
    """A caller: a user by their own login, or one of their instances by its own token.

    `instance_id` is set for an instance, which may do only what an instance needs. `source` is the client's address.
    """

    user: str
    admin: bool = False
    instance_id: str | None = None
    source: str = ""
    request_id: str = ""

    @property
    def via(self) -> Literal["user", "instance"]:
        return "instance" if self.instance_id else "user"

"""What a back end can do for SSH: let people into running instances."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from jupyter_mlplat.backends.base import InstanceSpec
from jupyter_mlplat.core.clock import now


@dataclass(frozen=True)
class Visit:
    """Somebody who is on an instance over SSH: with which key, from which address, since when.

    `id` names the process of the gateway that lets them through, and `gateway` the machine that it runs on.
    """

    id: str
    instance_id: str
    key_id: str
    address: str
    since: datetime = field(default_factory=now)
    gateway: str = ""


@dataclass(frozen=True)
class Door:
    """What the gateway does for one visit: it becomes this program, which is the instance's sshd.

    With a host and a port to `dial` it connects to that sshd first, and the program passes on what both sides say.
    """

    argv: tuple[str, ...]
    environment: dict[str, str]
    cpus: tuple[int, ...] = ()
    dial: tuple[str, int] | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """The whole command: with this environment alone, on these CPUs."""
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        on = ("taskset", "-c", ",".join(map(str, self.cpus))) if self.cpus else ()
        return ("/usr/bin/env", "-i", *variables, *on, *self.argv)


class SshDoors(ABC):
    """The sshds of instances that a gateway on another machine reaches."""

    @abstractmethod
    async def host_key(self, instance_id: str) -> str:
        """The public host key of an instance, made at the first question; it never changes."""

    @abstractmethod
    async def open(self, spec: InstanceSpec) -> Door:
        """The way to an instance's sshd. BackendFailure while it cannot be reached."""


class SshTarget(ABC):
    """Lets people into running instances over SSH, through one gateway."""

    @abstractmethod
    async def host_key(self, instance_id: str) -> str:
        """The public host key of an instance, made at the first question; it never changes."""

    @abstractmethod
    async def admit(self, spec: InstanceSpec, keys: Sequence[str], visit: Visit) -> Door:
        """Let a visit in where the public `keys` open the door, and note it until it has ended."""

    @abstractmethod
    async def visits(self, instance_id: str | None = None) -> list[Visit]:
        """The visits that go on, the oldest first; those of one instance where it is given."""

    @abstractmethod
    async def cut(self, visit_id: str) -> None:
        """End a visit and what runs in it; one that has ended is no error."""

    @abstractmethod
    async def know(self, logins: Collection[str]) -> None:
        """Tell the gateway all names under which somebody may ask to be let in."""

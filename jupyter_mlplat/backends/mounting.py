"""What a back end can do for mounts: show a folder of a bucket to a running instance as files."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from jupyter_mlplat.mounter.models import MountOrder, Place


@dataclass(frozen=True)
class MountSpec:
    """A mount resolved by the platform; `instance` is the name of the instance that is to see it."""

    order: MountOrder
    instance: str


@dataclass(frozen=True)
class MountsSeen:
    """The mounts in the world, each with what is wrong with it (empty where it works).

    `whole` says whether all of the world was seen: else what is missing here may be there.
    """

    mounts: tuple[tuple[MountOrder, str], ...]
    whole: bool = True


class MountBackend(ABC):
    """Mounts folders of buckets. What it has mounted outlives the platform."""

    @abstractmethod
    def absent(self) -> str:
        """Why nothing can be mounted here, in words; empty where it can."""

    @abstractmethod
    def path(self, instance_id: str, name: str) -> str:
        """Where the processes of an instance see a mount."""

    @abstractmethod
    async def mount(self, spec: MountSpec, place: Place) -> None:
        """Have it there. BackendFailure where that may go better later, Conflict where the instance cannot have it."""

    @abstractmethod
    async def renew(self, spec: MountSpec, place: Place) -> None:
        """Give new keys to a mount that is there, or that has something to send."""

    @abstractmethod
    async def unmount(self, spec: MountSpec, *, ending: bool) -> None:
        """Take it away and send what was written to it; `ending`: once the processes of the instance have ended.

        BackendFailure while that goes on: ask again. One that is not there is no error.
        """

    @abstractmethod
    async def seen(self) -> MountsSeen:
        """All mounts that are in the world."""

"""What is there in a back end in memory, whoever asks."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from hashlib import sha256

from jupyter_mlplat.backends.base import JobSpec, JobState
from jupyter_mlplat.core.clock import now
from jupyter_mlplat.images.models import Package
from jupyter_mlplat.mounter.models import MountOrder, Place


@dataclass(eq=False)
class Server:
    """An instance's server: the image and the flavor in force, and how often it was started."""

    image_digest: str
    flavor: str
    starts: int = 1


@dataclass
class Run:
    """What one attempt of a job has come to."""

    spec: JobSpec
    state: JobState = JobState.RUNNING
    cells: int = 0
    finished_at: datetime | None = None

    def end(self, state: JobState) -> None:
        self.state, self.finished_at = state, now()


@dataclass
class World:
    """What is there, whoever asks. `looking_on` is told of each step that a verb has reached."""

    looking_on: Callable[[str], None] = field(default=lambda _step: None)
    servers: dict[str, Server] = field(default_factory=dict)
    work: set[str] = field(default_factory=set)
    made_from: dict[str, str] = field(default_factory=dict)
    installed: dict[str, list[Package]] = field(default_factory=dict)
    prepared: set[str] = field(default_factory=set)
    blobs: dict[str, list[Package]] = field(default_factory=dict)
    parents: dict[str, str] = field(default_factory=dict)
    """The parent of each image that was saved with changes."""
    retiring: dict[str, tuple[date, str]] = field(default_factory=dict)
    """The days from which presets (by NAME:TAG) are no longer kept up, and what to take then."""
    building: set[str] = field(default_factory=set)
    """The images on which somebody works."""
    build_logs: dict[str, list[str]] = field(default_factory=dict)
    pinned: set[str] = field(default_factory=set)
    runs: dict[str, Run] = field(default_factory=dict)
    mounts: dict[MountOrder, str] = field(default_factory=dict)
    """What is wrong with each mount that is there; empty where it works."""
    mount_keys: dict[str, Place] = field(default_factory=dict)
    ends: dict[str, JobState] = field(default_factory=dict)
    """How single jobs end, where that is not for their back end to say."""

    async def reach(self, name: str) -> None:
        self.looking_on(name)
        await asyncio.sleep(0)


def digest_of(*parts: str) -> str:
    """The digest that this back end gives to an image of these parts."""
    return "sha256:" + sha256("\n".join(parts).encode()).hexdigest()

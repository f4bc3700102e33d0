"""Where the inputs, outputs and logs of jobs lie: in the built-in store, or at an endpoint of the job's owner."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.errors import InvalidInput
from jupyter_mlplat.jobs.models import Channel, JobCreate
from jupyter_mlplat.storage import keys
from jupyter_mlplat.storage.access import StorageAccess
from jupyter_mlplat.storage.models import LOCAL
from jupyter_mlplat.storage.object_urls import ObjectUrl, is_object_url
from jupyter_mlplat.storage.service import StorageService


@dataclass(frozen=True)
class JobChannels:
    """Resolves the URLs of jobs."""

    storage: StorageService
    access: StorageAccess

    async def check(self, owner: str, wanted: JobCreate) -> None:
        """InvalidInput, NotFound or NotAllowed say which channel a job cannot have, and why."""
        for channels in (wanted.inputs, wanted.outputs):
            if len({channel.name for channel in channels}) != len(channels):
                raise InvalidInput("Two inputs, or two outputs, have the same name. Give each its own.")
        for channel in wanted.inputs:
            await self._check_input(owner, channel)
        for url in _targets(wanted):
            await self.place(owner, url)

    async def place(self, owner: str, url: str) -> str:
        """A path in the built-in store, or the URL itself where its bucket is at an endpoint that gives keys."""
        target = ObjectUrl.parse(url)
        keys.check_bucket(target.bucket)
        actor = Actor(owner)
        place = await self.access.place(actor, target.bucket)
        if place.endpoint == LOCAL:
            return str(await self.storage.resolve(owner, url))
        await self.access.check_given(actor, place.endpoint)
        return str(target)

    async def _check_input(self, owner: str, channel: Channel) -> None:
        place = await self.place(owner, channel.url)
        if not is_object_url(place) and not await asyncio.to_thread(Path(place).exists):
            raise InvalidInput(f"There is nothing at {channel.url} for the input {channel.name}. Upload it first.")


def _targets(wanted: JobCreate) -> Iterator[str]:
    yield from (channel.url for channel in wanted.outputs)
    if wanted.logs:
        yield wanted.logs

"""The door for the pod of a build: it reads the images below and leaves layers through us, without rights itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from jupyter_mlplat.backends.imaging import BuildDoor
from jupyter_mlplat.backends.kubernetes.build_folder import BuildFolder, Plan
from jupyter_mlplat.builder.messages import Beginning
from jupyter_mlplat.builder.messages import Below as Told
from jupyter_mlplat.errors import NotFound
from jupyter_mlplat.jobs.survey import Limits
from jupyter_mlplat.oci.registry import Registry


class ClusterDoor(BuildDoor):
    """Of the build in `folder`; `registry` is where its images below are, and its layers go."""

    def __init__(self, folder: BuildFolder, plan: Plan, limits: Limits, registry: Registry) -> None:
        self._folder, self._plan, self._limits, self._registry = folder, plan, limits, registry

    async def begin(self, pod: str) -> dict[str, Any]:
        log = await asyncio.to_thread(self._folder.begin, pod)
        bases = [Told(name=base.name, media_type=base.media_type, manifest=base.document) for base in self._plan.below]
        beginning = Beginning(
            containerfile=self._plan.containerfile,
            bases=bases,
            known=sorted({diff_id for base in self._plan.below for diff_id in base.diff_ids}),
            files=self._limits.files,
            total_bytes=self._limits.total_bytes,
            log=log,
        )
        return cast(dict[str, Any], beginning)

    async def bundle(self) -> Path:
        return self._folder.bundle

    @asynccontextmanager
    async def base_blob(self, number: int, digest: str) -> AsyncIterator[tuple[int, AsyncIterator[bytes]]]:
        if not 0 <= number < len(self._plan.below):
            raise NotFound(f"The build has no image {number} below it.")
        base = self._plan.below[number]
        found = [blob for blob in (base.manifest.config, *base.manifest.layers) if blob.digest == digest]
        if not found:
            raise NotFound(f"{base.name} has no blob {digest}.")
        async with self._registry.reading(base.repository, digest) as pieces:
            yield found[0].size, pieces

    async def append(self, pod: str, offset: int, content: bytes) -> int:
        return await asyncio.to_thread(self._folder.append, pod, offset, content)

    async def put_layer(self, pod: str, digest: str, pieces: AsyncIterator[bytes]) -> None:
        """Nothing in the registry names it yet: what does not come to an image, the registry clears away some day."""
        await asyncio.to_thread(self._folder.check, pod)
        if not await self._registry.has_blob(self._plan.repository, digest):
            await self._registry.store(self._plan.repository, pieces, digest)

    async def end(self, pod: str, result: bytes) -> None:
        await asyncio.to_thread(self._folder.end, pod, result)

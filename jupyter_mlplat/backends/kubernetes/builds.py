"""Builds of the Kubernetes back end: each a Job whose pod runs buildah, and a messenger that speaks to the platform."""

import asyncio
import time
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing, suppress
from pathlib import Path

from jupyter_mlplat.backends.base import Checkpoint
from jupyter_mlplat.backends.imaging import BaseImage, BuildsImages, BuildSpec, BuiltImage
from jupyter_mlplat.backends.job_results import read_piece
from jupyter_mlplat.backends.kubernetes import build_job as manifests
from jupyter_mlplat.backends.kubernetes.build_door import ClusterDoor
from jupyter_mlplat.backends.kubernetes.build_folder import Below, BuildFolder, Plan
from jupyter_mlplat.backends.kubernetes.build_result import TITLE, VERSION, image_of, parent_of
from jupyter_mlplat.backends.kubernetes.build_view import Situation, View, failure, view
from jupyter_mlplat.backends.kubernetes.catalog import Reference
from jupyter_mlplat.backends.kubernetes.client import BATCH, CORE, Cluster, Json, path_of
from jupyter_mlplat.backends.kubernetes.images import IMAGE_LABEL, PLAIN, KubernetesImages, owner_folder
from jupyter_mlplat.backends.kubernetes.job import owned
from jupyter_mlplat.backends.kubernetes.names import label_value
from jupyter_mlplat.backends.kubernetes.registry_image import RegistryImage, check_usable, packages_of
from jupyter_mlplat.backends.kubernetes.settings import KubernetesSettings
from jupyter_mlplat.builder.messages import Result
from jupyter_mlplat.errors import AlreadyExists, InvalidInput, MlplatError, NotFound
from jupyter_mlplat.jobs.survey import Limits
from jupyter_mlplat.jobs.tokens import JobTokens
from jupyter_mlplat.oci.manifest import MANIFEST, encode

LOOK_SECONDS = 1.0
OFF = "Nothing is built on this platform. An administrator switches it on with builds.enabled of the chart."
_OCI = "org.opencontainers.image."
_ATTEMPT = 1


class BuildFailed(InvalidInput):
    """A build that came to nothing; the message says why, and what to do where that is known."""


class BuildingImages(KubernetesImages, BuildsImages):
    """Images that can be built as well. `api` is the address of the platform's `/v1` as pods reach it."""

    def __init__(
        self,
        data_dir: Path,
        cluster: Cluster,
        settings: KubernetesSettings,
        tokens: JobTokens,
        limits: Limits,
        *,
        api: str,
    ) -> None:
        super().__init__(cluster, settings)
        self._builds = data_dir / "builds"
        self._tokens, self._limits, self._api = tokens, limits, api
        self.no_builds = "" if settings.build_image else OFF

    async def build(self, spec: BuildSpec) -> AsyncGenerator[Checkpoint | BuiltImage, None]:
        folder = self._folder(spec.image_id)
        with self._held(self._repository(spec)), self._held(self._copies(spec.image_id)):
            if await asyncio.to_thread(lambda: folder.result) is None:
                async with aclosing(self._work(spec, folder)) as steps:
                    async for step in steps:
                        yield step
            yield Checkpoint("Looking at what was built")
            built = await self._finish(spec, folder)
            await self._end(spec.image_id)
            yield built
        await self._forget(spec.image_id)

    async def _work(self, spec: BuildSpec, folder: BuildFolder) -> AsyncGenerator[Checkpoint, None]:
        """Bring a build to its result."""
        if await asyncio.to_thread(lambda: folder.plan) is None:
            async with aclosing(self._plan(spec, folder)) as steps:
                async for step in steps:
                    yield step
        if not folder.begun:
            await self._create(spec)
        said, patience = "", _Patience(self._settings.patience.total_seconds())
        while await asyncio.to_thread(lambda: folder.result) is None:
            seen = await self._look(spec.image_id, folder)
            if seen.over and await asyncio.to_thread(lambda: folder.result) is not None:
                return
            if seen.over or patience.ended(seen):
                raise BuildFailed(seen.words)
            if seen.words != said:
                said = seen.words
                yield Checkpoint(said)
            await asyncio.sleep(LOOK_SECONDS)

    async def _plan(self, spec: BuildSpec, folder: BuildFolder) -> AsyncGenerator[Checkpoint, None]:
        """Look at the images below; those of other registries are copied into ours for as long as it takes."""
        below = []
        for number, base in enumerate(spec.bases):
            if base.source:
                there = Reference.parse(base.source)
                here = Reference(self._registry.access.address, self._copies(spec.image_id), str(number))
                plain = f"{PLAIN}{there.host}" in self._settings.registries
                async with aclosing(self._fetch(there, here, insecure=plain)) as steps:
                    async for step in steps:
                        yield step
            below.append(await self._below(spec, number, base))
        try:
            plan = Plan(self._repository(spec), spec.containerfile, below)
            await asyncio.to_thread(folder.keep_plan, plan, spec.bundle)
        except FileNotFoundError:
            raise BuildFailed("The files of the build are gone. Send them again.") from None

    async def _below(self, spec: BuildSpec, number: int, base: BaseImage) -> Below:
        there = Reference.parse(base.reference) if base.reference else None
        repository, version = (there.repository, there.version) if there else (self._copies(spec.image_id), str(number))
        document, image = await self._seen(repository, version)
        text = document.data.decode()
        return Below(base.name, repository, image.digest, document.media_type, text, image.config)

    async def _create(self, spec: BuildSpec) -> None:
        with suppress(AlreadyExists):
            token = self._tokens.of(spec.image_id, _ATTEMPT)
            await self._cluster.create(self._path("secrets"), manifests.secret(spec, token))
        path, name = self._path("jobs"), manifests.name_of(spec.image_id)
        try:
            job = await self._cluster.create(path, manifests.job(spec, self._settings, api=self._api))
        except AlreadyExists:
            job = await self._cluster.get(f"{path}/{name}")
        await self._cluster.patch(self._path("secrets", name), owned(job))

    async def _look(self, image_id: str, folder: BuildFolder) -> View:
        selector = f"{manifests.IMAGE_LABEL}={label_value(image_id)}"
        pods = await self._cluster.get(self._path("pods"), labelSelector=selector)
        situation = Situation(
            job=await self._job(image_id),
            pods=pods["items"],
            events=[] if pods["items"] else await self._events(image_id),
            log=await asyncio.to_thread(lambda: folder.tail),
            begun=folder.begun,
        )
        return view(situation, self._settings)

    async def _job(self, image_id: str) -> Json | None:
        with suppress(NotFound):
            return await self._cluster.get(self._path("jobs", manifests.name_of(image_id)))
        return None

    async def _events(self, image_id: str) -> list[Json]:
        chosen = f"involvedObject.name={manifests.name_of(image_id)}"
        found: list[Json] = (await self._cluster.get(self._path("events"), fieldSelector=chosen))["items"]
        return found

    async def _finish(self, spec: BuildSpec, folder: BuildFolder) -> BuiltImage:
        """Look at the image, and list it in the registry where it can be used. BuildFailed with all that is wrong."""
        result = await asyncio.to_thread(lambda: folder.result) or Result(code=1)
        plan = await asyncio.to_thread(lambda: folder.plan)
        below = plan.below if plan else []
        if words := result.get("problem"):
            raise BuildFailed(str(words))
        if result["code"]:
            raise BuildFailed(failure(await asyncio.to_thread(lambda: folder.tail), result["code"]))
        parent = parent_of(below, result)
        image, config = image_of(spec, below, result, _labels(spec, parent))
        check_usable(f"{spec.name}:{spec.tag}", image)
        await self._list(spec, below, image, config)
        own = {layer["digest"]: layer["size"] for layer in result["layers"] if layer["digest"]}
        return BuiltImage(
            digest=image.digest,
            parent_digest=parent.digest if parent else "",
            size=image.manifest.size,
            added=sum(own.values()),
            architectures=image.architectures,
            packages=packages_of(image),
            layers=image.layers,
            reference=self._reference(self._repository(spec), image.digest),
        )

    async def _list(self, spec: BuildSpec, below: list[Below], image: RegistryImage, config: bytes) -> None:
        repository = self._repository(spec)
        places = {layer.digest: base.repository for base in below for layer in base.manifest.layers}
        for layer in image.manifest.layers:
            if layer.digest in places:
                await self._registry.copy_blob(repository, layer, self._registry, places[layer.digest])
        await self._registry.put_blob(repository, config)
        await self._registry.put_manifest(repository, spec.tag, MANIFEST, encode(image.manifest.document()))

    async def discard(self, image_id: str) -> None:
        await self._end(image_id)
        await self._forget(image_id)

    async def _forget(self, image_id: str) -> None:
        """Give back what a build needed, and the copies of images of other registries."""
        copies = self._copies(image_id)
        with suppress(MlplatError):
            for tag in await self._registry.tags(copies):
                await self._registry.delete_manifest(copies, await self._registry.digest(copies, tag) or "")
        await asyncio.to_thread(self._folder(image_id).give_up)

    async def _end(self, image_id: str) -> None:
        """Remove the Job, with its pod. Its Secret goes with it, unless the platform was killed before it said so."""
        name = manifests.name_of(image_id)
        await self._cluster.delete(self._path("jobs", name), propagation="Background")
        await self._cluster.delete(self._path("secrets", name))

    async def keep_builds(self, image_ids: Collection[str]) -> None:
        await asyncio.to_thread(_remove_others, self._builds, set(image_ids))

    async def build_log_size(self, image_id: str) -> int:
        return await asyncio.to_thread(lambda: self._folder(image_id).log_size)

    async def read_build_log(self, image_id: str, offset: int, limit: int) -> bytes:
        return await asyncio.to_thread(read_piece, self._folder(image_id).log, offset, limit)

    async def door(self, image_id: str) -> ClusterDoor:
        folder = self._folder(image_id)
        plan = await asyncio.to_thread(lambda: folder.plan)
        if plan is None:
            raise NotFound("This build is not under way.")
        return ClusterDoor(folder, plan, self._limits, self._registry)

    def _folder(self, image_id: str) -> BuildFolder:
        return BuildFolder(self._builds / label_value(image_id))

    def _repository(self, spec: BuildSpec) -> str:
        return f"{self._prefix}{owner_folder(spec.owner)}/{spec.name}"

    def _copies(self, image_id: str) -> str:
        """Where images of other registries lie while a build needs them."""
        return f"{self._registered}for-builds/{label_value(image_id)}"

    def _path(self, kind: str, name: str = "") -> str:
        return path_of(self._settings.build_namespace, kind, name, api=BATCH if kind == "jobs" else CORE)


class _Patience:
    """How long something hopeless is looked at: a registry or a node may come back."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._since = seconds, 0.0

    def ended(self, seen: View) -> bool:
        if not seen.hopeless:
            self._since = 0.0
            return False
        self._since = self._since or time.monotonic()
        return time.monotonic() - self._since > self._seconds


def _labels(spec: BuildSpec, parent: Below | None) -> dict[str, str]:
    base = {f"{_OCI}base.name": parent.name} if parent else {}
    return {
        TITLE: spec.name,
        VERSION: spec.tag,
        f"{_OCI}description": spec.description,
        f"{_OCI}authors": spec.owner,
        IMAGE_LABEL: spec.image_id,
        **base,
    }


def _remove_others(builds: Path, image_ids: set[str]) -> None:
    kept = {label_value(image_id) for image_id in image_ids}
    for folder in builds.glob("*"):
        if folder.name not in kept:
            BuildFolder(folder).remove()

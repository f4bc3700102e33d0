"""Images of the Kubernetes back end: they lie in a registry, and the node agents write to it."""

import asyncio
import json
import platform
import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from hashlib import sha256

from jupyter_mlplat.agent.messages import Progress, SaveRequest
from jupyter_mlplat.backends.base import Checkpoint
from jupyter_mlplat.backends.imaging import (
    Contents,
    ImageBackend,
    PresetImage,
    Preview,
    RegisteredImage,
    RegistersImages,
    RegisterSpec,
    SavedImage,
    SaveSpec,
)
from jupyter_mlplat.backends.kubernetes import catalog, names
from jupyter_mlplat.backends.kubernetes.agent import Agents
from jupyter_mlplat.backends.kubernetes.catalog import Preset, Reference
from jupyter_mlplat.backends.kubernetes.client import Cluster, Json, path_of
from jupyter_mlplat.backends.kubernetes.registry_image import (
    ARCHITECTURES,
    MACHINES,
    RegistryImage,
    architectures_of,
    blobs_of,
    check_usable,
    packages_of,
)
from jupyter_mlplat.backends.kubernetes.settings import KubernetesSettings
from jupyter_mlplat.errors import Conflict, InvalidInput, NotFound
from jupyter_mlplat.images.models import ImagePath
from jupyter_mlplat.oci.child import choose_platform
from jupyter_mlplat.oci.manifest import Manifest
from jupyter_mlplat.oci.registry import Document, Registry
from jupyter_mlplat.oci.registry_access import RegistryAccess

IMAGE_LABEL = "mlplat.image.id"
"""Only what the platform has saved itself carries it; but for registered images only that is ever removed."""

PLAIN = "http://"
_NAME = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")
_OCI = "org.opencontainers.image."


class KubernetesImages(ImageBackend, RegistersImages):
    """Presets of `settings.images`; saved ones below the prefix of `settings.registry`."""

    def __init__(self, cluster: Cluster, settings: KubernetesSettings, agents: Agents | None = None) -> None:
        self._cluster = cluster
        self._settings = settings
        self._agents = agents or Agents(cluster, settings)
        address, _, prefix = settings.registry.partition("/")
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        password = settings.registry_password.get_secret_value()
        access = RegistryAccess(
            address, settings.registry_insecure, settings.registry_ca, settings.registry_user, password
        )
        self._registry = Registry(access)
        self._registered = f"{self._prefix}registered/"
        self.sources = [entry.removeprefix(PLAIN) for entry in settings.registries]
        self._presets = catalog.load(settings.images)
        self._places: dict[str, str] = {}
        self._saving: set[str] = set()

    async def close(self) -> None:
        """Give the connections back."""
        await self._registry.close()

    async def presets(self) -> list[PresetImage]:
        return list(await asyncio.gather(*map(self._describe, self._presets)))

    async def _describe(self, preset: Preset) -> PresetImage:
        here = self._here(preset)
        digest = await self._registry.digest(here.repository, here.version)
        image = await self._image(here.repository, digest) if digest else None
        return PresetImage(
            name=preset.name,
            tag=preset.tag,
            description=preset.description,
            digest=digest,
            size=image.manifest.size if image else 0,
            architectures=image.architectures if image else (platform.machine(),),
            categories=preset.categories,
            default=preset.default,
            services=preset.services,
            retires_on=preset.retires_on,
            instead=preset.instead,
            reference=self._reference(here.repository, digest) if digest else "",
        )

    def _here(self, preset: Preset) -> Reference:
        """Where a preset is in our registry: where the catalogue says, or as our copy of what is elsewhere."""
        ours = self._registry.access.address
        if preset.reference.host == ours:
            return preset.reference
        tag = re.sub(r"[^A-Za-z0-9_.-]", "-", preset.tag)
        return Reference(ours, f"{self._prefix}{preset.name}", tag)

    def _reference(self, repository: str, digest: str) -> str:
        self._places[digest] = repository
        return f"{self._registry.access.address}/{repository}@{digest}"

    async def prepare(self, digest_or_name: str) -> AsyncGenerator[Checkpoint, None]:
        """A digest needs nothing: nodes pull it. A preset is copied into our registry and looked at."""
        if digest_or_name.startswith("sha256:"):
            return
        preset = catalog.find(self._presets, digest_or_name)
        here = self._here(preset)
        digest = await self._registry.digest(here.repository, here.version)
        if digest is None:
            if preset.reference == here:
                raise NotFound(f"The registry does not have {here}. Push it there, or correct the catalogue of images.")
            async with aclosing(self._fetch(preset.reference, here, insecure=preset.insecure)) as steps:
                async for step in steps:
                    yield step
            digest = await self._registry.digest(here.repository, here.version)
        check_usable(preset.ref, await self._image(here.repository, digest or ""))

    def check_source(self, source: str) -> None:
        host = Reference.parse(source).host
        if host not in self.sources:
            allowed = ", ".join(self.sources)
            words = f"Images may be registered from {allowed} alone." if allowed else "No registry is allowed for that."
            raise InvalidInput(f"{host} is not allowed. {words} Ask an administrator to allow it (setting registries).")

    async def register(self, spec: RegisterSpec) -> AsyncGenerator[Checkpoint | RegisteredImage, None]:
        self.check_source(spec.source)
        there = Reference.parse(spec.source)
        repository = f"{self._registered}{owner_folder(spec.owner)}/{spec.name}"
        here = Reference(self._registry.access.address, repository, spec.tag)
        with self._held(repository):
            async with aclosing(
                self._fetch(there, here, insecure=f"{PLAIN}{there.host}" in self._settings.registries)
            ) as steps:
                async for step in steps:
                    yield step
            digest = await self._registry.digest(repository, spec.tag) or ""
            image = await self._image(repository, digest)
            try:
                check_usable(spec.source, image)
            except InvalidInput:
                await self._registry.delete_manifest(repository, digest)
                raise
            yield RegisteredImage(
                digest=digest,
                size=image.manifest.size,
                architectures=image.architectures,
                packages=packages_of(image),
                layers=image.layers,
                reference=self._reference(repository, digest),
            )

    async def _fetch(
        self, there: Reference, here: Reference, *, insecure: bool = False
    ) -> AsyncGenerator[Checkpoint, None]:
        """Copy an image from another registry, its manifest last."""
        source = Registry(RegistryAccess(there.host, insecure, self._settings.registry_ca))
        try:
            yield Checkpoint(f"Copying {there}")
            document = await source.manifest(there.repository, there.version)
            entries = document.parse()["manifests"] if document.is_index else []
            parts = [await source.manifest(there.repository, entry["digest"]) for entry in entries] or [document]
            blobs = {blob.digest: blob for part in parts for blob in blobs_of(Manifest.parse(part.data))}
            total, done = sum(blob.size for blob in blobs.values()), 0
            for blob in blobs.values():
                await self._registry.copy_blob(here.repository, blob, source, there.repository)
                done += blob.size
                yield Checkpoint(f"Copying {there}", done=done, total=total)
            for part in parts if entries else ():
                await self._put(here.repository, part.digest, part)
            await self._put(here.repository, here.version, document)
        finally:
            await source.close()

    async def _put(self, repository: str, version: str, document: Document) -> None:
        await self._registry.put_manifest(repository, version, document.media_type, document.data)

    async def _image(self, repository: str, version: str) -> RegistryImage:
        return (await self._seen(repository, version))[1]

    async def _seen(self, repository: str, version: str) -> tuple[Document, RegistryImage]:
        """An image, and the manifest of the one for our architecture."""
        top = document = await self._registry.manifest(repository, version)
        found = None
        if document.is_index:
            found = architectures_of(document.parse())
            wanted = ARCHITECTURES.get(platform.machine(), platform.machine())
            chosen = choose_platform(document.parse(), wanted)
            if chosen is None:
                raise Conflict(f"The image {repository} has nothing for the architecture {wanted}.")
            document = await self._registry.manifest(repository, chosen)
        manifest = Manifest.parse(document.data)
        config = json.loads(await self._registry.blob(repository, manifest.config.digest))
        self._places[top.digest] = repository
        named = found or (str(config.get("architecture", "")),)
        image = RegistryImage(top.digest, manifest, config, tuple(MACHINES.get(each, each) for each in named))
        return document, image

    async def preview(self, spec: SaveSpec) -> Preview:
        pod = await self._pod(spec)
        seen = await self._agents.preview(pod["spec"]["nodeName"], save_request(spec, pod, self._prefix))
        return Preview(
            files=seen.files,
            size=seen.size,
            removed=seen.removed,
            packages=seen.packages,
            folders=seen.folders,
            left_out=tuple(ImagePath(path=each.path, reason=each.reason) for each in seen.left_out),
            left_out_count=seen.left_out_count,
        )

    async def save(self, spec: SaveSpec) -> AsyncGenerator[Checkpoint | SavedImage, None]:
        pod = await self._pod(spec)
        request = save_request(spec, pod, self._prefix)
        with self._held(request.repository):
            async with aclosing(self._agents.save(pod["spec"]["nodeName"], request)) as answers:
                async for answer in answers:
                    if isinstance(answer, Progress):
                        yield Checkpoint(answer.message, done=answer.done, total=answer.total)
                        continue
                    if answer.left_out_count:
                        shown = [each.path for each in answer.left_out]
                        yield Checkpoint(left_out_words(shown, answer.left_out_count), event="LeftOut")
                    image = await self._image(request.repository, answer.digest)
                    yield SavedImage(
                        digest=answer.digest,
                        parent_digest=answer.parent_digest,
                        size=answer.size,
                        added=answer.added,
                        packages=answer.packages,
                        layers=image.layers,
                        reference=self._reference(request.repository, answer.digest),
                    )

    @contextmanager
    def _held(self, repository: str) -> Iterator[None]:
        """Keeps `collect` away from a repository while an image there is being made known."""
        self._saving.add(repository)
        try:
            yield
        finally:
            self._saving.discard(repository)

    async def _pod(self, spec: SaveSpec) -> Json:
        name = names.pod_name(spec.instance.instance_id)
        try:
            return await self._cluster.get(path_of(self._settings.namespace, "pods", name))
        except NotFound as error:
            raise Conflict("The instance's pod is gone. Start the instance, then save again.") from error

    async def contents(self, digest: str) -> Contents:
        repository = self._places.get(digest) or await self._search(digest)
        image = await self._image(repository, digest)
        return Contents(packages_of(image), image.layers)

    async def _search(self, digest: str) -> str:
        """The repository that has an image which this process has not seen yet."""
        await self.presets()
        if digest in self._places:
            return self._places[digest]
        for repository in await self._repositories():
            if await self._registry.digest(repository, digest) == digest:
                self._places[digest] = repository
                return repository
        raise NotFound(f"The image {digest} is not in the registry any more. Choose another image.")

    async def _repositories(self) -> list[str]:
        return [name for name in await self._registry.repositories() if name.startswith(self._prefix)]

    async def collect(self, keep: set[str]) -> int:
        """Remove saved images that nobody keeps. The registry gives the space back at its own garbage collection."""
        freed = 0
        for repository in await self._repositories():
            if repository not in self._saving:
                freed += await self._collect_repository(repository, keep)
        return freed

    async def _collect_repository(self, repository: str, keep: set[str]) -> int:
        found = {tag: await self._registry.digest(repository, tag) for tag in await self._registry.tags(repository)}
        kept = {digest for digest in found.values() if digest in keep}
        needed = {
            blob.digest for digest in kept if digest for blob in (await self._image(repository, digest)).manifest.layers
        }
        freed = 0
        for digest in {digest for digest in found.values() if digest and digest not in keep}:
            image = await self._image(repository, digest)
            ours = IMAGE_LABEL in image.labels or repository.startswith(self._registered)
            if ours and repository not in self._saving:
                await self._registry.delete_manifest(repository, digest)
                freed += sum(layer.size for layer in image.manifest.layers if layer.digest not in needed)
        return freed


def save_request(spec: SaveSpec, pod: Json, prefix: str) -> SaveRequest:
    """What to ask the agent for. Conflict where the pod cannot be saved now. Pure."""
    statuses: list[Json] = pod["status"].get("containerStatuses", [])
    running = [each for each in statuses if each["name"] == names.NOTEBOOK and "running" in each.get("state", {})]
    if not running:
        raise Conflict("The instance does not run. Start it, then save again.")
    instance = spec.instance
    return SaveRequest(
        namespace=pod["metadata"]["namespace"],
        pod=pod["metadata"]["name"],
        pod_uid=pod["metadata"]["uid"],
        container=names.NOTEBOOK,
        container_id=running[0]["containerID"].partition("://")[2],
        parent=instance.image_reference,
        repository=f"{prefix}{owner_folder(instance.owner)}/{spec.name}",
        tag=spec.tag,
        author=spec.author,
        exclude=spec.exclude,
        step=f"{spec.name}:{spec.tag}, saved from {instance.name}",
        labels={
            f"{_OCI}title": spec.name,
            f"{_OCI}version": spec.tag,
            f"{_OCI}description": spec.description,
            f"{_OCI}authors": spec.author,
            f"{_OCI}base.name": instance.image_name,
            IMAGE_LABEL: spec.image_id,
            "mlplat.instance.id": instance.instance_id,
            "mlplat.instance.name": instance.name,
        },
    )


def owner_folder(owner: str) -> str:
    """A part of a repository's name for a user; no two users share one."""
    if _NAME.fullmatch(owner) and len(owner) <= 60:
        return owner
    kept = re.sub(r"[^a-z0-9]+", "-", owner.lower()).strip("-")[:40].strip("-")
    digest = sha256(owner.encode()).hexdigest()[:12]
    return f"{kept}-{digest}" if kept else digest


def left_out_words(paths: list[str], count: int) -> str:
    """What stayed behind, in a sentence."""
    shown = ", ".join(paths[:3])
    more = f" and {count - 3} more" if count > 3 else ""
    return f"Left out of the image (mounts, secrets, sessions): {shown}{more}"

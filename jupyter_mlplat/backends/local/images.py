"""Images of the local back end: an OCI image layout below `DATA/images`."""

import asyncio
import json
import re
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from jupyter_mlplat.backends.base import Checkpoint
from jupyter_mlplat.backends.imaging import Contents, ImageBackend, PresetImage, Preview, SavedImage, SaveSpec
from jupyter_mlplat.backends.local import presets as catalog
from jupyter_mlplat.backends.local.environments import Environments, in_thread
from jupyter_mlplat.backends.local.presets import Preset
from jupyter_mlplat.backends.local.saving import PACKAGES_LABEL, Recipe, Written
from jupyter_mlplat.core.clock import now
from jupyter_mlplat.environments.interpreter import MACHINE
from jupyter_mlplat.errors import BackendFailure
from jupyter_mlplat.images.models import Folder, ImagePath, Layer, Package
from jupyter_mlplat.oci.layout import Ingest
from jupyter_mlplat.oci.manifest import Descriptor

_OURSELVES = "jupyter-mlplat"


class LocalImages(ImageBackend):
    """Presets are built on first need; `presets` replaces the catalogue that comes with the package."""

    def __init__(self, data_dir: Path, environments: Environments, presets: Sequence[Preset] | None = None) -> None:
        self._instances = data_dir / "instances"
        self._builds = data_dir / "trees"
        self._environments = environments
        self._layout = environments.layout
        given = catalog.load(catalog.catalog_folder()) if presets is None else presets
        self._presets = catalog.of_this_machine(given)
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def presets(self) -> list[PresetImage]:
        return await in_thread(lambda: [self._describe(preset) for preset in self._presets])

    def _describe(self, preset: Preset) -> PresetImage:
        digest = self._layout.find(preset.ref)
        return PresetImage(
            name=preset.name,
            tag=preset.tag,
            description=preset.description,
            digest=digest,
            size=self._layout.manifest(digest).size if digest else 0,
            architectures=(MACHINE,),
            categories=preset.categories,
            default=preset.default,
            services=preset.services,
            retires_on=preset.retires_on,
            instead=preset.instead,
        )

    async def prepare(self, digest_or_name: str) -> AsyncGenerator[Checkpoint, None]:
        if digest_or_name.startswith("sha256:"):
            digest: str | None = digest_or_name
        else:
            preset = catalog.find(self._presets, digest_or_name)
            async with self._locks[preset.ref]:
                digest = await in_thread(lambda: self._layout.find(preset.ref))
                if digest is None:
                    async with aclosing(self._build(preset)) as checkpoints:
                        async for checkpoint in checkpoints:
                            yield checkpoint
                    digest = await in_thread(lambda: self._layout.find(preset.ref))
        if digest is not None:
            async with aclosing(self._environments.unpack(digest)) as checkpoints:
                async for checkpoint in checkpoints:
                    yield checkpoint

    async def _build(self, preset: Preset) -> AsyncGenerator[Checkpoint, None]:
        """Install what the preset says, write it to the store, and keep what was installed as the image's tree."""
        folder = self._builds / f"build-{preset.name}-{preset.tag}"
        await self._environments.remove(folder)
        try:
            yield Checkpoint(f"Building {preset.ref}")
            async with aclosing(catalog.build(preset, folder)) as lines:
                async for line in lines:
                    yield Checkpoint(line)
            async with aclosing(self._commit(preset, folder)) as checkpoints:
                async for checkpoint in checkpoints:
                    yield checkpoint
        finally:
            await self._environments.remove(folder)

    async def _commit(self, preset: Preset, folder: Path) -> AsyncGenerator[Checkpoint, None]:
        """Write what was built to the store; then it becomes the image's tree."""
        named = (preset.ref, preset.name, preset.tag, preset.description)
        recipe = Recipe(folder, None, *named, author=_OURSELVES, created=now())
        async with aclosing(self._write(recipe)) as steps:
            async for step in steps:
                if isinstance(step, Checkpoint):
                    yield step
                else:
                    await in_thread(partial(self._environments.trees.adopt, step.digest, folder))

    async def preview(self, spec: SaveSpec) -> Preview:
        recipe = _recipe(spec, self._instances / spec.instance.instance_id / "env")
        async with aclosing(self._environments.work("preview", recipe=recipe.to_json())) as steps:
            async for step in steps:
                if not isinstance(step, Checkpoint):
                    return _preview(step)
        raise BackendFailure("The preview broke off. Try again.")

    async def save(self, spec: SaveSpec) -> AsyncGenerator[Checkpoint | SavedImage, None]:
        recipe = _recipe(spec, self._instances / spec.instance.instance_id / "env")
        async with self._locks[spec.instance.instance_id], aclosing(self._write(recipe)) as steps:
            async for step in steps:
                if isinstance(step, Checkpoint):
                    yield step
                else:
                    packages = _packages(step.packages)
                    layers = await in_thread(partial(self._layers, step.digest))
                    yield SavedImage(step.digest, spec.instance.image_digest, step.size, step.added, packages, layers)

    async def _write(self, recipe: Recipe) -> AsyncGenerator[Checkpoint | Written, None]:
        """Progress, then the image, which is safe from `collect` until the caller goes on."""
        pins = [recipe.parent] if recipe.parent else []
        async with self._ingest(*pins) as ingest:
            work = self._environments.work("write", ingest=ingest.folder, recipe=recipe.to_json())
            async with aclosing(work) as steps:
                async for step in steps:
                    if isinstance(step, Checkpoint):
                        yield step
                    else:
                        written = Written.from_document(step)
            await self._list(ingest, written.descriptor, recipe.ref)
            yield written

    async def _list(self, ingest: Ingest, image: Descriptor, ref: str) -> None:
        """Commit the image. Broken off, it is taken back: nobody has heard of it."""
        try:
            await in_thread(lambda: ingest.commit(image, ref))
        except asyncio.CancelledError:
            await in_thread(lambda: self._layout.forget(ref, image.digest))
            raise

    @asynccontextmanager
    async def _ingest(self, *pins: str) -> AsyncIterator[Ingest]:
        manager = self._layout.ingest(*pins)
        ingest = await in_thread(manager.__enter__)
        try:
            yield ingest
        finally:
            await in_thread(lambda: manager.__exit__(None, None, None))

    async def contents(self, digest: str) -> Contents:
        return await in_thread(partial(self._contents, digest))

    def _contents(self, digest: str) -> Contents:
        listed = self._layout.config(self._layout.manifest(digest)).labels[PACKAGES_LABEL]
        return Contents(_packages(json.loads(listed)), self._layers(digest))

    def _layers(self, digest: str) -> tuple[Layer, ...]:
        manifest = self._layout.manifest(digest)
        steps = self._layout.config(manifest).history
        return tuple(
            Layer(digest=layer.digest, size=layer.size, step=step)
            for layer, step in zip(manifest.layers, steps, strict=True)
        )

    async def collect(self, keep: set[str]) -> int:
        return await in_thread(lambda: self._collect(keep))

    def _collect(self, keep: set[str]) -> int:
        """Presets stay in any case: they would only be built anew."""
        built = {digest for preset in self._presets if (digest := self._layout.find(preset.ref))}
        freed, staying = self._layout.collect(keep | built)
        return freed + self._environments.trees.collect(staying)


def _packages(listed: Iterable[tuple[str, str]]) -> tuple[Package, ...]:
    return tuple(Package(name=name, version=version) for name, version in listed)


def _preview(facts: dict[str, Any]) -> Preview:
    """What the worker has said, with what a save of this back end never looks at."""
    outside = ImagePath(path="work", reason="the work folder: your files stay with the instance")
    found = [ImagePath(path=path, reason=reason, size=size) for size, path, reason in facts["left_out"]]
    return Preview(
        files=facts["files"],
        size=facts["size"],
        removed=facts["removed"],
        packages=_packages(facts["packages"]),
        folders=tuple(Folder(path=path, size=size, files=files) for path, size, files in facts["folders"]),
        left_out=(outside, *found),
        left_out_count=facts["left_out_count"] + 1,
    )


def _recipe(spec: SaveSpec, environment: Path) -> Recipe:
    owner = re.sub(r"[^A-Za-z0-9._-]", "-", spec.author)
    return Recipe(
        environment=environment,
        parent=spec.instance.image_digest,
        ref=f"{owner}/{spec.name}:{spec.tag}",
        name=spec.name,
        tag=spec.tag,
        description=spec.description,
        author=spec.author,
        created=now(),
        exclude=spec.exclude,
        labels={
            "org.opencontainers.image.base.name": spec.instance.image_name,
            "mlplat.image.id": spec.image_id,
            "mlplat.instance.id": spec.instance.instance_id,
            "mlplat.instance.name": spec.instance.name,
        },
    )

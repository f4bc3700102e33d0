"""Images that are only told of, and fakes named for what fails in them."""

from collections.abc import AsyncGenerator, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace

from jupyter_mlplat.backends.base import Checkpoint
from jupyter_mlplat.backends.imaging import (
    BuildDoor,
    BuildsImages,
    BuildSpec,
    BuiltImage,
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
from jupyter_mlplat.backends.memory.world import World, digest_of
from jupyter_mlplat.errors import BackendFailure, InvalidInput, NoSpace, NotFound
from jupyter_mlplat.images.models import Folder, ImagePath, Layer, Package
from jupyter_mlplat.instances.models import StepName
from jupyter_mlplat.oci.left_out import EXCLUDED

LAYER_BYTES = 1000


class MemoryImages(ImageBackend, RegistersImages, BuildsImages):
    """Two presets that have to be built, and saves of what `world.installed` says."""

    edition: tuple[str, ...] = ()
    """What tells a preset that was made anew from the one before it."""

    def __init__(self, world: World | None = None) -> None:
        self.world = world or World()

    async def presets(self) -> list[PresetImage]:
        return [self._preset("python", "3.11", default=True), self._preset("pytorch", "2.8")]

    def _preset(self, name: str, tag: str, default: bool = False) -> PresetImage:
        full = f"{name}:{tag}"
        known = digest_of(full, *self.edition) if full in self.world.prepared else None
        ends, instead = self.world.retiring.get(full, (None, ""))
        facts = PresetImage(name, tag, f"{name} {tag}", known, LAYER_BYTES, ("x86_64",), ("CPU",), default)
        return replace(facts, retires_on=ends, instead=instead)

    async def prepare(self, digest_or_name: str) -> AsyncGenerator[Checkpoint, None]:
        names = {f"{preset.name}:{preset.tag}" for preset in await self.presets()}
        if digest_or_name not in names | self.world.blobs.keys():
            raise NotFound(f"There is no image {digest_or_name}. Choose another one.")
        yield Checkpoint(f"Building {digest_or_name}", event="BuildingImage", step=StepName.PREPARE_COMPUTE)
        if not digest_or_name.startswith("sha256:"):
            self.world.prepared.add(digest_or_name)
            self.world.blobs[digest_of(digest_or_name, *self.edition)] = [Package(name="pip", version="25.0")]
        await self.world.reach("image:prepared")

    sources = ("registry.test",)

    def check_source(self, source: str) -> None:
        if not source.startswith("registry.test/"):
            raise InvalidInput(f"{source} is not allowed. Images may be registered from registry.test alone.")

    async def register(self, spec: RegisterSpec) -> AsyncGenerator[Checkpoint | RegisteredImage, None]:
        digest = digest_of(spec.source)
        with self._pinned(digest):
            yield Checkpoint(f"Copying {spec.source}", done=LAYER_BYTES // 2, total=LAYER_BYTES)
            await self.world.reach("register:copied")
            if "without-jupyter" in spec.source:
                raise InvalidInput(f"The image {spec.source} cannot be used: it has no Jupyter.")
            packages = self.world.blobs[digest] = [Package(name="pip", version="25.0")]
            yield RegisteredImage(digest, LAYER_BYTES, ("x86_64",), tuple(packages), self._layers(digest), spec.source)

    no_builds = ""

    async def build(self, spec: BuildSpec) -> AsyncGenerator[Checkpoint | BuiltImage, None]:
        """The Containerfile's lines are its steps: `RUN pip install NAME==VERSION` installs, `RUN false` fails."""
        parent = spec.bases[0].digest if spec.bases else ""
        digest = digest_of(parent, spec.containerfile)
        with self._pinned(parent, digest):
            self.world.building.add(spec.image_id)
            yield Checkpoint("Starting the builder")
            packages = list(self.world.blobs.get(parent, []))
            for step in spec.containerfile.splitlines():
                await self._do(spec.image_id, step, packages)
                yield Checkpoint(step)
            if not parent:
                raise InvalidInput(f"The image {spec.name}:{spec.tag} cannot be used: it has no Jupyter.")
            self.world.blobs[digest] = packages
            self.world.parents[digest] = parent
            await self.world.reach("build:done")
            layers, found = self._layers(digest), tuple(packages)
            self.world.building.discard(spec.image_id)
            yield BuiltImage(digest, parent, 2 * LAYER_BYTES, LAYER_BYTES, ("x86_64",), found, layers, f"here@{digest}")

    async def _do(self, image_id: str, step: str, packages: list[Package]) -> None:
        await self.world.reach("build:step")
        log = self.world.build_logs.setdefault(image_id, [])
        if step not in log:
            log.append(step)
        if step == "RUN false":
            raise InvalidInput("The build failed at STEP 2/2: RUN false (exit code 1).")
        if step.startswith("RUN pip install "):
            name, _, version = step.removeprefix("RUN pip install ").partition("==")
            packages.append(Package(name=name, version=version))

    async def discard(self, image_id: str) -> None:
        await self.world.reach("build:discard")
        self.world.building.discard(image_id)

    async def keep_builds(self, image_ids: Collection[str]) -> None:
        self.world.build_logs = {key: log for key, log in self.world.build_logs.items() if key in image_ids}

    async def build_log_size(self, image_id: str) -> int:
        return len(await self.read_build_log(image_id, 0, 1 << 30))

    async def read_build_log(self, image_id: str, offset: int, limit: int) -> bytes:
        lines = self.world.build_logs.get(image_id, [])
        return "".join(f"{line}\n" for line in lines).encode()[offset : offset + limit]

    async def door(self, image_id: str) -> BuildDoor:
        raise NotFound(f"{image_id} is built in memory, without a pod.")

    async def preview(self, spec: SaveSpec) -> Preview:
        added = self._added(spec)
        work = ImagePath(path="work", reason="the work folder: your files stay with the instance")
        return Preview(
            files=len(added),
            size=LAYER_BYTES if added else 0,
            removed=0,
            packages=(*self.world.blobs.get(spec.instance.image_digest, []), *added),
            folders=tuple(Folder(path=package_folder(one), size=LAYER_BYTES // len(added), files=1) for one in added),
            left_out=(work, *(ImagePath(path=path, reason=EXCLUDED, size=LAYER_BYTES) for path in spec.exclude)),
            left_out_count=1 + len(spec.exclude),
        )

    def _added(self, spec: SaveSpec) -> list[Package]:
        """The packages that were installed, without those that are left out."""
        installed = self.world.installed.get(spec.instance.instance_id, [])
        return [one for one in installed if package_folder(one) not in spec.exclude]

    async def save(self, spec: SaveSpec) -> AsyncGenerator[Checkpoint | SavedImage, None]:
        parent = spec.instance.image_digest
        added = self._added(spec)
        digest = digest_of(parent, *(f"{one.name}=={one.version}" for one in added)) if added else parent
        with self._pinned(parent, digest):
            yield Checkpoint("Looking for changes")
            await self._write_layer(spec)
            total = LAYER_BYTES if added else 0
            yield Checkpoint("Writing the layer", done=total // 2, total=total)
            packages = [*self.world.blobs.get(parent, []), *added]
            self.world.blobs[digest] = packages
            if digest != parent:
                self.world.parents[digest] = parent
            self.world.blobs.pop(f"partial:{spec.image_id}", None)
            await self.world.reach("save:done")
            yield SavedImage(digest, parent, LAYER_BYTES + total, total, tuple(packages), self._layers(digest))

    @contextmanager
    def _pinned(self, *digests: str) -> Iterator[None]:
        """Keep images from being collected as long as a save uses them."""
        self.world.pinned |= set(digests)
        try:
            yield
        finally:
            self.world.pinned -= set(digests)

    async def _write_layer(self, spec: SaveSpec) -> None:
        self.world.blobs[f"partial:{spec.image_id}"] = []
        await self.world.reach("save:layer")

    async def contents(self, digest: str) -> Contents:
        if digest not in self.world.blobs:
            raise NotFound(f"There is no image {digest} any more. Choose another one.")
        return Contents(tuple(self.world.blobs[digest]), self._layers(digest))

    def _layers(self, digest: str) -> tuple[Layer, ...]:
        """As if each image had one layer on its parent's."""
        below = self.world.parents.get(digest)
        own = Layer(digest=digest_of("layer", digest), size=LAYER_BYTES, step="made in memory")
        return (*(self._layers(below) if below else ()), own)

    async def collect(self, keep: set[str]) -> int:
        needless = self.world.blobs.keys() - keep - self.world.pinned
        for digest in needless:
            del self.world.blobs[digest]
        return LAYER_BYTES * len(needless)


def package_folder(package: Package) -> str:
    """Where a package lies in an image."""
    return f"opt/mlplat/env/lib/python3.11/site-packages/{package.name}"


class PresetCannotBeBuilt(MemoryImages):
    async def prepare(self, digest_or_name: str) -> AsyncGenerator[Checkpoint, None]:
        yield Checkpoint(f"Building {digest_or_name}")
        raise NoSpace(f"The disk is full: {digest_or_name} could not be built. Free some space and try again.")


class SaveRunsOutOfDisk(MemoryImages):
    async def _write_layer(self, spec: SaveSpec) -> None:
        await super()._write_layer(spec)
        raise NoSpace("The disk is full: the image was not saved. Free some space and try again.")


class StoreIsAwayOnce(MemoryImages):
    away = True

    async def _write_layer(self, spec: SaveSpec) -> None:
        await super()._write_layer(spec)
        if self.away:
            self.away = False
            raise BackendFailure("The image store does not answer. Try again soon.")


class SaveHitsABug(MemoryImages):
    async def _write_layer(self, spec: SaveSpec) -> None:
        raise RuntimeError("a mistake of ours")

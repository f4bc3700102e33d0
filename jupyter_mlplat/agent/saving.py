"""Saves one container as an image: looks, writes layers, looks again, and lists the image last of all."""

import asyncio
import json
import platform
from collections import Counter
from collections.abc import AsyncGenerator, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from jupyter_mlplat.agent.journal import Journal, WrittenLayer
from jupyter_mlplat.agent.layers import LayerWriter, Meter
from jupyter_mlplat.agent.messages import Left, Previewed, Progress, Saved, SaveRequest, split_reference
from jupyter_mlplat.agent.packages import installed
from jupyter_mlplat.agent.runtime import Container, Runtime
from jupyter_mlplat.core.clock import now
from jupyter_mlplat.errors import Conflict, InvalidInput, NotAllowed
from jupyter_mlplat.images.models import Folder, Package
from jupyter_mlplat.oci.biggest import biggest
from jupyter_mlplat.oci.child import NewLayer, Note, child_config, child_manifest, choose_platform
from jupyter_mlplat.oci.layer import SourceChanged
from jupyter_mlplat.oci.left_out import LeftOut, Rules, nothing_there, readable
from jupyter_mlplat.oci.manifest import MANIFEST, Descriptor, Manifest, encode
from jupyter_mlplat.oci.merged import Merged
from jupyter_mlplat.oci.registry import Document, Registry
from jupyter_mlplat.oci.upper import Changes, Overlay, look

PACKAGES_LABEL = "mlplat.packages"
BASE_LABEL = "org.opencontainers.image.base.digest"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_PERIOD = 0.2
_BEAT = 5.0
"""Seconds after which progress is told that is none, so that both sides notice when the other is gone."""

_ATTEMPTS = 4
_QUIET_SECONDS = 0.5
_PATIENCE = 120
_SHOWN = 50

T = TypeVar("T")


@dataclass(frozen=True)
class _Parent:
    """The image that the container runs, as its own repository has it."""

    repository: str
    document: Document
    manifest: Manifest
    config: bytes


@dataclass
class Saver:
    """`prefix` begins the names of all repositories that may be written to."""

    runtime: Runtime
    registry: Registry
    journal: Journal
    prefix: str
    parallel: int
    more_left_out: list[str]

    def save(self, request: SaveRequest) -> AsyncGenerator[Progress | Saved, None]:
        """Progress, then the image. Broken off, nothing is listed, and what was uploaded is there for another try."""
        meter = Meter("Looking for changed files")
        return _watched(self._save(request, meter), meter)

    def preview(self, request: SaveRequest) -> AsyncGenerator[Progress | Previewed, None]:
        """Progress, then what a save would write now."""
        return _watched(self._preview(request), Meter("Looking for changed files"))

    async def _preview(self, request: SaveRequest) -> Previewed:
        self._check(request)
        container = await self.runtime.find(request)
        changes = await _look(container, await self._rules(container, request))
        packages = await asyncio.to_thread(installed, container.overlay, request.environment, request.exclude)
        files = changes.files()
        folders = (Folder(path=readable(path), size=size, files=count) for path, size, count in biggest(files))
        return Previewed(
            files=len(files),
            size=changes.size,
            removed=changes.removed,
            packages=packages,
            folders=tuple(folders),
            left_out=_shown(changes.left_out),
            left_out_count=len(changes.left_out),
        )

    async def _rules(self, container: Container, request: SaveRequest) -> Rules:
        """InvalidInput for an excluded path that neither the container nor its image has."""
        await asyncio.to_thread(_check_excluded, container.overlay, request.exclude)
        return Rules(container.mounts, self.more_left_out, request.exclude)

    async def _save(self, request: SaveRequest, meter: Meter) -> Saved:
        self._check(request)
        container = await self.runtime.find(request)
        parent = await self._parent(request, container)
        rules = await self._rules(container, request)
        mounting = asyncio.create_task(self._mount(parent, request.repository))
        try:
            writer = LayerWriter(
                self.registry, self.journal, request.repository, container.overlay.upper, self.parallel, meter
            )
            layers, changes = await self._still(writer, container, rules, request.environment)
            packages = await asyncio.to_thread(installed, container.overlay, request.environment, request.exclude)
            await mounting
        finally:
            mounting.cancel()
            await asyncio.gather(mounting, return_exceptions=True)
        meter.message = "Listing the image"
        return await self._list(request, parent, layers, packages, changes.left_out)

    def _check(self, request: SaveRequest) -> None:
        registry = split_reference(request.parent)[0]
        if registry != self.registry.access.address:
            raise NotAllowed(f"The image is in the registry {registry}, not in {self.registry.access.address}.")
        if not request.repository.startswith(self.prefix):
            raise NotAllowed(f"Images may be saved below {self.prefix} only, not to {request.repository}.")

    async def _parent(self, request: SaveRequest, container: Container) -> _Parent:
        _, repository, digest = split_reference(request.parent)
        if container.image_digest != digest:
            raise Conflict("The container runs another image than the instance should. Restart the instance.")
        document = await self.registry.manifest(repository, digest)
        if document.is_index:
            chosen = choose_platform(document.parse(), _ARCHITECTURES.get(platform.machine(), platform.machine()))
            if chosen is None:
                raise Conflict(f"The image has nothing for this node's architecture ({platform.machine()}).")
            document = await self.registry.manifest(repository, chosen)
        manifest = Manifest.parse(document.data)
        return _Parent(repository, document, manifest, await self.registry.blob(repository, manifest.config.digest))

    async def _mount(self, parent: _Parent, repository: str) -> None:
        """Make the parent's layers part of the new repository; nothing is copied inside one registry."""
        if parent.repository != repository:
            copies = (self._copy(blob, parent.repository, repository) for blob in parent.manifest.layers)
            await asyncio.gather(*copies)

    async def _copy(self, blob: Descriptor, source: str, repository: str) -> None:
        await self.registry.copy_blob(repository, blob, self.registry, source)

    async def _still(
        self, writer: LayerWriter, container: Container, rules: Rules, environment: str
    ) -> tuple[list[WrittenLayer], Changes]:
        """The layers of changes whose environment was the same before and after, however long a pip in it takes.

        Of other files each is whole in itself; they need not all be of the same moment.
        """
        changes = await _look(container, rules)
        for _ in range(_ATTEMPTS):
            writer.meter.message = "Writing changed files"
            again = asyncio.create_task(_look_again(writer.all_read, container, rules))
            try:
                layers = await writer.write(changes)
            except SourceChanged as change:
                changed = change.path
            else:
                changed = _difference(changes.state_of(environment), (await again).state_of(environment))
                if not changed:
                    return layers, changes
            finally:
                again.cancel()
            writer.meter.message = f"Waiting until the environment holds still ({changed} has changed)"
            changes = await _wait_until_still(container, rules, environment)
        raise Conflict(
            f"Files keep changing while they are saved ({changed}). Wait until what installs or writes there has "
            "finished, then save again."
        )

    async def _list(
        self,
        request: SaveRequest,
        parent: _Parent,
        layers: list[WrittenLayer],
        packages: tuple[Package, ...],
        left_out: tuple[LeftOut, ...],
    ) -> Saved:
        digest, size = await (self._child(request, parent, layers, packages) if layers else self._same(request, parent))
        return Saved(
            digest=digest,
            parent_digest=split_reference(request.parent)[2],
            size=size,
            added=sum(layer.size for layer in layers),
            packages=packages,
            left_out=_shown(left_out),
            left_out_count=len(left_out),
        )

    async def _child(
        self, request: SaveRequest, parent: _Parent, layers: list[WrittenLayer], packages: tuple[Package, ...]
    ) -> tuple[str, int]:
        listed = json.dumps([[package.name, package.version] for package in packages])
        labels = {**request.labels, PACKAGES_LABEL: listed, BASE_LABEL: split_reference(request.parent)[2]}
        added = [NewLayer(layer.digest, layer.diff_id, layer.size) for layer in layers]
        config = child_config(parent.config, added, labels, Note(request.author, now(), request.step))
        manifest = child_manifest(parent.manifest, config, added)
        await self.registry.put_blob(request.repository, config)
        data = encode(manifest.document())
        return await self.registry.put_manifest(request.repository, request.tag, MANIFEST, data), manifest.size

    async def _same(self, request: SaveRequest, parent: _Parent) -> tuple[str, int]:
        """Nothing has changed: the parent under the new name as well. Its digest is the one that the instance runs."""
        digest = split_reference(request.parent)[2]
        if parent.document.digest != digest:
            return await self._child(request, parent, [], ())
        await self._copy(parent.manifest.config, parent.repository, request.repository)
        document = parent.document
        await self.registry.put_manifest(request.repository, request.tag, document.media_type, document.data)
        return digest, parent.manifest.size


async def _look(container: Container, rules: Rules) -> Changes:
    """The changes as they are now; looked for again where folders vanish meanwhile."""
    for _ in range(_PATIENCE):
        try:
            return await asyncio.to_thread(look, container.overlay, rules)
        except SourceChanged:
            await asyncio.sleep(_QUIET_SECONDS)
        except FileNotFoundError as error:
            raise Conflict("The instance's container is gone. Start the instance, then save again.") from error
    raise Conflict("Folders keep vanishing while the instance is saved. Wait until that has finished, then save again.")


async def _look_again(all_read: asyncio.Event, container: Container, rules: Rules) -> Changes:
    """The changes as they are once all files have been read, while the last of them are still being sent."""
    await all_read.wait()
    return await _look(container, rules)


async def _wait_until_still(container: Container, rules: Rules, environment: str) -> Changes:
    """Two looks that agree on the environment, or the last one when patience ends."""
    before = await _look(container, rules)
    for _ in range(_PATIENCE):
        await asyncio.sleep(_QUIET_SECONDS)
        after = await _look(container, rules)
        if not _difference(before.state_of(environment), after.state_of(environment)):
            return after
        before = after
    return before


def _check_excluded(overlay: Overlay, excluded: Iterable[str]) -> None:
    below, user = overlay.lowers, overlay.user_xattrs
    with Merged((overlay.upper, *below), user_xattrs=user) as now, Merged(below, user_xattrs=user) as before:
        for path in (each.strip("/") for each in excluded):
            if not before.stat(path):
                if not now.stat(path):
                    raise nothing_there(path)
            elif folder := now.hidden_by(path):
                raise InvalidInput(
                    f"{readable(path)} cannot be left out alone: {readable(folder)}, in which it lies, was removed or "
                    f"replaced. Leave out {readable(folder)}."
                )


def _difference(before: dict[str, tuple[int, ...]], after: dict[str, tuple[int, ...]]) -> str:
    """One path that is not the same in both; empty where all are."""
    if before == after:
        return ""
    return next(path for path in sorted({**before, **after}) if before.get(path) != after.get(path))


def _shown(left_out: tuple[LeftOut, ...]) -> tuple[Left, ...]:
    """Some of what stayed behind: secrets first, mounts last."""
    reasons = Counter(each.reason for each in left_out)
    ordered = sorted(left_out, key=lambda each: (reasons[each.reason] > _SHOWN, each.reason.startswith("a mount")))
    return tuple(Left(path=readable(each.path), reason=each.reason) for each in ordered[:_SHOWN])


async def _watched(doing: Coroutine[Any, Any, T], meter: Meter) -> AsyncGenerator[Progress | T, None]:
    """What the meter says, then what came of the work; who breaks this off ends the work."""
    work = asyncio.create_task(doing)
    told, silent = (-1, 0, ""), 0.0
    try:
        while not work.done():
            state = (meter.done, meter.total, meter.message)
            if state != told or silent >= _BEAT:
                told, silent = state, 0.0
                yield Progress(message=meter.message, done=meter.done, total=meter.total)
            await asyncio.wait([work], timeout=_PERIOD)
            silent += _PERIOD
        yield await work
    finally:
        meter.cancelled.set()
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)

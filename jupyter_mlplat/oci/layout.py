"""An OCI image layout on disk: `oci-layout`, `index.json`, `blobs/sha256/`, and `ingest/` for what is being written.

Blobs never change. Whatever is new is written below `ingest/`, where its writer holds a lock that ends with the
writer, and moves to `blobs/` together with its line in `index.json`, under the lock of the layout. So a writer that is
killed leaves nothing that anybody lists, and `collect` can tell the leftovers from work under way.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

from jupyter_mlplat.core.files import write_atomically
from jupyter_mlplat.errors import NotFound
from jupyter_mlplat.oci.disk import locked, no_space_in_words, sync_folder, try_lock
from jupyter_mlplat.oci.manifest import (
    INDEX,
    REF_NAME,
    Descriptor,
    ImageConfig,
    Manifest,
    digest_of,
    encode,
    hex_of,
)

_PINS = "pins.json"


class Ingest:
    """The blobs of one image under way, in a folder of their own. Made by `Layout.ingest`."""

    def __init__(self, layout: "Layout", folder: Path) -> None:
        self._layout = layout
        self._folder = folder

    @property
    def folder(self) -> Path:
        """Where the blobs lie until they are committed; another process may write there too."""
        return self._folder

    @contextmanager
    def file(self) -> Iterator[BinaryIO]:
        """A file to write a blob into; its `name` is what `add_file` wants. Gone where the writing fails."""
        partial = self._folder / f"{uuid4().hex}.partial"
        try:
            with partial.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            partial.unlink(missing_ok=True)
            raise

    def add_file(self, path: Path, descriptor: Descriptor) -> Descriptor:
        """Take a file that `file` gave and that is complete."""
        path.rename(self._folder / hex_of(descriptor.digest))
        return descriptor

    def add_document(self, media_type: str, document: dict[str, Any]) -> Descriptor:
        data = encode(document)
        descriptor = Descriptor(media_type, digest_of(data), len(data))
        write_atomically(self._folder / hex_of(descriptor.digest), data)
        return descriptor

    def pin(self, *digests: str) -> None:
        """Keep these manifests, and all that they need, from being collected until the ingest ends."""
        write_atomically(self._folder / _PINS, json.dumps(sorted({*_pins(self._folder), *digests})).encode())

    def commit(self, manifest: Descriptor, ref: str) -> None:
        """List the image as `ref`, in place of an older one of that name. It stays pinned until the ingest ends."""
        self.pin(manifest.digest)
        with locked(self._layout.lock):
            for blob in self._folder.iterdir():
                if len(blob.name) == 64:
                    blob.rename(self._layout.blobs / blob.name)
            sync_folder(self._layout.blobs)
            entry = replace(manifest, annotations={**manifest.annotations, REF_NAME: ref})
            others = [each for each in self._layout.entries() if each.annotations.get(REF_NAME) != ref]
            self._layout.write_index([*others, entry])


class Layout:
    """The image store below `root`, shared by threads and processes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.blobs = root / "blobs" / "sha256"
        self.lock = root / ".lock"
        self._ingests = root / "ingest"
        self.blobs.mkdir(parents=True, exist_ok=True)
        self._ingests.mkdir(exist_ok=True)
        with locked(self.lock):
            if not (root / "index.json").exists():
                self.write_index([])
                write_atomically(root / "oci-layout", encode({"imageLayoutVersion": "1.0.0"}))

    def entries(self) -> list[Descriptor]:
        """The manifests listed in `index.json`."""
        document = json.loads((self.root / "index.json").read_bytes())
        return [Descriptor.parse(entry) for entry in document["manifests"]]

    def find(self, ref: str) -> str | None:
        """The digest of the image listed as `ref`, where its manifest is there."""
        found = [entry.digest for entry in self.entries() if entry.annotations.get(REF_NAME) == ref]
        return found[0] if found and self.has(found[0]) else None

    def has(self, digest: str) -> bool:
        return self.blob(digest).exists()

    def blob(self, digest: str) -> Path:
        return self.blobs / hex_of(digest)

    def manifest(self, digest: str) -> Manifest:
        return Manifest.parse(self._read(digest))

    def config(self, manifest: Manifest) -> ImageConfig:
        return ImageConfig.parse(self._read(manifest.config.digest))

    def _read(self, digest: str) -> bytes:
        try:
            return self.blob(digest).read_bytes()
        except FileNotFoundError as error:
            message = f"The image {digest} is not in the image store any more. Choose another image."
            raise NotFound(message) from error

    @contextmanager
    def ingest(self, *pins: str) -> Iterator[Ingest]:
        """A place for the blobs of one new image; what is not committed is removed at the end.

        Until the end `pins`, which are manifests, and what has been committed are safe from `collect`.
        """
        folder = self._ingests / uuid4().hex
        with locked(self.lock), no_space_in_words("no image can be saved"):
            folder.mkdir()
            held = try_lock(folder)
        try:
            ingest = Ingest(self, folder)
            ingest.pin(*pins)
            yield ingest
        finally:
            with locked(self.lock):
                shutil.rmtree(folder, ignore_errors=True)
                if held is not None:
                    os.close(held)

    def write_index(self, entries: list[Descriptor]) -> None:
        """Replace `index.json`; the caller holds the lock."""
        manifests = [entry.document() for entry in entries]
        document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
        write_atomically(self.root / "index.json", encode(document))
        sync_folder(self.root)

    def forget(self, ref: str, digest: str) -> None:
        """List the image `digest` no more as `ref`; its blobs go when they are collected."""
        with locked(self.lock):
            entries = self.entries()
            others = [each for each in entries if (each.annotations.get(REF_NAME), each.digest) != (ref, digest)]
            if len(others) < len(entries):
                self.write_index(others)

    def collect(self, keep: set[str]) -> tuple[int, set[str]]:
        """Remove every blob that neither a manifest in `keep` nor an ingest under way needs.

        Returns the bytes given back and the manifests that stay. Digests that are not there are passed over.
        """
        with locked(self.lock):
            freed = self._clear_stale_ingests()
            staying = {digest for digest in keep | self._pinned() if self.has(digest)}
            entries = self.entries()
            listed = [entry for entry in entries if entry.digest in staying]
            if len(listed) < len(entries):
                self.write_index(listed)
            needed = {hex_of(blob) for digest in staying for blob in self._reachable(digest)}
            for blob in self.blobs.iterdir():
                if blob.name not in needed:
                    freed += blob.stat().st_size
                    blob.unlink()
        return freed, staying

    def _reachable(self, digest: str) -> Iterator[str]:
        manifest = self.manifest(digest)
        yield digest
        yield manifest.config.digest
        yield from (layer.digest for layer in manifest.layers)

    def _pinned(self) -> set[str]:
        return {digest for folder in self._ingests.iterdir() for digest in _pins(folder)}

    def _clear_stale_ingests(self) -> int:
        freed = 0
        for folder in self._ingests.iterdir():
            held = try_lock(folder)
            if held is not None:
                freed += sum(file.stat().st_size for file in folder.iterdir())
                shutil.rmtree(folder)
                os.close(held)
        return freed


def _pins(folder: Path) -> list[str]:
    try:
        return list(json.loads((folder / _PINS).read_bytes()))
    except FileNotFoundError:
        return []

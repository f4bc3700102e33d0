"""Unpacked images below `trees/`: a cache of the image store, made once for all environments.

`trees/HEX/` appears whole or not at all:

    env/        the environment, tied to this machine's Python
    index.json  what lay in it when it was made
    compiled    there once all modules are compiled
    spare/      a copy of env/ that the next clone takes by renaming it
"""

import contextlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import uuid4

from jupyter_mlplat.backends.local.cloning import Damaged, check_shared, copy_environment, protect_shared
from jupyter_mlplat.backends.local.moving import PREFIX, settle
from jupyter_mlplat.backends.local.snapshot import ORIGIN, Snapshot, take
from jupyter_mlplat.environments import interpreter
from jupyter_mlplat.errors import AlreadyExists
from jupyter_mlplat.oci.apply import apply_layer
from jupyter_mlplat.oci.disk import locked, no_space_in_words, try_lock
from jupyter_mlplat.oci.layout import Layout
from jupyter_mlplat.oci.manifest import Descriptor, Manifest, hex_of

Progress = Callable[[int, int], None]
"""Told how many bytes of how many are done."""

COMPILED = "compiled"

_REMEMBERED = 20_000
"""How many names the remembered indexes may have together, at some 500 bytes each; the latest stays in any case."""


def _ignore(_done: int, _total: int) -> None:
    return


class Trees:
    """Blocking: callers on the event loop go through `Environments`. Safe between threads and processes."""

    def __init__(self, root: Path, layout: Layout) -> None:
        self._root = root
        self._layout = layout
        self._trash = root / ".trash"
        self._trash.mkdir(parents=True, exist_ok=True)
        self._indexes: dict[str, Snapshot] = {}

    @property
    def root(self) -> Path:
        return self._root

    def folder(self, digest: str) -> Path:
        return self._root / hex_of(digest)

    def environment(self, digest: str) -> Path:
        return self.folder(digest) / "env"

    def is_ready(self, digest: str) -> bool:
        return self.folder(digest).is_dir()

    def index(self, digest: str) -> Snapshot:
        """What the image's environment holds; the image is prepared."""
        if digest not in self._indexes:
            self._indexes[digest] = Snapshot.load(self.folder(digest) / "index.json")
            while len(self._indexes) > 1 and sum(len(each.entries) for each in self._indexes.values()) > _REMEMBERED:
                self._indexes.pop(next(iter(self._indexes)))
        return self._indexes[digest]

    def prepare(self, digest: str, progress: Progress = _ignore) -> None:
        """Unpack the image where it is not; whoever else wants it meanwhile waits.

        NotFound for an image that is not in the store, Conflict for one that does not fit this machine, NoSpace.
        """
        if self.is_ready(digest):
            return
        with locked(self._lock(digest)):
            if not self.is_ready(digest):
                self._unpack(digest, progress)

    def adopt(self, digest: str, built: Path) -> None:
        """Take the folder `built`, from which the image's only layer was written, as its tree."""
        with locked(self._lock(digest)):
            if not self.is_ready(digest):
                partial = self._partial(digest)
                partial.mkdir()
                built.rename(partial / "env")
                self._complete(digest, partial)

    def clone(self, digest: str, target: Path) -> None:
        """Make `target` an environment of its own, made from the image: whole or not at all.

        AlreadyExists where there is something already.
        """
        self.prepare(digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        for left in target.parent.glob(f".{target.name}.*.partial"):
            self.discard(left)
        try:
            self._clone(digest, target)
        except Damaged:
            self._replace(digest)
            self._clone(digest, target)

    def stock(self, digest: str) -> None:
        """Make the spare of a prepared image where there is none, one caller at a time. Copies the environment."""
        folder = self.folder(digest)
        partial = folder / "spare.partial"
        with locked(self._lock(digest), shared=True), contextlib.suppress(FileNotFoundError, Damaged):
            if not (folder / "spare").exists():
                self.discard(partial)
                self._copy(digest, partial)
                partial.rename(folder / "spare")

    def is_kept_up(self, digest: str) -> bool:
        """Whether the modules are compiled and a spare is there."""
        return all((self.folder(digest) / name).exists() for name in (COMPILED, "spare"))

    def discard(self, folder: Path) -> None:
        """Remove a folder: its name is free at once, its files go in the background."""
        moved = self._trash / uuid4().hex
        try:
            folder.rename(moved)
        except FileNotFoundError:
            return
        except OSError:
            # It lies in another file system.
            moved = folder.with_name(f".{folder.name}.{moved.name}.removed")
            folder.rename(moved)
        _remove_in_background(moved)

    def clean(self) -> None:
        """Remove, in the background, what killed processes have left: half-made trees, and what was to be removed."""
        for left in self._trash.iterdir():
            _remove_in_background(left)
        for partial in self._root.glob("*.partial"):
            held = self._try_lock(partial.stem)
            if held is not None:
                self.discard(partial)
                os.close(held)

    def collect(self, staying: set[str]) -> int:
        """Remove the trees of images that are not in `staying` and not in use; the bytes given back."""
        names = {hex_of(digest) for digest in staying}
        gone = [tree for tree in self._root.iterdir() if len(tree.name) == 64 and tree.name not in names]
        return sum(self._collect(tree) for tree in gone)

    def _collect(self, tree: Path) -> int:
        held = self._try_lock(tree.name)
        if held is None:
            return 0
        try:
            freed = sum(entry.size for entry in Snapshot.load(tree / "index.json").entries.values())
            self._indexes.pop(f"sha256:{tree.name}", None)
            self.discard(tree)
            return freed
        finally:
            os.close(held)

    def _clone(self, digest: str, target: Path) -> None:
        partial = target.with_name(f".{target.name}.{uuid4().hex}.partial")
        with locked(self._lock(digest), shared=True), no_space_in_words("the environment could not be made"):
            try:
                if not self.is_ready(digest):
                    raise Damaged(str(self.folder(digest)))
                check_shared(self.environment(digest), self.index(digest))
                if not _rename(self.folder(digest) / "spare", partial):
                    self._copy(digest, partial)
                settle(partial, target)
                _place(partial, target)
            finally:
                self.discard(partial)

    def _copy(self, digest: str, target: Path) -> None:
        copy_environment(self.environment(digest), self.index(digest), target)
        origin = {"image": digest, "made_at_ns": time.time_ns()}
        (target / ORIGIN).write_text(json.dumps(origin))

    def _replace(self, digest: str) -> None:
        """Unpack a damaged tree anew."""
        with locked(self._lock(digest)):
            self._indexes.pop(digest, None)
            self.discard(self.folder(digest))
            self._unpack(digest, _ignore)

    def _unpack(self, digest: str, progress: Progress) -> None:
        manifest = self._layout.manifest(digest)
        interpreter.check_fits(self._layout.config(manifest))
        partial = self._partial(digest)
        done = 0

        def read(count: int) -> None:
            nonlocal done
            done += count
            progress(done, total)

        try:
            partial.mkdir(parents=True)
            with no_space_in_words("the image could not be unpacked"):
                missing = self._begin(manifest, partial / "env")
                total = sum(layer.size for layer in missing)
                for layer in missing:
                    blob = self._layout.blob(layer.digest)
                    apply_layer(blob, layer.digest, partial / "env", prefix=PREFIX, read=read)
                self._complete(digest, partial)
        finally:
            self.discard(partial)

    def _begin(self, manifest: Manifest, target: Path) -> Sequence[Descriptor]:
        """Make `target` a copy of the prepared image with the most layers in common; the layers still missing in it."""
        for digest, shared in self._bases(manifest):
            try:
                with locked(self._lock(digest), shared=True):
                    if self.is_ready(digest):
                        check_shared(self.environment(digest), self.index(digest))
                        copy_environment(self.environment(digest), self.index(digest), target)
                        return manifest.layers[shared:]
            except Damaged:
                self.discard(target)
        target.mkdir()
        return manifest.layers

    def _bases(self, manifest: Manifest) -> list[tuple[str, int]]:
        """The prepared images on which this one stands, each with how many layers it has, nearest first."""
        found = {}
        for entry in self._layout.entries():
            if self.is_ready(entry.digest):
                layers = self._layout.manifest(entry.digest).layers
                if len(layers) < len(manifest.layers) and manifest.layers[: len(layers)] == layers:
                    found[entry.digest] = len(layers)
        return sorted(found.items(), key=lambda base: -base[1])

    def _complete(self, digest: str, partial: Path) -> None:
        """Make the folder `partial`, whose env/ holds the files, the tree of the image."""
        environment = partial / "env"
        interpreter.tie(environment)
        protect_shared(environment)
        take(environment).store(partial / "index.json")
        partial.rename(self.folder(digest))

    def _partial(self, digest: str) -> Path:
        """Where a tree is made. What a killed process has left there goes; the caller holds the lock."""
        partial = self._root / f"{hex_of(digest)}.partial"
        self.discard(partial)
        return partial

    def _try_lock(self, name: str) -> int | None:
        """See `try_lock`; `name` is the digest in hexadecimal."""
        lock = self._lock(f"sha256:{name}")
        lock.touch()
        return try_lock(lock)

    def _lock(self, digest: str) -> Path:
        return self._root / f"{hex_of(digest)}.lock"


def _remove_in_background(folder: Path) -> None:
    threading.Thread(target=shutil.rmtree, args=(folder, True), daemon=True).start()


def _rename(source: Path, target: Path) -> bool:
    try:
        source.rename(target)
    except OSError:
        # Somebody else was quicker, there was none, or it lies in another file system.
        return False
    return True


def _place(partial: Path, target: Path) -> None:
    try:
        partial.rename(target)
    except OSError as error:
        if not target.exists():
            raise
        raise AlreadyExists(f"There is an environment at {target} already. Remove it first.") from error


def origin_of(environment: Path) -> tuple[str | None, int]:
    """Which image an environment was made from and when, in ns since 1970; (None, 0) where it does not say."""
    try:
        origin = json.loads((environment / ORIGIN).read_bytes())
        return str(origin["image"]), int(origin["made_at_ns"])
    except (OSError, ValueError, LookupError, TypeError):
        return None, 0

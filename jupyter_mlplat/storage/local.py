"""The built-in endpoint: one folder an owner, whose first level are the buckets and whose paths are the keys."""

import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from urllib.parse import quote

from jupyter_mlplat.core.files import full_disk_in_words
from jupyter_mlplat.core.incoming import Received
from jupyter_mlplat.errors import AlreadyExists, Conflict, InUse, NotFound
from jupyter_mlplat.storage.keys import KEY_BYTES, Place
from jupyter_mlplat.storage.models import Listing, ObjectInfo
from jupyter_mlplat.storage.opened import OpenedFile

DEFAULT_BUCKET = "data"
_TRIES = 5
_PATH_BYTES = KEY_BYTES + 64
"""Of BUCKET/KEY: what a job put deeper than a key can be is not listed."""


class OwnersFolder:
    """The buckets and objects of one owner. Links in it are neither listed nor followed."""

    def __init__(self, storage: Path, owner: str) -> None:
        name = quote(owner, safe="@+ ")
        self.root = storage / ("%2E" + name[1:] if name.startswith(".") else name)
        self.incoming = storage / ".incoming"

    def buckets(self) -> list[str]:
        """The names in order. An owner who never looked before gets the bucket `data`."""
        self._begin()
        return sorted(entry.name for entry in self._entries(self.root) if entry.is_dir(follow_symlinks=False))

    def make_bucket(self, name: str) -> None:
        self._begin()
        try:
            with full_disk_in_words():
                (self.root / name).mkdir()
        except FileExistsError:
            raise AlreadyExists(f"There is a bucket {name} already. Choose another name.") from None

    def remove_bucket(self, name: str) -> None:
        """InUse while there is an object in it."""
        folder = self._bucket(name)
        if next(self._walk(folder, f"{name}/", f"{name}/", None, recursive=True), None) is not None:
            raise InUse(f"The bucket {name} is not empty. Delete what is in it first.")
        _prune_below(folder)
        try:
            folder.rmdir()
        except OSError:
            raise InUse(f"The bucket {name} is not empty. Delete what is in it first.") from None

    def list(self, prefix: str, *, recursive: bool, limit: int, marker: str | None) -> Listing:
        """A page of what begins with `prefix` (BUCKET/…; empty for the buckets), in the order of the keys.

        Unless `recursive`, what has a further / after the prefix is told as one common prefix.
        """
        self._begin()
        base = prefix.rpartition("/")[0]
        start = self.root
        if base:
            bucket, _, key = base.partition("/")
            start = self.path(Place(bucket, key))
        found = self._walk(start, f"{base}/" if base else "", prefix, marker, recursive=recursive)
        page = list(islice(found, limit + 1))
        return Listing(objects=page[:limit], next=page[limit - 1].key if len(page) > limit else None)

    def path(self, place: Place) -> Path:
        """Where an object or a folder is, or would be. NotFound: no such bucket; Conflict: a link on the way."""
        path = self._bucket(place.bucket)
        for part in place.key.split("/") if place.key else ():
            path /= part
            if path.is_symlink():
                raise Conflict(f"{place.bucket}/{place.key} leads over a link, which object storage does not follow.")
        return path

    def open(self, place: Place) -> OpenedFile:
        missing = f"There is no object {place.bucket}/{place.key}."
        try:
            return OpenedFile(self.path(place), missing)
        except Conflict:
            raise NotFound(missing) from None

    def put(self, place: Place, upload: Received) -> ObjectInfo:
        """Put an upload at its key, replacing what is there. Conflict where the key would be a folder and an object."""
        target = self.path(place)
        for _ in range(_TRIES):
            self._make_folders(target.parent, place)
            try:
                upload.place(target)
                break
            except IsADirectoryError:
                raise Conflict(f"{place.key} is a folder in {place.bucket}. Choose another name.") from None
            except FileNotFoundError:
                continue  # its folder was removed meanwhile, with the last object in it
        else:
            raise Conflict(f"The folder of {place.key} is being deleted. Try again.")
        return ObjectInfo(key=f"{place.bucket}/{place.key}", size=upload.size, modified_at=_modified(target.lstat()))

    def delete(self, place: Place) -> None:
        """NotFound where there is no such object; a folder is none."""
        missing = NotFound(f"There is no object {place.bucket}/{place.key}.")
        try:
            path = self.path(place)
        except Conflict:
            raise missing from None
        if not path.is_file():
            raise missing
        try:
            path.unlink()
        except FileNotFoundError:
            raise missing from None
        self._prune_upwards(path.parent, self.root / place.bucket)

    def delete_below(self, bucket: str, prefix: str) -> int:
        """Delete each object whose key begins with `prefix`; how many those were."""
        self._bucket(bucket)
        base = f"{bucket}/{prefix}".rpartition("/")[0]
        start = self.path(Place(bucket, prefix.rpartition("/")[0]))
        deleted = 0
        for found in self._walk(start, f"{base}/", f"{bucket}/{prefix}", None, recursive=True):
            with suppress(FileNotFoundError):
                (self.root / found.key).unlink()
                deleted += 1
        _prune_below(start)
        self._prune_upwards(start, self.root / bucket)
        return deleted

    def _begin(self) -> None:
        if not self.root.is_dir():
            with full_disk_in_words():
                (self.root / DEFAULT_BUCKET).mkdir(parents=True, exist_ok=True)

    def _bucket(self, name: str) -> Path:
        self._begin()
        folder = self.root / name
        if folder.is_symlink() or not folder.is_dir():
            raise NotFound(f"There is no bucket {name}. Make it first, or choose another.")
        return folder

    def _make_folders(self, folder: Path, place: Place) -> None:
        try:
            with full_disk_in_words():
                folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise Conflict(f"A part of {place.key} is an object in {place.bucket}. Choose another name.") from None

    def _prune_upwards(self, folder: Path, bucket: Path) -> None:
        """Remove folders that the deletion of an object left empty: a folder is only a part of keys."""
        with suppress(OSError):
            while folder != bucket and folder.is_relative_to(bucket):
                folder.rmdir()
                folder = folder.parent

    def _walk(
        self, folder: Path, base: str, prefix: str, marker: str | None, *, recursive: bool
    ) -> Iterator[ObjectInfo]:
        """What is below `folder`, whose keys begin with `base`, after `marker`. Folders sort as if ending with /."""
        entries = {_sort_name(entry): entry for entry in self._entries(folder)}
        for name in sorted(entries):
            key = base + name
            if len(key.encode()) > _PATH_BYTES or not key.startswith(prefix):
                continue
            is_folder = name.endswith("/")
            leads_on = recursive and is_folder and marker is not None and marker.startswith(key)
            if marker is not None and key <= marker and not leads_on:
                continue
            if not is_folder:
                yield from _describe(entries[name], key)
            elif recursive:
                yield from self._walk(folder / entries[name].name, key, prefix, marker, recursive=True)
            else:
                yield ObjectInfo(key=key, size=0, modified_at=None, is_prefix=True)

    def _entries(self, folder: Path) -> Iterator["os.DirEntry[str]"]:
        """The files and folders in a folder that have names fit for keys."""
        try:
            rows = os.scandir(folder)
        except (FileNotFoundError, NotADirectoryError):
            return
        with rows:
            for row in rows:
                if _is_text(row.name) and (row.is_dir(follow_symlinks=False) or row.is_file(follow_symlinks=False)):
                    yield row


def _sort_name(entry: "os.DirEntry[str]") -> str:
    return entry.name + "/" if entry.is_dir(follow_symlinks=False) else entry.name


def _describe(entry: "os.DirEntry[str]", key: str) -> Iterator[ObjectInfo]:
    with suppress(FileNotFoundError):
        facts = entry.stat(follow_symlinks=False)
        yield ObjectInfo(key=key, size=facts.st_size, modified_at=_modified(facts))


def _modified(facts: os.stat_result) -> datetime:
    return datetime.fromtimestamp(facts.st_mtime, UTC)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _prune_below(folder: Path) -> None:
    for parent, names, _ in os.walk(folder, topdown=False):
        for name in names:
            with suppress(OSError):
                Path(parent, name).rmdir()

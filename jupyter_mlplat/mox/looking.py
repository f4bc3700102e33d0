"""What is there: facts, listings, walks, for paths of both kinds."""

import os
import stat as modes
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from jupyter_mlplat.mox.paths import joined
from jupyter_mlplat.storage.engine.base import ObjectFacts, ObjectStore
from jupyter_mlplat.storage.engine.current import store_for
from jupyter_mlplat.storage.engine.failures import IsAFolder, NoSuchObject
from jupyter_mlplat.storage.object_urls import ObjectUrl


@dataclass(frozen=True)
class Stat:
    """`length` in bytes, `mtime_nsec` since 1970 (0 where nothing says it). The `st_` names are those of `os.stat`."""

    length: int
    mtime_nsec: int
    is_directory: bool

    @property
    def st_size(self) -> int:
        return self.length

    @property
    def st_mtime(self) -> float:
        return self.mtime_nsec / 1e9

    @property
    def st_mtime_ns(self) -> int:
        return self.mtime_nsec

    @property
    def st_mode(self) -> int:
        return (modes.S_IFDIR | 0o755) if self.is_directory else (modes.S_IFREG | 0o644)


class Entry:
    """One name in a folder of object storage, as `os.scandir` would tell it."""

    def __init__(self, folder: str, name: str, facts: Stat) -> None:
        self.name = name
        self.path = joined(folder, name)
        self._facts = facts

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        return self._facts.is_directory

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        return not self._facts.is_directory

    def is_symlink(self) -> bool:
        return False

    def stat(self, *, follow_symlinks: bool = True) -> Stat:
        return self._facts

    def __fspath__(self) -> str:
        return self.path

    def __repr__(self) -> str:
        return f"<Entry {self.name!r}>"


class Scan:
    """The entries of a folder; a context manager as that of `os.scandir` is."""

    def __init__(self, url: str) -> None:
        self._url = url

    @cached_property
    def _entries(self) -> Iterator[Entry]:
        return iter(entries(self._url))

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Entry:
        return next(self._entries)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Nothing is held open."""


def facts_of(url: ObjectUrl) -> Stat:
    """NoSuchObject where neither an object nor a folder is of this name."""
    objects = store_for(url.bucket)
    if not url.is_folder:
        try:
            return _file(objects.head(url))
        except NoSuchObject as error:
            missing = error
    else:
        missing = NoSuchObject(f"There is nothing at {url}.")
    if objects.is_folder(url):
        return FOLDER
    raise missing


def size_of(url: ObjectUrl, *, recursive: bool) -> int:
    """Bytes of an object, or with `recursive` of all below a folder."""
    facts = facts_of(url)
    if not facts.is_directory:
        return facts.length
    if not recursive:
        raise IsAFolder(f"{url} is a folder. Ask for the size of all that is in it with recursive=True.")
    return sum(one.size for one in store_for(url.bucket).below(url))


def entries(url: str) -> list[Entry]:
    """What is in a folder, in the order of the keys. NoSuchObject where there is no such folder."""
    folder = ObjectUrl.parse(url).folder
    files, folders = level(store_for(folder.bucket), folder)
    found = [Entry(url, name, FOLDER) for name in folders]
    found += [Entry(url, facts.key[len(folder.key) :], _file(facts)) for facts in files]
    return sorted(found, key=lambda entry: entry.name)


def level(objects: ObjectStore, folder: ObjectUrl) -> tuple[list[ObjectFacts], list[str]]:
    """The objects and the names of the folders directly in a folder. NoSuchObject where there is nothing of it."""
    files: list[ObjectFacts] = []
    folders: list[str] = []
    there = not folder.key
    for page in objects.pages(folder, flat=False):
        there = there or bool(page.objects or page.folders)
        files += [facts for facts in page.objects if facts.key != folder.key]
        folders += [name[len(folder.key) :].removesuffix("/") for name in page.folders]
    if not there:
        raise NoSuchObject(f"There is no folder {folder}.")
    return files, folders


def listing(url: str, *, recursive: bool) -> list[tuple[str, bool]]:
    """Names relative to a folder, in order, and whether each is a folder."""
    if not recursive:
        return [(entry.name, entry.is_dir()) for entry in entries(url)]
    folder = ObjectUrl.parse(url).folder
    found: dict[str, bool] = {}
    there = not folder.key
    for facts in store_for(folder.bucket).below(folder):
        there = True
        relative = facts.key[len(folder.key) :]
        _add(found, relative)
    if not there:
        raise NoSuchObject(f"There is no folder {folder}.")
    return sorted(found.items())


def local_listing(folder: Path, *, recursive: bool) -> list[tuple[str, bool]]:
    """The same of a folder of this machine."""
    if not recursive:
        with os.scandir(folder) as rows:
            return sorted((row.name, row.is_dir()) for row in rows)
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}.")
    return sorted((path.relative_to(folder).as_posix(), path.is_dir()) for path in folder.rglob("*"))


def walk(url: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """As `os.walk`, from the top; names that are taken out of the list of folders are not visited."""
    folder = ObjectUrl.parse(url).folder
    try:
        files, folders = level(store_for(folder.bucket), folder)
    except NoSuchObject:
        return
    yield url, folders, [facts.key[len(folder.key) :] for facts in files]
    for name in folders:
        yield from walk(joined(url, name))


def _add(found: dict[str, bool], relative: str) -> None:
    parts = relative.split("/")
    for count in range(1, len(parts)):
        found.setdefault("/".join(parts[:count]), True)
    if parts[-1]:
        found[relative] = False


def _file(facts: ObjectFacts) -> Stat:
    return Stat(facts.size, _nanoseconds(facts.modified_at), is_directory=False)


def _nanoseconds(moment: datetime | None) -> int:
    return int(moment.timestamp() * 1_000_000) * 1000 if moment else 0


FOLDER = Stat(0, 0, is_directory=True)

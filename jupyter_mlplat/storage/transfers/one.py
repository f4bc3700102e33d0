"""One step of a plan: a file or an object is copied, whole or not at all."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import md5
from itertools import count
from pathlib import Path

from jupyter_mlplat.errors import InvalidInput
from jupyter_mlplat.storage.engine.base import ObjectFacts, ObjectStore, part_of
from jupyter_mlplat.storage.engine.failures import Changed, NoSuchObject
from jupyter_mlplat.storage.engine.landing import STEP, land
from jupyter_mlplat.storage.object_urls import ObjectUrl, is_object_url
from jupyter_mlplat.storage.transfers.folder import TransferFolder
from jupyter_mlplat.storage.transfers.importing import bring
from jupyter_mlplat.storage.transfers.order import OnConflict
from jupyter_mlplat.storage.transfers.parts import (
    Journal,
    Large,
    Moved,
    fetch_large,
    give_up,
    send_large,
)
from jupyter_mlplat.storage.transfers.planning import OURS, Step, StoreFor, mark_of_file
from jupyter_mlplat.storage.transfers.web import is_web, meant

LARGE = 16 << 20
"""From here on a file moves in parts, with a journal."""

_FOLDER = "a folder of this name is in its place"
_REMEMBERED = 1024
_MD5 = re.compile(r'"?([0-9a-f]{32})"?')


@dataclass(frozen=True)
class OneCopy:
    """Copies one step of a plan. `folder` is that of the transfer."""

    step: Step
    bounds: "Bounds"
    store_for: StoreFor
    folder: TransferFolder
    on_conflict: OnConflict
    moved: Moved

    def run(self) -> None:
        """Errors are those of object stores and of Python's files; the target then is as it was before."""
        if self.step.exists and self.on_conflict == OnConflict.SKIP:
            self.moved(self.step.size)
            return
        source, target = self.step.source, self._target()
        if is_web(source):
            self._import(source, Path(target))
        elif is_object_url(source) and is_object_url(target):
            self._across(ObjectUrl.parse(source), ObjectUrl.parse(target))
        elif is_object_url(source):
            self._down(ObjectUrl.parse(source), target)
        else:
            self._up(Path(source), ObjectUrl.parse(target))

    def _target(self) -> str:
        if self.step.exists and self.on_conflict == OnConflict.RENAME:
            return free_name(self.step.target, self._is_taken)
        return self.step.target

    def _is_taken(self, name: str) -> bool:
        if is_object_url(name):
            url = ObjectUrl.parse(name)
            return self.store_for(url.bucket).is_object(url)
        return os.path.lexists(name)

    def _up(self, path: Path, url: ObjectUrl) -> None:
        store = self.store_for(url.bucket)
        with path.open("rb", buffering=0) as file:
            source = _OfFile(file.fileno(), path)
            mark, size = source.mark(), os.fstat(file.fileno()).st_size
            if size >= LARGE and store.parts is not None:
                self._send(store, url, source, size, mark)
            elif size >= LARGE:
                store.upload(path, url, self.moved)
            else:
                self._whole(store, url, source, size, mark)

    def _across(self, source: ObjectUrl, target: ObjectUrl) -> None:
        origin, store = self.store_for(source.bucket), self.store_for(target.bucket)
        facts = self._facts(origin, source)
        if origin is store:
            store.copy(source, target, facts)
            self.moved(facts.size)
        elif facts.size >= LARGE and store.parts is not None:
            self._send(store, target, _OfObject(origin, source), facts.size, facts.tag)
        else:
            self._whole(store, target, _OfObject(origin, source), facts.size, facts.tag)

    def _send(self, store: ObjectStore, url: ObjectUrl, source: "_OfFile | _OfObject", size: int, mark: str) -> None:
        large = Large(size, mark, part_of(size))
        send_large(store, url, large, source, self._journal(), self.moved)

    def _whole(self, store: ObjectStore, url: ObjectUrl, source: "_OfFile | _OfObject", size: int, mark: str) -> None:
        data = source.read(0, size)
        if len(data) != size or source.mark() != mark:
            raise Changed(f"{url.name} was written to while it was copied. Try again.")
        store.write(url, data)
        self.moved(size)

    def _down(self, url: ObjectUrl, target: str) -> None:
        store = self.store_for(url.bucket)
        facts = self._facts(store, url)
        modified = facts.modified_at.timestamp() if facts.modified_at else None
        self.bounds.check(target)
        if facts.size < LARGE:
            self._land(target, _verified(store.read(url), facts, url), modified)
            return
        path = Path(target)
        _refuse_folder(path)
        self._fetch(store, url, facts, path)
        if modified is not None:
            os.utime(path, (modified, modified))

    def _import(self, source: str, path: Path) -> None:
        self.bounds.check(str(path))
        _refuse_folder(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial, journal = self._partial(path), self._journal()
        wanted = meant(source)
        try:
            bring(wanted, path, partial, journal, self.moved)
        finally:
            give_up(journal.read()[0], lambda _: None)
            journal.forget()

    def _journal(self) -> Journal:
        return Journal(self.folder.journal(self.step))

    def _partial(self, path: Path) -> Path:
        return path.parent / f".{self.folder.path.name}-{self.folder.journal(self.step).name}.part"

    def _land(self, path: str, data: bytes, modified: float | None) -> None:
        if os.path.islink(path):  # noqa: PTH114  one to a folder would be replaced
            _refuse_folder(Path(path))
        try:
            land(path, data, modified)
        except IsADirectoryError as error:
            raise InvalidInput(_FOLDER) from error
        self.moved(len(data))

    def _fetch(self, store: ObjectStore, url: ObjectUrl, facts: ObjectFacts, path: Path) -> None:
        partial, journal = self._partial(path), self._journal()
        try:
            fetch_large(store, url, Large(facts.size, facts.tag, STEP), partial, journal, self.moved)
            partial.replace(path)
        except (Changed, NoSuchObject):
            partial.unlink(missing_ok=True)
            journal.forget()
            raise
        finally:
            journal.close()
        journal.forget()

    def _facts(self, store: ObjectStore, url: ObjectUrl) -> ObjectFacts:
        """As planned; asked for again where the listing told no tag."""
        if self.step.mark:
            return ObjectFacts(url.key, self.step.size, _moment(self.step.modified), self.step.mark)
        return store.head(url)


class Bounds:
    """Where files may lie: below `root`, and not in the platform's own folder there. From any thread."""

    def __init__(self, root: Path) -> None:
        self._root = str(root.resolve()).rstrip("/")
        self._real = lru_cache(_REMEMBERED)(os.path.realpath)

    def check(self, path: str) -> None:
        """By text, and each folder once: for many small files this is a good part of the work."""
        place, name = os.path.split(path)
        folder = self._real(place).rstrip("/")
        if not f"{folder}/".startswith(f"{self._root}/"):
            raise InvalidInput("it would lie outside the work folder")
        if f"{folder}/{name}/".startswith(f"{self._root}/{OURS}/"):
            raise InvalidInput(f"{OURS} is the platform's own folder")


def _refuse_folder(path: Path) -> None:
    if path.is_dir():
        raise InvalidInput(_FOLDER)


@dataclass(frozen=True)
class _OfFile:
    descriptor: int
    path: Path

    def read(self, start: int, end: int) -> bytes:
        return os.pread(self.descriptor, end - start, start)

    def mark(self) -> str:
        return mark_of_file(self.path)


@dataclass(frozen=True)
class _OfObject:
    store: ObjectStore
    url: ObjectUrl

    def read(self, start: int, end: int) -> bytes:
        return self.store.read(self.url, start, end)

    def mark(self) -> str:
        return self.store.head(self.url).tag


def _verified(data: bytes, facts: ObjectFacts, url: ObjectUrl) -> bytes:
    """Changed where the bytes are not those that were listed; an endpoint's MD5 is looked at where it tells one."""
    tag = _MD5.fullmatch(facts.tag)
    if len(data) != facts.size or (tag and md5(data, usedforsecurity=False).hexdigest() != tag[1]):
        raise Changed(f"{url} is not what was listed: it was replaced, or arrived damaged. Try again.")
    return data


def free_name(taken: str, is_taken: Callable[[str], bool]) -> str:
    """`a.csv` as `a (1).csv`, or with the first number that is free."""
    folder, slash, name = taken.rpartition("/")
    stem, dot, ending = name.partition(".")
    if not stem:
        stem, dot, ending = name, "", ""
    return next(
        candidate
        for candidate in (f"{folder}{slash}{stem} ({number}){dot}{ending}" for number in count(1))
        if not is_taken(candidate)
    )


def _moment(seconds: float | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds is not None else None

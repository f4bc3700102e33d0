"""Copies of one file and of whole folders, between and within this machine and object storage."""

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jupyter_mlplat.mox.paths import Place, below
from jupyter_mlplat.storage.engine.base import ObjectFacts, copy_between, writing
from jupyter_mlplat.storage.engine.current import store_for
from jupyter_mlplat.storage.engine.failures import FileAndFolder, IsAFolder, NoSuchObject
from jupyter_mlplat.storage.engine.landing import landing
from jupyter_mlplat.storage.engine.parallel import in_parallel
from jupyter_mlplat.storage.object_urls import ObjectUrl

THREADS = 16


@dataclass(frozen=True)
class Copy:
    """One file or object to copy; `facts` of an object that a listing told."""

    source: Place
    target: Place
    facts: ObjectFacts | None = None


@dataclass(frozen=True)
class Plan:
    """What copying a folder means: files to copy, and empty folders to make."""

    copies: list[Copy]
    folders: list[Place]


def copy_one(source: Place, target: Place, facts: ObjectFacts | None = None) -> None:
    """One file or object to a path, replacing what is there once it is whole."""
    if isinstance(source, Path) and isinstance(target, Path):
        _within_here(source, target)
    elif isinstance(source, Path):
        assert isinstance(target, ObjectUrl)
        store_for(target.bucket).upload(_file(source), target)
    elif isinstance(target, Path):
        store_for(source.bucket).download(source, target, facts)
    else:
        copy_between(store_for(source.bucket), source, store_for(target.bucket), target, facts)


def append_one(source: Place, target: ObjectUrl) -> None:
    """Put what is in a file or an object behind what is in another object."""
    with writing(store_for(target.bucket), target, keep=True) as upload:
        for piece in _pieces(source):
            upload.write(piece)


def plan(source: Place, target: Place, only: Sequence[str] | None = None) -> Plan:
    """How to copy a folder; `only` names the files below `source` that are wanted.

    NoSuchObject where there is no such folder, FileAndFolder where two keys cannot both be paths of this machine.
    """
    found = list(_below(source)) if only is None else [(name, None) for name in only]
    if isinstance(source, ObjectUrl) and isinstance(target, Path):
        _refuse_clashes(target, [name for name, _ in found])
    copies = [
        Copy(_child(source, name), _target(source, target, name), facts)
        for name, facts in found
        if not name.endswith("/")
    ]
    return Plan(copies, [_target(source, target, name) for name, _ in found if name.endswith("/")])


def carry_out(plan: Plan, threads: int = THREADS) -> None:
    """All of a plan; after the first failure nothing more is begun, and it is raised."""
    for folder in plan.folders:
        make_folder(folder)
    in_parallel(lambda copy: copy_one(copy.source, copy.target, copy.facts), plan.copies, threads)


def make_folder(place: Place) -> None:
    """A folder with all above it; nothing where the store has no way to keep an empty one."""
    if isinstance(place, Path):
        place.mkdir(parents=True, exist_ok=True)
    elif place.key and store_for(place.bucket).keeps_folders:
        store_for(place.bucket).write(place.folder, b"")


def _child(source: Place, relative: str) -> Place:
    return source / relative if isinstance(source, Path) else source.child(relative)


def _target(source: Place, target: Place, relative: str) -> Place:
    if isinstance(source, ObjectUrl) and isinstance(target, Path):
        return below(target, relative)
    return _child(target, relative)


def _below(source: Place) -> Iterator[tuple[str, ObjectFacts | None]]:
    """Paths relative to a folder; those that end with / are empty folders of object storage."""
    if isinstance(source, Path):
        yield from ((name, None) for name in sorted(_files_below(source)))
        return
    start, there = len(source.folder.key), not source.key
    for facts in store_for(source.bucket).below(source):
        there = True
        if facts.key != source.folder.key:
            yield facts.key[start:], facts
    if not there:
        raise NoSuchObject(f"There is no folder {source.folder}.")


def _files_below(folder: Path) -> Iterator[str]:
    if not folder.is_dir():
        raise NoSuchObject(f"There is no folder {folder}.")
    for parent, folders, names in os.walk(folder):
        relative = Path(parent).relative_to(folder)
        yield from ((relative / name).as_posix() for name in names)
        if not folders and not names and relative.parts:
            yield relative.as_posix() + "/"


def _refuse_clashes(target: Path, names: Iterable[str]) -> None:
    files = {name for name in names if not name.endswith("/")}
    for name in names:
        for at in (place for place, letter in enumerate(name) if letter == "/"):
            if name[:at] in files:
                raise FileAndFolder(f"{target / name[:at]} would be a file and a folder, as it is among the keys.")


def _within_here(source: Path, target: Path) -> None:
    with _file(source).open("rb") as file, landing(target) as descriptor, os.fdopen(os.dup(descriptor), "wb") as new:
        shutil.copyfileobj(file, new, 1 << 20)


def _file(path: Path) -> Path:
    if path.is_dir():
        raise IsAFolder(f"{path} is a folder. Copy it with copy_parallel.")
    if not path.is_file():
        raise NoSuchObject(f"There is no file {path}.")
    return path


def _pieces(source: Place) -> Iterator[bytes]:
    if isinstance(source, ObjectUrl):
        yield from store_for(source.bucket).pieces(source)
        return
    with _file(source).open("rb") as file:
        yield from iter(lambda: file.read(1 << 20), b"")

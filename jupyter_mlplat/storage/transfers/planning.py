"""Which files a transfer is about, and where each goes. Both sides are read in the order of their names, side by side:
however many files there are, the plan needs no memory for them."""

import os
from collections.abc import Callable, Iterator
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from jupyter_mlplat.errors import InvalidInput, NotFound
from jupyter_mlplat.storage.engine.base import ObjectFacts, ObjectStore
from jupyter_mlplat.storage.engine.failures import NoSuchBucket, NoSuchObject, StoreError
from jupyter_mlplat.storage.object_urls import ObjectUrl, is_object_url
from jupyter_mlplat.storage.transfers.order import Order
from jupyter_mlplat.storage.transfers.web import is_web, meant, opened

OURS = ".mlplat"
"""The folder at the top of a work folder that is the platform's: nothing of it is copied, and nothing into it."""

StoreFor = Callable[[str], ObjectStore]
Place = Path | ObjectUrl


class Verb(StrEnum):
    COPY = "copy"
    DELETE = "delete"
    REFUSE = "refuse"
    """It cannot be copied; `mark` says why."""


class Step(NamedTuple):
    """One file: paths or obs:// URLs, `size` in bytes. `mark` is the same as long as the source's content is."""

    verb: Verb
    source: str
    target: str
    size: int
    mark: str
    exists: bool
    """Whether something is at the target already."""
    modified: float | None
    """When the source was written, in seconds since 1970."""


class Found(NamedTuple):
    """One file or object of a side, by its name relative to the folder that is copied."""

    name: str
    size: int
    mark: str
    modified: float | None
    problem: str = ""


def plan(
    order: Order, root: Path, store_for: StoreFor, last: Step | None = None, look: Callable[[], None] = lambda: None
) -> Iterator[Step]:
    """The steps of an order, those behind `last`; relative paths are below `root`, and none lead out of it. `look` is
    called for each name: what it raises ends the search.

    NotFound where there is no such source.
    """
    if is_web(order.source):
        yield from [] if last else [_imported(order, root)]
        return
    source, target = _place(order.source, root), _place(order.target, root)
    single = _single(source, store_for)
    if single is not None:
        if last is None:
            yield from _one(order, single, source, _target_of_one(single.name, target, order.target), store_for)
        return
    _refuse_nesting(source, target)
    as_files = isinstance(target, Path)
    found = _first_of(_below(source, root, store_for, as_files=as_files), source)
    there = _below(target, root, store_for, as_files=as_files, missing_ok=True)
    before = _before_names(source), _before_names(target)
    behind = _in_order(_name(last, *before)) if last else b""
    for left, right in _side_by_side(found, there):
        look()
        either = left or right
        if either and _in_order(either.name) > behind:
            yield from _steps(order, *before, left, right)


def _imported(order: Order, root: Path) -> Step:
    """What an address of the web stands for, to a file or a folder."""
    source, target = meant(order.source), _place(order.target, root)
    assert isinstance(target, Path)
    with opened(source.url) as answer:
        name, size = source.name or answer.name, answer.size or 0
    place = target / name if target.is_dir() or order.target.endswith("/") or not order.target else target
    return Step(Verb.COPY, order.source, str(place), size, "", place.exists(), None)


def mark_of_file(path: Path) -> str:
    """What changes whenever a file is written."""
    facts = path.stat()
    return f"{facts.st_size}-{facts.st_mtime_ns}"


def _place(text: str, root: Path) -> Place:
    if is_object_url(text):
        return ObjectUrl.parse(text)
    path = (root / text.lstrip("/")).resolve() if root != Path("/") else Path(text).absolute()
    if "\0" in text or not path.is_relative_to(root.resolve()):
        raise InvalidInput(f"{text} lies outside the work folder. Give a path inside it.")
    return path


def _single(source: Place, store_for: StoreFor) -> Found | None:
    if isinstance(source, Path):
        return _file(source.name, source) if source.is_file() else None
    if source.is_folder:
        return None
    try:
        facts = store_for(source.bucket).head(source)
    except NoSuchObject:
        return None
    return _object(source.name, facts)


def _target_of_one(name: str, target: Place, asked: str) -> Place:
    if isinstance(target, Path):
        return _child(target, name) if target.is_dir() or asked.endswith("/") or not asked else target
    return target.child(name) if target.is_folder else target


def _one(order: Order, found: Found, source: Place, target: Place, store_for: StoreFor) -> Iterator[Step]:
    if source == target:
        raise InvalidInput(f"{source} cannot be copied onto itself. Give another path to copy to.")
    there = _there(target, store_for)
    if there is None or not order.sync or _differs(found, there):
        yield Step(Verb.COPY, str(source), str(target), found.size, found.mark, there is not None, found.modified)


def _there(target: Place, store_for: StoreFor) -> Found | None:
    """What is at the target of a single file."""
    if isinstance(target, ObjectUrl):
        try:
            return _object(target.name, store_for(target.bucket).head(target))
        except NoSuchBucket:
            raise
        except NoSuchObject:
            return None
    if target.is_dir():
        raise InvalidInput(f"{target.name} is a folder here; a file cannot take its place.")
    return _file(target.name, target) if target.exists() else None


def _refuse_nesting(source: Place, target: Place) -> None:
    if isinstance(source, ObjectUrl) and isinstance(target, ObjectUrl) and source.bucket == target.bucket:
        inner, outer = target.folder.key, source.folder.key
        if inner.startswith(outer) or outer.startswith(inner):
            raise InvalidInput(f"{source} and {target} lie one in the other. Copy to a folder beside it.")


def _first_of(found: Iterator[Found], source: Place) -> Iterator[Found]:
    first = next(found, None)
    if first is None:
        raise NotFound(f"There is nothing at {source.name if isinstance(source, Path) else source}.")
    return chain([first], found)


def _steps(order: Order, source: str, target: str, left: Found | None, right: Found | None) -> Iterator[Step]:
    """`source` and `target` are what comes before the names."""
    if left is None:
        if order.delete and right is not None and not right.problem:
            yield Step(Verb.DELETE, "", target + right.name, 0, right.mark, True, None)
    elif left.problem:
        yield Step(Verb.REFUSE, source + left.name, "", left.size, left.problem, False, None)
    elif right is None or not order.sync or _differs(left, right):
        names = source + left.name, target + left.name
        yield Step(Verb.COPY, *names, left.size, left.mark, right is not None, left.modified)


def _name(step: Step, source: str, target: str) -> str:
    return step.source.removeprefix(source) if step.source else step.target.removeprefix(target)


def _in_order(name: str) -> bytes:
    """As stores and folders list names, those too that are no text."""
    return name.encode(errors="surrogateescape")


def shown(name: str) -> str:
    """A name that may be no text, for people."""
    return _in_order(name).decode(errors="replace")


def _differs(left: Found, right: Found) -> bool:
    """As `aws s3 sync` sees it: another size, or the source is younger."""
    if left.size != right.size or left.modified is None or right.modified is None:
        return True
    return int(left.modified) > int(right.modified)


def _child(folder: Place, name: str) -> Place:
    return folder.child(name) if isinstance(folder, ObjectUrl) else folder / name


def _before_names(folder: Place) -> str:
    return str(folder.folder) if isinstance(folder, ObjectUrl) else f"{folder}".rstrip("/") + "/"


def _below(
    folder: Place, root: Path, store_for: StoreFor, *, as_files: bool, missing_ok: bool = False
) -> Iterator[Found]:
    if isinstance(folder, Path):
        if folder.is_dir():
            yield from _files(folder, "", root.resolve())
        return
    try:
        start = len(folder.folder.key)
        last = b""
        for facts in store_for(folder.bucket).below(folder):
            name = facts.key[start:]
            encoded = name.encode()
            if encoded < last:
                raise StoreError(f"{folder} is not listed in the order of its keys, so it cannot be compared.")
            last = encoded
            if name and not name.endswith("/"):
                yield _object(name, facts, _problem(name) if as_files else "")
    except NoSuchObject:
        if not missing_ok:
            raise


def _object(name: str, facts: ObjectFacts, problem: str = "") -> Found:
    when = facts.modified_at.timestamp() if facts.modified_at else None
    return Found(name, facts.size, facts.tag, when, problem)


def _problem(name: str) -> str:
    """Why an object cannot be a file; empty where it can."""
    parts = name.split("/")
    if "\0" in name or any(part in ("", ".", "..") for part in parts):
        return "its key cannot be the path of a file"
    if any(len(part.encode()) > 255 for part in parts):
        return "a part of its key is too long for the name of a file"
    return ""


def _files(folder: Path, above: str, root: Path) -> Iterator[Found]:
    """In the order of their whole paths, as object stores list keys."""
    try:
        entries = sorted(os.scandir(folder), key=_sorted_by)
    except OSError as error:
        yield Found(above or ".", 0, "", None, f"the folder cannot be read: {error.strerror}")
        return
    for entry in entries:
        name = above + entry.name
        if name == OURS and not above and folder.samefile(root):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path), name + "/", root)
        elif entry.is_file() and (not entry.is_symlink() or Path(entry.path).resolve().is_relative_to(root)):
            yield _file(name, entry)


def _sorted_by(entry: os.DirEntry[str]) -> bytes:
    return os.fsencode(entry.name) + (b"/" if entry.is_dir(follow_symlinks=False) else b"")


def _file(name: str, path: "Path | os.DirEntry[str]") -> Found:
    try:
        name.encode()
        facts = path.stat()
    except UnicodeEncodeError:
        return Found(name, 0, "", None, "its name is no text in UTF-8")
    except OSError as error:
        return Found(name, 0, "", None, f"it cannot be read: {error.strerror}")
    return Found(name, facts.st_size, f"{facts.st_size}-{facts.st_mtime_ns}", facts.st_mtime)


def _side_by_side(left: Iterator[Found], right: Iterator[Found]) -> Iterator[tuple[Found | None, Found | None]]:
    """What both have under one name, in order; None where one of them has nothing of that name."""
    one, other = next(left, None), next(right, None)
    while one is not None or other is not None:
        if other is None or (one is not None and _in_order(one.name) < _in_order(other.name)):
            yield one, None
            one = next(left, None)
        elif one is None or _in_order(other.name) < _in_order(one.name):
            yield None, other
            other = next(right, None)
        else:
            yield one, other
            one, other = next(left, None), next(right, None)

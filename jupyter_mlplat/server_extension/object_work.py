"""What the storage panel does with objects, on any store; blocking, for threads."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from jupyter_mlplat.errors import AlreadyExists, InvalidInput, TooLarge
from jupyter_mlplat.storage.engine.base import ListedPage, ObjectFacts, ObjectStore, copy_between
from jupyter_mlplat.storage.object_urls import ObjectUrl

COUNTED = 20_000
"""Objects below a folder are counted up to here."""

GONE = 200
"""Deleted objects are shown up to here."""

MOVED = 1000
"""Objects of a folder that are copied, moved or renamed at once; more is a matter for a transfer."""


@dataclass(frozen=True)
class Count:
    """How many objects there are below a folder; `more` where it is more than that."""

    objects: int
    bytes: int
    more: bool


def page(store: ObjectStore, folder: ObjectUrl, *, search: str, after: str | None, limit: int) -> dict[str, Any]:
    """One page of what is in a folder, in the order of the keys; with `search` of what begins so in it."""
    found = store.page(ObjectUrl(folder.bucket, folder.key + search), flat=False, after=after, limit=limit)
    return {"objects": list(_entries(found, folder)), "next": found.next}


def facts(store: ObjectStore, url: ObjectUrl) -> dict[str, Any]:
    return _entry(url.bucket, store.head(url))


def versions(store: ObjectStore, url: ObjectUrl) -> list[dict[str, Any]]:
    return [asdict(one) | {"modified_at": _moment(one.modified_at)} for one in store.versions(url)]


def gone(store: ObjectStore, folder: ObjectUrl) -> dict[str, Any]:
    """The first GONE of the deleted objects below a folder; `more` where there are others."""
    found = list(islice(store.gone(folder), GONE + 1))
    rows = [asdict(one) | {"key": f"{folder.bucket}/{one.key}", "deleted_at": _moment(one.deleted_at)} for one in found]
    return {"objects": rows[:GONE], "more": len(found) > GONE}


def count(store: ObjectStore, folder: ObjectUrl) -> Count:
    found = list(islice((one.size for one in store.below(folder)), COUNTED + 1))
    return Count(min(len(found), COUNTED), sum(found[:COUNTED]), len(found) > COUNTED)


def delete(store: ObjectStore, url: ObjectUrl) -> int:
    """An object, or a folder with all that is below it; how many objects that were."""
    if url.is_folder:
        return store.delete_below(url)
    store.remove(url)
    return 1


def copy(here: ObjectStore, source: ObjectUrl, there: ObjectStore, target: ObjectUrl, *, move: bool) -> int:
    """An object or a folder to another name, in its store or another one; nothing there is replaced.

    A move deletes the source once all of it has arrived. How many objects that were.
    """
    if source.is_folder != target.is_folder:
        raise InvalidInput("A folder goes to a folder, an object to an object.")
    _refuse_taken(there, target)
    if here is there and source.is_folder and target.prefix.startswith(source.prefix):
        raise InvalidInput("A folder cannot go into itself. Choose another place.")
    copies = list(_copies(here, source, target))
    for origin, to, known in copies:
        copy_between(here, origin, there, to, known)
    if move:
        here.delete(source.bucket, [origin.key for origin, _, _ in copies])
    return len(copies)


def _copies(
    store: ObjectStore, source: ObjectUrl, target: ObjectUrl
) -> Iterator[tuple[ObjectUrl, ObjectUrl, ObjectFacts]]:
    if not source.is_folder:
        yield source, target, store.head(source)
        return
    found = list(islice(store.below(source), MOVED + 1))
    if len(found) > MOVED:
        raise TooLarge(f"More than {MOVED} objects lie below {source}. Copy it in a terminal: mlplat storage cp -r.")
    for one in found:
        yield ObjectUrl(source.bucket, one.key), target.child(one.key[len(source.key) :]), one


def _refuse_taken(store: ObjectStore, target: ObjectUrl) -> None:
    if store.is_folder(target) if target.is_folder else store.is_object(target):
        raise AlreadyExists(f"{target} is there already. Choose another name.")


def _entries(found: ListedPage, folder: ObjectUrl) -> Iterator[dict[str, Any]]:
    """Folders and objects as one list in the order of their keys; not the folder's own marker."""
    rows = [_entry(folder.bucket, one) for one in found.objects if one.key != folder.key]
    rows += [_row(f"{folder.bucket}/{name}", 0, None, "", is_prefix=True) for name in found.folders]
    yield from sorted(rows, key=lambda row: str(row["key"]))


def _entry(bucket: str, one: ObjectFacts) -> dict[str, Any]:
    return _row(f"{bucket}/{one.key}", one.size, one.modified_at, one.tag.strip('"'), is_prefix=False)


def _row(key: str, size: int, moment: datetime | None, tag: str, *, is_prefix: bool) -> dict[str, Any]:
    return {"key": key, "size": size, "modified_at": _moment(moment), "tag": tag, "is_prefix": is_prefix}


def _moment(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None

"""What a transfer is to do."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from jupyter_mlplat.errors import InvalidInput
from jupyter_mlplat.storage.object_urls import ObjectUrl, is_object_url
from jupyter_mlplat.storage.transfers.web import is_web


class OnConflict(StrEnum):
    """What to do where a target is there already."""

    ASK = "ask"
    OVERWRITE = "overwrite"
    SKIP = "skip"
    RENAME = "rename"


@dataclass(frozen=True)
class Order:
    """Copy a file or a folder to a target; a target that is a folder keeps the source's name, as with `cp`.

    With `sync` the target becomes like the source: only what differs is copied, and with `delete` what the source
    lacks is deleted. Paths are of this machine, or obs://BUCKET/KEY; a source may also be an address
    of the web, which is imported.
    """

    source: str
    target: str
    on_conflict: OnConflict = OnConflict.ASK
    sync: bool = False
    delete: bool = False

    @classmethod
    def read(cls, given: dict[str, Any]) -> "Order":
        """From JSON. InvalidInput says what is wrong."""
        source, target = given.get("source"), given.get("target")
        if not isinstance(source, str) or not isinstance(target, str):
            raise InvalidInput("A copy needs a source and a target.")
        for path in (source, target):
            if is_object_url(path):
                ObjectUrl.parse(path)
        order = cls(source, target, choice_of(given), given.get("sync") is True, given.get("delete") is True)
        if order.delete and not order.sync:
            raise InvalidInput("Only a sync can delete what the source lacks.")
        if is_web(source):
            if is_object_url(target) or order.sync:
                raise InvalidInput("What is on the web is imported into the work folder: give a folder there.")
            return order
        if not is_object_url(source) and not is_object_url(target):
            raise InvalidInput("One of the two paths must be an object's, such as obs://bucket/folder/.")
        return order


def choice_of(given: dict[str, Any]) -> OnConflict:
    """What JSON says of targets that are there already; to ask where it says nothing. InvalidInput for other words."""
    wanted = given.get("on_conflict") or OnConflict.ASK
    if wanted not in list(OnConflict):
        raise InvalidInput(f"{wanted!r} is no way to go on where a file is there already: overwrite, skip or rename.")
    return OnConflict(wanted)

"""Which folders hold most of what goes into an image. Pure."""

from collections.abc import Iterable
from typing import NamedTuple

PACKAGES = frozenset({"site-packages", "dist-packages", "node_modules"})
"""Folders whose members are things of their own."""

DEPTH = 5
"""How many parts of a path, at most, name a folder that is none of a package."""

SHOWN = 20


class Folder(NamedTuple):
    """A folder, or a single file beside folders: the bytes and the number of the files below it."""

    path: str
    size: int
    files: int


def biggest(files: Iterable[tuple[str, int]], shown: int = SHOWN) -> list[Folder]:
    """The biggest folders of the files (path and bytes), of which none lies in another; the biggest first."""
    found: dict[str, tuple[int, int]] = {}
    for path, size in files:
        unit = _unit(path)
        bytes_, count = found.get(unit, (0, 0))
        found[unit] = bytes_ + size, count + 1
    ordered = sorted(found.items(), key=lambda each: (-each[1][0], each[0]))
    return [Folder(path, size, count) for path, (size, count) in ordered[:shown]]


def _unit(path: str) -> str:
    """What a file is counted under: the member of a folder of packages, else its folder as deep as `DEPTH`."""
    parts = path.split("/")
    for at, part in enumerate(parts[:-1]):
        if part in PACKAGES:
            return "/".join(parts[: at + 2])
    return "/".join(parts[: min(DEPTH, max(1, len(parts) - 1))])

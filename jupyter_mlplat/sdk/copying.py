"""What one copy command means, file by file."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from jupyter_mlplat.errors import InvalidInput, NotFound
from jupyter_mlplat.storage.models import ObjectInfo
from jupyter_mlplat.storage.object_urls import ObjectUrl, is_object_url

Place = Path | ObjectUrl


@dataclass(frozen=True)
class Copy:
    """One file or object to copy; `size` in bytes."""

    source: Place
    target: Place
    size: int


class Planner:
    """Turns a source and a target into copies. `stat` and `walk` look at the platform's objects.

    A target that is a folder (an existing one, or one that ends with /) keeps the source's name. Recursive copies put
    what lies below the source below the target.
    """

    def __init__(
        self, stat: Callable[[ObjectUrl], ObjectInfo], walk: Callable[[ObjectUrl], Iterator[ObjectInfo]]
    ) -> None:
        self._stat = stat
        self._walk = walk

    def plan(self, source: str, target: str, recursive: bool) -> list[Copy]:
        """The copies, in a stable order. Raises InvalidInput and NotFound."""
        if not is_object_url(source) and not is_object_url(target):
            raise InvalidInput("One of the two paths must be an object path such as obs://bucket/folder/.")
        if is_object_url(source):
            found = self._below(ObjectUrl.parse(source)) if recursive else [self._object(ObjectUrl.parse(source))]
        else:
            found = _below(Path(source)) if recursive else [_file(Path(source))]
        into = _folder(target) if recursive else _single(target)
        copies = [Copy(place, into(relative), size) for place, relative, size in found]
        if not copies:
            raise NotFound(f"There is nothing below {source}.")
        return copies

    def _object(self, url: ObjectUrl) -> tuple[Place, str, int]:
        if url.is_folder:
            raise InvalidInput(f"{url} is a folder. Copy it with -r.")
        return url, url.name, self._stat(url).size

    def _below(self, url: ObjectUrl) -> list[tuple[Place, str, int]]:
        start = url.folder
        found: list[tuple[Place, str, int]] = []
        for info in self._walk(start):
            relative = info.key.removeprefix(start.prefix)
            if relative and not info.is_prefix and not relative.endswith("/"):
                found.append((ObjectUrl.of_key(info.key), _inside(relative), info.size))
        return found


def _file(path: Path) -> tuple[Place, str, int]:
    if path.is_dir():
        raise InvalidInput(f"{path} is a folder. Copy it with -r.")
    if not path.is_file():
        raise NotFound(f"There is no file {path}.")
    return path, path.name, path.stat().st_size


def _below(folder: Path) -> list[tuple[Place, str, int]]:
    if not folder.is_dir():
        raise NotFound(f"There is no folder {folder}.")
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return [(path, path.relative_to(folder).as_posix(), path.stat().st_size) for path in paths]


def _folder(target: str) -> Callable[[str], Place]:
    if is_object_url(target):
        return ObjectUrl.parse(target).child
    return Path(target).joinpath


def _single(target: str) -> Callable[[str], Place]:
    if is_object_url(target):
        url = ObjectUrl.parse(target)
        return url.child if url.is_folder else lambda _: url
    path = Path(target)
    if path.is_dir() or target.endswith("/"):
        return path.joinpath
    return lambda _: path


def _inside(relative: str) -> str:
    """A key as a path below a folder; a key that would leave it is refused."""
    parts = PurePosixPath(relative).parts
    if relative.startswith("/") or ".." in parts:
        raise InvalidInput(f"The object {relative!r} cannot be a file below a folder here. Copy it by its own name.")
    return relative

"""What lies in an environment, and how it differs from the image that it was made from."""

# Tens of thousands of names: plain strings are several times faster than paths.
# ruff: noqa: PTH115, PTH118, PTH120

import json
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

from jupyter_mlplat.backends.local.moving import PREFIX, Moves
from jupyter_mlplat.core.files import write_atomically
from jupyter_mlplat.environments.interpreter import inner_environments, is_tied, is_tied_in
from jupyter_mlplat.errors import InvalidInput
from jupyter_mlplat.oci.left_out import NOT_A_FILE, LeftOut
from jupyter_mlplat.oci.member import Kind, Member, leads_out, whiteout

ORIGIN = ".mlplat.json"
"""The file in an environment that says which image it was made from, and when."""

LEADS_OUT = "leads outside the environment"

_CACHE = "__pycache__"
_HIDDEN = ".wh."
_KINDS = {"f": Kind.FILE, "d": Kind.DIRECTORY, "l": Kind.SYMLINK}
_NOT_WRITE = 0o555
_CHUNK = 1 << 20


class Entry(NamedTuple):
    """A name in an environment: a file (f), folder (d) or symbolic link (l). Size in bytes."""

    kind: str
    mode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    target: str = ""


@dataclass
class Snapshot:
    """The entries of an environment by path, those that never go into an image left out.

    `left_out` are those that an image cannot hold, such as links that lead outside the environment, which mean nothing
    elsewhere; `caches` counts the folders of compiled modules.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)
    caches: int = 0

    def same_as(self, other: "Snapshot") -> bool:
        """Whether nothing has moved between two looks. Status times do not count: a new hard link changes them."""
        return self.entries == other.entries or self._untimed() == other._untimed()

    def _untimed(self) -> dict[str, Entry]:
        return {path: entry._replace(ctime_ns=0) for path, entry in self.entries.items()}

    def store(self, path: Path) -> None:
        write_atomically(path, json.dumps(self.entries, separators=(",", ":")).encode())

    @classmethod
    def load(cls, path: Path) -> "Snapshot":
        return cls({name: Entry(*values) for name, values in json.loads(path.read_bytes()).items()})


def take(environment: Path) -> Snapshot:
    """Look at every name in `environment`; what is removed meanwhile counts as not there."""
    snapshot = Snapshot()
    _walk(os.fspath(environment), "", snapshot, inner_environments(environment))
    snapshot.entries = dict(sorted(snapshot.entries.items()))
    return snapshot


def _walk(root: str, folder: str, snapshot: Snapshot, inner: frozenset[str]) -> None:
    try:
        found = list(os.scandir(f"{root}/{folder}"))
    except FileNotFoundError:
        return
    of_the_machine = is_tied_in(folder)
    for item in found:
        name = item.name
        path = f"{folder}/{name}" if folder else name
        if name == _CACHE:
            snapshot.caches += 1
            continue
        if of_the_machine and (path == ORIGIN or is_tied(path, inner)):
            continue
        if name.startswith(_HIDDEN):
            raise InvalidInput(f"An image cannot hold names that begin with {_HIDDEN}: rename {path}, then save again.")
        entry = _look(root, path, item, snapshot)
        if entry is not None:
            snapshot.entries[path] = entry
            if entry.kind == "d":
                _walk(root, path, snapshot, inner)


def _look(root: str, path: str, item: os.DirEntry[str], snapshot: Snapshot) -> Entry | None:
    # Sizes and times of folders and links differ between file systems and say nothing.
    try:
        state = item.stat(follow_symlinks=False)
        kind, mode = stat.S_IFMT(state.st_mode), state.st_mode & 0o777
        if kind == stat.S_IFREG:
            return Entry("f", mode, state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)
        if kind == stat.S_IFDIR:
            return Entry("d", mode, 0, 0, 0, 0)
        target = _target(root, path) if kind == stat.S_IFLNK else None
    except FileNotFoundError:
        return None
    if target is not None:
        return Entry("l", 0o777, 0, 0, 0, 0, target)
    snapshot.left_out.append(LeftOut(path, LEADS_OUT if kind == stat.S_IFLNK else NOT_A_FILE))
    return None


def _target(root: str, path: str) -> str | None:
    """Where a link leads, as it is good anywhere; None if that is outside the environment."""
    target = os.readlink(f"{root}/{path}")
    if not leads_out(path, target):
        return target
    real_root = os.path.realpath(root)
    real = os.path.realpath(f"{root}/{path}")
    if not real.startswith(real_root + "/"):
        return None
    relative = os.path.relpath(real, os.path.dirname(os.path.join(real_root, path)))
    return None if leads_out(path, relative) else relative


@dataclass(frozen=True)
class Changes:
    """What an environment has that its image has not, and the topmost names of what it has no more."""

    changed: dict[str, Entry]
    gone: list[str]

    @property
    def size(self) -> int:
        """Bytes of the changed files, one of several hard links counted."""
        return sum({entry.inode: entry.size for entry in self.changed.values()}.values())

    def __bool__(self) -> bool:
        return bool(self.changed or self.gone)


def compare(
    image: Snapshot,
    live: Snapshot,
    same_content: Callable[[str], bool],
    *,
    made_at_ns: int = 0,
    one_device: bool = True,
    moved: Callable[[str], bool] = lambda _: False,
) -> Changes:
    """How `live` differs from `image`.

    An entry that `live` has from `image` itself is none of its changes. A file that looks touched counts as changed
    only if `same_content(path)` says so; one that looks untouched does not, unless its status changed after
    `made_at_ns`, when the environment was made. `one_device` says that both lie in one file system, where the same
    inode is the same file. Sizes of `moved` files, which hold the path of their environment, say nothing.
    """

    def differs(path: str, new: Entry) -> bool:
        old = image.entries.get(path)
        if old is new:
            return False
        if old is None or old.kind != new.kind or old.target != new.target:
            return True
        if new.kind != "f":
            return old.mode != new.mode
        if one_device and old.inode == new.inode:
            # Still the image's own file, whose mode and links others may have changed.
            return (old.size, old.mtime_ns) != (new.size, new.mtime_ns)
        if (old.mode ^ new.mode) & _NOT_WRITE or (old.size != new.size and not moved(path)):
            return True
        untouched = old.mtime_ns == new.mtime_ns and new.ctime_ns <= made_at_ns
        return not untouched and not same_content(path)

    changed = {path: entry for path, entry in live.entries.items() if differs(path, entry)}
    return Changes(changed, list(_topmost_gone(image, live)))


def _topmost_gone(image: Snapshot, live: Snapshot) -> Iterator[str]:
    for path in image.entries:
        parent = path.rpartition("/")[0]
        if path not in live.entries and (not parent or _is_folder(live, parent)):
            yield path


def _is_folder(live: Snapshot, path: str) -> bool:
    entry = live.entries.get(path)
    return entry is not None and entry.kind == "d"


def same_files(image: Path, live: Path, moves: Moves | None = None) -> Callable[[str], bool]:
    """Compares the files of two environments, byte for byte; those of `live` as they would be in an image."""

    def same(path: str) -> bool:
        transform = moves.of(path) if moves else None
        try:
            if transform is not None:
                return (image / path).read_bytes() == transform((live / path).read_bytes())
            # filecmp will not do: it remembers answers by size and time.
            with (image / path).open("rb") as left, (live / path).open("rb") as right:
                return _same_bytes(left, right)
        except FileNotFoundError:
            return False

    return same


def _same_bytes(left: BinaryIO, right: BinaryIO) -> bool:
    while chunk := left.read(_CHUNK):
        if chunk != right.read(_CHUNK):
            return False
    return not right.read(1)


def members(environment: Path, changes: Changes) -> Iterator[Member]:
    """The layer that makes the image's environment what `environment` is: whiteouts first, then all by path."""
    moves = Moves(environment)
    for path in changes.gone:
        yield whiteout(f"{PREFIX}/{path}")
    first: dict[int, str] = {}
    for path, entry in changes.changed.items():
        twin = first.setdefault(entry.inode, path) if entry.kind == "f" else path
        yield _member(environment, path, entry, moves) if twin == path else _hard_link(path, entry, twin)


def _hard_link(path: str, entry: Entry, twin: str) -> Member:
    place, target = f"{PREFIX}/{path}", f"{PREFIX}/{twin}"
    return Member(place, Kind.HARDLINK, mode=entry.mode, mtime=_seconds(entry), target=target)


def _member(environment: Path, path: str, entry: Entry, moves: Moves) -> Member:
    place = f"{PREFIX}/{path}"
    if entry.kind != "f":
        return Member(place, _KINDS[entry.kind], mode=entry.mode, target=entry.target)
    return Member(
        place,
        Kind.FILE,
        mode=entry.mode,
        mtime=_seconds(entry),
        size=entry.size,
        source=f"{environment}/{path}",
        transform=moves.transform(path, entry.size),
    )


def _seconds(entry: Entry) -> int:
    return max(0, entry.mtime_ns // 1_000_000_000)

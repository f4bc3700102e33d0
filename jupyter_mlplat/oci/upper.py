"""Reads an overlay's upper directory as the members of layers, while its container goes on writing."""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from jupyter_mlplat.errors import Conflict
from jupyter_mlplat.oci.beneath import open_beneath, opened_folder
from jupyter_mlplat.oci.layer import SourceChanged
from jupyter_mlplat.oci.left_out import EXCLUDED, NOT_A_FILE, RESERVED, LeftOut, Rules
from jupyter_mlplat.oci.member import Kind, Member, whiteout
from jupyter_mlplat.oci.merged import Merged, is_opaque, is_whiteout

_PRIVATE = ("trusted.overlay.", "user.overlay.")
_REMOVED = ".wh."
_OPAQUE = ".wh..wh..opq"
_HOLES_LIMIT = 8 << 30

Stamp = tuple[int, ...]


@dataclass(frozen=True)
class Changes:
    """What a container changed: `members` in the order of a layer, each with a stamp that changes when it does.

    `size` is the bytes of file content.
    """

    members: tuple[Member, ...] = ()
    stamps: tuple[Stamp, ...] = ()
    left_out: tuple[LeftOut, ...] = ()

    @property
    def size(self) -> int:
        return sum(member.size for member in self.members)

    @property
    def removed(self) -> int:
        """How many paths of lower layers it takes away, each with all below it."""
        return sum(member.path.rpartition("/")[2].startswith(_REMOVED) for member in self.members)

    def files(self) -> list[tuple[str, int]]:
        """Path and bytes of each file; one with several names counts once."""
        return [(member.path, member.size) for member in self.members if member.source is not None]

    def state_of(self, folder: str) -> dict[str, Stamp]:
        """The stamps of all below `folder`, to be compared with those of another look."""
        pairs = zip(self.members, self.stamps, strict=True)
        return {member.path: stamp for member, stamp in pairs if member.path.startswith(f"{folder}/")}


@dataclass(frozen=True)
class Overlay:
    """A container's overlay as the runtime mounted it; `lowers` uppermost first. `user_xattrs`: option `userxattr`."""

    upper: str
    lowers: tuple[str, ...]
    user_xattrs: bool = False


def look(overlay: Overlay, rules: Rules) -> Changes:
    """What is in the upper directory now. Folders that say nothing new are not in it.

    Conflict, in words, for what cannot be put into a layer: redirected directories, metacopy, huge sparse files.
    SourceChanged where a folder vanishes meanwhile.
    """
    with opened_folder(overlay.upper) as upper, Merged(overlay.lowers, user_xattrs=overlay.user_xattrs) as below:
        walk = _Walk(overlay, rules, below)
        walk.inside(upper, "", fresh=False)
    return Changes(tuple(walk.members), tuple(walk.stamps), tuple(walk.left_out))


def opener(upper: int) -> "partial[int]":
    """Opens a member's source below the open upper directory, wherever links lead meanwhile."""
    return partial(open_beneath, upper)


@dataclass
class _Walk:
    """Goes through the upper directory; what it finds is in `members` and `stamps`, folders before what is in them."""

    overlay: Overlay
    rules: Rules
    below: Merged
    members: list[Member] = field(default_factory=list)
    stamps: list[Stamp] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    _linked: dict[int, str] = field(default_factory=dict)

    def inside(self, folder: int, path: str, *, fresh: bool) -> None:
        """All in one open folder; `fresh`: lower layers have no folder there, or none that shows."""
        with os.scandir(folder) as entries:
            names = {entry.name: entry for entry in entries}
        for name in sorted(names):
            self._entry(folder, names[name], f"{path}{name}", fresh)

    def _entry(self, folder: int, entry: "os.DirEntry[str]", path: str, fresh: bool) -> None:
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError as error:
            raise SourceChanged(path) from error
        is_folder = stat.S_ISDIR(status.st_mode)
        if is_whiteout(status):
            # that something is gone is no secret, so only who leaves it out has it back
            reason = EXCLUDED if self.rules.excludes(path) else None
        else:
            reason = _unfit(entry.name, status.st_mode) or self.rules.reason(path, folder=is_folder)
        if reason is not None:
            self.left_out.append(LeftOut(path, reason))
        elif is_whiteout(status):
            self._add(whiteout(path), (status.st_ino, status.st_ctime_ns))
        elif is_folder:
            self._folder(folder, entry.name, path, status, fresh)
        else:
            self._leaf(folder, entry.name, path, status)

    def _folder(self, parent: int, name: str, path: str, status: os.stat_result, fresh: bool) -> None:
        with _folder_in(parent, name, path) as descriptor:
            xattrs = _xattrs(descriptor, path, self.overlay.user_xattrs)
            opaque = is_opaque(descriptor, user=self.overlay.user_xattrs)
            lower = None if fresh else self.below.stat(path)
            is_new = lower is None or not stat.S_ISDIR(lower.st_mode)
            self._add(_member(path, Kind.DIRECTORY, status, xattrs=xattrs), _owner(status))
            if opaque and not is_new:
                self._add(Member(f"{path}/{_OPAQUE}", Kind.FILE), (status.st_ino,))
            count, missing = len(self.members), len(self.left_out)
            self.inside(descriptor, f"{path}/", fresh=opaque or is_new)
        says_nothing = len(self.left_out) > missing if is_new else not opaque and _owner(status) == _owner(lower)
        if len(self.members) == count and says_nothing:
            self.members.pop()
            self.stamps.pop()

    def _leaf(self, folder: int, name: str, path: str, status: os.stat_result) -> None:
        stamp = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        if stat.S_ISLNK(status.st_mode):
            self._add(_member(path, Kind.SYMLINK, status, target=_link_in(folder, name, path)), stamp)
            return
        first = self._linked.setdefault(status.st_ino, path) if status.st_nlink > 1 else path
        if first != path:
            self._add(_member(path, Kind.HARDLINK, status, target=first), stamp)
            return
        _check_holes(path, status)
        xattrs = _xattrs(f"/proc/self/fd/{folder}/{name}", path, self.overlay.user_xattrs)
        self._add(_member(path, Kind.FILE, status, size=status.st_size, source=path, xattrs=xattrs), stamp)

    def _add(self, member: Member, stamp: Stamp) -> None:
        self.members.append(member)
        self.stamps.append(stamp)


def _unfit(name: str, mode: int) -> str | None:
    if name.startswith(_REMOVED):
        return RESERVED
    return None if stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode) else NOT_A_FILE


def _member(
    path: str,
    kind: Kind,
    status: os.stat_result,
    *,
    size: int = 0,
    target: str = "",
    source: str | None = None,
    xattrs: dict[str, bytes] | None = None,
) -> Member:
    mode = stat.S_IMODE(status.st_mode)
    mtime = status.st_mtime_ns // 10**9
    return Member(path, kind, mode, mtime, size, target, source, None, xattrs or {}, status.st_uid, status.st_gid)


def _owner(status: os.stat_result | None) -> Stamp:
    """What a folder says besides what is in it."""
    return (status.st_mode, status.st_uid, status.st_gid) if status else ()


def _xattrs(source: int | str, path: str, user: bool) -> dict[str, bytes]:
    """The attributes that belong to the file. Conflict where overlay's own say that its content is elsewhere."""
    follow = isinstance(source, int)
    try:
        names = os.listxattr(source, follow_symlinks=follow)
        if not names:
            return {}
        private = _PRIVATE[1] if user else _PRIVATE[0]
        for feature, words in (("metacopy", "without its content"), ("redirect", "that was renamed in place")):
            if private + feature in names:
                raise Conflict(
                    f"{path} was copied up {words} (overlay's {feature}), which cannot be saved. An administrator must "
                    f"switch off {feature} on the nodes (overlay module, containerd's mount options)."
                )
        kept = (name for name in names if not name.startswith(_PRIVATE))
        return {name: os.getxattr(source, name, follow_symlinks=follow) for name in kept}
    except FileNotFoundError as error:
        raise SourceChanged(path) from error
    except OSError as error:
        if error.errno == errno.ENODATA:
            raise SourceChanged(path) from error
        raise


def _check_holes(path: str, status: os.stat_result) -> None:
    holes = status.st_size - status.st_blocks * 512
    if holes > _HOLES_LIMIT:
        raise Conflict(
            f"{path} says that it has {status.st_size >> 30} GiB and is nearly empty (a sparse file): every node would "
            "have to write all of it. Delete it or move it to the work folder, then save again."
        )


@contextmanager
def _folder_in(parent: int, name: str, path: str) -> Iterator[int]:
    """The open folder `name` of another open folder; SourceChanged where it is none any more."""
    try:
        descriptor = open_beneath(parent, name, os.O_DIRECTORY)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise SourceChanged(path) from error
        raise
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _link_in(folder: int, name: str, path: str) -> str:
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError as error:
        raise SourceChanged(path) from error


def split(changes: Changes, parts: int) -> list[Changes]:
    """The changes as at most `parts` layers of about the same size, each of which can be unpacked on its own.

    Each has the folders that its members lie in; an opaque folder's mark is only in the first, which is the lowest;
    hard links are beside their first name.
    """
    if parts == 1:
        return [changes]
    limit = max(1, changes.size // parts)
    cuts: list[list[int]] = [[]]
    home: dict[str, int] = {}
    filled = 0
    for index, member in enumerate(changes.members):
        if member.kind is Kind.HARDLINK:
            cuts[home[member.target]].append(index)
            continue
        if filled >= limit and len(cuts) < parts:
            cuts.append([])
            filled = 0
        cuts[-1].append(index)
        home[member.path] = len(cuts) - 1
        filled += member.size
    return [_with_folders(changes, cut) for cut in cuts if cut]


def _with_folders(changes: Changes, chosen: Sequence[int]) -> Changes:
    folders = {member.path: i for i, member in enumerate(changes.members) if member.kind is Kind.DIRECTORY}
    wanted = set(chosen)
    for index in chosen:
        parts = changes.members[index].path.split("/")
        wanted.update(folders[path] for n in range(1, len(parts)) if (path := "/".join(parts[:n])) in folders)
    order = sorted(wanted, key=lambda index: (changes.members[index].kind is Kind.HARDLINK, index))
    return Changes(tuple(changes.members[i] for i in order), tuple(changes.stamps[i] for i in order))


def fingerprint(changes: Changes) -> str:
    """Names this very state of these files on this very disk: what has the same one gives the same layer."""
    digest = hashlib.sha256()
    for member, stamp in zip(changes.members, changes.stamps, strict=True):
        xattrs = sorted(member.xattrs.items())
        digest.update(repr((member.path, member.kind.value, member.mode, member.target, xattrs, stamp)).encode())
    return digest.hexdigest()

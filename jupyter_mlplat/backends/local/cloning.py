"""Copies of an environment that cost little: nothing that a user does in a copy reaches the original."""

# Tens of thousands of names: plain strings are several times faster than paths.
# ruff: noqa: PTH102, PTH115, PTH116, PTH211

import errno
import fcntl
import os
import re
import stat
from pathlib import Path

from jupyter_mlplat.backends.local.snapshot import Snapshot

_LARGE = 1 << 20
_FICLONE = 0x40049409
_CANNOT = {errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS}
_NEVER_EDITED = re.compile(r".*\.(so(\.\d+)*|a|h|hpp|cuh|pyi)")
_EDITED = re.compile(r".*\.(py|ipynb|json|toml|yaml|yml|cfg|ini|txt|md|csv|sh)")
_CACHE = "__pycache__"


class Damaged(Exception):
    """A file of the original is not as it was when its index was made."""


def is_shared(path: str, size: int) -> bool:
    """Whether copies hold a file as a hard link: programs, libraries and other large things, headers and stubs.

    Tools replace such files and nobody edits them in place. They are read-only, and each cloning looks at them again.
    """
    return _NEVER_EDITED.fullmatch(path) is not None or (size >= _LARGE and _EDITED.fullmatch(path) is None)


def protect_shared(environment: Path) -> None:
    """Make the files that copies share read-only."""
    for folder, _, files in os.walk(environment):
        for name in files:
            path = f"{folder}/{name}"
            state = os.lstat(path)
            if stat.S_ISREG(state.st_mode) and is_shared(name, state.st_size):
                Path(path).chmod(stat.S_IMODE(state.st_mode) & 0o555)


def check_shared(environment: Path, index: Snapshot) -> None:
    """Raises Damaged where somebody has written to a file through one of the copies."""
    root = os.fspath(environment)
    for path, entry in index.entries.items():
        if entry.kind == "f" and is_shared(path, entry.size):
            try:
                state = os.lstat(f"{root}/{path}")
            except FileNotFoundError as error:
                raise Damaged(path) from error
            if (state.st_size, state.st_mtime_ns) != (entry.size, entry.mtime_ns):
                raise Damaged(path)
            if state.st_mode & 0o777 != entry.mode:
                Path(root, path).chmod(entry.mode)


def copy_environment(source: Path, index: Snapshot, target: Path) -> None:
    """Make `target`, which must not exist, a copy of the environment `source`: reflinks, hard links or copies.

    Raises Damaged where the source is not what `index` says.
    """
    target.mkdir()
    _Copier(os.fspath(source), index, os.fspath(target)).copy_folder("")


_HALF_COMPILED = re.compile(r"\.pyc\.[0-9]+$")
"""What Python calls a compiled module until it is whole; it is renamed at any moment."""


class _Copier:
    def __init__(self, source: str, index: Snapshot, target: str) -> None:
        self._source, self._target = source, target
        self._entries = index.entries
        self._can_link = True
        self._can_reflink = _can_reflink(Path(source), Path(target))

    def copy_folder(self, folder: str) -> None:
        compiled = folder.endswith(_CACHE)
        with os.scandir(f"{self._source}/{folder}") as found:
            for item in found:
                path = f"{folder}/{item.name}" if folder else item.name
                if compiled and _HALF_COMPILED.search(item.name):
                    continue
                if item.is_symlink():
                    os.symlink(os.readlink(item.path), f"{self._target}/{path}")
                elif item.is_dir():
                    os.mkdir(f"{self._target}/{path}")
                    self.copy_folder(path)
                else:
                    self._copy_file(path, item.stat(), compiled)
        Path(self._target, folder).chmod(stat.S_IMODE(os.stat(f"{self._source}/{folder}").st_mode))

    def _copy_file(self, path: str, state: os.stat_result, compiled: bool) -> None:
        entry = self._entries.get(path)
        if entry is not None and (entry.size, entry.mtime_ns) != (state.st_size, state.st_mtime_ns):
            raise Damaged(path)
        # Python replaces compiled files and never writes into one.
        if not ((compiled or (is_shared(path, state.st_size) and not self._can_reflink)) and self._link(path)):
            self._copy_content(path, state)

    def _link(self, path: str) -> bool:
        if not self._can_link:
            return False
        try:
            os.link(f"{self._source}/{path}", f"{self._target}/{path}")
        except OSError as error:
            if error.errno not in {errno.EXDEV, errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP}:
                raise
            self._can_link = error.errno == errno.EMLINK
            return False
        return True

    def _copy_content(self, path: str, state: os.stat_result) -> None:
        original = os.open(f"{self._source}/{path}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            copy = os.open(f"{self._target}/{path}", flags, 0o600)
            try:
                if self._can_reflink:
                    fcntl.ioctl(copy, _FICLONE, original)
                else:
                    _copy_bytes(original, copy)
                os.fchmod(copy, stat.S_IMODE(state.st_mode))
                os.utime(copy, ns=(state.st_atime_ns, state.st_mtime_ns))
            finally:
                os.close(copy)
        finally:
            os.close(original)


def _can_reflink(source: Path, target: Path) -> bool:
    """Whether files of the folder `target` can share blocks with those of `source`."""
    asked, answer = source / "pyvenv.cfg", target / ".reflink"
    try:
        with asked.open("rb") as original, answer.open("wb") as copy:
            fcntl.ioctl(copy, _FICLONE, original.fileno())
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        return False
    finally:
        answer.unlink(missing_ok=True)
    return True


def _copy_bytes(original: int, copy: int) -> None:
    while chunk := os.read(original, _LARGE):
        view = memoryview(chunk)
        while view:
            view = view[os.write(copy, view) :]

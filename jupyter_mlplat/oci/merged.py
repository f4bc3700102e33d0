"""The folders of an overlay as its container sees them: the first one hides what lies below it."""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from jupyter_mlplat.oci.beneath import open_beneath, opened_folder

_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV}


def is_whiteout(found: os.stat_result) -> bool:
    """Whether an entry of an overlay's folder says that the name is gone."""
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def is_opaque(folder: int, *, user: bool = False) -> bool:
    """Whether the open folder hides the same folder of lower layers; `user` for mounts with `userxattr`."""
    try:
        return os.getxattr(folder, f"{'user' if user else 'trusted'}.overlay.opaque") == b"y"
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.EOPNOTSUPP):
            return False
        raise


class Merged:
    """`layers` are the paths of the folders, uppermost first. Links are never followed. Use as a context manager."""

    def __init__(self, layers: Sequence[str], *, user_xattrs: bool = False) -> None:
        self._paths = layers
        self._user = user_xattrs
        self._open = ExitStack()
        self._layers: list[int] = []

    def __enter__(self) -> "Merged":
        self._layers = [self._open.enter_context(opened_folder(path)) for path in self._paths]
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def stat(self, path: str) -> os.stat_result | None:
        """What stands at `path`, None where nothing does."""
        for layer in self._layers:
            try:
                descriptor = open_beneath(layer, path, os.O_PATH)
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise
                if self._hides(layer, path):
                    return None
                continue
            try:
                found = os.fstat(descriptor)
                return None if is_whiteout(found) else found
            finally:
                os.close(descriptor)
        return None

    def names(self, path: str) -> list[str]:
        """The names in the folder `path`, in order; none where there is no such folder."""
        found: dict[str, bool] = {}
        for layer in self._layers:
            if not self._add_names(layer, path, found):
                break
        return sorted(name for name, there in found.items() if there)

    def read(self, path: str, limit: int) -> bytes | None:
        """The first `limit` bytes of a file; None where there is none."""
        for layer in self._layers:
            try:
                descriptor = open_beneath(layer, path)
            except OSError as error:
                if error.errno not in _ABSENT | {errno.ENXIO}:
                    raise
                if error.errno == errno.ENXIO or self._hides(layer, path):
                    return None
                continue
            try:
                return os.read(descriptor, limit) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
            finally:
                os.close(descriptor)
        return None

    def hidden_by(self, path: str) -> str | None:
        """The folder above `path` by which the uppermost layer hides what lower ones have there; None without one."""
        above = list(_ancestors(path))[:-1]
        return next((place for place in above if self._blocks(self._layers[0], place)), None)

    def _add_names(self, layer: int, path: str, found: dict[str, bool]) -> bool:
        """Note the names of one layer that no higher one has; False where lower layers no longer count."""
        try:
            folder = open_beneath(layer, path, os.O_DIRECTORY)
        except OSError as error:
            if error.errno not in _ABSENT:
                raise
            return not self._hides(layer, path)
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    found.setdefault(entry.name, not is_whiteout(entry.stat(follow_symlinks=False)))
            return not is_opaque(folder, user=self._user)
        finally:
            os.close(folder)

    def _hides(self, layer: int, path: str) -> bool:
        """Whether this layer, which does not have `path`, hides what lower layers have there."""
        return any(self._blocks(layer, place) for place in _ancestors(path))

    def _blocks(self, layer: int, path: str) -> bool:
        try:
            descriptor = open_beneath(layer, path, os.O_PATH)
        except OSError as error:
            # A link in the way stands where lower layers have a folder.
            return error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EXDEV)
        try:
            if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
                return True
            folder = open_beneath(layer, path, os.O_DIRECTORY)
            try:
                return is_opaque(folder, user=self._user)
            finally:
                os.close(folder)
        finally:
            os.close(descriptor)


def _ancestors(path: str) -> Iterator[str]:
    """The folders that `path` lies in, uppermost first, and `path` itself."""
    parts = path.split("/")
    return ("/".join(parts[:count]) for count in range(1, len(parts) + 1))

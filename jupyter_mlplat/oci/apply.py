"""Unpacks layers into a folder, trusting none of them."""

# Tens of thousands of names: plain strings are several times faster than paths.
# ruff: noqa: PTH101, PTH102, PTH108, PTH114, PTH211

import hashlib
import os
import posixpath
import shutil
import stat
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO

import zstandard

from jupyter_mlplat.errors import InvalidInput
from jupyter_mlplat.oci.member import leads_out, xattrs_of

_CHUNK = 1 << 20
_ZEROS = bytes(_CHUNK)
_HIDDEN = ".wh."
_OPAQUE = ".wh..wh..opq"


class _CheckedReader:
    """Passes a compressed layer on and hashes it on the way."""

    def __init__(self, source: IO[bytes], read: Callable[[int], None]) -> None:
        self._source, self._told = source, read
        self._hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        piece = self._source.read(size)
        self._hash.update(piece)
        self._told(len(piece))
        return piece

    def digest(self) -> str:
        """The digest of the whole, what nobody has read yet included."""
        while self.read(_CHUNK):
            pass
        return f"sha256:{self._hash.hexdigest()}"


def apply_layer(
    blob: Path, digest: str, target: Path, *, prefix: str = "", read: Callable[[int], None] = lambda _: None
) -> None:
    """Unpack the tar+zstd layer `blob` over what lies in the folder `target`.

    Only what lies below `prefix` is taken, without it. `read` is told the compressed bytes as they go. Raises
    InvalidInput, in words, for a layer that is damaged or that would reach outside the target: absolute names, `..`,
    links that lead out, names below a link, devices. The target is then worthless.
    """
    with blob.open("rb") as file:
        checked = _CheckedReader(file, read)
        try:
            with zstandard.ZstdDecompressor().stream_reader(checked, read_across_frames=True) as plain:  # type: ignore[arg-type]
                _unpack(plain, _Target(target, prefix))
        except (tarfile.TarError, zstandard.ZstdError, zlib.error, EOFError) as error:
            raise InvalidInput(f"The layer {digest} is damaged: {error}.") from error
        if checked.digest() != digest:
            raise InvalidInput(f"The layer {digest} is damaged: its content has another digest.")


def _unpack(plain: IO[bytes], target: "_Target") -> None:
    with tarfile.open(fileobj=plain, mode="r|", bufsize=_CHUNK, encoding="utf-8", errors="surrogateescape") as archive:
        for info in archive:
            target.add(info, archive)
    target.finish()


class _Target:
    """The folder that is written to. Every parent of a name is known to be a real folder before the name is made."""

    def __init__(self, root: Path, prefix: str) -> None:
        self._root = os.fspath(root)
        self._prefix = prefix.strip("/")
        self._folders = {""}
        self._made: set[str] = set()
        self._late: dict[str, tuple[int, int]] = {}

    def add(self, info: tarfile.TarInfo, archive: tarfile.TarFile) -> None:
        path = self._inside(info.name)
        if path is None:
            return
        folder, name = posixpath.split(path)
        if name == _OPAQUE:
            self._empty(folder)
        elif name.startswith(_HIDDEN):
            self._hide(posixpath.join(folder, name.removeprefix(_HIDDEN)))
        elif info.isdir():
            self._add_folder(path, info)
        elif path:
            self._add_leaf(path, info, archive)

    def finish(self) -> None:
        """Give the folders their modes and times, innermost first."""
        for path, (mode, mtime) in sorted(self._late.items(), reverse=True):
            if path in self._folders:
                os.chmod(self._place(path), mode)
                os.utime(self._place(path), (mtime, mtime))

    def _add_leaf(self, path: str, info: tarfile.TarInfo, archive: tarfile.TarFile) -> None:
        self._make_parents(path)
        if info.isreg():
            self._remove(path)
            self._write(path, info, archive)
        elif info.issym():
            self._check_symlink(path, info.linkname)
            self._remove(path)
            os.symlink(info.linkname, self._place(path))
        elif info.islnk():
            self._link(path, info.linkname)
        else:
            raise InvalidInput(f"The layer holds a device or a pipe ({info.name}), which is refused.")
        self._made.add(path)

    def _write(self, path: str, info: tarfile.TarInfo, archive: tarfile.TarFile) -> None:
        content = archive.extractfile(info)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._place(path), flags, 0o600)
        try:
            with open(descriptor, "wb", buffering=0, closefd=False) as file:
                left = info.size
                while left and content is not None:
                    left -= _copy_chunk(content, file, left, info.name)
                file.truncate()
            for name, value in xattrs_of(info).items():
                _set_xattr(descriptor, name, value)
            os.fchmod(descriptor, info.mode & 0o777)
            os.utime(descriptor, (int(info.mtime), int(info.mtime)))
        finally:
            os.close(descriptor)

    def _link(self, path: str, target: str) -> None:
        original = self._inside(target)
        if not original or not self._is_real(posixpath.dirname(original)) or not self._is_file(original):
            raise InvalidInput(f"The layer holds a link that leads outside the image ({path} to {target}).")
        if original != path:
            self._remove(path)
            os.link(self._place(original), self._place(path), follow_symlinks=False)

    def _check_symlink(self, path: str, target: str) -> None:
        if leads_out(path, target):
            raise InvalidInput(f"The layer holds a link that leads outside the image ({path} to {target}).")

    def _add_folder(self, path: str, info: tarfile.TarInfo) -> None:
        self._make_parents(path)
        self._make_folder(path)
        self._made.add(path)
        self._late[path] = info.mode & 0o777, int(info.mtime)

    def _make_parents(self, path: str) -> None:
        parent = posixpath.dirname(path)
        if parent not in self._folders:
            self._make_parents(parent)
            if os.path.islink(self._place(parent)):
                raise InvalidInput(f"The layer writes below a link ({path}), which is refused.")
            self._make_folder(parent)
            self._made.add(parent)

    def _make_folder(self, path: str) -> None:
        if path in self._folders:
            return
        if not self._is_real(path):
            self._remove(path)
            os.mkdir(self._place(path), 0o755)
        self._folders.add(path)

    def _hide(self, path: str) -> None:
        if posixpath.basename(path) in ("", ".", ".."):
            raise InvalidInput("The layer holds a whiteout without a name, which is refused.")
        if path not in self._made and self._is_real(posixpath.dirname(path)):
            self._remove(path)

    def _empty(self, folder: str) -> None:
        """Remove what lower layers left in a folder; what this layer has made stays."""
        if not self._is_real(folder):
            return
        for name in os.listdir(self._place(folder)):
            path = posixpath.join(folder, name)
            if path not in self._made:
                self._remove(path)
            elif path in self._folders:
                self._empty(path)

    def _remove(self, path: str) -> None:
        place = self._place(path)
        try:
            mode = os.lstat(place).st_mode
        except FileNotFoundError:
            return
        if stat.S_ISDIR(mode):
            shutil.rmtree(place)
            gone = path + "/"
            self._folders = {each for each in self._folders if each != path and not each.startswith(gone)}
        else:
            os.unlink(place)

    def _inside(self, name: str) -> str | None:
        """The place of an entry below the target; None for one outside the prefix. InvalidInput for a trick."""
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if name.startswith("/") or ".." in parts or "\0" in name:
            raise InvalidInput(f"The layer holds a name that leads outside the image ({name!r}), which is refused.")
        path = "/".join(parts)
        if not self._prefix or path == self._prefix:
            return path if not self._prefix else ""
        return path.removeprefix(self._prefix + "/") if path.startswith(self._prefix + "/") else None

    def _place(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root

    def _is_real(self, path: str) -> bool:
        """Whether `path` is a folder, reached through folders only."""
        if path in self._folders:
            return True
        parent = posixpath.dirname(path)
        if not self._is_real(parent):
            return False
        try:
            return stat.S_ISDIR(os.lstat(self._place(path)).st_mode)
        except FileNotFoundError:
            return False

    def _is_file(self, path: str) -> bool:
        try:
            return stat.S_ISREG(os.lstat(self._place(path)).st_mode)
        except FileNotFoundError:
            return False


def _copy_chunk(content: IO[bytes], file: IO[bytes], left: int, name: str) -> int:
    """Copy the next chunk; one of zeros becomes a hole."""
    chunk = content.read(min(left, _CHUNK))
    if not chunk:
        raise InvalidInput(f"The layer is damaged: {name} ends too early.")
    if len(chunk) == _CHUNK and chunk == _ZEROS:
        file.seek(_CHUNK, os.SEEK_CUR)
        return _CHUNK
    view = memoryview(chunk)
    while view:
        view = view[file.write(view) :]
    return len(chunk)


def _set_xattr(descriptor: int, name: str, value: bytes) -> None:
    """Attributes are a nicety: a file system that has none of them is no error."""
    if name.startswith("user.") and hasattr(os, "setxattr"):
        try:
            os.setxattr(descriptor, name, value)
        except OSError:
            return

"""Writes a layer: members in, tar+zstd out, digests told."""

import errno
import os
from collections.abc import Callable, Iterable
from dataclasses import replace

from jupyter_mlplat.oci.compression import LEVEL, Compressed, CompressedStream, Output
from jupyter_mlplat.oci.member import BLOCK, Kind, Member, header, padding

_CHUNK = 1 << 20
_WHOLE = 8 << 20
"""Files up to this size are read at once, so that one that changes meanwhile can be read again."""

_ATTEMPTS = 5


class SourceChanged(Exception):
    """A file was changed or removed while it was read; `path` is its place in the image."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


class Cancelled(Exception):
    """Nobody wants the layer any more."""


def open_path(source: str) -> int:
    """A descriptor of the file at the path `source`, which is no link itself."""
    return os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def write_layer(
    members: Iterable[Member],
    out: Output,
    *,
    written: Callable[[int], None] = lambda _: None,
    opened: Callable[[str], int] = open_path,
    level: int = LEVEL,
) -> Compressed:
    """Write `members`, in their order, to `out`.

    `written` is told the bytes of file content as they go; what it raises ends the writing. `opened` opens a member's
    `source`. Raises SourceChanged for a file that does not hold still: the layer is then worthless, and the caller may
    look at the folder anew.
    """
    with CompressedStream(out, level=level) as stream:
        tape = _Tape(stream, written, opened)
        for member in members:
            tape.add(member)
        tape.flush(b"\0" * (2 * BLOCK))
        return stream.finish()


class _Tape:
    """Gathers small things, so that each chunk is worth a thread's while."""

    def __init__(self, stream: CompressedStream, written: Callable[[int], None], opened: Callable[[str], int]) -> None:
        self._stream = stream
        self._written = written
        self._opened = opened
        self._pending: list[bytes] = []
        self._size = 0

    def add(self, member: Member) -> None:
        if member.kind is not Kind.FILE or member.source is None:
            self._put(header(member))
        elif member.size <= _WHOLE or member.transform is not None:
            content, mode = self._read_whole(member.path, member.source)
            content = member.transform(content) if member.transform else content
            self._put(_as_found(member, len(content), mode), content, padding(len(content)))
            self._written(member.size)
        else:
            self._stream_file(member, member.source)

    def flush(self, last: bytes = b"") -> None:
        self._stream.write(b"".join([*self._pending, last]))
        self._pending, self._size = [], 0

    def _put(self, *pieces: bytes) -> None:
        self._pending.extend(pieces)
        self._size += sum(map(len, pieces))
        if self._size >= _CHUNK:
            self.flush()

    def _stream_file(self, member: Member, source: str) -> None:
        descriptor = self._open(member.path, source)
        try:
            before = os.fstat(descriptor)
            self._put(_as_found(member, before.st_size, before.st_mode))
            self.flush()
            self._copy(member.path, descriptor, before.st_size)
            self._put(padding(before.st_size))
            if _state(before) != _state(os.fstat(descriptor)):
                raise SourceChanged(member.path)
        finally:
            os.close(descriptor)

    def _copy(self, path: str, descriptor: int, left: int) -> None:
        while left:
            chunk = os.read(descriptor, min(left, 4 * _CHUNK))
            if not chunk:
                raise SourceChanged(path)
            self._stream.write(chunk)
            self._written(len(chunk))
            left -= len(chunk)

    def _read_whole(self, path: str, source: str) -> tuple[bytes, int]:
        """The content and the mode of a small file, read again if it changes meanwhile."""
        for _ in range(_ATTEMPTS):
            descriptor = self._open(path, source)
            try:
                before = os.fstat(descriptor)
                content = os.read(descriptor, before.st_size + 1)
                if len(content) == before.st_size and _state(before) == _state(os.fstat(descriptor)):
                    return content, before.st_mode
            finally:
                os.close(descriptor)
        raise SourceChanged(path)

    def _open(self, path: str, source: str) -> int:
        try:
            return self._opened(source)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise SourceChanged(path) from error
        except OSError as error:
            # A link stands where a file or one of its folders was.
            if error.errno in (errno.ELOOP, errno.EXDEV):
                raise SourceChanged(path) from error
            raise


def _as_found(member: Member, size: int, mode: int) -> bytes:
    """The header of a file as it was when it was opened, which may not be how it was when it was listed."""
    found = member.mode & 0o7000 | mode & 0o777
    same = size == member.size and found == member.mode
    return header(member if same else replace(member, size=size, mode=found))


def _state(stat: os.stat_result) -> tuple[int, int, int]:
    return stat.st_size, stat.st_mtime_ns, stat.st_ino

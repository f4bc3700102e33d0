"""Bundles: the files of a job, packed into one tar+zstd that is named by the digest of its bytes.

The same files with the same content give the same bytes: sorted, without times or owners. Unpacking trusts nothing in
a bundle, for whoever may submit a job may have made it by hand.
"""

import contextlib
import errno
import hashlib
import os
import shutil
import stat
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO, cast

import zstandard

from jupyter_mlplat.errors import Conflict, InvalidInput, NoSpace, TooLarge
from jupyter_mlplat.jobs.models import Bundle
from jupyter_mlplat.jobs.survey import Excluded, File, Limits, Survey, size_in_words, stays_inside, survey

__all__ = ["Bundle", "Excluded", "File", "Limits", "Survey", "pack", "survey", "unpack"]

_LEVEL = 3
_WINDOW_AT_MOST = 128 * 1024**2
_HEADERS_AT_MOST = 1024**2
_END_OF_TAR = 1024


def pack(survey: Survey, target: Path) -> Bundle:
    """Pack what was surveyed into the file `target`, which appears whole or not at all.

    Raises Conflict where a file changed or went away since the survey, NoSpace where the disk is full.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as raw, _full_disk_in_words("pack the files"):
            sink = _Hashing(raw)
            _write(survey, sink)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Bundle(digest=f"sha256:{sink.hash.hexdigest()}", size=sink.size)


def unpack(bundle: Path, target: Path, limits: Limits | None = None) -> None:
    """Unpack a bundle into the new folder `target`, which appears whole or not at all.

    Raises InvalidInput where the bundle is damaged or reaches for something outside the folder, TooLarge where it holds
    more than the limits allow (one file may be as large as all together).
    """
    limits = limits or Limits()
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        with bundle.open("rb") as raw, _full_disk_in_words("unpack the files"):
            _Unpacking(partial, limits).read(raw)
        partial.chmod(0o755)
        partial.replace(target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


class _Hashing:
    """A sink that knows the digest and the size of what went through."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw, self.hash, self.size = raw, hashlib.sha256(), 0

    def write(self, block: bytes) -> int:
        self.hash.update(block)
        self.size += len(block)
        return self._raw.write(block)


def _write(survey: Survey, sink: _Hashing) -> None:
    # With threads the compressor's output does not depend on how many there are, without them it differs.
    compressor = zstandard.ZstdCompressor(level=_LEVEL, threads=max(1, min(4, os.cpu_count() or 1)))
    with (
        compressor.stream_writer(cast(BinaryIO, sink), closefd=False) as stream,
        tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT, encoding="utf-8") as tar,
    ):
        for file in survey.files:
            _add(tar, survey.folder, file)


def _add(tar: tarfile.TarFile, folder: Path, file: File) -> None:
    header = tarfile.TarInfo(file.path)
    if file.link is not None:
        header.type, header.linkname, header.mode = tarfile.SYMTYPE, file.link, 0o777
        tar.addfile(header)
        return
    with _opened(folder / file.path, file.path) as (content, facts):
        header.size = facts.st_size
        header.mode = 0o755 if facts.st_mode & 0o100 else 0o644
        try:
            tar.addfile(header, content)
        except OSError as error:
            if error.errno is not None:
                raise
            raise Conflict(f"{file.path} was cut short while it was packed. Try again.") from None


@contextlib.contextmanager
def _opened(path: Path, name: str) -> Iterator[tuple[IO[bytes], os.stat_result]]:
    # It may have become a link or a pipe since the survey: neither is followed nor waited for.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise Conflict(f"{name} cannot be read any more ({error.strerror}). Look again and try again.") from None
    with os.fdopen(descriptor, "rb") as content:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise Conflict(f"{name} is no longer a file. Look again and try again.")
        yield content, facts


@contextlib.contextmanager
def _full_disk_in_words(work: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise NoSpace(f"The disk is full: there is no room to {work}. Free some space and try again.") from None


class _Budgeted:
    """Reads no further than the members accepted so far allow: a bomb is noticed before it is held in memory."""

    def __init__(self, stream: zstandard.ZstdDecompressionReader) -> None:
        self._stream, self._left, self._end = stream, _HEADERS_AT_MOST, b""

    def allow(self, size: int) -> None:
        self._left += size

    def read(self, size: int) -> bytes:
        block = self._stream.read(size)
        self._left -= len(block)
        if self._left < 0:
            raise InvalidInput("The bundle is damaged: it has headers without end.")
        if block:
            self._end = (self._end + block[-_END_OF_TAR:])[-_END_OF_TAR:]
        return block

    def finish(self) -> None:
        """Read to the end, which in a whole archive is zeros. A cut one would else pass for one with fewer files."""
        while self.read(_END_OF_TAR):
            pass
        if len(self._end) < _END_OF_TAR or any(self._end):
            raise InvalidInput("The bundle is damaged: its end is missing.")


class _Unpacking:
    def __init__(self, folder: Path, limits: Limits) -> None:
        self._folder, self._limits = folder, limits
        self._count, self._size = 0, 0

    def read(self, raw: IO[bytes]) -> None:
        decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW_AT_MOST)
        with decompressor.stream_reader(raw) as stream:
            source = _Budgeted(stream)
            try:
                with tarfile.open(fileobj=cast(IO[bytes], source), mode="r|", encoding="utf-8") as tar:
                    for member in tar:
                        self._take(tar, member, source)
                source.finish()
            except (tarfile.TarError, zstandard.ZstdError, EOFError, ValueError) as error:
                raise InvalidInput(f"The bundle cannot be read: it is no whole tar+zstd file ({error}).") from None
        self._check_links()

    def _take(self, tar: tarfile.TarFile, member: tarfile.TarInfo, source: _Budgeted) -> None:
        self._count_in(member)
        source.allow(member.size + _HEADERS_AT_MOST)
        place = self._place(member.name)
        if member.isdir():
            place.mkdir(exist_ok=True)
        elif member.issym():
            self._link(member, place)
        elif member.isreg() and not member.issparse():
            self._file(tar, member, place)
        else:
            raise InvalidInput(f"The bundle holds {member.name!r}, which is neither a file nor a link.")

    def _count_in(self, member: tarfile.TarInfo) -> None:
        self._count += 1
        self._size += member.size
        # Folders count as well, and there are at most as many as files in a bundle of ours.
        if self._count > 2 * self._limits.files:
            raise TooLarge(f"The bundle has more than {self._limits.files:,} files.")
        if self._size > self._limits.total_bytes:
            raise TooLarge(f"The bundle unpacks to more than {size_in_words(self._limits.total_bytes)}.")

    def _place(self, name: str) -> Path:
        parts = name.split("/")
        if not name or name.startswith("/") or "\0" in name or any(part in ("", ".", "..") for part in parts):
            raise InvalidInput(f"The bundle holds a file with the name {name!r}, which could lead out of its folder.")
        parent = self._folder
        for part in parts[:-1]:
            parent /= part
            if parent.is_symlink() or (parent.exists() and not parent.is_dir()):
                raise InvalidInput(f"The bundle holds {name!r} below something that is no folder.")
            parent.mkdir(exist_ok=True)
        return parent / parts[-1]

    def _link(self, member: tarfile.TarInfo, place: Path) -> None:
        if "\0" in member.linkname or not stays_inside(member.name, member.linkname):
            raise InvalidInput(f"The bundle holds the link {member.name!r}, which leads out of its folder.")
        with _twice_in_words(member.name):
            place.symlink_to(member.linkname)

    def _file(self, tar: tarfile.TarFile, member: tarfile.TarInfo, place: Path) -> None:
        content = cast(IO[bytes], tar.extractfile(member))
        mode = 0o755 if member.mode & 0o100 else 0o644
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with _twice_in_words(member.name):
            descriptor = os.open(place, flags, mode)
        with os.fdopen(descriptor, "wb") as file:
            shutil.copyfileobj(content, file, 1024**2)

    def _check_links(self) -> None:
        """A link through another link may lead out although each is written as if it stayed inside."""
        root = Path(os.path.realpath(self._folder))
        for folder, folders, files in os.walk(self._folder):
            for name in (*folders, *files):
                place = Path(folder, name)
                if place.is_symlink() and not Path(os.path.realpath(place)).is_relative_to(root):
                    name = place.relative_to(self._folder).as_posix()
                    raise InvalidInput(f"The bundle holds the link {name!r}, which leads out of its folder.")


@contextlib.contextmanager
def _twice_in_words(name: str) -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        raise InvalidInput(f"The bundle holds {name!r} twice.") from None
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise InvalidInput(f"The bundle holds a file whose name is too long: {name[:80]}…") from None

"""Which files of a folder go with a job, and why the others stay behind."""

import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from jupyter_mlplat.errors import InvalidInput, TooLarge
from jupyter_mlplat.jobs.ignore import IGNORE_FILE, Ignore

_SEEN_AT_MOST = 200_000
"""Where the walk gives up: nobody means to send a folder with so many entries."""


@dataclass(frozen=True)
class Limits:
    """What one bundle may hold. `file_bytes` is for one file; a line `!name` in `.mlplatignore` lifts it."""

    files: int = 1_000
    total_bytes: int = 5 * 1024**3
    file_bytes: int = 512 * 1024**2


@dataclass(frozen=True)
class File:
    """A file to pack, its path relative to the folder. `link` is the relative target of a symbolic link."""

    path: str
    size: int
    link: str | None = None


@dataclass(frozen=True)
class Excluded:
    """Something that stays behind. A folder's `path` ends with / and its `size` is None: nobody looked inside."""

    path: str
    size: int | None
    reason: str


@dataclass(frozen=True)
class Survey:
    """What goes (sorted by path, `total_bytes` in sum) and what stays. `entry` is always among the files."""

    folder: Path
    entry: str
    files: tuple[File, ...]
    total_bytes: int
    excluded: tuple[Excluded, ...]


def survey(folder: Path, entry: str, limits: Limits | None = None) -> Survey:
    """Look through `folder` for a job that starts with `entry` (a path below it).

    Raises InvalidInput where the entry is not a file of the folder, TooLarge where the rest is over the limits.
    """
    limits = limits or Limits()
    root = folder.resolve()
    if not root.is_dir():
        raise InvalidInput(f"There is no folder {folder}.")
    walk = _Walk(root, _entry_below(root, entry), Ignore.of(root), limits)
    walk.run()
    walk.check()
    files = tuple(sorted(walk.files, key=lambda file: file.path.encode()))
    excluded = tuple(sorted(walk.excluded, key=lambda row: row.path))
    return Survey(root, walk.entry, files, sum(file.size for file in files), excluded)


def size_in_words(size: float) -> str:
    """Bytes as people read them: 12 B, 3.4 MiB."""
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def stays_inside(path: str, target: str) -> bool:
    """Whether a link at `path` with this target leads, as it is written, to somewhere below the folder."""
    there = os.path.normpath(os.path.join(os.path.dirname(path), target))  # noqa: PTH118, PTH120 – not on a disk
    return not target.startswith("/") and there != ".." and not there.startswith("../")


def _entry_below(root: Path, entry: str) -> str:
    path = Path(os.path.normpath(root / entry))
    if not path.is_relative_to(root) or not path.resolve().is_relative_to(root):
        raise InvalidInput(f"{entry} lies outside the folder {root.name}: choose a file of the folder itself.")
    if not path.is_file():
        raise InvalidInput(f"There is no file {entry} in the folder {root.name}.")
    return (path.parent.resolve() / path.name).relative_to(root).as_posix()


@dataclass
class _Walk:
    root: Path
    entry: str
    ignore: Ignore
    limits: Limits
    files: list[File] = field(default_factory=list)
    excluded: list[Excluded] = field(default_factory=list)
    seen: int = 0

    def __post_init__(self) -> None:
        # An entry that is a link needs the file that it leads to.
        self.needed = {self.entry, (self.root / self.entry).resolve().relative_to(self.root).as_posix()}

    def run(self) -> None:
        folders = [""]
        while folders:
            for row, path in self._rows(folders.pop()):
                if row.is_dir(follow_symlinks=False):
                    if self._enter(row, path):
                        folders.append(f"{path}/")
                else:
                    self._file(row, path)

    def check(self) -> None:
        total = sum(file.size for file in self.files)
        if len(self.files) > self.limits.files:
            folders = Counter(str(PurePosixPath(file.path).parent) for file in self.files).most_common(3)
            most = ", ".join(f"{name} ({count:,})" for name, count in folders)
            raise TooLarge(
                f"The folder has {len(self.files):,} files and {self.limits.files:,} may be sent. "
                f"Most are in {most}. {_WAY_OUT}"
            )
        if total > self.limits.total_bytes:
            biggest = sorted(self.files, key=lambda file: -file.size)[:3]
            most = ", ".join(f"{file.path} ({size_in_words(file.size)})" for file in biggest)
            raise TooLarge(
                f"The folder holds {size_in_words(total)} and {size_in_words(self.limits.total_bytes)} may be sent. "
                f"The biggest are {most}. {_WAY_OUT}"
            )

    def _rows(self, folder: str) -> Iterator[tuple["os.DirEntry[str]", str]]:
        try:
            rows = os.scandir(self.root / folder)
        except OSError as error:
            self._leave(folder, None, f"cannot be read: {error.strerror}")
            return
        with rows:
            for row in rows:
                self.seen += 1
                if self.seen > _SEEN_AT_MOST:
                    raise TooLarge(f"The folder has more than {_SEEN_AT_MOST:,} files and folders. {_WAY_OUT}")
                yield row, folder + row.name

    def _enter(self, row: "os.DirEntry[str]", path: str) -> bool:
        reason = _unfit_name(path) or self.ignore.verdict(path, folder=True).reason
        if reason is None and (Path(row.path) / "pyvenv.cfg").exists():
            reason = "a virtual environment: the image brings the packages"
        if reason is None:
            return True
        needed = [name for name in sorted(self.needed) if name.startswith(f"{path}/")]
        for name in needed:
            facts = (self.root / name).lstat()
            link = self._link(name) if stat.S_ISLNK(facts.st_mode) else None
            self.files.append(File(name, 0 if link else facts.st_size, link))
        self._leave(f"{path}/", None, f"{reason} (all but {', '.join(needed)})" if needed else reason)
        return False

    def _file(self, row: "os.DirEntry[str]", path: str) -> None:
        try:
            facts = row.stat(follow_symlinks=False)
        except FileNotFoundError:
            return
        link = self._link(path) if stat.S_ISLNK(facts.st_mode) else None
        reason = self._reason(row, path, facts, link)
        if reason is None:
            self.files.append(File(path, 0 if link else facts.st_size, link))
        else:
            self._leave(path, facts.st_size, reason)

    def _reason(self, row: "os.DirEntry[str]", path: str, facts: os.stat_result, link: str | None) -> str | None:
        if unfit := _unfit_name(path) or _unfit_kind(row, facts, link):
            return unfit
        if path in self.needed:
            return None
        verdict = self.ignore.verdict(path)
        if verdict.reason is None and link is not None and not verdict.asked:
            verdict = self.ignore.verdict(path, folder=True)
        if verdict.reason is None and not verdict.asked and facts.st_size > self.limits.file_bytes:
            return (
                f"larger than {size_in_words(self.limits.file_bytes)}: put it into storage and give it to jobs as an "
                f"input, or take it in with a line !{path} in {IGNORE_FILE}"
            )
        return verdict.reason

    def _link(self, path: str) -> str | None:
        """The target to pack, relative; None where the link leads out of the folder."""
        place = self.root / path
        target = str(place.readlink())
        real = Path(os.path.realpath(place))
        if not real.is_relative_to(self.root):
            return None
        return target if stays_inside(path, target) else os.path.relpath(real, place.parent)

    def _leave(self, path: str, size: int | None, reason: str) -> None:
        self.excluded.append(Excluded(path.encode("utf-8", "backslashreplace").decode(), size, reason))


_WAY_OUT = (
    f"Leave some out with a file {IGNORE_FILE} in the folder, or put data into storage and give it to jobs as an input."
)


def _unfit_name(path: str) -> str | None:
    try:
        path.encode()
    except UnicodeEncodeError:
        return "its name is not text in UTF-8"
    return None


def _unfit_kind(row: "os.DirEntry[str]", facts: os.stat_result, link: str | None) -> str | None:
    if stat.S_ISLNK(facts.st_mode):
        return None if link else "a link that leads out of the folder"
    if not stat.S_ISREG(facts.st_mode):
        return "not a file (a socket, pipe or device)"
    return None if os.access(row.path, os.R_OK) else "cannot be read: permission denied"

"""Channels: inputs are copied into the job's folder before it runs, outputs out of it while and after it runs."""

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from jupyter_mlplat.errors import BackendFailure, InvalidInput
from jupyter_mlplat.runner.layout import JobFolder, Spec
from jupyter_mlplat.runner.log import Log
from jupyter_mlplat.runner.state import replacing


def copy_inputs(spec: Spec, folder: JobFolder, log: Log) -> None:
    """Copy every input to inputs/NAME, a folder. What an earlier attempt has brought already is not copied again.

    Raises InvalidInput where an input is not there, BackendFailure where it cannot be copied.
    """
    for name, source in spec.inputs:
        place = Path(source)
        if not place.exists():
            raise InvalidInput(f"The input {name!r} does not exist: there is nothing at its address in the storage.")
        try:
            count, size = _copy(place, folder.inputs / name)
        except OSError as error:
            raise BackendFailure(f"The input {name!r} could not be copied: {error.strerror or error}.") from error
        log.note(f"input {name}: {count:,} files, {size / 1e6:,.1f} MB")


class Outputs:
    """Keeps the local folders of the output channels like outputs/NAME: new and changed files are copied, none removed.

    A file appears there whole. One that changes while it is copied is copied again the next time. A channel whose
    folder is outputs/NAME itself is brought home by somebody else.
    """

    def __init__(self, spec: Spec, folder: JobFolder) -> None:
        self._channels = [(name, folder.outputs / name, Path(target)) for name, target in spec.outputs]
        self._staged = folder.outgoing
        self._copied: dict[Path, tuple[int, int]] = {}

    def prepare(self) -> None:
        for _, source, _ in self._channels:
            source.mkdir(parents=True, exist_ok=True)

    def push(self) -> None:
        """Copy what is new. Raises BackendFailure that names the channel."""
        for name, source, target in self._channels:
            if source == target:
                continue
            try:
                for path in files_in(source):
                    self._push(path, target / path.relative_to(source))
            except OSError as error:
                why = error.strerror or error
                raise BackendFailure(f"The output {name!r} could not be copied to the storage: {why}.") from error

    def _push(self, path: Path, target: Path) -> None:
        with contextlib.suppress(FileNotFoundError):  # files come and go while the job runs
            facts = path.stat()
            version = (facts.st_size, facts.st_mtime_ns)
            if self._copied.get(path) != version:
                shutil.copyfile(path, self._staged)
                target.parent.mkdir(parents=True, exist_ok=True)
                _move(self._staged, target)
                self._copied[path] = version


def _move(staged: Path, target: Path) -> None:
    try:
        staged.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with replacing(target) as partial:
            shutil.copyfile(staged, partial)


def _copy(source: Path, target: Path) -> tuple[int, int]:
    files = [(path, target / path.relative_to(source)) for path in files_in(source)]
    if source.is_file():
        files = [(source, target / source.name)]
    target.mkdir(parents=True, exist_ok=True)
    for path, place in files:
        facts = path.stat()
        if not place.exists() or (facts.st_size, facts.st_mtime_ns) != _version(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            with replacing(place) as partial:
                shutil.copy2(path, partial)
    return len(files), sum(path.stat().st_size for path, _ in files)


def _version(path: Path) -> tuple[int, int]:
    facts = path.stat()
    return facts.st_size, facts.st_mtime_ns


def files_in(folder: Path) -> Iterator[Path]:
    """The files below a folder. Links are left alone, for they may lead anywhere; so is what we are writing."""
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            with contextlib.suppress(FileNotFoundError):
                if stat.S_ISREG(path.lstat().st_mode) and not _in_the_making(name):
                    yield path


def _in_the_making(name: str) -> bool:
    return name.startswith(".") and name.endswith(".partial")

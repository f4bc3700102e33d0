"""Channels: inputs are copied into the job's folder before it runs, outputs out of it while and after it runs."""

import contextlib
import errno
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from jupyter_mlplat.errors import BackendFailure, InvalidInput, MlplatError
from jupyter_mlplat.runner.layout import JobFolder, Spec
from jupyter_mlplat.runner.log import Log
from jupyter_mlplat.runner.state import replacing

if TYPE_CHECKING:
    from jupyter_mlplat.runner.stores import JobStores


def copy_inputs(spec: Spec, folder: JobFolder, log: Log, stores: "JobStores | None" = None) -> None:
    """Bring every input to inputs/NAME, a folder. What an earlier attempt has brought already is not copied again.

    Raises InvalidInput where an input is not there, BackendFailure where it cannot be copied.
    """
    for name, source in spec.inputs:
        if stores is not None and is_url(source):
            from jupyter_mlplat.runner.remote import fetch

            fetch(name, source, folder, stores.store_for)
        else:
            _copy_input(name, Path(source), folder.inputs / name)
        found = [path.stat().st_size for path in files_in(folder.inputs / name)]
        log.note(f"input {name}: {len(found):,} files, {sum(found) / 1e6:,.1f} MB")


def is_url(place: str) -> bool:
    """Whether a channel is at an endpoint, not a folder of this machine."""
    return place.startswith("obs://")


def stores_of(spec: Spec) -> "JobStores | None":
    """What leads to the channels at endpoints; None where the job has none."""
    if not any(is_url(place) for place in (*dict(spec.inputs).values(), *dict(spec.outputs).values(), spec.logs_to)):
        return None
    from jupyter_mlplat.runner.stores import JobStores

    return JobStores.read(spec.job_id, sys.stdin.buffer)


class Output(Protocol):
    """A folder of the job that is kept elsewhere too: new and changed files are sent, none is removed there."""

    name: str
    source: Path

    def push(self, files: Iterator[Path], *, last: bool) -> None:
        """Send what is new of these. BackendFailure with the reason; `last` says that there will be no other time."""

    def adopt(self, files: Iterator[Path]) -> None:
        """Leave out those of these that are there already: an earlier attempt may have sent them."""


class Outputs:
    """The outputs of a job, and its logs where they are sent somewhere. A channel whose folder is outputs/NAME itself
    is brought home by somebody else."""

    def __init__(self, spec: Spec, folder: JobFolder, stores: "JobStores | None" = None) -> None:
        self._folder, self._stores, self._job_id = folder, stores, spec.job_id
        self._folders = [folder.outputs / name for name, _ in spec.outputs]
        channels = [(name, folder.outputs / name, target) for name, target in spec.outputs]
        self._outputs = [self._output(*one) for one in channels if str(one[1]) != one[2]]
        self._logs = self._output(".logs", folder.logs, spec.logs_to) if spec.logs_to else None

    def prepare(self) -> None:
        for place in self._folders:
            place.mkdir(parents=True, exist_ok=True)

    def adopt(self) -> None:
        """What lies in the channels' folders now may have been sent by an earlier attempt: that is looked up."""
        for one in self._outputs:
            one.adopt(files_in(one.source))

    def push(self, *, last: bool = False) -> None:
        """Send what is new of every channel. Raises BackendFailure that names those which failed, and why."""
        failed = [f"The output {one.name!r} {why}" for one in self._outputs if (why := _pushed(one, last=last))]
        if not last:
            failed += self.push_logs()
        if failed:
            kept = f" It is kept with the job: mlplat job download {self._job_id} FOLDER." if last else ""
            raise BackendFailure(" ".join(failed) + kept)

    def push_logs(self, *, last: bool = False) -> list[str]:
        """Send what is new of the logs; why that failed, if it did."""
        why = _pushed(self._logs, last=last) if self._logs else ""
        return [f"The log {why}"] if why else []

    def _output(self, name: str, source: Path, target: str) -> Output:
        if self._stores is None or not is_url(target):
            return _LocalOutput(name, source, Path(target), self._folder.outgoing)
        from jupyter_mlplat.runner.remote import RemoteOutput

        return RemoteOutput(name, source, target, self._folder, self._stores.store_for)


def _pushed(output: Output, *, last: bool) -> str:
    """Why an output could not be sent; empty where it was."""
    try:
        output.push(files_in(output.source), last=last)
    except MlplatError as error:
        return f"could not be sent to the storage: {error.message.rstrip('.')}."
    except OSError as error:
        return f"could not be copied to the storage: {error.strerror or error}."
    return ""


class _LocalOutput:
    """A file appears there whole. One that changes while it is copied is copied again the next time."""

    def __init__(self, name: str, source: Path, target: Path, staged: Path) -> None:
        self.name, self.source = name, source
        self._target, self._staged = target, staged
        self._copied: dict[Path, tuple[int, int]] = {}

    def push(self, files: Iterator[Path], *, last: bool) -> None:
        for path in files:
            self._push(path, self._target / path.relative_to(self.source))

    def adopt(self, files: Iterator[Path]) -> None:
        """A copy on one machine costs no more than a comparison."""

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


def _copy_input(name: str, source: Path, target: Path) -> None:
    if not source.exists():
        raise InvalidInput(f"The input {name!r} does not exist: there is nothing at its address in the storage.")
    try:
        _copy(source, target)
    except OSError as error:
        raise BackendFailure(f"The input {name!r} could not be copied: {error.strerror or error}.") from error


def _copy(source: Path, target: Path) -> None:
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

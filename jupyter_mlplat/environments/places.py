"""Where environments lie inside an instance's environment, what they may be called, and how one comes to be there.

    envs/NAME/                      an environment, whole
    envs/.NAME.partial/             one that is being made or removed, locked by who does it
    share/jupyter/kernels/NAME/     its kernel, there last and gone first

A process that is killed leaves a partial folder that nobody has locked; `sweep` removes it.
"""

import fcntl
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from jupyter_mlplat.environments.kernels import kernel_folder, register, unregister
from jupyter_mlplat.errors import AlreadyExists, Conflict, InvalidInput, NotAllowed, NotFound

BASE = "base"
"""What the instance's own environment is called among the others."""

RESERVED = frozenset({BASE, "python", "python2", "python3"})
"""Names that mean the instance's own environment, or its kernel."""

ENVS = "envs"
FACTS = ".mlplat-environment.json"

_NAME = re.compile(r"[a-z0-9_-]{1,64}")
_PARTIAL = re.compile(r"\.(?P<name>.+)\.partial")


@dataclass(frozen=True)
class Facts:
    """What is noted of an environment when it is made. `source` says in words what from; times in ISO 8601, UTC."""

    source: str
    created_at: str

    @classmethod
    def now(cls, source: str) -> "Facts":
        return cls(source, datetime.now(UTC).isoformat(timespec="seconds"))

    def write(self, folder: Path) -> None:
        (folder / FACTS).write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, folder: Path) -> "Facts | None":
        """None for an environment that was made by hand."""
        try:
            facts = json.loads((folder / FACTS).read_bytes())
            return cls(str(facts["source"]), str(facts["created_at"]))
        except (OSError, ValueError, LookupError, TypeError):
            return None


def check_name(name: str) -> None:
    """InvalidInput, in words, for a name that no environment can have."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{name!r} cannot be the name of an environment: take 1 to 64 lower-case letters, digits, - or _."
        )
    if name in RESERVED:
        raise InvalidInput(f"{name} is the instance's own environment. Choose another name.")


def folder_of(environment: Path, name: str) -> Path:
    """The folder of an environment that is there: the instance's own for BASE. NotFound."""
    if name == BASE:
        return environment
    folder = environment / ENVS / name
    if not _NAME.fullmatch(name) or not (folder / "bin").is_dir():
        raise NotFound(f"There is no environment {name!r} in this instance.")
    return folder


def check_free(environment: Path, name: str) -> None:
    """InvalidInput for a bad name, AlreadyExists where an environment or another kernel has it."""
    check_name(name)
    if (environment / ENVS / name).exists():
        raise AlreadyExists(f"There is an environment {name} already. Remove it, or choose another name.")
    if kernel_folder(environment, name).exists():
        raise AlreadyExists(f"There is a kernel {name} already, which a package has brought. Choose another name.")


@contextmanager
def making(environment: Path, name: str, facts: Facts) -> Iterator[Path]:
    """A partial folder to make an environment in: it gets its name, then its kernel, if nothing is raised.

    Else it is removed. InvalidInput, AlreadyExists; Conflict where somebody else is making it.
    """
    check_free(environment, name)
    (environment / ENVS).mkdir(exist_ok=True)
    with _claimed(environment / ENVS / f".{name}.partial") as partial:
        yield partial
        facts.write(partial)
        target = environment / ENVS / name
        try:
            partial.rename(target)
        except OSError as error:
            if target.exists():
                raise AlreadyExists(f"There is an environment {name} by now. Choose another name.") from error
            raise
        register(environment, name, target)


def remove(environment: Path, name: str) -> None:
    """Take an environment and its kernel away. NotAllowed for the instance's own, NotFound, Conflict."""
    if name == BASE:
        raise NotAllowed("The instance's own environment cannot be removed: its kernels and terminals run on it.")
    folder = folder_of(environment, name)
    with _claimed(environment / ENVS / f".{name}.partial") as partial:
        unregister(environment, name)
        folder.rename(partial)


def sweep(environment: Path) -> None:
    """Remove what killed processes have left half made, and offer the kernels that they did not get to."""
    for partial, _ in _partials(environment):
        with suppress(Conflict, FileNotFoundError), _locked(partial):
            shutil.rmtree(partial, ignore_errors=True)
    for folder in whole(environment):
        if Facts.read(folder) is not None and not kernel_folder(environment, folder.name).exists():
            register(environment, folder.name, folder)


def whole(environment: Path) -> list[Path]:
    """The folders of the environments beside the instance's own, by name; what is no environment is left out."""
    found = sorted((environment / ENVS).glob("*/bin"))
    return [place.parent for place in found if _NAME.fullmatch(place.parent.name)]


def half_made(environment: Path) -> list[str]:
    """The names of the environments that somebody is making or removing now."""
    return [name for partial, name in _partials(environment) if _is_locked(partial)]


def _partials(environment: Path) -> list[tuple[Path, str]]:
    found = sorted((environment / ENVS).glob(".*.partial"))
    return [(folder, match["name"]) for folder in found if (match := _PARTIAL.fullmatch(folder.name))]


@contextmanager
def _claimed(partial: Path) -> Iterator[Path]:
    """An empty folder of ours until the end, then gone; what a killed process has left there goes first."""
    with suppress(FileNotFoundError), _locked(partial):
        shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir()
    except FileExistsError as error:
        raise _busy(partial) from error
    with _locked(partial):
        try:
            yield partial
        finally:
            shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a folder; the lock ends with the process. Conflict where another has it, FileNotFoundError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise _busy(folder) from error
    finally:
        os.close(descriptor)


def _is_locked(folder: Path) -> bool:
    try:
        with _locked(folder):
            return False
    except Conflict:
        return True
    except FileNotFoundError:
        return False


def _busy(partial: Path) -> Conflict:
    match = _PARTIAL.fullmatch(partial.name)
    name = match["name"] if match else partial.name
    return Conflict(f"The environment {name} is being made or removed just now. Wait for it, or choose another name.")


Say = Callable[[str], None]
"""Told what goes on, a line at a time."""

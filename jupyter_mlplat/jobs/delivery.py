"""What the nodes of a job on a cluster bring to the platform, kept in the job's folder (blocking).

`attempt.json` says what the attempt is made of; `nodes/N/` what is known of one node: `pod.json` whose words count and
where in the log and the metrics they begin, `state.json` as its runner wrote it, `ended` once nothing more will come.
Logs, metrics, notebook and outputs lie where they lie on one machine.
"""

import errno
import fcntl
import json
import os
import shutil
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from jupyter_mlplat.core.files import full_disk_in_words, write_atomically
from jupyter_mlplat.errors import Conflict, InvalidInput
from jupyter_mlplat.runner.layout import JobFolder
from jupyter_mlplat.runner.state import State, replacing
from jupyter_mlplat.storage.object_urls import is_object_url

_STATE = TypeAdapter(State)
_WORDS_AT_MOST = 10_000

Stream = Literal["log", "metrics"]


@dataclass(frozen=True)
class Attempt:
    """One attempt: the spec of its runners (but for the number of the node), its bundle, and its channels: folders of
    the built-in store, or URLs at endpoints."""

    attempt: int
    nodes: int
    bundle: str
    spec: dict[str, Any]
    inputs: list[tuple[str, str]] = field(default_factory=list)
    outputs: list[tuple[str, str]] = field(default_factory=list)
    logs: str = ""
    """Where the log goes besides; empty for nowhere."""

    stopping: bool = False
    """That somebody has asked for its end."""

    memory: str = ""
    """What a node may use, in words."""

    @classmethod
    def load(cls, folder: JobFolder) -> "Attempt | None":
        try:
            return cls(**json.loads((folder.root / "attempt.json").read_bytes()))
        except FileNotFoundError:
            return None

    def save(self, folder: JobFolder) -> None:
        write_atomically(folder.root / "attempt.json", json.dumps(asdict(self)).encode())


@dataclass(frozen=True)
class Begun:
    """A pod of a node, and the sizes of the node's log and metrics when it began."""

    pod: str
    attempt: int
    log: int
    metrics: int


class Node:
    """One node's part of a job's folder."""

    def __init__(self, folder: JobFolder, number: int) -> None:
        self._folder, self._number = folder, number
        self._place = folder.root / "nodes" / str(number)

    @property
    def begun(self) -> Begun | None:
        try:
            return Begun(**json.loads((self._place / "pod.json").read_bytes()))
        except FileNotFoundError:
            return None

    @property
    def state(self) -> State | None:
        """What the runner of the current pod last said."""
        return State.load(self._place / "state.json")

    @property
    def ended(self) -> bool:
        """Whether all that the current pod has to bring is here."""
        return (self._place / "ended").exists()

    def begin(self, pod: str, attempt: int) -> Begun:
        """From now on only this pod's words count; again for the same pod changes nothing."""
        known = self.begun
        if known is not None and known.pod == pod:
            return known
        for name in ("state.json", "ended"):
            (self._place / name).unlink(missing_ok=True)
        if self._number == 0:
            self._folder.executed.unlink(missing_ok=True)
        begun = Begun(pod, attempt, _size(self._path("log")), _size(self._path("metrics")))
        write_atomically(self._place / "pod.json", json.dumps(asdict(begun)).encode())
        return begun

    def sizes(self, pod: str) -> tuple[int, int]:
        """How much of the log and of the metrics of this pod is here."""
        begun = self._of(pod)
        return _size(self._path("log")) - begun.log, _size(self._path("metrics")) - begun.metrics

    def append(self, pod: str, stream: Stream, offset: int, content: bytes) -> int:
        """Add what the pod wrote from `offset` on; how much of its stream is here then.

        What is here already is left out, and nothing is added after a gap: the sender goes on from the answer.
        """
        base: int = getattr(self._of(pod), stream)
        path = self._path(stream)
        path.parent.mkdir(parents=True, exist_ok=True)
        with full_disk_in_words(), path.open("ab") as file:
            # Another replica may still be at work on an earlier request of the same pod.
            fcntl.flock(file, fcntl.LOCK_EX)
            have = file.seek(0, os.SEEK_END) - base
            if offset <= have < offset + len(content):
                file.write(content[have - offset :])
                file.flush()
            return file.tell() - base

    def put_state(self, pod: str, content: bytes) -> None:
        """InvalidInput for what no runner writes."""
        self._of(pod)
        try:
            state = _STATE.validate_json(content)
            _check(state)
        except ValueError:
            raise InvalidInput("This is no state of a job.") from None
        write_atomically(self._place / "state.json", json.dumps(asdict(state)).encode())

    def end(self, pod: str) -> None:
        self._of(pod)
        write_atomically(self._place / "ended", b"")

    def check(self, pod: str) -> None:
        """Conflict where another pod has taken the node's place."""
        self._of(pod)

    def _of(self, pod: str) -> Begun:
        begun = self.begun
        if begun is None or begun.pod != pod:
            raise Conflict("Another pod has taken the place of this one.")
        return begun

    def _path(self, stream: Stream) -> Path:
        if stream == "log":
            return self._folder.log(self._number)
        return self._folder.metrics if self._number == 0 else self._place / "metrics.jsonl"


def file_below(folder: Path, path: str) -> Path:
    """The file of that name below a folder; InvalidInput for a name that could lead out of it."""
    if "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
        raise InvalidInput(f"{path!r} is no path of a file below a folder.")
    place = folder / path
    if not Path(os.path.realpath(place)).is_relative_to(os.path.realpath(folder)):
        raise InvalidInput(f"{path!r} leads out of its folder over a link.")
    return place


def keep_output(folder: JobFolder, attempt: Attempt, path: str, received: Path) -> None:
    """Put a whole output into its place, and into the storage folder of its channel.

    Conflict where a part of the path is a file, or the path itself a folder.
    """
    channel, _, rest = path.partition("/")
    targets = [
        file_below(Path(target), rest)
        for name, target in attempt.outputs
        if name == channel and rest and not is_object_url(target)
    ]
    try:
        with full_disk_in_words():
            for target in targets:
                _link(received, target)
            place = file_below(folder.outputs, path)
            place.parent.mkdir(parents=True, exist_ok=True)
            received.replace(place)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise Conflict(
            f"The output {path!r} cannot be kept: a part of its path is a file, or it is a folder."
        ) from None


def keep_log(folder: JobFolder, attempt: Attempt, node: int) -> None:
    """Let a node's log be seen in the storage folder that it goes to, where one does, also while it grows."""
    if not attempt.logs or is_object_url(attempt.logs):
        return
    log = folder.log(node)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.touch()
    with full_disk_in_words():
        _link(log, Path(attempt.logs) / log.name)


def _link(source: Path, target: Path) -> None:
    """The same bytes at another place, where nobody writes to them: there they are only ever replaced."""
    target.parent.mkdir(parents=True, exist_ok=True)
    second = source.with_name(f"{source.name}.second")
    try:
        second.hardlink_to(source)
        second.replace(target)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK):
            raise
        with replacing(target) as partial:
            shutil.copyfile(source, partial)
    finally:
        second.unlink(missing_ok=True)


def _check(state: State) -> None:
    """A job may have written its state by hand: what no column takes is refused. ValueError."""
    for moment in (state.started_at, state.finished_at):
        if moment is not None and datetime.fromisoformat(moment).tzinfo is None:
            raise ValueError("a time without a zone")
    numbers = (state.exit_code or 0, state.cells_done, state.cells_total, state.attempt)
    if any(abs(number) >= 2**31 for number in numbers) or "\0" in state.message or len(state.message) > _WORDS_AT_MOST:
        raise ValueError("out of bounds")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0

"""`state.json`: how the job is, as the runner last knew. It is whole at any moment, also after a power cut."""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

Name = Literal["running", "completed", "failed", "stopped"]


@dataclass(frozen=True)
class State:
    """`pid` with `pid_started` names the runner's process for good; times are ISO 8601 in UTC."""

    state: Name
    attempt: int
    pid: int
    pid_started: int
    exit_code: int | None = None
    message: str = ""
    started_at: str | None = None
    finished_at: str | None = None
    cells_done: int = 0
    cells_total: int = 0

    @classmethod
    def load(cls, path: Path) -> "State | None":
        """The state as it is now; None before the first."""
        try:
            return cls(**json.loads(path.read_bytes()))
        except FileNotFoundError:
            return None


class StateFile:
    """Keeps the state and writes every change of it."""

    def __init__(self, path: Path, state: State) -> None:
        self._path, self.state = path, state
        self.change(started_at=datetime.now(UTC).isoformat())

    def change(self, **values: Any) -> None:
        self.state = replace(self.state, **values)
        write_durably(self._path, json.dumps(asdict(self.state), indent=1).encode())

    def finish(self, state: Name, exit_code: int | None, message: str) -> None:
        """The last word on this attempt."""
        finished = datetime.now(UTC).isoformat()
        self.change(state=state, exit_code=exit_code, message=message, finished_at=finished)


def write_durably(path: Path, content: bytes) -> None:
    """Replace a file by new content that is on the disk before it has the name."""
    with replacing(path) as partial, partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A place beside `path` for its new content, which takes the name at the end, or nothing changes."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise

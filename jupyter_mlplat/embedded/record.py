"""`run/supervisor.json`: which processes run the platform, so that a later `up`, `status` or `down` finds them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from jupyter_mlplat.core.clock import now
from jupyter_mlplat.core.locks import try_lock
from jupyter_mlplat.core.processes import Process, alive
from jupyter_mlplat.embedded.files import read_json, write_json
from jupyter_mlplat.embedded.folder import DataFolder
from jupyter_mlplat.errors import Conflict


@dataclass
class PartRecord:
    """One running part; `restarts` counts how often it was started again."""

    pid: int
    started: int
    fingerprint: str
    since: str = field(default_factory=lambda: now().isoformat())
    restarts: int = 0

    @property
    def process(self) -> Process:
        return Process(self.pid, self.started)


@dataclass
class Record:
    """The supervisor (None once it has ended in good order), its parts and the address of the platform."""

    supervisor: Process | None = None
    url: str = ""
    port: int = 0
    owner: str = ""
    token_login: bool = True
    since: str = field(default_factory=lambda: now().isoformat())
    ready: bool = False
    ssh_absent: str = ""
    """Why there is no SSH, in words."""
    parts: dict[str, PartRecord] = field(default_factory=dict)

    @property
    def start(self) -> datetime:
        return datetime.fromisoformat(self.since)

    def living(self) -> dict[str, PartRecord]:
        """The parts whose processes are there."""
        return {name: part for name, part in self.parts.items() if alive(part.process)}

    def write(self, folder: DataFolder) -> None:
        write_json(folder.record, asdict(self))


def read_record(folder: DataFolder) -> Record:
    """The record of the last run; an empty one where there is none or it cannot be read."""
    content = read_json(folder.record)
    try:
        return _from_json(content) if content else Record()
    except (TypeError, KeyError):
        return Record()


def _from_json(content: dict[str, Any]) -> Record:
    parts = {name: PartRecord(**part) for name, part in content.pop("parts").items()}
    supervisor = content.pop("supervisor")
    return Record(**content, parts=parts, supervisor=Process(**supervisor) if supervisor else None)


@contextmanager
def only_supervisor(folder: DataFolder) -> Iterator[None]:
    """Hold the lock of the data folder. Conflict if another supervisor holds it; the kernel frees it at any death."""
    descriptor = os.open(folder.lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not try_lock(descriptor):
            raise Conflict(already_running(folder))
        yield
    finally:
        os.close(descriptor)


def supervised(folder: DataFolder) -> bool:
    """Whether a supervisor holds the lock of this folder."""
    if not Path(folder.lock).exists():
        return False
    descriptor = os.open(folder.lock, os.O_RDWR)
    try:
        return not try_lock(descriptor)
    finally:
        os.close(descriptor)


def already_running(folder: DataFolder) -> str:
    """The words for a second `mlplat up`."""
    record = read_record(folder)
    place = f" at {record.url}" if record.url else ""
    return (
        f"The platform already runs{place} on {folder.root}. `mlplat status` shows the address that logs you in, "
        "`mlplat down` stops it."
    )

"""Who is on the instances of this machine over SSH: one small file a visit, good while its process runs."""

import json
import os
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from jupyter_mlplat.backends.ssh import Visit
from jupyter_mlplat.core.files import write_atomically
from jupyter_mlplat.gateway.visits import goes_on


def folder_of(data_dir: Path) -> Path:
    """Where the visits of a data folder are noted."""
    return data_dir / "run" / "ssh" / "visits"


def note(data_dir: Path, visit: Visit) -> None:
    """Write a visit down."""
    content = {
        "instance": visit.instance_id,
        "key": visit.key_id,
        "address": visit.address,
        "since": visit.since.isoformat(),
    }
    write_atomically(folder_of(data_dir) / visit.id, json.dumps(content).encode(), 0o600, lasting=False)


def going_on(data_dir: Path, instance_id: str | None = None) -> list[Visit]:
    """The visits whose processes run, the oldest first; the notes of others are removed."""
    return sorted(_going_on(folder_of(data_dir), instance_id), key=lambda visit: (visit.since, visit.id))


def is_visited(data_dir: Path, instance_id: str) -> bool:
    """Whether anybody is on an instance."""
    return any(_going_on(folder_of(data_dir), instance_id))


def _going_on(folder: Path, instance_id: str | None) -> Iterator[Visit]:
    for name in _names(folder):
        visit = _read(folder, name)
        if visit is None or instance_id not in (None, visit.instance_id):
            continue
        if goes_on(name):
            yield visit
        else:
            (folder / name).unlink(missing_ok=True)


def _names(folder: Path) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if name[0].isdigit()]
    except FileNotFoundError:
        return []


def _read(folder: Path, name: str) -> Visit | None:
    try:
        return _noted(folder, name)
    except (OSError, ValueError, KeyError):
        return None


@lru_cache(maxsize=1000)
def _noted(folder: Path, name: str) -> Visit:
    """A note never changes, and is read again and again while hundreds are inside."""
    said = json.loads((folder / name).read_text())
    return Visit(name, said["instance"], said["key"], said["address"], datetime.fromisoformat(said["since"]))

"""What a job has left in its folder, read while it runs and after (blocking)."""

import json
import math
import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jupyter_mlplat.errors import NotFound
from jupyter_mlplat.jobs.models import JobFile, MetricPoint
from jupyter_mlplat.runner.layout import JobFolder

EXECUTED = "executed.ipynb"


def read_piece(path: Path, offset: int, limit: int) -> bytes:
    """Up to `limit` bytes from `offset`; none where there is no such file or it is shorter."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(limit)
    except FileNotFoundError:
        return b""


def size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def executed_notebook(folder: JobFolder) -> dict[str, Any] | None:
    try:
        return dict(json.loads(folder.executed.read_bytes()))
    except FileNotFoundError:
        return None


def metric_points(folder: JobFolder) -> list[MetricPoint]:
    """All points in the order in which they were logged, without those values that are no finite numbers."""
    try:
        lines = folder.metrics.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    return [point for line in lines if (point := _point(line)) is not None]


class LatestMetrics:
    """The latest value of each metric of one job; each look reads only what has been added."""

    def __init__(self, folder: JobFolder) -> None:
        self._path, self._offset, self._values = folder.metrics, 0, dict[str, float]()

    def values(self) -> dict[str, float]:
        added = read_piece(self._path, self._offset, 1 << 24)
        whole = added.rpartition(b"\n")[0]
        if whole:
            self._offset += len(whole) + 1
            for line in whole.split(b"\n"):
                if (point := _point(line)) is not None:
                    self._values |= point.values
        return dict(self._values)


def output_files(folder: JobFolder) -> list[JobFile]:
    """The files of the outputs folder by path, then the executed notebook. Links out of the folder are left out."""
    found = sorted(_outputs(folder), key=lambda file: file.path)
    executed = _file(folder.executed, EXECUTED)
    return found if executed is None or any(file.path == EXECUTED for file in found) else [*found, executed]


def output_file(folder: JobFolder, path: str) -> Path:
    """The real path of one of `output_files`. Raises NotFound for anything else, whatever the path tries."""
    if "\0" not in path:
        place = Path(os.path.realpath(folder.outputs / path))
        if place.is_relative_to(os.path.realpath(folder.outputs)) and _file(place, path):
            return place
        if path == EXECUTED and _file(folder.executed, path):
            return folder.executed
    raise NotFound(f"The job left no file {path!r}.")


def _outputs(folder: JobFolder) -> Iterator[JobFile]:
    root = os.path.realpath(folder.outputs)
    for place, _, names in os.walk(root):
        for name in names:
            path = Path(place, name)
            real = os.path.realpath(path)
            if real.startswith(f"{root}/") and (file := _file(Path(real), path.relative_to(root).as_posix())):
                yield file


def _file(place: Path, path: str) -> JobFile | None:
    try:
        path.encode()
        facts = place.stat()
    except (OSError, UnicodeEncodeError):
        return None
    if not stat.S_ISREG(facts.st_mode):
        return None
    return JobFile(path=path, size=facts.st_size, modified_at=datetime.fromtimestamp(facts.st_mtime, UTC))


def _point(line: bytes) -> MetricPoint | None:
    """One line of metrics.jsonl; None for what no `mlplat.log` has written."""
    try:
        record = json.loads(line)
        values = {str(name): float(value) for name, value in record["values"].items()}
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        return MetricPoint(step=record["step"], at=record["at"], values=finite)
    except (ValueError, TypeError, LookupError, AttributeError):
        return None

"""`mlplat/instance` and `mlplat/readings`: who this instance is and what its processes use now."""

import asyncio
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tornado.web import authenticated

from jupyter_mlplat.server_extension.accelerators import accelerator_readings
from jupyter_mlplat.server_extension.base import MlplatHandler
from jupyter_mlplat.server_extension.environment import read_runtime
from jupyter_mlplat.server_extension.work_folder import use_of

_SHORTEST_SECONDS = 0.5
_FIRST_SECONDS = 0.1


class InstanceHandler(MlplatHandler):
    """Answers without asking the platform."""

    _track_activity = False

    @authenticated
    def get(self) -> None:
        """`{instance_id, user, console, runtime, started}`; another time of the start is another server."""
        self.answer({
            "instance_id": os.environ.get("MLPLAT_INSTANCE_ID", ""),
            "user": os.environ.get("JUPYTERHUB_USER", ""),
            "console": os.environ.get("MLPLAT_CONSOLE", ""),
            "runtime": read_runtime(),
            "started": self.settings["started"].isoformat(),
        })  # fmt: skip


class ReadingsHandler(MlplatHandler):
    """Looking at the readings is no activity: an idle instance stays idle."""

    _track_activity = False

    @authenticated
    async def get(self) -> None:
        """CPU in cores, memory and the work folder in bytes, accelerators one by one."""
        used = await asyncio.to_thread(_meter().read)
        self.answer({**used, "work": await asyncio.to_thread(use_of, self.work_folder)})


@dataclass(frozen=True)
class _Sample:
    at: float
    wall: float
    seconds: dict[tuple[int, float], float]
    memory: int


class Meter:
    """Adds up what the processes of one instance use: this server's own, and those that name the instance.

    CPU is the mean since the reading before, at least half a second ago; readings closer together are the same.
    Safe for several threads; `read` blocks for some milliseconds.
    """

    def __init__(self, instance_id: str) -> None:
        self._mark = f"MLPLAT_INSTANCE_ID={instance_id}".encode() if instance_id else None
        self._known: dict[tuple[int, float], bool] = {}
        self._before: _Sample | None = None
        self._reading: dict[str, Any] | None = None
        self._lock = threading.Lock()

    def read(self) -> dict[str, Any]:
        """The body of `GET readings`."""
        with self._lock:
            if self._before is None:
                self._before = self._sample()
                time.sleep(_FIRST_SECONDS)
            elif self._reading is not None and time.monotonic() - self._before.at < _SHORTEST_SECONDS:
                return self._reading
            now = self._sample()
            self._reading = _reading(read_runtime(), _cores_used(self._before, now), now.memory)
            self._before = now
            return self._reading

    def _sample(self) -> _Sample:
        import psutil

        at, wall = time.monotonic(), time.time()
        seconds, memory = {}, 0
        for process in self._processes():
            try:
                with process.oneshot():
                    times = process.cpu_times()
                    seconds[process.pid, process.create_time()] = times.user + times.system
                    memory += _memory(process)
            except psutil.Error:
                continue
        return _Sample(at, wall, seconds, memory)

    def _processes(self) -> list[Any]:
        import psutil

        everyone = {process.pid: process for process in psutil.process_iter()}
        members = {pid for pid, process in everyone.items() if self._names_instance(process)} | {os.getpid()}
        parents = psutil._ppid_map()  # type: ignore[attr-defined]
        grown = True
        while grown:
            children = {pid for pid, parent in parents.items() if parent in members} - members
            members |= children
            grown = bool(children)
        self._known = {key: known for key, known in self._known.items() if key[0] in everyone}
        return [everyone[pid] for pid in members if pid in everyone]

    def _names_instance(self, process: Any) -> bool:
        import psutil

        if self._mark is None:
            return False
        try:
            key = (process.pid, process.create_time())
            if key not in self._known:
                self._known[key] = self._mark in Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
            return self._known[key]
        except (OSError, psutil.Error):
            return False


def _cores_used(before: _Sample, now: _Sample) -> float:
    used = 0.0
    for key, seconds in now.seconds.items():
        started_since = key[1] >= before.wall
        used += seconds - before.seconds.get(key, 0.0 if started_since else seconds)
    return max(0.0, used / max(now.at - before.at, 0.001))


def _memory(process: Any) -> int:
    """The share of the memory that is this process's own; forked servers share most of theirs."""
    try:
        for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return int(process.memory_info().rss)


def _reading(runtime: Mapping[str, Any], cores_used: float, memory: int) -> dict[str, Any]:
    import psutil

    cores = len(runtime.get("cpus") or []) or (runtime.get("flavor") or {}).get("vcpus") or os.cpu_count() or 1
    limit = runtime.get("memory_bytes")
    return {
        "cpu": {"used": round(min(cores_used, os.cpu_count() or 1), 3), "cores": cores},
        "memory": {
            "used_bytes": memory,
            "limit_bytes": limit or psutil.virtual_memory().total,
            "enforced": bool(limit) and "memory" in (runtime.get("enforced") or []),
        },
        "accelerators": accelerator_readings(runtime),
    }


_meters: dict[str, Meter] = {}


def _meter() -> Meter:
    instance = os.environ.get("MLPLAT_INSTANCE_ID", "")
    return _meters.setdefault(instance, Meter(instance))

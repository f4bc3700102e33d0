"""What this machine has, and how a flavor is put into force on it."""

import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import psutil

from jupyter_mlplat.core.processes import Process
from jupyter_mlplat.flavors.models import Category, Flavor, FlavorOffer

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
CGROUP = Path("/sys/fs/cgroup")
MIB = 1024**2


@dataclass(frozen=True)
class Grant:
    """What one instance or job was given: CPU numbers, accelerator numbers."""

    cpus: tuple[int, ...] = ()
    accelerators: tuple[int, ...] = ()


@dataclass(frozen=True)
class Machine:
    """Cores that we may use, memory in bytes, accelerators by category."""

    cpus: tuple[int, ...]
    memory: int
    accelerators: dict[Category, int] = field(default_factory=dict)

    def choose(self, flavor: Flavor, taken: Iterable[Grant]) -> Grant:
        """The least used cores and free accelerators for a flavor; cores are shared, accelerators are not."""
        grants = list(taken)
        load = Counter(cpu for grant in grants for cpu in grant.cpus)
        cpus = sorted(self.cpus, key=lambda cpu: (load[cpu], cpu))[: flavor.vcpus]
        return Grant(tuple(sorted(cpus)), tuple(self._free(flavor, grants)[: _wanted(flavor)]))

    def offer(self, flavor: Flavor, taken: Sequence[Grant]) -> FlavorOffer:
        """The flavor with whether it can be had here now, and why not."""
        reason = self._shortage(flavor, taken)
        return FlavorOffer(**flavor.model_dump(), sold_out=reason is not None, reason=reason, enforced=enforced(flavor))

    def _shortage(self, flavor: Flavor, taken: Sequence[Grant]) -> str | None:
        if _wanted(flavor) > self.accelerators.get(flavor.category, 0):
            kind = "GPU" if flavor.category is Category.GPU else "Ascend NPU"
            return f"this machine has no {kind}" if not self.accelerators.get(flavor.category) else f"too few {kind}s"
        if _wanted(flavor) > len(self._free(flavor, taken)):
            return "all accelerators are in use"
        if flavor.vcpus > len(self.cpus):
            return f"this machine has {len(self.cpus)} cores"
        if flavor.memory_mib * MIB > self.memory:
            return f"this machine has {self.memory / 1024**3:.0f} GiB of memory"
        return None

    def _free(self, flavor: Flavor, taken: Sequence[Grant]) -> list[int]:
        used = {number for grant in taken for number in grant.accelerators}
        return [number for number in range(self.accelerators.get(flavor.category, 0)) if number not in used]


def _wanted(flavor: Flavor) -> int:
    return flavor.accelerator.count if flavor.accelerator else 0


@cache
def this_machine() -> Machine:
    """The machine that we run on, as far as this process may use it."""
    return Machine(
        cpus=tuple(sorted(os.sched_getaffinity(0))),
        memory=psutil.virtual_memory().total,
        accelerators={
            Category.GPU: _count_lines("nvidia-smi", "--query-gpu=index", "--format=csv,noheader"),
            Category.ASCEND: _count_lines("npu-smi", "info", "-m") // 2,
        },
    )


def _count_lines(*command: str) -> int:
    if shutil.which(command[0]) is None:
        return 0
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return 0
    return len(answer.stdout.splitlines())


def variables(flavor: Flavor, grant: Grant) -> dict[str, str]:
    """The environment that tells libraries how much they may use."""
    devices = ",".join(str(number) for number in grant.accelerators)
    threads = {name: str(flavor.vcpus) for name in THREAD_VARIABLES}
    return {**threads, "CUDA_VISIBLE_DEVICES": devices, "ASCEND_RT_VISIBLE_DEVICES": devices}


def grants_of(files: Iterable[Path]) -> list[Grant]:
    """What is given out now, read from the runtime.json and spec.json files of what runs."""
    return [grant for path in files if (grant := _read_grant(path))]


def _read_grant(path: Path) -> Grant | None:
    try:
        record: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return Grant(tuple(record.get("cpus", ())), tuple(record.get("accelerators", ())))


def enforced(flavor: Flavor) -> list[Literal["cpu", "memory", "accelerator"]]:
    """The limits of a flavor that this machine can hold."""
    held: list[Literal["cpu", "memory", "accelerator"]] = ["cpu"]
    if _memory_tree() is not None:
        held.append("memory")
    if flavor.accelerator:
        held.append("accelerator")
    return held


def pin(processes: Iterable[Process], cpus: Sequence[int]) -> None:
    """Bind every thread of the processes to `cpus`; what ends meanwhile is no error."""
    for process in processes:
        for thread in _threads(process.pid):
            try:
                os.sched_setaffinity(thread, cpus)
            except (ProcessLookupError, PermissionError):
                continue


def _threads(pid: int) -> list[int]:
    try:
        return [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    except OSError:
        return []


@cache
def _memory_tree() -> Path | None:
    """The folder below which we may make memory cgroups, None where we may not."""
    tree = _own_cgroup()
    if tree is None:
        return None
    probe = tree / f"mlplat-probe-{os.getpid()}"
    try:
        probe.mkdir()
        usable = (probe / "memory.max").exists() or (probe / "memory.limit_in_bytes").exists()
        probe.rmdir()
    except OSError:
        return None
    return tree if usable else None


def _own_cgroup() -> Path | None:
    """The folder of our own cgroup that governs memory, in the v1 or the v2 tree."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        _, controllers, path = line.split(":", 2)
        base = CGROUP / "memory" if "memory" in controllers.split(",") else CGROUP if not controllers else None
        if base is not None and (base / path.lstrip("/")).is_dir() and os.access(base / path.lstrip("/"), os.W_OK):
            return base / path.lstrip("/")
    return None


def limit_memory(name: str, processes: Iterable[Process], limit: int) -> bool:
    """Hold the processes together below `limit` bytes in a cgroup of their own; False where this machine cannot.

    OSError (EBUSY) where more is in use already than the new limit admits.
    """
    tree = _memory_tree()
    if tree is None:
        return False
    group = tree / f"mlplat-{name}"
    group.mkdir(exist_ok=True)
    bound = group / "memory.max"
    (bound if bound.exists() else group / "memory.limit_in_bytes").write_text(str(limit))
    for process in processes:
        try:
            (group / "cgroup.procs").write_text(str(process.pid))
        except OSError:
            continue
    return True


def release_memory(name: str) -> None:
    """Remove the cgroup of what has ended."""
    tree = _memory_tree()
    group = tree / f"mlplat-{name}" if tree else None
    if group is not None and group.is_dir():
        try:
            group.rmdir()
        except OSError:
            return

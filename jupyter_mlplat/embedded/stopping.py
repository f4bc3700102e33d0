"""Ending what runs on a data folder, in an order in which nothing starts anything again."""

import asyncio
import signal
from collections.abc import Iterable
from pathlib import Path

from jupyter_mlplat.backends.local import visits
from jupyter_mlplat.backends.local.mounts import layout
from jupyter_mlplat.core.processes import (
    Process,
    alive,
    command_of,
    end,
    environment_of,
    gone,
    send,
    with_relatives,
)
from jupyter_mlplat.embedded.folder import DataFolder
from jupyter_mlplat.embedded.record import Record, read_record
from jupyter_mlplat.gateway.visits import process_of
from jupyter_mlplat.hub import records
from jupyter_mlplat.mounter.mounts import Mounts

PART_GRACE = 10.0
SERVER_GRACE = 10.0
RUNNER_MODULE = "jupyter_mlplat.runner"


async def stop_everything(folder: DataFolder, jobs: bool = False) -> None:
    """End the doors of SSH, the platform and the Hub, then servers and mounts, then the rest; runners only if `jobs`.

    Files stay as they are. What is not there is no error.
    """
    record = read_record(folder)
    await end_parts(record, ("tunnel", "gateway", "platform", "hub"))
    await end_servers(folder)
    await Mounts(layout(folder.root.resolve())).end()
    if jobs:
        await end(lambda: runners(folder), PART_GRACE)
    await end_parts(record, ("proxy", "nursery"))
    record.supervisor, record.ready, record.parts = None, False, {}
    if folder.run.is_dir():
        record.write(folder)


async def end_parts(record: Record, names: Iterable[str]) -> None:
    """End these parts together, without what they have started."""
    processes = [part.process for name, part in record.living().items() if name in names]
    await end_processes(processes)


async def end_processes(processes: list[Process]) -> None:
    """Ask with SIGTERM, then kill."""
    for process in processes:
        send(process, signal.SIGTERM)
    if not await gone(processes, PART_GRACE):
        for process in processes:
            send(process, signal.SIGKILL)
        await gone(processes, PART_GRACE)


async def end_servers(folder: DataFolder) -> None:
    """End the servers of all instances, with their kernels, terminals and SSH sessions."""
    heads = await asyncio.to_thread(servers, folder)
    await end(lambda: _of_instances(folder), SERVER_GRACE, list(heads.values()))


def servers(folder: DataFolder) -> dict[str, Process]:
    """The running servers by the id of their instance (blocking)."""
    found = {path.parent.name: records.read_record(path) for path in folder.instances.glob(f"*/{records.NAME}")}
    return {name: known[0] for name, known in found.items() if known and alive(known[0])}


def runners(folder: DataFolder) -> set[Process]:
    """The runners of this folder's jobs and all that they have started (blocking)."""
    return with_relatives(lambda pid: _is_runner(command_of(pid), folder.jobs))


def _of_instances(folder: DataFolder) -> set[Process]:
    heads = {process.pid for process in servers(folder).values()}
    heads |= {process_of(visit.id).pid for visit in visits.going_on(folder.root)}
    return with_relatives(lambda pid: pid in heads or _belongs(environment_of(pid), folder))


def _belongs(environment: dict[str, str], folder: DataFolder) -> bool:
    runtime = environment.get("MLPLAT_RUNTIME", "")
    return "MLPLAT_INSTANCE_ID" in environment and folder.instances in Path(runtime).parents


def _is_runner(command: list[str], jobs: Path) -> bool:
    return RUNNER_MODULE in command and any(jobs in Path(word).parents for word in command if word.startswith("/"))

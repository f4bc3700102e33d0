"""Starting, asking after and stopping the embedded platform."""

import asyncio
import getpass
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jupyter_mlplat.core.processes import alive, until
from jupyter_mlplat.embedded import failures
from jupyter_mlplat.embedded.folder import DataFolder
from jupyter_mlplat.embedded.node import find_node, proxy_bundle
from jupyter_mlplat.embedded.owner_settings import OwnerSettings, check_port, read_settings
from jupyter_mlplat.embedded.parts import Plan
from jupyter_mlplat.embedded.ports import DEFAULT_PORT, Ports, choose_ports, known_ports
from jupyter_mlplat.embedded.record import Record, already_running, only_supervisor, read_record, supervised
from jupyter_mlplat.embedded.secret_files import load_or_create
from jupyter_mlplat.embedded.ssh import prepare_ssh
from jupyter_mlplat.embedded.stopping import end_processes, servers, stop_everything
from jupyter_mlplat.embedded.supervisor import Supervisor
from jupyter_mlplat.errors import BackendFailure, Conflict
from jupyter_mlplat.hub.logins import Logins, login_url, name_like

DETACHED_MODULE = "jupyter_mlplat.embedded"
PORTS_OF = {
    "proxy": ("public", "proxy_api"),
    "hub": ("hub",),
    "platform": ("platform",),
    "gateway": ("ssh",),
    "tunnel": ("tunnel",),
}


@dataclass(frozen=True)
class PartStatus:
    """One process of the platform; `since` is when it was started, in ISO 8601."""

    name: str
    pid: int
    running: bool
    since: str
    restarts: int


@dataclass(frozen=True)
class Status:
    """How the platform on one data folder is.

    `supervised` is False where the supervisor has been killed and parts go on without it. `login_url` logs the owner
    in; it is the plain address where another authenticator is in use, and empty where the platform never ran.
    """

    data_dir: Path
    running: bool
    supervised: bool
    url: str
    login_url: str
    user: str
    since: str
    pid: int | None
    parts: tuple[PartStatus, ...]
    instances: tuple[str, ...]
    ssh_absent: str = ""
    """Why nobody gets in over SSH, in words; empty where people do."""


def up(
    data_dir: Path, port: int | None = None, detach: bool = False, on_ready: Callable[[Status], None] | None = None
) -> Status:
    """Start the platform on a data folder.

    With `detach` it returns once everything answers. Without, it calls `on_ready` then and returns after Ctrl-C, when
    everything has been stopped. Conflict if it runs already or the port is taken, InvalidInput for a folder or setting
    that cannot be used, BackendFailure if a part does not come up.
    """
    folder = DataFolder.at(data_dir)
    folder.prepare()
    if supervised(folder):
        raise Conflict(already_running(folder))
    if detach:
        _run_detached(folder, port)
    else:
        run_here(folder, port, lambda: on_ready(status(data_dir)) if on_ready else None)
    return status(data_dir)


def status(data_dir: Path) -> Status:
    """How the platform on this folder is; reads files and processes, asks nobody."""
    folder = DataFolder.at(data_dir)
    record = read_record(folder)
    watched = supervised(folder)
    living = record.living()
    parts = tuple(
        PartStatus(name, part.pid, name in living, part.since, part.restarts) for name, part in record.parts.items()
    )
    return Status(
        data_dir=folder.root,
        running=bool(parts) and len(living) == len(parts) and record.ready,
        supervised=watched,
        url=record.url,
        login_url=_login_url(folder, record),
        user=record.owner,
        since=record.since if living else "",
        pid=record.supervisor.pid if watched and record.supervisor else None,
        parts=parts,
        instances=tuple(sorted(servers(folder))),
        ssh_absent=record.ssh_absent if living else "",
    )


def down(data_dir: Path, jobs: bool = False) -> Status:
    """Stop the platform and the servers of all instances; jobs go on unless `jobs`. Nothing to stop is no error."""
    folder = DataFolder.at(data_dir)
    asyncio.run(_down(folder, jobs))
    return status(data_dir)


def run_here(folder: DataFolder, port: int | None, on_ready: Callable[[], None]) -> None:
    """Be the supervisor until told to stop; raises as `up` does."""
    with only_supervisor(folder):
        plan = make_plan(folder, port)
        _log_to(folder.log("supervisor"))
        asyncio.run(Supervisor(plan).run(on_ready))


def make_plan(folder: DataFolder, port: int | None) -> Plan:
    """All that is needed to start the parts; makes secrets, chooses ports, lets the owner log in."""
    settings = read_settings(folder)
    node, bundle = find_node(), proxy_bundle()
    ssh, absent = prepare_ssh(folder, settings)
    plan = Plan(
        folder=folder,
        settings=settings,
        ports=_ports(folder, settings, port),
        secrets=load_or_create(folder.secrets),
        owner=name_like(getpass.getuser()),
        node=node,
        bundle=bundle,
        ssh=ssh,
        ssh_absent=absent,
    )
    Logins(folder.logins).put(plan.owner, plan.secrets.owner_token)
    return plan


def _ports(folder: DataFolder, settings: OwnerSettings, port: int | None) -> Ports:
    known = known_ports(folder.run)
    chosen = settings.port if port is None else check_port(port)
    public = chosen or (known.public if known else DEFAULT_PORT)
    return choose_ports(folder.run, public, held=_held(folder))


def _held(folder: DataFolder) -> set[int]:
    """The ports that parts of an earlier run still hold; they are taken over or given up."""
    known = known_ports(folder.run)
    living = read_record(folder).living()
    return {getattr(known, port) for part, names in PORTS_OF.items() if known and part in living for port in names}


def _login_url(folder: DataFolder, record: Record) -> str:
    if not record.url or not record.token_login:
        return record.url
    return login_url(record.url, load_or_create(folder.secrets).owner_token)


def _run_detached(folder: DataFolder, port: int | None) -> None:
    """Start a supervisor of its own and wait for its word."""
    reading, writing = os.pipe()
    with os.fdopen(reading) as word, folder.log("supervisor").open("ab") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", DETACHED_MODULE, str(folder.root), "--tell", str(writing)]
            + (["--port", str(port)] if port is not None else []),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[writing],
            start_new_session=True,
        )
        os.close(writing)
        answer = word.readline()
    if not answer:
        raise BackendFailure(f"The platform ended while it started (exit code {child.wait()}). See {output.name}.")
    failures.raise_if_failed(json.loads(answer))


async def _down(folder: DataFolder, jobs: bool) -> None:
    if supervised(folder) and (supervisor := read_record(folder).supervisor) and alive(supervisor):
        os.kill(supervisor.pid, signal.SIGTERM)
        await _until_unlocked(folder)
    if folder.run.is_dir():
        await stop_everything(folder, jobs)


async def _until_unlocked(folder: DataFolder) -> None:
    supervisor = read_record(folder).supervisor

    async def unlocked() -> bool:
        return not supervised(folder)

    if not await until(unlocked, seconds=60, pause=0.05):
        await end_processes([supervisor] if supervisor else [])


def _log_to(path: Path) -> None:
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("mlplat.supervisor")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False

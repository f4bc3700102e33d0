"""The Hub's spawner of the local back end.

The platform decides, the spawner obeys: what a request names is a single-use permit, and all else comes from the
platform when the permit is redeemed. So nobody can start a server behind the platform's back.

Servers live in sessions of their own. The Hub knows them by pid and start time and takes them up again after a
restart, also one in the middle of a start; what it misses meanwhile it reads from the server's record.
"""

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
from jupyterhub.httpclient import fetch
from jupyterhub.spawner import Spawner, SpawnException
from sqlalchemy import inspect
from traitlets import Float, Unicode

from jupyter_mlplat.backends.base import ServerLaunch
from jupyter_mlplat.core.processes import Process, alive, end, identify, of_instance
from jupyter_mlplat.errors import BackendFailure
from jupyter_mlplat.hub import nursery_client
from jupyter_mlplat.hub.browser_logins import KeepsBrowserLogins
from jupyter_mlplat.hub.launch import prepare_folders, server_start
from jupyter_mlplat.hub.permits import redeem
from jupyter_mlplat.hub.records import read_record, write_record
from jupyter_mlplat.hub.start import LISTEN_VARIABLE, ServerStart

HOST = "127.0.0.1"
BACKLOG = 128


class MlplatSpawner(KeepsBrowserLogins, Spawner):  # type: ignore[misc]
    """Starts an instance's server through the nursery, or as an ordinary process where there is none."""

    platform_url = Unicode(help="Address below which the platform redeems permits").tag(config=True)
    hub_secret = Unicode(help="What the Hub shows to the platform when it redeems a permit").tag(config=True)
    nursery_socket = Unicode(help="Unix socket of the nursery; empty: all servers are ordinary processes").tag(
        config=True
    )
    stop_grace = Float(10.0, help="Seconds that a server has to end its kernels in good order").tag(config=True)

    process: Process | None = None
    record = ""
    _child: subprocess.Popen[bytes] | None = None

    async def start(self) -> tuple[str, int]:
        """Start the server that the permit stands for and return where it answers."""
        launch = await redeem(self.platform_url, self.hub_secret, self.user_options, self.user.name, self.name)
        await self._end_leftovers(launch)
        with socket.create_server((HOST, 0), backlog=BACKLOG) as listener:
            self.ip, self.port = HOST, listener.getsockname()[1]
            start = server_start(launch, self.get_env(), os.environ)
            await asyncio.to_thread(prepare_folders, start)
            await self._launch(start, listener)
        await self._answering(start)
        return HOST, self.port

    async def poll(self) -> int | None:
        """None while the server runs, else its exit code (0 where nobody saw it end)."""
        if self._child and self._child.poll() is not None and self.process:
            write_record(Path(self.record), self.process, self._child.returncode)
            self._child = None
        if self.process is None:
            return 0
        return None if alive(self.process) else self._exit_code(self.process)

    async def stop(self, now: bool = False) -> None:
        """End the server and everything that was started in it."""
        first = [self.process] if self.process and not now else []
        also = [self.process] if self.process else []
        await end(lambda: of_instance(self.name, also), 0 if now else self.stop_grace, first)

    def get_state(self) -> dict[str, Any]:
        """What a restarted Hub needs; the token is among it so that it is revoked when the server stops."""
        state: dict[str, Any] = super().get_state()
        if self.process:
            state |= {"pid": self.process.pid, "started": self.process.started}
            state |= {"port": self.port, "record": self.record, "api_token": self.api_token}
        return state

    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(state)
        if "pid" in state:
            self.process = Process(state["pid"], state["started"])
            self.ip, self.port, self.record = HOST, state["port"], state["record"]
            self.api_token = state["api_token"]

    def clear_state(self) -> None:
        super().clear_state()
        self.process, self.port, self.record = None, 0, ""

    async def get_url(self) -> str:
        """Where the server answers, also when the Hub was killed before it had written that down."""
        return f"http://{HOST}:{self.port}{self.server.base_url}"

    async def _end_leftovers(self, launch: ServerLaunch) -> None:
        """End what an earlier server of the instance left, for example when the Hub was killed in the middle."""
        known = read_record(Path(launch.state_dir) / "server.json")
        also = [known[0]] if known else []
        await end(lambda: of_instance(launch.instance_id, also), grace=2.0)

    async def _launch(self, start: ServerStart, listener: socket.socket) -> None:
        self.record = start.record
        try:
            self.process = await self._start_process(start, listener)
        except BackendFailure as failure:
            raise SpawnException(failure.message, reason="launch", status_code=503) from failure
        self.orm_spawner.state = self.get_state()
        inspect(self.orm_spawner).session.commit()

    async def _start_process(self, start: ServerStart, listener: socket.socket) -> Process:
        if not self.nursery_socket:
            return self._start_child(start, listener)
        try:
            return await nursery_client.start_server(Path(self.nursery_socket), start, listener)
        except nursery_client.NurseryUnreachable as failure:
            self.log.warning("%s; starting an ordinary process, which takes longer", failure.message)
            return self._start_child(start, listener)

    def _start_child(self, start: ServerStart, listener: socket.socket) -> Process:
        descriptor = listener.fileno()
        with Path(start.log).open("ab") as log:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "jupyter_mlplat.hub.server"],
                env={**start.environment, LISTEN_VARIABLE: str(descriptor)},
                cwd=start.cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[descriptor],
                start_new_session=True,
            )
        if start.cpus:
            os.sched_setaffinity(self._child.pid, start.cpus)
        process = identify(self._child.pid) or Process(self._child.pid, 0)
        write_record(Path(start.record), process, None)
        return process

    async def _answering(self, start: ServerStart) -> None:
        """Wait for the first answer. The socket is open already, so one request waits for it; a crash resets it."""
        url = f"http://{HOST}:{self.port}{self.server.base_url}api"
        try:
            await fetch(url, raise_for_status=False, allow_redirects=False)
        except aiohttp.ClientError as error:
            message = f"The server of the instance ended while it started. Its last words, from {start.log}:\n"
            message += await asyncio.to_thread(_last_lines, Path(start.log))
            raise SpawnException(message, reason="crash", status_code=500) from error

    def _exit_code(self, process: Process) -> int:
        known = read_record(Path(self.record)) if self.record else None
        return known[1] or 0 if known and known[0] == process else 0


def _last_lines(log: Path, count: int = 5) -> str:
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-count:])
    except OSError:
        return "(nothing)"

"""Starts the parts, watches them, starts again what ends.

Each part is a process in a session of its own, so that killing one of them, or the supervisor, touches no other. A new
supervisor takes over the parts that an earlier one left, where they are what it would have started itself.
"""

import asyncio
import logging
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from jupyter_mlplat.core.processes import Process, alive, identify, until
from jupyter_mlplat.embedded.backoff import Backoff
from jupyter_mlplat.embedded.parts import Part, Plan, full_environment, parts
from jupyter_mlplat.embedded.probes import Probes
from jupyter_mlplat.embedded.profile import ensure_profile, point_to
from jupyter_mlplat.embedded.record import PartRecord, Record, read_record
from jupyter_mlplat.embedded.stopping import end_processes, stop_everything
from jupyter_mlplat.errors import BackendFailure

WATCH_PAUSE = 0.5
PROBE_PAUSE = 0.1
START_SECONDS = 120.0
STARTS_BEFORE_GIVING_UP = 2
ROUTES_SECONDS = 20.0
LOG_BYTES = 10 * 1024 * 1024
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

log = logging.getLogger("mlplat.supervisor")


class Supervisor:
    """Runs the platform of one plan. The caller holds the lock of the data folder."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._parts = parts(plan)
        self._probes = Probes(plan)
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._record = Record(
            supervisor=identify(os.getpid()),
            url=plan.public_url,
            port=plan.ports.public,
            owner=plan.owner,
            token_login=plan.token_login,
            ssh_absent=plan.ssh_absent,
        )

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Start everything, call `on_ready` once all answers, and stop everything at SIGINT or SIGTERM.

        BackendFailure, with the end of the log, if a part does not come up. Then no part is left running; the servers
        of an earlier run are not touched.
        """
        try:
            await self._take_over(read_record(self._plan.folder))
            told = await self._supervise(on_ready)
        except BaseException:
            await end_processes([part.process for part in self._record.living().values()])
            raise
        finally:
            await self._probes.close()
        if told:
            log.info("stopping")
            await stop_everything(self._plan.folder)

    async def _supervise(self, on_ready: Callable[[], None]) -> bool:
        """Keep the parts until told to stop; True then."""
        stop = asyncio.create_task(_signalled())
        tasks = {stop, asyncio.create_task(self._come_up(on_ready))}
        tasks |= {asyncio.create_task(self._keep(part)) for part in self._parts}
        try:
            while not stop.done():
                done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done - {stop}:
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return True

    async def _take_over(self, earlier: Record) -> None:
        """Adopt what an earlier supervisor left and would be started just so; end the rest of it."""
        wanted = {part.name: part.fingerprint for part in self._parts}
        for name, known in earlier.living().items():
            if known.fingerprint == wanted.get(name) and await self._probes.answers(name):
                log.info("%s (pid %d) goes on", name, known.pid)
                self._record.parts[name] = known
            else:
                await end_processes([known.process])
        self._record.write(self._plan.folder)

    async def _come_up(self, on_ready: Callable[[], None]) -> None:
        for part in self._parts:
            await self._until(partial(self._probes.answers, part.name), part.name)
        await ensure_profile(self._plan, self._probes)
        await asyncio.to_thread(point_to, self._plan.folder.profile)
        await self._until(self._probes.door_answers, "proxy")
        self._record.ready = True
        self._record.write(self._plan.folder)
        log.info("ready at %s", self._plan.public_url)
        on_ready()

    async def _until(self, asked: Callable[[], Awaitable[bool]], part: str) -> None:
        if not await until(asked, START_SECONDS, PROBE_PAUSE):
            raise BackendFailure(self._story(part, f"did not answer within {START_SECONDS:.0f} seconds"))

    async def _keep(self, part: Part) -> None:
        """Start a part unless it is there, and again whenever it has ended."""
        backoff = Backoff()
        if part.name not in self._record.living():
            self._start(part, restarts=0)
        while True:
            await self._ended(part.name)
            restarts = self._record.parts[part.name].restarts + 1
            if not self._record.ready and restarts >= STARTS_BEFORE_GIVING_UP:
                raise BackendFailure(self._story(part.name, "did not start"))
            log.warning("%s has ended (%s)", part.name, self._exit_code(part.name))
            await asyncio.sleep(backoff.delay())
            self._start(part, restarts)
            if part.name == "proxy":
                await self._restore_routes()

    async def _ended(self, name: str) -> None:
        process = self._record.parts[name].process

        async def gone() -> bool:
            return not alive(process)

        await until(gone, None, WATCH_PAUSE)

    def _exit_code(self, name: str) -> str:
        child = self._children.pop(name, None)
        return f"exit code {child.poll()}" if child else "started by an earlier supervisor"

    def _start(self, part: Part, restarts: int) -> None:
        child = self._spawn(part)
        self._children[part.name] = child
        process = identify(child.pid) or Process(child.pid, 0)
        self._record.parts[part.name] = PartRecord(process.pid, process.started, part.fingerprint, restarts=restarts)
        self._record.write(self._plan.folder)
        log.info("%s started (pid %d)", part.name, child.pid)

    def _spawn(self, part: Part) -> subprocess.Popen[bytes]:
        path = self._plan.folder.log(part.name)
        _turn_over(path)
        with path.open("ab") as output:
            return subprocess.Popen(
                part.argv,
                env=full_environment(part, os.environ),
                cwd=self._plan.folder.root,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    async def _restore_routes(self) -> None:
        """A proxy starts without routes. The Hub restores them when it starts, or when it is asked to."""

        async def restored() -> bool:
            return await self._probes.answers("proxy") and await self._probes.restore_routes()

        if not await until(restored, ROUTES_SECONDS, PROBE_PAUSE):
            log.warning("the Hub has not restored the routes of the proxy yet")

    def _story(self, part: str, what: str) -> str:
        path = self._plan.folder.log(part)
        lines = path.read_text(errors="replace").splitlines()[-8:] if path.exists() else []
        return f"The {part} {what}. The end of {path}:\n" + "\n".join(lines)


async def _signalled() -> None:
    told = asyncio.Event()
    for number in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    await told.wait()


def _turn_over(path: Path) -> None:
    """Put a log that has grown large aside; one older log is kept."""
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_suffix(".old.log"))

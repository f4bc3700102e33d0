"""The nursery: a parent that has imported JupyterLab once and forks a server in milliseconds.

    python -m jupyter_mlplat.hub.nursery SOCKET

It listens on a unix socket that only its owner may open. A request is one line of JSON, with the listening socket of
the new server attached where one is started; the answer is one line of JSON:

    {"do": "ping"}                      -> {"pid": 1, "started": 2}
    {"do": "start", "start": {...}}     -> {"pid": 3, "started": 4}      or {"error": "…"}

It has one thread and no event loop, so that a fork copies nothing that is in motion. It reaps its children and writes
their exit codes into the records that their starts name.
"""

import gc
import importlib
import json
import os
import random
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from jupyter_mlplat.core.processes import Process, identify
from jupyter_mlplat.hub import environ_block, unix_path
from jupyter_mlplat.hub.records import write_record
from jupyter_mlplat.hub.start import LISTEN_VARIABLE, ServerStart

MESSAGE_BYTES = 1024 * 1024
PATIENCE = 5.0
PRELOAD = (
    "jupyter_mlplat.hub.server",
    "jupyterlab.labapp",
    "jupyterlab.handlers.announcements",
    "jupyter_lsp.serverextension",
    "jupyter_server_terminals.app",
    "jupyter_server_terminals.terminalmanager",
    "notebook_shim.nbserver",
    "jupyter_server.services.contents.largefilemanager",
    "jupyter_server.services.kernels.kernelmanager",
    "jupyter_server.services.kernels.connection.channels",
    "jupyter_mlplat.server_extension.config",
    "jupyter_mlplat.server_extension.loading",
)


def preload() -> None:
    """Import what every server needs; what is not installed is left out."""
    for name in PRELOAD:
        with suppress(ImportError):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()


class Nursery:
    """Answers the requests that come over one unix socket until it is told to stop. A child runs `program`."""

    def __init__(self, path: Path, program: Callable[[], None]) -> None:
        self._program = program
        self._children: dict[int, tuple[Process, str]] = {}
        self._wake, waker = _signal_pipe()
        self._waker = waker
        self._listener = _listen(path)

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        while True:
            ready, _, _ = select.select([self._listener.fileno(), self._wake], [], [])
            if self._wake in ready and self._told_to_stop():
                return
            self._reap()
            if self._listener.fileno() in ready:
                self._answer()

    def _told_to_stop(self) -> bool:
        return bool(set(os.read(self._wake, 512)) & {signal.SIGTERM, signal.SIGINT})

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            process, record = self._children.pop(pid)
            with suppress(OSError):
                write_record(Path(record), process, os.waitstatus_to_exitcode(status))

    def _answer(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            connection.settimeout(PATIENCE)
            try:
                answer = self._obey(*_receive(connection))
            except (OSError, ValueError, TypeError, KeyError) as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            with suppress(OSError):
                connection.sendall(json.dumps(answer).encode() + b"\n")

    def _obey(self, request: dict[str, Any], descriptors: list[int]) -> dict[str, Any]:
        try:
            if request["do"] == "start":
                return self._start(ServerStart(**request["start"]), descriptors[0])
            return _place(os.getpid())
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _start(self, start: ServerStart, listener: int) -> dict[str, Any]:
        pid = os.fork()
        if pid == 0:
            _become_server(start, listener, self._program)
        place = _place(pid)
        process = Process(**place)
        self._children[pid] = (process, start.record)
        try:
            write_record(Path(start.record), process, None)
        except OSError:
            os.kill(pid, signal.SIGKILL)
            raise
        return place


def _place(pid: int) -> dict[str, Any]:
    process = identify(pid) or Process(pid, 0)
    return {"pid": process.pid, "started": process.started}


def _signal_pipe() -> tuple[int, int]:
    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    return wake, waker


def _listen(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        with unix_path.address(path) as short:
            listener.bind(short)
    finally:
        os.umask(before)
    listener.listen(64)
    return listener


def _receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    message, descriptors, _, _ = socket.recv_fds(connection, MESSAGE_BYTES, 1)
    while not message.endswith(b"\n"):
        more = connection.recv(MESSAGE_BYTES)
        if not more or len(message) > MESSAGE_BYTES:
            raise ValueError("the request is cut off or too long")
        message += more
    request: dict[str, Any] = json.loads(message)
    return request, descriptors


def _become_server(start: ServerStart, listener: int, program: Callable[[], None]) -> NoReturn:
    """In the child: leave behind what belongs to the nursery, then run the server; never returns."""
    code = 1
    try:
        os.setsid()
        _reset_signals()
        _take_files(start.log, listener)
        _take_environment(start.environment, listener=3)
        os.chdir(start.cwd)
        if start.cpus:
            os.sched_setaffinity(0, start.cpus)
        random.seed()
        code = _run(program)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _reset_signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _take_files(log: str, listener: int) -> None:
    """Standard input from nowhere, output to the log, the listening socket as descriptor 3, nothing else open."""
    os.dup2(listener, 3)
    nowhere = os.open(os.devnull, os.O_RDONLY)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(nowhere, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.closerange(4, os.sysconf("SC_OPEN_MAX"))


def _take_environment(environment: dict[str, str], listener: int) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.environ[LISTEN_VARIABLE] = str(listener)
    environ_block.show({name: value for name, value in environment.items() if name.startswith("MLPLAT_")})


def _run(program: Callable[[], None]) -> int:
    try:
        program()
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    return 0


def main() -> None:
    """Preload, then serve."""
    preload()
    from jupyter_mlplat.hub import server

    Nursery(Path(sys.argv[1]), server.main).run()


if __name__ == "__main__":
    main()

"""`mlplat/exec`: a command in the instance's environment, its output as lines of JSON while it runs."""

import asyncio
import base64
import errno
import json
import os
import signal
from asyncio.subprocess import DEVNULL, Process
from contextlib import suppress
from pathlib import Path
from typing import Any

from tornado.iostream import StreamClosedError
from tornado.web import authenticated

from jupyter_mlplat.errors import InvalidInput
from jupyter_mlplat.server_extension.base import MlplatHandler, in_work_folder
from jupyter_mlplat.server_extension.environment import process_environment

_PIECE_BYTES = 65536
_GRACE_SECONDS = 5.0
_LAST_WORDS_SECONDS = 1.0


class ExecHandler(MlplatHandler):
    """Runs one command; when the client goes away, the command's process group ends with it."""

    _process: Process | None = None
    _gone = False

    @authenticated
    async def post(self) -> None:
        """`{argv, cwd}`; answers `{"stream", "data"}` lines in base64 and at the end `{"exit_code"}`.

        `cwd` is work-relative. The exit code of a command that a signal ended is 128 + the signal, as in a shell.
        """
        body = self.body_object()
        argv, folder = _argv(body), self._folder(body)
        async with _Outlet() as stdout, _Outlet() as stderr:
            self._process = process = await _start(argv, folder, stdout, stderr)
            try:
                self.set_header("Content-Type", "application/x-ndjson")
                await self._pass_on(process, {"stdout": stdout, "stderr": stderr})
            finally:
                await _end(process)

    def _folder(self, body: dict[str, Any]) -> Path:
        asked = body.get("cwd") or ""
        if not isinstance(asked, str):
            raise InvalidInput("cwd must be a folder of the work folder.")
        folder = in_work_folder(self.work_folder, asked)
        if not folder.is_dir():
            raise InvalidInput(f"There is no folder {asked} in the work folder to run this in.")
        return folder

    async def _pass_on(self, process: Process, outlets: "dict[str, _Outlet]") -> None:
        with suppress(StreamClosedError):
            await self.flush()
            if self._gone:
                return
            readers = {asyncio.create_task(self._pass_on_stream(*named)) for named in outlets.items()}
            await _until_over(process, readers)
            if not self._gone:
                await self._line({"exit_code": _exit_code(await process.wait())})

    async def _pass_on_stream(self, name: str, outlet: "_Outlet") -> None:
        while piece := await outlet.reader.read(_PIECE_BYTES):
            await self._line({"stream": name, "data": base64.b64encode(piece).decode()})

    async def _line(self, content: dict[str, Any]) -> None:
        self.write(json.dumps(content) + "\n")
        await self.flush()

    def on_connection_close(self) -> None:
        super().on_connection_close()
        self._gone = True
        if self._process is not None and self._process.returncode is None:
            _signal_group(self._process.pid, signal.SIGTERM)


def _argv(body: dict[str, Any]) -> list[str]:
    argv = body.get("argv")
    if not isinstance(argv, list) or not argv or not all(isinstance(part, str) and "\0" not in part for part in argv):
        raise InvalidInput("argv must be a list of strings: a program and its arguments.")
    return argv


class _Outlet:
    """A pipe for the output of a command.

    asyncio's own pipes would make `wait` last until a process in the background has closed them too.
    """

    async def __aenter__(self) -> "_Outlet":
        ours, self.theirs = os.pipe()
        self.reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(self.reader)
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.connect_read_pipe(lambda: protocol, os.fdopen(ours, "rb", 0))
        return self

    def given_away(self) -> None:
        """The command has its end now (or will never have it): only then does reading come to an end."""
        if self.theirs >= 0:
            os.close(self.theirs)
            self.theirs = -1

    async def __aexit__(self, *_: object) -> None:
        self.given_away()
        self._transport.close()


async def _start(argv: list[str], folder: Path, stdout: _Outlet, stderr: _Outlet) -> Process:
    try:
        return await asyncio.create_subprocess_exec(
            *argv, cwd=folder, env=process_environment(), stdin=DEVNULL,
            stdout=stdout.theirs, stderr=stderr.theirs, start_new_session=True,
        )  # fmt: skip
    except FileNotFoundError:
        raise InvalidInput(
            f"There is no program {argv[0]} in the environment. Install it, or check the name."
        ) from None
    except OSError as error:
        if error.errno in (errno.EACCES, errno.ENOEXEC):
            raise InvalidInput(f"{argv[0]} cannot be run: it is not an executable file.") from None
        raise InvalidInput(f"{argv[0]} cannot be run: {error.strerror}.") from None
    finally:
        stdout.given_away()
        stderr.given_away()


async def _until_over(process: Process, readers: set[asyncio.Task[None]]) -> None:
    """Until the command has ended, or its client has; then a moment for what is still in the pipes.

    Not until the pipes are closed: a process left in the background may hold them open for ever.
    """
    ended = asyncio.create_task(process.wait())
    try:
        reading = set(readers)
        while reading and not ended.done():
            done, _ = await asyncio.wait({ended, *reading}, return_when=asyncio.FIRST_COMPLETED)
            if any(reader.exception() for reader in done & readers):
                return
            reading -= done
        await asyncio.wait(readers, timeout=_LAST_WORDS_SECONDS)
    finally:
        for task in (ended, *readers):
            task.cancel()
        await asyncio.gather(ended, *readers, return_exceptions=True)


async def _end(process: Process) -> None:
    if process.returncode is not None:
        return
    _signal_group(process.pid, signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), _GRACE_SECONDS)
    except TimeoutError:
        _signal_group(process.pid, signal.SIGKILL)
        await process.wait()


def _exit_code(returncode: int) -> int:
    return returncode if returncode >= 0 else 128 - returncode


def _signal_group(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)

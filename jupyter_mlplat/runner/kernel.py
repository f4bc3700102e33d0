"""The kernel of a job: started from the job's environment, spoken to over sockets in a private folder."""

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_mlplat.environments.kernels import activated, environment_of_kernel, kernel_folder
from jupyter_mlplat.errors import InvalidInput
from jupyter_mlplat.jobs.notebook import PYTHON_KERNELS, kernel_of, kernel_problem
from jupyter_mlplat.runner.layout import JobFolder, Spec
from jupyter_mlplat.runner.processes import launch, signal_group

if TYPE_CHECKING:
    from jupyter_client.asynchronous.client import AsyncKernelClient

_READY_WITHIN = 120.0
_SHUTDOWN_WITHIN = 10.0
_SOCKET_PATH_AT_MOST = 90
"""The kernel of Linux takes 107 bytes as the path of a socket, and zmq adds its own."""


class KernelDied(Exception):
    """The kernel's process ended by itself; `returncode` as subprocess has it."""

    def __init__(self, returncode: int) -> None:
        super().__init__(f"the kernel ended ({returncode})")
        self.returncode = returncode


class Kernel:
    """A kernel process. Starting it is quick and loads nothing; `connect` is when the client's libraries are needed."""

    def __init__(
        self, spec: Spec, folder: JobFolder, notebook: dict[str, Any], variables: Mapping[str, str], cpus: list[int]
    ) -> None:
        """Start it. Raises InvalidInput where the environment does not have the kernel that the notebook names."""
        self._place = _socket_folder(folder)
        self._connection = _connection(self._place)
        file = self._place / "connection.json"
        file.touch(0o600)
        file.write_text(json.dumps(self._connection | {"kernel_name": kernel_of(notebook)}))
        command = _command(Path(spec.environment), notebook, file)
        with folder.kernel_log.open("wb") as output:
            self.process = launch(
                command,
                spec.folder_of_entry(folder),
                {**_variables(Path(spec.environment), notebook, variables), "JPY_PARENT_PID": str(os.getpid())},
                output.fileno(),
                cpus,
            )

    async def connect(self) -> tuple["AsyncKernelClient", dict[str, Any]]:
        """A client that the kernel has answered, and its `kernel_info`. Raises KernelDied where it never does."""
        client = _client(self.process)
        client.load_connection_info(self._connection | {"key": self._connection["key"].encode()})  # type: ignore[arg-type]
        client.start_channels(stdin=False, hb=False, control=False)
        return client, await self._ready(client)

    def signal(self, number: int) -> None:
        signal_group(self.process, number)

    async def shutdown(self, client: "AsyncKernelClient | None") -> None:
        """Ask the kernel to end, which runs what it has to run at its exit; kill it where it does not."""
        import asyncio

        if client is not None:
            client.shutdown()
        else:
            self.signal(signal.SIGTERM)
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(self.process.wait, _SHUTDOWN_WITHIN)
                break
            self.signal(number)
        if client is not None:
            client.stop_channels()
            client.context.destroy(linger=0)

    def clean(self) -> None:
        """Remove the sockets."""
        shutil.rmtree(self._place, ignore_errors=True)

    async def _ready(self, client: "AsyncKernelClient") -> dict[str, Any]:
        """Ask until an answer comes on both channels: what is said on the second before it is connected is lost."""
        deadline = time.monotonic() + _READY_WITHIN
        while time.monotonic() < deadline:
            request = client.kernel_info()
            reply = await _reply(client, request, deadline)
            if reply is not None and await _heard(client, request):
                return dict(reply["content"])
            if self.process.poll() is not None:
                raise KernelDied(self.process.returncode)
        raise InvalidInput(f"The kernel did not answer within {_READY_WITHIN:.0f} s.")


def installed_kernels(environment: Path) -> dict[str, list[str]]:
    """The kernels that an environment has, by name, with the command of each. Python's own is always among them."""
    found = {name: _python_command(environment) for name in PYTHON_KERNELS}
    for file in sorted((environment / "share" / "jupyter" / "kernels").glob("*/kernel.json")):
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
            command = [str(word) for word in json.loads(file.read_bytes())["argv"]]
            if file.parent.name not in found:
                found[file.parent.name] = _in_environment(environment, command, file.parent)
    return found


def death_in_words(returncode: int) -> tuple[str, int]:
    """Why a process ended that was not to end, in words for its user, and the exit code as a shell counts."""
    if returncode >= 0:
        return f"ended by itself with exit code {returncode}", returncode
    code = 128 - returncode
    if returncode == -signal.SIGKILL:
        return "was killed, most likely because memory ran out: take a flavor with more, or load less at once", code
    name = signal.Signals(-returncode).name if -returncode in set(signal.Signals) else f"signal {-returncode}"
    if returncode in (-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGILL, -signal.SIGFPE):
        return f"crashed ({name}): some native library failed, see the log", code
    return f"was ended by {name}", code


def _command(environment: Path, notebook: dict[str, Any], connection: Path) -> list[str]:
    kernels = installed_kernels(environment)
    if problem := kernel_problem(notebook, kernels):
        raise InvalidInput(problem)
    words = [word.replace("{connection_file}", str(connection)) for word in kernels[kernel_of(notebook)]]
    if "ipykernel_launcher" in words:
        words.append("--HistoryManager.hist_file=:memory:")
    return words


def _variables(environment: Path, notebook: dict[str, Any], variables: Mapping[str, str]) -> Mapping[str, str]:
    """Those of the job; a kernel of another environment finds that one's programs first."""
    folder = environment_of_kernel(kernel_folder(environment, kernel_of(notebook)))
    return variables if folder is None else activated(variables, folder)


def _python_command(environment: Path) -> list[str]:
    return [str(environment / "bin" / "python"), "-m", "ipykernel_launcher", "-f", "{connection_file}"]


def _in_environment(environment: Path, command: list[str], resources: Path) -> list[str]:
    """A kernel spec's command; a program that it names by its name alone is the environment's own, where it has one.

    A path that leads into another environment beside the kernel stays.
    """
    first, *others = [word.replace("{resource_dir}", str(resources)) for word in command]
    own = environment / "bin" / Path(first).name
    leads_elsewhere = environment_of_kernel(resources) is not None
    return [str(own) if own.exists() and not leads_elsewhere else first, *others]


def _socket_folder(folder: JobFolder) -> Path:
    """A folder that only we can read; in the job's own where the path is short enough for a socket."""
    near = str(folder.root) if len(os.fsencode(folder.root)) < _SOCKET_PATH_AT_MOST - 20 else None
    return Path(tempfile.mkdtemp(prefix="kernel-", dir=near))


def _connection(place: Path) -> dict[str, Any]:
    ports = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")
    return {
        "transport": "ipc",
        "ip": str(place / "s"),
        "key": secrets.token_hex(32),
        "signature_scheme": "hmac-sha256",
        **{name: number for number, name in enumerate(ports, 1)},
    }


def _client(process: "subprocess.Popen[bytes]") -> "AsyncKernelClient":
    import zmq.asyncio
    from jupyter_client.asynchronous.client import AsyncKernelClient

    class Client(AsyncKernelClient):
        async def is_alive(self) -> bool:
            return process.poll() is None

    context = zmq.asyncio.Context()
    context.setsockopt(zmq.RCVHWM, 0)  # a cell that prints faster than we write loses nothing
    context.setsockopt(zmq.RECONNECT_IVL, 10)
    return Client(context=context)


async def _reply(client: "AsyncKernelClient", request: str, deadline: float) -> dict[str, Any] | None:
    from queue import Empty

    while time.monotonic() < deadline and await client.is_alive():
        with contextlib.suppress(Empty):
            message = await client.get_shell_msg(timeout=0.2)
            if message["parent_header"].get("msg_id") == request:
                return dict(message)
    return None


async def _heard(client: "AsyncKernelClient", request: str) -> bool:
    """Whether the end of the answer to a request came on the channel for output; with it the channel is empty."""
    from queue import Empty

    with contextlib.suppress(Empty):
        while True:
            message = await client.get_iopub_msg(timeout=0.1)
            ours = message["parent_header"].get("msg_id") == request
            if ours and message["content"].get("execution_state") == "idle":
                return True
    return False

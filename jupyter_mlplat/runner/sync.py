"""`python -m jupyter_mlplat.runner.sync JOB_DIR`: brings the files of a job into its pod, and what it leaves out of it.

It runs beside the runner, in a container of its own: what the runner wrote before it was killed is still sent. It ends
by itself once the runner has ended and all of that has arrived, however long the platform is away.
"""

import contextlib
import fcntl
import os
import signal
import stat
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from jupyter_mlplat.runner.channels import files_in
from jupyter_mlplat.runner.courier import Courier, Over, Refused
from jupyter_mlplat.runner.fetch import fetch
from jupyter_mlplat.runner.layout import JobFolder
from jupyter_mlplat.runner.log import Log
from jupyter_mlplat.runner.state import State

if TYPE_CHECKING:
    from jupyter_mlplat.runner.endpoints import Endpoints
    from jupyter_mlplat.runner.stores import JobStores

    OpenStores = Callable[[], JobStores]

LOOK_EVERY = 0.25
OUTPUTS_EVERY = 5.0
NOTEBOOK_EVERY = 1.0
_PIECE = 1 << 20
_PIECES_AT_ONCE = 8


class Sync:
    """Sends what is new in the folder of one node."""

    def __init__(self, courier: Courier, folder: JobFolder, node: int, pod: str, stores: "OpenStores") -> None:
        self._courier, self._folder, self._node, self._pod = courier, folder, node, pod
        self._log, self._metrics = _Stream("log", folder.log(node)), _Stream("metrics", folder.metrics)
        self._state = b""
        self._notebook: tuple[int, int] | None = None
        self._notebook_due = self._outputs_due = 0.0
        self._outputs: dict[Path, tuple[int, int]] = {}
        self._stores = stores
        self._far: Endpoints | None = None
        self.asked_to_stop = False

    def begin(self) -> bool:
        """Bring the job's files; False where that failed."""
        beginning = self._courier.ask("POST", f"nodes/{self._node}/begin", pod=self._pod)
        self._log.sent, self._metrics.sent = beginning["log"], beginning["metrics"]
        self._far = self._endpoints(beginning)
        if beginning["far"]["logs"] and beginning["earlier_log"]:
            # there it is one file for all attempts, and is sent whole
            self._courier.download(f"nodes/{self._node}/log", self._folder.log(self._node))
            self._log.skipped = self._folder.log(self._node).stat().st_size - self._log.sent
        there = fetch(self._courier, self._folder, beginning, self._far)
        self._outputs = {path: _version(path) for path in files_in(self._folder.outputs)}
        if self._far is not None:
            self._far.start()
        return there

    def to_the_end(self) -> None:
        """Send what comes until the runner is over and all has arrived."""
        while True:
            # First looked at, then sent: what was written before the end is sent after it was seen.
            over = self._is_over() and self._is_home()
            self.send(everything=over)
            if over:
                self._courier.ask("POST", f"nodes/{self._node}/end", pod=self._pod)
                return
            time.sleep(LOOK_EVERY)

    def send(self, *, everything: bool) -> None:
        """Send what is new; the state last, so that nobody hears of an end before its last words."""
        for stream in (self._log, self._metrics):
            self._send_stream(stream, everything)
        now = time.monotonic()
        if everything or now >= self._outputs_due:
            self._send_outputs()
            self._outputs_due = time.monotonic() + OUTPUTS_EVERY
        if everything or now >= self._notebook_due:
            self._send_notebook()
        self._send_state()

    def _endpoints(self, beginning: dict[str, Any]) -> "Endpoints | None":
        if not any(beginning["far"].values()):
            return None
        from jupyter_mlplat.runner.endpoints import Endpoints

        return Endpoints(beginning, self._folder, self._stores())

    def _is_home(self) -> bool:
        """Whether all is at the endpoints that shall be there; what is left is being sent, for the last time."""
        return self._far is None or self._far.is_home()

    def _is_over(self) -> bool:
        state = State.load(self._folder.state)
        if state is None:
            return self.asked_to_stop
        return state.state != "running" or not _is_held(self._folder.lock)

    def _send_stream(self, stream: "_Stream", everything: bool) -> None:
        pieces = 0
        while (everything or pieces < _PIECES_AT_ONCE) and (piece := stream.next_piece()):
            path = f"nodes/{self._node}/streams/{stream.name}"
            answer = self._courier.ask("PUT", path, piece, pod=self._pod, offset=stream.sent)
            stream.sent = answer["size"]
            pieces += 1

    def _send_state(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            with _opened(self._folder.state) as file:
                state = file.read()
            if state != self._state:
                self._courier.ask("PUT", f"nodes/{self._node}/state", state, pod=self._pod)
                self._state = state

    def _send_notebook(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            version = _version(self._folder.executed)
            if version != self._notebook:
                began = time.monotonic()
                self._put(f"nodes/{self._node}/notebook", self._folder.executed)
                self._notebook = version
                # A large one may take long: it has a tenth of the line at most.
                now = time.monotonic()
                self._notebook_due = now + max(NOTEBOOK_EVERY, 10 * (now - began))

    def _send_outputs(self) -> None:
        for path in files_in(self._folder.outputs):
            with contextlib.suppress(FileNotFoundError):
                version = _version(path)
                if self._outputs.get(path) != version:
                    self._send_output(path)
                    self._outputs[path] = version

    def _send_output(self, path: Path) -> None:
        name = path.relative_to(self._folder.outputs).as_posix()
        try:
            name.encode()
            self._put(f"nodes/{self._node}/outputs/{name}", path)
        except UnicodeEncodeError:
            self._note(f"The output {name!r} is not kept: its name is no text in UTF-8.")
        except Refused as refusal:
            self._note(f"The output {name} is not kept: {refusal.message}")

    def _put(self, where: str, path: Path) -> None:
        def opened() -> tuple[IO[bytes], int]:
            file = _opened(path)
            return file, os.fstat(file.fileno()).st_size

        self._courier.ask("PUT", where, opened, pod=self._pod)

    def _note(self, text: str) -> None:
        Log(self._folder.log(self._node)).note(text)


class _Stream:
    """A file that grows, and how much of it has arrived."""

    def __init__(self, name: str, path: Path) -> None:
        self.name, self._path, self.sent = name, path, 0
        self.skipped = 0
        """What was there before: somebody else has sent it."""

    def next_piece(self) -> bytes:
        try:
            with _opened(self._path) as file:
                file.seek(self.skipped + self.sent)
                return file.read(_PIECE)
        except FileNotFoundError:
            return b""


def _opened(path: Path) -> IO[bytes]:
    """A file of the job's own. What it has made of it besides (a link to what only we can see, a pipe) is not there."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise FileNotFoundError(error.errno, f"{path} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(f"{path} is no file")
    return os.fdopen(descriptor, "rb")


def _is_held(lock: Path) -> bool:
    """Whether the runner that has written a state still lives."""
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _version(path: Path) -> tuple[int, int]:
    facts = path.stat()
    return facts.st_size, facts.st_mtime_ns


def main(arguments: list[str]) -> int:
    """Always 0 where there is nothing more to send: a job does not fail for its messenger."""
    folder = JobFolder(Path(arguments[0]), apart=Path(tempfile.mkdtemp()))
    token = Path(os.environ["MLPLAT_TOKEN_FILE"]).read_text().strip()
    line = os.environ["MLPLAT_API"], os.environ["MLPLAT_JOB_ID"], token
    node = int(os.environ.get("JOB_COMPLETION_INDEX", "0"))
    sync = Sync(Courier(*line), folder, node, os.environ["MLPLAT_POD"], lambda: _stores(*line))
    try:
        # At once: what still fetches in other threads would hold the interpreter back.
        _on_stop(lambda: os._exit(0))
        sync.begin()
        _on_stop(lambda: setattr(sync, "asked_to_stop", True))
        sync.to_the_end()
    except (Over, Refused) as reason:
        print(f"nothing more to do: {reason}", file=sys.stderr)
    return 0


def _stores(*line: str) -> "JobStores":
    from jupyter_mlplat.runner.stores import JobStores

    return JobStores(*line)


def _on_stop(do: Callable[[], object]) -> None:
    signal.signal(signal.SIGTERM, lambda *_: do())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

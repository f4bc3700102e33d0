"""Running a notebook: cell by cell, with what it puts out in the log and in executed.ipynb while it runs."""

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from jupyter_mlplat.jobs.notebook import runnable
from jupyter_mlplat.runner.kernel import Kernel, KernelDied, death_in_words
from jupyter_mlplat.runner.layout import JobFolder
from jupyter_mlplat.runner.log import Log, message_in_words, plain
from jupyter_mlplat.runner.outcome import STOPPED, Outcome, Task
from jupyter_mlplat.runner.state import StateFile, replacing

if TYPE_CHECKING:
    from jupyter_client.asynchronous.client import AsyncKernelClient
    from nbclient import NotebookClient

_WRITE_EVERY = 1.0
_MESSAGE_AT_MOST = 1000


class NotebookTask(Task):
    """Runs the cells of a notebook in a kernel that was started for it; `inputs` is done when the data is there."""

    def __init__(
        self,
        folder: JobFolder,
        log: Log,
        notebook: dict[str, Any],
        kernel: Kernel,
        state: StateFile,
        inputs: "Future[None]",
    ) -> None:
        super().__init__(inputs)
        self._folder, self._log, self._kernel, self._state = folder, log, kernel, state
        self._positions = runnable(notebook)
        self._copy = _LiveCopy(folder, notebook)
        self._number = 0

    async def run(self) -> Outcome:
        client: AsyncKernelClient | None = None
        try:
            self._copy.write()
            self._state.change(cells_total=len(self._positions))
            notebook_client = _live_client(self._copy.notebook, self._hear)
            client, info = await self._kernel.connect()
            notebook_client.kc = client
            self._copy.notebook["metadata"]["language_info"] = info["language_info"]
            await self.inputs_are_there()
            with self._copy.kept_up():
                return await self._cells(notebook_client)
        except KernelDied as death:
            return self._died(death.returncode)
        finally:
            await self._kernel.shutdown(client)
            self._copy.write()

    async def stop(self, number: int) -> None:
        # What the first signal is to a script, an interrupt is to a cell: it can still save what it has.
        await super().stop(number)
        self._kernel.signal(signal.SIGINT if number == signal.SIGTERM else number)

    async def _cells(self, client: "NotebookClient") -> Outcome:
        from nbclient.exceptions import CellExecutionError, DeadKernelError

        total = len(self._positions)
        for position in self._positions:
            self._number += 1
            if self.stopping:
                return STOPPED
            self._log.line(f"[cell {self._number}/{total}]")
            cell = self._copy.notebook["cells"][position]
            try:
                await client.async_execute_cell(cell, position, execution_count=self._number)
            except CellExecutionError as error:
                return self._failed(error)
            except DeadKernelError:
                return self._died(await asyncio.to_thread(self._kernel.process.wait))
            self._copy.write()
            self._state.change(cells_done=self._number)
        client.set_widgets_metadata()
        return Outcome("completed", 0)

    def _failed(self, error: Any) -> Outcome:
        if error.ename == "SystemExit" and str(error.evalue) in ("", "0", "None"):
            return Outcome("completed", 0, f"Cell {self._number} ended the notebook.")
        words = plain(f"Cell {self._number} failed: {error.ename}: {error.evalue}").strip()
        return Outcome("failed", 1, words[:_MESSAGE_AT_MOST])

    def _died(self, returncode: int) -> Outcome:
        self._log.take_over(self._folder.kernel_log)
        words, code = death_in_words(returncode)
        if self._number:
            return Outcome("failed", code, f"The kernel {words}. It was running cell {self._number}.")
        if b"No module named" in self._folder.kernel_log.read_bytes():
            words = "could not start: the image has no ipykernel. Install it in an instance and save the image"
        return Outcome("failed", code, f"The kernel {words}. No cell has run.")

    def _hear(self, message: dict[str, Any]) -> None:
        if words := message_in_words(message):
            self._log.write(words)
        self._copy.changed()


class _LiveCopy:
    """The notebook in memory and its copy in executed.ipynb, which is whole at any moment."""

    def __init__(self, folder: JobFolder, notebook: dict[str, Any]) -> None:
        _without_slow_imports()
        from nbformat import from_dict

        self.notebook = from_dict(notebook)  # type: ignore[no-untyped-call]
        self._path = folder.executed
        self._changed = asyncio.Event()
        self._pause = _WRITE_EVERY

    def changed(self) -> None:
        self._changed.set()

    def write(self) -> None:
        began = time.monotonic()
        self._changed.clear()
        text = json.dumps(self.notebook, ensure_ascii=False, indent=1)
        with replacing(self._path) as partial:
            # A lone surrogate becomes \udc80, which is how JSON writes it.
            partial.write_bytes(text.encode("utf-8", "backslashreplace"))
        # A copy that takes long is written less often, so that the job does not wait for it.
        self._pause = max(_WRITE_EVERY, 10 * (time.monotonic() - began))

    @contextlib.contextmanager
    def kept_up(self) -> Iterator[None]:
        """Write every change within a second or so."""
        task = asyncio.create_task(self._keep_up())
        try:
            yield
        finally:
            task.cancel()

    async def _keep_up(self) -> None:
        while True:
            await self._changed.wait()
            self.write()
            await asyncio.sleep(self._pause)


def _live_client(notebook: Any, hear: Callable[[dict[str, Any]], None]) -> "NotebookClient":
    from nbclient import NotebookClient

    from jupyter_mlplat.runner.streams import append_stream

    class Client(NotebookClient):
        def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
            try:
                return super().process_message(msg, cell, cell_index)
            finally:
                hear(msg)

        def output(self, outs: list[Any], msg: dict[str, Any], display_id: str | None, cell_index: int) -> Any:
            hooked = self.output_hook_stack[msg["parent_header"].get("msg_id")]
            if msg["msg_type"] == "stream" and not hooked and not self.clear_before_next_output:
                return append_stream(outs, msg["content"]["name"], msg["content"]["text"])
            return super().output(outs, msg, display_id, cell_index)

    return Client(notebook, timeout=None, iopub_timeout=30, coalesce_streams=False)


def _without_slow_imports() -> None:
    """Keep jsonschema from building a grammar for addresses, which takes two seconds and serves nothing here."""
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

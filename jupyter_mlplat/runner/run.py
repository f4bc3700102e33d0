"""One attempt of a job from its start to its outcome, whatever happens on the way."""

import errno
import os
import signal
import time
import traceback
from typing import TYPE_CHECKING

from jupyter_mlplat.errors import InvalidInput, MlplatError
from jupyter_mlplat.runner.channels import Outputs, copy_inputs, stores_of
from jupyter_mlplat.runner.kernel import Kernel
from jupyter_mlplat.runner.layout import JobFolder, Spec
from jupyter_mlplat.runner.log import Log
from jupyter_mlplat.runner.processes import end_descendants
from jupyter_mlplat.runner.state import StateFile
from jupyter_mlplat.runner.variables import variables_of

if TYPE_CHECKING:
    import asyncio
    from concurrent.futures import Future

    from jupyter_mlplat.runner.outcome import Outcome, Task

_OUTPUTS_EVERY = 10.0
_STOP_WITHIN = 6.0
_ORPHANS_WITHIN = 2.0


class Run:
    """Runs one attempt in its folder."""

    def __init__(self, spec: Spec, folder: JobFolder, state: StateFile) -> None:
        self._spec, self._folder, self._state = spec, folder, state
        for place in (folder.logs, folder.inputs, folder.outputs):
            place.mkdir(parents=True, exist_ok=True)
        self._log = Log(folder.log(spec.node))
        self._stores = stores_of(spec)
        self._outputs = Outputs(spec, folder, self._stores)
        self._kernel: Kernel | None = None

    def to_the_end(self) -> "Outcome":
        """Run the task, end every process that is left, bring the outputs home, tell the log."""
        began = time.monotonic()
        outcome = self._guarded()
        end_descendants(_ORPHANS_WITHIN)
        if self._kernel is not None:
            self._kernel.clean()
        outcome = self._bring_home(outcome)
        self._log.note(_last_words(outcome, time.monotonic() - began))
        return self._send_logs(outcome)

    def _guarded(self) -> "Outcome":
        try:
            return self._run()
        except Exception as error:
            return _failure(error)

    def _run(self) -> "Outcome":
        self._log.note(f"{self._spec.name} #{self._spec.number}, attempt {self._spec.attempt}: {self._spec.entry}")
        if not (self._folder.code / self._spec.entry).is_file():
            raise InvalidInput(f"There is no file {self._spec.entry} among the files of the job.")
        self._outputs.prepare()
        task = self._notebook_task() if self._spec.kind == "notebook" else self._script_task()
        import asyncio

        return asyncio.run(self._supervise(task))

    def _notebook_task(self) -> "Task":
        from jupyter_mlplat.jobs.notebook import ready_to_run

        notebook = ready_to_run(self._folder.code / self._spec.entry, self._spec.parameters)
        self._kernel = Kernel(self._spec, self._folder, notebook, self._variables(), self._cpus())
        inputs = self._inputs()
        # The kernel starts by itself while we load what speaks to it and while the inputs are copied.
        from jupyter_mlplat.runner.notebook import NotebookTask

        return NotebookTask(self._folder, self._log, notebook, self._kernel, self._state, inputs)

    def _script_task(self) -> "Task":
        inputs = self._inputs()
        from jupyter_mlplat.runner.script import ScriptTask

        return ScriptTask(self._spec, self._folder, self._log, self._variables(), self._cpus(), inputs)

    async def _supervise(self, task: "Task") -> "Outcome":
        """Run the task until it ends or somebody asks us to stop."""
        import asyncio

        asked = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        work, request = asyncio.create_task(task.run()), asyncio.create_task(asked.wait())
        copying = asyncio.create_task(self._keep_outputs())
        try:
            limit = self._spec.time_limit
            await asyncio.wait({work, request}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            stopped = await _stopped(task, work)
            return stopped if request.done() or limit is None else _out_of_time(limit)
        finally:
            # What is left to do is not to be cut short by a second request.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            copying.cancel()
            request.cancel()

    async def _keep_outputs(self) -> None:
        import asyncio

        said = ""
        while True:
            await asyncio.sleep(_OUTPUTS_EVERY)
            try:
                await asyncio.to_thread(self._outputs.push)
                said = ""
            except MlplatError as error:
                if error.message != said:
                    self._log.note(error.message)
                said = error.message

    def _bring_home(self, outcome: "Outcome") -> "Outcome":
        try:
            self._outputs.push(last=True)
        except Exception as error:
            failure = _failure(error)
            if outcome.state == "completed":
                return failure
            return _with(outcome, failure.message)
        return outcome

    def _send_logs(self, outcome: "Outcome") -> "Outcome":
        """A log that does not arrive is said, and fails no job: it is kept with the job."""
        for trouble in self._outputs.push_logs(last=True):
            self._log.note(trouble)
            outcome = _with(outcome, trouble)
        return outcome

    def _inputs(self) -> "Future[None]":
        from concurrent.futures import ThreadPoolExecutor

        return ThreadPoolExecutor(1).submit(copy_inputs, self._spec, self._folder, self._log, self._stores)

    def _variables(self) -> dict[str, str]:
        return variables_of(self._spec, self._folder, os.environ)

    def _cpus(self) -> list[int]:
        if not hasattr(os, "sched_getaffinity"):
            return []
        chosen = sorted(set(self._spec.cpus) & os.sched_getaffinity(0))
        if self._spec.cpus and not chosen:
            self._log.note(f"none of the CPU cores {self._spec.cpus} can be used here: running on any")
        return chosen


async def _stopped(task: "Task", work: "asyncio.Task[Outcome]") -> "Outcome":
    """Ask the task to end, then force it; a failure on the way out is part of being stopped."""
    import asyncio

    from jupyter_mlplat.runner.outcome import STOPPED

    for number in (signal.SIGTERM, signal.SIGKILL):
        await task.stop(number)
        if (await asyncio.wait({work}, timeout=_STOP_WITHIN))[0]:
            break
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    return STOPPED


def _out_of_time(limit: int) -> "Outcome":
    from jupyter_mlplat.runner.outcome import Outcome

    return Outcome("failed", None, f"It was ended at its time limit of {limit:,} s. Give it more, or let it do less.")


def _with(outcome: "Outcome", words: str) -> "Outcome":
    from dataclasses import replace

    return replace(outcome, message=f"{outcome.message} {words}".strip())


def _last_words(outcome: "Outcome", seconds: float) -> str:
    if outcome.state == "completed":
        return f"Completed in {seconds:.1f} s. {outcome.message}".rstrip()
    return outcome.message if outcome.state == "stopped" else f"Failed: {outcome.message}"


def _failure(error: Exception) -> "Outcome":
    from jupyter_mlplat.runner.outcome import Outcome

    if isinstance(error, MlplatError):
        return Outcome("failed", None, error.message)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Outcome("failed", None, "The disk is full. Free some space and submit the job again.")
    traceback.print_exception(error)
    return Outcome("failed", None, f"The platform could not run the job: {type(error).__name__}: {error}")

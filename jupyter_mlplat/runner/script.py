"""Running a script: its output goes straight into the log, its parameters onto its command line."""

import asyncio
import shutil
import subprocess
from collections.abc import Mapping
from concurrent.futures import Future

from jupyter_mlplat.runner.kernel import death_in_words
from jupyter_mlplat.runner.layout import JobFolder, Spec
from jupyter_mlplat.runner.log import Log
from jupyter_mlplat.runner.outcome import Outcome, Task
from jupyter_mlplat.runner.processes import launch, signal_group
from jupyter_mlplat.runner.variables import in_text


def command_of(spec: Spec) -> list[str]:
    """`python -u script.py --name value …`; a shell script finds its parameters among its variables."""
    name = spec.entry.rpartition("/")[2]
    if spec.kind == "shell":
        return [shutil.which("bash") or "bash", f"./{name}"]
    arguments = [word for name, value in spec.parameters.items() for word in (f"--{name}", in_text(value))]
    return [str(spec.python), "-u", name, *arguments]


class ScriptTask(Task):
    """Runs a script once `inputs` is done."""

    def __init__(
        self,
        spec: Spec,
        folder: JobFolder,
        log: Log,
        variables: Mapping[str, str],
        cpus: list[int],
        inputs: "Future[None]",
    ) -> None:
        super().__init__(inputs)
        self._spec, self._folder, self._log, self._variables, self._cpus = spec, folder, log, variables, cpus
        self._process: subprocess.Popen[bytes] | None = None

    async def run(self) -> Outcome:
        await self.inputs_are_there()
        place = self._spec.folder_of_entry(self._folder)
        output = self._log.descriptor
        self._process = launch(command_of(self._spec), place, dict(self._variables), output, self._cpus)
        code = await asyncio.to_thread(self._process.wait)
        return self._outcome(code)

    async def stop(self, number: int) -> None:
        await super().stop(number)
        if self._process is not None:
            signal_group(self._process, number)

    def _outcome(self, code: int) -> Outcome:
        name = self._spec.entry.rpartition("/")[2]
        if code == 0:
            return Outcome("completed", 0)
        if code > 0:
            return Outcome("failed", code, f"{name} failed with exit code {code}: {self._log.last_line()[:300]}")
        words, code = death_in_words(code)
        return Outcome("failed", code, f"{name} {words}.")

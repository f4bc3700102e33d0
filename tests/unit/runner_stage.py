"""A runner as a real process, and what it left behind."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jupyter_mlplat.core.proc import identify
from jupyter_mlplat.runner.layout import JobFolder, Spec
from jupyter_mlplat.runner.state import State

ROOT = Path(__file__).parents[2]


def until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """The first true answer; the condition is looked at again and again."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
    return answer


def alive(pid: int) -> bool:
    return identify(pid) is not None


class Running:
    """A job folder with a runner of its own."""

    def __init__(self, root: Path, entry: str, content: str | list[str], **spec: Any) -> None:
        self.folder = JobFolder(root / "job")
        self.write(entry, content if isinstance(content, str) else notebook(*content))
        self.folder.env.symlink_to(sys.prefix)
        kind = {"ipynb": "notebook", "py": "python", "sh": "shell"}[entry.rpartition(".")[2]]
        given = {"kind": kind, "entry": entry, "environment": str(self.folder.env), **spec}
        self.spec = Spec(job_id="j-test", number=7, name="train", attempt=1, **given)
        self.folder.spec.write_bytes(self.spec.to_json())
        self.process: subprocess.Popen[bytes] | None = None

    def write(self, name: str, content: str) -> None:
        path = self.folder.code / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    def start(self) -> "Running":
        command = [sys.executable, "-m", "jupyter_mlplat.runner", str(self.folder.root)]
        output = (self.folder.root / "runner.out").open("wb")
        # With this variable a kernel leaves the output of native code alone.
        environ = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
        self.process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=output, stderr=output)
        output.close()
        return self

    def end(self) -> State:
        assert self.process
        self.process.wait(60)
        return self.state

    @property
    def state(self) -> State:
        state = State.load(self.folder.state)
        assert state, (self.folder.root / "runner.out").read_text()
        return state

    @property
    def log(self) -> str:
        path = self.folder.log(0)
        return path.read_text() if path.exists() else ""

    @property
    def executed(self) -> dict[str, Any]:
        return dict(json.loads(self.folder.executed.read_text()))

    def outputs(self, cell: int) -> list[dict[str, Any]]:
        return list(self.executed["cells"][cell]["outputs"])


def notebook(*sources: str, kernel: str = "python3") -> str:
    cells = [
        {
            "cell_type": "code",
            "id": f"c{at}",
            "execution_count": 9,
            "metadata": {"tags": []},
            "outputs": [],
            "source": text,
        }
        for at, text in enumerate(sources)
    ]
    for cell in cells:
        if str(cell["source"]).startswith("# parameters"):
            cell["metadata"] = {"tags": ["parameters"]}
    words = {"cell_type": "markdown", "id": "m", "metadata": {}, "source": "# Title"}
    metadata = {"kernelspec": {"name": kernel, "display_name": "Python 3"}}
    return json.dumps({"cells": [*cells, words], "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})

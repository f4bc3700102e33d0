"""What several of the unit tests stand on."""

import os
import resource
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from platform_stage import Opened, Stage
from runner_stage import Running

from jupyter_mlplat.core.proc import descendants
from jupyter_mlplat.testing.postgresql import FreshDatabase


@pytest.fixture
async def stages(tmp_path: Path, fresh_database: FreshDatabase) -> AsyncIterator[Opened]:
    opened: list[Stage] = []

    def build(**parts: type) -> Stage:
        folder = tmp_path / str(len(opened))
        folder.mkdir()
        opened.append(Stage(folder, fresh_database(folder), **parts))
        return opened[-1]

    yield build
    for stage in opened:
        await stage.database.close()


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    made: list[Running] = []

    def make(entry: str, content: str | list[str], **spec: Any) -> Running:
        made.append(Running(tmp_path, entry, content, **spec))
        return made[-1].start()

    yield make
    for running in made:
        if running.process and running.process.poll() is None:
            for pid in [*descendants(running.process.pid), running.process.pid]:
                os.kill(pid, signal.SIGKILL)
            running.process.wait()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 4 MiB; where none can be mounted, a limit on the size of files stands in."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True).returncode == 0
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    if not mounted:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, limits[1]))
    yield folder
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    if mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)

"""Packages from PyPI, by uv, in a process of its own."""

import asyncio
import os
import subprocess
from collections import deque
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import uv

from jupyter_mlplat.core.proc import end_with
from jupyter_mlplat.environments.files import Recipe
from jupyter_mlplat.environments.interpreter import OUTER_PYTHON, has_own_python, tie_to
from jupyter_mlplat.environments.pip_settings import pip_settings, uv_options
from jupyter_mlplat.environments.places import Say
from jupyter_mlplat.errors import BackendFailure, NoSpace

_LAST_WORDS = 12
_NO_NEWS = "Using Python "
"""What a line begins with that only tells the folder, which is a partial one."""
_LEFT_OUT = frozenset({"VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME", "UV_PROJECT_ENVIRONMENT"})


def make_venv(environment: Path, folder: Path, say: Say) -> None:
    """Make the empty `folder`, two below `environment`, a virtual environment of its Python, good wherever both lie."""
    python = environment / "bin" / "python"
    _uv(["venv", "--quiet", "--relocatable", "--no-project", "--allow-existing", "--python", str(python), str(folder)],
        folder, say)  # fmt: skip
    if not has_own_python(environment):
        tie_to(folder, OUTER_PYTHON)


def install(folder: Path, recipe: Recipe, say: Say) -> None:
    """Install what the file says into the environment in `folder`. BackendFailure with uv's last words, NoSpace."""
    if recipe.as_it_is:
        _install(folder, ["--requirements", str(recipe.path)], recipe.path.parent, say, hashed=recipe.hashed)
        return
    if recipe.requirements:
        lines = folder / "requirements.partial.txt"
        lines.write_text("".join(f"{line}\n" for line in recipe.requirements))
        try:
            _install(folder, ["--requirements", str(lines)], recipe.path.parent, say)
        finally:
            lines.unlink()


def add_ipykernel(folder: Path, say: Say) -> None:
    """So that notebooks can run in it."""
    if not any(folder.glob("lib/python3*/site-packages/ipykernel")):
        say("Adding ipykernel, so that notebooks can run in it")
        _install(folder, ["ipykernel"], folder, say)


def _install(folder: Path, what: Sequence[str], at: Path, say: Say, *, hashed: bool = False) -> None:
    options = uv_options(asyncio.run(pip_settings()), None)
    words = ["pip", "install", "--no-progress", "--link-mode", "copy", "--python", str(folder / "bin" / "python")]
    _uv([*words, *(["--require-hashes"] if hashed else []), *options, *what], at, say)
    # uv's own, for one uv at a time
    (folder / ".lock").unlink(missing_ok=True)


def _uv(arguments: Sequence[str], at: Path, say: Say) -> None:
    """Run uv in the folder `at` and say what it says; it ends with us."""
    variables = {name: value for name, value in os.environ.items() if name not in _LEFT_OUT}
    last: deque[str] = deque(maxlen=_LAST_WORDS)
    quiet, pipe = subprocess.DEVNULL, subprocess.PIPE
    with subprocess.Popen(
        [uv.find_uv_bin(), *arguments], cwd=at, env=variables, stdin=quiet, stdout=quiet, stderr=pipe,
        text=True, errors="replace", preexec_fn=partial(end_with, os.getpid()),
    ) as process:  # fmt: skip
        try:
            assert process.stderr is not None
            for line in filter(None, map(str.rstrip, process.stderr)):
                if not line.startswith(_NO_NEWS):
                    last.append(line)
                    say(line)
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise failure("\n".join(last))


def failure(words: str) -> BackendFailure | NoSpace:
    """What the last words of uv's come to."""
    if "No space left on device" in words:
        return NoSpace(f"The disk is full, so the packages could not be installed. Free some space.\n{words}")
    return BackendFailure(f"uv could not install the packages:\n{words}")

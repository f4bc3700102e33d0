"""The preset images: a catalogue, and how one is built from it with uv."""

import asyncio
import os
import shutil
import signal
import tempfile
import tomllib
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import uv

import jupyter_mlplat
from jupyter_mlplat.backends.local import moxing
from jupyter_mlplat.backends.retirement import retirement
from jupyter_mlplat.environments.interpreter import MACHINE, OS, PYTHON, base_python
from jupyter_mlplat.environments.pip_settings import pip_settings, uv_options
from jupyter_mlplat.errors import BackendFailure, NotFound
from jupyter_mlplat.images.models import Service

_LAST_WORDS = 5
_TOLD = ("Resolved", "Downloading", "Building", "Prepared", "Installed")


@dataclass(frozen=True)
class Preset:
    """One entry of the catalogue, as it is on this machine.

    `requirements` is the file of what is installed, `constraints` that of the versions; `without` are patterns of what
    is not kept of it, in the environment; `system` are Debian's packages that it needs.
    """

    name: str
    tag: str
    description: str
    categories: tuple[str, ...]
    default: bool
    requirements: Path
    torch_backend: str | None
    constraints: Path | None = None
    without: tuple[str, ...] = ()
    system: tuple[str, ...] = ()
    services: tuple[str, ...] = (Service.NOTEBOOK, Service.TRAIN)
    moxing: bool = False
    """Whether `import moxing` is to work in it."""

    on_request: bool = False
    """Whether a container of it is built only where it is named."""

    budget: int | None = None
    """What a container of it may weigh, in compressed megabytes."""

    containers_only: bool = False
    """Whether it needs what only a container brings."""

    retires_on: date | None = None
    instead: str = ""

    @property
    def ref(self) -> str:
        return f"{self.name}:{self.tag}"

    @property
    def key(self) -> str:
        """What its folder is called, and its container."""
        return self.requirements.parent.name


def catalog_folder() -> Path:
    """Where the catalogue lies: in the installed package, or at the root of a checkout."""
    package = Path(jupyter_mlplat.__file__).parent
    installed = package / "images_catalog"
    return installed if installed.is_dir() else package.parent / "images"


def load(folder: Path) -> tuple[Preset, ...]:
    """The presets of the catalogue in `folder`."""
    document = tomllib.loads((folder / "catalog.toml").read_text())
    return tuple(_preset(entry, folder) for entry in document["preset"])


def of_this_machine(presets: Iterable[Preset]) -> tuple[Preset, ...]:
    """Those that need no container."""
    return tuple(preset for preset in presets if not preset.containers_only)


def _preset(entry: dict[str, Any], folder: Path) -> Preset:
    retires_on, instead = retirement(entry)
    own = folder / entry.get("folder", entry["name"])
    constraints = own / "constraints.txt"
    return Preset(
        name=entry["name"],
        tag=entry["tag"].format(python=PYTHON, os=OS, arch=MACHINE),
        description=entry["description"],
        categories=tuple(entry["categories"]),
        default=entry.get("default", False),
        requirements=own / "requirements.txt",
        torch_backend=entry.get("torch_backend"),
        constraints=constraints if constraints.exists() else None,
        without=tuple(entry.get("without", ())),
        system=tuple(entry.get("system", ())),
        services=tuple(entry.get("services", (Service.NOTEBOOK, Service.TRAIN))),
        moxing=entry.get("moxing", False),
        on_request=entry.get("on_request", False),
        budget=entry.get("budget"),
        containers_only=entry.get("containers_only", False),
        retires_on=retires_on,
        instead=instead,
    )


def find(presets: tuple[Preset, ...], ref: str) -> Preset:
    """The preset NAME:TAG."""
    for preset in presets:
        if preset.ref == ref:
            return preset
    known = ", ".join(preset.ref for preset in presets)
    raise NotFound(f"There is no preset image {ref}. There are: {known}.")


async def build(preset: Preset, environment: Path) -> AsyncGenerator[str, None]:
    """Make `environment`, which does not exist, what the preset says; tells in words what goes on.

    The files are copies: nothing shares an inode with uv's cache. BackendFailure, with uv's last words, where a package
    cannot be had.
    """
    program = uv.find_uv_bin()
    venv = [program, "venv", "--relocatable", "--no-project", "--python", str(base_python()), str(environment)]
    options = uv_options(await pip_settings(), preset.torch_backend)
    install = [
        program,
        "pip",
        "install",
        "--no-progress",
        "--link-mode",
        "copy",
        "--python",
        str(environment / "bin/python"),
    ]
    if preset.constraints:
        options += ["--constraints", str(preset.constraints)]
    with tempfile.TemporaryDirectory(prefix="mlplat-wheel-") as folder:
        wanted = ["--requirements", str(preset.requirements)]
        if preset.moxing:
            wanted.append(str(await asyncio.to_thread(moxing.build, Path(folder))))
        for command in (venv, [*install, *options, *wanted]):
            async with aclosing(_run(command, preset)) as lines:
                async for line in lines:
                    yield line
    # uv's own, for one uv at a time.
    (environment / ".lock").unlink(missing_ok=True)
    await asyncio.to_thread(_leave_out, environment, preset.without)
    if preset.moxing:
        await asyncio.to_thread(moxing.slim, environment)


def _leave_out(environment: Path, patterns: Iterable[str]) -> None:
    for path in (path for pattern in patterns for path in environment.glob(pattern)):
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


async def _run(command: list[str], preset: Preset) -> AsyncGenerator[str, None]:
    """What `command` says, line by line; it ends with its listener."""
    variables = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "CONDA_PREFIX"}}
    process = await asyncio.create_subprocess_exec(
        *command,
        env=variables,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    last: deque[str] = deque(maxlen=_LAST_WORDS)
    try:
        assert process.stderr is not None
        async for raw in process.stderr:
            line = raw.decode(errors="replace").strip()
            last.append(line)
            if line.startswith(_TOLD):
                yield line
        if await process.wait() != 0:
            words = " ".join(last)
            raise BackendFailure(f"The image {preset.ref} could not be built: {words}")
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

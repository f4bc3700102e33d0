"""The kernels of the instance's environment; nothing of the platform's own Python is offered."""

import asyncio
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager, NoSuchKernel
from jupyter_server.services.kernels.kernelmanager import ServerKernelManager
from tornado.web import HTTPError

from jupyter_mlplat.environments.kernels import activated, environment_of_kernel, kernel_folder
from jupyter_mlplat.errors import MlplatError
from jupyter_mlplat.server_extension.environment import environment_of, process_environment, read_runtime

PYTHON = "python3"
LONGEST_NAME = 24


class CannotStartKernel(HTTPError):
    """A kernel cannot start; Lab shows the sentence."""

    def __init__(self, sentence: str) -> None:
        super().__init__(500, sentence.replace("%", "%%"))
        self._sentence = sentence

    def __str__(self) -> str:
        return self._sentence


class EnvironmentKernelSpecManager(KernelSpecManager):
    """Offers `python3`, the Python of the environment, and the kernels installed in env/share/jupyter/kernels."""

    def find_kernel_specs(self) -> dict[str, str]:
        try:
            environment = _environment()
        except MlplatError as error:
            self.log.error("mlplat: no kernels: %s", error.message)
            return {}
        found = {folder.name.lower(): str(folder) for folder in _installed(environment)}
        return {PYTHON: str(_python_resources(environment))} | {k: v for k, v in found.items() if k != PYTHON}

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """NoSuchKernel where the environment has none of this name."""
        name = kernel_name.lower()
        folder = self.find_kernel_specs().get(name)
        if folder is None:
            raise NoSuchKernel(kernel_name)
        return self._python() if name == PYTHON else self._other(folder)

    def remove_kernel_spec(self, name: str) -> str:
        raise CannotStartKernel("Kernels belong to the environment: uninstall the package that brings this one.")

    def _python(self) -> KernelSpec:
        runtime = read_runtime()
        environment = Path(runtime["environment"])
        image = _short((runtime.get("image") or {}).get("name") or "environment")
        return self.kernel_spec_class(
            argv=[str(environment / "bin" / "python"), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            name=PYTHON,
            display_name=f"Python 3 ({image})",
            language="python",
            resource_dir=str(_python_resources(environment)),
            metadata={"debugger": True},
        )

    def _other(self, folder: str) -> KernelSpec:
        spec = self.kernel_spec_class.from_resource_dir(folder)
        if spec.argv and os.sep not in spec.argv[0]:
            # a bare "python" would be replaced by the platform's own
            inside = shutil.which(spec.argv[0], path=environment_of(read_runtime(), os.environ)["PATH"])
            spec.argv = [inside or spec.argv[0], *spec.argv[1:]]
        return spec


class EnvironmentKernelManager(ServerKernelManager):
    """Starts each kernel, also again, with the variables that hold at that moment."""

    _asked: dict[str, str] | None = None

    async def _async_pre_start_kernel(self, **arguments: Any) -> Any:
        given = arguments.get("env") or {}
        if self._asked is None:
            self._asked = {name: value for name, value in given.items() if os.environ.get(name) != value}
        arguments["env"] = process_environment() | self._asked | _session_name(given)
        self._kernel_spec = None
        if self.provisioner is not None:
            self.provisioner.kernel_spec = self.kernel_spec
        own = environment_of_kernel(kernel_folder(_environment(), self.kernel_name))
        if own is not None:
            arguments["env"] = activated(arguments["env"], own)
        if self.kernel_name == PYTHON:
            await asyncio.to_thread(check_ipykernel, _environment(), arguments["env"])
        return await super()._async_pre_start_kernel(**arguments)

    pre_start_kernel = _async_pre_start_kernel  # type: ignore[assignment]


def check_ipykernel(environment: Path, variables: dict[str, str]) -> None:
    """CannotStartKernel where the environment has no Python or no ipykernel; blocks for a moment only then."""
    python = environment / "bin" / "python"
    if not python.exists():
        raise CannotStartKernel("This instance's environment has no Python. Restart the instance to have it made anew.")
    if any(environment.glob("lib/python3*/site-packages/ipykernel/__init__.py")):
        return
    asked = subprocess.run([python, "-c", "import ipykernel"], env=variables, capture_output=True, check=False)
    if asked.returncode != 0:
        raise CannotStartKernel(
            "The environment has no ipykernel, so notebooks cannot run in it. "
            "Open a terminal, run `python -m pip install ipykernel`, then start the kernel again."
        )


def _environment() -> Path:
    return Path(read_runtime()["environment"])


def _installed(environment: Path) -> list[Path]:
    folders = sorted((environment / "share" / "jupyter" / "kernels").glob("*/kernel.json"))
    return [file.parent for file in folders if _is_spec(file)]


def _is_spec(file: Path) -> bool:
    try:
        return bool(json.loads(file.read_text())["argv"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _python_resources(environment: Path) -> Path:
    installed = environment / "share" / "jupyter" / "kernels" / PYTHON
    packaged = sorted(environment.glob("lib/python3*/site-packages/ipykernel/resources"))
    return installed if installed.is_dir() or not packaged else packaged[0]


def _session_name(given: dict[str, str]) -> dict[str, str]:
    return {name: given[name] for name in ("JPY_SESSION_NAME",) if name in given}


def _short(image: str) -> str:
    """The name of an image as the launcher has room for it: the long tags of the presets are left out."""
    return image if len(image) <= LONGEST_NAME else image.partition(":")[0]

"""The instance's environment: what its kernels, terminals and commands run with.

`runtime.json` is read at every start of a process, never kept: a switch of the flavor rewrites it under our feet.
Taking the server's token out of the variables keeps it out of printed environments; it is no wall, because processes
of the same user can read each other's memory.
"""

import json
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jupyter_mlplat
from jupyter_mlplat.errors import BackendFailure

_log = logging.getLogger(__name__)

_HUB_KEPT = frozenset({
    "JUPYTERHUB_USER", "JUPYTERHUB_SERVER_NAME", "JUPYTERHUB_SERVICE_PREFIX", "JUPYTERHUB_BASE_URL",
})  # fmt: skip
_DROPPED = frozenset({
    "VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT", "PYTHONHOME", "PYTHONPATH", "PYTHONEXECUTABLE", "PYTHONSAFEPATH",
    "__PYVENV_LAUNCHER__", "MLPLAT_TOKEN", "MLPLAT_PERMIT", "UV_PROJECT_ENVIRONMENT",
})  # fmt: skip
_COMMANDS = Path(jupyter_mlplat.__file__).parent / "cli" / "bin"
_DROPPED_PREFIXES = ("JUPYTERHUB_", "JUPYTER_", "JUPYTERLAB_", "JPY_", "CONFIGPROXY_", "CONDA_")


def read_runtime() -> dict[str, Any]:
    """What `runtime.json` says now. BackendFailure where it cannot be read."""
    path = os.environ.get("MLPLAT_RUNTIME", "")
    try:
        runtime = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        _log.error("cannot read %r: %s", path, error)
        raise BackendFailure("The description of this instance cannot be read. Restart the instance.") from None
    if not isinstance(runtime, dict) or "environment" not in runtime:
        raise BackendFailure("The description of this instance is damaged. Restart the instance.")
    return runtime


def process_environment() -> dict[str, str]:
    """The variables of a process that starts now, and the flavor's CPUs for it to inherit."""
    runtime = read_runtime()
    _take_cpus(runtime)
    return environment_of(runtime, os.environ)


def environment_of(runtime: Mapping[str, Any], base: Mapping[str, str]) -> dict[str, str]:
    """The variables for `runtime` on top of the server's own `base`, without the server's secrets and its venv."""
    folder = str(runtime["environment"])
    variables = {name: str(value) for name, value in (runtime.get("variables") or {}).items()}
    result = {name: value for name, value in base.items() if _goes_on(name)} | variables
    foreign = [*_foreign_path(base), *_split(variables.get("PATH", ""))]
    result["PATH"] = os.pathsep.join([f"{folder}/bin", *foreign, str(_COMMANDS)])
    result["MLPLAT_PYTHON"] = sys.executable
    result["PYTHONPATH"] = os.pathsep.join([str(in_environment()), *_split(variables.get("PYTHONPATH", ""))])
    result["VIRTUAL_ENV"] = folder
    result["MLPLAT_INSTANCE_ID"] = str(runtime.get("instance_id", ""))
    result["MLPLAT_INSTANCE_NAME"] = str(runtime.get("name", ""))
    return result


def in_environment() -> Path:
    """The folder whose package `mlplat` can be imported in every environment."""
    return Path(jupyter_mlplat.__file__).parent / "in_environment"


def follow_flavor() -> None:
    """Put this server on the CPUs of its flavor, where there is one."""
    try:
        _take_cpus(read_runtime())
    except BackendFailure:
        _log.warning("this server runs without a description of its instance")


def private_folder() -> Path:
    """Where the server keeps what is its own and need not last: `MLPLAT_PRIVATE`, else beside `runtime.json`."""
    return Path(os.environ.get("MLPLAT_PRIVATE") or Path(os.environ["MLPLAT_RUNTIME"]).parent)


def leave_token() -> None:
    """Put the server's token into a file, where `mlplat` in a terminal finds it, and no printed variable."""
    token = os.environ.get("JUPYTERHUB_API_TOKEN")
    if token and os.environ.get("MLPLAT_RUNTIME"):
        place = os.open(private_folder() / "token", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(place, "w") as file:
            file.write(token)


def _goes_on(name: str) -> bool:
    return name in _HUB_KEPT or not (name in _DROPPED or name.startswith(_DROPPED_PREFIXES))


def _foreign_path(base: Mapping[str, str]) -> list[str]:
    own = {f"{base.get('VIRTUAL_ENV', sys.prefix)}/bin"}
    if sys.prefix != sys.base_prefix:
        own.add(f"{sys.prefix}/bin")
    return [entry for entry in _split(base.get("PATH", os.defpath)) if entry.rstrip("/") not in own]


def _split(path: str) -> list[str]:
    return [entry for entry in path.split(os.pathsep) if entry]


def _take_cpus(runtime: Mapping[str, Any]) -> None:
    cpus = runtime.get("cpus") or []
    if not cpus:
        return
    try:
        os.sched_setaffinity(0, cpus)
    except OSError as error:
        _log.warning("cannot use the CPUs %s of the flavor: %s", cpus, error)

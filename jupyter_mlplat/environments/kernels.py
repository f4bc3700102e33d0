"""The kernels of environments: specs that are good wherever the instance's environment lies."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

KERNELS = "share/jupyter/kernels"
UP = "{resource_dir}/../../../.."
"""From a kernel's folder to the environment that it is installed in; Jupyter and our runner put the folder in."""

_LOGOS = ("logo-svg.svg", "logo-64x64.png", "logo-32x32.png")


def kernel_folder(environment: Path, name: str) -> Path:
    return environment / KERNELS / name


def kernel_spec(name: str, python: str) -> dict[str, object]:
    """The spec of the environment `name` with Python `python` ("3.11")."""
    command = [f"{UP}/envs/{name}/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    metadata = {"debugger": True, "mlplat": {"environment": name}}
    return {"argv": command, "display_name": f"{name} (Python {python})", "language": "python", "metadata": metadata}


def register(environment: Path, name: str, folder: Path) -> None:
    """Offer the environment in `folder` as the kernel `name`: whole or not at all. None where it has no ipykernel."""
    python = python_of(folder)
    packaged = sorted(folder.glob("lib/python3*/site-packages/ipykernel/resources"))
    if not packaged:
        return
    target = kernel_folder(environment, name)
    partial = target.with_name(f".{name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for logo in _LOGOS:
        if (packaged[0] / logo).is_file():
            shutil.copyfile(packaged[0] / logo, partial / logo)
    (partial / "kernel.json").write_text(json.dumps(kernel_spec(name, python), indent=1))
    partial.rename(target)


def unregister(environment: Path, name: str) -> None:
    """Take the kernel of an environment away, where it is that one's."""
    folder = kernel_folder(environment, name)
    if environment_of_kernel(folder) is not None:
        (folder / "kernel.json").unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)


def environment_of_kernel(resources: Path) -> Path | None:
    """The folder of the environment that the kernel in `resources` belongs to; None for any other kernel."""
    try:
        name = json.loads((resources / "kernel.json").read_bytes())["metadata"]["mlplat"]["environment"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    folder = resources.parents[3] / "envs" / str(name)
    return folder if folder.is_dir() else None


def activated(variables: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The variables with which processes find the environment in `folder` before all others."""
    result = {**variables, "PATH": f"{folder}/bin{os.pathsep}{variables.get('PATH', os.defpath)}"}
    own = "CONDA_PREFIX" if (folder / "conda-meta").is_dir() else "VIRTUAL_ENV"
    result.pop("VIRTUAL_ENV", None)
    return result | {own: str(folder)}


def python_of(folder: Path) -> str:
    """The minor version of an environment's Python, such as 3.11; empty where it has none."""
    found = sorted(folder.glob("lib/python3.*/site-packages"))
    return found[0].parent.name.removeprefix("python") if found else ""

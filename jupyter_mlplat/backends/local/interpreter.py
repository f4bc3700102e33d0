"""The Python that environments of this machine run on, and what ties an environment to it.

An image holds no interpreter: the links to it and `pyvenv.cfg` are made afresh wherever the image is unpacked.
"""

import platform
import re
import sys
from pathlib import Path

from jupyter_mlplat.errors import Conflict
from jupyter_mlplat.oci.manifest import ImageConfig

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
"""The minor version of the platform's own Python; environments have the same."""

MACHINE = platform.machine()
OS = platform.system().lower()

PYTHON_LABEL = "mlplat.python"

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_LINK = re.compile(r"python(3(\.\d+)?)?")


def architecture() -> str:
    """This machine in the words of OCI."""
    return _ARCHITECTURES.get(MACHINE, MACHINE)


def base_python() -> Path:
    """The interpreter that the platform's own environment was made from."""
    versioned = Path(sys.base_prefix) / "bin" / f"python{PYTHON}"
    return versioned if versioned.exists() else Path(getattr(sys, "_base_executable", sys.executable))


def check_fits(config: ImageConfig) -> None:
    """Conflict, in words, for an image that cannot run on this machine."""
    needed = config.labels.get(PYTHON_LABEL)
    if needed is None:
        raise Conflict("The image holds no Python environment of this platform. Choose another image.")
    if needed != PYTHON:
        raise Conflict(
            f"The image needs Python {needed}, and this platform runs on Python {PYTHON}. "
            f"Choose an image for Python {PYTHON}, or start the platform with Python {needed}."
        )
    if (config.os, config.architecture) != (OS, architecture()):
        raise Conflict(
            f"The image is for {config.os}/{config.architecture}, and this machine is {OS}/{architecture()}. "
            "Choose another image."
        )


def is_interpreter_link(path: str) -> bool:
    """Whether `path` of an environment is one of the names by which its Python is called."""
    folder, _, name = path.rpartition("/")
    return folder == "bin" and _LINK.fullmatch(name) is not None


def tie(environment: Path) -> None:
    """Make the links to this machine's interpreter, and `pyvenv.cfg`."""
    python = base_python()
    binaries = environment / "bin"
    binaries.mkdir(parents=True, exist_ok=True)
    for name, target in {"python": str(python), "python3": "python", f"python{PYTHON}": "python"}.items():
        (binaries / name).unlink(missing_ok=True)
        (binaries / name).symlink_to(target)
    settings = {
        "home": str(python.parent),
        "implementation": platform.python_implementation(),
        "version_info": platform.python_version(),
        "include-system-site-packages": "false",
        "relocatable": "true",
    }
    lines = [f"{key} = {value}\n" for key, value in settings.items()]
    (environment / "pyvenv.cfg").write_text("".join(lines))

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

OUTER_PYTHON = "../../../bin/python"
"""What the Python of an environment `envs/NAME` is a link to: it stays good wherever the whole lies."""

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_INNER = re.compile(r"envs/[^/]+(/bin)?")
_TIED = re.compile(r"(?P<inner>envs/[^/]+/|)(pyvenv\.cfg|\.lock|bin/python(3(\.\d+)?)?)")


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


def is_tied(path: str, inner: frozenset[str]) -> bool:
    """Whether `path` of an environment is one of the names that `tie` makes; `inner` are its `inner_environments`."""
    match = _TIED.fullmatch(path)
    return match is not None and (not match["inner"] or match["inner"].rstrip("/") in inner)


def is_tied_in(folder: str) -> bool:
    """Whether `tie` makes names in this folder of an environment; spares a look at each name in all others."""
    return folder in ("", "bin") or _INNER.fullmatch(folder) is not None


def inner_environments(environment: Path) -> frozenset[str]:
    """The environments inside one that run on its own Python (`envs/NAME`); conda's bring theirs."""
    sites = environment.glob(f"envs/*/lib/python{PYTHON}/site-packages")
    folders = [site.parents[2] for site in sites]
    return frozenset(f"envs/{folder.name}" for folder in folders if not has_own_python(folder))


def has_own_python(folder: Path) -> bool:
    """Whether an environment brings its Python, as conda's do."""
    python = folder / "bin" / f"python{PYTHON}"
    return (folder / "conda-meta").is_dir() or (python.is_file() and not python.is_symlink())


def tie(environment: Path) -> None:
    """Make the links to this machine's interpreter, and `pyvenv.cfg`; also of the environments inside it."""
    tie_to(environment, str(base_python()))
    for inner in inner_environments(environment):
        tie_to(environment / inner, OUTER_PYTHON)


def tie_to(folder: Path, target: str) -> None:
    """Make a folder the virtual environment of the Python that the link `target` leads to."""
    python = base_python()
    binaries = folder / "bin"
    binaries.mkdir(parents=True, exist_ok=True)
    for name, leads_to in {"python": target, "python3": "python", f"python{PYTHON}": "python"}.items():
        (binaries / name).unlink(missing_ok=True)
        (binaries / name).symlink_to(leads_to)
    settings = {
        "home": str(python.parent),
        "implementation": platform.python_implementation(),
        "version_info": platform.python_version(),
        "include-system-site-packages": "false",
        "relocatable": "true",
    }
    lines = [f"{key} = {value}\n" for key, value in settings.items()]
    (folder / "pyvenv.cfg").write_text("".join(lines))

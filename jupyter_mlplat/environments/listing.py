"""Which environments an instance has, read from their files: no Python is started."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from jupyter_mlplat.environments.kernels import environment_of_kernel, kernel_folder, python_of
from jupyter_mlplat.environments.places import BASE, ENVS, Facts, whole

BY_HAND = "made by hand"
_VERSION = re.compile(r"^version(_info)?\s*=\s*(?P<version>[\d.]+)", re.MULTILINE)


@dataclass(frozen=True)
class Environment:
    """One environment. `kind` is base, venv or conda; `size` bytes; `kernel` the name that notebooks know it by, empty
    where it has no ipykernel; `source` what it was made from, in words."""

    name: str
    kind: str
    python: str
    packages: int
    size: int
    source: str
    kernel: str
    created_at: str | None
    path: str


def listing(environment: Path, image: str) -> list[Environment]:
    """The instance's own first, then those inside it by name. `image` is what the instance's own is made from."""
    base = _describe(environment, BASE, Facts(image, ""), "python3")
    return [base, *(_inner(environment, folder) for folder in whole(environment))]


def _inner(environment: Path, folder: Path) -> Environment:
    has_kernel = environment_of_kernel(kernel_folder(environment, folder.name)) is not None
    facts = Facts.read(folder) or Facts(BY_HAND, "")
    return _describe(folder, folder.name, facts, folder.name if has_kernel else "")


def _describe(folder: Path, name: str, facts: Facts, kernel: str) -> Environment:
    is_conda = (folder / "conda-meta").is_dir()
    kind = BASE if name == BASE else "conda" if is_conda else "venv"
    return Environment(
        name,
        kind,
        _python(folder),
        _packages(folder),
        sum(_sizes(os.fspath(folder), {ENVS} if name == BASE else set())),
        facts.source,
        kernel,
        facts.created_at or None,
        os.fspath(folder),
    )


def _python(folder: Path) -> str:
    """Its version, in full where its files say so."""
    for record in sorted((folder / "conda-meta").glob("python-[0-9]*.json")):
        with suppress(OSError, ValueError, LookupError):
            return str(json.loads(record.read_bytes())["version"])
    with suppress(OSError):
        if match := _VERSION.search((folder / "pyvenv.cfg").read_text()):
            return match["version"].rstrip(".")
    return python_of(folder)


def _packages(folder: Path) -> int:
    conda = sum(1 for _ in folder.glob("conda-meta/*.json"))
    found = folder.glob("lib/python3.*/site-packages/*.dist-info")
    return conda + sum(1 for facts in found if not (conda and _is_condas(facts)))


def _is_condas(facts: Path) -> bool:
    with suppress(OSError):
        return (facts / "INSTALLER").read_text().strip() == "conda"
    return False


def _sizes(folder: str, but: set[str]) -> Iterator[int]:
    """The bytes of the files below a folder, but for names in `but` directly in it and for what vanishes meanwhile."""
    try:
        found = list(os.scandir(folder))
    except OSError:
        return
    for item in found:
        if item.name in but:
            continue
        if item.is_dir(follow_symlinks=False):
            yield from _sizes(item.path, set())
        else:
            with suppress(OSError):
                yield item.stat(follow_symlinks=False).st_size

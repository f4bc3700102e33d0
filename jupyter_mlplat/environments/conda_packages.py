"""Packages of conda channels, solved and installed by py-rattler; no conda program is needed."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jupyter_mlplat.environments.conda_prefix import rewrite_file
from jupyter_mlplat.environments.files import Recipe
from jupyter_mlplat.environments.places import Say
from jupyter_mlplat.environments.relocation import relocate_script
from jupyter_mlplat.errors import BackendFailure, NoSpace, NotFound

_NO_SPACE = ("No space left on device", "os error 28")
_LAST_WORDS = 12


def install(folder: Path, place: Path, recipe: Recipe, say: Say) -> None:
    """Install the conda packages of a file into `folder`; their files name `place`, where it will lie.

    NotFound where py-rattler is not installed; BackendFailure with its last words, NoSpace.
    """
    try:
        import rattler
    except ImportError:
        raise NotFound(
            "Files of conda need py-rattler, which this platform has not. Ask for it to be installed "
            "(jupyter-mlplat[conda]), or use a requirements.txt."
        ) from None
    with _in_words():
        asyncio.run(_install(rattler, folder, place, recipe, say))


def free_scripts(folder: Path) -> None:
    """Let the scripts that were made for `folder` find their Python beside themselves."""
    for script in sorted((folder / "bin").iterdir()):
        rewrite_file(script, lambda content: relocate_script(content, [os.fspath(folder)]))


async def _install(rattler: Any, folder: Path, place: Path, recipe: Recipe, say: Say) -> None:
    say(f"Reading {', '.join(recipe.channels)}")
    records = await rattler.solve(
        list(recipe.channels),
        list(recipe.specs),
        platforms=[str(rattler.Subdir.current()), "noarch"],
        virtual_packages=rattler.VirtualPackage.detect(),
    )
    say(f"Resolved {len(records)} conda packages")
    await rattler.install(
        records,
        target_prefix=folder,
        alternative_target_prefix=place,
        cache_dir=_cache(),
        show_progress=False,
        reporter=_Reporter(say, len(records)),
    )


class _Reporter:
    """Says which package is being put in place; what rattler tells besides is left out."""

    def __init__(self, say: Say, total: int) -> None:
        self._say, self._total, self._done = say, total, 0

    def on_populate_cache_start(self, operation: int, package_name: str) -> int:
        self._say(f"Downloading {package_name}")
        return operation

    def on_link_start(self, operation: int, package_name: str) -> int:
        self._done += 1
        self._say(f"Installing {package_name} ({self._done} of {self._total})")
        return operation

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("on_"):
            raise AttributeError(name)
        return lambda *_: 0


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rattler"


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except OSError:
        raise
    except Exception as error:  # rattler's own errors have no base in common
        words = "\n".join(str(error).splitlines()[-_LAST_WORDS:])
        if any(sign in words for sign in _NO_SPACE):
            raise NoSpace(
                f"The disk is full, so the packages could not be installed. Free some space.\n{words}"
            ) from error
        raise BackendFailure(f"The conda packages could not be installed:\n{words}") from error

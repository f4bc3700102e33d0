"""Makes, copies and removes environments: blocking, each of them whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jupyter_mlplat.environments import conda_packages, pip_packages
from jupyter_mlplat.environments.conda_prefix import move, rewrite_file
from jupyter_mlplat.environments.files import Recipe, read
from jupyter_mlplat.environments.interpreter import OUTER_PYTHON, PYTHON, has_own_python, tie_to
from jupyter_mlplat.environments.kernels import KERNELS, python_of
from jupyter_mlplat.environments.places import BASE, ENVS, FACTS, Facts, Say, check_free, folder_of, making, remove
from jupyter_mlplat.environments.relocation import relocate_script
from jupyter_mlplat.errors import Conflict, InvalidInput
from jupyter_mlplat.oci.disk import no_space_in_words

__all__ = ["clone", "create", "remove"]

_TOLD_EVERY = 2000


def create(environment: Path, name: str, file: Path, source: str, say: Say) -> None:
    """Make the environment `name` from a file; `source` is what the list says of where it is from.

    Raises what `places.making` raises, InvalidInput for a file that is none, BackendFailure with the last words of the
    program that failed, NoSpace.
    """
    check_free(environment, name)
    recipe = read(file)
    with _space_in_words(), making(environment, name, Facts.now(source)) as folder:
        if recipe.kind == "conda":
            _fill_from_conda(folder, environment / ENVS / name, recipe, say)
        else:
            _check_python(environment, recipe)
            pip_packages.make_venv(environment, folder, say)
            pip_packages.install(folder, recipe, say)
        pip_packages.add_ipykernel(folder, say)
        conda_packages.free_scripts(folder)


def clone(environment: Path, name: str, original: str, say: Say) -> None:
    """Make `name` a copy of another environment, also of the instance's own. NotFound, and what `create` raises."""
    check_free(environment, name)
    source, place = folder_of(environment, original), environment / ENVS / name
    say(f"Copying {original}")
    with _space_in_words(), making(environment, name, Facts.now(f"clone of {original}")) as folder:
        _Copier(source, say).copy(folder)
        for script in sorted((folder / "bin").iterdir()):
            rewrite_file(script, lambda content: relocate_script(content, [os.fspath(source)]))
        move(folder, os.fspath(source), os.fspath(place))
        if original == BASE and not has_own_python(environment):
            tie_to(folder, OUTER_PYTHON)
        pip_packages.add_ipykernel(folder, say)


def _fill_from_conda(folder: Path, place: Path, recipe: Recipe, say: Say) -> None:
    conda_packages.install(folder, place, recipe, say)
    if not (folder / "bin" / "python").exists():
        raise InvalidInput(f"The packages of {recipe.path.name} hold no Python. Add python to its dependencies.")
    pip_packages.install(folder, recipe, say)


def _check_python(environment: Path, recipe: Recipe) -> None:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        wanted = SpecifierSet(recipe.python)
    except InvalidSpecifier:
        raise InvalidInput(f"{recipe.path.name} asks for Python {recipe.python}, which is no version.") from None
    here = python_of(environment) or PYTHON
    if not any(wanted.contains(f"{here}.{patch}") for patch in (0, 99)):
        raise InvalidInput(
            f"{recipe.path.name} asks for Python {recipe.python}, and this instance has Python {here}. "
            "Use a file of conda, or an image with that Python."
        )


class _Copier:
    """Copies an environment without the environments inside it and their kernels."""

    def __init__(self, source: Path, say: Say) -> None:
        self._source, self._say, self._count = source, say, 0

    def copy(self, target: Path) -> None:
        shutil.copytree(
            self._source,
            target,
            symlinks=True,
            ignore=self._left_out,
            copy_function=self._copy_file,
            dirs_exist_ok=True,
        )

    def _copy_file(self, source: str, target: str) -> None:
        with no_space_in_words("the environment could not be copied"):
            shutil.copy2(source, target, follow_symlinks=False)
        self._count += 1
        if self._count % _TOLD_EVERY == 0:
            self._say(f"Copied {self._count} files")

    def _left_out(self, folder: str, names: list[str]) -> set[str]:
        if Path(folder) == self._source:
            return {ENVS, FACTS, ".mlplat.json", ".lock"}.intersection(names)
        return set(names) if Path(folder) == self._source / KERNELS else set()


@contextmanager
def _space_in_words() -> Iterator[None]:
    """Turns a full disk into NoSpace, and what vanished from under a copy into Conflict."""
    with no_space_in_words("the environment could not be made"):
        try:
            yield
        except shutil.Error as error:
            raise Conflict("The environment changed while it was copied. Try again when it is left alone.") from error

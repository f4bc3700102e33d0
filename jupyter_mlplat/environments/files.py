"""Files that describe an environment: which there are, and what one says.

`requirements.txt` and `*.toml` (a `pyproject.toml` or a `pylock.toml`) are for uv; `*.yml` are conda's.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from jupyter_mlplat.errors import InvalidInput, NotFound

Kind = Literal["pip", "conda"]

SHIPPED = "platform:"
"""What the name of a file begins with that the platform brings."""

_SUFFIXES = {".yml": "conda", ".yaml": "conda", ".toml": "pip", ".txt": "pip"}
_SPEC = re.compile(r"#\s*(?P<description>\S.*)")
_LARGEST = 1 << 20
_LOOKED_INTO = ("", "conda-envs", "environments")


@dataclass(frozen=True)
class File:
    """One that an environment can be made from. `name` is what it is asked for by, `title` what its environment is
    called where nobody says otherwise."""

    name: str
    title: str
    kind: Kind
    description: str
    path: Path


@dataclass(frozen=True)
class Recipe:
    """What a file says. For conda: channels and specs; for pip: a file that uv reads itself, or lines for one."""

    kind: Kind
    path: Path
    requirements: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    specs: tuple[str, ...] = ()
    python: str = ""
    as_it_is: bool = False
    hashed: bool = False


def shipped_folder() -> Path:
    """Where the platform's own files lie: in the installed package, or at the root of a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "conda_envs"
    return installed if installed.is_dir() else package.parent / "conda-envs"


def available(work: Path) -> list[File]:
    """The platform's files, then the user's in the work folder and its folders conda-envs and environments."""
    own = [path for folder in _LOOKED_INTO for path in _candidates(work / folder)]
    shipped = [_file(f"{SHIPPED}{path.name}", path) for path in _candidates(shipped_folder())]
    return shipped + [_file(str(path.relative_to(work)), path) for path in own]


def find(work: Path, name: str) -> Path:
    """The file of that name; NotFound. A path that leads out of the work folder is none of the user's files."""
    if name.startswith(SHIPPED):
        path = shipped_folder() / Path(name.removeprefix(SHIPPED)).name
    else:
        path = (work / name).resolve()
        if not path.is_relative_to(work.resolve()):
            raise NotFound(f"{name} lies outside the work folder. Give a file inside it.")
    if not path.is_file():
        raise NotFound(f"There is no file {name} to make an environment from.")
    return path


def read(path: Path) -> Recipe:
    """What the file says. InvalidInput, in words, for one that describes no environment."""
    kind = _SUFFIXES.get(path.suffix.lower())
    if kind is None:
        raise InvalidInput(f"{path.name} describes no environment: take a requirements.txt, a .toml or a .yml file.")
    try:
        if path.stat().st_size > _LARGEST * 16:
            raise InvalidInput(f"{path.name} is too large to describe an environment.")
        text = path.read_text()
    except UnicodeDecodeError:
        raise InvalidInput(f"{path.name} is no text file.") from None
    if kind == "conda":
        return _conda(path, text)
    return _toml(path, text) if path.suffix.lower() == ".toml" else _requirements(path, text)


def _candidates(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("*")) if _describes(path)] if folder.is_dir() else []


def _describes(path: Path) -> bool:
    """By its name and its first bytes: a folder may hold thousands of other files."""
    if path.suffix.lower() not in _SUFFIXES or not path.is_file() or path.stat().st_size > _LARGEST:
        return False
    if path.suffix.lower() == ".txt":
        return path.name.startswith("requirements") or path.parent.name in _LOOKED_INTO
    if path.suffix.lower() == ".toml":
        return path.name.startswith(("pylock", "pyproject")) or path.parent.name in _LOOKED_INTO
    try:
        return re.search(r"^dependencies\s*:", path.read_text(), re.MULTILINE) is not None
    except (OSError, UnicodeDecodeError):
        return False


def _file(name: str, path: Path) -> File:
    kind: Kind = "conda" if _SUFFIXES[path.suffix.lower()] == "conda" else "pip"
    title = re.sub(r"[^a-z0-9_-]+", "-", path.stem.lower()).strip("-")[:64]
    return File(name, title, kind, _description(path), path)


def _description(path: Path) -> str:
    """The comment in its first line."""
    with path.open(errors="replace") as file:
        match = _SPEC.match(file.readline(400))
    return match["description"].strip() if match else ""


def _requirements(path: Path, text: str) -> Recipe:
    lines = [line.strip() for line in text.splitlines()]
    if not any(line and not line.startswith("#") for line in lines):
        raise InvalidInput(f"{path.name} names no packages.")
    return Recipe("pip", path, as_it_is=True, hashed="--hash=" in text)


def _toml(path: Path, text: str) -> Recipe:
    import tomllib

    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"{path.name} is no TOML: {error}.") from None
    if "lock-version" in document:
        return Recipe("pip", path, python=str(document.get("requires-python", "")), as_it_is=True, hashed=True)
    named = document.get("project")
    project = named if isinstance(named, dict) else {}
    found = project.get("dependencies")
    if not isinstance(found, list) or not found:
        raise InvalidInput(
            f"{path.name} names no packages: it has no dependencies in [project], and is no pylock.toml."
        )
    return Recipe("pip", path, tuple(map(str, found)), python=str(project.get("requires-python", "")))


def _conda(path: Path, text: str) -> Recipe:
    import yaml

    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidInput(f"{path.name} is no YAML: {error}") from None
    found = document.get("dependencies") if isinstance(document, dict) else None
    if not isinstance(found, list):
        raise InvalidInput(f"{path.name} names no packages: it has no list of dependencies.")
    specs = tuple(entry for entry in found if isinstance(entry, str))
    if not any(re.match(r"(\S+::)?python(?![\w-])", spec) for spec in specs):
        raise InvalidInput(f"{path.name} names no Python. Add python to its dependencies.")
    channels = tuple(str(each) for each in document.get("channels") or ["conda-forge"] if each != "nodefaults")
    return Recipe("conda", path, tuple(_pip_part(found)), channels, specs)


def _pip_part(dependencies: Iterable[Any]) -> Iterable[str]:
    for entry in dependencies:
        if isinstance(entry, dict):
            yield from map(str, entry.get("pip") or [])

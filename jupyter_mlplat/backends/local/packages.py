"""Which Python packages lie in an environment, read from its files: no Python is started."""

import re
from collections.abc import Iterable, Iterator
from email.parser import BytesHeaderParser
from pathlib import Path

from jupyter_mlplat.core.package_name import package_key

Package = tuple[str, str]
"""Name and version."""

_HEADERS = 1 << 14
_METADATA = re.compile(r"lib/python3\.[^/]*/site-packages/([^/]*\.dist-info/METADATA|[^/]*\.egg-info/PKG-INFO)")


def installed(environment: Path) -> tuple[Package, ...]:
    """The packages in `environment`, by name; those whose metadata cannot be read are left out."""
    return read_all(_places(environment))


def read_all(places: Iterable[Path]) -> tuple[Package, ...]:
    """The packages that files with metadata describe, by name."""
    found = {package_key(package[0]): package for package in filter(None, map(_read, places))}
    return tuple(found[name] for name in sorted(found))


def is_metadata(path: str) -> bool:
    """Whether a path in an environment is that of a package's metadata."""
    return _METADATA.fullmatch(path) is not None


def _places(environment: Path) -> Iterator[Path]:
    for site in sorted(environment.glob("lib/python3.*/site-packages")):
        yield from sorted(site.glob("*.dist-info/METADATA"))
        yield from sorted(site.glob("*.egg-info/PKG-INFO"))


def _read(metadata: Path) -> Package | None:
    try:
        with metadata.open("rb") as file:
            headers = BytesHeaderParser().parsebytes(file.read(_HEADERS))
    except OSError:
        return None
    name, version = headers.get("Name"), headers.get("Version")
    return (str(name), str(version)) if name and version else None

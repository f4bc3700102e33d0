"""Which Python packages lie in an environment, read from its files: no Python is started."""

import re
from collections.abc import Iterator
from email.parser import BytesHeaderParser
from pathlib import Path

Package = tuple[str, str]
"""Name and version."""

_HEADERS = 1 << 14


def installed(environment: Path) -> tuple[Package, ...]:
    """The packages in `environment`, by name; those whose metadata cannot be read are left out."""
    found = {_normal(package[0]): package for package in _read_all(environment)}
    return tuple(found[name] for name in sorted(found))


def _read_all(environment: Path) -> Iterator[Package]:
    for site in sorted(environment.glob("lib/python3.*/site-packages")):
        yield from filter(None, map(_read, sorted(site.glob("*.dist-info/METADATA"))))
        yield from filter(None, map(_read, sorted(site.glob("*.egg-info/PKG-INFO"))))


def _read(metadata: Path) -> Package | None:
    try:
        with metadata.open("rb") as file:
            headers = BytesHeaderParser().parsebytes(file.read(_HEADERS))
    except OSError:
        return None
    name, version = headers.get("Name"), headers.get("Version")
    return (str(name), str(version)) if name and version else None


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()

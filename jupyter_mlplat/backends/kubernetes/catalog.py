"""The preset images: lines of a catalogue file, as `images/catalog.toml`, with where each comes from."""

import platform
import re
import tomllib
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from jupyter_mlplat.backends.retirement import retirement
from jupyter_mlplat.errors import InvalidInput, NotFound
from jupyter_mlplat.images.models import Service

_REFERENCE = re.compile(
    r"(?P<host>[A-Za-z0-9.\-]+(:[0-9]+)?)/(?P<repository>[a-z0-9][a-z0-9._/\-]*)"
    r"(:(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.\-]*))?(@(?P<digest>sha256:[0-9a-f]{64}))?"
)


@dataclass(frozen=True)
class Reference:
    """Where an image is: `version` is a tag or a digest."""

    host: str
    repository: str
    version: str

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """HOST/REPOSITORY:TAG or HOST/REPOSITORY@DIGEST; InvalidInput for anything else."""
        found = _REFERENCE.fullmatch(text)
        if found is None:
            raise InvalidInput(f"{text!r} names no image: write HOST/REPOSITORY:TAG or HOST/REPOSITORY@sha256:….")
        return cls(found["host"], found["repository"], found["digest"] or found["tag"] or "latest")

    def __str__(self) -> str:
        return f"{self.host}/{self.repository}{'@' if ':' in self.version else ':'}{self.version}"


@dataclass(frozen=True)
class Preset:
    """One line. `insecure`: the registry that it comes from speaks plain HTTP."""

    name: str
    tag: str
    description: str
    categories: tuple[str, ...]
    default: bool
    reference: Reference
    insecure: bool = False
    services: tuple[str, ...] = (Service.NOTEBOOK, Service.TRAIN)
    retires_on: date | None = None
    instead: str = ""

    @property
    def ref(self) -> str:
        return f"{self.name}:{self.tag}"


def load(path: Path | None) -> tuple[Preset, ...]:
    """The presets of a catalogue file; none without one. InvalidInput says which line is wrong."""
    if path is None:
        return ()
    try:
        document = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InvalidInput(f"The catalogue of images {path} cannot be read: {error}.") from error
    return tuple(_preset(entry, path) for entry in document.get("preset", []))


def _preset(entry: dict[str, Any], path: Path) -> Preset:
    try:
        retires_on, instead = retirement(entry)
        words = {"python": platform.python_version(), "os": "linux", "arch": platform.machine()}
        return Preset(
            name=entry["name"],
            tag=entry["tag"].format(**words),
            description=entry.get("description", ""),
            categories=tuple(entry.get("categories", ("CPU",))),
            default=entry.get("default", False),
            reference=Reference.parse(entry["reference"]),
            insecure=entry.get("insecure", False),
            services=tuple(entry.get("services", (Service.NOTEBOOK, Service.TRAIN))),
            retires_on=retires_on,
            instead=instead,
        )
    except KeyError as error:
        raise InvalidInput(f"An image in the catalogue {path} has no {error.args[0]}.") from error


def find(presets: tuple[Preset, ...], ref: str) -> Preset:
    """The preset NAME:TAG."""
    for preset in presets:
        if preset.ref == ref:
            return preset
    known = ", ".join(preset.ref for preset in presets) or "none"
    raise NotFound(f"There is no preset image {ref}. There are: {known}.")

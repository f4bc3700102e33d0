"""Which Python packages a container has, read from its files: upper and lower directories as one."""

import re
from collections.abc import Iterable
from email.parser import BytesHeaderParser
from typing import Protocol

from jupyter_mlplat.images.models import Package
from jupyter_mlplat.oci.merged import Merged
from jupyter_mlplat.oci.upper import Overlay

_HEADERS = 1 << 14
_METADATA = {".dist-info": "METADATA", ".egg-info": "PKG-INFO"}


class _View(Protocol):
    """Files as an image will have them."""

    def names(self, path: str) -> list[str]: ...
    def read(self, path: str, limit: int) -> bytes | None: ...


class _WithoutChanges:
    """A container's files (`now`), but what is excluded, and all below it, as the image has it (`before`)."""

    def __init__(self, now: Merged, before: Merged, exclude: Iterable[str]) -> None:
        self._now, self._before = now, before
        self._exclude = [path.strip("/") for path in exclude]

    def names(self, path: str) -> list[str]:
        now = {name for name in self._now.names(path) if not self._is_out(f"{path}/{name}")}
        before = {name for name in self._before.names(path) if self._is_out(f"{path}/{name}")}
        return sorted(now | before)

    def read(self, path: str, limit: int) -> bytes | None:
        return (self._before if self._is_out(path) else self._now).read(path, limit)

    def _is_out(self, path: str) -> bool:
        return any(path == out or path.startswith(f"{out}/") for out in self._exclude)


def installed(overlay: Overlay, environment: str, exclude: Iterable[str] = ()) -> tuple[Package, ...]:
    """The packages in the folder `environment`, by name; those whose metadata cannot be read are left out.

    What lies at the paths `exclude` counts as the lower directories have it.
    """
    found: dict[str, Package] = {}
    below, user = overlay.lowers, overlay.user_xattrs
    with Merged((overlay.upper, *below), user_xattrs=user) as now, Merged(below, user_xattrs=user) as before:
        files = _WithoutChanges(now, before, exclude)
        for python in files.names(f"{environment}/lib"):
            site = f"{environment}/lib/{python}/site-packages"
            for name in files.names(site) if python.startswith("python3") else ():
                ending = "." + name.rpartition(".")[2]
                package = _read(files, f"{site}/{name}/{_METADATA[ending]}") if ending in _METADATA else None
                if package is not None:
                    found[re.sub(r"[-_.]+", "-", package.name).lower()] = package
    return tuple(found[name] for name in sorted(found))


def _read(files: _View, path: str) -> Package | None:
    headers = BytesHeaderParser().parsebytes(files.read(path, _HEADERS) or b"")
    name, version = headers.get("Name"), headers.get("Version")
    return Package(name=str(name), version=str(version)) if name and version else None

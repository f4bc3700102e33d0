"""Which Python packages a container has, read from its files: upper and lower directories as one."""

import re
from email.parser import BytesHeaderParser

from jupyter_mlplat.images.models import Package
from jupyter_mlplat.oci.merged import Merged
from jupyter_mlplat.oci.upper import Overlay

_HEADERS = 1 << 14
_METADATA = {".dist-info": "METADATA", ".egg-info": "PKG-INFO"}


def installed(overlay: Overlay, environment: str) -> tuple[Package, ...]:
    """The packages in the folder `environment`, by name; those whose metadata cannot be read are left out."""
    found: dict[str, Package] = {}
    with Merged((overlay.upper, *overlay.lowers), user_xattrs=overlay.user_xattrs) as files:
        for python in files.names(f"{environment}/lib"):
            site = f"{environment}/lib/{python}/site-packages"
            for name in files.names(site) if python.startswith("python3") else ():
                ending = "." + name.rpartition(".")[2]
                package = _read(files, f"{site}/{name}/{_METADATA[ending]}") if ending in _METADATA else None
                if package is not None:
                    found[re.sub(r"[-_.]+", "-", package.name).lower()] = package
    return tuple(found[name] for name in sorted(found))


def _read(files: Merged, path: str) -> Package | None:
    headers = BytesHeaderParser().parsebytes(files.read(path, _HEADERS) or b"")
    name, version = headers.get("Name"), headers.get("Version")
    return Package(name=str(name), version=str(version)) if name and version else None

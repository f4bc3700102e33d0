"""Which Python packages a layer brings to an image's environment, and which it takes away."""

import re
import tarfile
from dataclasses import dataclass, field
from email.parser import BytesHeaderParser
from typing import IO

_HEADERS = 1 << 14
_SITE = r"(?:\./)?opt/mlplat/env/lib/python3[^/]*/site-packages"
_METADATA = re.compile(rf"{_SITE}/[^/]+\.(?:dist-info/METADATA|egg-info/PKG-INFO)")
_GONE = re.compile(rf"{_SITE}/\.wh\.([^/]+)\.(?:dist|egg)-info")
_ALL_GONE = re.compile(
    r"(?:\./)?(?:opt/mlplat/env/lib/python3[^/]*/site-packages/\.wh\.\.wh\.\.opq"
    r"|opt/mlplat/env/lib/(?:python3[^/]*/)?\.wh\.(?:\.wh\.\.opq|site-packages|python3[^/]*)"
    r"|opt/mlplat/(?:env/)?\.wh\.(?:\.wh\.\.opq|env|lib))"
)


@dataclass
class Packages:
    """`added` maps names to versions; of `removed` "*" means all that were there before."""

    added: dict[str, str] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)

    def look_through(self, layer: IO[bytes]) -> None:
        """Add what a plain layer does to those before it. Raises tarfile.TarError where it is none."""
        gone, new = set[str](), dict[str, str]()
        with tarfile.open(fileobj=layer, mode="r:") as tar:
            for member in tar:
                if found := _GONE.fullmatch(member.name):
                    gone.add(found[1].partition("-")[0])
                elif _ALL_GONE.fullmatch(member.name):
                    gone.add("*")
                elif member.isfile() and _METADATA.fullmatch(member.name):
                    new |= _read(tar, member)
        kept = {} if "*" in gone else {name: v for name, v in self.added.items() if name not in gone}
        self.added, self.removed = kept | new, self.removed | gone


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> dict[str, str]:
    file = tar.extractfile(member)
    headers = BytesHeaderParser().parsebytes(file.read(_HEADERS) if file else b"")
    name, version = headers.get("Name"), headers.get("Version")
    return {str(name)[:200]: str(version)[:200]} if name and version else {}

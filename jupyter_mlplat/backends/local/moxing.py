"""The wheel with which `import moxing` works in preset environments: what the file API needs of this package, no more.

It is made here and installed from its file: the name moxing on PyPI is somebody else's, so no index is asked for it.
"""

import ast
import base64
import hashlib
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import jupyter_mlplat

NAME = "mlplat_moxing"
REQUIRES = (
    "botocore>=1.40",
    "fsspec>=2025.9",
    "httpx>=0.28",
    "obstore>=0.12",
    "pydantic>=2.11",
)
"""What its modules import of others."""

KEPT_OF_AWS = ("s3", "sts")
"""The services of AWS that botocore is to know: all of them make five sixths of it."""

_OURS = "jupyter_mlplat"
_ROOTS = ("jupyter_mlplat.mox", "jupyter_mlplat.storage.filesystem", "jupyter_mlplat.storage.engine.s3")
_MOXING = '''"""moxing's file API, on the storage of this platform."""

import sys

from jupyter_mlplat.mox import file

sys.modules[f"{__name__}.file"] = file
__all__ = ["file"]
'''
_ENTRY_POINTS = """[fsspec.specs]
obs = jupyter_mlplat.storage.filesystem:ObjectFileSystem
"""
_WHEEL = "Wheel-Version: 1.0\nGenerator: jupyter-mlplat\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_MOMENT = (2020, 1, 1, 0, 0, 0)


def build(folder: Path) -> Path:
    """Write the wheel into a folder; the same sources make the same bytes."""
    version = jupyter_mlplat.__version__
    path = folder / f"{NAME}-{version}-py3-none-any.whl"
    files = contents(version)
    record = f"{NAME}-{version}.dist-info/RECORD"
    lines = [f"{name},sha256={_hash(data)},{len(data)}" for name, data in files.items()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, data in {**files, record: "\n".join([*lines, f"{record},,", ""]).encode()}.items():
            wheel.writestr(zipfile.ZipInfo(name, _MOMENT), data, zipfile.ZIP_DEFLATED)
    return path


def contents(version: str) -> dict[str, bytes]:
    """The files of the wheel by their paths, but for the list of them."""
    about = f"{NAME}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {one}\n" for one in REQUIRES)
    metadata = f"Metadata-Version: 2.1\nName: mlplat-moxing\nVersion: {version}\nRequires-Python: >=3.11\n{needs}"
    root = Path(jupyter_mlplat.__file__).parents[1]
    sources = {path.relative_to(root).as_posix(): path.read_bytes() for path in modules().values()}
    return {
        "moxing/__init__.py": _MOXING.encode(),
        **dict(sorted(sources.items())),
        f"{about}/METADATA": metadata.encode(),
        f"{about}/WHEEL": _WHEEL.encode(),
        f"{about}/entry_points.txt": _ENTRY_POINTS.encode(),
    }


def slim(environment: Path) -> None:
    """Take away what botocore knows of AWS besides S3, in an environment made with the wheel."""
    for service in environment.glob("lib/python3*/site-packages/botocore/data/*/"):
        if service.name not in KEPT_OF_AWS:
            shutil.rmtree(service)


def modules() -> dict[str, Path]:
    """The modules of this package that the file API leads to, and their files."""
    found: dict[str, Path] = {}
    waiting = list(_ROOTS)
    while waiting:
        name = waiting.pop()
        path = _file(name)
        if name not in found and path is not None:
            found[name] = path
            waiting += [name.rpartition(".")[0]] if "." in name else []
            waiting += imported(path)
    return found


def imported(path: Path, *, ours: bool = True) -> Iterator[str]:
    """The modules that a file imports when it runs, or may, of this package or of others. A name that comes from a
    package of ours may be a module: it is among them too."""
    for node in _running(ast.parse(path.read_bytes())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)] if ours else [node.module]
        yield from (name for name in names if (name.partition(".")[0] == _OURS) is ours)


def _running(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only a type checker sees."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            yield node
            yield from _running(node)


def _file(name: str) -> Path | None:
    place = Path(jupyter_mlplat.__file__).parents[1].joinpath(*name.split("."))
    return next((path for path in (place / "__init__.py", place.with_suffix(".py")) if path.is_file()), None)


def _hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()

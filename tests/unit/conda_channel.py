"""A conda channel on disk: packages as conda has them, made from this machine's own Python."""

import hashlib
import io
import json
import platform
import sysconfig
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import zstandard

from jupyter_mlplat.environments.interpreter import PYTHON, base_python

PLACEHOLDER = "/opt/anaconda1anaconda2anaconda3" + "_placehold" * 20
"""What stands in a package where the path of its environment will be."""

_LEFT_OUT = ("test", "idlelib", "ensurepip", "site-packages", "__pycache__", "lib2to3", "tkinter", "turtledemo")


@dataclass
class Package:
    """One package: `files` by path, those that name the environment's folder by PLACEHOLDER found by themselves."""

    name: str
    version: str
    files: Mapping[str, bytes | Path]
    links: Mapping[str, str] = field(default_factory=dict)
    depends: tuple[str, ...] = ()

    @property
    def filename(self) -> str:
        return f"{self.name}-{self.version}-0.conda"


def python_package() -> Package:
    """This machine's Python as a package of its own."""
    library = Path(sysconfig.get_paths()["stdlib"])
    files: dict[str, bytes | Path] = dict(_program())
    for file in library.rglob("*"):
        inner = file.relative_to(library)
        left_out = any(part in _LEFT_OUT or part.startswith("config-") for part in inner.parts)
        if file.is_file() and not left_out:
            files[f"lib/python{PYTHON}/{inner}"] = file
    files[f"lib/python{PYTHON}/site-packages/README.txt"] = b"Packages come here.\n"
    links = {"bin/python": f"python{PYTHON}", "bin/python3": f"python{PYTHON}"}
    return Package("python", platform.python_version(), files, links)


def _program() -> Iterator[tuple[str, bytes | Path]]:
    """The interpreter, and its library where it is apart: found beside it, as in conda's packages, on any machine."""
    program = base_python().resolve()
    folder, name = (str(sysconfig.get_config_var(word)) for word in ("LIBDIR", "INSTSONAME"))
    shared = Path(folder, name)
    if name.endswith(".a") or not shared.is_file():
        yield f"bin/python{PYTHON}", program
        return
    there, beside = folder.encode() + b"\0", b"$ORIGIN/../lib"
    yield f"bin/python{PYTHON}", program.read_bytes().replace(there, beside.ljust(len(there), b"\0"))
    yield f"lib/{name}", shared


def greeting_package() -> Package:
    """A module whose text and binary files name the folder of the environment, and a program."""
    program = f"#!{PLACEHOLDER}/bin/python\nimport greeting\nprint(greeting.PLACE)\n"
    files = {
        f"lib/python{PYTHON}/site-packages/greeting.py": f"PLACE = {PLACEHOLDER!r}\n".encode(),
        "share/greeting/place.bin": b"\x00\x01" + PLACEHOLDER.encode() + b"/share\x00\xff after \x00",
        "bin/greet": program.encode(),
    }
    return Package("greeting", "1.0", files, depends=("python >=3.11,<3.12",))


def make_channel(folder: Path, *packages: Package) -> str:
    """A channel with these packages; its address."""
    (folder / "noarch").mkdir(parents=True)
    (folder / "noarch" / "repodata.json").write_text(json.dumps({"packages": {}, "packages.conda": {}}))
    place = folder / "linux-64"
    place.mkdir()
    rows = {package.filename: _write(package, place) for package in packages}
    index = {"info": {"subdir": "linux-64"}, "packages": {}, "packages.conda": rows, "repodata_version": 1}
    (place / "repodata.json").write_text(json.dumps(index))
    return folder.as_uri()


def _write(package: Package, folder: Path) -> dict[str, object]:
    index = {
        "name": package.name, "version": package.version, "build": "0", "build_number": 0, "subdir": "linux-64",
        "depends": list(package.depends), "arch": "x86_64", "platform": "linux", "timestamp": 1767225600000,
    }  # fmt: skip
    paths = [_path(name, _bytes(content)) for name, content in package.files.items()]
    paths += [{"_path": name, "path_type": "softlink"} for name in package.links]
    info = {
        "info/index.json": json.dumps(index).encode(),
        "info/paths.json": json.dumps({"paths": paths, "paths_version": 1}).encode(),
        "info/files": "\n".join([*package.files, *package.links]).encode(),
    }
    archive = folder / package.filename
    stem = archive.name.removesuffix(".conda")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as out:
        out.writestr("metadata.json", json.dumps({"conda_pkg_format_version": 2}))
        out.writestr(f"pkg-{stem}.tar.zst", _tar(package.files, package.links))
        out.writestr(f"info-{stem}.tar.zst", _tar(info, {}))
    content = archive.read_bytes()
    sums = {"sha256": hashlib.sha256(content).hexdigest(), "md5": hashlib.md5(content).hexdigest()}  # noqa: S324
    return {**index, **sums, "size": len(content)}


def _path(name: str, content: bytes) -> dict[str, object]:
    entry: dict[str, object] = {
        "_path": name, "path_type": "hardlink",
        "sha256": hashlib.sha256(content).hexdigest(), "size_in_bytes": len(content),
    }  # fmt: skip
    if PLACEHOLDER.encode() in content:
        entry |= {"prefix_placeholder": PLACEHOLDER, "file_mode": "binary" if b"\0" in content else "text"}
    return entry


def _tar(files: Mapping[str, bytes | Path], links: Mapping[str, str]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, content in files.items():
            data = _bytes(content)
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o755 if name.startswith("bin/") else 0o644
            tar.addfile(member, io.BytesIO(data))
        for name, target in links.items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)
    return zstandard.ZstdCompressor(level=1).compress(raw.getvalue())


def _bytes(content: bytes | Path) -> bytes:
    return content if isinstance(content, bytes) else content.read_bytes()

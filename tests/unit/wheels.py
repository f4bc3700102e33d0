"""Small wheels on disk, real enough for uv."""

import base64
import hashlib
import zipfile
from pathlib import Path


def make_wheel(folder: Path, name: str, version: str, *, needs: str = "", script: bool = False) -> Path:
    """A wheel with the module `name`, whose VERSION says its version; with `script` also a program of its name."""
    facts = f"{name}-{version}.dist-info"
    files = {
        f"{name}/__init__.py": f"import sys\nVERSION = {version!r}\n\ndef main():\n    print(VERSION, sys.prefix)\n",
        f"{name}/resources/logo-64x64.png": "picture",
        f"{facts}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{facts}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if needs:
        files[f"{facts}/METADATA"] += f"Requires-Dist: {needs}\n"
    if script:
        files[f"{facts}/entry_points.txt"] = f"[console_scripts]\n{name} = {name}:main\n"
    files[f"{facts}/RECORD"] = "".join(f"{path},{_digest(text)},{len(text)}\n" for path, text in files.items())
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel


def _digest(text: str) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")

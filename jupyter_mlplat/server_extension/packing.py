"""A file of the work folder and those beside it: what would go to the platform, and sending it."""

import asyncio
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_mlplat.errors import InvalidInput, MlplatError, NotFound
from jupyter_mlplat.server_extension.environment import private_folder
from jupyter_mlplat.server_extension.platform import fetch
from jupyter_mlplat.server_extension.sending import send_file

if TYPE_CHECKING:
    from jupyter_mlplat.jobs.bundle import Bundle, Limits

UNKNOWN_DIGEST = "sha256:" + "0" * 64
"""Stands for the files that are not packed yet."""


def entry_file(root: Path, relative: str) -> Path:
    """A file of the work folder, not resolved: a link stays one. NotFound, InvalidInput where there is none."""
    base = root.resolve()
    if not relative or "\0" in relative:
        raise InvalidInput("Say which file of the work folder is meant.")
    path = Path(os.path.normpath(base / relative.lstrip("/")))
    if not path.is_relative_to(base) or not path.resolve().is_relative_to(base):
        raise InvalidInput(f"{relative} lies outside the work folder. Choose a file inside it.")
    if not path.is_file():
        raise NotFound(f"There is no file {relative} in the work folder. Save it first.")
    return path


def what_goes(root: Path, entry: Path, limits: "Limits | None" = None) -> dict[str, Any]:
    """What would be sent with `entry`, what stays out and why, and in words what keeps it from going; blocks."""
    from jupyter_mlplat.jobs.bundle import survey

    folder = entry.parent.relative_to(root.resolve()).as_posix()
    said = {"entry": entry.name, "folder": "" if folder == "." else folder}
    try:
        found = survey(entry.parent, entry.name, limits)
    except MlplatError as error:
        return said | {"files": [], "excluded": [], "total_bytes": 0, "problems": [error.message]}
    return said | {
        "files": [{"path": file.path, "size": file.size} for file in found.files],
        "excluded": [asdict(row) for row in found.excluded],
        "total_bytes": found.total_bytes,
        "problems": [],
    }


async def limits_in_force() -> "Limits | None":
    """The owner's limits on what is sent; None where the platform does not say: it looks again at what it gets."""
    from jupyter_mlplat.jobs.bundle import Limits

    try:
        own = (await fetch("GET", "bundles")).json()
        return Limits(files=int(own["files"]), total_bytes=int(own["total_bytes"]))
    except (MlplatError, KeyError, TypeError, ValueError):
        return None


async def send_beside(entry: Path, limits: "Limits | None" = None) -> str:
    """Pack the folder of `entry` and bring it to the platform, unless that has it; its digest."""
    with tempfile.TemporaryDirectory(prefix="packed-", dir=private_folder()) as scratch:
        packed = Path(scratch) / "bundle.tar.zst"
        bundle = await asyncio.to_thread(_pack, entry, packed, limits)
        await _upload(bundle, packed)
    return bundle.digest


def _pack(entry: Path, target: Path, limits: "Limits | None" = None) -> "Bundle":
    from jupyter_mlplat.jobs.bundle import pack, survey

    return pack(survey(entry.parent, entry.name, limits), target)


async def _upload(bundle: "Bundle", packed: Path) -> None:
    resource = f"bundles/{bundle.digest}"
    there = await fetch("GET", resource)
    if there.status == 404:
        await send_file(packed, resource)
    else:
        there.json()

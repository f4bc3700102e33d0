"""Files of conda packages hold the path of their environment: which ones do, and how it is made another."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from jupyter_mlplat.environments.relocation import Transform
from jupyter_mlplat.errors import BackendFailure


@dataclass(frozen=True)
class Holder:
    """A file that holds the path. `room` is how many bytes a binary one has for it; None for text, which grows."""

    path: str
    room: int | None


def holders(folder: Path) -> Iterator[Holder]:
    """The files of the conda environment in `folder` that hold its path, as its packages say; none elsewhere."""
    for record in sorted((folder / "conda-meta").glob("*.json")):
        try:
            entries = json.loads(record.read_bytes())["paths_data"]["paths"]
        except (OSError, ValueError, LookupError, TypeError):
            continue
        yield from filter(None, map(_holder, entries))


def _holder(entry: Mapping[str, Any]) -> Holder | None:
    placeholder = entry.get("prefix_placeholder")
    if not placeholder:
        return None
    return Holder(str(entry["_path"]), len(os.fsencode(placeholder)) if entry.get("file_mode") == "binary" else None)


def all_holders(environment: Path) -> dict[str, tuple[str, Holder]]:
    """Those of all conda environments inside `environment` by their path in it, each with where its own one lies."""
    found = {}
    for records in sorted((environment / "envs").glob("*/conda-meta")):
        inner = f"envs/{records.parent.name}"
        found.update({f"{inner}/{each.path}": (inner, each) for each in holders(records.parent)})
    return found


def rewriting(holder: Holder, old: str, new: str) -> Transform:
    """What makes the path `old` in a file `new`."""
    before, after = os.fsencode(old), os.fsencode(new)
    if holder.room is None:
        return partial(_rewrite_text, before=before, after=after)
    return partial(_rewrite_binary, before=before, after=after, room=holder.room)


def _rewrite_text(content: bytes, before: bytes, after: bytes) -> bytes:
    return content.replace(before, after)


def _rewrite_binary(content: bytes, before: bytes, after: bytes, room: int) -> bytes:
    """Each C string that holds the path stays as long as the package made it: it ends in as many zeros as are left."""
    if len(after) > room:
        raise BackendFailure(f"The path {os.fsdecode(after)} is too long for a conda environment ({room} bytes).")
    string = re.compile(re.escape(before) + rb"[^\0]*\0+")

    def rewrite(match: "re.Match[bytes]") -> bytes:
        text = match.group().rstrip(b"\0")
        spare = text.count(before) * (room - len(before))
        zeros = len(match.group()) - len(text)
        if zeros <= spare:
            return match.group()
        changed = text.replace(before, after)
        return changed + bytes(len(match.group()) - len(changed))

    return string.sub(rewrite, content)


def move(folder: Path, old: str, new: str) -> None:
    """Make the files of the conda environment in `folder`, which hold the path `old`, hold `new`.

    Files are replaced, not written to: others may have them as hard links. Modes and times stay.
    """
    for holder in holders(folder):
        rewrite_file(folder / holder.path, rewriting(holder, old, new))


def rewrite_file(path: Path, transform: Transform) -> None:
    """Replace a file by what `transform` makes of it, where that is something else; links and absent files stay."""
    if path.is_symlink() or not path.is_file():
        return
    content = path.read_bytes()
    changed = transform(content)
    if changed == content:
        return
    state, partial_file = path.stat(), path.with_name(f".{path.name}.partial")
    partial_file.write_bytes(changed)
    partial_file.chmod(state.st_mode & 0o7777)
    os.utime(partial_file, ns=(state.st_atime_ns, state.st_mtime_ns))
    partial_file.replace(path)

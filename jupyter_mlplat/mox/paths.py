"""Paths of users: which are of objects, and what is meant by them."""

import os
from pathlib import Path
from typing import Any

from jupyter_mlplat.errors import InvalidInput
from jupyter_mlplat.storage.object_urls import ObjectUrl, is_object_url

AnyPath = str | os.PathLike[str]
Place = Path | ObjectUrl


def is_remote(path: Any) -> bool:
    """Whether this is an obs:// or s3:// path; anything else is one of this machine."""
    return isinstance(path, str) and is_object_url(path)


def place(path: AnyPath) -> Place:
    """Where a path leads to. InvalidInput for an object path without a bucket."""
    text = os.fspath(path)
    return ObjectUrl.parse(text) if is_object_url(text) else Path(text)


def scheme(path: str) -> str:
    """`obs://` or `s3://`, as the user wrote it."""
    return path[: path.index("://") + 3]


def joined(folder: AnyPath, relative: str) -> str:
    """A path below a folder, in the words in which the folder was given. A part of a key can be empty."""
    if not is_remote(folder):
        return str(Path(folder) / relative)
    base = os.fspath(folder)
    return f"{base if base.endswith('/') else base + '/'}{relative or '/'}"


def below(folder: Path, relative: str) -> Path:
    """The path of an object's relative key below a folder. InvalidInput where it would not be below it."""
    parts = relative.rstrip("/").split("/")
    if any(part in ("", ".", "..") for part in parts) or "\0" in relative:
        raise InvalidInput(f"The object {relative!r} cannot be a file below {folder}. Copy it by its own name.")
    return folder.joinpath(*parts)

"""`shift("os", "mox")`: Python's own file functions take obs:// and s3:// paths, until `shift("mox", "os")`.

Calls in which no path is one of an object go to the functions that were there before, unchanged.
"""

import builtins
import glob
import os
import shutil
import threading
from collections.abc import Callable
from functools import wraps
from typing import Any

from jupyter_mlplat.errors import InvalidInput
from jupyter_mlplat.mox.paths import is_remote
from jupyter_mlplat.storage.engine.failures import ObjectExists

_lock = threading.Lock()
_replaced: list[tuple[Any, str, Any]] = []


def shift(source: str, target: str) -> None:
    """From "os" to "mox", or from "mox" back to "os"; nothing where it is so already."""
    if (source, target) not in (("os", "mox"), ("mox", "os")):
        raise InvalidInput('Shift from "os" to "mox", or from "mox" back to "os".')
    with _lock:
        if target == "os":
            _restore()
        elif not _replaced:
            _replace()


def _replace() -> None:
    for owner, name, ours in _functions():
        original = getattr(owner, name)
        _replaced.append((owner, name, original))
        setattr(owner, name, _either(original, ours))


def _restore() -> None:
    while _replaced:
        owner, name, original = _replaced.pop()
        setattr(owner, name, original)


def _either(original: Callable[..., Any], ours: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def call(*arguments: Any, **options: Any) -> Any:
        remote = any(map(is_remote, arguments)) or any(map(is_remote, options.values()))
        return (ours if remote else original)(*arguments, **options)

    return call


def _functions() -> list[tuple[Any, str, Callable[..., Any]]]:
    from jupyter_mlplat.mox import file

    return [
        (builtins, "open", _open),
        (glob, "glob", lambda pathname, **_: file.glob(pathname)),
        (os, "listdir", lambda path: file.list_directory(path)),
        (os, "makedirs", _makedirs),
        (os, "mkdir", lambda path, mode=0o777: file.mk_dir(path)),
        (os, "remove", lambda path: file.remove(path)),
        (os, "rename", lambda src, dst: file.rename(src, dst)),
        (os, "scandir", lambda path: file.scan_dir(path)),
        (os, "stat", lambda path, *, follow_symlinks=True: file.stat(path)),
        (os, "walk", lambda top, *rest, **options: file.walk(top, *rest, **options)),
        (os.path, "exists", lambda path: file.exists(path)),
        (os.path, "getsize", lambda filename: file.get_size(filename)),
        (os.path, "isdir", lambda s: file.is_directory(s)),
        (shutil, "copyfile", _copyfile),
        (shutil, "copytree", _copytree),
        (shutil, "rmtree", _rmtree),
    ]


def _open(name: str, mode: str = "r", buffering: int = -1, *rest: Any, **options: Any) -> Any:
    from jupyter_mlplat.mox.handle import File

    named = dict(zip(("encoding", "errors", "newline"), rest, strict=False))
    return File(name, mode, **named, **options)


def _makedirs(name: str, mode: int = 0o777, exist_ok: bool = False) -> None:
    from jupyter_mlplat.mox import file

    if not exist_ok and file.exists(name):
        raise ObjectExists(f"{name} is there already.")
    file.make_dirs(name)


def _copyfile(src: str, dst: str, **_: Any) -> str:
    from jupyter_mlplat.mox import file

    file.copy(src, dst)
    return dst


def _copytree(src: str, dst: str, **_: Any) -> str:
    from jupyter_mlplat.mox import file

    file.copy_parallel(src, dst)
    return dst


def _rmtree(path: str, ignore_errors: bool = False, **_: Any) -> None:
    from jupyter_mlplat.mox import file

    try:
        file.remove(path, recursive=True)
    except OSError:
        if not ignore_errors:
            raise

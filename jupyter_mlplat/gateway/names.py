"""The users and groups that an sshd without root knows: every name is the person who runs it.

There is no group `tty`: an sshd without root could not give a terminal to it, and would refuse one.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from jupyter_mlplat.core.files import write_atomically

SERVICE = "mlplat-gateway"
"""The name as which the gateway asks for keys."""
_PRIVILEGE_SEPARATION = "sshd:x:65534:65534::/run/sshd:/usr/sbin/nologin"


def passwd(names: Iterable[str], home: str, shell: str) -> str:
    """A passwd file in which each of the names is the current user. A name that it cannot hold is left out."""
    uid, gid = os.getuid(), os.getgid()
    fit = dict.fromkeys(name for name in names if name and not set(name) & set(":\n\0"))
    lines = [f"{name}:x:{uid}:{gid}::{home}:{shell}" for name in fit]
    return "\n".join([*lines, *([_PRIVILEGE_SEPARATION] if uid == 0 else [])]) + "\n"


def group() -> str:
    """A group file with the current user's group alone."""
    return f"mlplat:x:{os.getgid()}:\n"


def write_names(folder: Path, names: Iterable[str], home: str, shell: str) -> None:
    """Write both files where they are not so already."""
    for path, text in ((folder / "passwd", passwd(names, home, shell)), (folder / "group", group())):
        write_where_other(path, text)


def write_where_other(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file unless it is so already; whoever reads it meanwhile sees the old or the new one."""
    if not path.is_file() or path.read_text() != text:
        write_atomically(path, text.encode(), mode)

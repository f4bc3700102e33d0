"""How full the work folder's disk is: read here, and told to the platform, which warns."""

import asyncio
import logging
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tornado.ioloop import PeriodicCallback

from jupyter_mlplat.errors import MlplatError
from jupyter_mlplat.server_extension.platform import fetch

log = logging.getLogger(__name__)

PERIOD_SECONDS = 10
NEWS = 0.01
"""A change of the used part that is worth telling."""


def use_of(folder: Path) -> dict[str, int]:
    """`{used_bytes, size_bytes}` of the file system of a folder, as far as ordinary users may fill it."""
    found = os.statvfs(folder)
    used = found.f_blocks - found.f_bfree
    return {"used_bytes": used * found.f_frsize, "size_bytes": (used + found.f_bavail) * found.f_frsize}


class WorkFolderReports:
    """Tells the platform how full the work folder is, at the first look and whenever that has changed."""

    def __init__(self, folder: Path, instance_id: str) -> None:
        self._folder, self._path = folder, f"instances/{quote(instance_id, safe='')}/work"
        self._told: dict[str, int] | None = None
        self._away = False

    def start(self) -> None:
        """Look every PERIOD_SECONDS from now on."""
        PeriodicCallback(self.look, PERIOD_SECONDS * 1000, jitter=0.1).start()

    async def look(self) -> None:
        """Read, and tell what is news; while the platform is away it is told later."""
        try:
            seen = await asyncio.to_thread(use_of, self._folder)
            if seen["size_bytes"] and is_news(seen, self._told):
                (await fetch("PUT", self._path, seen)).json()
                self._told = seen
            self._away = False
        except (MlplatError, OSError) as error:
            log.log(logging.DEBUG if self._away else logging.WARNING, "mlplat: the use of the work folder: %s", error)
            self._away = True


def is_news(seen: dict[str, int], told: dict[str, int] | None) -> bool:
    """Whether what is seen differs enough from what was told."""
    if told is None or seen["size_bytes"] != told["size_bytes"]:
        return True
    return abs(seen["used_bytes"] - told["used_bytes"]) >= NEWS * seen["size_bytes"]


def report_work_folder(serverapp: Any) -> None:
    """Begin, where this server is an instance of the platform."""
    if instance_id := os.environ.get("MLPLAT_INSTANCE_ID"):
        WorkFolderReports(Path(serverapp.root_dir), instance_id).start()

"""The embedded platform: everything on one machine, started with one command."""

from jupyter_mlplat.embedded.control import PartStatus, Status, down, status, up

__all__ = ["PartStatus", "Status", "down", "status", "up"]

"""The client of a command, opened when it is needed: what it imports would slow down `--help`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jupyter_mlplat.sdk import Client


@contextmanager
def platform() -> "Iterator[Client]":
    """A client for the profile in force."""
    from jupyter_mlplat.sdk import Client

    with Client.from_profile() as client:
        yield client

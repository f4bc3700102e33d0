"""The lease of an SQLite database: a locked file beside it, for all who share such a database are on one machine.

It costs nothing while it is held, cannot be lost, and is free again at once when its holder ends or is killed.
"""

import asyncio
import os
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession

from jupyter_mlplat.core.locks import try_lock
from jupyter_mlplat.errors import BackendFailure
from jupyter_mlplat.reconciling.leases import Lease, LeaseLost


class FileLease(Lease):
    """Holds the lock on the file `path`, which is made where it is not there and stays."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    async def take(self) -> bool:
        if self._descriptor is None:
            self._descriptor = self._locked()
        return self._descriptor is not None

    async def keep(self) -> None:
        await asyncio.Event().wait()

    async def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    async def confirm(self, session: AsyncSession) -> None:
        if self._descriptor is None:
            raise LeaseLost("this process does not hold the lease")

    def _locked(self) -> int | None:
        try:
            # not inherited: a process that we start and that outlives us must not go on holding it
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise BackendFailure(f"{self._path} cannot be locked: {error.strerror}") from error
        if try_lock(descriptor):
            return descriptor
        os.close(descriptor)
        return None

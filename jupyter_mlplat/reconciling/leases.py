"""Leases: which replica of the platform reconciles."""

import asyncio
from abc import ABC, abstractmethod

from sqlalchemy.ext.asyncio import AsyncSession


class LeaseLost(asyncio.CancelledError):
    """Another replica holds the lease: whatever wanted to go on is cut off, as if it were cancelled."""


class Lease(ABC):
    """One replica's hold of the right to reconcile, which at most one has at a time."""

    @abstractmethod
    async def take(self) -> bool:
        """Take it, or find it still held; False while another replica has it. BackendFailure where that is not told."""

    @abstractmethod
    async def keep(self) -> None:
        """See to it that a lease which was taken stays so. Ends when it is lost all the same."""

    @abstractmethod
    async def release(self) -> None:
        """Give it back, so that another replica can take it at once."""

    @abstractmethod
    async def confirm(self, session: AsyncSession) -> None:
        """LeaseLost unless this replica is the holder; nobody can become it before the transaction has ended."""

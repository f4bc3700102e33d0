"""Leases: which replica of the platform reconciles a noun."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Mapped, mapped_column

from jupyter_mlplat.core.clock import now
from jupyter_mlplat.db.base import Base
from jupyter_mlplat.db.engine import Database

DURATION = timedelta(seconds=15)


class LeaseRow(Base):
    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[str]
    expires_at: Mapped[datetime]


async def hold(database: Database, name: str, holder: str) -> bool:
    """Take or renew the lease `name` for 15 s; False while another holder has it."""
    async with database.transaction() as session:
        row = await session.get(LeaseRow, name, with_for_update=True)
        if row is None:
            session.add(LeaseRow(name=name, holder=holder, expires_at=now() + DURATION))
            return True
        if row.holder != holder and row.expires_at > now():
            return False
        row.holder, row.expires_at = holder, now() + DURATION
        return True


async def release(database: Database, name: str, holder: str) -> None:
    """Give a lease back, so that another replica need not wait for its end."""
    async with database.transaction() as session:
        row = await session.get(LeaseRow, name)
        if row is not None and row.holder == holder:
            await session.delete(row)

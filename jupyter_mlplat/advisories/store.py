"""The table of advisories."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from jupyter_mlplat.advisories.models import Advisory, AdvisoryStatus
from jupyter_mlplat.core.clock import now
from jupyter_mlplat.db.base import Base

ROWS = 500
"""Written with one statement."""


class AdvisoryRow(Base):
    __tablename__ = "advisories"

    id: Mapped[str] = mapped_column(primary_key=True)
    package: Mapped[str] = mapped_column(primary_key=True, index=True)
    said: Mapped[dict[str, Any]]
    loaded_at: Mapped[datetime] = mapped_column(default=now)


async def replace(session: AsyncSession, advisories: Iterable[Advisory]) -> None:
    """Know these and no others; of two with the same id and package the later."""
    rows = {(one.id, one.package): one.model_dump(exclude={"id", "package"}) for one in advisories}
    at = now()
    await session.execute(delete(AdvisoryRow))
    values = [{"id": id, "package": package, "said": said, "loaded_at": at} for (id, package), said in rows.items()]
    for first in range(0, len(values), ROWS):
        await session.execute(insert(AdvisoryRow), values[first : first + ROWS])


async def status(session: AsyncSession) -> AdvisoryStatus:
    """How many are known."""
    count, at = (await session.execute(select(func.count(), func.max(AdvisoryRow.loaded_at)))).one()
    return AdvisoryStatus(count=count, loaded_at=at)


async def of_packages(session: AsyncSession, keys: Iterable[str]) -> dict[str, list[Advisory]]:
    """The advisories on packages, by the packages' keys."""
    found: dict[str, list[Advisory]] = {}
    for row in await session.scalars(select(AdvisoryRow).where(AdvisoryRow.package.in_(list(keys)))):
        one = Advisory(id=row.id, package=row.package, **row.said)
        found.setdefault(row.package, []).append(one)
    return found

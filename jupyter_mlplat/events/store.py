"""The table of events."""

from datetime import datetime

from sqlalchemy import Index, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from jupyter_mlplat.core.clock import now
from jupyter_mlplat.core.models import Page
from jupyter_mlplat.db.base import Base, Serial
from jupyter_mlplat.events.models import Event


class EventRow(Base):
    __tablename__ = "events"
    __table_args__ = (Index("ix_events_owner_id", "owner", "id"),)

    id: Mapped[int] = mapped_column(Serial, primary_key=True, autoincrement=True)
    noun: Mapped[str]
    resource_id: Mapped[str] = mapped_column(index=True)
    owner: Mapped[str]
    workspace: Mapped[str] = mapped_column(default="default")
    type: Mapped[str]
    message: Mapped[str]
    at: Mapped[datetime] = mapped_column(default=now)


def emit(session: AsyncSession, noun: str, resource_id: str, owner: str, type: str, message: str) -> None:
    """Record an event in the transaction of the change that it tells of."""
    session.add(EventRow(noun=noun, resource_id=resource_id, owner=owner, type=type, message=message))


async def of_resource(session: AsyncSession, resource_id: str, limit: int, offset: int) -> Page[Event]:
    """Events of one resource, oldest first."""
    mine = select(EventRow).where(EventRow.resource_id == resource_id)
    total = await session.scalar(select(func.count()).select_from(mine.subquery())) or 0
    rows = await session.scalars(mine.order_by(EventRow.id).limit(limit).offset(offset))
    return Page.of([Event.model_validate(row) for row in rows], total, limit, offset)


async def of_owner(session: AsyncSession, owner: str, after: int, limit: int) -> list[Event]:
    """Events of what a user owns, with ids greater than `after`, in order."""
    rows = await session.scalars(
        select(EventRow).where(EventRow.owner == owner, EventRow.id > after).order_by(EventRow.id).limit(limit)
    )
    return [Event.model_validate(row) for row in rows]


async def owners_after(session: AsyncSession, after: int) -> tuple[int, set[str]]:
    """The id of the latest event, and to whom something happened after event `after`."""
    rows = (await session.execute(select(EventRow.id, EventRow.owner).where(EventRow.id > after))).all()
    return max((row.id for row in rows), default=after), {row.owner for row in rows}


async def latest_id(session: AsyncSession) -> int:
    return await session.scalar(select(func.max(EventRow.id))) or 0

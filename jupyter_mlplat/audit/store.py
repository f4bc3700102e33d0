"""The table of audit records."""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.audit.models import AuditFilter, AuditRecord
from jupyter_mlplat.core.clock import now
from jupyter_mlplat.core.models import Page
from jupyter_mlplat.db.base import Base, Serial


class AuditRow(Base):
    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(Serial, primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(default=now, index=True)
    actor: Mapped[str] = mapped_column(index=True)
    via: Mapped[str]
    action: Mapped[str]
    noun: Mapped[str]
    resource_id: Mapped[str] = mapped_column(index=True)
    resource_name: Mapped[str]
    owner: Mapped[str] = mapped_column(index=True)
    workspace: Mapped[str] = mapped_column(default="default")
    source: Mapped[str]
    request_id: Mapped[str]
    result: Mapped[str]
    detail: Mapped[str]


def record(
    session: AsyncSession,
    actor: Actor,
    action: str,
    *,
    resource_id: str,
    owner: str,
    resource_name: str = "",
    result: str = "ok",
    detail: str = "",
) -> None:
    """Write down, in the transaction of the change, who did what; `action` is NOUN:VERB of the permission table."""
    session.add(
        AuditRow(
            actor=actor.user,
            via=actor.via,
            action=action,
            noun=action.partition(":")[0],
            resource_id=resource_id,
            resource_name=resource_name,
            owner=owner,
            source=actor.source,
            request_id=actor.request_id,
            result=result,
            detail=detail,
        )
    )


async def find(session: AsyncSession, wanted: AuditFilter, only_user: str | None) -> Page[AuditRecord]:
    """Records, newest first; of what one user did where `only_user` is given."""
    query = select(AuditRow)
    if only_user is not None:
        query = query.where(AuditRow.actor == only_user)
    for column in ("actor", "action", "noun", "resource_id"):
        if value := getattr(wanted, column):
            query = query.where(getattr(AuditRow, column) == value)
    total = await session.scalar(select(func.count()).select_from(query.subquery())) or 0
    rows = await session.scalars(query.order_by(AuditRow.id.desc()).limit(wanted.limit).offset(wanted.offset))
    return Page.of([AuditRecord.model_validate(row) for row in rows], total, wanted.limit, wanted.offset)

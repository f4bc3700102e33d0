"""The table of storage endpoints."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Index, Text, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from jupyter_mlplat.db.base import Base, Owned, has
from jupyter_mlplat.storage.models import Endpoint

SHARED_MARK = "."
"""Stands before the owner in what others call an endpoint; no endpoint has it in its name."""


class EndpointRow(Owned, Base):
    """An S3 endpoint of an owner; `sealed` is the secret key, encrypted by the platform's vault."""

    __tablename__ = "storage_endpoints"
    __table_args__ = (Index("uq_storage_endpoints_owner_name", "owner", "name", unique=True),)

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    provider: Mapped[str]
    address: Mapped[str]
    region: Mapped[str]
    path_style: Mapped[bool]
    authorities: Mapped[str] = mapped_column(Text)
    buckets: Mapped[list[Any]]
    """Those that it is to serve; none for all that its keys can list."""
    found: Mapped[list[Any]]
    """Those that its keys listed at the last look."""
    prefix: Mapped[str]
    access_key: Mapped[str]
    sealed: Mapped[str] = mapped_column(Text)
    keys: Mapped[str]
    sts_address: Mapped[str]
    sts_role: Mapped[str]
    groups: Mapped[list[Any]] = mapped_column(default=list)
    """Those that it is shared with."""
    state: Mapped[str]
    message: Mapped[str]
    tested_at: Mapped[datetime | None]

    @property
    def serves(self) -> list[str]:
        return list(self.buckets or self.found)

    def name_for(self, user: str) -> str:
        """What `user` calls it; nobody has one of their own that is called as somebody else's."""
        return self.name if user == self.owner else f"{self.name}{SHARED_MARK}{self.owner}"


def to_model(row: EndpointRow, user: str) -> Endpoint:
    """The row as `user` sees it: without the secret."""
    same = ("owner", "provider", "address", "region", "path_style", "prefix", "keys", "sts_address",
            "sts_role", "state", "message", "tested_at")  # fmt: skip
    known = {name: getattr(row, name) for name in same}
    if user == row.owner:
        known |= {"access_key": row.access_key, "groups": row.groups}
    elif row.message:
        known["message"] = f"It does not work. Ask {row.owner}, who can test it."
    return Endpoint(
        **known,
        name=row.name_for(user),
        buckets=row.serves,
        all_buckets=not row.buckets,
        own_authority=bool(row.authorities),
    )


async def of_owner(session: AsyncSession, owner: str) -> list[EndpointRow]:
    """In the order of their names."""
    return list(await session.scalars(select(EndpointRow).where(EndpointRow.owner == owner).order_by(EndpointRow.name)))


async def shared_with(session: AsyncSession, user: str, groups: Collection[str]) -> list[EndpointRow]:
    """Those of others that are shared with one of these groups, in the order of their names."""
    if not groups:
        return []
    theirs = or_(*(has(EndpointRow.groups, group) for group in sorted(groups)))
    query = select(EndpointRow).where(EndpointRow.owner != user, theirs)
    return list(await session.scalars(query.order_by(EndpointRow.name, EndpointRow.owner)))


async def named(session: AsyncSession, owner: str, name: str) -> EndpointRow | None:
    found: EndpointRow | None = await session.scalar(
        select(EndpointRow).where(EndpointRow.owner == owner, EndpointRow.name == name)
    )
    return found


async def everyone(session: AsyncSession) -> list[EndpointRow]:
    return list(await session.scalars(select(EndpointRow)))

"""The table of storage endpoints."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, Text, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from jupyter_mlplat.db.base import Base, Owned
from jupyter_mlplat.storage.models import Endpoint


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
    state: Mapped[str]
    message: Mapped[str]
    tested_at: Mapped[datetime | None]

    @property
    def serves(self) -> list[str]:
        return list(self.buckets or self.found)


def to_model(row: EndpointRow) -> Endpoint:
    """The row as its owner sees it: without the secret."""
    same = ("name", "provider", "address", "region", "path_style", "prefix", "access_key", "keys", "sts_address",
            "sts_role", "state", "message", "tested_at")  # fmt: skip
    known = {name: getattr(row, name) for name in same}
    return Endpoint(**known, buckets=row.serves, all_buckets=not row.buckets, own_authority=bool(row.authorities))


async def of_owner(session: AsyncSession, owner: str) -> list[EndpointRow]:
    """In the order of their names."""
    return list(await session.scalars(select(EndpointRow).where(EndpointRow.owner == owner).order_by(EndpointRow.name)))


async def named(session: AsyncSession, owner: str, name: str) -> EndpointRow | None:
    found: EndpointRow | None = await session.scalar(
        select(EndpointRow).where(EndpointRow.owner == owner, EndpointRow.name == name)
    )
    return found


async def everyone(session: AsyncSession) -> list[EndpointRow]:
    return list(await session.scalars(select(EndpointRow)))

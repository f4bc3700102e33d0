"""What is in each image that the catalogue has ever listed, by digest: a digest never changes, so nor do these rows.

They outlast the catalogue's own rows: a saved image can be compared with its parent when that preset has been made anew
and when the image that it was has been deleted.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import ForeignKey, Index, Select, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, aliased, mapped_column

from jupyter_mlplat.core.clock import now
from jupyter_mlplat.core.package_name import package_key
from jupyter_mlplat.db.base import Base
from jupyter_mlplat.images.models import Layer, Package

CHAIN_LIMIT = 100


class EditionRow(Base):
    """An image as it was made once. `root_digest` is the edition that it stands on in the end, itself for a preset."""

    __tablename__ = "image_editions"

    digest: Mapped[str] = mapped_column(primary_key=True)
    image_id: Mapped[str] = mapped_column(index=True)
    name: Mapped[str]
    parent_digest: Mapped[str | None]
    root_digest: Mapped[str]
    layers: Mapped[list[Any]] = mapped_column(default=list)
    created_at: Mapped[datetime] = mapped_column(default=now)


class EditionPackageRow(Base):
    """A Python package in an edition. `key` is its name as package indexes compare it."""

    __tablename__ = "image_packages"
    __table_args__ = (Index("ix_image_packages_key_digest", "key", "digest"),)

    digest: Mapped[str] = mapped_column(ForeignKey("image_editions.digest"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    version: Mapped[str]


class Listed(Protocol):
    """An image of the catalogue that has its digest."""

    @property
    def id(self) -> str: ...
    @property
    def full_name(self) -> str: ...
    @property
    def digest(self) -> str | None: ...
    @property
    def parent_digest(self) -> str | None: ...


async def note(session: AsyncSession, image: Listed, packages: Iterable[Package], layers: Iterable[Layer]) -> None:
    """Remember what is in an image, where that is not known yet (an image saved unchanged is its parent's edition)."""
    digest = image.digest
    if digest is None or await session.get(EditionRow, digest) is not None:
        return
    below = image.parent_digest if image.parent_digest != digest else None
    parent = await session.get(EditionRow, below) if below else None
    edition = EditionRow(
        digest=digest,
        image_id=image.id,
        name=image.full_name,
        parent_digest=below,
        root_digest=parent.root_digest if parent else below or digest,
        layers=[layer.model_dump() for layer in layers],
    )
    session.add(edition)
    await session.flush()
    named = {package.key: package for package in packages}
    session.add_all(
        EditionPackageRow(digest=digest, key=key, name=package.name, version=package.version)
        for key, package in named.items()
    )


async def is_known(session: AsyncSession, digest: str) -> bool:
    """Whether it is remembered what is in an edition."""
    return await session.get(EditionRow, digest) is not None


async def packages(session: AsyncSession, digest: str | None) -> list[Package]:
    """The packages in an edition by name; none where it is not known."""
    query = select(EditionPackageRow).where(EditionPackageRow.digest == digest).order_by(EditionPackageRow.key)
    return [Package(name=row.name, version=row.version) for row in await session.scalars(query)]


def with_package(name: str) -> Select[str]:
    """The digests of the editions that have a package of that name."""
    return select(EditionPackageRow.digest).where(EditionPackageRow.key == package_key(name))


async def layers(session: AsyncSession, digest: str | None) -> list[Layer]:
    """The layers of an edition, the lowest first."""
    row = await session.get(EditionRow, digest) if digest else None
    return [Layer.model_validate(layer) for layer in row.layers] if row else []


async def chain(session: AsyncSession, digest: str | None) -> list[EditionRow]:
    """The edition `digest` and those that it stands on, the nearest first."""
    top = select(EditionRow.digest, EditionRow.parent_digest).where(EditionRow.digest == digest).cte(recursive=True)
    below = aliased(EditionRow)
    walk = top.union(select(below.digest, below.parent_digest).join(top, below.digest == top.c.parent_digest))
    found = await session.scalars(select(EditionRow).join(walk, walk.c.digest == EditionRow.digest).limit(CHAIN_LIMIT))
    by_digest = {row.digest: row for row in found}
    ordered: list[EditionRow] = []
    while digest in by_digest:
        ordered.append(by_digest.pop(digest))
        digest = ordered[-1].parent_digest
    return ordered

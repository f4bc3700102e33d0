"""The table of images, and its queries."""

from typing import Any

from sqlalchemy import BigInteger, Index, Select, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.core.models import Page
from jupyter_mlplat.db.base import Base, Owned
from jupyter_mlplat.images.models import Image, ImageFilter, ImageStatus, Origin, SaveProgress, Visibility


class ImageRow(Owned, Base):
    """An image. `digest` is written once, when it becomes ACTIVE (for a preset: when it has been prepared)."""

    __tablename__ = "images"
    __table_args__ = (
        Index("uq_images_owner_name_tag", "owner", "name", "tag", unique=True,
              sqlite_where=text("status NOT IN ('DELETED', 'CREATE_FAILED')"),
              postgresql_where=text("status NOT IN ('DELETED', 'CREATE_FAILED')")),
    )  # fmt: skip

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    tag: Mapped[str]
    description: Mapped[str] = mapped_column(default="")
    status: Mapped[str] = mapped_column(default=ImageStatus.INIT, index=True)
    status_message: Mapped[str] = mapped_column(default="")
    origin: Mapped[str]
    visibility: Mapped[str] = mapped_column(default=Visibility.PRIVATE)
    digest: Mapped[str | None] = mapped_column(index=True)
    reference: Mapped[str] = mapped_column(default="")
    parent_digest: Mapped[str | None]
    size: Mapped[int] = mapped_column(BigInteger, default=0)
    added: Mapped[int] = mapped_column(BigInteger, default=0)
    arch: Mapped[str] = mapped_column(default="x86_64")
    resource_categories: Mapped[list[Any]] = mapped_column(default=lambda: ["CPU"])
    preferred: Mapped[bool] = mapped_column(default=False)
    instance_id: Mapped[str | None] = mapped_column(index=True)
    instance_name: Mapped[str | None]
    packages: Mapped[list[Any]] = mapped_column(default=list)
    progress: Mapped[dict[str, Any]] = mapped_column(default=dict)

    @property
    def public(self) -> bool:
        return self.visibility == Visibility.PUBLIC

    @property
    def full_name(self) -> str:
        return f"{self.name}:{self.tag}"


def to_model(row: ImageRow) -> Image:
    """The row as people see it."""
    return Image(
        id=row.id,
        name=row.name,
        tag=row.tag,
        description=row.description,
        owner=row.owner,
        workspace=row.workspace,
        status=ImageStatus(row.status),
        status_message=row.status_message,
        origin=Origin(row.origin),
        type="BUILD_IN" if row.origin == Origin.PRESET else "DEDICATED",
        visibility=Visibility(row.visibility),
        digest=row.digest,
        reference=row.reference,
        parent_digest=row.parent_digest,
        size=row.size,
        added=row.added,
        arch=row.arch,
        resource_categories=row.resource_categories,
        services=["NOTEBOOK", "TRAIN"],
        instance_id=row.instance_id,
        instance_name=row.instance_name,
        progress=SaveProgress.model_validate(row.progress) if row.progress else None,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


async def get(session: AsyncSession, image_id: str) -> ImageRow | None:
    """The image of that id, unless it is deleted."""
    row = await session.get(ImageRow, image_id)
    return row if row is not None and row.status != ImageStatus.DELETED else None


async def named(session: AsyncSession, owner: str, name: str, tag: str) -> ImageRow | None:
    """The usable or coming image of that owner, name and tag."""
    gone = (ImageStatus.DELETED, ImageStatus.CREATE_FAILED)
    query = select(ImageRow).where(ImageRow.status.not_in(gone))
    return await session.scalar(query.where(ImageRow.owner == owner, ImageRow.name == name, ImageRow.tag == tag))


async def preferred(session: AsyncSession) -> ImageRow | None:
    """The preset for who does not choose."""
    query = _alive().where(ImageRow.origin == Origin.PRESET)
    return await session.scalar(query.order_by(ImageRow.preferred.desc(), ImageRow.created_at).limit(1))


async def find(session: AsyncSession, wanted: ImageFilter, actor: Actor) -> Page[Image]:
    """A page of the catalogue that the caller may see: presets first, then the newest."""
    query = _alive()
    if not actor.admin or actor.instance_id:
        query = query.where(or_(ImageRow.owner == actor.user, ImageRow.visibility == Visibility.PUBLIC))
    for column in ("origin", "status"):
        if value := getattr(wanted, column):
            query = query.where(getattr(ImageRow, column) == value)
    if wanted.name:
        full = ImageRow.name + ":" + ImageRow.tag
        query = query.where(full.icontains(wanted.name, autoescape=True))
    query = query.order_by((ImageRow.origin == Origin.PRESET).desc(), ImageRow.created_at.desc(), ImageRow.id)
    if wanted.category:
        rows = [row for row in await session.scalars(query) if wanted.category in row.resource_categories]
        page = rows[wanted.offset : wanted.offset + wanted.limit]
        return Page.of([to_model(row) for row in page], len(rows), wanted.limit, wanted.offset)
    total = await session.scalar(select(func.count()).select_from(query.order_by(None).subquery())) or 0
    found = await session.scalars(query.limit(wanted.limit).offset(wanted.offset))
    return Page.of([to_model(row) for row in found], total, wanted.limit, wanted.offset)


async def presets(session: AsyncSession) -> list[ImageRow]:
    return list(await session.scalars(_alive().where(ImageRow.origin == Origin.PRESET)))


async def unfinished(session: AsyncSession) -> list[str]:
    """Images that are to be made."""
    making = (ImageStatus.INIT, ImageStatus.CREATING)
    query = select(ImageRow.id).where(ImageRow.status.in_(making), ImageRow.origin == Origin.IMAGE_SAVE)
    return list(await session.scalars(query))


async def digests(session: AsyncSession) -> set[str]:
    """The digests that the catalogue still lists."""
    found = await session.scalars(select(ImageRow.digest).where(ImageRow.status != ImageStatus.DELETED))
    return {digest for digest in found if digest}


def _alive() -> Select[ImageRow]:
    return select(ImageRow).where(ImageRow.status != ImageStatus.DELETED)

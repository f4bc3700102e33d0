"""The table of images, and its queries."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVarTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Index,
    Row,
    Select,
    and_,
    func,
    not_,
    or_,
    select,
    text,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, aliased, mapped_column

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.core.models import Page
from jupyter_mlplat.db.base import Base, Owned, has
from jupyter_mlplat.images import editions
from jupyter_mlplat.images.editions import EditionRow
from jupyter_mlplat.images.models import Image, ImageFilter, ImageStatus, Origin, SaveProgress, Service, Visibility

Columns = TypeVarTuple("Columns")


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
    architectures: Mapped[list[Any]] = mapped_column(default=list)
    resource_categories: Mapped[list[Any]] = mapped_column(default=lambda: ["CPU"])
    services: Mapped[list[Any]] = mapped_column(default=lambda: [Service.NOTEBOOK, Service.TRAIN])
    preferred: Mapped[bool] = mapped_column(default=False)
    instance_id: Mapped[str | None] = mapped_column(index=True)
    instance_name: Mapped[str | None]
    notebook: Mapped[str | None]
    source: Mapped[str] = mapped_column(default="")
    """Where an image that was built elsewhere was taken from."""
    containerfile: Mapped[str] = mapped_column(default="")
    """What an image is built from; empty for any other."""
    bundle: Mapped[str] = mapped_column(default="")
    """The folder that its Containerfile copies from."""
    bases: Mapped[list[Any]] = mapped_column(default=list)
    """The images that its Containerfile names, as `backends.base.BaseImage`."""
    progress: Mapped[dict[str, Any]] = mapped_column(default=dict)
    exclude: Mapped[list[Any]] = mapped_column(default=list)
    """Paths in the image whose changes a save leaves out."""
    groups: Mapped[list[Any]] = mapped_column(default=list)
    """Those that it is shared with, where its visibility is GROUP."""
    cancelled: Mapped[bool] = mapped_column(default=False)
    """Its save is to be given up."""
    retires_on: Mapped[date | None]
    instead: Mapped[str] = mapped_column(default="")

    @property
    def full_name(self) -> str:
        return f"{self.name}:{self.tag}"


@dataclass(frozen=True)
class Standing:
    """What an image stands on: its parent, and the preset at the bottom."""

    parent_name: str | None = None
    base_name: str | None = None
    outdated: bool = False
    retires_on: date | None = None
    instead: str = ""


def to_model(row: ImageRow, standing: Standing = Standing()) -> Image:
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
        groups=row.groups,
        digest=row.digest,
        reference=row.reference,
        parent_digest=row.parent_digest,
        parent_name=standing.parent_name,
        base_name=standing.base_name,
        outdated=standing.outdated,
        retires_on=row.retires_on or standing.retires_on,
        instead=row.instead or standing.instead,
        size=row.size,
        added=row.added,
        architectures=row.architectures,
        resource_categories=row.resource_categories,
        services=row.services,
        instance_id=row.instance_id,
        instance_name=row.instance_name,
        notebook=row.notebook,
        source=row.source,
        built=bool(row.containerfile),
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


async def find(session: AsyncSession, wanted: ImageFilter, actor: Actor, groups: Collection[str]) -> Page[Image]:
    """A page of the catalogue that the caller, of those groups, may see: presets first, then the newest."""
    chosen = select(ImageRow.id).where(ImageRow.status != ImageStatus.DELETED)
    if wanted.outdated is not None:
        chosen = _standing(chosen).where(_OUTDATED if wanted.outdated else not_(_OUTDATED))
    chosen = chosen.where(*_visible_to(actor, groups), *_matching(wanted))
    total = await session.scalar(select(func.count()).select_from(chosen.subquery())) or 0
    # what each stands on is looked up for the rows of the page alone
    page = chosen.order_by(*_ORDER).limit(wanted.limit).offset(wanted.offset).scalar_subquery()
    query = _standing(select(*_COLUMNS)).where(ImageRow.id.in_(page)).order_by(*_ORDER)
    found = [_listed(row) for row in await session.execute(query)]
    return Page.of(found, total, wanted.limit, wanted.offset)


async def listed(session: AsyncSession, image_ids: Collection[str]) -> dict[str, Image]:
    """The images of those ids that are not deleted, as people see them."""
    query = _standing(select(*_COLUMNS)).where(ImageRow.id.in_(image_ids), ImageRow.status != ImageStatus.DELETED)
    found = await session.execute(query)
    return {image.id: image for image in map(_listed, found)}


_parent, _root, _base = aliased(EditionRow), aliased(EditionRow), aliased(ImageRow)
_GONE = (ImageStatus.DELETED, ImageStatus.ERROR)
_OUTDATED = and_(
    _root.digest.is_not(None),
    or_(_base.id.is_(None), _base.status.in_(_GONE), _base.digest.is_distinct_from(_root.digest)),
)
"""The preset at the bottom is another one by now, or none."""

_ORDER = ((ImageRow.origin == Origin.PRESET).desc(), ImageRow.created_at.desc(), ImageRow.id)
_COLUMNS = (ImageRow, _parent.name, _root.name, _OUTDATED, _base.retires_on, _base.instead)


def _standing(query: Select[*Columns]) -> Select[*Columns]:
    """The query over images, each with what it stands on."""
    return (
        query.select_from(ImageRow)
        .outerjoin(_parent, _parent.digest == ImageRow.parent_digest)
        .outerjoin(_root, _root.digest == _parent.root_digest)
        .outerjoin(_base, _base.id == _root.image_id)
    )


def _listed(row: Row[*tuple[Any, ...]]) -> Image:
    image, parent, base, outdated, retires_on, instead = row
    return to_model(image, Standing(parent, base, bool(outdated), retires_on, instead or ""))


def _visible_to(actor: Actor, groups: Collection[str]) -> list[ColumnElement[bool]]:
    if actor.admin and not actor.instance_id:
        return []
    own_or_everybodys = (ImageRow.owner == actor.user, ImageRow.visibility == Visibility.PUBLIC)
    return [or_(*own_or_everybodys, *(has(ImageRow.groups, group) for group in groups))]


def _matching(wanted: ImageFilter) -> Iterator[ColumnElement[bool]]:
    for column in ("origin", "status", "visibility", "owner"):
        if value := getattr(wanted, column):
            yield getattr(ImageRow, column) == value
    if wanted.name:
        yield (ImageRow.name + ":" + ImageRow.tag).icontains(wanted.name, autoescape=True)
    for list_column, member in (
        (ImageRow.resource_categories, wanted.category),
        (ImageRow.services, wanted.service),
        (ImageRow.architectures, wanted.arch),
    ):
        if member:
            yield has(list_column, member)
    if wanted.package:
        yield ImageRow.digest.in_(editions.with_package(wanted.package))


async def presets(session: AsyncSession) -> list[ImageRow]:
    return list(await session.scalars(_alive().where(ImageRow.origin == Origin.PRESET)))


async def without_edition(session: AsyncSession) -> list[ImageRow]:
    """Images whose contents are not remembered, the oldest first."""
    known = select(EditionRow.digest).where(EditionRow.digest == ImageRow.digest)
    query = _alive().where(ImageRow.digest.is_not(None), ~known.exists())
    return list(await session.scalars(query.order_by(ImageRow.created_at)))


_MAKING = (ImageStatus.INIT, ImageStatus.CREATING)


async def unfinished(session: AsyncSession) -> list[str]:
    """Images that are to be made."""
    query = select(ImageRow.id).where(ImageRow.status.in_(_MAKING), ImageRow.origin != Origin.PRESET)
    return list(await session.scalars(query))


async def cancelled(session: AsyncSession) -> list[str]:
    """Images whose save is to be given up."""
    return list(await session.scalars(select(ImageRow.id).where(ImageRow.status.in_(_MAKING), ImageRow.cancelled)))


async def digests(session: AsyncSession) -> set[str]:
    """The digests that the catalogue still lists, and those that builds under way stand on."""
    found = await session.scalars(select(ImageRow.digest).where(ImageRow.status != ImageStatus.DELETED))
    below = await session.scalars(select(ImageRow.bases).where(ImageRow.status.in_(_MAKING)))
    return {digest for digest in [*found, *(base["digest"] for bases in below for base in bases)] if digest}


async def count_builds(session: AsyncSession, owner: str) -> int:
    """The builds of an owner that have not ended."""
    mine = (ImageRow.owner == owner, ImageRow.status.in_(_MAKING), ImageRow.containerfile != "")
    return await session.scalar(select(func.count()).select_from(ImageRow).where(*mine)) or 0


async def built(session: AsyncSession) -> set[str]:
    """The images that are built, or were, or failed to be."""
    query = _alive().where(ImageRow.containerfile != "").with_only_columns(ImageRow.id)
    return set(await session.scalars(query))


async def named_by_others(session: AsyncSession, actor: Actor, groups: Collection[str], ref: str) -> list[ImageRow]:
    """The usable images NAME:TAG that others share with the caller, of those groups."""
    name, _, tag = ref.partition(":")
    query = _alive().where(ImageRow.name == name, ImageRow.tag == tag, ImageRow.status == ImageStatus.ACTIVE)
    everybodys = (ImageRow.visibility == Visibility.PUBLIC, *(has(ImageRow.groups, group) for group in groups))
    return list(await session.scalars(query.where(ImageRow.owner != actor.user, or_(*everybodys))))


def _alive() -> Select[ImageRow]:
    return select(ImageRow).where(ImageRow.status != ImageStatus.DELETED)

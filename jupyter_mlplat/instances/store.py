"""The tables of instances, and their queries."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Index, Select, and_, exists, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from jupyter_mlplat.core.clock import now
from jupyter_mlplat.core.models import Page
from jupyter_mlplat.db.base import Base, Owned
from jupyter_mlplat.images.store import ImageRow
from jupyter_mlplat.instances.models import Instance, InstanceFilter, Status, Step, Target, WorkFolder


class InstanceRow(Owned, Base):
    """An instance. The service writes name, description, tags and what is wanted (target…, saving_image_id, attempts);
    the reconcilers write what is (status, steps, image, flavor)."""

    __tablename__ = "instances"
    __table_args__ = (
        Index("uq_instances_owner_name", "owner", "name", unique=True,
              sqlite_where=text("status != 'DELETED'"), postgresql_where=text("status != 'DELETED'")),
    )  # fmt: skip

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    description: Mapped[str] = mapped_column(default="")
    tags: Mapped[list[Any]] = mapped_column(default=list)
    status: Mapped[str] = mapped_column(default=Status.INIT, index=True)
    status_message: Mapped[str] = mapped_column(default="")
    target: Mapped[str] = mapped_column(default=Target.RUNNING)
    image_id: Mapped[str] = mapped_column(index=True)
    image_name: Mapped[str]
    image_digest: Mapped[str | None]
    """The image as it was when it was chosen; None until a preset that had to be made first is there."""
    image_reference: Mapped[str] = mapped_column(default="")
    flavor: Mapped[str]
    target_image_id: Mapped[str | None]
    target_flavor: Mapped[str | None]
    saving_image_id: Mapped[str | None]
    steps: Mapped[list[Any]] = mapped_column(default=list)
    restarts: Mapped[int] = mapped_column(default=0)
    started_at: Mapped[datetime | None]
    last_activity: Mapped[datetime | None]
    work_used: Mapped[int | None] = mapped_column(BigInteger)
    work_size: Mapped[int | None] = mapped_column(BigInteger)
    work_warned: Mapped[bool] = mapped_column(default=False)
    ssh_addresses: Mapped[list[Any]] = mapped_column(default=list)
    """From where it may be reached over SSH; an empty list: from everywhere."""
    ssh_keys: Mapped[list[Any]] = mapped_column(default=list)
    """The ids of the keys that open it; an empty list: all of the owner's."""

    def pin(self, image: ImageRow) -> None:
        """Run on what `image` is now, whatever is made under its name later."""
        self.image_id, self.image_name = image.id, image.full_name
        self.image_digest, self.image_reference = image.digest, image.reference

    @property
    def work(self) -> WorkFolder | None:
        """How full the work folder's disk is, in bytes, as its server last told."""
        if self.work_used is None or not self.work_size:
            return None
        return WorkFolder(used_bytes=self.work_used, size_bytes=self.work_size)

    @property
    def switching(self) -> bool:
        return self.target_image_id is not None or self.target_flavor is not None

    @property
    def situation(self) -> str:
        """What "NAME is …" goes on with where something is not admitted: what is under way, else its status."""
        if self.target == Target.DELETED:
            return "being deleted"
        if self.switching:
            return "being switched"
        if self.status == Status.RUNNING and self.target == Target.STOPPED:
            return "being stopped"
        return self.status


class PermitRow(Base):
    """A single-use permit with which the Hub may spawn one instance's server."""

    __tablename__ = "permits"

    id: Mapped[str] = mapped_column(primary_key=True)
    instance_id: Mapped[str] = mapped_column(index=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    used_at: Mapped[datetime | None]


def to_model(row: InstanceRow) -> Instance:
    """The row as its owner sees it."""
    return Instance(
        id=row.id,
        name=row.name,
        description=row.description,
        owner=row.owner,
        workspace=row.workspace,
        status=Status(row.status),
        status_message=row.status_message,
        target=Target(row.target),
        image_id=row.image_id,
        image_name=row.image_name,
        flavor=row.flavor,
        target_image_id=row.target_image_id,
        target_flavor=row.target_flavor,
        steps=[Step.model_validate(step) for step in row.steps],
        tags=row.tags,
        url=f"/user/{row.owner}/{row.id}/lab",
        created_at=row.created_at,
        updated_at=row.updated_at,
        started_at=row.started_at,
        last_activity=row.last_activity,
        work=row.work,
    )


async def get(session: AsyncSession, instance_id: str) -> InstanceRow | None:
    """The instance of that id, unless it is deleted."""
    row = await session.get(InstanceRow, instance_id)
    return row if row is not None and row.status != Status.DELETED else None


async def named(session: AsyncSession, owner: str, name: str) -> InstanceRow | None:
    return await session.scalar(_alive().where(InstanceRow.owner == owner, InstanceRow.name == name))


async def count(session: AsyncSession, owner: str) -> int:
    query = _alive().where(InstanceRow.owner == owner)
    return await session.scalar(select(func.count()).select_from(query.subquery())) or 0


async def using_image(session: AsyncSession, image_id: str) -> list[InstanceRow]:
    """Instances that run on an image, switch to it, or are being saved as it."""
    users = (InstanceRow.image_id == image_id) | (InstanceRow.target_image_id == image_id)
    return list(await session.scalars(_alive().where(users | (InstanceRow.saving_image_id == image_id))))


async def digests(session: AsyncSession) -> set[str]:
    """The digests that instances run on."""
    found = await session.scalars(_alive().with_only_columns(InstanceRow.image_digest))
    return {digest for digest in found if digest}


async def find(session: AsyncSession, wanted: InstanceFilter, owner: str | None) -> Page[Instance]:
    """A page of instances; those of one owner where `owner` is given."""
    query = _alive()
    if owner is not None:
        query = query.where(InstanceRow.owner == owner)
    for column in ("owner", "status", "flavor", "image_id"):
        if value := getattr(wanted, column):
            query = query.where(getattr(InstanceRow, column) == value)
    if wanted.name:
        query = query.where(InstanceRow.name.icontains(wanted.name, autoescape=True))
    order = getattr(InstanceRow, wanted.sort_key)
    query = query.order_by(order.desc() if wanted.sort_dir == "desc" else order, InstanceRow.id)
    if wanted.tag:
        rows = [row for row in await session.scalars(query) if _has_tag(row, wanted.tag)]
        return _page(rows[wanted.offset : wanted.offset + wanted.limit], len(rows), wanted)
    total = await session.scalar(select(func.count()).select_from(query.order_by(None).subquery())) or 0
    return _page(await session.scalars(query.limit(wanted.limit).offset(wanted.offset)), total, wanted)


async def unsettled(session: AsyncSession, besides: Collection[str] = ()) -> list[InstanceRow]:
    """Instances that are not where they should be, or whose start or end failed, and those `besides`."""
    return list(await session.scalars(_alive().where(~_settled() | InstanceRow.id.in_(besides))))


async def running(session: AsyncSession, after: str, limit: int) -> list[InstanceRow]:
    """Instances that run, are to run, and are not being saved: the first `limit` whose ids come after `after`."""
    query = select(InstanceRow).where(_running(), InstanceRow.id > after).order_by(InstanceRow.id).limit(limit)
    return list(await session.scalars(query))


async def any_running(session: AsyncSession) -> bool:
    """Whether there are such instances."""
    return bool(await session.scalar(select(exists().where(_running()))))


async def note_activity(session: AsyncSession, last: Mapping[str, datetime]) -> None:
    """When people last did something in instances."""
    await session.execute(update(InstanceRow), [{"id": key, "last_activity": moment} for key, moment in last.items()])


def _running() -> ColumnElement[bool]:
    return and_(InstanceRow.status == Status.RUNNING, _settled(), InstanceRow.saving_image_id.is_(None))


def _settled() -> ColumnElement[bool]:
    return and_(
        InstanceRow.status == InstanceRow.target,
        InstanceRow.status.in_((Status.RUNNING, Status.STOPPED)),
        InstanceRow.target_flavor.is_(None),
        InstanceRow.target_image_id.is_(None),
    )


def _alive() -> Select[InstanceRow]:
    return select(InstanceRow).where(InstanceRow.status != Status.DELETED)


def _page(rows: Iterable[InstanceRow], total: int, wanted: InstanceFilter) -> Page[Instance]:
    return Page.of([to_model(row) for row in rows], total, wanted.limit, wanted.offset)


def _has_tag(row: InstanceRow, wanted: str) -> bool:
    """By KEY or KEY=VALUE; either may hold a = itself."""
    return any(wanted in (tag["key"], f"{tag['key']}={tag['value']}") for tag in row.tags)

"""The table of mounts."""

from sqlalchemy import Index, Select, Text, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from jupyter_mlplat.db.base import Base, Owned
from jupyter_mlplat.instances.models import Status, Target
from jupyter_mlplat.instances.store import InstanceRow
from jupyter_mlplat.mounts.models import Mount, MountStatus
from jupyter_mlplat.storage.object_urls import ObjectUrl


class MountRow(Owned, Base):
    """A mount of an instance. The service writes what is wanted (`removing`), the reconciler what is (`status`)."""

    __tablename__ = "mounts"
    __table_args__ = (Index("uq_mounts_instance_id_name", "instance_id", "name", unique=True),)

    id: Mapped[str] = mapped_column(primary_key=True)
    instance_id: Mapped[str]
    name: Mapped[str]
    bucket: Mapped[str]
    prefix: Mapped[str] = mapped_column(Text)
    endpoint: Mapped[str]
    read_only: Mapped[bool]
    status: Mapped[str] = mapped_column(default=MountStatus.MOUNTING)
    message: Mapped[str] = mapped_column(Text, default="")
    removing: Mapped[bool] = mapped_column(default=False)

    @property
    def source(self) -> ObjectUrl:
        return ObjectUrl(self.bucket, self.prefix)


def to_model(row: MountRow, path: str) -> Mount:
    """The row as its owner sees it."""
    same = ("id", "instance_id", "name", "endpoint", "read_only", "message", "created_at", "updated_at")
    known = {name: getattr(row, name) for name in same}
    return Mount(**known, path=path, source=str(row.source), status=MountStatus(row.status))


async def of_instance(session: AsyncSession, instance_id: str) -> list[MountRow]:
    """In the order of their names."""
    query = select(MountRow).where(MountRow.instance_id == instance_id).order_by(MountRow.name)
    return list(await session.scalars(query))


async def busy(session: AsyncSession) -> list[tuple[MountRow, InstanceRow]]:
    """Those that are mounted, or are to be, or are to go; each with its instance, deleted or not."""
    running = InstanceRow.status.in_((Status.RUNNING, Status.SNAPSHOTTING)) & (InstanceRow.target == Target.RUNNING)
    going = or_(MountRow.removing, InstanceRow.status == Status.DELETED)
    query = _with_instances().where(or_(MountRow.status != MountStatus.UNMOUNTED, running, going))
    return [(mount, instance) for mount, instance in (await session.execute(query)).all()]


async def everything(session: AsyncSession) -> list[tuple[MountRow, InstanceRow]]:
    return [(mount, instance) for mount, instance in (await session.execute(_with_instances())).all()]


async def with_instance(session: AsyncSession, mount_id: str) -> tuple[MountRow, InstanceRow] | None:
    row = await session.get(MountRow, mount_id)
    instance = await session.get(InstanceRow, row.instance_id) if row else None
    return (row, instance) if row and instance else None


async def at_endpoint(session: AsyncSession, owner: str, endpoint: str) -> list[str]:
    """What of an endpoint its owner has mounted, as obs://BUCKET/FOLDER/."""
    rows = await session.scalars(select(MountRow).where(MountRow.owner == owner, MountRow.endpoint == endpoint))
    return sorted({str(row.source) for row in rows})


def _with_instances() -> Select[MountRow, InstanceRow]:
    return select(MountRow, InstanceRow).join(InstanceRow, InstanceRow.id == MountRow.instance_id)

"""The table of SSH keys, and its queries."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Select, UniqueConstraint, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from jupyter_mlplat.core.clock import now
from jupyter_mlplat.db.base import Base, Owned
from jupyter_mlplat.instances.models import Status
from jupyter_mlplat.instances.store import InstanceRow
from jupyter_mlplat.ssh.models import SshKey


class SshKeyRow(Owned, Base):
    """A public key, as its owner gave it; `public` has neither options nor comment."""

    __tablename__ = "ssh_keys"
    __table_args__ = (UniqueConstraint("owner", "fingerprint", name="uq_ssh_keys_owner"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    type: Mapped[str]
    bits: Mapped[int]
    public: Mapped[str]
    fingerprint: Mapped[str] = mapped_column(index=True)
    comment: Mapped[str]
    last_used_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]

    @property
    def expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= now()


class SshVisitRow(Base):
    """Somebody whom a gateway elsewhere lets through to an instance. `id` is GATEWAY.PID-STARTED."""

    __tablename__ = "ssh_visits"

    id: Mapped[str] = mapped_column(primary_key=True)
    gateway: Mapped[str] = mapped_column(index=True)
    instance_id: Mapped[str] = mapped_column(index=True)
    key_id: Mapped[str]
    address: Mapped[str]
    since: Mapped[datetime]
    seen_at: Mapped[datetime]
    """When its gateway was last heard of."""
    is_cut: Mapped[bool] = mapped_column(default=False)

    @property
    def process(self) -> str:
        """PID-STARTED at its gateway."""
        return self.id.removeprefix(f"{self.gateway}.")


def to_model(row: SshKeyRow) -> SshKey:
    return SshKey.model_validate(row)


async def get(session: AsyncSession, key_id: str) -> SshKeyRow | None:
    return await session.get(SshKeyRow, key_id)


async def of_owner(session: AsyncSession, owner: str) -> list[SshKeyRow]:
    """All keys of a user, the newest first."""
    query = select(SshKeyRow).where(SshKeyRow.owner == owner)
    return list(await session.scalars(query.order_by(SshKeyRow.created_at.desc(), SshKeyRow.id)))


async def count(session: AsyncSession, owner: str) -> int:
    query = select(func.count()).select_from(SshKeyRow).where(SshKeyRow.owner == owner)
    return await session.scalar(query) or 0


async def with_fingerprint(session: AsyncSession, owner: str, fingerprint: str) -> SshKeyRow | None:
    query = select(SshKeyRow).where(SshKeyRow.owner == owner, SshKeyRow.fingerprint == fingerprint)
    return await session.scalar(query)


def is_chosen(instance: InstanceRow, key_id: str) -> bool:
    """Whether the owner lets this key of theirs open the instance."""
    return not instance.ssh_keys or key_id in instance.ssh_keys


async def public_of(session: AsyncSession, instance: InstanceRow) -> list[str]:
    """The public keys that open an instance now, always in the same order."""
    rows = await session.scalars(_good().where(SshKeyRow.owner == instance.owner).order_by(SshKeyRow.id))
    return [row.public for row in rows if is_chosen(instance, row.id)]


async def owners_of_good(session: AsyncSession, key_ids: Collection[str]) -> dict[str, str]:
    """Those of the keys that are good now, with their owners."""
    rows = await session.scalars(_good().where(SshKeyRow.id.in_(key_ids)))
    return {row.id: row.owner for row in rows}


async def note_use(session: AsyncSession, key_id: str) -> None:
    await session.execute(update(SshKeyRow).where(SshKeyRow.id == key_id).values(last_used_at=now()))


async def logins(session: AsyncSession) -> set[str]:
    """Every name under which an instance is reached at the gateway: NAME.OWNER, and its id."""
    query = select(InstanceRow.id, InstanceRow.name, InstanceRow.owner).where(InstanceRow.status != Status.DELETED)
    rows = (await session.execute(query)).all()
    return {name for row in rows for name in (row.id, f"{row.name}.{row.owner}")}


def _good() -> Select[SshKeyRow]:
    return select(SshKeyRow).where(or_(SshKeyRow.expires_at.is_(None), SshKeyRow.expires_at > now()))

"""The tables of jobs and bundles, and their queries."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Index, Select, delete, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from jupyter_mlplat.core.clock import now
from jupyter_mlplat.core.models import Page
from jupyter_mlplat.db.base import Base, Owned
from jupyter_mlplat.images.store import ImageRow
from jupyter_mlplat.jobs.models import FINAL, Bundle, Channel, Job, JobFilter, JobProgress, Kind, Phase


class Target(StrEnum):
    """What the owner wants of a job; the reconciler moves the phase there."""

    ENDED = "ENDED"
    """That it runs to its end."""
    STOPPED = "STOPPED"
    DELETED = "DELETED"


class JobRow(Owned, Base):
    """A job. The service writes what was submitted and the target; the reconciler phase, attempt and what came of it.

    A deleted job's row stays, so that its number is not given again.
    """

    __tablename__ = "jobs"
    __table_args__ = (Index("uq_jobs_owner_number", "owner", "number", unique=True),)

    id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int]
    name: Mapped[str]
    description: Mapped[str] = mapped_column(default="")
    phase: Mapped[str] = mapped_column(default=Phase.CREATING, index=True)
    phase_message: Mapped[str] = mapped_column(default="")
    target: Mapped[str] = mapped_column(default=Target.ENDED)
    kind: Mapped[str]
    entry: Mapped[str]
    bundle: Mapped[str] = mapped_column(index=True)
    image_id: Mapped[str] = mapped_column(index=True)
    image_name: Mapped[str]
    image_digest: Mapped[str | None]
    """The image as it was when it was chosen; None until a preset that had to be made first is there."""
    image_reference: Mapped[str] = mapped_column(default="")
    flavor: Mapped[str]
    nodes: Mapped[int] = mapped_column(default=1)
    parameters: Mapped[dict[str, Any]] = mapped_column(default=dict)
    environment: Mapped[dict[str, Any]] = mapped_column(default=dict)
    inputs: Mapped[list[Any]] = mapped_column(default=list)
    outputs: Mapped[list[Any]] = mapped_column(default=list)
    logs: Mapped[str | None]
    retries: Mapped[int] = mapped_column(default=0)
    time_limit: Mapped[int | None]
    attempt: Mapped[int] = mapped_column(default=1)
    exit_code: Mapped[int | None]
    cells_done: Mapped[int] = mapped_column(default=0)
    cells_total: Mapped[int] = mapped_column(default=0)
    last_metrics: Mapped[dict[str, Any]] = mapped_column(default=dict)
    instance_id: Mapped[str | None] = mapped_column(index=True)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]

    def pin(self, image: ImageRow) -> None:
        """Run on what `image` is now, in every attempt."""
        self.image_id, self.image_name = image.id, image.full_name
        self.image_digest, self.image_reference = image.digest, image.reference

    @property
    def label(self) -> str:
        return f"{self.name} #{self.number}"


class JobNumberRow(Base):
    """The last number given to a job of an owner."""

    __tablename__ = "job_numbers"

    owner: Mapped[str] = mapped_column(primary_key=True)
    last: Mapped[int]


class BundleRow(Base):
    """That an owner has uploaded a bundle; its bytes are kept once, whoever uploaded them."""

    __tablename__ = "bundles"

    owner: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(primary_key=True, index=True)
    size: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(default=now)


def to_model(row: JobRow) -> Job:
    """The row as its owner sees it."""
    return Job(
        id=row.id,
        number=row.number,
        name=row.name,
        description=row.description,
        owner=row.owner,
        workspace=row.workspace,
        phase=Phase(row.phase),
        phase_message=row.phase_message,
        kind=Kind(row.kind),
        entry=row.entry,
        bundle=row.bundle,
        image_id=row.image_id,
        image_name=row.image_name,
        flavor=row.flavor,
        nodes=row.nodes,
        parameters=row.parameters,
        environment=row.environment,
        inputs=[Channel.model_validate(channel) for channel in row.inputs],
        outputs=[Channel.model_validate(channel) for channel in row.outputs],
        logs=row.logs,
        retries=row.retries,
        time_limit=row.time_limit,
        attempt=row.attempt,
        exit_code=row.exit_code,
        progress=JobProgress(done=row.cells_done, total=row.cells_total),
        last_metrics=row.last_metrics,
        instance_id=row.instance_id,
        created_at=row.created_at,
        updated_at=row.updated_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        duration=_duration(row),
    )


async def get(session: AsyncSession, job_id: str) -> JobRow | None:
    """The job of that id, unless it is deleted."""
    row = await session.get(JobRow, job_id)
    return row if row is not None and row.deleted_at is None else None


async def next_number(session: AsyncSession, owner: str) -> int:
    """The next number of an owner's jobs, taken in the transaction that uses it."""
    taken = await session.execute(
        text(
            "INSERT INTO job_numbers (owner, last) VALUES (:owner, 1)"
            " ON CONFLICT (owner) DO UPDATE SET last = job_numbers.last + 1 RETURNING last"
        ),
        {"owner": owner},
    )
    return int(taken.scalar_one())


async def count_unfinished(session: AsyncSession, owner: str) -> int:
    query = _alive().where(JobRow.owner == owner, JobRow.phase.not_in(FINAL))
    return await session.scalar(select(func.count()).select_from(query.subquery())) or 0


async def unfinished(session: AsyncSession, owner: str) -> list[JobRow]:
    return list(await session.scalars(_alive().where(JobRow.owner == owner, JobRow.phase.not_in(FINAL))))


async def using_image(session: AsyncSession, image_id: str) -> list[JobRow]:
    """Unfinished jobs that run on an image, or will."""
    return list(await session.scalars(_alive().where(JobRow.image_id == image_id, JobRow.phase.not_in(FINAL))))


async def digests(session: AsyncSession) -> set[str]:
    """The digests that unfinished jobs run on."""
    query = _alive().where(JobRow.phase.not_in(FINAL)).with_only_columns(JobRow.image_digest)
    return {digest for digest in await session.scalars(query) if digest}


async def find(session: AsyncSession, wanted: JobFilter, owner: str | None) -> Page[Job]:
    """A page of jobs; those of one owner where `owner` is given."""
    query = _alive()
    if owner is not None:
        query = query.where(JobRow.owner == owner)
    for column in ("phase", "instance_id"):
        if value := getattr(wanted, column):
            query = query.where(getattr(JobRow, column) == value)
    if wanted.name:
        query = query.where(JobRow.name.icontains(wanted.name, autoescape=True))
    order = getattr(JobRow, wanted.sort_key)
    total = await session.scalar(select(func.count()).select_from(query.subquery())) or 0
    query = query.order_by(order.desc() if wanted.sort_dir == "desc" else order, JobRow.id)
    rows: Iterable[JobRow] = await session.scalars(query.limit(wanted.limit).offset(wanted.offset))
    return Page.of([to_model(row) for row in rows], total, wanted.limit, wanted.offset)


async def reconcilable(session: AsyncSession) -> list[JobRow]:
    """Jobs that have not ended, and ended ones that are to be deleted."""
    working = JobRow.phase.not_in(FINAL) | (JobRow.target == Target.DELETED)
    return list(await session.scalars(_alive().where(working).order_by(JobRow.created_at)))


async def bundle(session: AsyncSession, owner: str, digest: str) -> Bundle | None:
    """What an owner uploaded under a digest."""
    row = await session.get(BundleRow, (owner, digest))
    return Bundle(digest=row.digest, size=row.size) if row else None


async def unused_bundles(session: AsyncSession, before: datetime) -> list[BundleRow]:
    """Uploads from before a time of which their owner has no job."""
    job = select(JobRow.id).where(
        JobRow.owner == BundleRow.owner, JobRow.bundle == BundleRow.digest, JobRow.deleted_at.is_(None)
    )
    return list(await session.scalars(select(BundleRow).where(BundleRow.created_at < before, ~job.exists())))


async def drop_bundle(session: AsyncSession, owner: str, digest: str) -> bool:
    """Forget an owner's upload unless a job needs it; whether now nobody has uploaded those bytes."""
    using = _alive().where(JobRow.owner == owner, JobRow.bundle == digest)
    if await session.scalar(using.limit(1)) is not None:
        return False
    await session.execute(delete(BundleRow).where(BundleRow.owner == owner, BundleRow.digest == digest))
    return await session.scalar(select(BundleRow).where(BundleRow.digest == digest).limit(1)) is None


def _alive() -> Select[JobRow]:
    return select(JobRow).where(JobRow.deleted_at.is_(None))


def _duration(row: JobRow) -> float | None:
    if row.started_at is None:
        return None
    return max(0.0, ((row.finished_at or now()) - row.started_at).total_seconds())

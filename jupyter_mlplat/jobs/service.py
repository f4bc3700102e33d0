"""What people may ask of jobs. Each change: permission, audit record and new target in one transaction."""

import asyncio
import json
import math
from dataclasses import dataclass
from pathlib import PurePosixPath

from sqlalchemy.ext.asyncio import AsyncSession

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.access.groups import Groups
from jupyter_mlplat.access.permissions import require
from jupyter_mlplat.audit import store as audit
from jupyter_mlplat.backends.base import JobBackend
from jupyter_mlplat.core.ids import new_id
from jupyter_mlplat.core.models import Page
from jupyter_mlplat.core.settings import Settings
from jupyter_mlplat.db.engine import Database
from jupyter_mlplat.errors import Conflict, InvalidInput, NotFound, QuotaExceeded
from jupyter_mlplat.events import store as events
from jupyter_mlplat.events.models import Event
from jupyter_mlplat.flavors.service import FlavorService
from jupyter_mlplat.images import sharing
from jupyter_mlplat.images.store import ImageRow
from jupyter_mlplat.jobs import store
from jupyter_mlplat.jobs.channels import JobChannels
from jupyter_mlplat.jobs.credentials import JobCredentials
from jupyter_mlplat.jobs.intake import IntakeService
from jupyter_mlplat.jobs.lookup import job_for
from jupyter_mlplat.jobs.models import FINAL, Job, JobCreate, JobFilter, Kind
from jupyter_mlplat.jobs.results import JobResults
from jupyter_mlplat.jobs.spec import KINDS
from jupyter_mlplat.jobs.store import JobRow, Target
from jupyter_mlplat.jobs.uploads import BundleService
from jupyter_mlplat.storage.access import StorageAccess
from jupyter_mlplat.storage.service import StorageService

PARAMETER_BYTES = 64 * 1024


@dataclass(frozen=True)
class JobService:
    """Submits, shows, stops and deletes jobs; `bundles` and `results` are their files, going in and coming out;
    `channels` are their places in the storage, `credentials` the keys with which they reach these; `intake` is the
    door for the pods of those on a cluster."""

    database: Database
    backend: JobBackend
    flavors: FlavorService
    storage: StorageService
    access: StorageAccess
    settings: Settings
    groups: Groups

    @property
    def bundles(self) -> BundleService:
        return BundleService(self.database, self.settings)

    @property
    def intake(self) -> IntakeService:
        return IntakeService(self.database, self.settings)

    @property
    def channels(self) -> JobChannels:
        return JobChannels(self.storage, self.access)

    @property
    def credentials(self) -> JobCredentials:
        return JobCredentials(self.database, self.access, self.settings)

    @property
    def results(self) -> JobResults:
        return JobResults(self.database, self.backend)

    async def find(self, actor: Actor, wanted: JobFilter) -> Page[Job]:
        """The caller's jobs; an administrator's list holds everybody's."""
        everybody = actor.admin and not actor.instance_id
        async with self.database.read() as session:
            return await store.find(session, wanted, None if everybody else actor.user)

    async def get(self, actor: Actor, job_id: str) -> Job:
        async with self.database.read() as session:
            return store.to_model(await job_for(session, actor, "job:read", job_id))

    async def events(self, actor: Actor, job_id: str, limit: int, offset: int) -> Page[Event]:
        async with self.database.read() as session:
            await job_for(session, actor, "job:read", job_id)
            return await events.of_resource(session, job_id, limit, offset)

    async def submit(self, actor: Actor, wanted: JobCreate) -> Job:
        """A new job that the reconciler will run."""
        require(actor, "job:create", owner=actor.user)
        kind = kind_of(wanted.entry)
        self._check_nodes(wanted.nodes)
        _check_parameters(wanted)
        await self.channels.check(actor.user, wanted)
        flavor = await self.flavors.available(wanted.flavor)
        await self.bundles.get(actor, wanted.bundle)
        await asyncio.to_thread(self.bundles.folder.check_entry, wanted.bundle, wanted.entry)
        groups = await self.groups.known(actor.user) if wanted.image_id else ()
        async with self.database.transaction() as session:
            image = await sharing.usable(session, actor, groups, wanted.image_id)
            return await self._add(session, actor, wanted, kind, image, flavor.id)

    async def rerun(self, actor: Actor, job_id: str) -> Job:
        """A new job of the same files, image, flavor, parameters and channels."""
        async with self.database.read() as session:
            row = await job_for(session, actor, "job:create", job_id)
        again = JobCreate.model_validate({name: getattr(row, name) for name in JobCreate.model_fields})
        return await self.submit(actor, again)

    async def stop(self, actor: Actor, job_id: str) -> Job:
        async with self.database.transaction() as session:
            row = await job_for(session, actor, "job:stop", job_id)
            if row.phase in FINAL or row.target != Target.ENDED:
                raise Conflict(f"{row.label} is {row.phase}; only a job that has not ended can be stopped.")
            row.target = Target.STOPPED
            _audit(session, actor, "job:stop", row)
            events.emit(session, "job", row.id, row.owner, "StopRequested", f"{actor.user} asked to stop it")
            return store.to_model(row)

    async def delete(self, actor: Actor, job_id: str) -> Job:
        """Stop it where it runs, then remove what it left but what lies in its output channels."""
        async with self.database.transaction() as session:
            row = await job_for(session, actor, "job:delete", job_id)
            row.target = Target.DELETED
            _audit(session, actor, "job:delete", row)
            events.emit(session, "job", row.id, row.owner, "DeleteRequested", f"{actor.user} asked to delete it")
            return store.to_model(row)

    async def _add(
        self, session: AsyncSession, actor: Actor, wanted: JobCreate, kind: Kind, image: ImageRow, flavor_id: str
    ) -> Job:
        await self._check_quota(session, actor.user)
        if await store.bundle(session, actor.user, wanted.bundle) is None:
            raise NotFound(f"There is no bundle {wanted.bundle}. Upload it again.")
        fields = wanted.model_dump(mode="json") | {"flavor": flavor_id}
        row = JobRow(
            id=new_id("j"),
            owner=actor.user,
            number=await store.next_number(session, actor.user),
            kind=kind,
            instance_id=actor.instance_id,
            **fields,
        )
        row.pin(image)
        session.add(row)
        detail = f"{wanted.entry} on {image.full_name}, {flavor_id}"
        events.emit(session, "job", row.id, row.owner, "Created", f"Submitted {detail}")
        _audit(session, actor, "job:create", row, detail)
        await session.flush()
        return store.to_model(row)

    def _check_nodes(self, nodes: int) -> None:
        most = self.settings.job_nodes
        if nodes > most:
            can = "one node" if most == 1 else f"at most {most} nodes"
            raise InvalidInput(f"A job runs on {can} here, not on {nodes}. Submit it with fewer.")

    async def _check_quota(self, session: AsyncSession, owner: str) -> None:
        limit = self.settings.running_job_quota
        if await store.count_unfinished(session, owner) >= limit:
            raise QuotaExceeded(f"You have as many jobs under way as your quota allows: {limit}. Wait, or stop one.")


def _check_parameters(wanted: JobCreate) -> None:
    for name, value in wanted.parameters.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise InvalidInput(f"The parameter {name} is {value}, which is no number that can be passed on.")
    if len(json.dumps(wanted.parameters)) > PARAMETER_BYTES:
        raise InvalidInput(f"All parameters together may have {PARAMETER_BYTES:,} bytes. Put data into the folder.")


def kind_of(entry: str) -> Kind:
    """What a job's entry is, by its suffix. InvalidInput for another suffix, or a path that leads out of the bundle."""
    if "\0" in entry or any(part in ("", ".", "..") for part in entry.split("/")):
        raise InvalidInput(f"The entry {entry!r} is no path inside the bundle. Give one such as train.ipynb.")
    suffix = PurePosixPath(entry).suffix
    if suffix not in KINDS:
        raise InvalidInput(f"{entry} is neither a notebook (.ipynb) nor a script (.py, .sh).")
    return KINDS[suffix]


def _audit(session: AsyncSession, actor: Actor, action: str, row: JobRow, detail: str = "") -> None:
    audit.record(session, actor, action, resource_id=row.id, owner=row.owner, resource_name=row.label, detail=detail)

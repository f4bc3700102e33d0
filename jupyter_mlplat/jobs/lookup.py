"""A job for who asks for it."""

from sqlalchemy.ext.asyncio import AsyncSession

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.access.permissions import require
from jupyter_mlplat.core.settings import Settings
from jupyter_mlplat.db.engine import Database
from jupyter_mlplat.errors import NotAuthenticated, NotFound
from jupyter_mlplat.jobs import store
from jupyter_mlplat.jobs.models import FINAL
from jupyter_mlplat.jobs.store import JobRow
from jupyter_mlplat.jobs.tokens import JobTokens

REFUSED = "This is not, or no longer, the token of an attempt of this job that runs."


async def job_for(session: AsyncSession, actor: Actor, action: str, job_id: str) -> JobRow:
    """The job, where the caller may do `action` on it; else NotFound or NotAllowed."""
    row = await store.get(session, job_id)
    if row is None:
        raise NotFound(f"There is no job {job_id!r}.")
    require(actor, action, owner=row.owner, resource_id=row.id)
    return row


async def running_job(database: Database, settings: Settings, job_id: str, token: str) -> JobRow:
    """The job whose attempt of this token runs. NotAuthenticated for any other token."""
    number = JobTokens(settings.hub_secret.get_secret_value()).attempt_of(token, job_id)
    async with database.read() as session:
        row = await store.get(session, job_id) if number is not None else None
    if row is None or row.phase in FINAL or row.attempt != number:
        raise NotAuthenticated(REFUSED)
    return row

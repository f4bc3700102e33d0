"""A job for who asks for it."""

from sqlalchemy.ext.asyncio import AsyncSession

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.access.permissions import require
from jupyter_mlplat.errors import NotFound
from jupyter_mlplat.jobs import store
from jupyter_mlplat.jobs.store import JobRow


async def job_for(session: AsyncSession, actor: Actor, action: str, job_id: str) -> JobRow:
    """The job, where the caller may do `action` on it; else NotFound or NotAllowed."""
    row = await store.get(session, job_id)
    if row is None:
        raise NotFound(f"There is no job {job_id!r}.")
    require(actor, action, owner=row.owner, resource_id=row.id)
    return row

"""What people may ask of quotas."""

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.access.permissions import require
from jupyter_mlplat.core.settings import Settings
from jupyter_mlplat.db.engine import Database
from jupyter_mlplat.instances import store as instances
from jupyter_mlplat.jobs import store as jobs
from jupyter_mlplat.quotas.models import Quota


async def usage(actor: Actor, database: Database, settings: Settings) -> list[Quota]:
    """What the caller has, and how much of it they may have."""
    require(actor, "quota:read", owner=actor.user)
    async with database.read() as session:
        return [
            Quota(noun="instance", used=await instances.count(session, actor.user), limit=settings.instance_quota),
            Quota(noun="job", used=await jobs.count_unfinished(session, actor.user), limit=settings.running_job_quota),
        ]

"""The keys with which a job reaches the endpoints of its channels, for as long as its attempt runs."""

from dataclasses import dataclass

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.core.settings import Settings
from jupyter_mlplat.db.engine import Database
from jupyter_mlplat.errors import NotFound
from jupyter_mlplat.jobs.lookup import running_job
from jupyter_mlplat.jobs.store import JobRow
from jupyter_mlplat.storage.access import StorageAccess
from jupyter_mlplat.storage.endpoint_models import Credentials
from jupyter_mlplat.storage.object_urls import ObjectUrl


@dataclass(frozen=True)
class JobCredentials:
    """Gives a job the keys of its owner's endpoints, but only for the buckets of its own channels."""

    database: Database
    access: StorageAccess
    settings: Settings

    async def of(self, job_id: str, token: str, bucket: str) -> Credentials:
        """NotAuthenticated for any token but that of the attempt that runs, NotFound for another bucket."""
        row = await running_job(self.database, self.settings, job_id, token)
        if bucket not in _buckets(row):
            raise NotFound(f"{row.label} has neither input nor output in a bucket {bucket}.")
        return await self.access.credentials_for(Actor(row.owner), bucket, row.label)


def _buckets(row: JobRow) -> set[str]:
    urls = [channel["url"] for channel in (*row.inputs, *row.outputs)] + [row.logs] * bool(row.logs)
    return {ObjectUrl.parse(url).bucket for url in urls}

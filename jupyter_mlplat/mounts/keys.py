"""The keys of a mount, tried before rclone gets them: it would only say that a folder cannot be read."""

import asyncio
from dataclasses import dataclass

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.errors import NotFound
from jupyter_mlplat.mounter.models import Place
from jupyter_mlplat.mounts.store import MountRow
from jupyter_mlplat.storage.access import StorageAccess
from jupyter_mlplat.storage.endpoint_looks import PATIENCE
from jupyter_mlplat.storage.endpoint_models import Credentials
from jupyter_mlplat.storage.engine.authorities import file_of
from jupyter_mlplat.storage.engine.connection import Connection
from jupyter_mlplat.storage.engine.opening import opened


@dataclass(frozen=True)
class MountKeys:
    """Takes keys for mounts from the endpoints of their owners."""

    access: StorageAccess

    async def of(self, row: MountRow, label: str) -> Place:
        """Keys that can list the folder now; raises, in words, what is in the way. `label` is for the audit."""
        given = await self.access.credentials_at(Actor(row.owner), row.endpoint, row.source, label)
        if given.expires_at is None:
            raise NotFound(f"There is no endpoint {row.endpoint} any more.")
        await asyncio.to_thread(self._try, given, row)
        same = ("provider", "address", "region", "path_style", "authorities", "access_key", "secret_key", "token")
        return Place(**{name: getattr(given, name) for name in same}, expires_at=given.expires_at)

    def _try(self, given: Credentials, row: MountRow) -> None:
        store = opened(
            Connection(
                endpoint=given.address,
                access_key=given.access_key,
                secret_key=given.secret_key,
                token=given.token,
                region=given.region,
                path_style=given.path_style,
                authorities=file_of(given.authorities),
                timeout=PATIENCE,
                retries=1,
                name=given.endpoint,
                addresses=self.access.endpoints.addresses,
            )
        )
        store.page(row.source, flat=True, limit=1)

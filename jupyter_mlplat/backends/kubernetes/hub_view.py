"""What the Hub knows of all servers, asked in one request now and then."""

import asyncio
import time

from jupyter_mlplat.errors import MlplatError
from jupyter_mlplat.hub.client import HubClient, HubServer

SECONDS = 20.0


class HubView:
    """The Hub's servers as they were at most some seconds ago. A Hub that does not answer changes nothing."""

    def __init__(self, hub: HubClient) -> None:
        self._hub = hub
        self._servers: dict[str, HubServer] | None = None
        self._asked = 0.0
        self._asking = asyncio.Lock()

    async def server(self, instance_id: str) -> HubServer | None:
        """The server of an instance; None where the Hub has none or has not been heard yet."""
        servers = await self._fresh()
        return (servers or {}).get(instance_id)

    async def has_lost(self, owner: str, instance_id: str) -> bool:
        """Whether the Hub answers and says that it has no such server, or has taken it for stopped."""
        servers = await self._fresh()
        if servers is None or instance_id in servers:
            return False
        try:
            known = await self._hub.server(owner, instance_id)
        except MlplatError:
            return False
        return known is None or (known.stopped and not known.pending)

    async def _fresh(self) -> dict[str, HubServer] | None:
        async with self._asking:
            if not self._asked or time.monotonic() - self._asked > SECONDS:
                self._asked = time.monotonic()
                try:
                    self._servers = await self._hub.servers()
                except MlplatError:
                    return self._servers
            return self._servers

"""Asks the parts whether they answer, and the Hub for what the supervisor needs of it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from jupyter_mlplat.embedded.parts import Plan
from jupyter_mlplat.embedded.tokens import new_token
from jupyter_mlplat.errors import BackendFailure
from jupyter_mlplat.hub import nursery_client

Probe = Callable[[], Awaitable[bool]]


class Probes:
    """One HTTP client for all questions. Close it when done."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._client = httpx.AsyncClient(timeout=5, trust_env=False)

    async def close(self) -> None:
        await self._client.aclose()

    async def answers(self, part: str) -> bool:
        """Whether a part does its work now."""
        probe: Probe = getattr(self, f"_{part}")
        try:
            return await probe()
        except (httpx.HTTPError, BackendFailure, OSError):
            return False

    async def door_answers(self) -> bool:
        """Whether the platform is reached through the proxy, as people reach it: it asks who that is.

        A Hub that has not given its routes to the proxy yet leads elsewhere, or refuses what is posted to it.
        """
        try:
            answer = await self._client.get(f"{self._plan.public_url}/services/mlplat/v1/me")
        except httpx.HTTPError:
            return False
        return answer.status_code == 401

    async def restore_routes(self) -> bool:
        """Let the Hub give all routes to a proxy that has started empty; whether that was done."""
        try:
            return (await self._hub_request("POST", "/proxy")).status_code == 200
        except httpx.HTTPError:
            return False

    async def is_owner_token(self, token: str) -> bool:
        """Whether the Hub takes this token for the owner's."""
        answer = await self._client.get(f"{self._plan.hub_api_url}/user", headers={"Authorization": f"token {token}"})
        return answer.status_code == 200 and answer.json().get("name") == self._plan.owner

    async def new_owner_token(self) -> str:
        """A token of the owner, who becomes known to the Hub. BackendFailure if the Hub refuses."""
        plan = self._plan
        return await new_token(self._client, plan.hub_api_url, plan.secrets.supervisor_token, plan.owner)

    async def _hub_request(self, method: str, path: str, content: Any = None) -> httpx.Response:
        headers = {"Authorization": f"token {self._plan.secrets.supervisor_token}"}
        return await self._client.request(method, f"{self._plan.hub_api_url}{path}", headers=headers, json=content)

    async def _proxy(self) -> bool:
        headers = {"Authorization": f"token {self._plan.secrets.proxy_token}"}
        url = f"http://127.0.0.1:{self._plan.ports.proxy_api}/api/routes"
        return (await self._client.get(url, headers=headers)).status_code == 200

    async def _hub(self) -> bool:
        return (await self._client.get(self._plan.hub_api_url)).status_code == 200

    async def _platform(self) -> bool:
        return (await self._client.get(f"{self._plan.platform_url}/v1/me")).status_code < 500

    async def _nursery(self) -> bool:
        return bool(await nursery_client.ping(self._plan.folder.nursery_socket))

    async def _gateway(self) -> bool:
        reader, writer = await asyncio.open_connection(self._plan.ssh_address, self._plan.ssh_port)
        try:
            return (await asyncio.wait_for(reader.readline(), 5)).startswith(b"SSH-")
        finally:
            writer.close()

    async def _tunnel(self) -> bool:
        url = f"http://127.0.0.1:{self._plan.ports.tunnel}/"
        return (await self._client.get(url)).status_code == 426

"""What the platform asks of the Hub: servers started, stopped and looked at."""

import asyncio
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx

from jupyter_mlplat.errors import BackendFailure, MlplatError, NotFound

POLL_SECONDS = 0.05
PAGE = 200
PAGINATED = "application/jupyterhub-pagination+json"


class SpawnFailed(MlplatError):
    """The Hub could not start a server; the message says why."""

    code = "MLPLAT.SPAWN_FAILED"


@dataclass(frozen=True)
class HubServer:
    """A named server as the Hub sees it."""

    ready: bool
    pending: str | None
    stopped: bool
    last_activity: datetime | None


class HubClient:
    """The Hub's REST API with the platform's own token. BackendFailure while the Hub does not answer."""

    def __init__(self, api_url: str, token: str, poll_seconds: float = POLL_SECONDS) -> None:
        """`poll_seconds` lie between two looks at a server that starts or stops."""
        self._poll_seconds = poll_seconds
        self._client = httpx.AsyncClient(
            base_url=api_url,
            headers={"Authorization": f"token {token}"},
            timeout=httpx.Timeout(30),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
        )

    async def server(self, user: str, name: str) -> HubServer | None:
        """The server as it is, None where the Hub has none."""
        answer = await self._ask("GET", f"/users/{quote(user)}", params={"include_stopped_servers": "1"})
        if answer.status_code == 404:
            return None
        model = answer.json().get("servers", {}).get(name)
        return _server(model) if model else None

    async def servers(self) -> dict[str, HubServer]:
        """Every server that is up or on its way, by its name (an instance's id), in few requests."""
        found: dict[str, HubServer] = {}
        offset: int | None = 0
        while offset is not None:
            query = {"state": "active", "limit": str(PAGE), "offset": str(offset)}
            answer = await self._ask("GET", "/users", params=query, headers={"Accept": PAGINATED})
            if answer.is_error:
                raise BackendFailure(f"The Hub does not tell its servers: {_reason(answer)}")
            page = answer.json()
            found |= {name: _server(model) for user in page["items"] for name, model in user["servers"].items()}
            offset = (page["_pagination"]["next"] or {}).get("offset")
        return found

    async def start(self, user: str, name: str, permit: str, *, anew: bool = False) -> None:
        """Ask for the server and wait until it answers; SpawnFailed where it does not come up.

        `anew`: one that the Hub takes for running has ended in truth, and is stopped first.
        """
        path = f"/users/{quote(user)}/servers/{quote(name)}"
        answer = await self._ask_for_server(user, path, permit)
        if anew and _is_up(answer):
            await self.stop(user, name)
            answer = await self._ask_for_server(user, path, permit)
        # 201 says that it is up, which is not so after a failed start: there the Hub looks at its record of that one
        if answer.status_code not in (201, 202) and not _already(answer):
            raise SpawnFailed(_reason(answer))
        while not await self._has_come_up(path):
            server = await self.server(user, name)
            if server and server.ready:
                return
            if server is None or not server.pending:
                raise SpawnFailed("The server did not come up; its log (server.log of the instance) says why.")
            await asyncio.sleep(self._poll_seconds)

    async def _ask_for_server(self, user: str, path: str, permit: str) -> httpx.Response:
        answer = await self._ask("POST", path, json={"permit": permit})
        if answer.status_code == 404:
            await self._ensure_user(user)
            answer = await self._ask("POST", path, json={"permit": permit})
        return answer

    async def _has_come_up(self, path: str) -> bool:
        """What the Hub tells at the end of a start, without being asked again and again; False where it tells none."""
        try:
            async with self._client.stream("GET", f"{path}/progress") as answer:
                async for line in answer.aiter_lines():
                    event = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
                    if event.get("failed"):
                        raise SpawnFailed(_why(event))
                    if event.get("ready"):
                        return True
        except httpx.HTTPError as error:
            raise _away(error) from error
        return False

    async def stop(self, user: str, name: str) -> None:
        """Stop the server and wait until it is gone; no server is no error."""
        path = f"/users/{quote(user)}/servers/{quote(name)}"
        while True:
            server = await self.server(user, name)
            if server is None or (server.stopped and not server.pending):
                return
            if server.pending != "stop":
                answer = await self._ask("DELETE", path)
                refused = answer.is_error and answer.status_code not in (400, 404)
                if refused and not await self._is_going(user, name):
                    raise BackendFailure(f"The Hub did not stop the server: {_reason(answer)}")
            await asyncio.sleep(self._poll_seconds)

    async def _is_going(self, user: str, name: str) -> bool:
        """The Hub answers 500 to a stop where the start that it breaks off for it is clearing away by itself."""
        server = await self.server(user, name)
        return server is None or server.stopped or server.pending == "stop"

    async def forget(self, user: str, name: str) -> None:
        """Remove a stopped server from the Hub's records."""
        path = f"/users/{quote(user)}/servers/{quote(name)}"
        await self._ask("DELETE", path, json={"remove": True})

    async def _ensure_user(self, user: str) -> None:
        answer = await self._ask("POST", f"/users/{quote(user)}")
        if answer.status_code not in (201, 409):
            raise NotFound(f"The Hub does not admit a user {user!r}: {_reason(answer)}")

    async def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            answer = await self._client.request(method, path, **options)
        except httpx.HTTPError as error:
            raise _away(error) from error
        if answer.status_code in (429, 502, 503, 504):
            raise BackendFailure("The Hub is busy or being restarted.")
        return answer

    async def close(self) -> None:
        await self._client.aclose()


def _server(model: dict[str, Any]) -> HubServer:
    active = model.get("last_activity")
    return HubServer(
        ready=bool(model.get("ready")),
        pending=model.get("pending"),
        stopped=bool(model.get("stopped")),
        last_activity=datetime.fromisoformat(active.replace("Z", "+00:00")) if active else None,
    )


def _away(error: httpx.HTTPError) -> BackendFailure:
    return BackendFailure(f"The Hub does not answer ({type(error).__name__}).")


def _why(failed: dict[str, Any]) -> str:
    """The reason in an event that tells of a failed start ("Spawn failed: REASON")."""
    return str(failed["message"]).partition(": ")[2] or "The server did not come up."


def _already(answer: httpx.Response) -> bool:
    return _is_up(answer) or (answer.status_code == 400 and "is pending" in answer.text)


def _is_up(answer: httpx.Response) -> bool:
    return answer.status_code == 400 and "already running" in answer.text


def _reason(answer: httpx.Response) -> str:
    try:
        return str(answer.json().get("message", answer.text))
    except ValueError:
        return answer.text[:200]

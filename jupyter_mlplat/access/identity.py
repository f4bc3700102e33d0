"""Who holds a Hub token."""

import asyncio
import re
import time
from dataclasses import dataclass
from typing import Any

import httpx

from jupyter_mlplat.errors import BackendFailure, MlplatError, NotAllowed, NotAuthenticated

SERVICE_SCOPES = frozenset({"access:services", "access:services!service=mlplat"})
_SERVER_SCOPE = re.compile(r"access:servers!server=([^/]+)/(.+)")
CACHE_SECONDS = 5.0
GRACE_SECONDS = 60.0
BUSY_SECONDS = 1.0
"""After which an earlier answer is taken, while the Hub goes on looking for a new one."""
ASK_SECONDS = 30.0


@dataclass(frozen=True)
class Identity:
    """The user of a token; `instance_id` is set where the token is an instance's own."""

    user: str
    instance_id: str | None = None


class HubIdentities:
    """Asks the Hub whose a token is; an answer is good for 5 s, so a revoked token is refused within that time.

    While the Hub does not answer (it is being restarted, or starts very many servers) the last answer is good for 60 s.
    """

    def __init__(self, hub_api_url: str) -> None:
        self._client = httpx.AsyncClient(base_url=hub_api_url, timeout=ASK_SECONDS)
        self._known: dict[str, tuple[float, Identity]] = {}
        self._asking: dict[str, asyncio.Future[Identity]] = {}

    async def of_token(self, token: str) -> Identity:
        """The identity behind `token`; NotAuthenticated where the Hub knows none."""
        now = time.monotonic()
        self._known = {key: value for key, value in self._known.items() if now - value[0] < GRACE_SECONDS}
        asked, identity = self._known.get(token, (0.0, None))
        if identity is not None and now - asked < CACHE_SECONDS:
            return identity
        asking = self._asked_once(token, identity)
        await asyncio.wait({asking}, timeout=None if identity is None else BUSY_SECONDS)
        return asking.result() if identity is None or asking.done() else identity

    def _asked_once(self, token: str, before: Identity | None) -> asyncio.Future[Identity]:
        """However many requests come with one token at once, the Hub is asked once."""
        if token not in self._asking:
            self._asking[token] = asyncio.ensure_future(self._identify(token, before))
            self._asking[token].add_done_callback(lambda asked: self._answered(token, asked))
        return self._asking[token]

    def _answered(self, token: str, asked: asyncio.Future[Identity]) -> None:
        self._asking.pop(token)
        if not asked.cancelled():
            asked.exception()  # that nobody waits for it any more is no trouble

    async def _identify(self, token: str, identity: Identity | None) -> Identity:
        now = time.monotonic()
        try:
            identity = read_identity(await self._ask(token))
        except BackendFailure:
            if identity is None:
                raise
            return identity
        except MlplatError:
            self._known.pop(token, None)
            raise
        self._known[token] = (now, identity)
        return identity

    async def _ask(self, token: str) -> dict[str, Any]:
        try:
            answer = await self._client.get("/user", headers={"Authorization": f"token {token}"})
        except httpx.HTTPError as error:
            raise BackendFailure("The Hub does not answer, so nobody can be identified. Try again soon.") from error
        if answer.status_code in (401, 403, 404):
            raise NotAuthenticated("The token is unknown or no longer valid. Sign in again or make a new token.")
        if answer.is_error:
            raise BackendFailure("The Hub cannot say whose token this is just now. Try again soon.")
        return dict(answer.json())

    async def close(self) -> None:
        await self._client.aclose()


def read_identity(model: dict[str, Any]) -> Identity:
    """The identity in the Hub's answer to `GET /user`. A token that may reach one server only is that instance's."""
    if model.get("kind") != "user":
        raise NotAllowed("Only tokens of users and of their instances may be used here.")
    scopes = set(model.get("scopes", []))
    if not scopes & SERVICE_SCOPES:
        raise NotAllowed("This token may not use the platform: it lacks the scope access:services!service=mlplat.")
    servers = {match.group(2) for scope in scopes if (match := _SERVER_SCOPE.fullmatch(scope))}
    every_server = any(re.fullmatch(r"access:servers(!user=.*)?", scope) for scope in scopes)
    if every_server:
        return Identity(model["name"])
    if len(servers) != 1:
        raise NotAllowed("This token belongs neither to a user's login nor to one instance. Make a new token.")
    return Identity(model["name"], servers.pop())

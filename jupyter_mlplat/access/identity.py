"""Who holds a Hub token."""

import re
from dataclasses import dataclass
from typing import Any

import httpx

from jupyter_mlplat.access.answers import Answers
from jupyter_mlplat.errors import BackendFailure, NotAllowed, NotAuthenticated

SERVICE_SCOPES = frozenset({"access:services", "access:services!service=mlplat"})
_SERVER_SCOPE = re.compile(r"access:servers!server=([^/]+)/(.+)")
CACHE_SECONDS = 5.0
GRACE_SECONDS = 60.0
ASK_SECONDS = 30.0


@dataclass(frozen=True)
class Identity:
    """The user of a token; `instance_id` is set where the token is an instance's own."""

    user: str
    instance_id: str | None = None


class HubIdentities:
    """Asks the Hub whose a token is; an answer is good for 5 s, so a revoked token is refused within that time.

    While the Hub does not answer the last answer is good for 60 s.
    """

    def __init__(self, hub_api_url: str) -> None:
        self._client = httpx.AsyncClient(base_url=hub_api_url, timeout=ASK_SECONDS)
        self.answers = Answers(self._identify, fresh=CACHE_SECONDS, holds=GRACE_SECONDS)

    async def of_token(self, token: str) -> Identity:
        """The identity behind `token`; NotAuthenticated where the Hub knows none."""
        return await self.answers.of(token)

    async def _identify(self, token: str) -> Identity:
        return read_identity(await self._ask(token))

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

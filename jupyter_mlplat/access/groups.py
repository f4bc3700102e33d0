"""Which groups of the Hub people are in."""

import asyncio
import logging
import time
from collections.abc import Iterable
from typing import Protocol
from urllib.parse import quote

import httpx

from jupyter_mlplat.errors import InvalidInput

log = logging.getLogger(__name__)

CACHE_SECONDS = 15.0
ASK_SECONDS = 10.0


class Groups(Protocol):
    """Says which groups a user is in."""

    async def of(self, user: str) -> frozenset[str]: ...
    async def close(self) -> None: ...


class HubGroups:
    """Asks the Hub; an answer is good for 15 s, so who leaves a group loses what was shared with it within that time.

    While the Hub does not answer the last answer holds; of whom it never told anything, nobody is in a group.
    """

    def __init__(self, hub_api_url: str, token: str) -> None:
        headers = {"Authorization": f"token {token}"}
        self._client = httpx.AsyncClient(base_url=hub_api_url, headers=headers, timeout=ASK_SECONDS)
        self._known: dict[str, tuple[float, asyncio.Future[frozenset[str]]]] = {}

    async def of(self, user: str) -> frozenset[str]:
        now = time.monotonic()
        asked, answer = self._known.get(user, (now, None))
        if answer is None or now - asked > CACHE_SECONDS:
            before = answer.result() if answer and answer.done() else frozenset()
            answer = asyncio.ensure_future(self._answer(user, before))
            self._known[user] = (now, answer)
        return await asyncio.shield(answer)

    async def _answer(self, user: str, before: frozenset[str]) -> frozenset[str]:
        try:
            return await self._ask(user)
        except (httpx.HTTPError, ValueError) as error:
            log.warning("the Hub does not say which groups %s is in: %s", user, error)
            return before

    async def _ask(self, user: str) -> frozenset[str]:
        answer = await self._client.get(f"/users/{quote(user, safe='')}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return frozenset()
        return frozenset(answer.raise_for_status().json().get("groups", []))

    async def close(self) -> None:
        await self._client.aclose()


def check_own(wanted: Iterable[str], own: frozenset[str], owner: str) -> None:
    """InvalidInput where one shares with a group that one is not in, which may be a slip of the pen."""
    if strange := sorted(set(wanted) - own):
        known = f"The groups of {owner} are: {', '.join(sorted(own))}." if own else f"{owner} is in no group."
        raise InvalidInput(f"{owner} is not in the group {strange[0]}. {known}")

"""Which groups of the Hub people are in."""

import asyncio
import math
from abc import ABC, abstractmethod
from collections.abc import Collection
from urllib.parse import quote

import httpx

from jupyter_mlplat.access.answers import Answers
from jupyter_mlplat.errors import BackendFailure, InvalidInput

CACHE_SECONDS = 15.0
ASK_SECONDS = 10.0
LOOK_SECONDS = 2.0


class Groups(ABC):
    """Says which groups users are in."""

    @abstractmethod
    async def of(self, user: str) -> frozenset[str]:
        """All of them; BackendFailure where nobody can say."""

    async def known(self, user: str) -> frozenset[str]:
        """The same for who only looks and is not to wait: where nobody can say by now, none."""
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                return await self.of(user)
        except (BackendFailure, TimeoutError):
            return frozenset()

    @abstractmethod
    async def close(self) -> None: ...


class HubGroups(Groups):
    """Asks the Hub; an answer is good for 15 s, so who leaves a group loses what was shared with it within that time.

    While the Hub does not answer the last answer holds.
    """

    def __init__(self, hub_api_url: str, token: str) -> None:
        headers = {"Authorization": f"token {token}"}
        self._client = httpx.AsyncClient(base_url=hub_api_url, headers=headers, timeout=ASK_SECONDS)
        self.answers = Answers(self._ask, fresh=CACHE_SECONDS, holds=math.inf)

    async def of(self, user: str) -> frozenset[str]:
        return await self.answers.of(user)

    async def _ask(self, user: str) -> frozenset[str]:
        try:
            answer = await self._client.get(f"/users/{quote(user, safe='')}")
        except httpx.HTTPError as error:
            raise BackendFailure("The Hub does not answer, so nobody knows your groups. Try again soon.") from error
        if answer.status_code == httpx.codes.NOT_FOUND:
            return frozenset()
        if answer.is_error:
            raise BackendFailure("The Hub cannot say just now which groups you are in. Try again soon.")
        return frozenset(answer.json().get("groups") or [])

    async def close(self) -> None:
        await self._client.aclose()


async def check_own(groups: Groups, owner: str, wanted: Collection[str]) -> None:
    """InvalidInput where one shares with a group that one is not in, which may be a slip of the pen."""
    own = await groups.of(owner) if wanted else frozenset()
    if strange := sorted(set(wanted) - own):
        known = f"The groups of {owner} are: {', '.join(sorted(own))}." if own else f"{owner} is in no group."
        raise InvalidInput(f"{owner} is not in the group {strange[0]}. {known}")

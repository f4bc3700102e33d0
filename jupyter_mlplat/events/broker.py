"""Word of a change to everybody in this process who waits for one, and what is to be told to other replicas."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Touch = tuple[str, str]
"""(noun, resource id) of something whose progress moved without an event of its own."""

OwnersTouch = tuple[str, str, str]
"""(owner, noun, resource id)."""


@dataclass(eq=False)
class Subscription:
    """One waiter. With an `owner` it is told of what happened to the things of that user; without, of each commit."""

    owner: str | None = None
    touches: dict[Touch, None] = field(default_factory=dict)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self, seconds: float | None = None) -> None:
        """Until something changed, but at most `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    def wake(self) -> None:
        self._wake.set()

    def take_touches(self) -> list[Touch]:
        touches = list(self.touches)
        self.touches.clear()
        return touches


class Broker:
    """Wakes who waits for commits, and the streams of those to whom something happened; passes touches on."""

    def __init__(self) -> None:
        self._subscriptions: dict[str | None, set[Subscription]] = {}
        self._touches: dict[OwnersTouch, None] = {}
        self._touched = asyncio.Event()

    @contextmanager
    def subscribe(self, owner: str | None = None) -> Iterator[Subscription]:
        subscription = Subscription(owner)
        self._subscriptions.setdefault(owner, set()).add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions[owner].discard(subscription)
            if not self._subscriptions[owner]:
                del self._subscriptions[owner]

    def committed(self) -> None:
        """A transaction went through, here or in another replica."""
        self._wake(None)

    def happened(self, owners: Iterable[str]) -> None:
        """There are events of these users' things."""
        for owner in owners:
            self._wake(owner)

    def missed(self) -> None:
        """Word from other replicas may have been lost: everybody looks again."""
        for owner in list(self._subscriptions):
            self._wake(owner)

    def touch(self, owner: str, noun: str, resource_id: str) -> None:
        """Progress of something; other replicas are told of it too."""
        self.touched([(owner, noun, resource_id)])
        self._touches[owner, noun, resource_id] = None
        self._touched.set()

    def touched(self, touches: Iterable[OwnersTouch]) -> None:
        """Progress that was made here or in another replica."""
        for owner, noun, resource_id in touches:
            for subscription in self._subscriptions.get(owner, ()):
                subscription.touches[noun, resource_id] = None
                subscription.wake()

    async def touches_to_tell(self, seconds: float) -> list[OwnersTouch]:
        """What other replicas are to be told of, each thing once; none after `seconds` without any."""
        try:
            async with asyncio.timeout(seconds):
                await self._touched.wait()
        except TimeoutError:
            return []
        self._touched.clear()
        touches = list(self._touches)
        self._touches.clear()
        return touches

    def _wake(self, owner: str | None) -> None:
        for subscription in self._subscriptions.get(owner, ()):
            subscription.wake()

"""Word of a change to everybody in this process who waits for one."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Touch = tuple[str, str]
"""(noun, resource id) of something whose progress moved without an event of its own."""


@dataclass(eq=False)
class Subscription:
    """One waiter. `owner` limits the touches it is told of; None is told of none."""

    owner: str | None = None
    touches: dict[Touch, None] = field(default_factory=dict)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self, seconds: float) -> None:
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
    """Wakes subscribers after commits; passes touches to the subscribers of their owner."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()

    @contextmanager
    def subscribe(self, owner: str | None = None) -> Iterator[Subscription]:
        subscription = Subscription(owner)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    def committed(self) -> None:
        for subscription in self._subscriptions:
            subscription.wake()

    def touch(self, owner: str, noun: str, resource_id: str) -> None:
        for subscription in self._subscriptions:
            if subscription.owner == owner:
                subscription.touches[noun, resource_id] = None
                subscription.wake()

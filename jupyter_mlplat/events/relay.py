"""Carries word between the replicas of a platform: of each commit, and of progress that has no event.

PostgreSQL sends word of a commit to all who listen in the moment in which it can be seen (`db.postgresql.begin`). Word
that gets lost with a connection costs seconds at most: whoever waits for it also looks from time to time.
"""

import asyncio
import json
import logging
from collections.abc import Iterator, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from jupyter_mlplat.db.engine import Database
from jupyter_mlplat.db.postgresql import CHANNEL, look_alive, send
from jupyter_mlplat.events.broker import Broker, OwnersTouch

log = logging.getLogger(__name__)

TOUCHES = "mlplat_touches"
AT_ONCE = 50
"""Touches in one message, which may have 8,000 bytes."""
RETRY_SECONDS = 1.0
SIGN_OF_LIFE_SECONDS = 5.0
GATHER_SECONDS = 0.2


class Relay:
    """Listens to the other replicas, and tells them of progress. SQLite has no other replicas."""

    def __init__(self, database: Database, broker: Broker) -> None:
        self._database = database
        self._broker = broker

    async def run(self) -> None:
        """Until cancelled."""
        while self._database.postgresql:
            try:
                await self._listen()
            except Exception as error:
                log.warning("word of other replicas is not heard for a moment: %s", error)
            await asyncio.sleep(RETRY_SECONDS)

    async def _listen(self) -> None:
        async with self._database.listening({CHANNEL: self._commit, TOUCHES: self._touches}) as connection:
            self._broker.missed()
            while True:
                await self._tell(connection)

    async def _tell(self, connection: AsyncConnection) -> None:
        touches = await self._broker.touches_to_tell(SIGN_OF_LIFE_SECONDS)
        for words in messages(self._database.replica, touches):
            await send(connection, TOUCHES, words)
        if not touches:
            await look_alive(connection)
        await asyncio.sleep(GATHER_SECONDS)

    def _commit(self, replica: str) -> None:
        if replica != self._database.replica:
            self._broker.committed()

    def _touches(self, words: str) -> None:
        replica, touches = read_message(words)
        if replica != self._database.replica:
            self._broker.touched(touches)


def messages(replica: str, touches: Sequence[OwnersTouch]) -> Iterator[str]:
    """What a replica has to tell, in pieces that PostgreSQL can carry."""
    for start in range(0, len(touches), AT_ONCE):
        yield json.dumps([replica, touches[start : start + AT_ONCE]])


def read_message(words: str) -> tuple[str, list[OwnersTouch]]:
    """The replica, and what it tells of."""
    replica, touches = json.loads(words)
    return replica, [(owner, noun, resource_id) for owner, noun, resource_id in touches]

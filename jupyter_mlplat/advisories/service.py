"""What people may ask of advisories."""

import asyncio
from collections.abc import AsyncIterable

from pydantic import ValidationError

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.access.permissions import require
from jupyter_mlplat.advisories import store
from jupyter_mlplat.advisories.models import Advisory, AdvisoryStatus
from jupyter_mlplat.audit import store as audit
from jupyter_mlplat.core.text import describe
from jupyter_mlplat.db.engine import Database
from jupyter_mlplat.errors import InvalidInput, TooLarge

MOST_BYTES = 64 * 1024**2


async def status(actor: Actor, database: Database) -> AdvisoryStatus:
    """How many the platform knows."""
    require(actor, "advisory:read", owner=actor.user)
    async with database.read() as session:
        return await store.status(session)


async def replace(actor: Actor, database: Database, lines: AsyncIterable[bytes]) -> AdvisoryStatus:
    """Know these, as lines of JSON, in place of all earlier ones; all of them or none."""
    require(actor, "advisory:replace", owner=actor.user)
    found = await asyncio.to_thread(_parsed, await _whole(lines))
    async with database.transaction() as session:
        await store.replace(session, found)
        audit.record(session, actor, "advisory:replace", resource_id="", owner=actor.user,
                     detail=f"{len(found):,} advisories")  # fmt: skip
        return await store.status(session)


async def _whole(pieces: AsyncIterable[bytes]) -> bytes:
    body = bytearray()
    async for piece in pieces:
        body += piece
        if len(body) > MOST_BYTES:
            raise TooLarge(f"Advisories may take {MOST_BYTES:,} bytes: give those of the ecosystem PyPI alone.")
    return bytes(body)


def _parsed(body: bytes) -> list[Advisory]:
    found = []
    for number, line in enumerate(body.splitlines(), start=1):
        try:
            found.append(Advisory.model_validate_json(line))
        except ValidationError as error:
            raise InvalidInput(f"Line {number} is no advisory: {describe(error.errors())}") from error
    if not found:
        raise InvalidInput("There is no advisory in this: send one JSON object in each line.")
    return found

"""Sends a file to the platform, piece by piece."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

from jupyter_mlplat.errors import Conflict
from jupyter_mlplat.server_extension.platform import Answer, open_exchange, refusal

_PIECE_BYTES = 2**20


async def send_file(path: Path, resource: str) -> None:
    """PUT a file's content to `resource` (quoted, below /v1). Conflict where the file is cut short meanwhile."""
    answer = Answer()
    with await asyncio.to_thread(path.open, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        exchange = await open_exchange("PUT", resource, answer, length=size)
        try:
            async for piece in _pieces(file, size):
                await exchange.write(piece)
            exchange.end_request()
            await exchange.done()
        finally:
            exchange.close()
    if answer.status >= 400:
        raise refusal(answer.status, answer.body)


async def _pieces(file: BinaryIO, left: int) -> AsyncIterator[bytes]:
    while left:
        piece = await asyncio.to_thread(file.read, min(left, _PIECE_BYTES))
        if not piece:
            raise Conflict(f"{Path(file.name).name} was cut short while it was sent. Start again.")
        left -= len(piece)
        yield piece

"""The web server of our processes."""

import asyncio
import gc
import sys
from contextlib import suppress
from types import FrameType
from typing import Any

import uvicorn


class Server(uvicorn.Server):
    """Sleeps until something is asked of it, where uvicorn looks ten times a second whether it is to end.

    The answers carry no Date for that reason; the proxy adds it.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._told = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        # What was made until now stays: no collection goes through it again.
        gc.collect()
        gc.freeze()
        if not await self.on_tick(0):
            await self._told.wait()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._told.set)


def serve(app: Any, **settings: Any) -> None:
    """Serve until told to stop by SIGTERM or SIGINT; the settings are uvicorn's. Ends with code 3 where it cannot."""
    server = Server(uvicorn.Config(app, date_header=False, **settings))
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(3)

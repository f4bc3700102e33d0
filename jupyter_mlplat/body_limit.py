"""A limit on the bodies that the platform holds in memory."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jupyter_mlplat.errors import TooLarge

BODY_BYTES = 2 * 1024**2


class BodyLimit:
    """Refuses what is larger than BODY_BYTES in requests other than PUT: those are uploads, which go to the disk."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] == "PUT":
            await self._app(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > BODY_BYTES:
                while message.get("more_body"):  # most clients hear nothing before they have said all
                    message = await receive()
                words = f"The body of a request may have {BODY_BYTES:,} bytes. Put data into a job's folder or storage."
                # FastAPI passes on this kind of error alone while it reads a body
                raise HTTPException(TooLarge.status, words)
            return message

        await self._app(scope, counted, send)

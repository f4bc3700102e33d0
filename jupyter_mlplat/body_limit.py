"""A limit on the bodies that the platform holds in memory."""

import re

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jupyter_mlplat.errors import TooLarge

BODY_BYTES = 2 * 1024**2
UPLOADS = re.compile(
    r".*/v1/(storage/objects/.+|bundles/[^/]+|advisories|internal/jobs/[^/]+/nodes/.+|internal/builds/[^/]+/.+)"
)
"""Where what is PUT goes to the disk as it comes."""


class BodyLimit:
    """Refuses requests whose body is larger than BODY_BYTES, but for uploads."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (scope["method"] == "PUT" and UPLOADS.fullmatch(scope["path"])):
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

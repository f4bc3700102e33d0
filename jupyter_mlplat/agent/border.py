"""What the HTTP servers on nodes share: requests are small, and refusals have the code of an error."""

from starlette.requests import Request
from starlette.responses import JSONResponse

from jupyter_mlplat.errors import MlplatError, TooLarge

BODY_LIMIT = 2 << 20


async def body_of(request: Request, who: str) -> bytes:
    """The body of a request to `who`; TooLarge as soon as it is."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > BODY_LIMIT:
            raise TooLarge(f"The request to the {who} is too large.")
    return body


def refusal(error: MlplatError) -> JSONResponse:
    return JSONResponse({"error_code": error.code, "error_msg": error.message}, error.status)

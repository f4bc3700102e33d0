"""REST for the pod of a build. It brings the token of its build; no one else's is good here."""

from contextlib import AsyncExitStack
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from jupyter_mlplat.backends.imaging import BuildDoor
from jupyter_mlplat.core.models import Digest, Word
from jupyter_mlplat.errors import NotAuthenticated, TooLarge
from jupyter_mlplat.http import Parts
from jupyter_mlplat.jobs.models import Stored
from jupyter_mlplat.storage.opened import OpenedFile
from jupyter_mlplat.storage.routes import Range
from jupyter_mlplat.storage.sending import BINARY, send

router = APIRouter(prefix="/internal/builds/{image_id}", tags=["internal"], include_in_schema=False)

PIECE_BYTES = 8 * 1024**2
"""A piece of the log, or what came of the build, may be so large."""


async def let_in(request: Request, parts: Parts, image_id: str) -> BuildDoor:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme != "job":
        raise NotAuthenticated("Only the pod of a build may ask this.")
    return await parts.images.builds.door(image_id, token)


Door = Annotated[BuildDoor, Depends(let_in)]
Pod = Annotated[Word, Query(description="The pod's uid")]


@router.post("/begin")
async def begin(door: Door, pod: Pod) -> dict[str, Any]:
    return await door.begin(pod)


@router.get("/bundle", response_class=Response)
async def get_bundle(door: Door, range: Range = None) -> Response:
    return send(OpenedFile(await door.bundle(), "The files of the build are gone."), range)


@router.get("/bases/{number}/blobs/{digest}", response_class=Response)
async def get_base_blob(door: Door, number: int, digest: Digest) -> Response:
    """A blob of an image below, straight from the registry."""
    async with AsyncExitStack() as opening:
        size, pieces = await opening.enter_async_context(door.base_blob(number, digest))
        opened = opening.pop_all()

    async def sent() -> Any:
        async with opened:
            async for piece in pieces:
                yield piece

    return StreamingResponse(sent(), headers={"Content-Length": str(size)}, media_type=BINARY)


@router.put("/log")
async def append(door: Door, pod: Pod, offset: Annotated[int, Query(ge=0, le=2**53)], request: Request) -> Stored:
    """Add to the log; the answer says from where on to send."""
    return Stored(size=await door.append(pod, offset, await _small(request)))


@router.put("/layers/{digest}", status_code=204)
async def put_layer(door: Door, pod: Pod, digest: Digest, request: Request) -> None:
    await door.put_layer(pod, digest, request.stream())


@router.put("/end", status_code=204)
async def end(door: Door, pod: Pod, request: Request) -> None:
    await door.end(pod, await _small(request))


async def _small(request: Request) -> bytes:
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > PIECE_BYTES:
            raise TooLarge(f"A piece may have {PIECE_BYTES:,} bytes.")
    return bytes(content)

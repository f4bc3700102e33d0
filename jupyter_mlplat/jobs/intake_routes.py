"""REST for jobs themselves, and for their pods on a cluster.

Each brings the token of its job and attempt; no one else's is good here."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from jupyter_mlplat.core.models import Word
from jupyter_mlplat.errors import NotAuthenticated, TooLarge
from jupyter_mlplat.http import Parts
from jupyter_mlplat.jobs.delivery import Stream
from jupyter_mlplat.jobs.intake import Intake
from jupyter_mlplat.jobs.lookup import REFUSED
from jupyter_mlplat.jobs.models import Beginning, BucketAsked, Stored
from jupyter_mlplat.storage.endpoint_models import Credentials
from jupyter_mlplat.storage.routes import Range
from jupyter_mlplat.storage.sending import send

router = APIRouter(prefix="/internal/jobs/{job_id}", tags=["internal"], include_in_schema=False)

PIECE_BYTES = 4 * 1024**2
"""A piece of a stream, or a state, may be so large."""


async def let_in(request: Request, parts: Parts, job_id: str) -> Intake:
    return await parts.jobs.intake.of(job_id, _token(request))


Door = Annotated[Intake, Depends(let_in)]
Pod = Annotated[Word, Query(description="The pod's uid")]


@router.post("/credentials")
async def credentials(
    request: Request, response: Response, parts: Parts, job_id: str, asked: BucketAsked
) -> Credentials:
    """Keys for the endpoint of one of the job's buckets."""
    response.headers["Cache-Control"] = "no-store"
    return await parts.jobs.credentials.of(job_id, _token(request), asked.bucket)


@router.post("/nodes/{node}/begin")
async def begin(door: Door, node: int, pod: Pod) -> Beginning:
    return await door.begin(node, pod)


@router.get("/bundle", response_class=Response)
async def get_bundle(door: Door, range: Range = None) -> Response:
    return send(await door.bundle(), range)


@router.get("/inputs/{name}/{path:path}", response_class=Response)
async def get_input(door: Door, name: str, path: str, range: Range = None) -> Response:
    return send(await door.input(name, path), range)


@router.get("/outputs/{path:path}", response_class=Response)
async def get_output(door: Door, path: str, range: Range = None) -> Response:
    return send(await door.output(path), range)


@router.get("/nodes/{node}/log", response_class=Response)
async def get_log(door: Door, node: int, range: Range = None) -> Response:
    return send(await door.log(node), range)


@router.put("/nodes/{node}/streams/{stream}")
async def append(
    door: Door, node: int, stream: Stream, pod: Pod, offset: Annotated[int, Query(ge=0, le=2**53)], request: Request
) -> Stored:
    """Add to a log or to metrics; the answer says from where on to send."""
    return Stored(size=await door.append(node, pod, stream, offset, await _small(request)))


@router.put("/nodes/{node}/state", status_code=204)
async def put_state(door: Door, node: int, pod: Pod, request: Request) -> None:
    await door.put_state(node, pod, await _small(request))


@router.put("/nodes/{node}/notebook", status_code=204)
async def put_notebook(door: Door, node: int, pod: Pod, request: Request) -> None:
    await door.put_notebook(node, pod, request.stream())


@router.put("/nodes/{node}/outputs/{path:path}", status_code=204)
async def put_output(door: Door, node: int, path: str, pod: Pod, request: Request) -> None:
    await door.put_output(node, pod, path, request.stream())


@router.post("/nodes/{node}/end", status_code=204)
async def end(door: Door, node: int, pod: Pod) -> None:
    await door.end(node, pod)


def _token(request: Request) -> str:
    """Of `Authorization: job TOKEN`."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme != "job":
        raise NotAuthenticated(REFUSED)
    return token


async def _small(request: Request) -> bytes:
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > PIECE_BYTES:
            raise TooLarge(f"A piece may have {PIECE_BYTES:,} bytes.")
    return bytes(content)

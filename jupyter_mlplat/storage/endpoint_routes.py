"""REST of storage endpoints."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from jupyter_mlplat.http import Caller, Parts
from jupyter_mlplat.storage.endpoint_models import (
    BucketPlace,
    Credentials,
    CredentialsAsked,
    EndpointAdd,
    EndpointChange,
)
from jupyter_mlplat.storage.models import Endpoint

router = APIRouter(prefix="/storage", tags=["storage"])

Name = Annotated[str, Path(max_length=400)]


@router.get("/endpoints", operation_id="list_endpoints")
async def list_endpoints(actor: Caller, parts: Parts) -> list[Endpoint]:
    """The caller's endpoints and those shared with them, with their buckets, the built-in one first."""
    return await parts.endpoints.find(actor)


@router.post("/endpoints", status_code=201, operation_id="add_endpoint")
async def add_endpoint(actor: Caller, parts: Parts, wanted: EndpointAdd) -> Endpoint:
    """Add an endpoint and test it; its `state` says how that went."""
    return await parts.endpoints.add(actor, wanted)


@router.get("/endpoints/{name}", operation_id="get_endpoint")
async def get_endpoint(actor: Caller, parts: Parts, name: Name) -> Endpoint:
    return await parts.endpoints.get(actor, name)


@router.patch("/endpoints/{name}", operation_id="change_endpoint")
async def change_endpoint(actor: Caller, parts: Parts, name: Name, wanted: EndpointChange) -> Endpoint:
    """Change what is given; new keys are tried first, and refused where they do not work."""
    return await parts.endpoints.change(actor, name, wanted)


@router.delete("/endpoints/{name}", status_code=204, operation_id="remove_endpoint")
async def remove_endpoint(actor: Caller, parts: Parts, name: Name) -> Response:
    """Forget an endpoint and its keys; what is in its buckets stays."""
    await parts.endpoints.remove(actor, name)
    return Response(status_code=204)


@router.post("/endpoints/{name}/test", operation_id="test_endpoint")
async def test_endpoint(actor: Caller, parts: Parts, name: Name) -> Endpoint:
    """Ask it for a listing; `state` and `message` say how that went."""
    return await parts.endpoints.test(actor, name)


@router.get("/buckets/{bucket}", operation_id="find_bucket")
async def find_bucket(actor: Caller, parts: Parts, bucket: Name) -> BucketPlace:
    """The endpoint that obs://BUCKET/… means."""
    return await parts.access.place(actor, bucket)


@router.post("/credentials", operation_id="get_credentials")
async def get_credentials(actor: Caller, parts: Parts, asked: CredentialsAsked, response: Response) -> Credentials:
    """How to reach an endpoint, with keys that end: ask again before they do."""
    response.headers["Cache-Control"] = "no-store"
    return await parts.access.credentials(actor, asked)

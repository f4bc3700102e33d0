"""REST of object storage."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request, Response

from jupyter_mlplat.core.models import Problem
from jupyter_mlplat.http import Caller, Parts
from jupyter_mlplat.storage.models import Deleted, Endpoint, Listing, ObjectInfo
from jupyter_mlplat.storage.sending import BINARY, send

router = APIRouter(prefix="/storage", tags=["storage"])

_BYTES: dict[str, Any] = {"content": {BINARY: {"schema": {"type": "string", "format": "binary"}}}}
FILE: dict[int | str, dict[str, Any]] = {
    200: _BYTES | {"description": "The whole file"},
    206: _BYTES | {"description": "The range that was asked for"},
    416: {"model": Problem, "description": "The range begins after the end"},
}
"""The answers of a route that sends a file."""

UPLOAD: dict[str, Any] = {"requestBody": {"required": True} | _BYTES}
"""The body of a route that takes a file."""

ObjectPath = Annotated[str, Path(description="BUCKET/KEY")]
Range = Annotated[str | None, Header(description="bytes=FIRST-LAST")]


@router.get("/objects", operation_id="list_objects")
async def list_objects(
    actor: Caller,
    parts: Parts,
    prefix: Annotated[str, Query(max_length=2048, description="BUCKET/…; empty lists the buckets")] = "",
    recursive: bool = False,
    limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
    marker: Annotated[str | None, Query(max_length=2048, description="`next` of the page before")] = None,
) -> Listing:
    """One page of a listing, in the order of the keys."""
    return await parts.storage.list(actor, prefix, recursive=recursive, limit=limit, marker=marker)


@router.get("/objects/{path:path}", operation_id="get_object", response_class=Response, responses=FILE)
async def get_object(actor: Caller, parts: Parts, path: ObjectPath, range: Range = None) -> Response:
    return send(await parts.storage.open(actor, path), range)


@router.head("/objects/{path:path}", operation_id="stat_object", response_class=Response)
async def stat_object(actor: Caller, parts: Parts, path: ObjectPath) -> Response:
    """Size and time of an object, in the headers."""
    return send(await parts.storage.open(actor, path), None, head=True)


@router.put("/objects/{path:path}", status_code=201, operation_id="put_object", openapi_extra=UPLOAD)
async def put_object(actor: Caller, parts: Parts, path: ObjectPath, request: Request) -> ObjectInfo:
    """Write an object; readers see the old one until the new one is whole."""
    return await parts.storage.put(actor, path, request.stream())


@router.delete("/objects/{path:path}", operation_id="delete_object")
async def delete_object(actor: Caller, parts: Parts, path: ObjectPath, recursive: bool = False) -> Deleted:
    """Delete one object; with `recursive` every object whose BUCKET/KEY begins with the path."""
    if recursive:
        return await parts.storage.delete_below(actor, path)
    return await parts.storage.delete(actor, path)


@router.put("/buckets/{bucket}", status_code=201, operation_id="make_bucket")
async def make_bucket(actor: Caller, parts: Parts, bucket: str) -> Endpoint:
    """Make a bucket; the endpoint with it."""
    return await parts.storage.make_bucket(actor, bucket)


@router.delete("/buckets/{bucket}", operation_id="remove_bucket")
async def remove_bucket(actor: Caller, parts: Parts, bucket: str) -> Endpoint:
    """Remove an empty bucket; the endpoint without it."""
    return await parts.storage.remove_bucket(actor, bucket)

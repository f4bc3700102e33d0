"""Pages of storage: the endpoints with their buckets, and the dialogs that change one."""

from fastapi import APIRouter, Request, Response

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.console.guard import PageRoute
from jupyter_mlplat.console.render import page
from jupyter_mlplat.http import Caller, Parts, Services

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/storage")
async def storage(request: Request, actor: Caller, parts: Parts) -> Response:
    return page(request, "storage.html", endpoints=await parts.endpoints.find(actor))


@router.get("/storage/new")
async def new_endpoint(request: Request, _actor: Caller) -> Response:
    return page(request, "endpoint_new.html")


@router.get("/storage/{name}/rotate")
async def rotate_endpoint(request: Request, actor: Caller, parts: Parts, name: str) -> Response:
    return await _dialog(request, actor, parts, name, "endpoint_rotate.html")


@router.get("/storage/{name}/change")
async def change_endpoint(request: Request, actor: Caller, parts: Parts, name: str) -> Response:
    endpoint = await parts.endpoints.get(actor, name)
    groups = {*endpoint.groups, *await parts.groups.known(actor.user)}
    return page(request, "endpoint_change.html", endpoint=endpoint, groups=sorted(groups))


@router.get("/storage/{name}/remove")
async def remove_endpoint(request: Request, actor: Caller, parts: Parts, name: str) -> Response:
    return await _dialog(request, actor, parts, name, "endpoint_remove.html")


async def _dialog(request: Request, actor: Actor, parts: Services, name: str, template: str) -> Response:
    return page(request, template, endpoint=await parts.endpoints.get(actor, name))

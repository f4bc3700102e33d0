"""The page of SSH keys, and its dialogs."""

from fastapi import APIRouter, Request, Response

from jupyter_mlplat.console.guard import PageRoute
from jupyter_mlplat.console.render import page
from jupyter_mlplat.errors import NotFound
from jupyter_mlplat.http import Caller, Parts

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/keys")
async def keys(request: Request, actor: Caller, parts: Parts) -> Response:
    """The user's keys, and how the gateway is known again."""
    return page(request, "keys.html", keys=await parts.ssh.keys(actor), gateway=parts.ssh.gateway(actor))


@router.get("/keys/add")
async def add_key(request: Request, actor: Caller) -> Response:
    return page(request, "key_add.html")


@router.get("/keys/make")
async def make_key(request: Request, actor: Caller) -> Response:
    return page(request, "key_make.html")


@router.get("/keys/{key_id}/remove")
async def remove_key(request: Request, actor: Caller, parts: Parts, key_id: str) -> Response:
    found = next((key for key in await parts.ssh.keys(actor) if key.id == key_id), None)
    if found is None:
        raise NotFound(f"There is no SSH key {key_id!r}.")
    return page(request, "key_remove.html", key=found)

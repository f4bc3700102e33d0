"""The page of storage: which buckets there are, and where to work with them."""

from fastapi import APIRouter, Request, Response

from jupyter_mlplat.console.guard import PageRoute
from jupyter_mlplat.console.render import page
from jupyter_mlplat.http import Caller, Parts

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/storage")
async def storage(request: Request, actor: Caller, parts: Parts) -> Response:
    return page(request, "storage.html", endpoints=await parts.storage.endpoints(actor))

"""Pages of images: the catalogue, one image with its packages, and the dialog that deletes one."""

from fastapi import APIRouter, Request, Response

from jupyter_mlplat.access.permissions import allowed
from jupyter_mlplat.console.guard import PageRoute
from jupyter_mlplat.console.render import page
from jupyter_mlplat.http import Caller, Parts
from jupyter_mlplat.images.models import ImageFilter

router = APIRouter(route_class=PageRoute, include_in_schema=False)

MANY = 500


@router.get("/images")
async def images(request: Request, actor: Caller, parts: Parts, name: str = "") -> Response:
    found = await parts.images.find(actor, ImageFilter(limit=MANY, name=name[:200] or None))
    mine = {image.id for image in found.data if allowed(actor, "image:delete", image.owner)}
    return page(request, "images.html", found=found, deletable=mine, name=name)


@router.get("/images/{image_id}")
async def image(request: Request, actor: Caller, parts: Parts, image_id: str) -> Response:
    found = await parts.images.get(actor, image_id)
    return page(request, "image.html", image=found, deletable=allowed(actor, "image:delete", found.owner))


@router.get("/images/{image_id}/delete")
async def delete_image(request: Request, actor: Caller, parts: Parts, image_id: str) -> Response:
    return page(request, "image_delete.html", image=await parts.images.get(actor, image_id))

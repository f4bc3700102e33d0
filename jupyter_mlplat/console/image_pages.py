"""Pages of images: the catalogue, one image with what is in it, two side by side, and the dialogs that change one."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.access.permissions import allowed, require
from jupyter_mlplat.console.guard import PageRoute
from jupyter_mlplat.console.render import page
from jupyter_mlplat.core.clock import now
from jupyter_mlplat.core.models import Line
from jupyter_mlplat.flavors.models import Category
from jupyter_mlplat.http import Caller, Parts, Services
from jupyter_mlplat.images.models import Image, ImageFilter, ImageStatus, Origin

router = APIRouter(route_class=PageRoute, include_in_schema=False)

PAGE = 50
MANY = 500
Field = Annotated[Line, Query(max_length=200)]


@router.get("/images")
async def images(
    request: Request,
    actor: Caller,
    parts: Parts,
    name: Field = "",
    origin: Origin | Literal[""] = "",
    category: Category | Literal[""] = "",
    package: Field = "",
    outdated: Literal["true", ""] = "",
    offset: Annotated[int, Query(ge=0, le=10**6)] = 0,
) -> Response:
    """The catalogue, as far as the fields above the list let it through."""
    asked = {"name": name, "origin": origin, "category": category, "package": package, "outdated": outdated}
    asked = {key: value for key, value in asked.items() if value}
    wanted = ImageFilter.model_validate({**asked, "limit": PAGE, "offset": offset})
    found = await parts.images.find(actor, wanted)
    mine = {image.id for image in found.data if _is_changeable(actor, image)}
    return page(
        request, "images.html", found=found, mine=mine, asked=asked, origins=list(Origin),
        categories=list(Category), offset=offset, limit=PAGE, sources=parts.images.sources,
    )  # fmt: skip


@router.get("/images/compare")
async def compare_images(
    request: Request,
    actor: Caller,
    parts: Parts,
    image: Annotated[tuple[str, ...], Query(max_length=2)] = (),
    oldest_first: bool = False,
) -> Response:
    """Two images side by side; with fewer the page asks for them."""
    known = (await parts.images.find(actor, ImageFilter(limit=MANY, status=ImageStatus.ACTIVE))).data
    if oldest_first:
        age = {each.id: each.created_at for each in known}
        image = tuple(sorted(image, key=lambda each: age.get(each, now())))
    chosen = [*image, "", ""][:2]
    compared = await parts.images.compare(actor, *chosen) if all(chosen) else None
    return page(request, "image_compare.html", known=known, chosen=chosen, compared=compared)


@router.get("/images/register")
async def register_image(request: Request, _actor: Caller, parts: Parts) -> Response:
    return page(request, "image_register.html", sources=parts.images.sources, categories=list(Category))


@router.get("/images/{image_id}")
async def image(request: Request, actor: Caller, parts: Parts, image_id: str) -> Response:
    found = await parts.images.get(actor, image_id)
    return page(request, "image.html", image=found, mine=_is_changeable(actor, found))


@router.get("/images/{image_id}/delete")
async def delete_image(request: Request, actor: Caller, parts: Parts, image_id: str) -> Response:
    return await _dialog(request, actor, parts, image_id, "image_delete.html")


@router.get("/images/{image_id}/share")
async def share_image(request: Request, actor: Caller, parts: Parts, image_id: str) -> Response:
    found = await parts.images.get(actor, image_id)
    require(actor, "image:update", owner=found.owner, resource_id=found.id, shared=True)
    groups = {*found.groups, *await parts.groups.known(found.owner)}
    return page(request, "image_share.html", image=found, groups=sorted(groups))


@router.get("/images/{image_id}/cancel")
async def cancel_image(request: Request, actor: Caller, parts: Parts, image_id: str) -> Response:
    return await _dialog(request, actor, parts, image_id, "image_cancel.html")


async def _dialog(request: Request, actor: Actor, parts: Services, image_id: str, template: str) -> Response:
    return page(request, template, image=await parts.images.get(actor, image_id))


def _is_changeable(actor: Actor, image: Image) -> bool:
    return image.origin != Origin.PRESET and allowed(actor, "image:update", image.owner)

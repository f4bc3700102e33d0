"""REST of images."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from jupyter_mlplat.core.models import Page
from jupyter_mlplat.http import Caller, Parts
from jupyter_mlplat.images.models import (
    BuildOffer,
    Image,
    ImageBuild,
    ImageComparison,
    ImageDetail,
    ImageFilter,
    ImageRegister,
    ImageUpdate,
)
from jupyter_mlplat.jobs.routes import LOG
from jupyter_mlplat.storage.sending import UNTRUSTED

router = APIRouter(prefix="/images", tags=["images"])


@router.get("", operation_id="list_images")
async def list_images(actor: Caller, parts: Parts, wanted: Annotated[ImageFilter, Query()]) -> Page[Image]:
    """Presets, one's own images and those that are shared with one."""
    return await parts.images.find(actor, wanted)


@router.post("", status_code=202, operation_id="register_image")
async def register_image(actor: Caller, parts: Parts, wanted: ImageRegister) -> Image:
    """Take over an image that was built elsewhere; it is copied and looked at in the background."""
    return await parts.images.register(actor, wanted)


@router.get("/builds", operation_id="get_build_offer")
async def get_build_offer(actor: Caller, parts: Parts) -> BuildOffer:
    """Whether images are built here, and how many of the caller's are."""
    return await parts.images.builds.offer(actor)


@router.post("/builds", status_code=202, operation_id="build_image")
async def build_image(actor: Caller, parts: Parts, wanted: ImageBuild) -> Image:
    """Build an image from a Containerfile and an uploaded folder, in the background."""
    return await parts.images.builds.submit(actor, wanted)


@router.get("/{image_id}/log", operation_id="get_image_log", response_class=Response, responses=LOG)
async def get_image_log(
    actor: Caller,
    parts: Parts,
    image_id: str,
    offset: Annotated[int, Query(ge=0, le=2**53, description="In bytes")] = 0,
    follow: bool = False,
) -> Response:
    """The log of a build from a byte offset on; with `follow` it streams until the build has ended."""
    log = await parts.images.builds.log(actor, image_id, offset, follow)
    headers = UNTRUSTED | {"X-Log-Size": str(log.size), "Cache-Control": "no-store"}
    return StreamingResponse(log.pieces, headers=headers, media_type="text/plain")


@router.get("/{image_id}", operation_id="get_image")
async def get_image(actor: Caller, parts: Parts, image_id: str) -> ImageDetail:
    return await parts.images.get(actor, image_id)


@router.patch("/{image_id}", operation_id="update_image")
async def update_image(actor: Caller, parts: Parts, image_id: str, wanted: ImageUpdate) -> Image:
    """Describe an image anew, or change who may see and use it."""
    return await parts.images.update(actor, image_id, wanted)


@router.get("/{image_id}/comparison", operation_id="compare_images")
async def compare_images(actor: Caller, parts: Parts, image_id: str, other: str) -> ImageComparison:
    """How the image `other` differs from this one: packages by name, and layers."""
    return await parts.images.compare(actor, image_id, other)


@router.post("/{image_id}/cancel", status_code=202, operation_id="cancel_image")
async def cancel_image(actor: Caller, parts: Parts, image_id: str) -> Image:
    """Give up a save, a copy or a build that is under way; nothing of the image stays."""
    return await parts.images.cancel(actor, image_id)


@router.delete("/{image_id}", status_code=202, operation_id="delete_image")
async def delete_image(actor: Caller, parts: Parts, image_id: str) -> Image:
    """Delete an image that nothing uses; its space is given back in the background."""
    return await parts.images.delete(actor, image_id)

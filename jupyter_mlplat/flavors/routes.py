"""REST of the flavors."""

from fastapi import APIRouter

from jupyter_mlplat.flavors.models import FlavorOffer
from jupyter_mlplat.http import Caller, Parts

router = APIRouter(tags=["flavors"])


@router.get("/flavors", operation_id="list_flavors")
async def list_flavors(_actor: Caller, parts: Parts) -> list[FlavorOffer]:
    """The catalogue as it can be had now."""
    return await parts.flavors.offers()

"""REST of the quotas."""

from fastapi import APIRouter

from jupyter_mlplat.http import Caller, Parts
from jupyter_mlplat.quotas import service
from jupyter_mlplat.quotas.models import Quota

router = APIRouter(tags=["quotas"])


@router.get("/quotas", operation_id="list_quotas")
async def list_quotas(actor: Caller, parts: Parts) -> list[Quota]:
    """What the caller has, and how much of it they may have."""
    return await service.usage(actor, parts.database, parts.settings)

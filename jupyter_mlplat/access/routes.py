"""REST of the caller."""

from fastapi import APIRouter

from jupyter_mlplat.access.permissions import granted
from jupyter_mlplat.core.models import Model
from jupyter_mlplat.http import Caller

router = APIRouter(tags=["access"])


class Me(Model):
    """Who is asking, and what they may do with their own."""

    user: str
    admin: bool
    instance_id: str | None
    permissions: list[str]


@router.get("/me", operation_id="who_am_i")
async def who_am_i(actor: Caller) -> Me:
    return Me(user=actor.user, admin=actor.admin, instance_id=actor.instance_id, permissions=granted(actor))

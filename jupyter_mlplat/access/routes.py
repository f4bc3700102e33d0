"""REST of the caller."""

from fastapi import APIRouter

from jupyter_mlplat.access.permissions import granted
from jupyter_mlplat.core.models import Model
from jupyter_mlplat.http import Caller, Parts

router = APIRouter(tags=["access"])


class Me(Model):
    """Who is asking, and what they may do with their own."""

    user: str
    admin: bool
    instance_id: str | None
    groups: list[str]
    permissions: list[str]


@router.get("/me", operation_id="who_am_i")
async def who_am_i(actor: Caller, parts: Parts) -> Me:
    return Me(
        user=actor.user,
        admin=actor.admin,
        instance_id=actor.instance_id,
        groups=sorted(await parts.groups.known(actor.user)),
        permissions=granted(actor),
    )

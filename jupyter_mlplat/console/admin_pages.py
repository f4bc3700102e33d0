"""Pages of administration: who uses what now, and who did what."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from jupyter_mlplat.audit import store as audit_store
from jupyter_mlplat.audit.models import AuditFilter
from jupyter_mlplat.console.guard import PageRoute
from jupyter_mlplat.console.render import page
from jupyter_mlplat.console.usage import current_uses, sum_by_user
from jupyter_mlplat.errors import NotAllowed
from jupyter_mlplat.http import Caller, Parts

router = APIRouter(route_class=PageRoute, include_in_schema=False)

PAGE = 50
Field = Annotated[str, Query(max_length=255)]


@router.get("/admin")
async def administration(request: Request, actor: Caller, parts: Parts) -> Response:
    """Who uses which flavor now; accelerators first."""
    _only(actor.admin)
    uses = await current_uses(parts, actor)
    return page(request, "admin_usage.html", uses=uses, users=sum_by_user(uses))


@router.get("/admin/audit")
async def audit(
    request: Request,
    actor: Caller,
    parts: Parts,
    user: Field = "",
    action: Annotated[str, Query(max_length=64)] = "",
    resource: Annotated[str, Query(max_length=64)] = "",
    offset: Annotated[int, Query(ge=0, le=10**6)] = 0,
) -> Response:
    """Who did what, newest first."""
    _only(actor.admin)
    wanted = AuditFilter(
        limit=PAGE, offset=offset, actor=user or None, action=action or None, resource_id=resource or None
    )
    async with parts.database.read() as session:
        found = await audit_store.find(session, wanted, None)
    return page(
        request, "admin_audit.html", found=found, user=user, action=action, resource=resource, offset=offset, limit=PAGE
    )


def _only(admin: bool) -> None:
    if not admin:
        raise NotAllowed("Administration is for administrators of the platform. Ask one to look for you.")

"""REST of the audit records."""

from typing import Annotated

from fastapi import APIRouter, Query

from jupyter_mlplat.access.permissions import require
from jupyter_mlplat.audit import store
from jupyter_mlplat.audit.models import AuditFilter, AuditRecord
from jupyter_mlplat.core.models import Page
from jupyter_mlplat.http import Caller, Parts

router = APIRouter(tags=["audit"])


@router.get("/audit", operation_id="list_audit")
async def list_audit(actor: Caller, parts: Parts, wanted: Annotated[AuditFilter, Query()]) -> Page[AuditRecord]:
    """Who did what: everything for an administrator, for others what they did themselves."""
    require(actor, "audit:read", owner=actor.user)
    async with parts.database.read() as session:
        return await store.find(session, wanted, None if actor.admin else actor.user)

"""REST of the advisories."""

from fastapi import APIRouter, Request

from jupyter_mlplat.advisories import service
from jupyter_mlplat.advisories.models import AdvisoryStatus
from jupyter_mlplat.http import Caller, Parts
from jupyter_mlplat.storage.routes import UPLOAD

router = APIRouter(prefix="/advisories", tags=["advisories"])


@router.get("", operation_id="get_advisories")
async def get_advisories(actor: Caller, parts: Parts) -> AdvisoryStatus:
    """How many known vulnerabilities images are held against, and since when."""
    return await service.status(actor, parts.database)


@router.put("", operation_id="put_advisories", openapi_extra=UPLOAD)
async def put_advisories(actor: Caller, parts: Parts, request: Request) -> AdvisoryStatus:
    """Hold images against these known vulnerabilities, one JSON object in each line, in place of all earlier ones."""
    return await service.replace(actor, parts.database, request.stream())

"""The console: pages below the service prefix, for people who are not inside an instance."""

from importlib.resources import files
from typing import Never

from fastapi import APIRouter, Request, Response
from fastapi.staticfiles import StaticFiles

from jupyter_mlplat.console import admin_pages, image_pages, instance_pages, job_pages, oauth, storage_pages
from jupyter_mlplat.console.guard import PageRoute
from jupyter_mlplat.errors import NotFound
from jupyter_mlplat.http import Caller

router = APIRouter(include_in_schema=False)
unknown = APIRouter(route_class=PageRoute)
_static = StaticFiles(directory=str(files("jupyter_mlplat.console").joinpath("static")))


@router.get("/static/{path:path}")
async def static(request: Request, path: str) -> Response:
    """A style, script or picture of the pages; the browser asks each time whether it is still the same."""
    response = await _static.get_response(path, request.scope)
    response.headers.update({"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"})
    return response


@unknown.get("/{page}", response_model=None)
async def no_such_page(_actor: Caller, page: str) -> Never:
    raise NotFound(f"The console has no page {page!r}.")


for pages in (oauth, instance_pages, image_pages, job_pages, storage_pages, admin_pages):
    router.include_router(pages.router)
router.include_router(unknown)

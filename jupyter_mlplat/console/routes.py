"""The console: pages below the service prefix, for people who are not inside an instance."""

from typing import Never

from fastapi import APIRouter

from jupyter_mlplat.console import (
    admin_pages,
    image_pages,
    instance_pages,
    job_pages,
    key_pages,
    oauth,
    statics,
    storage_pages,
)
from jupyter_mlplat.console.guard import PageRoute
from jupyter_mlplat.errors import NotFound
from jupyter_mlplat.http import Caller

router = APIRouter(include_in_schema=False)
unknown = APIRouter(route_class=PageRoute)


@unknown.get("/{page}", response_model=None)
async def no_such_page(_actor: Caller, page: str) -> Never:
    raise NotFound(f"The console has no page {page!r}.")


for pages in (statics, oauth, instance_pages, image_pages, job_pages, storage_pages, key_pages, admin_pages):
    router.include_router(pages.router)
router.include_router(unknown)

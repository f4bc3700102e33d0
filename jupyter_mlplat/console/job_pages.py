"""Pages of jobs: the list, one job with what it left, and the dialogs of its changes."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.access.permissions import allowed
from jupyter_mlplat.console.guard import PageRoute
from jupyter_mlplat.console.instance_pages import flavor_name
from jupyter_mlplat.console.render import page
from jupyter_mlplat.http import Caller, Parts, Services
from jupyter_mlplat.jobs.models import FINAL, Job, JobFilter, MetricPoint

router = APIRouter(route_class=PageRoute, include_in_schema=False)

PAGE = 50
METRIC_ROWS = 500
EVENTS = 500
Tab = Literal["logs", "metrics", "files", "details"]


@router.get("/jobs")
async def jobs(
    request: Request, actor: Caller, parts: Parts, name: str = "", offset: Annotated[int, Query(ge=0, le=10**6)] = 0
) -> Response:
    found = await parts.jobs.find(actor, JobFilter(limit=PAGE, offset=offset, name=name[:64] or None))
    return page(request, "jobs.html", found=found, name=name, offset=offset, limit=PAGE, final=FINAL)


@router.get("/jobs/{job_id}")
async def job(request: Request, actor: Caller, parts: Parts, job_id: str, tab: Tab = "logs") -> Response:
    found = await parts.jobs.get(actor, job_id)
    values = await _content(parts, actor, found, tab)
    return page(
        request,
        "job.html",
        job=found,
        tab=tab,
        ended=found.phase in FINAL,
        flavor=flavor_name(parts, found.flavor),
        mine=allowed(actor, "job:create", found.owner),
        **values,
    )


@router.get("/jobs/{job_id}/{change}")
async def change_job(
    request: Request, actor: Caller, parts: Parts, job_id: str, change: Literal["stop", "delete"]
) -> Response:
    """The dialog of one change."""
    found = await parts.jobs.get(actor, job_id)
    return page(request, f"job_{change}.html", job=found, ended=found.phase in FINAL)


async def _content(parts: Services, actor: Actor, job: Job, tab: Tab) -> dict[str, Any]:
    """What one tab shows."""
    if tab == "metrics":
        points = await parts.jobs.results.metrics(actor, job.id)
        return {"points": points[-METRIC_ROWS:][::-1], "columns": _columns(points), "total": len(points)}
    if tab == "files":
        return {"files": await parts.jobs.results.files(actor, job.id)}
    if tab == "details":
        return {"events": (await parts.jobs.events(actor, job.id, EVENTS, 0)).data[::-1]}
    return {}


def _columns(points: list[MetricPoint]) -> list[str]:
    """The names of all metrics, in the order in which they came first."""
    return list(dict.fromkeys(name for point in points for name in point.values))

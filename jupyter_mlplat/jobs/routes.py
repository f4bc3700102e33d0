"""REST of jobs and of the bundles that they are made from."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from jupyter_mlplat.core.models import Digest, Page, PageRequest
from jupyter_mlplat.events.models import Event
from jupyter_mlplat.http import Caller, Parts
from jupyter_mlplat.jobs.models import Bundle, BundleLimits, Job, JobCreate, JobFile, JobFilter, MetricPoint
from jupyter_mlplat.storage.opened import OpenedFile
from jupyter_mlplat.storage.routes import FILE, UPLOAD, Range
from jupyter_mlplat.storage.sending import UNTRUSTED, attachment, send

router = APIRouter(prefix="/jobs", tags=["jobs"])
bundles = APIRouter(prefix="/bundles", tags=["jobs"])

LOG: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The log's bytes from the offset on",
        "content": {"text/plain": {"schema": {"type": "string"}}},
        "headers": {"X-Log-Size": {"description": "Bytes in the log now", "schema": {"type": "integer"}}},
    }
}
_NOTEBOOK: dict[int | str, dict[str, Any]] = {
    200: {"description": "nbformat 4", "content": {"application/json": {"schema": {"type": "object"}}}}
}
_ARCHIVE: dict[int | str, dict[str, Any]] = {
    200: {"description": "tar.gz", "content": {"application/gzip": {"schema": {"type": "string", "format": "binary"}}}}
}


@bundles.get("", operation_id="get_bundle_limits")
async def get_bundle_limits(_actor: Caller, parts: Parts) -> BundleLimits:
    """What the files of a job may be in all."""
    return parts.jobs.bundles.limits


@bundles.put("/{digest}", status_code=201, operation_id="put_bundle", openapi_extra=UPLOAD)
async def put_bundle(actor: Caller, parts: Parts, digest: Digest, request: Request) -> Bundle:
    """Upload the files of a job, packed as tar+zstd; the digest is that of the body."""
    return await parts.jobs.bundles.put(actor, digest, request.stream())


@bundles.get("/{digest}", operation_id="get_bundle")
async def get_bundle(actor: Caller, parts: Parts, digest: Digest) -> Bundle:
    """Whether the caller has uploaded it already."""
    return await parts.jobs.bundles.get(actor, digest)


@router.get("", operation_id="list_jobs")
async def list_jobs(actor: Caller, parts: Parts, wanted: Annotated[JobFilter, Query()]) -> Page[Job]:
    """The caller's jobs; for an administrator everybody's."""
    return await parts.jobs.find(actor, wanted)


@router.post("", status_code=202, operation_id="submit_job")
async def submit_job(actor: Caller, parts: Parts, wanted: JobCreate) -> Job:
    """Submit a job; it runs in the background."""
    return await parts.jobs.submit(actor, wanted)


@router.get("/{job_id}", operation_id="get_job")
async def get_job(actor: Caller, parts: Parts, job_id: str) -> Job:
    return await parts.jobs.get(actor, job_id)


@router.delete("/{job_id}", status_code=202, operation_id="delete_job")
async def delete_job(actor: Caller, parts: Parts, job_id: str) -> Job:
    """Stop the job and remove what it left, but what lies in its output channels."""
    return await parts.jobs.delete(actor, job_id)


@router.post("/{job_id}/stop", status_code=202, operation_id="stop_job")
async def stop_job(actor: Caller, parts: Parts, job_id: str) -> Job:
    return await parts.jobs.stop(actor, job_id)


@router.post("/{job_id}/rerun", status_code=202, operation_id="rerun_job")
async def rerun_job(actor: Caller, parts: Parts, job_id: str) -> Job:
    """Submit it again with the same inputs; the new job."""
    return await parts.jobs.rerun(actor, job_id)


@router.get("/{job_id}/events", operation_id="list_job_events")
async def list_job_events(
    actor: Caller, parts: Parts, job_id: str, page: Annotated[PageRequest, Query()]
) -> Page[Event]:
    return await parts.jobs.events(actor, job_id, page.limit, page.offset)


@router.get("/{job_id}/logs", operation_id="get_job_log", response_class=Response, responses=LOG)
async def get_job_log(
    actor: Caller,
    parts: Parts,
    job_id: str,
    node: Annotated[int, Query(ge=0, le=1000)] = 0,
    offset: Annotated[int, Query(ge=0, le=2**53, description="In bytes")] = 0,
    follow: bool = False,
) -> Response:
    """The log from a byte offset on; with `follow` it streams until the job has ended."""
    log = await parts.jobs.results.log(actor, job_id, node, offset, follow)
    headers = UNTRUSTED | {"X-Log-Size": str(log.size), "Cache-Control": "no-store"}
    return StreamingResponse(log.pieces, headers=headers, media_type="text/plain")


@router.get("/{job_id}/metrics", operation_id="list_job_metrics")
async def list_job_metrics(actor: Caller, parts: Parts, job_id: str) -> list[MetricPoint]:
    """What the job logged with `mlplat.log(…)`, oldest first."""
    return await parts.jobs.results.metrics(actor, job_id)


@router.get("/{job_id}/notebook", operation_id="get_job_notebook", response_class=Response, responses=_NOTEBOOK)
async def get_job_notebook(actor: Caller, parts: Parts, job_id: str) -> Response:
    """The executed notebook as far as it is."""
    return Response(await parts.jobs.results.notebook(actor, job_id), media_type="application/json")


@router.get("/{job_id}/files", operation_id="list_job_files")
async def list_job_files(actor: Caller, parts: Parts, job_id: str) -> list[JobFile]:
    """The files that the job left."""
    return await parts.jobs.results.files(actor, job_id)


@router.get("/{job_id}/files/{path:path}", operation_id="get_job_file", response_class=Response, responses=FILE)
async def get_job_file(actor: Caller, parts: Parts, job_id: str, path: str, range: Range = None) -> Response:
    """One file that the job left."""
    place = await parts.jobs.results.open_file(actor, job_id, path)
    return send(OpenedFile(place, f"The job has left no file {path!r}."), range)


@router.get("/{job_id}/archive", operation_id="get_job_archive", response_class=Response, responses=_ARCHIVE)
async def get_job_archive(actor: Caller, parts: Parts, job_id: str) -> Response:
    """All that the job left, as one tar.gz."""
    name, pieces = await parts.jobs.results.archive(actor, job_id)
    return StreamingResponse(pieces, headers=UNTRUSTED | attachment(name), media_type="application/gzip")

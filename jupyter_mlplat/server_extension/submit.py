"""`mlplat/submit`: a notebook or script of the work folder, with the files beside it, becomes a training job."""

import asyncio
import math
import re
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tornado.web import authenticated

from jupyter_mlplat.errors import InvalidInput
from jupyter_mlplat.server_extension.base import MlplatHandler
from jupyter_mlplat.server_extension.environment import read_runtime
from jupyter_mlplat.server_extension.packing import UNKNOWN_DIGEST, entry_file, limits_in_force, send_beside, what_goes
from jupyter_mlplat.server_extension.platform import fetch

if TYPE_CHECKING:
    from jupyter_mlplat.jobs.bundle import Limits
    from jupyter_mlplat.jobs.models import JobCreate

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_\-\u4e00-\u9fff]+")


class PreviewHandler(MlplatHandler):
    """What a submission would send, before anything is sent."""

    _track_activity = False

    @authenticated
    async def get(self) -> None:
        """`?path=` is work-relative. Whatever would keep the job from running is among the problems."""
        entry = entry_file(self.work_folder, self.get_query_argument("path", "", strip=False))
        kernels, limits = _kernels(self), await limits_in_force()
        self.answer(await asyncio.to_thread(preview, self.work_folder, entry, kernels, limits))


class SubmitHandler(MlplatHandler):
    """Packs, uploads and submits; the answer is the platform's."""

    @authenticated
    async def post(self) -> None:
        """`{path, …}` with the fields of JobCreate; image and flavor are this instance's unless they are given."""
        body = self.body_object()
        path = body.pop("path", "")
        entry = entry_file(self.work_folder, path if isinstance(path, str) else "")
        job = job_of(body, entry, read_runtime())
        await asyncio.to_thread(refuse_hopeless, entry, job, _kernels(self), read_runtime())
        digest = await send_beside(entry, await limits_in_force())
        self.pass_on(await fetch("POST", "jobs", job.model_dump(mode="json") | {"bundle": digest}))


def preview(root: Path, entry: Path, kernels: Collection[str], limits: "Limits | None" = None) -> dict[str, Any]:
    """The body of `GET submit/preview`; blocks while it looks through the folder. InvalidInput for an odd suffix."""
    from jupyter_mlplat.jobs.notebook import inspect

    facts = inspect(entry, kernels)
    sent = what_goes(root, entry, limits)
    return sent | {
        "kind": facts.kind.value,
        "name": job_name(entry),
        "parameters": [asdict(parameter) | {"default": _finite(parameter.default)} for parameter in facts.parameters],
        "problems": [*facts.problems, *sent["problems"]],
    }


def job_of(fields: dict[str, Any], entry: Path, runtime: dict[str, Any]) -> "JobCreate":
    """The job that is asked for, its bundle still unknown. InvalidInput names the field that is wrong."""
    from pydantic import ValidationError

    from jupyter_mlplat.core.text import describe
    from jupyter_mlplat.jobs.models import JobCreate

    defaults = {
        "name": job_name(entry),
        "image_id": (runtime.get("image") or {}).get("id"),
        "flavor": (runtime.get("flavor") or {}).get("id"),
    }
    given = {name: value for name, value in fields.items() if value is not None}
    try:
        return JobCreate(**(defaults | given | {"bundle": UNKNOWN_DIGEST, "entry": entry.name}))
    except ValidationError as error:
        raise InvalidInput(describe(error.errors())) from None


def refuse_hopeless(entry: Path, job: "JobCreate", kernels: Collection[str], runtime: dict[str, Any]) -> None:
    """InvalidInput where the job would fail for sure, so that nothing is uploaded for it."""
    from jupyter_mlplat.jobs import notebook

    facts = notebook.inspect(entry, kernels)
    if job.image_id != (runtime.get("image") or {}).get("id"):
        # another image may have other kernels
        facts = notebook.inspect(entry, {*kernels, facts.kernel_name})
    if facts.problems:
        raise InvalidInput(" ".join(facts.problems))
    if facts.kind.value == "notebook":
        notebook.check(notebook.read(entry), job.parameters)


def job_name(entry: Path) -> str:
    """A name for a job that starts with this file."""
    return _NOT_IN_NAMES.sub("-", entry.stem).strip("-_")[:64] or "job"


def _kernels(handler: MlplatHandler) -> set[str]:
    return {*handler.kernel_spec_manager.find_kernel_specs(), "python"}


def _finite(value: Any) -> Any:
    # JSON knows no infinity
    return None if isinstance(value, float) and not math.isfinite(value) else value

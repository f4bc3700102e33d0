"""`mlplat/submit`: a notebook or script of the work folder, with the files beside it, becomes a training job."""

import asyncio
import math
import os
import re
import tempfile
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tornado.web import authenticated

from jupyter_mlplat.errors import InvalidInput, MlplatError, NotFound
from jupyter_mlplat.server_extension.base import MlplatHandler
from jupyter_mlplat.server_extension.environment import private_folder, read_runtime
from jupyter_mlplat.server_extension.platform import Answer, fetch
from jupyter_mlplat.server_extension.sending import send_file

if TYPE_CHECKING:
    from jupyter_mlplat.jobs.bundle import Bundle, Limits
    from jupyter_mlplat.jobs.models import JobCreate

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_\-\u4e00-\u9fff]+")
_UNKNOWN_DIGEST = "sha256:" + "0" * 64


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
        limits = await limits_in_force()
        with tempfile.TemporaryDirectory(prefix="submit-", dir=private_folder()) as scratch:
            packed = Path(scratch) / "bundle.tar.zst"
            bundle = await asyncio.to_thread(pack_beside, entry, packed, limits)
            await upload(bundle, packed)
        answer = await fetch("POST", "jobs", job.model_dump(mode="json") | {"bundle": bundle.digest})
        self._pass_on(answer)

    def _pass_on(self, answer: Answer) -> None:
        self.set_status(answer.status)
        self.finish(answer.body)


def entry_file(root: Path, relative: str) -> Path:
    """The file that a job starts with, not resolved: a link stays one. NotFound, InvalidInput where there is none."""
    base = root.resolve()
    if not relative or "\0" in relative:
        raise InvalidInput("Say which notebook or script of the work folder to submit.")
    path = Path(os.path.normpath(base / relative.lstrip("/")))
    if not path.is_relative_to(base) or not path.resolve().is_relative_to(base):
        raise InvalidInput(f"{relative} lies outside the work folder. Submit a file inside it.")
    if not path.is_file():
        raise NotFound(f"There is no file {relative} in the work folder. Save it first.")
    return path


def preview(root: Path, entry: Path, kernels: Collection[str], limits: "Limits | None" = None) -> dict[str, Any]:
    """The body of `GET submit/preview`; blocks while it looks through the folder. InvalidInput for an odd suffix."""
    from jupyter_mlplat.jobs.bundle import survey
    from jupyter_mlplat.jobs.notebook import inspect

    facts = inspect(entry, kernels)
    problems, files, excluded, total = list(facts.problems), [], [], 0
    try:
        found = survey(entry.parent, entry.name, limits)
        files = [{"path": file.path, "size": file.size} for file in found.files]
        excluded, total = [asdict(row) for row in found.excluded], found.total_bytes
    except MlplatError as error:
        problems.append(error.message)
    folder = entry.parent.relative_to(root.resolve()).as_posix()
    return {
        "entry": entry.name,
        "folder": "" if folder == "." else folder,
        "kind": facts.kind.value,
        "name": job_name(entry),
        "files": files,
        "total_bytes": total,
        "excluded": excluded,
        "parameters": [asdict(parameter) | {"default": _finite(parameter.default)} for parameter in facts.parameters],
        "problems": problems,
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
        return JobCreate(**(defaults | given | {"bundle": _UNKNOWN_DIGEST, "entry": entry.name}))
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


def pack_beside(entry: Path, target: Path, limits: "Limits | None" = None) -> "Bundle":
    """Pack the folder of `entry`; blocks."""
    from jupyter_mlplat.jobs.bundle import pack, survey

    return pack(survey(entry.parent, entry.name, limits), target)


async def limits_in_force() -> "Limits | None":
    """The owner's limits on a job's files; None where the platform does not say: it looks again at what it gets."""
    from jupyter_mlplat.jobs.bundle import Limits

    try:
        own = (await fetch("GET", "bundles")).json()
        return Limits(files=int(own["files"]), total_bytes=int(own["total_bytes"]))
    except (MlplatError, KeyError, TypeError, ValueError):
        return None


async def upload(bundle: "Bundle", packed: Path) -> None:
    """Bring the packed files to the platform, unless it has them."""
    resource = f"bundles/{bundle.digest}"
    there = await fetch("GET", resource)
    if there.status == 404:
        await send_file(packed, resource)
    else:
        there.json()


def job_name(entry: Path) -> str:
    """A name for a job that starts with this file."""
    return _NOT_IN_NAMES.sub("-", entry.stem).strip("-_")[:64] or "job"


def _kernels(handler: MlplatHandler) -> set[str]:
    return {*handler.kernel_spec_manager.find_kernel_specs(), "python"}


def _finite(value: Any) -> Any:
    # JSON knows no infinity
    return None if isinstance(value, float) and not math.isfinite(value) else value

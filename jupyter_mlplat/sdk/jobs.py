"""Training jobs."""

import io
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jupyter_mlplat.errors import NotFound
from jupyter_mlplat.events.models import Event
from jupyter_mlplat.instances.models import Instance
from jupyter_mlplat.jobs.bundle import Limits
from jupyter_mlplat.jobs.models import FINAL, Job, JobFile, MetricPoint, Phase, Scalar
from jupyter_mlplat.sdk.bundles import Sent, limits
from jupyter_mlplat.sdk.failures import Disconnected
from jupyter_mlplat.sdk.identifiers import looks_like_id
from jupyter_mlplat.sdk.images import Images
from jupyter_mlplat.sdk.logs import GrowingLog
from jupyter_mlplat.sdk.submission import Submission
from jupyter_mlplat.sdk.waiting import wait_until
from jupyter_mlplat.sdk.wire import Wire

JobList = list[Job]
EventList = list[Event]
MetricPointList = list[MetricPoint]
JobFileList = list[JobFile]
Paths = list[Path]


class Jobs:
    """`client.jobs`. Every method takes a job's id; `find` turns a number or a name into a job."""

    def __init__(self, wire: Wire, images: Images) -> None:
        self._wire = wire
        self._images = images

    def submit(
        self,
        path: str | Path | Submission,
        *,
        name: str | None = None,
        description: str = "",
        image: str | None = None,
        flavor: str | None = None,
        nodes: int = 1,
        parameters: Mapping[str, Scalar] | None = None,
        environment: Mapping[str, str] | None = None,
        inputs: Mapping[str, str] | None = None,
        outputs: Mapping[str, str] | None = None,
        logs: str | None = None,
        retries: int = 0,
        time_limit: int | None = None,
        sent: Sent | None = None,
    ) -> Job:
        """Submit a notebook or a script with the files of its folder; the job, which goes on by itself.

        `image` is NAME, NAME:TAG or an id. Image and flavor are the platform's defaults, inside an instance its own.
        `inputs` and `outputs` map names to obs:// URLs; `logs` is the URL of a folder that the log is sent
        to as well. `time_limit` is in seconds, for one attempt.
        `sent` is called with (bytes sent, bytes in all) while the files go up.
        """
        submission = path if isinstance(path, Submission) else Submission(Path(path), self.limits())
        fields: dict[str, Any] = {
            "name": name or submission.name,
            "description": description,
            **self._place(image, flavor),
            "nodes": nodes,
            "parameters": submission.fitted(parameters or {}),
            "environment": dict(environment or {}),
            "inputs": _channels(inputs),
            "outputs": _channels(outputs),
            "logs": logs,
            "retries": retries,
            "time_limit": time_limit,
        }
        return self._wire.call("POST", "/jobs", Job, json=fields | submission.upload(self._wire, sent))

    def limits(self) -> Limits:
        """What the files of a job may be in all, as the platform's owner has set it."""
        return limits(self._wire)

    def list(
        self,
        *,
        name: str | None = None,
        phase: Phase | None = None,
        instance_id: str | None = None,
        limit: int | None = None,
    ) -> JobList:
        """Jobs that match, newest first."""
        filters = {"name": name, "phase": phase and phase.value, "instance_id": instance_id}
        return self._wire.all("/jobs", Job, limit, filters)

    def get(self, job_id: str) -> Job:
        return self._wire.call("GET", _path(job_id), Job)

    def find(self, reference: str) -> Job:
        """The job that is meant by a number (7 or #7), an id, or a name (the latest of that name); one's own first."""
        if looks_like_id(reference):
            with suppress(NotFound):
                return self.get(reference)
        number = reference.removeprefix("#")
        if number.isdecimal():
            matching = (job for job in self._rows(None) if job.number == int(number))
        else:
            matching = (job for job in self._rows(reference) if job.name == reference)
        foreign: Job | None = None
        for job in matching:
            if job.owner == self._wire.user:
                return job
            foreign = foreign or job
        if foreign is None:
            raise NotFound(f"There is no job {reference!r}. `mlplat job list` shows those that there are.")
        return foreign

    def stop(self, job_id: str) -> Job:
        return self._wire.call("POST", f"{_path(job_id)}/stop", Job)

    def rerun(self, job_id: str) -> Job:
        """Submit it again with the same files, parameters and channels; the new job."""
        return self._wire.call("POST", f"{_path(job_id)}/rerun", Job)

    def delete(self, job_id: str) -> Job:
        """Delete it with all that it left but what lies in its output channels."""
        return self._wire.call("DELETE", _path(job_id), Job)

    def wait(self, job_id: str, *, timeout: float | None = None, seen: Callable[[Job], None] | None = None) -> Job:
        """The job once it has ended, however it ended; `seen` gets each reading."""
        return wait_until(
            lambda: self.get(job_id),
            lambda job: job.phase in FINAL,
            what=f"the job {job_id} to end",
            timeout=timeout,
            seen=seen,
        )

    def logs(self, job_id: str, *, node: int = 0, offset: int = 0, follow: bool = False) -> Iterator[str]:
        """The log from a byte offset, piece by piece; with `follow` until the job ends, over broken connections."""
        log = GrowingLog(
            self._wire, f"{_path(job_id)}/logs", lambda: self.get(job_id).phase in FINAL, query={"node": node}
        )
        yield from log.text(offset, follow=follow)

    def events(self, job_id: str) -> EventList:
        """What happened to it, oldest first."""
        return self._wire.all(f"{_path(job_id)}/events", Event)

    def metrics(self, job_id: str) -> MetricPointList:
        """What the job logged with `mlplat.log(…)`, oldest first."""
        return self._wire.call("GET", f"{_path(job_id)}/metrics", list[MetricPoint])

    def notebook(self, job_id: str) -> dict[str, Any]:
        """The executed notebook as far as it is, as nbformat JSON. NotFound for a script."""
        return self._wire.call("GET", f"{_path(job_id)}/notebook", dict[str, Any])

    def files(self, job_id: str) -> JobFileList:
        """The files that it left."""
        return self._wire.call("GET", f"{_path(job_id)}/files", list[JobFile])

    def download(self, job_id: str, directory: str | Path, *, seen: Callable[[str, int], None] | None = None) -> Paths:
        """All files that it left, into `directory`; their paths. `seen` is called with (path, bytes) after each."""
        target = Path(directory)
        target.mkdir(parents=True, exist_ok=True)
        with self._wire.stream("GET", f"{_path(job_id)}/archive") as response:
            body = io.BufferedReader(_Body(response.iter_bytes()), 1 << 16)
            try:
                with tarfile.open(fileobj=body, mode="r|gz") as archive:
                    return list(_extract(archive, target, seen))
            except tarfile.TarError as error:
                raise Disconnected(f"The files of the job did not arrive whole: {error}. Try again.") from error

    def _place(self, image: str | None, flavor: str | None) -> dict[str, str | None]:
        """Where a job runs that says nothing of it, or all that it says."""
        image_id = self._images.find(image).id if image else None
        here = self._wire.profile.instance_id
        if here and not (image_id and flavor):
            instance = self._wire.call("GET", f"/instances/{quote(here, safe='')}", Instance)
            return {"image_id": image_id or instance.image_id, "flavor": flavor or instance.flavor}
        return {"image_id": image_id, "flavor": flavor}

    def _rows(self, name: str | None) -> Iterator[Job]:
        return self._wire.rows("/jobs", Job, {"name": name})


class _Body(io.RawIOBase):
    """The pieces of an answer as a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = piece
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


def _extract(archive: tarfile.TarFile, target: Path, seen: Callable[[str, int], None] | None) -> Iterator[Path]:
    for member in archive:
        archive.extract(member, target, filter="data")
        if member.isfile():
            if seen is not None:
                seen(member.name, member.size)
            yield target / member.name


def _channels(urls: Mapping[str, str] | None) -> list[dict[str, str]]:
    return [{"name": name, "url": url} for name, url in (urls or {}).items()]


def _path(job_id: str) -> str:
    return f"/jobs/{quote(job_id, safe='')}"

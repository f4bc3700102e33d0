"""What the pods of a job on a cluster fetch and deliver. They may touch this one job, while this attempt runs."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from jupyter_mlplat.backends import job_results as results
from jupyter_mlplat.core.incoming import received
from jupyter_mlplat.core.settings import Settings
from jupyter_mlplat.db.engine import Database
from jupyter_mlplat.errors import InvalidInput, NotAuthenticated, NotFound
from jupyter_mlplat.jobs.delivery import Attempt, Node, Stream, file_below, keep_log, keep_output
from jupyter_mlplat.jobs.lookup import REFUSED, running_job
from jupyter_mlplat.jobs.models import Beginning, BundleLimits, FarChannels, InputFile, NodeFiles
from jupyter_mlplat.runner.channels import files_in
from jupyter_mlplat.runner.layout import JobFolder
from jupyter_mlplat.storage.object_urls import is_object_url
from jupyter_mlplat.storage.opened import OpenedFile


@dataclass(frozen=True)
class Intake:
    """The door for the pods of one attempt."""

    folder: JobFolder
    attempt: Attempt
    limits: BundleLimits

    async def begin(self, number: int, pod: str) -> Beginning:
        """All that a node needs to know; from now on this pod speaks for the node."""
        node = self._node(number)
        begun = await asyncio.to_thread(node.begin, pod, self.attempt.attempt)
        log, metrics = await asyncio.to_thread(node.sizes, pod)
        await asyncio.to_thread(keep_log, self.folder, self.attempt, number)
        return Beginning(
            spec=self.attempt.spec | {"node": number},
            limits=self.limits,
            inputs=[
                await asyncio.to_thread(_listed, name, Path(place))
                for name, place in self.attempt.inputs
                if not is_object_url(place)
            ],
            # A second attempt may go on from what an earlier one, or a pod before this one, has left.
            outputs=await asyncio.to_thread(_listed, "outputs", self.folder.outputs),
            log=log,
            metrics=metrics,
            earlier_log=begun.log,
            far=_far(self.attempt),
            attempt=begun.attempt,
        )

    async def bundle(self) -> OpenedFile:
        return await asyncio.to_thread(OpenedFile, Path(self.attempt.bundle), "The files of the job are gone.")

    async def input(self, name: str, path: str) -> OpenedFile:
        """One file of an input channel."""
        missing = f"The input {name!r} has no file {path!r}."
        source = Path(dict(self.attempt.inputs).get(name, ""))
        if name not in dict(self.attempt.inputs):
            raise NotFound(missing)
        is_file = await asyncio.to_thread(source.is_file)
        place = source if is_file and path == source.name else file_below(source, path)
        return await asyncio.to_thread(OpenedFile, place, missing)

    async def output(self, path: str) -> OpenedFile:
        """One file of what the job has left so far."""
        place = await asyncio.to_thread(file_below, self.folder.outputs, path)
        return await asyncio.to_thread(OpenedFile, place, f"The job has left no file {path!r}.")

    async def log(self, number: int) -> OpenedFile:
        """What a node has written so far."""
        self._node(number)
        return await asyncio.to_thread(OpenedFile, self.folder.log(number), f"Node {number} has no log yet.")

    async def append(self, number: int, pod: str, stream: Stream, offset: int, content: bytes) -> int:
        """How much of the stream is here then."""
        return await asyncio.to_thread(self._node(number).append, pod, stream, offset, content)

    async def put_state(self, number: int, pod: str, content: bytes) -> None:
        await asyncio.to_thread(self._node(number).put_state, pod, content)

    async def put_notebook(self, number: int, pod: str, pieces: AsyncIterator[bytes]) -> None:
        """The executed notebook; the first node's is the job's."""
        await asyncio.to_thread(self._node(number).check, pod)
        async with received(pieces, self._incoming) as upload:
            if number == 0:
                await asyncio.to_thread(upload.place, self.folder.executed)

    async def put_output(self, number: int, pod: str, path: str, pieces: AsyncIterator[bytes]) -> None:
        await asyncio.to_thread(self._node(number).check, pod)
        await asyncio.to_thread(file_below, self.folder.outputs, path)
        async with received(pieces, self._incoming) as upload:
            await asyncio.to_thread(keep_output, self.folder, self.attempt, path, upload.path)

    async def end(self, number: int, pod: str) -> None:
        """The node's last word: nothing more will come."""
        await asyncio.to_thread(self._node(number).check, pod)
        await asyncio.to_thread(keep_log, self.folder, self.attempt, number)
        await asyncio.to_thread(self._node(number).end, pod)

    @property
    def _incoming(self) -> Path:
        return self.folder.root / ".incoming"

    def _node(self, number: int) -> Node:
        if not 0 <= number < self.attempt.nodes:
            raise InvalidInput(f"The job has {self.attempt.nodes} node(s), counted from 0; there is no node {number}.")
        return Node(self.folder, number)


@dataclass(frozen=True)
class IntakeService:
    """Lets the pods of a job in."""

    database: Database
    settings: Settings

    async def of(self, job_id: str, token: str) -> Intake:
        """NotAuthenticated for any token but that of the attempt that runs."""
        row = await running_job(self.database, self.settings, job_id, token)
        folder = JobFolder(self.settings.data_dir / "jobs" / row.id)
        attempt = await asyncio.to_thread(Attempt.load, folder)
        if attempt is None or attempt.attempt != row.attempt:
            raise NotAuthenticated(REFUSED)
        limits = BundleLimits(files=self.settings.bundle_files, total_bytes=self.settings.bundle_bytes)
        return Intake(folder, attempt, limits)


def _far(attempt: Attempt) -> FarChannels:
    return FarChannels(
        inputs=[one for one in attempt.inputs if is_object_url(one[1])],
        outputs=[one for one in attempt.outputs if is_object_url(one[1])],
        logs=attempt.logs if is_object_url(attempt.logs) else "",
    )


def _listed(name: str, place: Path) -> NodeFiles:
    """The files of a folder, or one file by its name."""
    paths = [place] if place.is_file() else list(files_in(place))
    base = place.parent if place.is_file() else place
    found = [_described(path, base) for path in paths]
    return NodeFiles(name=name, files=sorted((file for file in found if file), key=lambda file: file.path))


def _described(path: Path, base: Path) -> InputFile | None:
    try:
        name = path.relative_to(base).as_posix()
        name.encode()
        return InputFile(path=name, size=results.size_of(path))
    except UnicodeEncodeError:
        return None

"""What people may read of what a job left."""

import asyncio
import gzip
import json
import math
import os
import tarfile
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.backends.base import JobBackend
from jupyter_mlplat.db.engine import Database
from jupyter_mlplat.errors import InvalidInput, NotFound
from jupyter_mlplat.jobs import store
from jupyter_mlplat.jobs.lookup import job_for
from jupyter_mlplat.jobs.models import FINAL, JobFile, Kind, MetricPoint
from jupyter_mlplat.jobs.store import JobRow

PIECE = 1 << 18
FOLLOW_SECONDS = 0.3


@dataclass(frozen=True)
class Log:
    """A log's size in bytes when it was asked for, and its bytes from an offset on."""

    size: int
    pieces: AsyncIterator[bytes]


@dataclass(frozen=True)
class JobResults:
    """Logs, notebook, metrics and files of jobs."""

    database: Database
    backend: JobBackend

    async def log(self, actor: Actor, job_id: str, node: int, offset: int, follow: bool) -> Log:
        """The log of one node from a byte offset: what is there, or with `follow` until the job has ended."""
        row = await self._row(actor, job_id)
        if node >= row.nodes:
            raise InvalidInput(f"{row.label} runs on {row.nodes} node(s), counted from 0; there is no node {node}.")
        size = await self.backend.log_size(job_id, node)
        if follow:
            return Log(size, self._followed(job_id, node, offset))
        return Log(size, self._written(job_id, node, offset, size))

    async def notebook(self, actor: Actor, job_id: str) -> bytes:
        """The executed notebook as far as it is, as JSON that every reader takes."""
        row = await self._row(actor, job_id)
        if row.kind != Kind.NOTEBOOK:
            raise NotFound(f"{row.label} runs the script {row.entry}, so it has no notebook. See its log.")
        notebook = await self.backend.notebook(job_id)
        if notebook is None:
            raise NotFound(f"{row.label} has not run a cell yet. Look again in a moment.")
        return await asyncio.to_thread(_as_json, notebook)

    async def metrics(self, actor: Actor, job_id: str) -> list[MetricPoint]:
        await self._row(actor, job_id)
        return await self.backend.metrics(job_id)

    async def files(self, actor: Actor, job_id: str) -> list[JobFile]:
        await self._row(actor, job_id)
        return await self.backend.files(job_id)

    async def open_file(self, actor: Actor, job_id: str, path: str) -> Path:
        """A readable path of one file that the job left."""
        await self._row(actor, job_id)
        return await self.backend.open_file(job_id, path)

    async def archive(self, actor: Actor, job_id: str) -> tuple[str, AsyncIterator[bytes]]:
        """A name for all that the job left, and its bytes as a tar.gz, made while they are sent."""
        row = await self._row(actor, job_id)
        names = [file.path for file in await self.backend.files(job_id)]
        places = [(name, await self.backend.open_file(job_id, name)) for name in names]
        return f"{row.name}-{row.number}.tar.gz", _packed(places)

    async def _row(self, actor: Actor, job_id: str) -> JobRow:
        async with self.database.read() as session:
            return await job_for(session, actor, "job:read", job_id)

    async def _written(self, job_id: str, node: int, offset: int, size: int) -> AsyncIterator[bytes]:
        while offset < size:
            piece = await self.backend.read_log(job_id, node, offset, min(PIECE, size - offset))
            if not piece:
                return
            offset += len(piece)
            yield piece

    async def _followed(self, job_id: str, node: int, offset: int) -> AsyncIterator[bytes]:
        while True:
            ended = await self._has_ended(job_id)
            while piece := await self.backend.read_log(job_id, node, offset, PIECE):
                offset += len(piece)
                yield piece
            if ended:
                return
            await asyncio.sleep(FOLLOW_SECONDS)

    async def _has_ended(self, job_id: str) -> bool:
        async with self.database.read() as session:
            row = await store.get(session, job_id)
        return row is None or row.phase in FINAL


def _as_json(notebook: dict[str, Any]) -> bytes:
    """JSON in ASCII; NaN and infinities, which libraries leave in outputs and JSON does not know, become null."""
    try:
        return json.dumps(notebook, allow_nan=False).encode()
    except ValueError:
        return json.dumps(_finite(notebook)).encode()


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


async def _packed(places: list[tuple[str, Path]]) -> AsyncIterator[bytes]:
    """The files as a tar.gz that a thread writes into a pipe, so that little of it is ever in memory."""
    reading, writing = os.pipe()
    # A thread of its own: it waits for a slow reader, and the shared ones are few.
    with ThreadPoolExecutor(1) as own:
        packing = asyncio.get_running_loop().run_in_executor(own, _pack, places, writing)
        try:
            while piece := await asyncio.to_thread(os.read, reading, PIECE):
                yield piece
            await packing
        finally:
            # A reader that is gone ends the packing: its next write fails.
            os.close(reading)
            await asyncio.gather(packing, return_exceptions=True)


def _pack(places: list[tuple[str, Path]], writing: int) -> None:
    with (
        os.fdopen(writing, "wb") as sink,
        gzip.GzipFile(fileobj=sink, mode="wb", compresslevel=3) as packed,
        tarfile.open(fileobj=packed, mode="w|") as archive,
    ):
        for name, place in places:
            archive.add(place, arcname=name, recursive=False, filter=_nobodys)


def _nobodys(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member

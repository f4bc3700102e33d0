"""Jobs that are only told of, and fakes named for what fails in them."""

import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from jupyter_mlplat.backends.base import Checkpoint, JobBackend, JobObservation, JobSpec, JobState
from jupyter_mlplat.backends.memory.world import Run, World
from jupyter_mlplat.core.clock import now
from jupyter_mlplat.errors import BackendFailure, InvalidInput, NotFound
from jupyter_mlplat.jobs.models import JobFile, Kind, MetricPoint

CELLS = 3


class MemoryJobs(JobBackend):
    """Jobs of three cells: each look finds one more done, and after the last the job has ended as `ends` says."""

    ends = JobState.COMPLETED

    def __init__(self, world: World | None = None) -> None:
        self.world = world or World()
        self._outputs = tempfile.TemporaryDirectory(prefix="mlplat-memory-")

    async def start(self, spec: JobSpec) -> AsyncGenerator[Checkpoint, None]:
        yield Checkpoint("Unpacking the files", event="PreparingFiles")
        await self._unpack(spec)
        yield Checkpoint("Preparing the environment")
        run = self.world.runs.get(spec.job_id)
        if run is None or run.spec.attempt != spec.attempt:
            self.world.runs[spec.job_id] = Run(spec)
        await self.world.reach("job:started")

    async def _unpack(self, spec: JobSpec) -> None:
        await self.world.reach("job:unpacked")

    async def observe(self, job_id: str, attempt: int) -> JobObservation:
        run = self.world.runs.get(job_id)
        if run is None or run.spec.attempt != attempt:
            return JobObservation(JobState.ABSENT)
        if run.state is JobState.RUNNING:
            self._advance(run)
            await self.world.reach("job:advanced")
        exit_code = {JobState.COMPLETED: 0, JobState.FAILED: 1, JobState.STOPPED: -15}.get(run.state)
        metrics = {"loss": 1 / run.cells} if run.cells else {}
        return JobObservation(
            run.state,
            exit_code=exit_code,
            finished_at=run.finished_at,
            cells_done=run.cells,
            cells_total=CELLS,
            last_metrics=metrics,
        )

    def _advance(self, run: Run) -> None:
        if run.cells < CELLS:
            run.cells += 1
        else:
            state = self._end(run)
            if state is not JobState.RUNNING:
                run.end(state)

    def _end(self, run: Run) -> JobState:
        return self.world.ends.get(run.spec.job_id, self.ends)

    async def stop(self, job_id: str) -> None:
        run = self.world.runs.get(job_id)
        if run is not None and run.state is JobState.RUNNING:
            run.end(JobState.STOPPED)
        await self.world.reach("job:stopped")

    async def delete(self, job_id: str) -> None:
        self.world.runs.pop(job_id, None)
        await self.world.reach("job:deleted")

    async def log_size(self, job_id: str, node: int) -> int:
        return len(self._log(job_id))

    async def read_log(self, job_id: str, node: int, offset: int, limit: int) -> bytes:
        return self._log(job_id)[offset : offset + limit]

    def _log(self, job_id: str) -> bytes:
        return b"".join(b"cell %d\n" % cell for cell in range(1, self._cells(job_id) + 1))

    def _cells(self, job_id: str) -> int:
        run = self.world.runs.get(job_id)
        return run.cells if run else 0

    async def notebook(self, job_id: str) -> dict[str, Any] | None:
        run = self.world.runs.get(job_id)
        if run is None or run.spec.kind is not Kind.NOTEBOOK:
            return None
        cells = [{"cell_type": "code", "source": f"cell {cell + 1}"} for cell in range(self._cells(job_id))]
        return {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5} if cells else None

    async def metrics(self, job_id: str) -> list[MetricPoint]:
        return [
            MetricPoint(step=cell, at=now(), values={"loss": 1 / cell}) for cell in range(1, self._cells(job_id) + 1)
        ]

    async def files(self, job_id: str) -> list[JobFile]:
        run = self.world.runs.get(job_id)
        if run is None or run.state is not JobState.COMPLETED:
            return []
        names = ["model/weights.bin"] + ["executed.ipynb"] * (run.spec.kind is Kind.NOTEBOOK)
        return [JobFile(path=name, size=len(name.encode()), modified_at=now()) for name in names]

    async def open_file(self, job_id: str, path: str) -> Path:
        """Each file holds its own name."""
        if path not in {file.path for file in await self.files(job_id)}:
            raise NotFound(f"The job has left no file {path!r}.")
        place = Path(self._outputs.name, job_id, path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(path)
        return place


class JobFails(MemoryJobs):
    ends = JobState.FAILED


class JobIsLost(MemoryJobs):
    ends = JobState.LOST


class JobFailsOnce(MemoryJobs):
    def _end(self, run: Run) -> JobState:
        return JobState.FAILED if run.spec.attempt == 1 else JobState.COMPLETED


class JobNeverEnds(MemoryJobs):
    ends = JobState.RUNNING


class BundleIsBroken(MemoryJobs):
    async def _unpack(self, spec: JobSpec) -> None:
        raise InvalidInput("The bundle cannot be read: it is no whole tar+zstd file. Pack it again.")


class StartHitsABug(MemoryJobs):
    async def _unpack(self, spec: JobSpec) -> None:
        raise RuntimeError("a mistake of ours")


class MachineIsAwayOnce(MemoryJobs):
    away = True

    async def _unpack(self, spec: JobSpec) -> None:
        if self.away:
            self.away = False
            raise BackendFailure("The machine does not answer. Try again soon.")
        await super()._unpack(spec)

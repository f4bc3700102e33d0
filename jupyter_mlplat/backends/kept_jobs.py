"""Jobs whose logs and results lie below `DATA/jobs/ID`: the half of a back end that reads them."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

from jupyter_mlplat.backends import job_results as results
from jupyter_mlplat.backends.base import JobBackend
from jupyter_mlplat.errors import Conflict, InvalidInput
from jupyter_mlplat.jobs.models import JobFile, MetricPoint
from jupyter_mlplat.runner.layout import JobFolder


class KeptJobs(JobBackend):
    """Reads what jobs leave in the data folder; how they run is for the classes below it."""

    def __init__(self, data_dir: Path) -> None:
        self._data = data_dir
        self._metrics: dict[str, results.LatestMetrics] = {}

    async def log_size(self, job_id: str, node: int) -> int:
        return await asyncio.to_thread(results.size_of, self._folder(job_id).log(node))

    async def read_log(self, job_id: str, node: int, offset: int, limit: int) -> bytes:
        return await asyncio.to_thread(results.read_piece, self._folder(job_id).log(node), offset, limit)

    async def notebook(self, job_id: str) -> dict[str, Any] | None:
        return await asyncio.to_thread(results.executed_notebook, self._folder(job_id))

    async def metrics(self, job_id: str) -> list[MetricPoint]:
        """Values that are no finite numbers are left out: JSON has none for them."""
        return await asyncio.to_thread(results.metric_points, self._folder(job_id))

    async def files(self, job_id: str) -> list[JobFile]:
        return await asyncio.to_thread(results.output_files, self._folder(job_id))

    async def open_file(self, job_id: str, path: str) -> Path:
        return await asyncio.to_thread(results.output_file, self._folder(job_id), path)

    async def _last_metrics(self, job_id: str) -> dict[str, float]:
        latest = self._metrics.setdefault(job_id, results.LatestMetrics(self._folder(job_id)))
        return await asyncio.to_thread(latest.values)

    async def _remove_folder(self, job_id: str) -> None:
        """Conflict where something of it cannot be removed."""
        self._metrics.pop(job_id, None)
        await asyncio.to_thread(_remove, self._folder(job_id).root)

    def _folder(self, job_id: str) -> JobFolder:
        if not job_id.replace("-", "").isalnum():
            raise InvalidInput(f"{job_id!r} is no job id.")
        return JobFolder(self._data / "jobs" / job_id)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        raise Conflict(f"Some files of the job could not be removed; see {folder}, then delete it again.")

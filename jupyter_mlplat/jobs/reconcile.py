"""Runs jobs: starts them, watches them to their end, tries again, stops and deletes them."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from enum import StrEnum

from sqlalchemy.ext.asyncio import AsyncSession

from jupyter_mlplat.backends.base import Checkpoint, JobBackend, JobObservation, JobSpec, JobState
from jupyter_mlplat.backends.imaging import ImageBackend
from jupyter_mlplat.core.clock import now
from jupyter_mlplat.core.settings import Settings
from jupyter_mlplat.db.engine import Database
from jupyter_mlplat.errors import BackendFailure, MlplatError, NotFound
from jupyter_mlplat.events import store as events
from jupyter_mlplat.events.broker import Broker
from jupyter_mlplat.flavors.service import FlavorService
from jupyter_mlplat.images import store as images
from jupyter_mlplat.images.prepare import PresetPreparer
from jupyter_mlplat.jobs import store
from jupyter_mlplat.jobs.channels import JobChannels
from jupyter_mlplat.jobs.models import FINAL, Phase
from jupyter_mlplat.jobs.spec import Folders, spec_of
from jupyter_mlplat.jobs.store import JobRow, Target
from jupyter_mlplat.jobs.sweep import sweep
from jupyter_mlplat.jobs.uploads import BundleFolder, release
from jupyter_mlplat.reconciling.loop import Reconciler
from jupyter_mlplat.reconciling.nudge import unless

log = logging.getLogger(__name__)

WATCH_SECONDS = 1.0
SWEEP_SECONDS = 3600.0
SWEEP = "sweep"
"""Stands among the pending ids for the removal of uploads that came to nothing."""
UNDER_WAY = frozenset({JobState.PENDING, JobState.RUNNING})
AGAIN = frozenset({JobState.FAILED, JobState.LOST, JobState.ABSENT})
"""How an attempt ends that `retries` may follow up."""

ENDS = {
    JobState.COMPLETED: Phase.COMPLETED,
    JobState.FAILED: Phase.FAILED,
    JobState.STOPPED: Phase.TERMINATED,
    JobState.LOST: Phase.ABNORMAL,
    JobState.ABSENT: Phase.ABNORMAL,
}
WORDS = {
    JobState.COMPLETED: "The job has completed",
    JobState.FAILED: "The job failed; its log says why.",
    JobState.STOPPED: "The job was stopped",
    JobState.LOST: "Its processes ended without a result: killed, or the machine restarted. Submit it again.",
    JobState.ABSENT: "Nothing is left of its run on this machine. Submit it again.",
}


class Action(StrEnum):
    START = "start"
    WATCH = "watch"
    STOP = "stop"
    DELETE = "delete"


def next_action(phase: Phase, target: Target) -> Action | None:
    """What brings a job nearer to its target."""
    if target == Target.DELETED:
        return Action.DELETE
    if phase in FINAL:
        return None
    if target == Target.STOPPED or phase == Phase.TERMINATING:
        return Action.STOP
    return Action.WATCH if phase == Phase.RUNNING else Action.START


class JobReconciler(Reconciler):
    """Runs jobs through the back end, and removes what deleted ones left."""

    noun = "job"

    def __init__(
        self,
        database: Database,
        broker: Broker,
        backend: JobBackend,
        image_backend: ImageBackend,
        flavors: FlavorService,
        channels: JobChannels,
        settings: Settings,
    ) -> None:
        super().__init__(database, broker)
        self._backend = backend
        self._flavors = flavors
        self._channels = channels
        self._bundles = BundleFolder(settings.data_dir / "bundles")
        self._presets = PresetPreparer(self.database, image_backend)
        self._incoming = settings.data_dir / "storage" / ".incoming"
        self._nudges: dict[str, asyncio.Event] = {}
        self._swept = float("-inf")

    async def pending(self) -> list[str]:
        async with self.database.read() as session:
            rows = await store.reconcilable(session)
        for row in rows:
            if row.target != Target.ENDED and row.id in self._nudges:
                self._nudges[row.id].set()
        due = time.monotonic() - self._swept > SWEEP_SECONDS
        return [row.id for row in rows] + [SWEEP] * due

    async def reconcile(self, resource_id: str) -> None:
        if resource_id == SWEEP:
            self._swept = time.monotonic()
            await sweep(self.database, self._bundles, self._incoming)
            return
        async with self.database.read() as session:
            row = await store.get(session, resource_id)
        action = next_action(Phase(row.phase), Target(row.target)) if row else None
        if row is None or action is None:
            return
        work = {
            Action.START: self._start,
            Action.WATCH: self._watch,
            Action.STOP: self._stop,
            Action.DELETE: self._delete,
        }[action]
        await work(row)

    async def _start(self, row: JobRow) -> None:
        nudge = self._nudges[row.id] = asyncio.Event()
        try:
            if await self._follow(row.id, self._start_steps(row), nudge):
                await self._running(row)
        except BackendFailure:
            raise
        except MlplatError as error:
            await self._give_up(row.id, error.message)
        except Exception:
            log.exception("starting job %s failed", row.id)
            await self._give_up(row.id, "The job could not be started: the platform failed, and its log says more.")
        finally:
            del self._nudges[row.id]

    async def _give_up(self, job_id: str, why: str) -> None:
        """A start that failed would fail again: clean up, and no retry."""
        await self._backend.stop(job_id)
        await self._end(job_id, JobObservation(JobState.FAILED, why), again=False)

    async def _start_steps(self, row: JobRow) -> AsyncGenerator[Checkpoint, None]:
        if row.image_digest is None:
            async with aclosing(self._presets.prepare(row.image_id)) as checkpoints:
                async for checkpoint in checkpoints:
                    yield checkpoint
            row = await self._pin(row.id)
        spec = await self._spec(row)
        await self._pending(row.id)
        async with aclosing(self._backend.start(spec)) as checkpoints:
            async for checkpoint in checkpoints:
                yield checkpoint

    async def _pin(self, job_id: str) -> JobRow:
        """Take the digest of a preset that was not there yet when the job was submitted."""
        async with self.database.transaction() as session:
            row = await self._fresh(session, job_id)
            image = await images.get(session, row.image_id)
            if image is None:
                raise NotFound(f"The image {row.image_name} is gone; submit the job on another image.")
            row.pin(image)
            return row

    async def _pending(self, job_id: str) -> None:
        async with self.database.transaction() as session:
            row = await self._fresh(session, job_id)
            if row.phase == Phase.CREATING:
                row.phase = Phase.PENDING
                self._emit(session, row, "Scheduled", f"Attempt {row.attempt} waits for its start")

    async def _running(self, row: JobRow) -> None:
        async with self.database.transaction() as session:
            fresh = await self._fresh(session, row.id)
            fresh.phase, fresh.phase_message = Phase.RUNNING, ""
            fresh.started_at = fresh.started_at or now()
            self._emit(session, fresh, "Running", "The job is running")

    async def _watch(self, row: JobRow) -> None:
        """Until the attempt has ended or the target changed."""
        nudge = self._nudges[row.id] = asyncio.Event()
        try:
            while not nudge.is_set():
                seen = await self._backend.observe(row.id, row.attempt)
                if seen.state not in UNDER_WAY:
                    await self._end(row.id, seen)
                    return
                row = await self._note(row, seen)
                if seen.state is JobState.PENDING:
                    await self._back_in_line(row.id, seen)
                    return
                with suppress(TimeoutError):
                    async with asyncio.timeout(WATCH_SECONDS):
                        await nudge.wait()
        finally:
            del self._nudges[row.id]

    async def _back_in_line(self, job_id: str, seen: JobObservation) -> None:
        """A cluster may take its place away from a job, and give it another one later."""
        async with self.database.transaction() as session:
            row = await self._fresh(session, job_id)
            if row.target == Target.ENDED and row.phase == Phase.RUNNING:
                row.phase, row.phase_message = Phase.PENDING, seen.message
                self._emit(session, row, "Waiting", seen.message or "The job waits for its place in the cluster")

    async def _note(self, row: JobRow, seen: JobObservation) -> JobRow:
        """Store progress where it moved."""
        reached = (seen.cells_done, seen.cells_total, seen.last_metrics)
        if reached == (row.cells_done, row.cells_total, row.last_metrics):
            return row
        async with self.database.transaction() as session:
            row = await self._fresh(session, row.id)
            _take_progress(row, seen)
        self.broker.touch(row.owner, "job", row.id)
        return row

    async def _end(self, job_id: str, seen: JobObservation, *, again: bool = True) -> None:
        """Store how an attempt ended, or that there will be another one."""
        async with self.database.transaction() as session:
            row = await self._fresh(session, job_id)
            if row.target != Target.ENDED:
                return
            _take_progress(row, seen)
            if again and seen.state in AGAIN and row.attempt <= row.retries:
                self._try_again(session, row, seen)
            else:
                self._finish(session, row, ENDS[seen.state], seen)

    def _try_again(self, session: AsyncSession, row: JobRow, seen: JobObservation) -> None:
        row.attempt += 1
        row.phase, row.phase_message = Phase.CREATING, ""
        row.cells_done = 0
        why = seen.message or WORDS[seen.state]
        self._emit(session, row, "Retrying", f"Attempt {row.attempt} of {row.retries + 1} follows. {why}")

    def _finish(self, session: AsyncSession, row: JobRow, phase: Phase, seen: JobObservation) -> None:
        words = seen.message or WORDS[seen.state]
        row.phase = phase
        row.phase_message = "" if phase == Phase.COMPLETED else words
        row.exit_code = seen.exit_code
        row.finished_at = seen.finished_at or now()
        self._emit(session, row, phase.value, words)

    async def _stop(self, row: JobRow) -> None:
        async with self.database.transaction() as session:
            fresh = await self._fresh(session, row.id)
            if fresh.phase != Phase.TERMINATING:
                fresh.phase = Phase.TERMINATING
                self._emit(session, fresh, "Terminating", "Stopping the job")
        await self._backend.stop(row.id)
        seen = await self._backend.observe(row.id, row.attempt)
        async with self.database.transaction() as session:
            fresh = await self._fresh(session, row.id)
            _take_progress(fresh, seen)
            if seen.state is JobState.COMPLETED:
                self._finish(session, fresh, Phase.COMPLETED, seen)
            else:
                stopped = JobObservation(JobState.STOPPED, "", seen.exit_code, finished_at=seen.finished_at)
                self._finish(session, fresh, Phase.TERMINATED, stopped)

    async def _delete(self, row: JobRow) -> None:
        try:
            await self._backend.stop(row.id)
            await self._backend.delete(row.id)
        except BackendFailure:
            raise
        except MlplatError as error:
            await self._delete_failed(row.id, error.message)
            return
        async with self.database.transaction() as session:
            fresh = await self._fresh(session, row.id)
            fresh.deleted_at = now()
            if fresh.phase not in FINAL:
                fresh.phase = Phase.TERMINATED
            self._emit(session, fresh, "Deleted", f"{fresh.label} is deleted")
            await session.flush()
            await release(session, self._bundles, fresh.owner, fresh.bundle)

    async def _delete_failed(self, job_id: str, why: str) -> None:
        async with self.database.transaction() as session:
            row = await self._fresh(session, job_id)
            row.target = Target.STOPPED
            row.phase_message = f"It could not be deleted: {why}"
            self._emit(session, row, "DeleteFailed", row.phase_message)

    async def _follow(self, job_id: str, checkpoints: AsyncGenerator[Checkpoint, None], nudge: asyncio.Event) -> bool:
        """Store each checkpoint; False (and the work cut off) once the job is to stop."""
        async with aclosing(checkpoints):
            while not nudge.is_set():
                checkpoint = await unless(nudge, anext(checkpoints, None))
                if checkpoint is None:
                    return not nudge.is_set()
                row = await self._store(job_id, checkpoint)
                if row.target != Target.ENDED:
                    return False
        return False

    async def _store(self, job_id: str, checkpoint: Checkpoint) -> JobRow:
        async with self.database.transaction() as session:
            row = await self._fresh(session, job_id)
            row.phase_message = checkpoint.message
            if checkpoint.event:
                self._emit(session, row, checkpoint.event, checkpoint.message)
        if not checkpoint.event:
            self.broker.touch(row.owner, "job", row.id)
        return row

    async def _spec(self, row: JobRow) -> JobSpec:
        return spec_of(
            row,
            self._flavors.get(row.flavor),
            self._bundles.path(row.bundle),
            await self._folders(row.owner, row.inputs),
            await self._folders(row.owner, row.outputs),
            await self._channels.place(row.owner, row.logs) if row.logs else "",
        )

    async def _folders(self, owner: str, channels: list[dict[str, str]]) -> Folders:
        places = [(channel["name"], await self._channels.place(owner, channel["url"])) for channel in channels]
        return tuple(places)

    async def _fresh(self, session: AsyncSession, job_id: str) -> JobRow:
        row = await session.get(JobRow, job_id)
        if row is None:
            raise NotFound(f"There is no job {job_id!r}.")
        return row

    def _emit(self, session: AsyncSession, row: JobRow, type: str, message: str) -> None:
        events.emit(session, "job", row.id, row.owner, type, message)


def _take_progress(row: JobRow, seen: JobObservation) -> None:
    """What an observation says of the way; one of a job that never ran says nothing."""
    if seen.cells_total:
        row.cells_done, row.cells_total = seen.cells_done, seen.cells_total
    if seen.last_metrics:
        row.last_metrics = dict(seen.last_metrics)
    if seen.started_at and row.attempt == 1:
        row.started_at = seen.started_at

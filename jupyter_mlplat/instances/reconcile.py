"""Moves instances to their targets."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from secrets import token_hex

from sqlalchemy.ext.asyncio import AsyncSession

from jupyter_mlplat.backends.base import Checkpoint, InstanceBackend, InstanceSpec, LiveResize, ServerState
from jupyter_mlplat.backends.imaging import ImageBackend
from jupyter_mlplat.core.clock import now
from jupyter_mlplat.db.engine import Database
from jupyter_mlplat.errors import BackendFailure, MlplatError, NotFound
from jupyter_mlplat.events import store as events
from jupyter_mlplat.events.broker import Broker
from jupyter_mlplat.flavors.service import FlavorService
from jupyter_mlplat.images import store as images
from jupyter_mlplat.images.prepare import PresetPreparer
from jupyter_mlplat.instances import store
from jupyter_mlplat.instances.actions import Action, next_action
from jupyter_mlplat.instances.models import Status, StepName, StepStatus, Target
from jupyter_mlplat.instances.spec import spec_of
from jupyter_mlplat.instances.steps import advance, close, fresh
from jupyter_mlplat.instances.store import InstanceRow, PermitRow
from jupyter_mlplat.reconciling.batches import in_batches
from jupyter_mlplat.reconciling.loop import Reconciler
from jupyter_mlplat.reconciling.nudge import unless
from jupyter_mlplat.reconciling.together import Together

OBSERVE_SECONDS = 5.0
LOOKS_AT_ONCE = 16
LOOK = "look"
"""Stands among the pending ids for a look at all that run."""
MAX_RESTARTS = 3


class InstanceReconciler(Reconciler):
    """Starts, stops, switches, deletes and watches instances through the back end."""

    noun = "instance"

    def __init__(
        self,
        database: Database,
        broker: Broker,
        backend: InstanceBackend,
        image_backend: ImageBackend,
        flavors: FlavorService,
    ) -> None:
        super().__init__(database, broker)
        self._backend = backend
        self._flavors = flavors
        self._presets = PresetPreparer(self.database, image_backend)
        self._together = Together(self.database, InstanceRow)
        self._looked = float("-inf")
        self._watches = False
        self._suspects: set[str] = set()
        self._nudges: dict[str, asyncio.Event] = {}

    def rest(self) -> float:
        return min(super().rest(), OBSERVE_SECONDS) if self._watches else super().rest()

    async def pending(self) -> list[str]:
        async with self.database.read() as session:
            rows = await store.unsettled(session, self._suspects)
            self._watches = await store.any_running(session)
        for row in rows:
            if row.target != Target.RUNNING and row.id in self._nudges:
                self._nudges[row.id].set()
        actions = {row.id: self._action(row) for row in rows}
        self._suspects &= {instance_id for instance_id, action in actions.items() if action is Action.OBSERVE}
        if not self._watches:
            self._looked = time.monotonic()
        due = time.monotonic() - self._looked >= OBSERVE_SECONDS
        return [LOOK] * due + [instance_id for instance_id, action in actions.items() if action is not None]

    def _action(self, row: InstanceRow) -> Action | None:
        return next_action(
            Status(row.status),
            Target(row.target),
            saving=row.saving_image_id is not None,
            switching=row.switching,
            live=self._is_live_switch(row),
        )

    def _is_live_switch(self, row: InstanceRow) -> bool:
        if row.target_image_id is not None or row.target_flavor is None or not isinstance(self._backend, LiveResize):
            return False
        return self._backend.can_resize(self._flavors.get(row.flavor), self._flavors.get(row.target_flavor))

    async def reconcile(self, resource_id: str) -> None:
        if resource_id == LOOK:
            await self._look()
            return
        async with self.database.read() as session:
            row = await store.get(session, resource_id)
        action = self._action(row) if row else None
        if row is None or action is None:
            return
        work = {
            Action.START: self._start,
            Action.STOP: self._stop,
            Action.DELETE: self._delete,
            Action.RESIZE: self._resize,
            Action.APPLY: self._apply,
            Action.OBSERVE: self._observe,
        }[action]
        await work(row)

    async def _start(self, row: InstanceRow) -> None:
        first, permit = row.started_at is None, token_hex(16)
        nudge = self._nudges[row.id] = asyncio.Event()
        try:
            scheduled = await self._schedule(row.id, Status.CREATING if first else Status.STARTING, permit)
            if scheduled and await self._follow(row.id, self._start_steps(scheduled, permit), nudge):
                await self._running(row.id)
        except BackendFailure as failure:
            await self._waits(row.id, failure.message)
            raise
        except MlplatError as error:
            if await self._is_wanted(row.id):
                await self._give_up(row, Status.CREATE_FAILED if first else Status.START_FAILED, error.message)
        finally:
            del self._nudges[row.id]

    async def _schedule(self, instance_id: str, status: Status, permit: str) -> InstanceRow | None:
        """What is to start with that permit, if it still is; one that is tried again is not announced anew."""

        async def scheduled(session: AsyncSession) -> InstanceRow | None:
            row = await self._fresh(session, instance_id)
            if row.target != Target.RUNNING:
                return None
            if row.status != status or not row.steps:
                row.status, row.status_message = status, ""
                self._emit(session, row, "Scheduled", "Preparing the instance")
            row.steps = fresh()
            session.add(PermitRow(id=permit, instance_id=row.id))
            return row

        return await self._together.change(instance_id, scheduled)

    async def _waits(self, instance_id: str, why: str) -> None:
        """Say what a start waits for that is tried again."""
        async with self.database.transaction(silent=True) as session:
            row = await self._fresh(session, instance_id)
            row.status_message = why
        self.broker.touch(row.owner, "instance", instance_id)

    async def _is_wanted(self, instance_id: str) -> bool:
        """Whether it is still to run: the Hub is refused a start that its user has called off meanwhile."""
        async with self.database.read() as session:
            return (await self._fresh(session, instance_id)).target == Target.RUNNING

    async def _start_steps(self, row: InstanceRow, permit: str) -> AsyncGenerator[Checkpoint, None]:
        if row.image_digest is None:
            async with aclosing(self._presets.prepare(row.image_id)) as checkpoints:
                async for checkpoint in checkpoints:
                    yield replace(checkpoint, step=StepName.PREPARE_COMPUTE)
            row = await self._pin(row.id)
        spec = spec_of(row, self._flavors.get(row.flavor), permit)
        async with aclosing(self._backend.start(spec)) as checkpoints:
            async for checkpoint in checkpoints:
                yield checkpoint

    async def _pin(self, instance_id: str) -> InstanceRow:
        """Take the digest of a preset that was not there yet when it was chosen."""
        async with self.database.transaction() as session:
            row = await self._fresh(session, instance_id)
            image = await images.get(session, row.image_id)
            if image is None:
                raise NotFound(f"The image {row.image_name} is gone; switch the instance to another image.")
            row.pin(image)
            return row

    async def _running(self, instance_id: str) -> None:
        async def running(session: AsyncSession) -> None:
            row = await self._fresh(session, instance_id)
            row.status, row.status_message = Status.RUNNING, ""
            row.started_at = now()
            row.steps = close(row.steps, StepStatus.COMPLETED)
            self._emit(session, row, "NotebookHealthy", "The instance is running")

        await self._together.change(instance_id, running)

    async def _stop(self, row: InstanceRow) -> None:
        async with self.database.transaction() as session:
            fresh_row = await self._fresh(session, row.id)
            fresh_row.status = Status.STOPPING
            self._emit(session, fresh_row, "StopNotebook", "Stopping the instance")
        await self._follow_to_the_end(row.id, self._backend.stop(await self._spec(row.id)))
        async with self.database.transaction() as session:
            fresh_row = await self._fresh(session, row.id)
            fresh_row.status, fresh_row.status_message = Status.STOPPED, ""
            fresh_row.steps = []
            self._emit(session, fresh_row, "Stopped", "The instance is stopped; its work folder is kept")

    async def _delete(self, row: InstanceRow) -> None:
        async with self.database.transaction() as session:
            (await self._fresh(session, row.id)).status = Status.DELETING
        spec = await self._spec(row.id)
        try:
            await self._follow_to_the_end(row.id, self._backend.stop(spec))
            await self._follow_to_the_end(row.id, self._backend.delete(spec))
        except BackendFailure:
            raise
        except MlplatError as error:
            await self._fail(row.id, Status.DELETE_FAILED, error.message)
            return
        async with self.database.transaction() as session:
            fresh_row = await self._fresh(session, row.id)
            fresh_row.status = Status.DELETED
            self._emit(session, fresh_row, "Deleted", "The instance is deleted")

    async def _resize(self, row: InstanceRow) -> None:
        assert isinstance(self._backend, LiveResize)
        assert row.target_flavor is not None
        new = self._flavors.get(row.target_flavor)
        try:
            await self._backend.resize(await self._spec(row.id, flavor_id=new.id))
        except BackendFailure:
            raise
        except MlplatError as error:
            await self._drop_switch(row.id, error.message)
            return
        async with self.database.transaction() as session:
            fresh_row = await self._fresh(session, row.id)
            fresh_row.flavor, fresh_row.target_flavor = new.id, None
            self._emit(session, fresh_row, "UpdateFlavor", f"Switched to {new.name} without a restart")

    async def _drop_switch(self, instance_id: str, why: str) -> None:
        async with self.database.transaction() as session:
            row = await self._fresh(session, instance_id)
            row.target_flavor = None
            self._emit(session, row, "UpdateFlavorFailed", f"{why} The old flavor stays in force.")

    async def _apply(self, row: InstanceRow) -> None:
        """Put a switch into an instance that is not running."""
        async with self.database.transaction() as session:
            fresh_row = await self._fresh(session, row.id)
            if fresh_row.target_flavor:
                fresh_row.flavor, fresh_row.target_flavor = fresh_row.target_flavor, None
                name = self._flavors.get(fresh_row.flavor).name
                self._emit(session, fresh_row, "UpdateFlavor", f"Switched to {name}")
            if fresh_row.target_image_id:
                image = await images.get(session, fresh_row.target_image_id)
                fresh_row.target_image_id = None
                if image is not None:
                    fresh_row.pin(image)
                    self._emit(session, fresh_row, "UpdateImage", f"Switched to {image.full_name}")

    async def _look(self) -> None:
        """At all that run: what is not as it should be gets a look of its own, which may act."""
        self._looked = time.monotonic()
        active: dict[str, datetime] = {}
        last = ""
        while rows := await self._running_after(last):
            found = await asyncio.gather(*(self._glance(row) for row in rows))
            active |= {instance_id: moment for instance_id, moment in found if moment is not None}
            last = rows[-1].id
        if active:
            async with self.database.transaction(silent=True) as session:
                await store.note_activity(session, active)

    async def _running_after(self, last: str) -> list[InstanceRow]:
        async with self.database.read() as session:
            return await store.running(session, last, LOOKS_AT_ONCE)

    async def _glance(self, row: InstanceRow) -> tuple[str, datetime | None]:
        """The instance, and its last activity where that is news."""
        try:
            seen = await self._backend.observe(spec_of(row, self._flavors.get(row.flavor)))
        except MlplatError:
            self._suspects.add(row.id)
            return row.id, None
        if seen.state is ServerState.GONE:
            self._suspects.add(row.id)
        return row.id, seen.last_activity if seen.last_activity != row.last_activity else None

    async def _observe(self, row: InstanceRow) -> None:
        seen = await self._backend.observe(await self._spec(row.id))
        self._suspects.discard(row.id)
        if seen.state is ServerState.GONE:
            await self._server_gone(row, seen.message)

    async def _server_gone(self, row: InstanceRow, why: str) -> None:
        """A server that ended by itself is started anew, a few times."""
        reason = why or "its process ended"
        if row.restarts >= MAX_RESTARTS:
            await self._give_up(row, Status.ERROR, f"The server ended {row.restarts + 1} times ({reason}).")
            return
        async with self.database.transaction() as session:
            fresh_row = await self._fresh(session, row.id)
            fresh_row.status = Status.STARTING
            fresh_row.restarts += 1
            fresh_row.steps = []
            self._emit(session, fresh_row, "ServerEnded", f"The server ended ({reason}); it is started anew")

    async def _follow(
        self, instance_id: str, checkpoints: AsyncGenerator[Checkpoint, None], nudge: asyncio.Event
    ) -> bool:
        """Store the checkpoints; False (and the work cut off) once it is no longer to run."""
        async with aclosing(in_batches(checkpoints)) as batches:
            while not nudge.is_set():
                batch = await unless(nudge, anext(batches, None))
                if batch is None:
                    return not nudge.is_set()
                row = await self._store(instance_id, batch)
                if row.target != Target.RUNNING:
                    return False
        return False

    async def _follow_to_the_end(self, instance_id: str, checkpoints: AsyncGenerator[Checkpoint, None]) -> None:
        async with aclosing(in_batches(checkpoints)) as batches:
            async for batch in batches:
                await self._store(instance_id, batch)

    async def _store(self, instance_id: str, batch: list[Checkpoint]) -> InstanceRow:
        async def stored(session: AsyncSession) -> InstanceRow:
            row = await self._fresh(session, instance_id)
            for checkpoint in batch:
                row.steps = advance(row.steps, checkpoint)
                row.status_message = checkpoint.message
                if checkpoint.event:
                    self._emit(session, row, checkpoint.event, checkpoint.message)
            return row

        row = await self._together.change(instance_id, stored)
        if not any(checkpoint.event for checkpoint in batch):
            self.broker.touch(row.owner, "instance", row.id)
        return row

    async def _give_up(self, row: InstanceRow, status: Status, why: str) -> None:
        """Clean up what is left of a failed start; the target becomes STOPPED, so that a start asked for tries anew."""
        async for _ in self._backend.stop(await self._spec(row.id)):
            await asyncio.sleep(0)
        await self._fail(row.id, status, why)

    async def _fail(self, instance_id: str, status: Status, why: str) -> None:
        names = {
            Status.CREATE_FAILED: "FailedCreate",
            Status.START_FAILED: "StartNotebookFailed",
            Status.DELETE_FAILED: "DeleteFailed",
        }
        async with self.database.transaction() as session:
            row = await self._fresh(session, instance_id)
            row.status, row.status_message = status, why
            if row.target == Target.RUNNING:
                row.target = Target.STOPPED
            row.steps = close(row.steps, StepStatus.FAILED, why)
            self._emit(session, row, names.get(status, "Failed"), why)

    async def _spec(self, instance_id: str, *, permit: str = "", flavor_id: str | None = None) -> InstanceSpec:
        async with self.database.read() as session:
            row = await self._fresh(session, instance_id)
        return spec_of(row, self._flavors.get(flavor_id or row.flavor), permit)

    async def _fresh(self, session: AsyncSession, instance_id: str) -> InstanceRow:
        row = await session.get(InstanceRow, instance_id)
        if row is None:
            raise NotFound(f"There is no instance {instance_id!r}.")
        return row

    def _emit(self, session: AsyncSession, row: InstanceRow, type: str, message: str) -> None:
        events.emit(session, "instance", row.id, row.owner, type, message)

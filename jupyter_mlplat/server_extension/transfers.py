"""`mlplat/transfers`: copies between the work folder and object stores, carried out beside this server.

Each lies in a folder of its own below `.mlplat/transfers` in the work folder (see `storage.transfers.folder`), and is
carried out by a process of its own, which may be killed at any moment: pausing is that. So the queue outlives the
server: the next one goes on with what was under way.
"""

import asyncio
import json
import logging
import os
import shutil
import sys
import time
from collections import deque
from contextlib import aclosing
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

from tornado.web import authenticated

from jupyter_mlplat.core.files import full_disk_in_words
from jupyter_mlplat.core.ids import new_id
from jupyter_mlplat.errors import BackendFailure, Conflict, InvalidInput, MlplatError, NotFound
from jupyter_mlplat.server_extension.base import MlplatHandler
from jupyter_mlplat.server_extension.workers import lines_of
from jupyter_mlplat.storage.transfers.folder import TransferFolder
from jupyter_mlplat.storage.transfers.order import OnConflict, Order, choice_of
from jupyter_mlplat.storage.transfers.planning import OURS

_PLACE = f"{OURS}/transfers"

_AT_ONCE = 3
_REMEMBERED = 200
_SPEED_OF_LAST = 30
"""Reports, of which there are some three a second."""

_BROKE_OFF = "The copy broke off. Go on with it: what has arrived stays."
_log = logging.getLogger(__name__)


class State(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    ASKING = "asking"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


_ACTIVE = (State.QUEUED, State.RUNNING)
_STOPPED = (State.PAUSED, State.ASKING, State.FAILED)


@dataclass
class Transfer:
    """`done` of `total` bytes and `files` of `files_total` have arrived, at `speed` bytes a second.

    `conflicts` counts the targets that are there already while it is ASKING; `message` says why it waits or failed,
    `problems` are the files that could not be copied, each with the reason.
    """

    id: str
    source: str
    target: str
    created: float
    state: State = State.QUEUED
    done: int = 0
    total: int = 0
    files: int = 0
    files_total: int = 0
    speed: int = 0
    conflicts: int = 0
    message: str = ""
    problems: list[list[str]] = field(default_factory=list)

    @classmethod
    def read(cls, facts: dict[str, Any]) -> "Transfer":
        """As it was written down, whichever version did that."""
        known = {each.name for each in fields(cls)}
        found = cls(**{name: value for name, value in facts.items() if name in known})
        return replace(found, state=State(found.state))


class Transfers:
    """The transfers of a work folder; a few run at a time, the others wait in their order."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._place = root / _PLACE
        self._all: dict[str, Transfer] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._load()

    def all(self) -> list[Transfer]:
        """The newest first."""
        return list(reversed(self._all.values()))

    def start(self, order: Order) -> Transfer:
        transfer = Transfer(new_id("t"), order.source, order.target, time.time())
        with full_disk_in_words():
            TransferFolder.make(self._place / transfer.id, order)
            self._set(transfer, State.QUEUED)
        self._all[transfer.id] = transfer
        self._forget_old()
        self._go_on()
        return transfer

    async def pause(self, transfer_id: str) -> Transfer:
        """Stop it for now: what has arrived stays. Conflict where it is not under way."""
        transfer = self._get(transfer_id)
        if transfer.state not in _ACTIVE:
            raise Conflict("This copy is not under way.")
        self._set(transfer, State.PAUSED)
        await self._stop(transfer_id)
        return transfer

    def resume(self, transfer_id: str, on_conflict: OnConflict = OnConflict.ASK) -> Transfer:
        """Go on with one that is paused or has failed, or that asks: then with the answer. Conflict for others."""
        transfer = self._get(transfer_id)
        if transfer.state not in _STOPPED:
            raise Conflict("This copy is not paused.")
        if transfer.state is State.ASKING and on_conflict is OnConflict.ASK:
            raise InvalidInput("Say what to do where a file is there already: overwrite, skip or rename.")
        folder = self._folder(transfer)
        if on_conflict is not OnConflict.ASK:
            folder.write_order(replace(folder.order, on_conflict=on_conflict))
        folder.forget_failures()
        self._set(transfer, State.QUEUED)
        self._go_on()
        return transfer

    async def end(self, transfer_id: str) -> Transfer:
        """Cancel it and clear away what is half there; take what is over off the list."""
        transfer = self._get(transfer_id)
        over = transfer.state in (State.COMPLETED, State.CANCELLED, State.FAILED)
        if transfer.state is not State.COMPLETED:
            self._set(transfer, State.CANCELLED)
            await self._stop(transfer_id)
            await self._clear_away(transfer)
        if over:
            await asyncio.to_thread(shutil.rmtree, self._folder(transfer).path, ignore_errors=True)
            self._all.pop(transfer_id, None)
        return transfer

    def _load(self) -> None:
        """What earlier servers have left; what was under way goes on."""
        found = [TransferFolder(path) for path in self._place.glob("t-*")]
        known = [Transfer.read(state) for folder in found if (state := folder.read_state())]
        for transfer in sorted(known, key=lambda each: each.created):
            transfer.state = State.QUEUED if transfer.state is State.RUNNING else transfer.state
            self._all[transfer.id] = transfer
        for folder in found:
            if folder.path.name not in self._all:
                shutil.rmtree(folder.path, ignore_errors=True)
        self._go_on()

    def _get(self, transfer_id: str) -> Transfer:
        try:
            return self._all[transfer_id]
        except KeyError:
            raise NotFound("There is no such copy any more.") from None

    def _folder(self, transfer: Transfer) -> TransferFolder:
        return TransferFolder(self._place / transfer.id)

    def _set(self, transfer: Transfer, state: State, message: str = "") -> None:
        transfer.state, transfer.message, transfer.speed = state, message, 0
        if state is not State.ASKING:
            transfer.conflicts = 0
        if state is not State.FAILED:
            transfer.problems = []
        self._folder(transfer).write_state(asdict(transfer))

    def _go_on(self) -> None:
        """Begin with those that wait, as many as may run."""
        waiting = [each for each in self._all.values() if each.state is State.QUEUED and each.id not in self._tasks]
        for transfer in waiting[: max(0, _AT_ONCE - len(self._tasks))]:
            task = self._tasks[transfer.id] = asyncio.create_task(self._carry_out(transfer))
            task.add_done_callback(partial(self._is_over, transfer.id))

    def _is_over(self, transfer_id: str, _: object) -> None:
        # not at the end of `_carry_out`: one that is stopped before its first turn never gets there
        del self._tasks[transfer_id]
        self._go_on()

    async def _stop(self, transfer_id: str) -> None:
        task = self._tasks.get(transfer_id)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _carry_out(self, transfer: Transfer) -> None:
        self._set(transfer, State.RUNNING)
        try:
            end = await self._listen(transfer)
            transfer.conflicts = end.get("conflicts", 0)
            transfer.problems = end.get("problems", [])
            self._set(transfer, State(end["end"]), end.get("message", ""))
        except MlplatError as error:
            self._set(transfer, State.FAILED, error.message)
        except Exception:
            _log.exception("mlplat: the copy of %s to %s failed", transfer.source, transfer.target)
            self._set(transfer, State.FAILED, "The copy failed; the server's log says more.")

    async def _listen(self, transfer: Transfer) -> dict[str, Any]:
        """Run the worker, and give how it ended. BackendFailure where it broke off."""
        recent: deque[tuple[float, int]] = deque(maxlen=_SPEED_OF_LAST)
        async with aclosing(lines_of(self._command("carry", transfer))) as lines:
            async for line in lines:
                said: dict[str, Any] = json.loads(line)
                if "end" in said:
                    return said
                recent.append((time.monotonic(), said["done"]))
                _tell(transfer, said, recent)
        raise BackendFailure(_BROKE_OFF)

    async def _clear_away(self, transfer: Transfer) -> None:
        """Uploads and files that are not whole go; what cannot be reached stays written down for another try."""
        if not self._folder(transfer).journals():
            return
        said: dict[str, Any] = {"end": State.FAILED, "message": _BROKE_OFF}
        async with aclosing(lines_of(self._command("abandon", transfer))) as lines:
            async for line in lines:
                said = json.loads(line)
        if said["end"] != State.COMPLETED:
            words = f"What it has left half done could not be cleared away: {said['message']} Remove the copy again."
            self._set(transfer, State.FAILED, words)
            raise BackendFailure(words)

    def _command(self, verb: str, transfer: Transfer) -> list[str]:
        worker = [sys.executable, "-I", "-m", "jupyter_mlplat.storage.transfers.worker", str(os.getpid()), verb]
        return [*worker, str(self._folder(transfer).path), str(self._root)]

    def _forget_old(self) -> None:
        over = [each for each in self._all.values() if each.state in (State.COMPLETED, State.CANCELLED)]
        for transfer in over[: max(0, len(over) - _REMEMBERED)]:
            shutil.rmtree(self._folder(transfer).path, ignore_errors=True)
            del self._all[transfer.id]


def _tell(transfer: Transfer, said: dict[str, Any], recent: deque[tuple[float, int]]) -> None:
    """Take over how far the worker is."""
    transfer.done, transfer.total = said["done"], said["total"]
    transfer.files, transfer.files_total = said["files"], said["files_total"]
    transfer.message = said["waiting"]
    (since, first), (at, last) = recent[0], recent[-1]
    transfer.speed = max(0, round((last - first) / (at - since))) if at > since else 0


def transfers_of(settings: dict[str, Any], root: Path) -> Transfers:
    """The one queue of this server; what an earlier one was carrying goes on when this is first called."""
    if "mlplat_transfers" not in settings:
        settings["mlplat_transfers"] = Transfers(root)
    found = settings["mlplat_transfers"]
    assert isinstance(found, Transfers)
    return found


class _Handler(MlplatHandler):
    _track_activity = False

    @property
    def transfers(self) -> Transfers:
        return transfers_of(self.settings, self.work_folder)


class TransfersHandler(_Handler):
    """All transfers of this work folder."""

    @authenticated
    def get(self) -> None:
        """The newest first."""
        self.answer([asdict(transfer) for transfer in self.transfers.all()])

    @authenticated
    async def post(self) -> None:
        """`{source, target, on_conflict?, sync?, delete?}`: work-relative paths and object URLs, see `Order`."""
        self.answer(asdict(self.transfers.start(Order.read(self.body_object()))), 202)


class TransferHandler(_Handler):
    """One transfer."""

    @authenticated
    async def patch(self, transfer_id: str) -> None:
        """`{state: "paused"}`, or `{state: "queued", on_conflict?}` to go on, to try again or to answer."""
        body = self.body_object()
        if body.get("state") == State.PAUSED:
            self.answer(asdict(await self.transfers.pause(transfer_id)))
        elif body.get("state") == State.QUEUED:
            self.answer(asdict(self.transfers.resume(transfer_id, choice_of(body))))
        else:
            raise InvalidInput("A copy can be paused (paused) or go on (queued).")

    @authenticated
    async def delete(self, transfer_id: str) -> None:
        """Cancel it, or take it off the list once it is over."""
        self.answer(asdict(await self.transfers.end(transfer_id)))

"""`mlplat/transfers`: copies between the work folder and the object storage, as background tasks of this server.

The list lives in memory: it ends with the server.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from tornado.web import authenticated

from jupyter_mlplat.core.ids import new_id
from jupyter_mlplat.errors import InvalidInput, MlplatError, NotFound
from jupyter_mlplat.server_extension.base import MlplatHandler
from jupyter_mlplat.server_extension.copying import Copy, copy_down, copy_up, plan_download, plan_upload

_AT_ONCE = 3
_FILES_AT_ONCE = 4
_REMEMBERED = 200
_SCHEMES = ("obs://", "s3://")
_log = logging.getLogger(__name__)


class State(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


_OVER = (State.COMPLETED, State.FAILED, State.CANCELLED)


@dataclass
class Transfer:
    """`done` of `total` bytes are copied; `message` says how far it is, or why it failed."""

    id: str
    source: str
    target: str
    state: State = State.QUEUED
    done: int = 0
    total: int = 0
    message: str = "Waiting for the copies before it"


class Transfers:
    """The transfers of this server; a few run at a time, the others wait in their order."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._all: dict[str, Transfer] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._turn = asyncio.Semaphore(_AT_ONCE)

    def all(self) -> list[Transfer]:
        """The newest first."""
        return list(reversed(self._all.values()))

    def start(self, source: str, target: str) -> Transfer:
        """Begin a copy; exactly one of the two must be an object URL. InvalidInput otherwise."""
        if _is_remote(source) == _is_remote(target):
            raise InvalidInput("Copy between the work folder and obs://: one path of each.")
        transfer = Transfer(new_id("t"), source, target)
        self._all[transfer.id] = transfer
        self._forget_old()
        self._tasks[transfer.id] = asyncio.create_task(self._carry_out(transfer))
        return transfer

    async def end(self, transfer_id: str) -> Transfer:
        """Cancel what is under way; take what is over off the list. NotFound where there is none of this id."""
        transfer = self._all.get(transfer_id)
        if transfer is None:
            raise NotFound("There is no such copy any more.")
        task = self._tasks.get(transfer_id)
        if task is None:
            del self._all[transfer_id]
            return transfer
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        self._stopped(transfer)
        return transfer

    async def _carry_out(self, transfer: Transfer) -> None:
        try:
            async with self._turn:
                transfer.state, transfer.message = State.RUNNING, "Looking at what is to be copied"
                await self._copy(transfer)
            transfer.state = State.COMPLETED
        except asyncio.CancelledError:
            self._stopped(transfer)
            raise
        except MlplatError as error:
            transfer.state, transfer.message = State.FAILED, error.message
        except OSError as error:
            transfer.state, transfer.message = State.FAILED, f"{error.filename or 'The disk'}: {error.strerror}."
        except Exception:
            _log.exception("mlplat: the copy of %s to %s failed", transfer.source, transfer.target)
            transfer.state, transfer.message = State.FAILED, "The copy failed; the server's log says more."
        finally:
            self._tasks.pop(transfer.id, None)

    async def _copy(self, transfer: Transfer) -> None:
        if _is_remote(transfer.source):
            copies = await plan_download(_key(transfer.source), self._root, transfer.target)
            verb: _Verb = copy_down
        else:
            copies = await asyncio.to_thread(plan_upload, self._root, transfer.source, _key(transfer.target))
            verb = copy_up
        transfer.total = sum(copy.size for copy in copies)
        await _copy_all(transfer, copies, verb)
        transfer.done = transfer.total

    def _stopped(self, transfer: Transfer) -> None:
        self._tasks.pop(transfer.id, None)
        if transfer.state not in _OVER:
            transfer.state, transfer.message = State.CANCELLED, "Cancelled. What was copied before stays."

    def _forget_old(self) -> None:
        over = [transfer.id for transfer in self._all.values() if transfer.state in _OVER]
        for transfer_id in over[: max(0, len(over) - _REMEMBERED)]:
            del self._all[transfer_id]


_Verb = Callable[[Copy, Callable[[int], None]], Awaitable[None]]


async def _copy_all(transfer: Transfer, copies: list[Copy], verb: _Verb) -> None:
    finished = 0
    waiting = iter(copies)

    def moved(count: int) -> None:
        transfer.done += count

    async def work() -> None:
        nonlocal finished
        for copy in waiting:
            transfer.message = f"{finished} of {len(copies)} files"
            await verb(copy, moved)
            finished += 1

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(_FILES_AT_ONCE, len(copies))):
                group.create_task(work())
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    transfer.message = "1 file" if len(copies) == 1 else f"{len(copies)} files"


def _is_remote(path: str) -> bool:
    return path.startswith(_SCHEMES)


def _key(url: str) -> str:
    """BUCKET/KEY of an object URL."""
    key = url.partition("://")[2]
    if not key.partition("/")[0]:
        raise InvalidInput(f"{url} names no bucket. Write obs://BUCKET/PATH.")
    return key


def _transfers(handler: MlplatHandler) -> Transfers:
    found = handler.settings.get("mlplat_transfers")
    if found is None:
        found = handler.settings["mlplat_transfers"] = Transfers(handler.work_folder)
    assert isinstance(found, Transfers)
    return found


class TransfersHandler(MlplatHandler):
    """All transfers of this server."""

    _track_activity = False

    @authenticated
    def get(self) -> None:
        """The newest first."""
        self.answer([asdict(transfer) for transfer in _transfers(self).all()])

    @authenticated
    async def post(self) -> None:
        """`{source, target}`: one work-relative path, one object URL; folders and prefixes are copied whole."""
        body = self.body_object()
        source, target = body.get("source"), body.get("target")
        if not isinstance(source, str) or not isinstance(target, str):
            raise InvalidInput("A copy needs a source and a target.")
        self.answer(asdict(_transfers(self).start(source, target)), 202)


class TransferHandler(MlplatHandler):
    """One transfer."""

    @authenticated
    async def delete(self, transfer_id: str) -> None:
        """Cancel it, or take it off the list once it is over."""
        self.answer(asdict(await _transfers(self).end(transfer_id)))

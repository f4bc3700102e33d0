"""`mlplat/environments`: the environments inside this instance, made and removed beside the kernels.

What is under way lives in memory and ends with the server; what it leaves half made is swept away at the next start.
"""

import asyncio
import logging
from collections import deque
from contextlib import aclosing
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from tornado.web import authenticated

from jupyter_mlplat.core.ids import new_id
from jupyter_mlplat.environments.apart import BROKE_OFF, command, heard
from jupyter_mlplat.environments.files import available, find
from jupyter_mlplat.environments.listing import listing
from jupyter_mlplat.environments.places import RESERVED, check_free, folder_of, half_made, remove, sweep
from jupyter_mlplat.errors import BackendFailure, Conflict, InUse, InvalidInput, MlplatError, NotFound
from jupyter_mlplat.server_extension.base import MlplatHandler
from jupyter_mlplat.server_extension.environment import read_runtime
from jupyter_mlplat.server_extension.workers import lines_of

_LINES_KEPT = 200
_REMEMBERED = 20
_log = logging.getLogger(__name__)


class State(StrEnum):
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass
class Work:
    """An environment being made. `message` says how far it is, or why it failed; `lines` are its program's last."""

    id: str
    verb: str
    name: str
    state: State = State.RUNNING
    message: str = "Beginning"
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=_LINES_KEPT))

    def document(self) -> dict[str, Any]:
        return {**vars(self), "lines": list(self.lines)}


class Works:
    """What is being made by this server, and what was."""

    def __init__(self) -> None:
        self._all: dict[str, Work] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def all(self) -> list[Work]:
        """The newest first."""
        return list(reversed(self._all.values()))

    def start(self, verb: str, environment: Path, name: str, **arguments: str | Path) -> Work:
        """Begin to make the environment `name`. Conflict where that is under way; else what `check_free` raises."""
        if any(work.name == name and work.state == State.RUNNING for work in self._all.values()):
            raise Conflict(f"The environment {name} is being made already.")
        check_free(environment, name)
        work = Work(new_id("e"), verb, name)
        self._all[work.id] = work
        self._forget_old()
        call = command(verb, environment=environment, name=name, **arguments)
        self._tasks[work.id] = asyncio.create_task(self._carry_out(work, call, environment))
        return work

    async def end(self, work_id: str) -> Work:
        """Cancel what is under way; take what is over off the list. NotFound where there is none of this id."""
        work = self._all.get(work_id)
        if work is None:
            raise NotFound("There is no such work any more.")
        task = self._tasks.get(work_id)
        if task is None:
            del self._all[work_id]
            return work
        task.cancel()
        await asyncio.wait([task])
        return work

    async def _carry_out(self, work: Work, call: list[str], environment: Path) -> None:
        try:
            await _listen(work, call)
            work.state, work.message = State.COMPLETED, "Ready"
        except asyncio.CancelledError:
            await asyncio.to_thread(sweep, environment)
            work.state, work.message = State.CANCELLED, "Cancelled; nothing is left of it."
        except MlplatError as error:
            work.state, work.message = State.FAILED, error.message
        except Exception:
            _log.exception("mlplat: making the environment %s failed", work.name)
            work.state, work.message = State.FAILED, "This failed; the server's log says more."
        finally:
            self._tasks.pop(work.id, None)

    def _forget_old(self) -> None:
        over = [work.id for work in self._all.values() if work.state != State.RUNNING]
        for work_id in over[: max(0, len(over) - _REMEMBERED)]:
            del self._all[work_id]


async def _listen(work: Work, call: list[str]) -> None:
    """Run the worker to its end; BackendFailure where it breaks off, and what it says that failed."""
    async with aclosing(lines_of(call)) as lines:
        async for line in lines:
            words = heard(line)
            if words is None:
                return
            work.lines.append(words)
            work.message = words.splitlines()[-1] if words else work.message
    raise BackendFailure(BROKE_OFF)


def _works(handler: MlplatHandler) -> Works:
    found = handler.settings.setdefault("mlplat_environments", Works())
    assert isinstance(found, Works)
    return found


def _environment() -> Path:
    return Path(read_runtime()["environment"])


class EnvironmentsHandler(MlplatHandler):
    """All environments of this instance, and what is being made."""

    _track_activity = False

    @authenticated
    async def get(self) -> None:
        """`{environments, work, half_made}`; `half_made` are the names that anybody is making or removing now."""
        runtime = read_runtime()
        image = str((runtime.get("image") or {}).get("name") or "")
        found = await asyncio.to_thread(listing, Path(runtime["environment"]), image)
        work = [each.document() for each in _works(self).all()]
        half = half_made(Path(runtime["environment"]))
        self.answer({"environments": [vars(each) for each in found], "work": work, "half_made": half})

    @authenticated
    async def post(self) -> None:
        """`{name, file}` or `{name, clone_of}`: make one. The file is a name of `environments/files`."""
        body = self.body_object()
        name, file, original = (body.get(key) for key in ("name", "file", "clone_of"))
        if not isinstance(name, str) or not (isinstance(file, str) ^ isinstance(original, str)):
            raise InvalidInput("An environment needs a name, and a file or another environment to be made from.")
        environment, works = _environment(), _works(self)
        if isinstance(original, str):
            folder_of(environment, original)
            work = works.start("clone", environment, name, original=original)
        else:
            path = find(self.work_folder, str(file))
            work = works.start("create", environment, name, file=path, source=str(file))
        self.answer(work.document(), 202)


class EnvironmentFilesHandler(MlplatHandler):
    """The files that environments can be made from."""

    @authenticated
    async def get(self) -> None:
        """The platform's own first; names of the user's are work-relative."""
        found = await asyncio.to_thread(available, self.work_folder)
        self.answer([{**vars(each), "path": str(each.path)} for each in found])


class EnvironmentHandler(MlplatHandler):
    """One environment."""

    @authenticated
    async def delete(self, name: str) -> None:
        """Remove it. InUse while kernels run on it, NotAllowed for the instance's own."""
        environment = _environment()
        kernels = self.kernel_manager.list_kernels()  # type: ignore[no-untyped-call]
        if any(kernel["name"] == name for kernel in kernels) and name not in RESERVED:
            raise InUse(f"A kernel runs on {name}. Shut it down first (Kernel > Shut Down Kernel), then remove it.")
        await asyncio.to_thread(remove, environment, name)
        self.answer({"name": name})


class EnvironmentWorkHandler(MlplatHandler):
    """What is being made, or one of it."""

    _track_activity = False

    @authenticated
    def get(self, _: str) -> None:
        """The newest first."""
        self.answer([work.document() for work in _works(self).all()])

    @authenticated
    async def delete(self, work_id: str) -> None:
        """Cancel it, or take it off the list once it is over."""
        self.answer((await _works(self).end(work_id)).document())


async def sweep_environments() -> None:
    """Clear away what an earlier server of this instance was making when it was killed."""
    try:
        await asyncio.to_thread(sweep, _environment())
    except (MlplatError, OSError) as error:
        _log.warning("mlplat: half-made environments could not be cleared away: %s", error)
